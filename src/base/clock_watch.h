/*
 * Whether the wall clock can be believed. Nobody can set the clock that counts from the start of
 * the machine, so the two keep their distance while the wall clock is right. A wall clock that
 * parts from that distance by more than a minute is wrong, or was just set right: which of the two
 * it is shows after a while. See docs/durability.md, "When the clock is wrong".
 *
 *  now: the present time, for what is stored and shown. It stays with the distance that was
 *       trusted until the wall clock is back, or has kept its new distance for CLOCK_SETTLE_MS.
 *  due: what time alone destroys is judged by this. It is never ahead of `now` or of the wall
 *       clock, and never ahead of what is known for certain.
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
    int64_t certain;  /* the same, not ahead of what is known for certain */
    int64_t apart;    /* the distance that the wall clock has meanwhile */
    int64_t since;    /* boot time when that, or the uncertainty, began */
    bool is_apart;
    bool is_certain;
    bool is_bound; /* `distance` is only the least that it can be */
};

enum clock_event {
    CLOCK_STEADY,   /* nothing new */
    CLOCK_PARTED,   /* the wall clock left its distance */
    CLOCK_RETURNED, /* it is back */
    CLOCK_SETTLED   /* its new distance is taken for the right one from now on */
};

struct clock_times {
    int64_t now, due; /* milliseconds since 1970 UTC */
};

/* The wall clock is believed: nothing is known from before. */
void clock_watch_start(struct clock_watch *watch, int64_t wall, int64_t boot);
/* Go on from a distance that was trusted before a restart of the program alone. */
void clock_watch_resume(struct clock_watch *watch, int64_t distance);
/* The machine was started since: all that is known is a time, `seen`, that has passed. */
void clock_watch_restart(struct clock_watch *watch, int64_t seen, int64_t wall, int64_t boot);
/* Take the clocks into account and tell the times. */
enum clock_event clock_watch_look(struct clock_watch *watch, int64_t wall, int64_t boot,
                                  struct clock_times *times);

#endif
