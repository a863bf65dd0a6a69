/*
 * All heap memory of the program goes through these functions, so that a test can make the Nth
 * allocation fail. Thread-safe. They are plain malloc and free when none is to fail.
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

/* For tests: each allocation calls it, on its own thread, and fails when the answer is 1. It may
 * not allocate by these functions. NULL: there is none. */
extern int (*_Atomic memory_fault)(void);

/* Make room for one more element in a growing array; false when out of memory. */
bool array_reserve(void **array, size_t count, size_t *capacity, size_t size);

#endif
