/* Which of two clocks is believed: each step of a clock that is set, and what the watch makes of
 * it.
 */
#include "base/base.h"
#include "test.h"

enum { S = 1000, MINUTE = 60 * S, HOUR = 60 * MINUTE };
static const int64_t noon = 1000000LL * HOUR;

/* The machine has been on for `boot`, and the wall clock is `off` from noon + boot. */
struct step {
    int64_t boot, off;
    enum clock_event event;
    int64_t now_off, due_off; /* likewise */
};

static void follow(struct clock_watch *watch, const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &steps[i];
        struct clock_times times;
        int64_t right = noon + step->boot;
        enum clock_event event = clock_watch_look(watch, right + step->off, step->boot, &times);
        if (event != step->event || times.now - right != step->now_off ||
            times.due - right != step->due_off)
            fail_msg("step %zu: event %d, now %+lld, due %+lld", i, (int)event,
                     (long long)(times.now - right), (long long)(times.due - right));
    }
}

#define FOLLOW(watch, ...)                                                                         \
    follow(watch, (const struct step[]){__VA_ARGS__},                                              \
           sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

TEST(a_clock_that_is_wrong_for_a_while_is_not_believed)
{
    struct clock_watch watch;
    clock_watch_start(&watch, noon);
    FOLLOW(&watch, {1 * S, 0, CLOCK_STEADY, 0, 0},
           {2 * S, 48 * HOUR, CLOCK_PARTED, 0, 0}, /* ahead: nothing goes early */
           {3 * S, 48 * HOUR, CLOCK_STEADY, 0, 0}, /* said once */
           {4 * S, 0, CLOCK_RETURNED, 0, 0},
           {5 * S, -3 * HOUR, CLOCK_PARTED, 0, -3 * HOUR},  /* behind: it waits */
           {6 * S, 2 * HOUR, CLOCK_STEADY, 0, 0},           /* to and fro is one excursion */
           {7 * S, 59 * S, CLOCK_RETURNED, 59 * S, 59 * S}, /* within a minute it is followed */
           {8 * S, 0, CLOCK_STEADY, 0, 0});
}

TEST(a_clock_that_was_set_right_is_believed_in_the_end)
{
    struct clock_watch watch;
    clock_watch_start(&watch, noon);
    FOLLOW(&watch, {1 * S, HOUR, CLOCK_PARTED, 0, 0}, {10 * MINUTE, HOUR, CLOCK_STEADY, 0, 0},
           {11 * MINUTE, 2 * HOUR, CLOCK_STEADY, 0, 0}, /* elsewhere: the wait begins anew */
           {25 * MINUTE, 2 * HOUR, CLOCK_STEADY, 0, 0},
           {26 * MINUTE, 2 * HOUR, CLOCK_SETTLED, 2 * HOUR, 2 * HOUR},
           {27 * MINUTE, 2 * HOUR, CLOCK_STEADY, 2 * HOUR, 2 * HOUR},
           {28 * MINUTE, 0, CLOCK_PARTED, 2 * HOUR, 0}, {43 * MINUTE, 0, CLOCK_SETTLED, 0, 0});
}

TEST(a_restart_of_the_program_goes_on)
{
    struct clock_watch watch;
    clock_watch_start(&watch, noon);
    FOLLOW(&watch, {1 * S, 48 * HOUR, CLOCK_PARTED, 0, 0}, {2 * S, 0, CLOCK_RETURNED, 0, 0});
}

/* How long the machine was off is told by nothing but the wall clock. */
TEST(a_start_of_the_machine_waits_to_be_sure)
{
    struct clock_watch watch;
    clock_watch_restart(&watch, noon - 30 * S, noon, 0);
    FOLLOW(&watch, {1 * S, 0, CLOCK_STEADY, 0, 0});
    clock_watch_restart(&watch, noon - HOUR, noon, 0);
    FOLLOW(&watch, {1 * S, 0, CLOCK_STEADY, 0, -HOUR}, {14 * MINUTE, 0, CLOCK_STEADY, 0, -HOUR},
           {15 * MINUTE, 0, CLOCK_STEADY, 0, 0});
    /* It began with a wrong one, which was set right. */
    clock_watch_restart(&watch, noon - S, noon + 48 * HOUR, 0);
    FOLLOW(&watch, {1 * S, 48 * HOUR, CLOCK_STEADY, 48 * HOUR, -S},
           {2 * S, 0, CLOCK_RETURNED, 0, 0}, {3 * S, 0, CLOCK_STEADY, 0, 0});
}

TEST(a_machine_without_a_clock_is_set_once)
{
    struct clock_watch watch;
    clock_watch_restart(&watch, noon - HOUR, 0, 0);
    FOLLOW(&watch, {1 * S, -noon, CLOCK_PARTED, -HOUR, -noon}, {5 * S, 0, CLOCK_SETTLED, 0, -HOUR},
           {6 * S, 0, CLOCK_STEADY, 0, -HOUR}, {5 * S + 15 * MINUTE, 0, CLOCK_STEADY, 0, 0});
    /* What was known was wrong: in the end the clock that is there is believed. */
    clock_watch_restart(&watch, noon + HOUR, noon, 0);
    FOLLOW(&watch, {1 * S, 0, CLOCK_PARTED, HOUR, 0}, {16 * MINUTE, 0, CLOCK_SETTLED, 0, 0});
}
