#include "base/memory.h"

#include "base/invariant.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int (*_Atomic memory_fault)(void);

/* The only thing that an allocation looks at when no fault is armed. */
static inline bool must_fail(void)
{
    int (*fails)(void) = atomic_load_explicit(&memory_fault, memory_order_relaxed);
    return __builtin_expect(fails != NULL, 0) && fails();
}

/* NULL has to mean failure, but malloc(0) may return it and realloc(p, 0) may free. */
static inline size_t at_least_one(size_t size)
{
    return size ? size : 1;
}

void *memory_alloc(size_t size)
{
    return must_fail() ? NULL : malloc(at_least_one(size));
}

void *memory_new(size_t size)
{
    return must_fail() ? NULL : calloc(1, at_least_one(size));
}

void *memory_resize(void *memory, size_t size)
{
    return must_fail() ? NULL : realloc(memory, at_least_one(size));
}

void memory_free(void *memory)
{
    free(memory);
}

char *memory_copy_string(const char *data, size_t length)
{
    char *copy = length < SIZE_MAX ? memory_alloc(length + 1) : NULL;
    if (!copy)
        return NULL;
    if (length)
        memcpy(copy, data, length);
    copy[length] = '\0';
    return copy;
}

bool array_reserve(void **array, size_t count, size_t *capacity, size_t size)
{
    INVARIANT(count <= *capacity);
    if (count < *capacity)
        return true;
    size_t grown = *capacity ? *capacity * 2 : 16;
    void *memory = memory_resize(*array, grown * size);
    if (!memory)
        return false;
    *array = memory;
    *capacity = grown;
    return true;
}
