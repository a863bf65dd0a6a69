#include "base/lanes.h"

#include "base/invariant.h"

void lane_init(struct lane *lane)
{
    *lane = (struct lane){.first = NULL};
    lane->last = &lane->first;
}

void lane_add(struct lane *lane, struct queue_item *item)
{
    INVARIANT(!*lane->last);
    item->next = NULL;
    *lane->last = item;
    lane->last = &item->next;
}

struct queue_item *lane_take(struct lane *lane)
{
    struct queue_item *item = lane->first;
    INVARIANT(item);
    lane->first = item->next;
    if (!lane->first)
        lane->last = &lane->first;
    item->next = NULL;
    return item;
}

void lane_ring_init(struct lane_ring *ring)
{
    ring->first = NULL;
    ring->last = &ring->first;
    for (size_t i = 0; i < LANES; i++)
        lane_init(&ring->lanes[i]);
}

static void append_lane(struct lane_ring *ring, struct lane *lane)
{
    INVARIANT(lane->first && !*ring->last);
    lane->next = NULL;
    *ring->last = lane;
    ring->last = &lane->next;
}

void lane_ring_add(struct lane_ring *ring, uint64_t owner, struct queue_item *item)
{
    struct lane *lane = &ring->lanes[owner % LANES];
    bool was_empty = !lane->first;
    lane_add(lane, item);
    if (was_empty)
        append_lane(ring, lane);
}

struct queue_item *lane_ring_take(struct lane_ring *ring)
{
    struct lane *lane = ring->first;
    INVARIANT(lane);
    ring->first = lane->next;
    if (!ring->first)
        ring->last = &ring->first;
    struct queue_item *item = lane_take(lane);
    if (lane->first)
        append_lane(ring, lane);
    return item;
}
