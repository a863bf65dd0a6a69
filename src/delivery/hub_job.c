/* Reads for one subscription: their way to a reader and back. */
#include "delivery/hub_job.h"

static void run(struct read_job *read, struct store_reader *reader)
{
    struct hub_job *job = (struct hub_job *)read;
    if (!atomic_load(&job->forgotten))
        job->done = job->run(job, reader);
}

static void fail(struct hub_job *job)
{
    struct subscription *subscription = job->subscription;
    log_error("hub", "read-failed", "for=\"%s\" view=\"%s\" error=\"%s\"", job->what,
              subscription->feed->view->id, job->error.message);
    subscription_fail(subscription, &job->error); /* forgets the job, and so frees it */
}

static void deliver(struct engine_event *event)
{
    struct hub_job *job = (struct hub_job *)event;
    job->returned = true;
    if (!job->subscription)
        job->destroy(job);
    else if (job->done)
        job->finish(job);
    else
        fail(job);
}

bool hub_job_start(struct subscription *subscription, struct hub_job *job)
{
    job->read.event.deliver = deliver;
    job->read.run = run;
    job->read.owner = subscription->subscriber->owner;
    job->read.is_long = job->returned; /* it goes on */
    job->subscription = subscription;
    job->done = job->returned = false;
    subscription->job = job;
    if (engine_read(subscription->feed->hub->engine, &job->read))
        return true;
    hub_job_take(job);
    job->destroy(job);
    return false;
}

void hub_job_refused(struct subscription *subscription)
{
    struct error error;
    error_set(&error, ERROR_QUEUE_FULL,
              "too many are catching up at once, or memory is short; subscribe again later");
    subscription_fail(subscription, &error);
}

void hub_job_take(struct hub_job *job)
{
    job->subscription->job = NULL;
    job->subscription = NULL;
}

void hub_job_forget(struct subscription *subscription)
{
    struct hub_job *job = subscription->job;
    if (!job)
        return;
    hub_job_take(job);
    atomic_store(&job->forgotten, true);
    if (job->returned)
        job->destroy(job);
}
