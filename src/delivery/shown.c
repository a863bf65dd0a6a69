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

static struct subscription *find(const struct subscriber *subscriber)
{
    if (subscriber->ended || !is_alone(subscriber))
        return NULL;
    struct subscription *it = LINK_OWNER(struct subscription, in_ready, subscriber->ready.next);
    bool plain = !it->failure && !it->beside.restates && !subscription_leaves(it);
    return plain && it->reading == READER_LIVE && it->live.in_frame_log ? it : NULL;
}

size_t subscriber_show(void *supply, struct span *pieces, size_t most)
{
    const struct subscriber *subscriber = supply;
    const struct subscription *subscription = find(subscriber);
    if (!subscription)
        return 0;
    struct topic_log *log = subscription->live.log;
    INVARIANT(log && log->topic == subscription->topic);
    if (log->frames.room != subscriber->head.length)
        return 0; /* bodies, which need their heads */
    topic_log_pass(log, log->topic->hub->backlog.last);
    return frame_log_show(&log->frames, &subscription->live.at, subscriber->head, pieces, most);
}

struct supply_taken subscriber_took(void *supply, size_t length, bool all)
{
    const struct subscriber *subscriber = supply;
    struct subscription *subscription = find(subscriber);
    INVARIANT(subscription);
    struct hub *hub = subscriber->hub;
    struct frame_run run =
        frame_log_took(&subscription->live.log->frames, &subscription->live.at, length, !all);
    INVARIANT(subscription->cursor <= subscription->live.at.id);
    subscription->cursor = subscription->live.at.id;
    counter_add(&hub->metrics.bytes_out, length + run.bytes.length);
    if (subscription->meter)
        usage_sent(subscription->meter, USAGE_UPDATE, 0, run.counts.messages, run.counts.payload,
                   false);
    bool more = !all || subscription->cursor < hub->backlog.last;
    if (!more) {
        link_remove(&subscription->in_ready);
        topic_rest(subscription);
    }
    return (struct supply_taken){
        .rest = run.bytes, .run = {run.counts.messages, run.counts.payload, false}, .more = more};
}
