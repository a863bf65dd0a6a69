/* Time. Monotonic time is for measuring and time-outs, wall time for stored and shown times. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Microseconds since some fixed point; never goes back. */
uint64_t clock_monotonic_us(void);
/* Milliseconds since 1970 UTC; may jump. */
int64_t clock_wall_ms(void);
/* Milliseconds since the machine was started, its sleep included; nobody can set it. */
int64_t clock_boot_ms(void);

enum { CLOCK_BOOT_ID_SIZE = 37 };
/* A text that differs after each start of the machine; false: it cannot be read. */
bool clock_boot_id(char text[CLOCK_BOOT_ID_SIZE]);

#endif
