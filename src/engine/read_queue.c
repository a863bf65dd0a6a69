#include "engine/read_queue.h"

#include "base/invariant.h"

enum { BRIEF_RUN = 4 };

static void lanes_init(struct read_ring *ring)
{
    ring->last = &ring->first;
    for (size_t i = 0; i < READ_LANES; i++)
        ring->lanes[i].last = &ring->lanes[i].first;
}

bool read_queue_init(struct read_queue *queue, size_t readers, size_t max_count)
{
    *queue =
        (struct read_queue){.max_count = max_count, .most_long = readers > 1 ? readers - 1 : 1};
    lanes_init(&queue->brief);
    lanes_init(&queue->lengthy);
    queue->common.last = &queue->common.first;
    if (pthread_mutex_init(&queue->lock, NULL) != 0)
        return false;
    if (pthread_cond_init(&queue->changed, NULL) == 0)
        return true;
    pthread_mutex_destroy(&queue->lock);
    return false;
}

void read_queue_fini(struct read_queue *queue)
{
    INVARIANT(!queue->count);
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
}

/* ---- lanes and rings; with the lock held ---- */

static void lane_add(struct read_lane *lane, struct read_job *job)
{
    struct queue_item *item = &job->event.item;
    item->next = NULL;
    *lane->last = item;
    lane->last = &item->next;
}

static struct read_job *lane_take(struct read_lane *lane)
{
    struct queue_item *item = lane->first;
    lane->first = item->next;
    if (!lane->first)
        lane->last = &lane->first;
    item->next = NULL;
    return (struct read_job *)item;
}

static void lanes_append(struct read_ring *ring, struct read_lane *lane)
{
    lane->next = NULL;
    *ring->last = lane;
    ring->last = &lane->next;
}

static void lanes_add(struct read_ring *ring, struct read_job *job)
{
    struct read_lane *lane = &ring->lanes[job->owner % READ_LANES];
    bool was_empty = !lane->first;
    lane_add(lane, job);
    if (was_empty)
        lanes_append(ring, lane);
}

/* The next one's; if its lane has more, that waits until all others had their turn. */
static struct read_job *lanes_take(struct read_ring *ring)
{
    struct read_lane *lane = ring->first;
    ring->first = lane->next;
    if (!ring->first)
        ring->last = &ring->first;
    struct read_job *job = lane_take(lane);
    if (lane->first)
        lanes_append(ring, lane);
    return job;
}

/* ---- whose turn it is ---- */

static bool may_take_long(const struct read_queue *queue)
{
    return queue->lengthy.first && (queue->long_running < queue->most_long || queue->closed);
}

static struct read_job *take_brief(struct read_queue *queue)
{
    bool common = queue->common.first && !(queue->common_last && queue->brief.first);
    if (!common && !queue->brief.first)
        return NULL;
    queue->common_last = common;
    return common ? lane_take(&queue->common) : lanes_take(&queue->brief);
}

static struct read_job *take(struct read_queue *queue)
{
    bool long_may = may_take_long(queue);
    struct read_job *job = NULL;
    if (!long_may || queue->brief_run < BRIEF_RUN)
        job = take_brief(queue);
    queue->brief_run = job && long_may ? queue->brief_run + 1 : 0;
    if (!job && long_may) {
        job = lanes_take(&queue->lengthy);
        queue->long_running++;
    }
    queue->count -= job != NULL;
    return job;
}

/* ---- for all threads ---- */

bool read_queue_put(struct read_queue *queue, struct read_job *job)
{
    pthread_mutex_lock(&queue->lock);
    bool fits = !queue->closed && queue->count < queue->max_count;
    if (fits && job->is_long)
        lanes_add(&queue->lengthy, job);
    else if (fits && job->owner)
        lanes_add(&queue->brief, job);
    else if (fits)
        lane_add(&queue->common, job);
    queue->count += fits;
    if (fits)
        pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    return fits;
}

struct read_job *read_queue_take(struct read_queue *queue)
{
    struct read_job *job;
    pthread_mutex_lock(&queue->lock);
    while (!(job = take(queue)) && !queue->closed)
        pthread_cond_wait(&queue->changed, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
    return job;
}

void read_queue_ran(struct read_queue *queue, bool was_long)
{
    if (!was_long)
        return;
    pthread_mutex_lock(&queue->lock);
    INVARIANT(queue->long_running);
    queue->long_running--;
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

void read_queue_close(struct read_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}
