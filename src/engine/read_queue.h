/*
 * Jobs that wait for the readers, and their order.
 *
 * Jobs have owners (0: the engine's own user, for everybody), and are brief or long: a long one is
 * a part of work that takes many. Owners take turns, one job each. Brief jobs go before long ones,
 * which get every fifth turn at least; and one reader of several runs brief ones alone. So a brief
 * job waits for the brief ones of as many owners as there are, and for no scan, however many scans
 * an owner has. Jobs for everybody get every second turn. The reader for brief ones is woken first,
 * because the others yield to everything that wants a processor (readers.c).
 */
#ifndef ENGINE_READ_QUEUE_H
#define ENGINE_READ_QUEUE_H

#include "base/lanes.h"
#include "engine/engine.h"

struct read_queue {
    pthread_mutex_t lock;
    pthread_cond_t brief_came; /* for the readers that take nothing else, */
    pthread_cond_t came;       /* ... and for those that do */
    struct lane_ring brief, lengthy;
    struct lane common; /* brief ones for everybody */
    size_t count, max_count;
    size_t brief_count; /* brief ones of both kinds */
    size_t idle;        /* readers of brief ones that wait */
    unsigned brief_run; /* taken one after the other while a long one waited */
    bool common_last;   /* the last one taken was for everybody */
    bool closed;
};

bool read_queue_init(struct read_queue *queue, size_t max_count);
/* It must be empty and unused by then. */
void read_queue_fini(struct read_queue *queue);
/* False, at once, when full or closed: the job stays the caller's. Any thread. */
bool read_queue_put(struct read_queue *queue, struct read_job *job);
/* Wait for the next job, a brief one unless the reader takes long ones; NULL when the queue is
 * closed and has none. Remaining jobs of a closed queue are for all readers. On a reader. */
struct read_job *read_queue_take(struct read_queue *queue, bool takes_long);
/* A brief one, without waiting; NULL: there is none. */
struct read_job *read_queue_take_brief(struct read_queue *queue, bool *closed);
void read_queue_close(struct read_queue *queue);

#endif
