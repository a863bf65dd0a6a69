/* A subscription that came with a cursor: have it looked up, then go on from it or start afresh. */
#include "delivery/hub_job.h"
#include "delivery/resume_query.h"

struct resume_job {
    struct hub_job job;
    struct resume_query query;
};

static bool run(struct hub_job *job, struct store_reader *reader)
{
    return resume_query_run(&((struct resume_job *)job)->query, reader, &job->error);
}

static void destroy(struct hub_job *job)
{
    view_unref(((struct resume_job *)job)->query.view);
    memory_free(job);
}

static void accept(struct subscription *subscription, const struct resume_query *found)
{
    bool append = subscription->feed->mode == WIRE_APPEND;
    if (subscription->window) {
        window_resume(subscription, found->from, found->origin.current);
        return;
    }
    counter_add(&subscription->feed->hub->metrics.resumes, 1);
    subscription_announce(subscription, 1);
    /* A client that wants no snapshot, or a part of one, may never have had all: it may lack any
     * key that was there at its cursor, and may hold it. */
    bool whole = subscription->with_snapshot && subscription->limit < 0;
    subscription_know(
        subscription,
        (struct knowledge){.full = whole, .resumed = true, .begun = true, .since = found->from});
    subscription->resuming = subscription->with_snapshot;
    subscription->answering = true;
    subscription->resume_limit = subscription->limit;
    subscription->resume_from = found->from;
    subscription->resume_target = found->to;
    subscription->resume_seq = found->after;
    subscription->ambiguous_until = found->ambiguous_until;
    subscription->only_greater = append && found->only_greater;
    subscription->greater = found->after;
    /* The one entity of a state view comes with any snapshot, whether it changed or not. */
    bool state = subscription->feed->mode == WIRE_STATE && subscription->with_snapshot;
    subscription_start_catch_up(subscription, state ? 0 : found->from);
}

void resume_refuse(struct subscription *subscription)
{
    struct hub *hub = subscription->feed->hub;
    counter_add(&hub->metrics.resumes_refused, 1);
    subscription_announce(subscription, 0);
    if (subscription->window) {
        window_begin(subscription);
        return;
    }
    /* Who wants none may still hold rows of an old token, and learns from one which it must lose.
     */
    if (subscription->with_snapshot || subscription->was) {
        subscription_start_snapshot(subscription);
        return;
    }
    subscription_know(subscription, (struct knowledge){.full = false});
    subscription_start_live(subscription, hub->ring.last);
}

static void finish(struct hub_job *job)
{
    struct subscription *subscription = job->subscription;
    const struct resume_query *found = &((struct resume_job *)job)->query;
    hub_job_take(job);
    if (!found->done) {
        if (!hub_job_start(subscription, job))
            hub_job_refused(subscription);
        return;
    }
    if (found->accepted)
        accept(subscription, found);
    else
        resume_refuse(subscription);
    destroy(job);
}

bool resume_start(struct subscription *subscription, struct seq after, struct cursor_origin origin)
{
    struct resume_job *job = memory_new(sizeof *job);
    if (!job)
        return false;
    job->job.what = "resume";
    job->job.run = run;
    job->job.finish = finish;
    job->job.destroy = destroy;
    job->query = (struct resume_query){.view = view_ref(subscription->feed->view),
                                       .after = after,
                                       .origin = origin,
                                       .scan_rows = subscription->feed->hub->options.scan_rows};
    return hub_job_start(subscription, &job->job);
}
