/*
 * rate: how much of something is let through in the course of time, by the generic cell rate
 * algorithm (ITU-T I.371), as a leaky bucket: what was let through fills the level, and `most` leak
 * out of it in each window. So `most` + `burst` are let through at once from rest, `most` per
 * window in the long run, and in no span of a window as many as 2 * `most` + `burst`. What was
 * refused does not count, so `wait_ms` is true: whoever waits so long is let through.
 *
 * All is exact: no rounding lets through more or earlier. Time is any clock's milliseconds; one
 * that goes back counts as standing still. Loop thread.
 */
#ifndef ACCESS_RATE_H
#define ACCESS_RATE_H

#include "base/base.h"

struct rate {
    int64_t most; /* 0: nothing is let through */
    int64_t burst;
    int64_t window_ms;
};

/* What counts still. Zeroed: at rest. It is an amount and no time, so that it stays what it is when
 * the rate changes. */
struct rate_level {
    int64_t used; /* rounded up, */
    int64_t part; /* ... by so many parts, of which window_ms are one */
    int64_t at_ms;
};

/* Let `amount` through and count it, or not: then *wait_ms (may be NULL) says when it could be.
 * What is never let through, such as more than `most` + `burst`, waits a whole window. */
bool rate_admit(struct rate_level *level, const struct rate *rate, int64_t now_ms, int64_t amount,
                int64_t *wait_ms);
/* The same without counting. */
bool rate_allows(struct rate_level *level, const struct rate *rate, int64_t now_ms, int64_t amount,
                 int64_t *wait_ms);
/* How much is let through from rest, and how much would be now. */
int64_t rate_room(const struct rate *rate);
int64_t rate_left(struct rate_level *level, const struct rate *rate, int64_t now_ms);

/*
 * A level for each of many keys, in bounded memory: at most `most_keys` levels of their own. A key
 * has one for as long as anything counts, so nobody gets rid of what was counted against it by
 * making others come. Keys that find no room share RATE_SHARED_LEVELS levels, by a hash that only
 * this process knows: under an attack from more keys than there is room for, newcomers are limited
 * together, and those who were there before go on as if nothing was.
 */
enum { RATE_SHARED_LEVELS = 256 };
struct rate_table;
/* NULL when out of memory. */
struct rate_table *rate_table_new(size_t most_keys);
void rate_table_free(struct rate_table *table);
/* As for a level; all calls of a table are to be of about the same rate, which may change. */
bool rate_table_admit(struct rate_table *table, const struct rate *rate, struct span key,
                      int64_t now_ms, int64_t *wait_ms);
bool rate_table_allows(struct rate_table *table, const struct rate *rate, struct span key,
                       int64_t now_ms, int64_t *wait_ms);
/* Keys that have levels of their own. */
size_t rate_table_keys(const struct rate_table *table);

#endif
