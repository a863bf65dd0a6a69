/*
 * rate: how much is accepted in the course of time, by the generic cell rate algorithm (ITU-T
 * I.371), as a leaky bucket: accepted amounts fill the level, and `most` leak out of it in each
 * window. So `most` + `burst` are accepted at once when idle, `most` per window in the long run,
 * and in no span of a window as many as 2 * `most` + `burst`. A refusal does not count, so
 * `wait_ms` is true: a client that waits so long is accepted.
 *
 * All is exact: no rounding accepts more or earlier. Time is any clock's milliseconds; a clock that
 * goes back counts as standing still. Loop thread.
 */
#ifndef ACCESS_RATE_H
#define ACCESS_RATE_H

#include "base/map.h"

struct rate {
    int64_t most; /* 0: nothing is accepted */
    int64_t burst;
    int64_t window_ms;
};

/* The amount that still counts. Zeroed: idle. It is an amount and no time, so it does not change
 * with the rate. */
struct rate_level {
    int64_t used; /* rounded up, */
    int64_t part; /* ... by so many parts, of which window_ms are one */
    int64_t at_ms;
};

/* Accept `amount` and count it, or not: then *wait_ms (may be NULL) says when it could be. An
 * amount that is never accepted, such as more than `most` + `burst`, waits a whole window. */
bool rate_admit(struct rate_level *level, const struct rate *rate, int64_t now_ms, int64_t amount,
                int64_t *wait_ms);
/* The amount that would be accepted now. */
int64_t rate_left(struct rate_level *level, const struct rate *rate, int64_t now_ms);

/*
 * A level for each of many keys, in bounded memory: at most `most_keys` levels of their own. A key
 * has one for as long as anything counts, so a client cannot shed its count by bringing others.
 * Keys without room share RATE_SHARED_LEVELS levels, by a secret hash: under an attack from more
 * keys than there is room for, new keys are limited together, and known keys are not affected.
 */
enum { RATE_SHARED_LEVELS = 256 };
struct rate_table {
    struct map entries; /* keys that have levels of their own */
    size_t most_keys;
    struct rate_entry *oldest, *newest;
    struct rate_level shared[RATE_SHARED_LEVELS];
};
/* NULL when out of memory. */
struct rate_table *rate_table_new(size_t most_keys);
void rate_table_free(struct rate_table *table);
/* As for a level, with an amount of 1, which need not count (`counts`): whether it would be
 * accepted. All calls of a table must use about the same rate, which may change. */
bool rate_table_admit(struct rate_table *table, const struct rate *rate, struct span key,
                      int64_t now_ms, bool counts, int64_t *wait_ms);

#endif
