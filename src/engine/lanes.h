/*
 * Lanes: what waits, by who it is of. Owners take turns, one item each; what one of them has stays
 * in its order. The items are intrusive and stay their makers'; whoever uses it brings the lock.
 */
#ifndef ENGINE_LANES_H
#define ENGINE_LANES_H

#include "base/queue.h"

/* Owners share a lane when their names, which are hashes, are alike; then they take turns as one.
 */
enum { LANES = 256 };

struct lane {
    struct queue_item *first, **last;
    struct lane *next; /* in the ring */
};

/* The lanes that have something, in the order of their turns. */
struct lane_ring {
    struct lane lanes[LANES];
    struct lane *first, **last;
};

void lane_init(struct lane *lane);
void lane_add(struct lane *lane, struct queue_item *item);
/* The first one; the lane has some. */
struct queue_item *lane_take(struct lane *lane);

/* It stays where it is from now on. */
void lane_ring_init(struct lane_ring *ring);
void lane_ring_add(struct lane_ring *ring, uint64_t owner, struct queue_item *item);
/* The one whose turn it is; there are some (ring->first). If its lane has more, that waits until
 * all others had their turn. */
struct queue_item *lane_ring_take(struct lane_ring *ring);

#endif
