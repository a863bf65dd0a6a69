/*
 * Whether the wall clock is trustworthy. Nobody can set the clock that counts from the start of the
 * machine, so the two keep their distance while the wall clock is right. When the distance changes
 * by more than a minute, the wall clock is wrong, or was just set right. Only time shows which. See
 * docs/durability.md, "When the clock is wrong".
 *
 *  now: the present time, for stored and shown times. It keeps the trusted distance until the wall
 *       clock is back, or has kept its new distance for CLOCK_SETTLE_MS.
 *  due: the time by which rows go because of their age. It is never ahead of `now` or of the wall
 *       clock, and never ahead of the time that is certain.
 *
 * A pure state machine: the caller reads the clocks, and calls from one thread at a time.
 */
#ifndef BASE_CLOCK_WATCH_H
#define BASE_CLOCK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_APART_MS = 60 * 1000, CLOCK_SETTLE_MS = 15 * 60 * 1000 };

struct clock_watch {
    int64_t distance; /* wall clock less boot clock, as trusted */
    int64_t certain;  /* the same, not ahead of the time that is certain */
    int64_t apart;    /* the present distance of the wall clock, while it differs */
    int64_t since;    /* boot time at which that, or the uncertainty, began */
    bool is_apart;
    bool is_certain;
    bool is_bound; /* `distance` is only a lower bound */
};

enum clock_event {
    CLOCK_STEADY,   /* nothing new */
    CLOCK_PARTED,   /* the wall clock left its distance */
    CLOCK_RETURNED, /* it is back */
    CLOCK_SETTLED   /* its new distance counts as right from now on */
};

struct clock_times {
    int64_t now, due; /* milliseconds since 1970 UTC */
};

/* Start from a distance of the wall clock from the boot clock that is trusted: the one from before
 * a restart of the program alone, or without knowledge from before the present one. */
void clock_watch_start(struct clock_watch *watch, int64_t distance);
/* Start after a start of the machine: only `seen` is known, a time that has passed. */
void clock_watch_restart(struct clock_watch *watch, int64_t seen, int64_t wall, int64_t boot);
/* Take the clocks into account and give the times. */
enum clock_event clock_watch_look(struct clock_watch *watch, int64_t wall, int64_t boot,
                                  struct clock_times *times);

#endif
