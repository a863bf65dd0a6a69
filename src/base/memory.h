/*
 * All heap memory of the program goes through these functions, so that a test can make the Nth
 * allocation fail. Thread-safe. They are plain malloc and free when no fault is armed.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As malloc, calloc, realloc and free; NULL when out of memory. memory_new gives zeroed memory. */
void *memory_alloc(size_t size);
void *memory_new(size_t size);
void *memory_resize(void *memory, size_t size);
void memory_free(void *memory);
/* A NUL-terminated heap copy, freed with memory_free; NULL when out of memory. */
char *memory_copy_string(const char *data, size_t length);

/* Fault injection for tests. The Nth allocation from now (1 = the next) and, when `sticky`, all
 * after it fail; 0 disarms. memory_fault_hit says whether one has failed since arming. */
void memory_fail_at(uint64_t nth, int sticky);
/* Instead: each allocation from now on calls `asked`, on its own thread, and fails when the
 * answer is 1. `asked` may not allocate by these functions. NULL or memory_fail_at disarms. */
void memory_fail_if(int (*asked)(void));
int memory_fault_hit(void);

/* Make room for one more element in a growing array; false when out of memory. */
bool array_reserve(void **array, size_t count, size_t *capacity, size_t size);

#endif
