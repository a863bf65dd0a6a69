/* A live subscription: frames from its topic's frame log, or put together from the backlog.
 */
#include "delivery/hub_internal.h"

/* Try to go on from a frame log: for those who know every key and want all of the view. */
static void enter_frame_log(struct subscription *subscription)
{
    const struct hub *hub = subscription->topic->hub;
    if (subscription->group || !subscription->knowledge.full || subscription->tape.query ||
        subscription->cursor > hub->backlog.last || !topic_log_enter(subscription))
        return;
    topic_log_pass(subscription->live.log, hub->backlog.last);
    subscription->live.in_frame_log = frame_log_seek(&subscription->live.log->frames,
                                                     subscription->cursor, &subscription->live.at);
}

static struct reader_step pull_frame_log(struct subscription *subscription)
{
    struct reader_step step = {.then = STEP_MORE};
    struct topic_log *log = subscription->live.log;
    INVARIANT(log && log->topic == subscription->topic);
    topic_log_pass(log, log->topic->hub->backlog.last);
    struct span head = log->frames.room ? subscription->subscriber->head : span_make(NULL, 0);
    struct frame_run run = frame_log_take(&log->frames, &subscription->live.at, head);
    if (run.behind) {
        subscription->live.in_frame_log = false;
        return step;
    }
    INVARIANT(subscription->cursor <= subscription->live.at.id);
    subscription->cursor = subscription->live.at.id;
    step.bytes = run.bytes;
    step.counts = run.counts;
    step.text = run.whole ? text_ref(run.whole) : NULL;
    return step;
}

/* Of a row that leaves the client's sight, the patch is not the client's either. */
static bool is_asked_for(const struct subscription *subscription, const struct change *change)
{
    const struct row_scope *scope = subscription->topic->scope;
    return !row_is_gone(change->operation) && (!scope || row_scope_sight(scope, change).after) &&
           view_query_holds(subscription->tape.query, change_patch(change), 0);
}

static bool was_sent(const struct knowledge *knowledge, const struct change *change)
{
    if (knowledge->full || change->previous_change == 0)
        return true; /* also when there was nothing to know before: a creation */
    if (change->previous_change > knowledge->since ||
        (change->previous_change > knowledge->resumed_from &&
         change->previous_change <= knowledge->resumed_to))
        return true;
    if (!knowledge->bounded)
        return false;
    struct seq seq = {change->previous_slot, change->previous_index};
    return list_position_compare(seq, change_key(change), &knowledge->bound) <= 0;
}

/* What the subscription knows of the entity as it was just before the change. */
static enum key_state knowledge_of(const struct knowledge *knowledge, const struct change *change)
{
    return was_sent(knowledge, change) ? KEY_SENT_WHOLE
           : knowledge->resumed        ? KEY_MAY_BE_HELD
                                       : KEY_NEVER_SENT;
}

static bool put_frame(struct subscription *subscription, const struct change *change)
{
    struct topic *topic = subscription->topic;
    if (change->export_id != topic->export->id || !view_shows(topic->view, change_key(change)))
        return true;
    if (subscription->tape.query && !is_asked_for(subscription, change))
        return true;
    enum key_state state = knowledge_of(&subscription->knowledge, change);
    if (state == KEY_NEVER_SENT &&
        (subscription_owns_key(subscription) || subscription->beside.others))
        state = KEY_MAY_BE_HELD; /* by another that shows it, or showed it */
    return frame_change(topic, change, state, &topic->hub->scratch.out);
}

/* The backlog's changes of one key, by the group's list of them. */
static bool gather_key(struct subscription *subscription)
{
    struct hub *hub = subscription->topic->hub;
    struct key_group *group = subscription->group;
    size_t low = 0, high = group->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (group->ids[group->first + middle] <= subscription->cursor)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < group->count; low++) {
        int64_t id = group->ids[group->first + low];
        const struct change *change = backlog_get(&hub->backlog, id);
        if (hub->scratch.out.length >= HUB_PULL)
            return true;
        if (change && !put_frame(subscription, change))
            return false;
        subscription->cursor = id;
    }
    subscription->cursor = hub->backlog.last;
    return true;
}

