/* A subscription whose cursor this node does not have yet. It goes on when the node is there. When
 * that takes too long, its client is ended: all the cursors that it has are from as far ahead. */
#include "delivery/read_task.h"

static void refuse(struct subscription *subscription, const struct error *error)
{
    const struct subscriber *subscriber = subscription->subscriber;
    if (error->code == ERROR_SHUTTING_DOWN)
        return; /* it is told with its connection */
    if (subscriber->calls.behind)
        subscriber->calls.behind(subscriber->calls.argument, error);
    else
        reader_fail(subscription, error);
}

static void on_done(struct cursor_wait *wait, const struct error *error)
{
    struct held_cursor *held = (struct held_cursor *)wait;
    struct subscription *subscription = held->subscription;
    INVARIANT(subscription->held == held);
    subscription->held = NULL;
    if (error)
        refuse(subscription, error);
    else if (!held->go_on(subscription, held))
        read_task_refused(subscription);
    memory_free(held);
}

bool held_begin(struct subscription *subscription, struct cursor_place place,
                const struct held_cursor *held)
{
    struct held_cursor *copy = memory_new(sizeof *copy);
    INVARIANT(!subscription->held);
    if (!copy)
        return false;
    *copy = *held;
    copy->subscription = subscription;
    subscription->held = copy;
    cursor_wait_begin(subscription->subscriber->hub, &copy->wait, place, on_done);
    return true;
}

void held_forget(struct subscription *subscription)
{
    if (!subscription->held)
        return;
    cursor_wait_end(&subscription->held->wait);
    memory_free(subscription->held);
    subscription->held = NULL;
}
