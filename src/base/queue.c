#include "base/queue.h"

#include <errno.h>
#include <time.h>

static bool init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    /* Wall time may jump, and a time-out with it. */
    bool ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return ok;
}

bool queue_init(struct queue *queue, size_t max_count, size_t max_bytes)
{
    *queue = (struct queue){.max_count = max_count, .max_bytes = max_bytes};
    queue->last = &queue->first;
    if (pthread_mutex_init(&queue->lock, NULL) != 0)
        return false;
    if (!init_condition(&queue->filled))
        goto no_filled;
    if (!init_condition(&queue->emptied))
        goto no_emptied;
    return true;
no_emptied:
    pthread_cond_destroy(&queue->filled);
no_filled:
    pthread_mutex_destroy(&queue->lock);
    return false;
}

void queue_fini(struct queue *queue)
{
    pthread_cond_destroy(&queue->emptied);
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
}

void queue_on_fill(struct queue *queue, void (*wake)(void *argument), void *argument)
{
    queue->wake = wake;
    queue->wake_argument = argument;
}

/* ---- putting ---- */

static bool has_room(const struct queue *queue, size_t bytes)
{
    if (queue->count >= queue->max_count)
        return false;
    /* An item beyond the cap would wait for ever if it could not go in alone. */
    if (queue->count == 0)
        return true;
    return queue->bytes <= queue->max_bytes && bytes <= queue->max_bytes - queue->bytes;
}

/* Append under the lock, then unlock, signal and wake. */
static void append_and_unlock(struct queue *queue, struct queue_item *item)
{
    bool was_empty = queue->count == 0;
    item->next = NULL;
    *queue->last = item;
    queue->last = &item->next;
    queue->count++;
    queue->bytes += item->bytes;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
    /* After unlocking, so that the callback may use the queue. */
    if (was_empty && queue->wake)
        queue->wake(queue->wake_argument);
}

bool queue_put(struct queue *queue, struct queue_item *item, enum queue_room room)
{
    pthread_mutex_lock(&queue->lock);
    while (room == QUEUE_WAITS && !queue->closed && !has_room(queue, item->bytes))
        pthread_cond_wait(&queue->emptied, &queue->lock);
    if (queue->closed || (room != QUEUE_EXCEEDS && !has_room(queue, item->bytes))) {
        pthread_mutex_unlock(&queue->lock);
        return false;
    }
    append_and_unlock(queue, item);
    return true;
}

/* ---- taking; all of these are called with the lock held ---- */

static struct queue_item *detach_all(struct queue *queue)
{
    struct queue_item *first = queue->first;
    queue->first = NULL;
    queue->last = &queue->first;
    queue->count = 0;
    queue->bytes = 0;
    /* All waiting putters, because one alone might be the one whose item still does not fit. */
    if (first)
        pthread_cond_broadcast(&queue->emptied);
    return first;
}

static struct queue_item *detach_one(struct queue *queue)
{
    struct queue_item *item = queue->first;
    if (!item)
        return NULL;
    queue->first = item->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    queue->bytes -= item->bytes;
    item->next = NULL;
    pthread_cond_broadcast(&queue->emptied);
    return item;
}

static struct timespec deadline_after(int64_t timeout_ms)
{
    struct timespec when;
    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_sec += timeout_ms / 1000;
    when.tv_nsec += timeout_ms % 1000 * 1000000;
    if (when.tv_nsec >= 1000000000) {
        when.tv_sec++;
        when.tv_nsec -= 1000000000;
    }
    return when;
}

static bool must_wait(const struct queue *queue)
{
    return !queue->first && !queue->closed && !queue->nudged;
}

static void wait_for_item(struct queue *queue, int64_t timeout_ms)
{
    if (timeout_ms < 0) {
        while (must_wait(queue))
            pthread_cond_wait(&queue->filled, &queue->lock);
    } else if (timeout_ms > 0 && must_wait(queue)) {
        struct timespec deadline = deadline_after(timeout_ms);
        while (must_wait(queue))
            if (pthread_cond_timedwait(&queue->filled, &queue->lock, &deadline) == ETIMEDOUT)
                break;
    }
    queue->nudged = false;
}

struct queue_item *queue_take_all(struct queue *queue, int64_t timeout_ms)
{
    pthread_mutex_lock(&queue->lock);
    wait_for_item(queue, timeout_ms);
    struct queue_item *items = detach_all(queue);
    pthread_mutex_unlock(&queue->lock);
    return items;
}

struct queue_item *queue_wait_one(struct queue *queue, int64_t timeout_ms)
{
    pthread_mutex_lock(&queue->lock);
    wait_for_item(queue, timeout_ms);
    struct queue_item *item = detach_one(queue);
    pthread_mutex_unlock(&queue->lock);
    return item;
}

/* ---- state ---- */

void queue_nudge(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->nudged = true;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_cond_broadcast(&queue->emptied);
    pthread_mutex_unlock(&queue->lock);
}

bool queue_is_closed(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool closed = queue->closed;
    pthread_mutex_unlock(&queue->lock);
    return closed;
}

void queue_fill(struct queue *queue, size_t *count, size_t *bytes)
{
    pthread_mutex_lock(&queue->lock);
    *count = queue->count;
    *bytes = queue->bytes;
    pthread_mutex_unlock(&queue->lock);
}
