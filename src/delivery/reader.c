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
