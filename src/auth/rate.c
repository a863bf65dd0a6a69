/*
 * One sliding window: a ring of times, the oldest first, each with how much was let through then.
 *
 * Invariants: times never decrease; `used` is the sum of the amounts; all times are within one
 * window of the newest, since older ones are dropped whenever one is added. So 32 bits of each are
 * enough, as long as a window is shorter than 49 days.
 */
#include "auth/auth.h"

enum { FIRST_CAPACITY = 4 };

/* ---- the ring ---- */

static struct auth_window_entry *entry_at(struct auth_window *window, uint32_t index)
{
    if (!window->capacity)
        return &window->own;
    return &window->more[(window->first + index) % window->capacity];
}

static int64_t time_of(const struct auth_window *window, const struct auth_window_entry *entry)
{
    return window->newest_ms - (int64_t)((uint32_t)window->newest_ms - entry->at);
}

/* Nothing is remembered: neither is the memory needed. */
static void empty(struct auth_window *window)
{
    memory_free(window->more);
    *window = (struct auth_window){.clock_ms = window->clock_ms, .newest_ms = window->newest_ms};
}

static void drop_expired(struct auth_window *window, int64_t window_ms)
{
    int64_t now_ms = window->clock_ms;
    if (window->count && window->newest_ms + window_ms <= now_ms)
        empty(window);
    while (window->count) {
        const struct auth_window_entry *oldest = entry_at(window, 0);
        if (time_of(window, oldest) + window_ms > now_ms)
            return;
        window->used -= oldest->amount;
        window->first = window->capacity ? (window->first + 1) % window->capacity : 0;
        window->count--;
    }
}

static bool grow(struct auth_window *window)
{
    uint32_t room = window->capacity ? window->capacity : 1;
    if (window->count < room)
        return true;
    if (window->capacity > UINT32_MAX / 4)
        return false;
    uint32_t capacity = window->capacity ? window->capacity * 2 : FIRST_CAPACITY;
    struct auth_window_entry *more = memory_alloc(capacity * sizeof *more);
    if (!more)
        return false;
    for (uint32_t i = 0; i < window->count; i++)
        more[i] = *entry_at(window, i);
    memory_free(window->more);
    window->more = more;
    window->capacity = capacity;
    window->first = 0;
    return true;
}

static int64_t round_up(int64_t time, int64_t grain)
{
    return grain > 1 ? (time + grain - 1) / grain * grain : time;
}

/* Without memory the newest time takes it in and becomes the present: it counts for longer. */
static void add(struct auth_window *window, const struct auth_rate *rate, int64_t amount)
{
    int64_t at = round_up(window->clock_ms, rate->grain_ms);
    if (window->count && at < window->newest_ms)
        at = window->newest_ms;
    struct auth_window_entry *newest = window->count ? entry_at(window, window->count - 1) : NULL;
    bool same = newest && at == window->newest_ms && amount <= UINT32_MAX - newest->amount;
    if (!same && (grow(window) || !newest)) {
        newest = entry_at(window, window->count++);
        newest->amount = 0;
    }
    window->newest_ms = at;
    newest->at = (uint32_t)at;
    newest->amount += (uint32_t)amount;
    window->used += amount;
}

/* ---- questions ---- */

/* Until enough of the oldest is forgotten. */
static int64_t wait_for(struct auth_window *window, const struct auth_rate *rate, int64_t amount)
{
    int64_t used = window->used;
    for (uint32_t i = 0; i < window->count; i++) {
        const struct auth_window_entry *entry = entry_at(window, i);
        used -= entry->amount;
        if (used + amount <= rate->most)
            return time_of(window, entry) + rate->window_ms - window->clock_ms;
    }
    return rate->window_ms;
}

int64_t auth_window_left(struct auth_window *window, const struct auth_rate *rate, int64_t now_ms)
{
    if (now_ms > window->clock_ms)
        window->clock_ms = now_ms;
    drop_expired(window, rate->window_ms);
    return rate->most > window->used ? rate->most - window->used : 0;
}

bool auth_window_allows(struct auth_window *window, const struct auth_rate *rate, int64_t now_ms,
                        int64_t amount, int64_t *wait_ms)
{
    if (amount <= auth_window_left(window, rate, now_ms))
        return true;
    if (wait_ms)
        *wait_ms = wait_for(window, rate, amount);
    return false;
}

bool auth_window_admit(struct auth_window *window, const struct auth_rate *rate, int64_t now_ms,
                       int64_t amount, int64_t *wait_ms)
{
    if (!auth_window_allows(window, rate, now_ms, amount, wait_ms))
        return false;
    add(window, rate, amount);
    return true;
}

void auth_window_fini(struct auth_window *window)
{
    memory_free(window->more);
    *window = (struct auth_window){0};
}
