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

struct principal;

/* X(name, event in the log, level, whether it is an attempt to come in or to stay). */
#define AUDIT_EVENTS(X)                                                                            \
    X(ACCEPTED, "handshake-accepted", INFO, true)                                                  \
    X(DENIED, "handshake-denied", WARNING, true)                                                   \
    X(SESSION_DENIED, "session-denied", WARNING, false)                                            \
    X(SESSION_ENDED, "session-ended", WARNING, false)                                              \
    X(CLIENT_ENDED, "client-ended", WARNING, false)                                                \
    X(LIMITED, "limit-exceeded", WARNING, false)                                                   \
    X(REQUEST_REFUSED, "request-refused", WARNING, false)                                          \
    X(REFRESHED, "token-refreshed", INFO, true)                                                    \
    X(REFRESH_DENIED, "token-refresh-denied", WARNING, true)                                       \
    X(REVOKED, "token-revoked", WARNING, false)                                                    \
    X(KEYS_CHANGED, "keys-changed", INFO, false)                                                   \
    X(KEYS_FAILED, "keys-failed", ERROR, false)                                                    \
    X(KEYS_STALE, "keys-stale", ERROR, false)                                                      \
    X(RELOADED, "configuration-reloaded", INFO, false)                                             \
    X(RELOAD_REFUSED, "configuration-refused", ERROR, false)

enum audit_event {
#define X(name, event, level, attempt) AUDIT_##name,
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

/* The client of an event. Unknown members are NULL. Borrowed during the call. */
struct audit_client {
    const struct principal *principal; /* its address is the client's, not that of a proxy */
    const char *origin;                /* as the request names it */
    const char *kind;                  /* its purpose: "subscriber", "ingest", "http", "health" */
};

/* What an event has to say beside its name. Borrowed during the call. */
struct audit_details {
    const struct audit_client
        *client;               /* of events about one; of REVOKED, CLIENT_ENDED: who did it */
    const struct error *error; /* of refusals and failures: the error of the answer */
    /* LIMITED: the limit, and whether it refused a handshake, which counts as an attempt too. */
    enum audit_limit limit;
    bool is_handshake;
    const char *what;  /* SESSION_DENIED: "subscribe", "ingest", … */
    uint64_t now_us;   /* REQUEST_REFUSED: the time, monotonic */
    const char *token; /* REVOKED: the jti */
    uint64_t ended;    /* CLIENT_ENDED: the number of the session */
    /* KEYS_…: a file, or a URL without its query; the keys (NULL: none), and their kids, separated
     * by spaces; for how many seconds they could not be fetched. */
    const char *source, *kids;
    const struct auth_keys *keys;
    uint64_t seconds;
    const char *changed; /* RELOADED: names of settings, separated by spaces */
};

/*
 * Count the event and write its line.
 *   ACCEPTED, DENIED          a connection (also a stream, or a request that waits); a request that
 *                             was refused
 *   SESSION_DENIED            something in a session was refused; the session goes on
 *   SESSION_ENDED             the token ran out or was revoked, the session exceeded a limit, or an
 *                             administrator ended it
 *   CLIENT_ENDED              an administrator ended a session
 *   LIMITED                   a limit refused something, in a handshake or in a session
 *   REQUEST_REFUSED           a request of a producer, for any reason. All are counted. The first
 *                             of each code within AUDIT_REFUSAL_SECONDS has a line, with the number
 *                             of those that had none
 *   KEYS_CHANGED              keys came into force
 *   KEYS_FAILED, KEYS_STALE   keys could not be read or fetched: the known ones stay in force; now
 *                             they no longer do
 *   RELOADED, RELOAD_REFUSED  the configuration was read again
 */
enum { AUDIT_REFUSAL_SECONDS = 10 };
void audit_write(struct audit *audit, enum audit_event event, const struct audit_details *details);

#endif
