/*
 * The ring of changes. Invariant: slots[id & (capacity - 1)] holds change `id` for every
 * first <= id <= last, and nothing else is held.
 */
#include "bus/bus.h"

#include "base/invariant.h"

enum { RING_FIRST_CAPACITY = 1024 };

void ring_init(struct ring *ring, int64_t last, size_t max_bytes)
{
    *ring = (struct ring){.first = last + 1, .last = last, .max_bytes = max_bytes};
}

static struct change **ring_slot(const struct ring *ring, int64_t id)
{
    return &ring->slots[(size_t)id & (ring->capacity - 1)];
}

static void ring_drop_first(struct ring *ring)
{
    struct change **slot = ring_slot(ring, ring->first);
    size_t bytes = change_memory(*slot);
    INVARIANT((*slot)->id == ring->first);
    INVARIANT(ring->bytes >= bytes);
    ring->bytes -= bytes;
    change_unref(*slot);
    *slot = NULL;
    ring->first++;
}

static void ring_empty(struct ring *ring)
{
    while (ring->first <= ring->last)
        ring_drop_first(ring);
}

void ring_fini(struct ring *ring)
{
    ring_empty(ring);
    memory_free(ring->slots);
    ring->slots = NULL;
    ring->capacity = 0;
}

static bool ring_grow(struct ring *ring)
{
    size_t capacity = ring->capacity ? ring->capacity * 2 : RING_FIRST_CAPACITY;
    struct change **slots = memory_new(capacity * sizeof *slots);
    if (!slots)
        return false;
    for (int64_t id = ring->first; id <= ring->last; id++)
        slots[(size_t)id & (capacity - 1)] = *ring_slot(ring, id);
    memory_free(ring->slots);
    ring->slots = slots;
    ring->capacity = capacity;
    return true;
}

void ring_add(struct ring *ring, struct change *change)
{
    INVARIANT(change->id == ring->last + 1);
    size_t bytes = change_memory(change);
    while (ring->first <= ring->last && ring->bytes + bytes > ring->max_bytes)
        ring_drop_first(ring);
    if ((size_t)(ring->last - ring->first + 1) == ring->capacity && !ring_grow(ring)) {
        ring_empty(ring);
        if (!ring->capacity) {
            change_unref(change);
            ring->last++;
            ring->first = ring->last + 1;
            return;
        }
    }
    ring->last++;
    *ring_slot(ring, ring->last) = change;
    ring->bytes += bytes;
}

struct change *ring_get(const struct ring *ring, int64_t id)
{
    if (id < ring->first || id > ring->last)
        return NULL;
    struct change *change = *ring_slot(ring, id);
    INVARIANT(change->id == id);
    return change;
}
