/*
 * What waits for a pull of a subscriber: subscriptions with news, and answers; and who may ask the
 * readers. pull.c takes the bytes.
 */
#include "delivery/hub_internal.h"

/* The client has something to pull. At its end nobody is left to wake: whoever still calls has kept
 * what it should have given up. */
static void wake(struct subscriber *subscriber)
{
    INVARIANT(!subscriber->ended);
    subscriber->calls.wake(subscriber->calls.argument);
}

/* ---- answers ---- */

void subscriber_answered(struct subscriber *subscriber)
{
    if (subscriber->outbox.control.failed)
        log_error("hub", "answer-lost",
                  log_text("cause", "out of memory or an unread pile of answers"));
    wake(subscriber);
}

void subscriber_tell(struct subscriber *subscriber, struct span json)
{
    wire_text(&subscriber->outbox.control, json);
    subscriber_answered(subscriber);
}

void subscriber_error(struct subscriber *subscriber, const struct error *error,
                      const struct wire_about *about, bool fatal)
{
    const struct wire_problem problem = {.refusal = WIRE_REFUSED_SUBSCRIBE,
                                         .error = error,
                                         .fatal = fatal,
                                         .retry_after = error_retry_after(error)};
    if (subscriber->encoding)
        wire_problem(&subscriber->outbox.control, &problem);
    else
        wire_error(&subscriber->outbox.control, error, about, fatal, error_retry_after(error));
    counter_add(&subscriber->hub->metrics.messages_refused, 1);
    subscriber_answered(subscriber);
}

void subscriber_problem(struct subscriber *subscriber, const struct wire_problem *problem)
{
    INVARIANT(subscriber->encoding);
    wire_problem(&subscriber->outbox.control, problem);
    counter_add(&subscriber->hub->metrics.messages_refused, 1);
    subscriber_answered(subscriber);
}

/* ---- who has something, and who may ask the readers ---- */

void subscriber_ready(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    link_remove(&subscription->in_rest);
    if (!link_alone(&subscription->in_ready))
        return;
    link_append(&subscriber->ready, &subscription->in_ready);
    wake(subscriber);
}

void subscriber_ready_first(struct subscription *subscription)
{
    subscriber_ready(subscription);
    link_remove(&subscription->in_ready);
    link_prepend(&subscription->subscriber->ready, &subscription->in_ready);
}

bool subscriber_take_slot(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    INVARIANT(subscriber->slots.taken <= HUB_SLOTS);
    if (subscription->has_slot)
        return true;
    if (subscriber->slots.taken == HUB_SLOTS) {
        if (link_alone(&subscription->in_waiting))
            link_append(&subscriber->slots.waiting, &subscription->in_waiting);
        return false;
    }
    subscription->has_slot = true;
    subscriber->slots.taken++;
    return true;
}

/* Handed over to the next in line, so that nobody who asks again comes before it. */
void subscriber_give_slot(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    link_remove(&subscription->in_waiting);
    if (!subscription->has_slot)
        return;
    INVARIANT(subscriber->slots.taken > 0);
    subscription->has_slot = false;
    if (link_alone(&subscriber->slots.waiting)) {
        subscriber->slots.taken--;
        return;
    }
    struct subscription *next =
        LINK_OWNER(struct subscription, in_waiting, subscriber->slots.waiting.next);
    INVARIANT(!next->has_slot && subscriber->slots.taken == HUB_SLOTS);
    link_remove(&next->in_waiting);
    next->has_slot = true;
    subscriber_ready(next);
}
