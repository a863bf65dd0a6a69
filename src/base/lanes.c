#include "base/lanes.h"

#include "base/invariant.h"

void lane_add(struct lane *lane, struct queue_item *item)
{
    INVARIANT(!lane->first || !lane->last->next);
    item->next = NULL;
    if (lane->first)
        lane->last->next = item;
    else
        lane->first = item;
    lane->last = item;
}

struct queue_item *lane_take(struct lane *lane)
{
    struct queue_item *item = lane->first;
    INVARIANT(item);
    lane->first = item->next;
    item->next = NULL;
    return item;
}

static void append_lane(struct lane_ring *ring, struct lane *lane)
{
    INVARIANT(lane->first && (!ring->first || !ring->last->next));
    lane->next = NULL;
    if (ring->first)
        ring->last->next = lane;
    else
        ring->first = lane;
    ring->last = lane;
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
    struct queue_item *item = lane_take(lane);
    if (lane->first)
        append_lane(ring, lane);
    return item;
}
