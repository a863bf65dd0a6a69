/* Time. Monotonic time is for measuring and time-outs, wall time for what is stored and shown. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Microseconds since some fixed point; never goes back. */
uint64_t clock_monotonic_us(void);
/* Milliseconds since 1970 UTC; may jump. */
int64_t clock_wall_ms(void);

#endif
