/*
 * The short way from a frame log to a socket: the frames that one live subscription is behind go
 * out by one write, however many blocks they are in, and the cursor moves by what the socket took.
 * So a commit costs each of many subscribers one call, and of a slow one no more than a frame is
 * copied. Whatever else is due to the client goes by pull.c.
 */
#include "delivery/hub_internal.h"

/* Nothing beside that subscription has anything to say, or a say in what it sends. */
static bool is_alone(const struct subscriber *subscriber)
{
    const struct outbox *outbox = &subscriber->outbox;
    const struct link *ready = &subscriber->ready;
    return !link_alone(ready) && ready->next == ready->previous && !outbox->rest &&
           !outbox->control.capacity && !outbox->control.failed &&
           link_alone(&subscriber->owners.list) && !subscriber->owners.passing_over;
}

/* Whether anything lies ready is for its reader to say. */
static struct subscription *find(const struct subscriber *subscriber)
{
    if (subscriber->ended || !is_alone(subscriber))
        return NULL;
    struct subscription *it = LINK_OWNER(struct subscription, in_ready, subscriber->ready.next);
    bool plain = !it->failure && !it->beside.restates && !subscription_leaves(it);
    return plain && it->reader->show ? it : NULL;
}

size_t subscriber_show(void *supply, struct span *pieces, size_t most)
{
    struct subscription *subscription = find(supply);
    return subscription ? subscription->reader->show(subscription, pieces, most) : 0;
}

struct supply_taken subscriber_took(void *supply, size_t length, bool all)
{
    const struct subscriber *subscriber = supply;
    struct subscription *subscription = find(subscriber);
    INVARIANT(subscription);
    struct frame_run run = subscription->reader->took(subscription, length, all);
    counter_add(&subscriber->hub->metrics.bytes_out, length + run.bytes.length);
    if (subscription->meter)
        usage_sent(subscription->meter, USAGE_UPDATE, 0, run.counts.messages, run.counts.payload,
                   false);
    bool more = link_alone(&subscription->in_rest);
    if (!more)
        link_remove(&subscription->in_ready);
    return (struct supply_taken){
        .rest = run.bytes, .run = {run.counts.messages, run.counts.payload, false}, .more = more};
}
