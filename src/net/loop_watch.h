/*
 * How long the loop is busy in one turn, in which it serves nothing else. Loop thread, except the
 * histogram.
 */
#ifndef NET_LOOP_WATCH_H
#define NET_LOOP_WATCH_H

#include "base/base.h"

#include <uv.h>

struct loop_watch {
    uv_prepare_t prepare;
    uint64_t turn_us, idle_us; /* when this turn began, 0: none has; idle time by then */
    uint64_t minute_us;        /* when the present minute of `longest_us` began */
    uint64_t longest_us, before_us;
    struct histogram pauses;
};

/* From now on; before the loop first runs. Its handle is closed by the owner of the loop. */
void loop_watch_start(struct loop_watch *watch, uv_loop_t *loop);
/* The longest turn of the last one to two minutes. */
double loop_watch_longest(const struct loop_watch *watch);

#endif
