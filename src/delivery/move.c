/*
 * A subscription whose subscriber has another token than before, and sees other rows: it leaves
 * what it shared with those who see what it saw, and begins anew among those who see what it sees.
 * The snapshot replaces what the client held; to a client that goes on with its rows all the same,
 * what it must lose is told row by row.
 */
#include "delivery/hub_internal.h"

/* The subscription is gone afterwards. */
static void fail(struct subscription *subscription, const struct error *error)
{
    subscription_fail(subscription, error);
}

/* The change up to which the client has everything; 0: unknown; negative: that is not said. */
static int64_t position_of(const struct subscription *subscription)
{
    switch (subscription->reading) {
    case READER_LIVE:
    case READER_LOG:
        return subscription->cursor;
    case READER_SNAPSHOT:
        return subscription->snapshot.point.change;
    case READER_RESUME:
    case READER_TAPE:
    case READER_WINDOW:
    case READER_KINDS:
        break;
    }
    return -1;
}

/* The rows that the client may hold: those of the old token until now, and before the snapshot
 * that is under way. */
static bool note_was(struct subscription *subscription)
{
    struct hub *hub = subscription->subscriber->hub;
    struct row_scope *was = subscription->moved.was, *seen = subscription->topic->scope;
    subscription->moved.was =
        was ? row_scope_join(&hub->row_scopes, was, seen) : row_scope_ref(seen);
    /* A client that wants no snapshot goes on with the rows that both tokens show. */
    int64_t position = position_of(subscription);
    if (position >= 0)
        subscription->moved.from = position;
    row_scope_unref(was);
    return subscription->moved.was != NULL;
}

/* On failure it belongs to no topic any more, and is freed here. */
static bool change_topic(struct subscription *subscription, struct window_spec *spec,
                         struct error *error)
{
    struct subscriber *subscriber = subscription->subscriber;
    struct topic *old = subscription->topic;
    const struct view *view = view_ref(old->view);
    struct topic *topic = topic_get(subscriber, view);
    struct span own = subscription_key(subscription), key = span_make(NULL, 0);
    char *copy = own.data ? memory_copy_string(own.data, own.length) : NULL;
    bool ready = topic && (copy || !own.data);
    if (copy)
        key = span_make(copy, own.length);
    bool joined = false;
    if (ready) {
        topic_leave(old, subscription);
        joined = topic_join(topic, subscription, key, spec, error);
    }
    if (!joined) {
        const struct wire_about about = {.view = span_of(view->id), .key = key};
        if (topic)
            topic_drop_unused(topic);
        subscriber_error(subscriber, error, &about, false);
        if (ready)
            subscription_drop(subscription);
        else
            subscription_close(subscription);
    }
    memory_free(copy);
    view_unref(view);
    return joined;
}

static void move_window(struct subscription *subscription, struct error *error)
{
    const struct window_ops *windows = subscription->subscriber->hub->window_ops;
    struct window_spec *spec = windows->moved(subscription, subscription->subscriber->scope);
    if (!spec) {
        fail(subscription, error);
        return;
    }
    previous_move(subscription);
    bool moved = change_topic(subscription, spec, error);
    windows->drop(spec);
    if (!moved)
        return;
    subscription_announce(subscription, 0);
    phase_begin(subscription, true);
}

void subscription_move(struct subscription *subscription)
{
    struct error error;
    error_set(&error, ERROR_MEMORY, "out of memory for a subscription to '%.128s'",
              subscription->topic->view->id);
    phase_stop(subscription);
    if (subscription->member) {
        move_window(subscription, &error);
        return;
    }
    if (!note_was(subscription)) {
        fail(subscription, &error);
        return;
    }
    if (!change_topic(subscription, NULL, &error))
        return;
    subscription_announce(subscription, 0);
    phase_begin(subscription, true);
}
