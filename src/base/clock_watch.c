#include "base/clock_watch.h"

static bool are_close(int64_t a, int64_t b)
{
    return a - b <= CLOCK_APART_MS && b - a <= CLOCK_APART_MS;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void clock_watch_start(struct clock_watch *watch, int64_t distance)
{
    *watch = (struct clock_watch){.distance = distance, .certain = distance, .is_certain = true};
}

void clock_watch_restart(struct clock_watch *watch, int64_t seen, int64_t wall, int64_t boot)
{
    int64_t distance = wall - boot, certain = seen - boot;
    *watch = (struct clock_watch){.distance = distance, .certain = certain, .since = boot};
    watch->is_certain = are_close(distance, certain);
    /* A clock that is behind what has passed is wrong, or the one before it was. */
    watch->is_bound = !watch->is_certain && distance < certain;
    if (watch->is_bound)
        watch->distance = certain;
}

/* The wall clock is where it was expected. */
static enum clock_event stay(struct clock_watch *watch, int64_t distance, int64_t boot)
{
    bool was_apart = watch->is_apart;
    watch->distance = distance;
    watch->is_apart = false;
    if (watch->is_bound) {
        watch->is_bound = false;
        watch->is_certain = true;
    }
    if (!watch->is_certain && boot - watch->since >= CLOCK_SETTLE_MS)
        watch->is_certain = true;
    if (watch->is_certain)
        watch->certain = distance;
    return was_apart ? CLOCK_RETURNED : CLOCK_STEADY;
}

static enum clock_event settle(struct clock_watch *watch, int64_t distance)
{
    clock_watch_start(watch, distance);
    return CLOCK_SETTLED;
}

/* The wall clock is elsewhere. */
static enum clock_event part(struct clock_watch *watch, int64_t distance, int64_t boot)
{
    /* Close to what is certain, so that the clock from before was the wrong one. */
    if (!watch->is_certain && !watch->is_bound && are_close(distance, watch->certain)) {
        clock_watch_start(watch, distance);
        return CLOCK_RETURNED;
    }
    /* Without a clock of its own the machine began somewhere in the past, and now it was set. */
    if (watch->is_bound && distance > watch->distance) {
        *watch =
            (struct clock_watch){.distance = distance, .certain = watch->certain, .since = boot};
        return CLOCK_SETTLED;
    }
    bool anew = !watch->is_apart || !are_close(distance, watch->apart);
    bool first = !watch->is_apart;
    if (anew) {
        watch->is_apart = true;
        watch->apart = distance;
        watch->since = boot;
    }
    if (boot - watch->since >= CLOCK_SETTLE_MS)
        return settle(watch, distance);
    return first ? CLOCK_PARTED : CLOCK_STEADY;
}

enum clock_event clock_watch_look(struct clock_watch *watch, int64_t wall, int64_t boot,
                                  struct clock_times *times)
{
    int64_t distance = wall - boot;
    enum clock_event event = are_close(distance, watch->distance) ? stay(watch, distance, boot)
                                                                  : part(watch, distance, boot);
    times->now = boot + watch->distance;
    times->due = boot + least(least(watch->distance, watch->certain), distance);
    return event;
}
