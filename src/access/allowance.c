#include "access/allowance.h"

#include "access/access.h"

/* ---- the limits of this connection ---- */

/* Its token's own number, or else the standard one. */
#define CHOOSE(allowance, member)                                                                  \
    limits_choose((allowance)->principal->identity->limits.member,                                 \
                  (allowance)->limits->rules.standard.member)

/* One of the limits per minute; false: there is none. */
static bool minute_rate(const struct allowance *allowance, int64_t most, struct rate *rate)
{
    *rate = (struct rate){.most = most, .window_ms = allowance->limits->rules.minute_ms};
    return most != LIMITS_NONE;
}

static bool message_rate(const struct allowance *allowance, struct rate *rate)
{
    return minute_rate(allowance, CHOOSE(allowance, max_messages_per_minute), rate);
}

static bool byte_rate(const struct allowance *allowance, struct rate *rate)
{
    return minute_rate(allowance, CHOOSE(allowance, max_bytes_per_minute), rate);
}

/* ---- refusing ---- */

static bool tell(const struct allowance *allowance, enum audit_limit limit,
                 const struct error *error)
{
    const struct audit_client client = {.principal = allowance->principal, .kind = allowance->kind};
    audit_write(allowance->limits->audit, AUDIT_LIMITED,
                &(struct audit_details){.client = &client, .limit = limit, .error = error});
    return false;
}

static bool refuse_rate(const struct allowance *allowance, enum audit_limit limit,
                        enum error_code code, const struct rate *rate, int64_t wait_ms,
                        const char *what, struct error *error)
{
    char room[LIMITS_RATE_TEXT];
    error_set(error, code, "more than %lld %s %s", (long long)rate->most, what,
              limits_rate_text(rate, room));
    limits_wait(error, wait_ms);
    return tell(allowance, limit, error);
}

/* One of the rates, for one more. */
static bool pass(struct allowance *allowance, struct rate_level *level, const struct rate *rate,
                 enum audit_limit limit, const char *what, struct error *error)
{
    int64_t wait_ms;
    if (!limits_rate_holds(allowance->limits, rate) ||
        rate_admit(level, rate, limits_now(allowance->limits), 1, &wait_ms))
        return true;
    return refuse_rate(allowance, limit, ERROR_RATE_LIMIT, rate, wait_ms, what, error);
}

/* ---- questions ---- */

static bool pass_message(struct allowance *allowance, struct error *error)
{
    struct rate minute;
    int64_t wait_ms, now = limits_now(allowance->limits);
    if (message_rate(allowance, &minute) &&
        !rate_admit(&allowance->minute_messages, &minute, now, 1, &wait_ms))
        return refuse_rate(allowance, AUDIT_LIMIT_MESSAGES_PER_MINUTE, ERROR_RATE_LIMIT, &minute,
                           wait_ms, "messages", error);
    return pass(allowance, &allowance->messages, &allowance->limits->rules.messages,
                AUDIT_LIMIT_RATE_MESSAGES, "messages", error);
}

static bool has_room(struct allowance *allowance, int64_t held, struct error *error)
{
    int64_t most = CHOOSE(allowance, max_subscriptions);
    if (most == LIMITS_NONE || held < most)
        return true;
    error_set(
        error, ERROR_SUBSCRIPTION_LIMIT,
        "this connection has %lld subscriptions and may have %lld; unsubscribe from one first",
        (long long)held, (long long)most);
    return tell(allowance, AUDIT_LIMIT_SUBSCRIPTIONS, error);
}

static bool may_have(struct allowance *allowance, int64_t rows, struct error *error)
{
    int64_t most = limits_snapshot_rows(allowance->limits, allowance->principal->identity);
    if (most == LIMITS_NONE || rows <= most)
        return true;
    error_set(error, ERROR_SNAPSHOT_LIMIT,
              "the answer would have %lld rows or more, and may have %lld; ask for fewer with "
              "snapshotLimit or take",
              (long long)rows, (long long)most);
    return tell(allowance, AUDIT_LIMIT_SNAPSHOT_ROWS, error);
}

bool allowance_has(struct allowance *allowance, enum allowance_wish wish, int64_t number,
                   struct error *error)
{
    const struct limit_rules *rules = &allowance->limits->rules;
    switch (wish) {
    case ALLOWANCE_MESSAGE:
        return pass_message(allowance, error);
    case ALLOWANCE_SUBSCRIBE:
        return pass(allowance, &allowance->subscribes, &rules->subscribes,
                    AUDIT_LIMIT_RATE_SUBSCRIPTIONS, "subscribe messages", error);
    case ALLOWANCE_SNAPSHOT:
        return pass(allowance, &allowance->snapshots, &rules->snapshots, AUDIT_LIMIT_RATE_SNAPSHOTS,
                    "snapshots", error);
    case ALLOWANCE_SUBSCRIPTION:
        return has_room(allowance, number, error);
    case ALLOWANCE_ROWS:
        break;
    }
    return may_have(allowance, number, error);
}

bool allowance_limits_bytes(const struct allowance *allowance)
{
    struct rate minute;
    return byte_rate(allowance, &minute);
}

size_t allowance_send(struct allowance *allowance, size_t bytes)
{
    struct rate minute;
    int64_t now = limits_now(allowance->limits);
    if (!byte_rate(allowance, &minute) ||
        rate_admit(&allowance->minute_bytes, &minute, now, (int64_t)bytes, NULL))
        return bytes;
    allowance->refused_bytes = bytes;
    return (size_t)rate_left(&allowance->minute_bytes, &minute, now);
}

void allowance_overdrawn(struct allowance *allowance, struct error *error)
{
    struct rate minute;
    struct rate_level level = allowance->minute_bytes;
    int64_t wait_ms = 0;
    byte_rate(allowance, &minute);
    rate_admit(&level, &minute, limits_now(allowance->limits), (int64_t)allowance->refused_bytes,
               &wait_ms);
    refuse_rate(allowance, AUDIT_LIMIT_BYTES_PER_MINUTE, ERROR_EGRESS_LIMIT, &minute, wait_ms,
                "bytes to this connection", error);
}

/* ---- producers ---- */

void allowance_note_message(struct allowance *allowance)
{
    struct rate minute;
    if (message_rate(allowance, &minute))
        rate_admit(&allowance->minute_messages, &minute, limits_now(allowance->limits), 1, NULL);
}

bool allowance_is_spent(const struct allowance *allowance)
{
    struct rate minute;
    struct rate_level level = allowance->minute_messages;
    return message_rate(allowance, &minute) &&
           !rate_admit(&level, &minute, limits_now(allowance->limits), 1, NULL);
}
