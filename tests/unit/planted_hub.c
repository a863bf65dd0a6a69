#include "planted_hub.h"
#include "test.h"
#include "window/window.h"

struct hub *hub;
struct topic *topic;
struct subscriber *subscriber;

void never(void *argument)
{
    (void)argument;
}

struct topic *get_topic(void)
{
    struct topic *found = topic_get(subscriber, view_set_find(hub->views, span_of("Q/list")));
    assert_non_null(found);
    return found;
}

struct subscription *add(const char *key)
{
    struct subscription *subscription = memory_new(sizeof *subscription);
    struct link *links[] = {&subscription->in_subscriber, &subscription->in_ready,
                            &subscription->in_rest,       &subscription->in_group,
                            &subscription->in_waiting,    &subscription->snapshot.in_build,
                            &subscription->previous.rows, &subscription->beside.in_owners};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        link_init(links[i]);
    subscription->subscriber = subscriber;
    topic = get_topic();
    assert_true(
        topic_join(topic, subscription, key ? span_of(key) : span_make(NULL, 0), NULL, NULL));
    link_append(&subscriber->subscriptions, &subscription->in_subscriber);
    subscriber->count++;
    return subscription;
}

void make_hub(void)
{
    const struct hub_options options = {
        .ring_bytes = 1 << 20, .channel_bytes = 1 << 20, .max_subscriptions = 100};
    const struct store_export export = {.id = 1, .name = {"Q", 1}};
    struct view_set *views = view_set_new(false);
    struct error error;
    assert_true(view_set_add_export(views, span_of("Q"), &error));
    hub = hub_new(&options, views, &window_ops);
    assert_non_null(hub);
    hub_add_export(hub, &export);
    subscriber = subscriber_new(hub, &(struct subscriber_options){.wake = never, .argument = NULL});
    assert_non_null(subscriber);
}

struct subscription *make(const char *key)
{
    make_hub();
    struct subscription *subscription = add(key);
    subscription->asked.with_snapshot = false;
    phase_begin(subscription, false);
    link_remove(&subscription->in_ready);
    return subscription;
}

struct change *make_change(int64_t id)
{
    static struct change_slab *slab;
    const struct change_texts texts = {.key = span_of("k"), .patch = span_of("{\"n\":1}")};
    struct change *change = change_new(&slab, &texts);
    change->id = id;
    change->export_id = 1;
    return change;
}

/* What the reader of the subscription brings. */
static struct reader_step planted;

static struct reader_step pull_planted(struct subscription *subscription)
{
    (void)subscription;
    return planted;
}

struct span pull(struct subscription *subscription, struct reader_step step)
{
    static const struct reader_ops reader = {.pull = pull_planted};
    planted = step;
    subscription->reader = &reader;
    return subscription_pull(subscription);
}
