/*
 * A sweep over what a test allocates: run by run, each place where memory may be missing fails
 * once.
 *
 * A place is a call stack, and how often the run came by there, up to SWEEP_PASSES: what a loop
 * does once more after that is no place. A run fails the first place that no run before it failed,
 * so that what earlier runs covered costs nothing but the way there. With STELE_SEEDS=1000 the
 * sweep is exhaustive: every allocation is a place of its own.
 *
 *     sweep_begin(sticky);
 *     while (sweep_goes_on()) {
 *         sweep_arm();
 *         … what may fail …
 *         hit = sweep_disarm();
 *         … what must hold …
 *     }
 *     sweep_end();
 */
#ifndef FAULT_SWEEP_H
#define FAULT_SWEEP_H

#include <stdbool.h>

#ifdef TEST_IS_WATCHED
#define SWEEP_IS_WATCHED 1
#else
#define SWEEP_IS_WATCHED 0
#endif

/* How much of a stack, from its inner end, tells it from others; and how often a run comes by a
 * stack until nothing new is expected there. A sanitizer makes each run many times as long: what
 * SQLite does deep inside counts for less then. */
enum { SWEEP_FRAMES = SWEEP_IS_WATCHED ? 16 : 64, SWEEP_PASSES = SWEEP_IS_WATCHED ? 2 : 3 };

/* Forgets all places. `sticky`: whatever comes after the place that fails, fails too. */
void sweep_begin(int sticky);
/* From here on, on every thread, the first place that is new fails. */
void sweep_arm(void);
/* Whether one has failed since. */
bool sweep_disarm(void);
/* Until a run has looked at all places from its beginning, and knew them. */
bool sweep_goes_on(void);
/* Which run it is, for messages: 1 is the first. */
int sweep_run(void);
/* Prints how many places there were; the test fails unless every one that was seen has failed. */
void sweep_end(void);

#endif
