/* Messages to a client about its subscription: `subscribed`, and errors. */
#include "delivery/hub_internal.h"

/* Lists are, and what is made of them without an order of its own. */
static bool is_sorted_by_seq(const struct view *view)
{
    return view->mode == VIEW_LIST && !(view->stage && view->stage->sort_path_count);
}

/* By what, in the keys of a query or else the view's own. */
static size_t find_sorts(const struct subscription *subscription, struct wire_sort *sorts)
{
    const struct topic *topic = subscription->topic;
    const struct view_stage *stage = topic->view->stage;
    const struct view_query *query =
        subscription->member ? topic->hub->window_ops->order(subscription) : NULL;
    size_t count = view_query_traits(query).sorts;
    for (size_t i = 0; i < count; i++) {
        struct view_query_sort sort = view_query_sort(query, i);
        sorts[i] = (struct wire_sort){sort.names, sort.count, sort.descending};
    }
    if (count || !stage || !stage->sort_path_count)
        return count;
    sorts[0] = (struct wire_sort){stage->sort_path, stage->sort_path_count, stage->descending};
    return 1;
}

void subscription_announce(struct subscription *subscription, int resumed)
{
    struct subscriber *subscriber = subscription->subscriber;
    const struct topic *topic = subscription->topic;
    struct wire_sort sorts[VIEW_QUERY_SORTS];
    size_t sort_count = find_sorts(subscription, sorts);
    char epoch[VIEW_EPOCH];
    struct wire_subscribed subscribed = {
        .encoding = topic->encoding,
        .tape = subscription->tape.on ? &subscription->tape.window : NULL,
        .view = span_of(topic->view->id),
        .mode = topic->mode,
        .sorted_by_seq = !sort_count && is_sorted_by_seq(topic->view),
        .sorts = sorts,
        .sort_count = sort_count,
        .epoch = span_of(view_epoch(subscriber->hub, topic->view, topic->scope, epoch)),
        .resumed = resumed};
    if (subscription->member)
        subscribed.has_take =
            topic->hub->window_ops->part(subscription, &subscribed.take, &subscribed.skip);
    size_t before = subscriber->outbox.control.length;
    wire_subscribed(&subscriber->outbox.control, &subscribed);
    if (subscription->meter && !subscriber->outbox.control.failed) {
        struct buffer *control = &subscriber->outbox.control;
        struct span added = span_make(control->data + before, control->length - before);
        usage_announced(subscription->meter, wire_measure(added).payload);
    }
    subscriber_answered(subscriber);
}

void subscription_error(const struct subscription *subscription, const struct error *error)
{
    const struct wire_about about = {.view = span_of(subscription->topic->view->id),
                                     .key = subscription_key(subscription)};
    subscriber_error(subscription->subscriber, error, &about, false);
}
