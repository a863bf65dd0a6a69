/* What a subscription shows of itself to who watches the server. */
#include "delivery/hub_internal.h"

/* As the client sees it: what it waits for. */
static const char *state_of(const struct subscription *subscription)
{
    const struct reader_ops *reader = subscription->reader;
    switch (subscription->reading) {
    case READER_RESUME:
    case READER_TAPE:
        return "resuming";
    case READER_SNAPSHOT:
        return "snapshot";
    case READER_LOG:
        return "catching-up";
    case READER_LIVE:
    case READER_WINDOW:
    case READER_KINDS:
        break;
    }
    if (reader && reader->is_live && reader->is_live(subscription))
        return "live";
    return !reader || !reader->is_opening || reader->is_opening(subscription) ? "snapshot"
                                                                              : "catching-up";
}

/* The first change that it lacks may be in memory; else there are notes of when it came. */
static double seconds_behind(const struct hub *hub, int64_t change)
{
    uint64_t now = clock_monotonic_us();
    const struct change *next = backlog_get(&hub->backlog, change + 1);
    if (next && next->received_us)
        return (double)(now - next->received_us) / 1e6;
    return head_times_since(&hub->head_times, change, now);
}

static void find_seq(const struct subscription *subscription, struct subscription_facts *facts)
{
    const struct hub *hub = subscription->subscriber->hub;
    const struct change *change = backlog_get(&hub->backlog, facts->change);
    if (facts->change >= hub->backlog.last)
        facts->seq = hub->head;
    else if (change)
        facts->seq = (struct seq){change->slot, change->index};
    else if (subscription->reading == READER_LOG)
        facts->seq = subscription->log.seq;
    facts->has_seq = facts->change > 0 && (facts->seq.slot || facts->seq.index);
}

static void find_lag(const struct subscription *subscription, struct subscription_facts *facts)
{
    const struct hub *hub = subscription->subscriber->hub;
    const struct reader_ops *reader = subscription->reader;
    if (reader && reader->has_all && reader->has_all(subscription))
        facts->change = hub->backlog.last;
    else if (subscription->reading == READER_LIVE || subscription->reading == READER_LOG)
        facts->change = subscription->cursor;
    if (facts->change < 0)
        return;
    find_seq(subscription, facts);
    facts->behind = hub->backlog.last - facts->change;
    int64_t slot =
        facts->has_seq ? facts->seq.slot : head_times_slot(&hub->head_times, facts->change);
    if (slot >= 0)
        facts->slots_behind = hub->head.slot > slot ? hub->head.slot - slot : 0;
    facts->seconds_behind = facts->behind ? seconds_behind(hub, facts->change) : 0;
}

static struct asked_facts asked_of(const struct subscription *subscription)
{
    return (struct asked_facts){.view = span_of(subscription->topic->view->id),
                                .key = subscription_key(subscription),
                                .query = view_query_traits(subscription->tape.query).text,
                                .take = -1};
}

static void describe(const struct subscription *subscription, struct span id,
                     subscription_each each, void *argument)
{
    struct subscription_facts facts = {.id = id,
                                       .asked = asked_of(subscription),
                                       .state = state_of(subscription),
                                       .change = -1,
                                       .behind = -1,
                                       .slots_behind = -1,
                                       .seconds_behind = -1};
    if (subscription->member)
        subscription->subscriber->hub->window_ops->describe(subscription, &facts);
    find_lag(subscription, &facts);
    each(argument, &facts);
}

size_t subscriber_describe(const struct subscriber *subscriber, struct span id, size_t most,
                           subscription_each each, void *argument)
{
    size_t count = 0;
    const struct link *link = subscriber->subscriptions.next;
    for (; link != &subscriber->subscriptions && count < most; link = link->next, count++)
        describe(LINK_OWNER(struct subscription, in_subscriber, link), id, each, argument);
    return count;
}
