/*
 * A subscription: a cursor that is served from the database or from memory.
 *
 *   open -> [RESOLVING, with a cursor] -> SNAPSHOT -> (CATCH_UP) -> LIVE <-> CATCH_UP
 *                                   \--> CATCH_UP -------------------^
 *
 * Whatever phase it is in, its cursor says what the subscriber has, so every step is the same
 * question: what comes after the cursor?
 */
#include "access/allowance.h"
#include "delivery/key_owner.h"
#include "delivery/window_internal.h"

/* Kept for as long as the subscription lives. */
enum { LONGEST_KEY = 4096, LONGEST_PARAMETERS = 1024 };

/* ---- opening ---- */

struct span subscription_key(const struct subscription *subscription)
{
    const struct key_group *group = subscription->group;
    if (subscription->window)
        return window_key(subscription->window);
    return group ? span_make(group->key, group->key_length) : span_make(NULL, 0);
}

static bool same_key(const struct subscription *subscription, const char *key)
{
    struct span own = subscription_key(subscription);
    return key ? own.data && span_equal(own, span_of(key)) : !own.data;
}

struct subscription *subscription_find(struct subscriber *subscriber, struct span view,
                                       const char *key)
{
    struct link *link = subscriber->subscriptions.next;
    for (; link != &subscriber->subscriptions; link = link->next) {
        struct subscription *subscription = LINK_OWNER(struct subscription, in_subscriber, link);
        if (!subscription->leaving && span_equal(span_of(subscription->feed->view->id), view) &&
            same_key(subscription, key))
            return subscription;
    }
    return NULL;
}

static bool check_parameters(const struct view *view, const struct wire_subscribe *message,
                             bool *has_after, struct seq *after, struct error *error)
{
    if ((message->key && strlen(message->key) > LONGEST_KEY) ||
        strlen(message->parameters) > LONGEST_PARAMETERS)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'key' may have %d bytes and all other parameters together %d",
                         LONGEST_KEY, LONGEST_PARAMETERS);
    if (view->mode == VIEW_STATE && !view->stage && !message->key)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'key' is missing: view '%.128s' shows one entity, named by its key",
                         message->view);
    *has_after = message->after != NULL;
    if (*has_after && !seq_parse(span_of(message->after), after))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'after' is '%.64s', which is not a cursor; send the seq of a frame, such "
                         "as 1700000000:000000000007",
                         message->after);
    return true;
}

/* A view that one may not see is told as one that is not there. */
bool subscription_check(const struct hub *hub, const struct auth_identity *identity,
                        const struct wire_subscribe *message, const struct view **view,
                        bool *has_after, struct seq *after, struct error *error)
{
    struct span id = span_of(message->view);
    if (identity && !auth_may(identity, AUTH_READ))
        return error_set(error, ERROR_SCOPE_MISSING,
                         "the token lacks the scope 'read', which is needed to read views");
    if (identity && !auth_may_view(identity, id))
        return hub_view_unknown(hub, identity, id, error);
    *view = hub_find_view(hub, identity, id, error);
    if (!*view)
        return false;
    if (check_parameters(*view, message, has_after, after, error))
        return true;
    view_unref(*view);
    return false;
}

/* `spec` NULL: all of the view, or one key of it. */
static struct subscription *subscription_new(struct subscriber *subscriber, const struct view *view,
                                             const struct wire_subscribe *message,
                                             struct window_spec *spec, struct error *error)
{
    struct subscription *subscription = memory_new(sizeof *subscription);
    struct feed *feed = subscription ? feed_get(subscriber->hub, view, subscriber->scope) : NULL;
    if (!feed) {
        memory_free(subscription);
        return NULL;
    }
    subscription->subscriber = subscriber;
    subscription->with_snapshot = message->with_snapshot;
    subscription->limit = message->snapshot_limit;
    link_init(&subscription->in_subscriber);
    link_init(&subscription->in_ready);
    link_init(&subscription->in_rest);
    link_init(&subscription->in_group);
    link_init(&subscription->in_build);
    link_init(&subscription->in_window);
    link_init(&subscription->in_waiting);
    link_init(&subscription->held);
    link_init(&subscription->in_owners);
    subscription->parameters = memory_copy_string(message->parameters, strlen(message->parameters));
    struct span key = message->key ? span_of(message->key) : span_make(NULL, 0);
    bool joined =
        subscription->parameters && (spec ? feed_join_window(feed, subscription, spec, error)
                                          : feed_join(feed, subscription, key));
    if (!joined) {
        memory_free(subscription->parameters);
        memory_free(subscription);
        feed_drop_unused(feed);
        return NULL;
    }
    link_append(&subscriber->subscriptions, &subscription->in_subscriber);
    subscriber->count++;
    if (subscriber->usage)
        subscription->meter = usage_subscribed(subscriber->usage, view->id);
    if (key_owner_joined(subscription))
        return subscription;
    subscription_close(subscription);
    return NULL;
}

