#include "memory_fault.h"

#include "base/memory.h"

#include <stdatomic.h>

static _Atomic int64_t allocations_left;
static _Atomic int is_sticky, hit;
static int (*_Atomic asked_whether)(void);

static int note(int fails)
{
    if (fails)
        atomic_store(&hit, 1);
    return fails;
}

static int is_counted_out(void)
{
    int64_t left = atomic_fetch_sub(&allocations_left, 1);
    return note(left == 1 || (left < 1 && atomic_load(&is_sticky)));
}

static int is_asked_for(void)
{
    return note(atomic_load(&asked_whether)());
}

void memory_fail_at(uint64_t nth, int sticky)
{
    atomic_store(&memory_fault, NULL);
    if (nth == 0) /* the hit stays readable after disarming */
        return;
    atomic_store(&hit, 0);
    atomic_store(&allocations_left, nth < INT64_MAX ? (int64_t)nth : INT64_MAX);
    atomic_store(&is_sticky, sticky);
    atomic_store(&memory_fault, is_counted_out);
}

void memory_fail_if(int (*asked)(void))
{
    atomic_store(&memory_fault, NULL);
    if (!asked)
        return;
    atomic_store(&hit, 0);
    atomic_store(&asked_whether, asked);
    atomic_store(&memory_fault, is_asked_for);
}

int memory_fault_hit(void)
{
    return atomic_load(&hit);
}
