#include "base/memory.h"

#include "base/invariant.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum fault { FAULT_NONE, FAULT_ONCE, FAULT_STICKY, FAULT_ASKED };

/* The only thing that an allocation looks at when no fault is armed. */
static _Atomic int fault;
static _Atomic int64_t allocations_left;
static int (*_Atomic asked_whether)(void);
static _Atomic int hit;

static bool is_counted_out(int kind)
{
    int64_t left = atomic_fetch_sub(&allocations_left, 1);
    return left == 1 || (left < 1 && kind == FAULT_STICKY);
}

static __attribute__((noinline)) bool armed_fault(int kind)
{
    bool fails = kind == FAULT_ASKED ? atomic_load(&asked_whether)() : is_counted_out(kind);
    if (fails)
        atomic_store(&hit, 1);
    return fails;
}

static inline bool must_fail(void)
{
    int kind = atomic_load_explicit(&fault, memory_order_relaxed);
    return __builtin_expect(kind != FAULT_NONE, 0) && armed_fault(kind);
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

void memory_fail_at(uint64_t nth, int sticky)
{
    atomic_store(&fault, FAULT_NONE);
    if (nth == 0) /* the hit stays readable after disarming */
        return;
    atomic_store(&hit, 0);
    atomic_store(&allocations_left, nth < INT64_MAX ? (int64_t)nth : INT64_MAX);
    atomic_store(&fault, sticky ? FAULT_STICKY : FAULT_ONCE);
}

void memory_fail_if(int (*asked)(void))
{
    atomic_store(&fault, FAULT_NONE);
    if (!asked)
        return;
    atomic_store(&hit, 0);
    atomic_store(&asked_whether, asked);
    atomic_store(&fault, FAULT_ASKED);
}

int memory_fault_hit(void)
{
    return atomic_load(&hit);
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
