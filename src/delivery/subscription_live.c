/* A live subscription: frames from its feed's channel, or put together from the ring of changes. */
#include "delivery/hub_internal.h"
#include "delivery/key_owner.h"

/* Try to go on from the channel: for those who know every key and want all of the view. */
static void enter_channel(struct subscription *subscription)
{
    struct feed *feed = subscription->feed;
    struct hub *hub = feed->hub;
    if (subscription->group || !subscription->knowledge.full ||
        subscription->cursor > hub->ring.last)
        return;
    if (!feed->channel_on) {
        channel_init(&feed->channel, hub->ring.last);
        feed->channel_on = true;
    }
    subscription->in_channel =
        channel_seek(&feed->channel, subscription->cursor, &subscription->place);
}

static struct span pull_channel(struct subscription *subscription)
{
    struct feed *feed = subscription->feed;
    bool behind;
    struct text *whole;
    struct span bytes = channel_take(&feed->channel, &subscription->place, &behind, &whole);
    if (behind) {
        subscription->in_channel = false;
        return bytes;
    }
    subscription->cursor = subscription->place.id;
    return whole ? subscriber_send(subscription->subscriber, text_ref(whole)) : bytes;
}

static bool put_frame(struct subscription *subscription, const struct change *change)
{
    struct feed *feed = subscription->feed;
    if (change->export_id != feed->export->id || !view_shows(feed->view, change_key(change)))
        return true;
    enum key_state state = knowledge_of(&subscription->knowledge, change);
    if (state == KEY_NEVER_SENT && (subscription->owned || subscription->beside))
        state = KEY_MAY_BE_HELD; /* by another that shows it, or showed it */
    return frame_change(feed, change, state, &feed->hub->out);
}

/* The ring's changes of one key, by the group's list of them. */
static bool gather_key(struct subscription *subscription)
{
    struct hub *hub = subscription->feed->hub;
    struct key_group *group = subscription->group;
    size_t low = 0, high = group->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (group->ids[group->first + middle] <= subscription->cursor)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < group->count; low++) {
        int64_t id = group->ids[group->first + low];
        const struct change *change = ring_get(&hub->ring, id);
        if (hub->out.length >= HUB_PULL)
            return true;
        if (change && !put_frame(subscription, change))
            return false;
        subscription->cursor = id;
    }
    subscription->cursor = hub->ring.last;
    return true;
}

static bool gather_all(struct subscription *subscription)
{
    struct hub *hub = subscription->feed->hub;
    while (subscription->cursor < hub->ring.last && hub->out.length < HUB_PULL) {
        const struct change *change = ring_get(&hub->ring, subscription->cursor + 1);
        if (!change || !put_frame(subscription, change))
            return false;
        subscription->cursor++;
    }
    return true;
}

/* Put together for this subscriber alone; large results are kept so that they go in pieces. */
static struct span pull_ring(struct subscription *subscription)
{
    struct hub *hub = subscription->feed->hub;
    buffer_clear(&hub->out);
    bool done = (subscription->group ? gather_key : gather_all)(subscription);
    if (!done && !hub->out.length) {
        subscription_start_catch_up(subscription, subscription->cursor);
        return span_make(NULL, 0);
    }
    if (hub->out.length <= HUB_PULL * 2)
        return buffer_span(&hub->out);
    struct text *text = text_new(hub->out.data, hub->out.length);
    return text ? subscriber_send(subscription->subscriber, text) : buffer_span(&hub->out);
}

struct span subscription_pull_live(struct subscription *subscription)
{
    struct hub *hub = subscription->feed->hub;
    if (!key_owner_goes_on(subscription))
        return span_make(NULL, 0);
    feed_pass(subscription->feed);
    if (!subscription->in_channel)
        enter_channel(subscription);
    if (subscription->in_channel) {
        struct span bytes = pull_channel(subscription);
        if (bytes.length)
            return bytes;
    }
    if (subscription->cursor >= hub->ring.last) {
        feed_rest(subscription);
        key_owner_rests(subscription);
        return span_make(NULL, 0);
    }
    bool held = subscription->cursor + 1 >= hub->ring.first;
    if (held && (subscription->group || !subscription->knowledge.full ||
                 hub->ring.last - subscription->cursor <= HUB_RING_GAP)) {
        struct span bytes = pull_ring(subscription);
        if (!bytes.length)
            subscriber_ready(subscription); /* nothing of it was for this view; look again */
        return bytes;
    }
    counter_add(&hub->metrics.catch_ups, 1);
    subscription_start_catch_up(subscription, subscription->cursor);
    return span_make(NULL, 0);
}
