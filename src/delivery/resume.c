/* A subscription that came with a cursor: have it looked up, then go on from it or start afresh. */
#include "delivery/read_task.h"
#include "rows/resume_query.h"

struct resume_task {
    struct read_task task;
    struct resume_query query;
};

static bool run(struct read_task *task, struct store_reader *reader)
{
    return resume_query_run(&((struct resume_task *)task)->query, reader, &task->error);
}

static void dropped(struct read_task *task)
{
    view_unref(((struct resume_task *)task)->query.view);
    memory_free(task);
}

static bool again(const struct read_task *task)
{
    return !((const struct resume_task *)task)->query.done;
}

static bool start(struct subscription *subscription, struct seq after, struct cursor_origin origin)
{
    struct resume_task *it = memory_new(sizeof *it);
    if (!it)
        return false;
    it->task.what = "resume";
    it->task.run = run;
    it->task.again = again;
    it->task.dropped = dropped;
    it->query = (struct resume_query){.view = view_ref(subscription->topic->view),
                                      .after = after,
                                      .origin = origin,
                                      .scan_rows = subscription->topic->hub->options.scan_rows};
    return read_task_start(subscription, &it->task);
}

/* Whether its client may hold rows of another window than its own. */
static bool holds_others(const struct subscription *subscription)
{
    const struct previous_source *own =
        subscription->member ? subscription->topic->hub->window_ops->source(subscription) : NULL;
    const struct link *link;
    for (link = subscription->previous.rows.next; link != &subscription->previous.rows;
         link = link->next)
        if (LINK_OWNER(struct previous, in_list, link)->source != own)
            return true;
    return false;
}

/* Whether a cursor can be looked up. Rows that it says the client has may have been taken away
 * since, for another window; or they are newer, by another subscription that shows them. */
static bool may_resume(const struct subscription *subscription)
{
    return !holds_others(subscription) && !subscription_owns_key(subscription);
}

static bool look_up(struct subscription *subscription, const struct held_cursor *held)
{
    const struct window_ops *windows = subscription->topic->hub->window_ops;
    enum window_cursor stands = subscription->member && held->fits
                                    ? windows->find_cursor(subscription, held->after)
                                    : WINDOW_CURSOR_FAR;
    if (stands == WINDOW_CURSOR_BEHIND || !held->fits || !may_resume(subscription))
        phase_refuse_cursor(subscription);
    else if (stands == WINDOW_CURSOR_NEAR)
        phase_resume_near(subscription, held->after, &held->origin);
    else
        return start(subscription, held->after, held->origin);
    return true;
}

/* One that is of no use is waited for, too: what replaces its rows must not be older than they. */
bool resume_begin(struct subscription *subscription, struct seq after, const char *epoch)
{
    const struct topic *topic = subscription->topic;
    const struct cursor_place place = {.seq = after};
    struct held_cursor held = {.after = after, .go_on = look_up};
    held.fits = view_epoch_fits(topic->hub, topic->view, topic->scope, epoch, &held.origin);
    phase_look_up(subscription, READER_RESUME);
    return view_epoch_is_own(topic->hub, epoch) && cursor_is_ahead(topic->hub, place)
               ? held_begin(subscription, place, &held)
               : look_up(subscription, &held);
}

/* ---- the reader ---- */

/* The part of the log to read is the answer to the cursor that was found. */
static void answer_from_log(struct subscription *subscription, const struct resume_query *found)
{
    struct log_part *log = &subscription->log;
    log->purpose = subscription->asked.with_snapshot ? LOG_RESUMES : LOG_ANSWERS;
    log->limit = subscription->asked.limit;
    log->from = found->from;
    log->target = found->to;
    log->seq = found->after;
    log->ambiguous_until = found->ambiguous_until;
    log->only_greater = found->only_greater && subscription->topic->mode == WIRE_APPEND;
    log->greater = found->after;
}

/* A client that wants no snapshot, or a part of one, may never have had all: it may lack any key
 * that was there at its cursor, and may hold it. */
static void go_on_from(struct subscription *subscription, const struct resume_query *found)
{
    bool whole = subscription->asked.with_snapshot && subscription->asked.limit < 0;
    subscription_know(
        subscription,
        (struct knowledge){.full = whole, .resumed = true, .begun = true, .since = found->from});
    answer_from_log(subscription, found);
}

static struct reader_step accept(struct subscription *subscription,
                                 const struct resume_query *found)
{
    struct reader_step step = {.then = STEP_NEXT, .next = READER_WINDOW, .from = found->from};
    step.current = found->origin.current;
    if (subscription->member) /* which says whether it takes it */
        return step;
    counter_add(&subscription->topic->hub->metrics.resumes, 1);
    go_on_from(subscription, found);
    step.next = READER_LOG;
    step.resumed = true;
    /* The one entity of a state view comes with any snapshot, whether it changed or not. */
    if (subscription->topic->mode == WIRE_STATE && subscription->asked.with_snapshot)
        step.from = 0;
    return step;
}

static struct reader_step pull(struct subscription *subscription)
{
    struct read_task *task = read_task_take(subscription);
    if (!task)
        return (struct reader_step){.then = STEP_WAIT};
    const struct resume_query *found = &((struct resume_task *)task)->query;
    struct reader_step step = {.then = STEP_REFUSED};
    if (!task->done)
        step = reader_failed(subscription, &task->error);
    else if (found->accepted)
        step = accept(subscription, found);
    dropped(task);
    return step;
}

const struct reader_ops resume_reader = {.pull = pull};
