/*
 * A bounded queue between threads. Items are intrusive: embed a struct queue_item first in yours.
 * Many threads may put, one takes; the taker moves the whole list out at once.
 */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_item {
    struct queue_item *next;
    size_t bytes; /* its size, as the cap counts it; set before putting */
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;  /* signalled when an item comes or the queue closes */
    pthread_cond_t emptied; /* signalled when items were taken */
    struct queue_item *first;
    struct queue_item **last;
    size_t count, bytes;
    size_t max_count, max_bytes;
    bool closed;
    bool nudged;
    void (*wake)(void *argument); /* called (unlocked) after a put into an empty queue, or NULL */
    void *wake_argument;
};

/* Caps in items and bytes. An item larger than max_bytes still goes into an empty queue. */
bool queue_init(struct queue *queue, size_t max_count, size_t max_bytes);
/* The queue must be empty and unused by then. */
void queue_fini(struct queue *queue);
/* Set before other threads use the queue: called on the putting thread, e.g. uv_async_send. */
void queue_on_fill(struct queue *queue, void (*wake)(void *argument), void *argument);
/* Where there is no room: refuse the item; append it beyond the caps, for items that their owner
 * counts and bounds; or wait, never on the loop thread. */
enum queue_room { QUEUE_REFUSES, QUEUE_EXCEEDS, QUEUE_WAITS };
/* Append; false when refused, or closed. */
bool queue_put(struct queue *queue, struct queue_item *item, enum queue_room room);
/* Take everything, oldest first, waiting up to `timeout_ms` (0: not at all; negative: for ever) for
 * the first. NULL when the time is over, the queue was nudged, or it is closed and empty. */
struct queue_item *queue_take_all(struct queue *queue, int64_t timeout_ms);
/* Take one item, waiting likewise. */
struct queue_item *queue_wait_one(struct queue *queue, int64_t timeout_ms);
/* Wake the taker, or end its next wait at once: for news on another way. */
void queue_nudge(struct queue *queue);
/* No more puts; takers wake and get the remaining items. */
void queue_close(struct queue *queue);
bool queue_is_closed(struct queue *queue);
/* Current fill, for metrics and flow control. */
void queue_fill(struct queue *queue, size_t *count, size_t *bytes);

#endif
