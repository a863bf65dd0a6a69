#include "delivery/hub_internal.h"

/* The reason when there is no memory for one. */
static struct error lacks_memory = {
    .code = ERROR_MEMORY, .message = "out of memory for a subscription; subscribe again later"};

void reader_fail(struct subscription *subscription, const struct error *error)
{
    struct error *failure =
        subscription->failure ? subscription->failure : memory_new(sizeof *error);
    if (failure && failure != &lacks_memory)
        *failure = *error;
    subscription->failure = failure ? failure : &lacks_memory;
    subscriber_ready(subscription);
}

void reader_forget_failure(struct subscription *subscription)
{
    if (subscription->failure != &lacks_memory)
        memory_free(subscription->failure);
    subscription->failure = NULL;
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
    if (subscription->member)
        return subscription->topic->hub->window_ops->key(subscription);
    return group ? span_make(group->key, group->key_length) : span_make(NULL, 0);
}

void subscription_lost_was(struct subscription *subscription)
{
    row_scope_unref(subscription->moved.was);
    subscription->moved.was = NULL;
}