static bool gather_all(struct subscription *subscription)
{
    struct hub *hub = subscription->topic->hub;
    while (subscription->cursor < hub->backlog.last && hub->scratch.out.length < HUB_PULL) {
        const struct change *change = backlog_get(&hub->backlog, subscription->cursor + 1);
        if (!change || !put_frame(subscription, change))
            return false;
        subscription->cursor++;
    }
    return true;
}

/* Put together for this subscriber alone; large results are kept so that they go in pieces. */
static struct reader_step pull_backlog(struct subscription *subscription)
{
    struct hub *hub = subscription->topic->hub;
    struct reader_step step = {.then = STEP_MORE}; /* also when nothing of it was for this view */
    buffer_clear(&hub->scratch.out);
    bool done = (subscription->group ? gather_key : gather_all)(subscription);
    if (!done && !hub->scratch.out.length) {
        step.then = STEP_NEXT;
        step.next = READER_LOG;
        step.from = subscription->cursor;
        return step;
    }
    if (hub->scratch.out.length > HUB_PULL * 2)
        step.text = text_new(hub->scratch.out.data, hub->scratch.out.length);
    if (!step.text)
        step.bytes = buffer_span(&hub->scratch.out);
    return step;
}

/* ---- the reader ---- */

static bool is_in_backlog(const struct subscription *subscription)
{
    const struct change_backlog *backlog = &subscription->topic->hub->backlog;
    return subscription->cursor + 1 >= backlog->first &&
           (subscription->group || !subscription->knowledge.full ||
            backlog->last - subscription->cursor <= HUB_BACKLOG_GAP);
}

static struct reader_step pull(struct subscription *subscription)
{
    struct hub *hub = subscription->topic->hub;
    if (!subscription->live.in_frame_log)
        enter_frame_log(subscription);
    if (subscription->live.in_frame_log) {
        struct reader_step step = pull_frame_log(subscription);
        if (step.bytes.length || step.text)
            return step;
    }
    if (subscription->cursor >= hub->backlog.last) {
        topic_rest(subscription);
        return (struct reader_step){.then = STEP_IDLE};
    }
    if (is_in_backlog(subscription) && !subscription->live.missed)
        return pull_backlog(subscription);
    counter_add(&hub->metrics.catch_ups, 1);
    return (struct reader_step){
        .then = STEP_NEXT, .next = READER_LOG, .from = subscription->cursor};
}

/* Bodies would need their heads. */
static size_t show(struct subscription *subscription, struct span *pieces, size_t most)
{
    struct topic_log *log = subscription->live.log;
    struct span head = subscription->subscriber->head;
    if (!subscription->live.in_frame_log || log->frames.room != head.length)
        return 0;
    topic_log_pass(log, log->topic->hub->backlog.last);
    return frame_log_show(&log->frames, &subscription->live.at, head, pieces, most);
}

static struct frame_run took(struct subscription *subscription, size_t length, bool all)
{
    struct topic_log *log = subscription->live.log;
    struct frame_run run = frame_log_took(&log->frames, &subscription->live.at, length, !all);
    INVARIANT(subscription->cursor <= subscription->live.at.id);
    subscription->cursor = subscription->live.at.id;
    if (all && subscription->cursor >= log->topic->hub->backlog.last)
        topic_rest(subscription);
    return run;
}

static bool is_opening(const struct subscription *subscription)
{
    (void)subscription;
    return false;
}

static bool is_live(const struct subscription *subscription)
{
    (void)subscription;
    return true;
}

static bool has_all(const struct subscription *subscription)
{
    return !link_alone(&subscription->in_rest) ||
           subscription->cursor >= subscription->topic->hub->backlog.last;
}

const struct reader_ops live_reader = {.pull = pull,
                                       .show = show,
                                       .took = took,
                                       .is_opening = is_opening,
                                       .is_live = is_live,
                                       .has_all = has_all};
