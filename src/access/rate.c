#include "access/rate.h"

/* A count of 53 bits times a window of 27. */
__extension__ typedef __int128 wide;

static void leak(struct rate_level *level, const struct rate *rate, int64_t now_ms)
{
    /* Counted by a longer window, the part could be more than what it is a part of. */
    if (level->part >= rate->window_ms)
        level->part = rate->window_ms - 1;
    if (now_ms <= level->at_ms)
        return;
    wide leaked = (wide)(now_ms - level->at_ms) * rate->most + level->part;
    bool empty = leaked / rate->window_ms >= level->used;
    level->used = empty ? 0 : level->used - (int64_t)(leaked / rate->window_ms);
    level->part = empty ? 0 : (int64_t)(leaked % rate->window_ms);
    level->at_ms = now_ms;
}

/* Until `excess` have leaked. */
static int64_t wait_for(const struct rate_level *level, const struct rate *rate, int64_t excess)
{
    wide parts = (wide)excess * rate->window_ms - level->part;
    wide wait = (parts + rate->most - 1) / rate->most;
    return wait < INT64_MAX ? (int64_t)wait : INT64_MAX;
}

int64_t rate_room(const struct rate *rate)
{
    return rate->most > 0 ? rate->most + rate->burst : 0;
}

int64_t rate_left(struct rate_level *level, const struct rate *rate, int64_t now_ms)
{
    int64_t room = rate_room(rate);
    leak(level, rate, now_ms);
    return room > level->used ? room - level->used : 0;
}

bool rate_allows(struct rate_level *level, const struct rate *rate, int64_t now_ms, int64_t amount,
                 int64_t *wait_ms)
{
    int64_t room = rate_room(rate);
    if (amount <= rate_left(level, rate, now_ms))
        return true;
    if (wait_ms)
        *wait_ms =
            amount > room ? rate->window_ms : wait_for(level, rate, level->used - room + amount);
    return false;
}

bool rate_admit(struct rate_level *level, const struct rate *rate, int64_t now_ms, int64_t amount,
                int64_t *wait_ms)
{
    if (!rate_allows(level, rate, now_ms, amount, wait_ms))
        return false;
    level->used += amount;
    return true;
}
