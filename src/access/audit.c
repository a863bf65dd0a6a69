#include "access/audit.h"

#include "access/access.h"

static const struct {
    const char *name;
    enum log_level level;
    bool is_attempt;
} events[] = {
#define X(name, event, level, attempt) [AUDIT_##name] = {event, LOG_LEVEL_##level, attempt},
    AUDIT_EVENTS(X)
#undef X
};

static const char *const limits[] = {
#define X(name, label) [AUDIT_LIMIT_##name] = (label),
    AUDIT_LIMITS(X)
#undef X
};

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

static struct log_field when(bool is_there, struct log_field field)
{
    if (!is_there)
        field.name = NULL;
    return field;
}

static void write_line(enum audit_event event, const struct audit_details *details, uint64_t others)
{
    static const struct principal unknown;
    static const struct audit_client nobody = {.principal = &unknown};
    static const struct auth_keys no_keys;
    const struct audit_client *client = details->client ? details->client : &nobody;
    const struct auth_identity *identity = client->principal->identity;
    const struct auth_keys *keys = details->keys ? details->keys : &no_keys;
    const struct error *error = details->error;
    bool counts_keys = event == AUDIT_KEYS_CHANGED || event == AUDIT_KEYS_STALE;
    bool passed_over = event == AUDIT_KEYS_CHANGED && keys->passed_over;
    log_at(
        events[event].level, "audit", events[event].name,
        when(details->client, log_word("client", client->principal->address)),
        when(details->client, log_word("kind", client->kind)),
        when(client->principal->session, log_number("id", client->principal->session)),
        when(details->client, log_text("origin", client->origin)),
        when(details->client, log_text("subject", identity ? identity->subject : NULL)),
        when(details->client, log_text("metering_key", identity ? identity->metering_key : NULL)),
        when(details->client, log_text("jti", identity ? identity->token_id : NULL)),
        when(details->source, log_text("source", details->source)),
        when(counts_keys, log_number("keys", keys->count)),
        when(event == AUDIT_KEYS_CHANGED, log_text("kids", details->kids)),
        when(passed_over, log_number("passed_over", keys->passed_over)),
        when(passed_over, log_text("first", keys->passed_why)),
        when(event == AUDIT_KEYS_STALE, log_number("seconds", details->seconds)),
        when(event == AUDIT_LIMITED, log_word("limit", limits[details->limit])),
        when(details->what, log_word("what", details->what)),
        when(details->token, log_text("revoked", details->token)),
        when(details->ended, log_number("ended", details->ended)),
        when(details->changed, log_text("changed", details->changed)),
        when(error, log_word("code", error ? error_kind(error->code)->wire : NULL)),
        when(error, log_text("reason", error ? error->message : NULL)),
        when(event == AUDIT_REQUEST_REFUSED, log_number("others", others)));
}

void audit_write(struct audit *audit, enum audit_event event, const struct audit_details *details)
{
    enum error_code code = details->error ? details->error->code : ERROR_NONE;
    uint64_t others = 0;
    code = (unsigned)code < ERROR_COUNT ? code : ERROR_INTERNAL;
    counter_add(&audit->events[event], 1);
    if (events[event].is_attempt || (event == AUDIT_LIMITED && details->is_handshake))
        counter_add(&audit->attempts[code], 1);
    if (event == AUDIT_LIMITED)
        counter_add(&audit->limits[details->limit], 1);
    if (event == AUDIT_REQUEST_REFUSED)
        counter_add(&audit->refusals[code], 1);
    if (event != AUDIT_REQUEST_REFUSED || is_due(audit, code, details->now_us, &others))
        write_line(event, details, others);
}
