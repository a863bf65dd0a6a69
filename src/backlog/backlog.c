/*
 * The backlog. Invariant: slots[id & (capacity - 1)] holds change `id` for every
 * first <= id <= last, and nothing else is held.
 */
#include "backlog/backlog.h"

#include "base/invariant.h"

enum { RING_FIRST_CAPACITY = 1024 };

void backlog_init(struct change_backlog *backlog, int64_t last, size_t max_bytes)
{
    *backlog = (struct change_backlog){.first = last + 1, .last = last, .max_bytes = max_bytes};
}

static struct change **backlog_slot(const struct change_backlog *backlog, int64_t id)
{
    return &backlog->slots[(size_t)id & (backlog->capacity - 1)];
}

static void backlog_drop_first(struct change_backlog *backlog)
{
    struct change **slot = backlog_slot(backlog, backlog->first);
    size_t bytes = change_memory(*slot);
    INVARIANT((*slot)->id == backlog->first);
    INVARIANT(backlog->bytes >= bytes);
    backlog->bytes -= bytes;
    change_unref(*slot);
    *slot = NULL;
    backlog->first++;
}

static void backlog_empty(struct change_backlog *backlog)
{
    while (backlog->first <= backlog->last)
        backlog_drop_first(backlog);
}

void backlog_fini(struct change_backlog *backlog)
{
    backlog_empty(backlog);
    memory_free(backlog->slots);
    backlog->slots = NULL;
    backlog->capacity = 0;
}

static bool backlog_grow(struct change_backlog *backlog)
{
    size_t capacity = backlog->capacity ? backlog->capacity * 2 : RING_FIRST_CAPACITY;
    struct change **slots = memory_new(capacity * sizeof *slots);
    if (!slots)
        return false;
    for (int64_t id = backlog->first; id <= backlog->last; id++)
        slots[(size_t)id & (capacity - 1)] = *backlog_slot(backlog, id);
    memory_free(backlog->slots);
    backlog->slots = slots;
    backlog->capacity = capacity;
    return true;
}

void backlog_add(struct change_backlog *backlog, struct change *change)
{
    INVARIANT(change->id == backlog->last + 1);
    size_t bytes = change_memory(change);
    while (backlog->first <= backlog->last && backlog->bytes + bytes > backlog->max_bytes)
        backlog_drop_first(backlog);
    if ((size_t)(backlog->last - backlog->first + 1) == backlog->capacity &&
        !backlog_grow(backlog)) {
        backlog_empty(backlog);
        if (!backlog->capacity) {
            change_unref(change);
            backlog->last++;
            backlog->first = backlog->last + 1;
            return;
        }
    }
    backlog->last++;
    *backlog_slot(backlog, backlog->last) = change;
    backlog->bytes += bytes;
}

struct change *backlog_get(const struct change_backlog *backlog, int64_t id)
{
    if (id < backlog->first || id > backlog->last)
        return NULL;
    struct change *change = *backlog_slot(backlog, id);
    INVARIANT(change->id == id);
    return change;
}
