/*
 * Lanes: waiting items, by owner. Owners take turns, one item each; the items of one owner stay in
 * their order. The items are intrusive and stay their makers'; the user brings the lock.
 */
#ifndef BASE_LANES_H
#define BASE_LANES_H

#include "base/queue.h"

/* Owners share a lane if their names, which are hashes, collide; then they take turns as one. */
enum { LANES = 256 };

/* All zero: empty. */
struct lane {
    struct queue_item *first, *last; /* `last` counts only beside a first one */
    struct lane *next;               /* in the ring */
};

/* The lanes with items, in the order of their turns. All zero: empty. While it is not, it must not
 * move. */
struct lane_ring {
    struct lane lanes[LANES];
    struct lane *first, *last;
};

void lane_add(struct lane *lane, struct queue_item *item);
/* The first item; the lane has some. */
struct queue_item *lane_take(struct lane *lane);

void lane_ring_add(struct lane_ring *ring, uint64_t owner, struct queue_item *item);
/* The item whose turn it is; there are some (ring->first). If its lane has more, the lane waits
 * until all others had their turn. */
struct queue_item *lane_ring_take(struct lane_ring *ring);

#endif
