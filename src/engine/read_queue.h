/*
 * What waits for the readers, and who is next.
 *
 * Jobs have owners (0: the engine's own user, for everybody), and are brief or long: a long one is
 * a part of something that takes many. Owners take turns, one job each. Brief jobs go before long
 * ones, which get every fifth turn at least; and one reader of several runs brief ones alone. So a
 * brief job waits for the brief ones of as many owners as there are, and for no scan, whoever has
 * how many of them. Jobs for everybody get every second turn.
 */
#ifndef ENGINE_READ_QUEUE_H
#define ENGINE_READ_QUEUE_H

#include "engine/engine.h"

/* Owners share a lane when their names, which are hashes, are alike; then they take turns as one.
 */
enum { READ_LANES = 256 };

struct read_lane {
    struct queue_item *first, **last;
    struct read_lane *next; /* in the ring */
};

/* The lanes that have something, in the order of their turns. */
struct read_ring {
    struct read_lane lanes[READ_LANES];
    struct read_lane *first, **last;
};

struct read_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct read_ring brief, lengthy;
    struct read_lane common; /* brief ones for everybody */
    size_t count, max_count;
    size_t long_running, most_long; /* at a time */
    unsigned brief_run;             /* taken one after the other while a long one waited */
    bool common_last;               /* the last one taken was for everybody */
    bool closed;
};

/* For so many readers. */
bool read_queue_init(struct read_queue *queue, size_t readers, size_t max_count);
/* It must be empty and unused by then. */
void read_queue_fini(struct read_queue *queue);
/* False, at once, when full or closed: the job stays the caller's. Any thread. */
bool read_queue_put(struct read_queue *queue, struct read_job *job);
/* Wait for the next one; NULL when it is closed and empty. To be told when it has run, by whether
 * it was long, because by then it may be gone. On a reader. */
struct read_job *read_queue_take(struct read_queue *queue);
void read_queue_ran(struct read_queue *queue, bool was_long);
void read_queue_close(struct read_queue *queue);

#endif
