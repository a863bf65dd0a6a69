#include "delivery/hub_internal.h"

void reader_fail(struct subscription *subscription, const struct error *error)
{
    if (!subscription->failure)
        subscription->failure = memory_new(sizeof *error);
    if (subscription->failure)
        *subscription->failure = *error;
    subscription->failed = true;
    subscriber_ready(subscription);
}

struct reader_step reader_failed(struct subscription *subscription, const struct error *error)
{
    reader_fail(subscription, error);
    return (struct reader_step){.then = STEP_FAILED};
}

void subscription_know(struct subscription *subscription, struct knowledge knowledge)
{
    list_position_unref(&subscription->knowledge.bound);
    subscription->knowledge = knowledge;
}

struct span subscription_key(const struct subscription *subscription)
{
    const struct key_group *group = subscription->group;
    if (subscription->window)
        return subscription->feed->hub->window_ops->key(subscription);
    return group ? span_make(group->key, group->key_length) : span_make(NULL, 0);
}
