/*
 * audit: accepted and refused clients, exceeded limits, keys in force. Each event is one log line
 * of the component "audit" and one count for /metrics; docs/logs.md lists the events and their
 * fields. (Refused requests of producers have fewer lines.) Tokens and keys never come here, only
 * the claims of a verified token.
 *
 * Any thread. Lines beyond 1,000 of one event in 10 s are held back, and counted; the counts for
 * /metrics are complete in any case.
 */
#ifndef ACCESS_AUDIT_H
#define ACCESS_AUDIT_H

#include "auth/auth.h"

/* X(name, event in the log, level). */
#define AUDIT_EVENTS(X)                                                                            \
    X(ACCEPTED, "handshake-accepted", INFO)                                                        \
    X(DENIED, "handshake-denied", WARNING)                                                         \
    X(SESSION_DENIED, "session-denied", WARNING)                                                   \
    X(SESSION_ENDED, "session-ended", WARNING)                                                     \
    X(LIMITED, "limit-exceeded", WARNING)                                                          \
    X(REQUEST_REFUSED, "request-refused", WARNING)                                                 \
    X(REFRESHED, "token-refreshed", INFO)                                                          \
    X(REFRESH_DENIED, "token-refresh-denied", WARNING)                                             \
    X(REVOKED, "token-revoked", WARNING)                                                           \
    X(KEYS_CHANGED, "keys-changed", INFO)                                                          \
    X(KEYS_FAILED, "keys-failed", ERROR)                                                           \
    X(KEYS_STALE, "keys-stale", ERROR)                                                             \
    X(RELOADED, "configuration-reloaded", INFO)                                                    \
    X(RELOAD_REFUSED, "configuration-refused", ERROR)

enum audit_event {
#define X(name, event, level) AUDIT_##name,
    AUDIT_EVENTS(X)
#undef X
        AUDIT_EVENT_COUNT
};

/* X(name, label of /metrics and the log): the limits of docs/protocol.md. First the limits at a
 * time, then the rates. */
#define AUDIT_LIMITS(X)                                                                            \
    X(CONNECTIONS, "connections")                                                                  \
    X(CONNECTIONS_PER_SUBJECT, "connections_per_subject")                                          \
    X(CONNECTIONS_PER_ADDRESS, "connections_per_ip")                                               \
    X(CONNECTIONS_PER_METERING_KEY, "connections_per_metering_key")                                \
    X(CONNECTIONS_PER_ORIGIN, "connections_per_origin")                                            \
    X(SUBSCRIPTIONS, "subscriptions")                                                              \
    X(SNAPSHOT_ROWS, "snapshot_rows")                                                              \
    X(MESSAGES_PER_MINUTE, "messages_per_minute")                                                  \
    X(BYTES_PER_MINUTE, "bytes_per_minute")                                                        \
    X(RATE_HANDSHAKES_PER_ADDRESS, "rate_handshakes_per_ip")                                       \
    X(RATE_CONNECTIONS_PER_SUBJECT, "rate_connections_per_subject")                                \
    X(RATE_CONNECTIONS_PER_METERING_KEY, "rate_connections_per_metering_key")                      \
    X(RATE_SUBSCRIPTIONS, "rate_subscriptions_per_connection")                                     \
    X(RATE_MESSAGES, "rate_messages_per_connection")                                               \
    X(RATE_SNAPSHOTS, "rate_snapshots_per_connection")

enum audit_limit {
#define X(name, label) AUDIT_LIMIT_##name,
    AUDIT_LIMITS(X)
#undef X
        AUDIT_LIMIT_COUNT
};

/* A server's counts, for /metrics. */
struct audit {
    struct counter events[AUDIT_EVENT_COUNT];
    /* Attempts to connect with or without a token, and to refresh one, by result; ERROR_NONE:
     * accepted. */
    struct counter attempts[ERROR_COUNT];
    struct counter limits[AUDIT_LIMIT_COUNT];
    struct counter refusals[ERROR_COUNT]; /* requests of producers, by the code */
    /* Of refusals: the time of the last line (monotonic; 0: never), and the count then. */
    _Atomic uint64_t told_us[ERROR_COUNT], told_count[ERROR_COUNT];
};

/* The client of an event. Unknown members are absent or NULL. Borrowed during the call. */
struct audit_client {
    const char *address; /* of the client itself, not of the proxy before it */
    const char *origin;  /* as the request names it */
    const char *kind;    /* its purpose: "subscriber", "ingest", "http", "health" */
    const struct auth_identity *identity;
};

/* A handshake or request was accepted. A client of HTTP has the `kind` "http", and may be
 * reported once per connection. */
void audit_accepted(struct audit *audit, const struct audit_client *client);
/* A handshake or request was refused, with the error of the answer. audit_limited reports
 * limits. */
void audit_denied(struct audit *audit, const struct audit_client *client,
                  const struct error *error);
/* Something in a session was refused; the session goes on. `what`: "subscribe", "ingest", … */
void audit_session_denied(struct audit *audit, const struct audit_client *client, const char *what,
                          const struct error *error);
/* The server ended a session: its token ran out or was revoked, or it exceeded a limit. */
void audit_session_ended(struct audit *audit, const struct audit_client *client,
                         const struct error *error);
/* A limit refused something, in a handshake (counts as an attempt too) or in a session. */
void audit_limited(struct audit *audit, const struct audit_client *client, enum audit_limit limit,
                   bool handshake, const struct error *error);
/* A request of a producer was refused, for any reason. All are counted. The first of each code
 * within AUDIT_REFUSAL_SECONDS has a line, with the number of those that had none. */
enum { AUDIT_REFUSAL_SECONDS = 10 };
void audit_request_refused(struct audit *audit, const struct audit_client *client,
                           const struct error *error, uint64_t now_us);
void audit_refreshed(struct audit *audit, const struct audit_client *client);
void audit_refresh_denied(struct audit *audit, const struct audit_client *client,
                          const struct error *error);
/* A token was revoked by its jti; `by`: the client that revoked it. */
void audit_revoked(struct audit *audit, const struct audit_client *by, const char *token_id);
/* Keys came into force: their source (a file, a URL without its query), how many, their kids
 * separated by spaces, and what was skipped. */
void audit_keys_changed(struct audit *audit, const char *source, const struct auth_keys *keys,
                        const char *kids);
/* Keys could not be read or fetched; the known ones stay in force. */
void audit_keys_failed(struct audit *audit, const char *source, const struct error *error);
/* Keys could not be fetched for so long that the known ones, so many, are out of force. */
void audit_keys_stale(struct audit *audit, const char *source, size_t count, uint64_t seconds);
/* The configuration was read again. `changed`: names of settings, separated by spaces. */
void audit_reloaded(struct audit *audit, const char *changed);
void audit_reload_refused(struct audit *audit, const struct error *error);

#endif
