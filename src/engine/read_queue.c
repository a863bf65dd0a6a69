#include "engine/read_queue.h"

#include "base/invariant.h"

enum { BRIEF_RUN = 4 };

bool read_queue_init(struct read_queue *queue, size_t max_count)
{
    *queue = (struct read_queue){.max_count = max_count};
    if (pthread_mutex_init(&queue->lock, NULL) != 0)
        return false;
    if (pthread_cond_init(&queue->came, NULL) != 0)
        goto no_came;
    if (pthread_cond_init(&queue->brief_came, NULL) == 0)
        return true;
    pthread_cond_destroy(&queue->came);
no_came:
    pthread_mutex_destroy(&queue->lock);
    return false;
}

void read_queue_fini(struct read_queue *queue)
{
    INVARIANT(!queue->count);
    pthread_cond_destroy(&queue->brief_came);
    pthread_cond_destroy(&queue->came);
    pthread_mutex_destroy(&queue->lock);
}

/* ---- whose turn it is; with the lock held ---- */

static struct read_job *take_brief(struct read_queue *queue)
{
    bool common = queue->common.first && !(queue->common_last && queue->brief.first);
    if (!common && !queue->brief.first)
        return NULL;
    queue->common_last = common;
    INVARIANT(queue->brief_count > 0);
    queue->brief_count--;
    return (struct read_job *)(common ? lane_take(&queue->common) : lane_ring_take(&queue->brief));
}

static struct read_job *take(struct read_queue *queue, bool takes_long)
{
    bool long_waits = queue->lengthy.first && (takes_long || queue->closed);
    struct read_job *job = NULL;
    INVARIANT(queue->brief_count <= queue->count && queue->count <= queue->max_count);
    if (!long_waits || queue->brief_run < BRIEF_RUN)
        job = take_brief(queue);
    if (takes_long)
        queue->brief_run = job && long_waits ? queue->brief_run + 1 : 0;
    if (!job && long_waits)
        job = (struct read_job *)lane_ring_take(&queue->lengthy);
    INVARIANT(!job || queue->count > 0);
    queue->count -= job != NULL;
    return job;
}

static void wait_for_some(struct read_queue *queue, bool takes_long)
{
    if (takes_long) {
        pthread_cond_wait(&queue->came, &queue->lock);
        return;
    }
    queue->idle++;
    pthread_cond_wait(&queue->brief_came, &queue->lock);
    queue->idle--;
}

/* The others run what is brief only when it is more than the idle readers of brief ones can. */
static void wake_one(struct read_queue *queue, bool is_long)
{
    if (!is_long && queue->idle)
        pthread_cond_signal(&queue->brief_came);
    if (is_long || queue->brief_count > queue->idle)
        pthread_cond_signal(&queue->came);
}

/* ---- for all threads ---- */

bool read_queue_put(struct read_queue *queue, struct read_job *job)
{
    pthread_mutex_lock(&queue->lock);
    INVARIANT(queue->brief_count <= queue->count && queue->count <= queue->max_count);
    bool fits = !queue->closed && queue->count < queue->max_count;
    if (fits && job->is_long)
        lane_ring_add(&queue->lengthy, job->owner, &job->event.item);
    else if (fits && job->owner)
        lane_ring_add(&queue->brief, job->owner, &job->event.item);
    else if (fits)
        lane_add(&queue->common, &job->event.item);
    queue->count += fits;
    queue->brief_count += fits && !job->is_long;
    if (fits)
        wake_one(queue, job->is_long);
    pthread_mutex_unlock(&queue->lock);
    return fits;
}

struct read_job *read_queue_take(struct read_queue *queue, bool takes_long)
{
    struct read_job *job;
    pthread_mutex_lock(&queue->lock);
    while (!(job = take(queue, takes_long)) && !queue->closed)
        wait_for_some(queue, takes_long);
    pthread_mutex_unlock(&queue->lock);
    return job;
}

struct read_job *read_queue_take_brief(struct read_queue *queue, bool *closed)
{
    pthread_mutex_lock(&queue->lock);
    struct read_job *job = take_brief(queue);
    queue->count -= job != NULL;
    *closed = queue->closed;
    pthread_mutex_unlock(&queue->lock);
    return job;
}

void read_queue_close(struct read_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->brief_came);
    pthread_cond_broadcast(&queue->came);
    pthread_mutex_unlock(&queue->lock);
}
