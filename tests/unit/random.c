#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t random_seed;
static uint64_t state = 1; /* never 0: xorshift would stay there */

void random_start(uint64_t seed)
{
    random_seed = seed;
    state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    if (state == 0)
        state = 1;
}

uint64_t random_setting(const char *name, uint64_t otherwise)
{
    const char *given = getenv(name);
    return given ? strtoull(given, NULL, 10) : otherwise;
}

void random_start_anew(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    random_start(
        random_setting("STELE_SEED", (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec));
    printf(SEED_FORMAT "\n", random_seed);
}

uint64_t random_next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * UINT64_C(0x9e3779b97f4a7c15);
}

uint32_t random_below(uint32_t bound)
{
    return (uint32_t)(random_next() >> 32) % bound;
}
