/* When the endpoint may be asked again; see struct usage_pace. */
#include "usage/usage_internal.h"

bool usage_pace_may_send(const struct usage_pace *pace, uint64_t now, size_t under_way)
{
    if (pace->failures)
        return under_way == 0 && now >= pace->retry_at;
    return under_way < USAGE_AT_ONCE;
}

/* SplitMix64: any seed will do. */
static uint64_t next_random(struct usage_pace *pace)
{
    uint64_t x = pace->seed += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t back_off(struct usage_pace *pace)
{
    uint64_t wait = USAGE_BACK_OFF_MS;
    for (uint32_t i = 1; i < pace->failures && wait < USAGE_BACK_OFF_MOST_MS; i++)
        wait *= 2;
    if (wait > USAGE_BACK_OFF_MOST_MS)
        wait = USAGE_BACK_OFF_MOST_MS;
    return wait / 2 + next_random(pace) % (wait / 2 + 1);
}

uint64_t usage_pace_failed(struct usage_pace *pace, uint64_t now, uint32_t failures,
                           int64_t retry_after)
{
    uint64_t asked = retry_after > 0 ? (uint64_t)retry_after : 0;
    asked = asked < USAGE_RETRY_AFTER_MOST_MS / 1000 ? asked * 1000 : USAGE_RETRY_AFTER_MOST_MS;
    if (pace->failures == failures && failures < UINT32_MAX) {
        pace->failures++;
        pace->retry_at = now + back_off(pace);
    }
    if (pace->retry_at < now + asked)
        pace->retry_at = now + asked;
    return pace->retry_at > now ? pace->retry_at - now : 0;
}