static bool begin(struct subscription *subscription, const struct wire_subscribe *message,
                  const struct seq *after)
{
    struct hub *hub = subscription->subscriber->hub;
    counter_add(&hub->metrics.subscriptions_made, 1);
    held_take(subscription);
    if (!subscription->window)
        held_shows(subscription);
    key_owner_begins(subscription);
    /* Rows that the cursor says it has may have been taken away since, for another window; or they
     * are newer, by another subscription that shows them. */
    if (after && (held_others(subscription) || subscription->owned)) {
        resume_refuse(subscription);
        return true;
    }
    if (after) {
        const struct feed *feed = subscription->feed;
        struct cursor_origin origin;
        subscription->phase = PHASE_RESOLVING;
        if (view_epoch_fits(hub, feed->view, feed->scope, message->epoch, &origin))
            return resume_start(subscription, *after, origin);
        resume_refuse(subscription);
        return true;
    }
    subscription_announce(subscription, -1);
    if (subscription->window)
        window_begin(subscription);
    else if (message->with_snapshot)
        subscription_start_snapshot(subscription);
    else
        subscription_start_live(subscription, hub->ring.last);
    return true;
}

/* The limits: of subscriptions, where it is one more, and of what the database is asked for. */
static bool may_open(struct subscriber *subscriber, const struct wire_subscribe *message,
                     bool another, bool resumes, struct error *error)
{
    struct allowance *allowance = subscriber->allowance;
    size_t most = subscriber->hub->options.max_subscriptions;
    if (allowance)
        return (!another || allowance_subscription(allowance, subscriber->count, error)) &&
               ((!message->with_snapshot && !resumes) || allowance_snapshot(allowance, error));
    return !another || subscriber->count < most ||
           error_set(error, ERROR_SUBSCRIPTION_LIMIT,
                     "this connection has %zu subscriptions, the most it may have; unsubscribe "
                     "from one first",
                     subscriber->count);
}

/* What was asked for is right; only the limits can refuse it now. */
static bool open_checked(struct subscriber *subscriber, const struct wire_subscribe *message,
                         const struct view *view, struct window_spec *spec, const struct seq *after,
                         struct error *error)
{
    struct subscription *old = subscription_find(subscriber, span_of(message->view), message->key);
    if (old && strcmp(old->parameters, message->parameters) == 0)
        return true;
    if (!may_open(subscriber, message, !old, after != NULL, error) ||
        !hub_may_wait(subscriber, view, error))
        return false;
    if (old && !key_owner_stays(old))
        subscription_close(old); /* else key_owner_joined does, so that nothing is forgotten */
    error_set(error, ERROR_MEMORY, "out of memory for a subscription to '%.128s'", message->view);
    struct subscription *subscription = subscription_new(subscriber, view, message, spec, error);
    if (subscription && begin(subscription, message, after))
        return true;
    if (subscription)
        subscription_close(subscription);
    return false;
}

bool subscription_open(struct subscriber *subscriber, const struct wire_subscribe *message,
                       struct error *error)
{
    const struct view *view = NULL;
    struct seq after;
    struct window_spec spec;
    bool has_after, is_window;
    if (!subscription_check(subscriber->hub, subscriber->identity, message, &view, &has_after,
                            &after, error))
        return false;
    INVARIANT(view);
    bool opened = window_wanted(subscriber->hub, view, message, &is_window, &spec, error);
    if (opened && view->scope)
        spec.scope = row_scope_ref(subscriber->scope);
    if (opened) {
        opened = open_checked(subscriber, message, view, is_window ? &spec : NULL,
                              has_after ? &after : NULL, error);
        window_spec_fini(&spec);
    }
    view_unref(view);
    return opened;
}

