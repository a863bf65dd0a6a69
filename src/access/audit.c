#include "access/audit.h"

static const struct {
    const char *name;
    enum log_level level;
} events[] = {
#define X(name, event, level) [AUDIT_##name] = {event, LOG_LEVEL_##level},
    AUDIT_EVENTS(X)
#undef X
};

static const char *const limits[] = {
#define X(name, label) [AUDIT_LIMIT_##name] = (label),
    AUDIT_LIMITS(X)
#undef X
};

/* Count it, and write its line with these fields. */
#define TELL(audit, event, ...)                                                                    \
    (counter_add(&(audit)->events[event], 1),                                                      \
     log_at(events[event].level, "audit", events[event].name, __VA_ARGS__))

/* The fields of every line about a client, and those of an error. */
#define CLIENT(it)                                                                                 \
    log_word("client", (it)->address), log_word("kind", (it)->kind),                               \
        log_text("origin", (it)->origin),                                                          \
        log_text("subject", (it)->identity ? (it)->identity->subject : NULL),                      \
        log_text("metering_key", (it)->identity ? (it)->identity->metering_key : NULL),            \
        log_text("jti", (it)->identity ? (it)->identity->token_id : NULL)

#define REASON(it) log_word("code", error_wire_code((it)->code)), log_text("reason", (it)->message)

static void count_attempt(struct audit *audit, enum error_code code)
{
    counter_add(&audit->attempts[(unsigned)code < ERROR_COUNT ? code : ERROR_INTERNAL], 1);
}

void audit_accepted(struct audit *audit, const struct audit_client *client)
{
    count_attempt(audit, ERROR_NONE);
    TELL(audit, AUDIT_ACCEPTED, CLIENT(client));
}

void audit_denied(struct audit *audit, const struct audit_client *client, const struct error *error)
{
    count_attempt(audit, error->code);
    TELL(audit, AUDIT_DENIED, CLIENT(client), REASON(error));
}

void audit_session_denied(struct audit *audit, const struct audit_client *client, const char *what,
                          const struct error *error)
{
    TELL(audit, AUDIT_SESSION_DENIED, CLIENT(client), log_word("what", what), REASON(error));
}

void audit_session_ended(struct audit *audit, const struct audit_client *client,
                         const struct error *error)
{
    TELL(audit, AUDIT_SESSION_ENDED, CLIENT(client), REASON(error));
}

void audit_limited(struct audit *audit, const struct audit_client *client, enum audit_limit limit,
                   bool handshake, const struct error *error)
{
    counter_add(&audit->limits[limit], 1);
    if (handshake)
        count_attempt(audit, error->code);
    TELL(audit, AUDIT_LIMITED, CLIENT(client), log_word("limit", limits[limit]), REASON(error));
}

/* Whether the line of this code is due; *others: refusals since the last one. */
static bool is_due(struct audit *audit, enum error_code code, uint64_t now_us, uint64_t *others)
{
    uint64_t told = atomic_load(&audit->told_us[code]);
    if (told && now_us - told < (uint64_t)AUDIT_REFUSAL_SECONDS * 1000 * 1000)
        return false;
    /* Of two threads at the same time one tells. */
    if (!atomic_compare_exchange_strong(&audit->told_us[code], &told, now_us ? now_us : 1))
        return false;
    uint64_t count = counter_get(&audit->refusals[code]);
    uint64_t before = atomic_exchange(&audit->told_count[code], count);
    *others = count - before - 1;
    return true;
}

void audit_request_refused(struct audit *audit, const struct audit_client *client,
                           const struct error *error, uint64_t now_us)
{
    enum error_code code = (unsigned)error->code < ERROR_COUNT ? error->code : ERROR_INTERNAL;
    uint64_t others;
    counter_add(&audit->refusals[code], 1);
    if (!is_due(audit, code, now_us, &others))
        counter_add(&audit->events[AUDIT_REQUEST_REFUSED], 1);
    else
        TELL(audit, AUDIT_REQUEST_REFUSED, CLIENT(client), REASON(error),
             log_number("others", others));
}

void audit_refreshed(struct audit *audit, const struct audit_client *client)
{
    count_attempt(audit, ERROR_NONE);
    TELL(audit, AUDIT_REFRESHED, CLIENT(client));
}

void audit_refresh_denied(struct audit *audit, const struct audit_client *client,
                          const struct error *error)
{
    count_attempt(audit, error->code);
    TELL(audit, AUDIT_REFRESH_DENIED, CLIENT(client), REASON(error));
}

void audit_revoked(struct audit *audit, const struct audit_client *by, const char *token_id)
{
    TELL(audit, AUDIT_REVOKED, CLIENT(by), log_text("revoked", token_id));
}

void audit_keys_changed(struct audit *audit, const char *source, const struct auth_keys *keys,
                        const char *kids)
{
    if (keys->passed_over)
        TELL(audit, AUDIT_KEYS_CHANGED, log_text("source", source), log_number("keys", keys->count),
             log_text("kids", kids), log_number("passed_over", keys->passed_over),
             log_text("first", keys->passed_why));
    else
        TELL(audit, AUDIT_KEYS_CHANGED, log_text("source", source), log_number("keys", keys->count),
             log_text("kids", kids));
}

void audit_keys_failed(struct audit *audit, const char *source, const struct error *error)
{
    TELL(audit, AUDIT_KEYS_FAILED, log_text("source", source), REASON(error));
}

void audit_keys_stale(struct audit *audit, const char *source, size_t count, uint64_t seconds)
{
    TELL(audit, AUDIT_KEYS_STALE, log_text("source", source), log_number("keys", count),
         log_number("seconds", seconds));
}

void audit_reloaded(struct audit *audit, const char *changed)
{
    TELL(audit, AUDIT_RELOADED, log_text("changed", changed));
}

void audit_reload_refused(struct audit *audit, const struct error *error)
{
    TELL(audit, AUDIT_RELOAD_REFUSED, REASON(error));
}
