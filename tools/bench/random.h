/* Pseudo-random numbers that are the same on every run, so that runs can be compared. */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

/* xorshift64*: quick, and good enough to spread keys. */
static inline uint64_t random_next(struct random *random)
{
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return random->state * UINT64_C(0x2545f4914f6cdd1d);
}

/* 0 … limit - 1; `limit` below 2^32. */
static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    return (random_next(random) >> 32) * limit >> 32;
}

static inline struct random random_make(uint64_t seed)
{
    return (struct random){seed * UINT64_C(0x9e3779b97f4a7c15) | 1};
}

#endif
