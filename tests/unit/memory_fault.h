/* Faults of memory: see base/memory.h. Any thread. */
#ifndef TESTS_MEMORY_FAULT_H
#define TESTS_MEMORY_FAULT_H

#include <stdint.h>

/* The Nth allocation from now (1 = the next) and, when `sticky`, all after it fail; 0 disarms.
 * memory_fault_hit says whether one has failed since arming. */
void memory_fail_at(uint64_t nth, int sticky);
/* Instead: each allocation from now on calls `asked`, on its own thread, and fails when the
 * answer is 1. NULL or memory_fail_at disarms. */
void memory_fail_if(int (*asked)(void));
int memory_fault_hit(void);

#endif