void subscription_close(struct subscription *subscription)
{
    held_remember(subscription);
    key_owner_left(subscription);
    snapshot_forget(subscription);
    hub_job_forget(subscription);
    catch_up_release(subscription);
    subscriber_give_turn(subscription);
    link_remove(&subscription->in_ready);
    feed_leave(subscription->feed, subscription);
    subscription_drop(subscription);
}

void subscription_fail(struct subscription *subscription, const struct error *error)
{
    subscription_error(subscription, error);
    key_owner_failed(subscription, error);
    subscription_close(subscription);
}

struct subscription *subscription_make_heir(const struct subscription *subscription)
{
    const struct view *view = subscription->feed->view;
    struct subscriber *subscriber = subscription->subscriber;
    struct span key = subscription_key(subscription);
    char none[] = "";
    struct wire_subscribe message = {.key = memory_copy_string(key.data, key.length),
                                     .with_snapshot = true,
                                     .snapshot_limit = -1,
                                     .take = -1,
                                     .skip = -1,
                                     .parameters = none};
    struct subscription *heir = NULL;
    struct window_spec spec;
    struct error error;
    if (message.key && window_spec_make(subscriber->hub, view, &message, &spec, &error)) {
        spec.is_extra = true;
        spec.scope = view->scope ? row_scope_ref(subscriber->scope) : NULL;
        heir = subscription_new(subscriber, view, &message, &spec, &error);
        window_spec_fini(&spec);
    }
    memory_free(message.key);
    return heir;
}

void subscription_drop(struct subscription *subscription)
{
    link_remove(&subscription->in_subscriber);
    link_remove(&subscription->in_owners);
    subscription->subscriber->count--;
    usage_unsubscribed(subscription->meter);
    held_free_all(&subscription->held);
    row_scope_unref(subscription->was);
    snapshot_place_unref(&subscription->snapshot);
    list_position_unref(&subscription->knowledge.bound);
    memory_free(subscription->parameters);
    memory_free(subscription->owned);
    memory_free(subscription);
}

/* Lists are, and what is made of them without an order of its own. */
static bool is_sorted_by_seq(const struct view *view)
{
    return view->mode == VIEW_LIST && !(view->stage && view->stage->sort_path_count);
}

void subscription_announce(struct subscription *subscription, int resumed)
{
    struct subscriber *subscriber = subscription->subscriber;
    const struct feed *feed = subscription->feed;
    const struct view_stage *stage = feed->view->stage;
    char epoch[VIEW_EPOCH];
    struct wire_subscribed subscribed = {
        .view = span_of(feed->view->id),
        .mode = feed->mode,
        .sorted_by_seq = is_sorted_by_seq(feed->view),
        .epoch = span_of(view_epoch(subscriber->hub, feed->view, feed->scope, epoch)),
        .resumed = resumed};
    if (stage) {
        subscribed.sort_path = stage->sort_path;
        subscribed.sort_path_count = stage->sort_path_count;
        subscribed.descending = stage->descending;
    }
    if (subscription->window)
        subscribed.has_take = window_part(subscription->window, &subscribed.take, &subscribed.skip);
    size_t before = subscriber->control.length;
    wire_subscribed(&subscriber->control, &subscribed);
    if (subscription->meter && !subscriber->control.failed) {
        struct buffer *control = &subscriber->control;
        struct span added = span_make(control->data + before, control->length - before);
        usage_announced(subscription->meter, wire_measure(added).payload);
    }
    subscriber_answered(subscriber);
}

/* ---- changing phase ---- */

void subscription_know(struct subscription *subscription, struct knowledge knowledge)
{
    list_position_unref(&subscription->knowledge.bound);
    subscription->knowledge = knowledge;
}

