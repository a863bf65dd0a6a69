/* Feeding while windows of a view are watched: what the scenarios of windows have in common. */
#ifndef BENCH_WATCHING_H
#define BENCH_WATCHING_H

#include "bench/bench.h"

enum {
    WATCHING_WINDOWS = 16, /* different ones at most */
    WATCHING_ROWS = 100    /* of each */
};

/* So many members, spread over the first windows of the view, with their snapshots; its id is
 * "Item/<view>". audience_close is due in any case. */
bool watching_settle(struct bench *bench, struct audience *audience, const char *view,
                     size_t members, size_t windows, struct error *error);
/* Feed patches at random keys from first_key on, so many keys, and report how fast that goes, what
 * it costs and what frames came. */
bool watching_feed(struct bench *bench, const struct report_case *name, uint64_t first_key,
                   uint64_t keys, const struct audience *audience, struct error *error);

#endif
