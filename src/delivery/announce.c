/* What a client is told of its subscription: `subscribed`, and what became of it. */
#include "delivery/hub_internal.h"

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
    if (subscription->member)
        subscribed.has_take =
            feed->hub->window_ops->part(subscription, &subscribed.take, &subscribed.skip);
    size_t before = subscriber->control.length;
    wire_subscribed(&subscriber->control, &subscribed);
    if (subscription->meter && !subscriber->control.failed) {
        struct buffer *control = &subscriber->control;
        struct span added = span_make(control->data + before, control->length - before);
        usage_announced(subscription->meter, wire_measure(added).payload);
    }
    subscriber_answered(subscriber);
}

void subscription_error(const struct subscription *subscription, const struct error *error)
{
    const struct wire_about about = {.view = span_of(subscription->feed->view->id),
                                     .key = subscription_key(subscription)};
    subscriber_error_about(subscription->subscriber, error, &about);
}