void subscription_start_snapshot(struct subscription *subscription)
{
    subscription->phase = PHASE_SNAPSHOT;
    subscription->in_channel = false;
    subscription->resuming = subscription->overlaps = subscription->answering = false;
    subscription->ambiguous_until = 0;
    subscription->only_greater = false;
    /* Who wants none gets one without rows when it may hold some that it must lose. */
    int64_t limit = subscription->with_snapshot ? subscription->limit : 0;
    snapshot_place_unref(&subscription->snapshot);
    subscription->snapshot = (struct snapshot_place){.limit = limit};
    if (!subscription->with_snapshot) {
        subscription->snapshot.change = subscription->moved_from;
        subscription->moved_from = 0;
    }
    /* With another token it goes on with what both show: what of that it is not sent, it may hold.
     */
    subscription_know(subscription,
                      (struct knowledge){.full = limit < 0, .resumed = subscription->was != NULL});
    key_owner_begins(subscription);
    subscriber_ready(subscription);
}

void subscription_start_live(struct subscription *subscription, int64_t cursor)
{
    subscription->phase = PHASE_LIVE;
    subscription->cursor = cursor;
    subscription->in_channel = false;
    subscription->resuming = subscription->answering = false;
    if (!subscription->knowledge.full && !subscription->knowledge.begun)
        subscription_know(subscription, (struct knowledge){.begun = true, .since = cursor});
    subscriber_ready(subscription);
}

void subscription_start_catch_up(struct subscription *subscription, int64_t cursor)
{
    subscription->phase = PHASE_CATCH_UP;
    subscription->cursor = cursor;
    subscription->in_channel = false;
    subscription->page_growth = 0;
    subscription->true_from = 0;
    subscriber_ready(subscription);
}

/* ---- snapshot ---- */

static void snapshot_ended(struct subscription *subscription)
{
    struct snapshot_place *place = &subscription->snapshot;
    if (!subscription->knowledge.full) {
        struct knowledge knowledge = subscription->knowledge;
        knowledge.begun = true;
        knowledge.since = place->change;
        knowledge.bounded = place->rows > 0;
        knowledge.bound = list_position_ref(&place->bound);
        subscription_know(subscription, knowledge);
    }
    snapshot_place_unref(place);
    key_owner_stated(subscription);
    if (place->latest == place->change) {
        row_scope_unref(subscription->was);
        subscription->was = NULL;
        subscription_start_live(subscription, place->change);
        return;
    }
    /* Rows of several states: what changed between them is sent again, and only then is the
     * snapshot complete and has a cursor. */
    subscription->overlaps = subscription->resuming = true;
    subscription->resume_limit = -1;
    subscription->resume_target = place->latest;
    subscription->resume_seq = place->seq;
    subscription_start_catch_up(subscription, place->change);
}

static struct span pull_snapshot(struct subscription *subscription)
{
    struct snapshot_batch *batch = snapshot_next(subscription);
    if (!batch)
        return span_make(NULL, 0);
    subscriber_give_turn(subscription);
    if (!subscriber_allows_rows(subscription, batch->rows)) {
        snapshot_batch_unref(batch);
        return span_make(NULL, 0);
    }
    meter_snapshot(subscription, (uint64_t)(batch->end.rows - subscription->snapshot.rows),
                   batch->last && batch->complete);
    snapshot_place_unref(&subscription->snapshot);
    subscription->snapshot = snapshot_place_ref(&batch->end);
    struct text *frames = text_ref(batch->frames);
    bool last = batch->last;
    snapshot_batch_unref(batch);
    if (last)
        snapshot_ended(subscription);
    else
        subscriber_ready(subscription); /* also when this batch was of hidden deletes only */
    return subscriber_send(subscription->subscriber, frames);
}

struct span subscription_pull(struct subscription *subscription)
{
    catch_up_release(subscription);
    switch (subscription->phase) {
    case PHASE_RESOLVING:
        break;
    case PHASE_SNAPSHOT:
        return pull_snapshot(subscription);
    case PHASE_CATCH_UP:
        return catch_up_pull(subscription);
    case PHASE_LIVE:
        return subscription_pull_live(subscription);
    case PHASE_WINDOW:
        return window_pull(subscription);
    }
    return span_make(NULL, 0);
}
