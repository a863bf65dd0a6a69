/*
 * The one random generator of the tests: what begins with the same seed goes the same way on every
 * machine. A program has one, for its own thread.
 */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <inttypes.h>
#include <stdint.h>

/* What it began with, for messages. */
extern uint64_t random_seed;
#define SEED_FORMAT "STELE_SEED=%" PRIu64

void random_start(uint64_t seed);
/* By STELE_SEED, which repeats a run; without it each run is another one. Prints the seed. */
void random_start_anew(void);
/* Of the environment. */
uint64_t random_setting(const char *name, uint64_t otherwise);
uint64_t random_next(void);
/* 0 to bound - 1. */
uint32_t random_below(uint32_t bound);

#endif
