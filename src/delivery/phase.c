/*
 * Which reader serves a subscription. Only this file assigns it:
 *
 *   begin --cursor--> RESUME --found--> LOG --all sent--> LIVE <--behind the backlog-- --> LOG
 *     |                  \--found--> WINDOW (a member of one)
 *     |---events by position--> TAPE --> LOG
 *     \--no cursor, or of no use--> SNAPSHOT --rows--> LIVE, or LOG where its rows overlap
 *                            \--> WINDOW, or LIVE where no rows are wanted
 *
 * Whatever serves it, its cursor says what the client has, so every step answers one question: what
 * comes behind the cursor?
 */
#include "delivery/key_owner.h"
#include "delivery/read_task.h"

/* The readers that may go on when one says so by itself. Beginning anew is possible at any time. */
static const bool follows[READER_KINDS][READER_KINDS] = {
    [READER_RESUME] = {[READER_LOG] = true, [READER_WINDOW] = true},
    [READER_TAPE] = {[READER_LOG] = true},
    [READER_SNAPSHOT] = {[READER_LOG] = true, [READER_LIVE] = true},
    [READER_LOG] = {[READER_LIVE] = true},
    [READER_LIVE] = {[READER_LOG] = true},
};

static const struct window_ops *windows_of(const struct subscription *subscription)
{
    return subscription->topic->hub->window_ops;
}

static void enter(struct subscription *subscription, enum reader_kind kind)
{
    static const struct reader_ops *const readers[READER_KINDS] = {
        [READER_RESUME] = &resume_reader,     [READER_TAPE] = &tape_reader,
        [READER_SNAPSHOT] = &snapshot_reader, [READER_LOG] = &log_reader,
        [READER_LIVE] = &live_reader,
    };
    INVARIANT(!subscription->task); /* else it would be woken by what another reader asked for */
    INVARIANT(link_alone(&subscription->snapshot.in_build) && !subscription->snapshot.batch);
    subscription->reading = kind;
    subscription->reader = kind == READER_WINDOW ? windows_of(subscription)->reader : readers[kind];
    subscription->live.in_frame_log = false;
}

static void begin_snapshot(struct subscription *subscription)
{
    enter(subscription, READER_SNAPSHOT);
    snapshot_begin(subscription);
    key_owner_begins(subscription);
    subscriber_ready(subscription);
}

static void begin_live(struct subscription *subscription, int64_t from)
{
    enter(subscription, READER_LIVE);
    subscription->cursor = from;
    if (!subscription->knowledge.full && !subscription->knowledge.begun)
        subscription_know(subscription, (struct knowledge){.begun = true, .since = from});
    subscriber_ready(subscription);
}

static void begin_log(struct subscription *subscription, int64_t from)
{
    enter(subscription, READER_LOG);
    log_begin(subscription, from);
    subscriber_ready(subscription);
}

void phase_look_up(struct subscription *subscription, enum reader_kind kind)
{
    INVARIANT(kind == READER_RESUME || kind == READER_TAPE);
    enter(subscription, kind);
}

/* A client that wants no rows may still hold some of an old token. A snapshot without rows says
 * which it must lose. */
void phase_begin(struct subscription *subscription, bool moved)
{
    if (subscription->member) {
        const struct window_ops *windows = windows_of(subscription);
        enter(subscription, READER_WINDOW);
        (moved ? windows->begin_moved : windows->begin)(subscription);
        return;
    }
    log_reset(subscription);
    if (subscription->asked.with_snapshot || subscription->moved.was) {
        begin_snapshot(subscription);
    } else {
        subscription_know(subscription, (struct knowledge){.full = false});
        begin_live(subscription, subscription->topic->hub->backlog.last);
    }
}

void phase_refuse_cursor(struct subscription *subscription)
{
    counter_add(&subscription->topic->hub->metrics.resumes_refused, 1);
    subscription_announce(subscription, 0);
    phase_begin(subscription, false);
}

void phase_resume_near(struct subscription *subscription, struct seq after,
                       const struct cursor_origin *origin)
{
    enter(subscription, READER_WINDOW);
    windows_of(subscription)->resume_near(subscription, after, origin);
}

void phase_inherit(struct subscription *subscription)
{
    enter(subscription, READER_WINDOW);
    windows_of(subscription)->inherit(subscription);
}

void phase_restate(struct subscription *subscription)
{
    INVARIANT(subscription->reading == READER_LIVE);
    subscription_know(subscription, (struct knowledge){.begun = true});
    begin_log(subscription, 0);
}

void phase_next(struct subscription *subscription, const struct reader_step *step)
{
    INVARIANT(follows[subscription->reading][step->next]);
    switch (step->next) {
    case READER_LOG:
        begin_log(subscription, step->from);
        break;
    case READER_LIVE:
        begin_live(subscription, step->from);
        break;
    case READER_WINDOW:
        enter(subscription, READER_WINDOW);
        windows_of(subscription)->resume(subscription, step->from, step->current);
        break;
    case READER_RESUME:
    case READER_TAPE:
    case READER_SNAPSHOT:
    case READER_KINDS:
        INVARIANT(false);
    }
}

void phase_stop(struct subscription *subscription)
{
    snapshot_forget(subscription);
    held_forget(subscription);
    read_task_forget(subscription);
    log_release(subscription);
    subscriber_give_slot(subscription);
    link_remove(&subscription->in_ready);
}
