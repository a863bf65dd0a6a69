/* Feeds: one per view that somebody listens to. */
#include "delivery/hub_internal.h"

static struct span group_key(const void *value)
{
    const struct key_group *group = value;
    return span_make(group->key, group->key_length);
}

enum wire_mode feed_mode(const struct view *view)
{
    return view->mode == VIEW_STATE    ? WIRE_STATE
           : view->mode == VIEW_APPEND ? WIRE_APPEND
                                       : WIRE_LIST;
}

static struct feed *feed_new(const struct subscriber *subscriber, const struct view *view,
                             struct span name)
{
    struct hub *hub = subscriber->hub;
    struct hub_export *export = hub_await(hub, view);
    struct feed *feed = export ? memory_alloc(sizeof *feed + name.length) : NULL;
    if (!feed) {
        if (export)
            hub_stop_waiting(hub, export);
        return NULL;
    }
    *feed = (struct feed){.hub = hub,
                          .export = export,
                          .view = view_ref(view),
                          .scope = row_scope_ref(view->scope ? subscriber->scope : NULL),
                          .encoding = subscriber->encoding,
                          .mode = feed_mode(view),
                          .name_length = name.length};
    memcpy(feed->name, name.data, name.length);
    link_init(&feed->in_export);
    link_init(&feed->in_touched);
    link_init(&feed->in_long);
    link_init(&feed->list_windows);
    link_init(&feed->resting);
    map_init(&feed->groups, group_key);
    bool listed = label_index_add(&export->topics, &feed->topic, feed, feed->scope);
    if (!listed || !map_add(&hub->topics.by_name, feed)) {
        label_index_remove(&export->topics, &feed->topic);
        row_scope_unref(feed->scope);
        view_unref(feed->view);
        memory_free(feed);
        hub_stop_waiting(hub, export);
        return NULL;
    }
    link_append(&export->feeds, &feed->in_export);
    return feed;
}

struct feed *feed_get(const struct subscriber *subscriber, const struct view *view)
{
    struct hub *hub = subscriber->hub;
    struct buffer *text = &hub->scratch.paths;
    struct span name = span_of(view->id);
    if (view->scope || subscriber->encoding) {
        buffer_clear(text);
        buffer_add_span(text, name);
        if (view->scope) {
            buffer_add_char(text, '\n');
            buffer_add_span(text, row_scope_name(subscriber->scope));
        }
        if (subscriber->encoding)
            buffer_add_string(text, "\nbodies");
        if (text->failed)
            return NULL;
        name = buffer_span(text);
    }
    struct feed *feed = map_get(&hub->topics.by_name, name);
    return feed ? feed : feed_new(subscriber, view, name);
}

/* ---- the channel ---- */

/* The channel had so many bytes before something was done to it. */
static void count_channel(struct feed *feed, size_t before)
{
    struct hub *hub = feed->hub;
    bool is_long = feed->channel.next - feed->channel.first >= 2;
    INVARIANT(hub->topics.channel_bytes + feed->channel.bytes >= before);
    hub->topics.channel_bytes += feed->channel.bytes - before;
    if (is_long != link_alone(&feed->in_long))
        return;
    if (is_long)
        link_append(&hub->topics.long_channels, &feed->in_long);
    else
        link_remove(&feed->in_long);
}

static void end_channel(struct feed *feed)
{
    size_t before = feed->channel.bytes;
    if (!feed->channel_on)
        return;
    channel_fini(&feed->channel);
    feed->channel_on = false;
    count_channel(feed, before);
}

void feed_pass(struct feed *feed)
{
    if (feed->channel_on && feed->channel.head < feed->hub->ring.last)
        channel_pass(&feed->channel, feed->hub->ring.last);
}

/* One cap for all views: the fullest channel gives its oldest block. */
void feeds_trim(struct hub *hub)
{
    while (hub->topics.channel_bytes > hub->options.channel_bytes &&
           !link_alone(&hub->topics.long_channels)) {
        struct link *link = hub->topics.long_channels.next;
        struct feed *fullest = LINK_OWNER(struct feed, in_long, link);
        for (; link != &hub->topics.long_channels; link = link->next) {
            struct feed *feed = LINK_OWNER(struct feed, in_long, link);
            if (feed->channel.bytes > fullest->channel.bytes)
                fullest = feed;
        }
        size_t before = fullest->channel.bytes;
        channel_drop_oldest(&fullest->channel);
        count_channel(fullest, before);
    }
}

static void feed_free(struct feed *feed)
{
    INVARIANT(!feed->unkeyed && !feed->groups.count);
    INVARIANT(link_alone(&feed->resting) && link_alone(&feed->list_windows));
    map_remove(&feed->hub->topics.by_name, span_make(feed->name, feed->name_length));
    link_remove(&feed->in_export);
    link_remove(&feed->in_touched);
    label_index_remove(&feed->export->topics, &feed->topic);
    end_channel(feed);
    map_fini(&feed->groups);
    row_scope_unref(feed->scope);
    view_unref(feed->view);
    hub_stop_waiting(feed->hub, feed->export);
    memory_free(feed);
}

/* ---- key groups ---- */

static struct key_group *group_get(struct feed *feed, struct span key)
{
    struct key_group *group = map_get(&feed->groups, key);
    if (group)
        return group;
    group = memory_alloc(sizeof *group + key.length);
    if (!group)
        return NULL;
    *group = (struct key_group){.feed = feed, .key_length = key.length};
    memcpy(group->key, key.data, key.length);
    link_init(&group->members);
    link_init(&group->resting);
    if (!map_add(&feed->groups, group)) {
        memory_free(group);
        return NULL;
    }
    return group;
}

static void group_free(struct key_group *group)
{
    INVARIANT(link_alone(&group->resting));
    map_remove(&group->feed->groups, group_key(group));
    memory_free(group->ids);
    memory_free(group);
}

/* Ids that the ring has dropped are of no use: whoever needs them is served from the database. */
static void group_trim(struct key_group *group, int64_t first)
{
    INVARIANT(group->first + group->count <= group->capacity);
    while (group->count && group->ids[group->first] < first) {
        group->first++;
        group->count--;
    }
    if (group->first > group->capacity / 2) {
        memmove(group->ids, group->ids + group->first, group->count * sizeof *group->ids);
        group->first = 0;
    }
}

static bool group_note(struct key_group *group, int64_t id)
{
    group_trim(group, group->feed->hub->ring.first);
    if (group->first + group->count == group->capacity) {
        size_t capacity = group->capacity ? group->capacity * 2 : 4;
        int64_t *ids = memory_resize(group->ids, capacity * sizeof *ids);
        if (!ids)
            return false;
        group->ids = ids;
        group->capacity = capacity;
    }
    INVARIANT(!group->count || group->ids[group->first + group->count - 1] < id);
    group->ids[group->first + group->count++] = id;
    return true;
}

/* Who rests has everything before this change, however long ago its cursor was set. */
static void wake_all(struct link *resting, int64_t first)
{
    while (!link_alone(resting)) {
        struct subscription *subscription = LINK_OWNER(struct subscription, in_rest, resting->next);
        if (subscription->cursor < first - 1)
            subscription->cursor = first - 1;
        subscriber_ready(subscription);
    }
}

void feed_rest(struct subscription *subscription)
{
    struct link *resting =
        subscription->group ? &subscription->group->resting : &subscription->feed->resting;
    INVARIANT(subscription->reading == READER_LIVE);
    INVARIANT(subscription->cursor >= subscription->feed->hub->ring.last);
    link_remove(&subscription->in_rest);
    link_append(resting, &subscription->in_rest);
}

/* Out of memory for the note: the members get the change from the database. */
static void fall_behind(struct key_group *group)
{
    struct link *link;
    for (link = group->members.next; link != &group->members; link = link->next) {
        struct subscription *subscription = LINK_OWNER(struct subscription, in_group, link);
        subscription->live.missed = true;
    }
}

/* ---- joining and leaving ---- */

static void count_in(struct feed *feed, struct subscription *subscription)
{
    subscription->feed = feed;
    feed->subscriptions++;
    feed->hub->subscription_count++;
}

bool feed_join(struct feed *feed, struct subscription *subscription, struct span key)
{
    INVARIANT(!subscription->group && !subscription->member);
    if (key.data) {
        subscription->group = group_get(feed, key);
        if (!subscription->group)
            return false;
        link_append(&subscription->group->members, &subscription->in_group);
    } else {
        feed->unkeyed++;
    }
    count_in(feed, subscription);
    return true;
}

bool feed_join_window(struct feed *feed, struct subscription *subscription,
                      struct window_spec *spec, struct error *error)
{
    subscription->feed = feed;
    if (!feed->hub->window_ops->join(subscription, spec, error))
        return false;
    count_in(feed, subscription);
    return true;
}

void feed_drop_unused(struct feed *feed)
{
    if (!feed->subscriptions && !feed->windows)
        feed_free(feed);
}

void feed_leave(struct feed *feed, struct subscription *subscription)
{
    INVARIANT(subscription->feed == feed && feed->subscriptions > 0);
    INVARIANT(feed->hub->subscription_count >= feed->subscriptions);
    INVARIANT(subscription->member || subscription->group || feed->unkeyed > 0);
    link_remove(&subscription->in_rest);
    if (subscription->member) {
        feed->hub->window_ops->leave(subscription);
    } else if (subscription->group) {
        link_remove(&subscription->in_group);
        if (link_alone(&subscription->group->members))
            group_free(subscription->group);
        subscription->group = NULL;
    } else if (--feed->unkeyed == 0) {
        end_channel(feed);
    }
    feed->hub->subscription_count--;
    feed->subscriptions--;
    feed_drop_unused(feed);
}

/* ---- a commit ---- */

static void feed_offer_channel(struct feed *feed, const struct change *change)
{
    struct hub *hub = feed->hub;
    size_t before = feed->channel.bytes;
    if (!view_shows(feed->view, change_key(change)))
        return;
    buffer_clear(&hub->scratch.frame);
    if (!frame_change(feed, change, KEY_SENT_WHOLE, &hub->scratch.frame)) {
        /* Out of memory. Passed and emptied, all its cursors are behind: the database has it. */
        channel_pass(&feed->channel, change->id);
        channel_clear(&feed->channel);
    } else if (hub->scratch.frame.length) {
        channel_add(&feed->channel, change->id, buffer_span(&hub->scratch.frame));
    }
    count_channel(feed, before);
}

/* Nothing at all happens for who must not see the row. */
static bool is_hidden(const struct feed *feed, const struct change *change)
{
    struct sight sight = row_scope_sight(feed->scope, change);
    return !sight.before && !sight.after;
}

void feed_offer(struct feed *feed, const struct change *change)
{
    INVARIANT(feed->offered <= change->id);
    INVARIANT(feed->export->id == change->export_id);
    if (feed->offered == change->id) /* it saw the row before, and sees it now */
        return;
    feed->offered = change->id;
    counter_add(&feed->hub->metrics.topics_offered, 1);
    if (feed->scope && is_hidden(feed, change))
        return;
    if (link_alone(&feed->in_touched))
        link_append(&feed->hub->topics.touched, &feed->in_touched);
    if (feed->channel_on)
        feed_offer_channel(feed, change);
    if (!feed->groups.count)
        return;
    struct key_group *group = map_get(&feed->groups, change_key(change));
    if (!group || !view_shows(feed->view, change_key(change)))
        return;
    wake_all(&group->resting, change->id);
    if (!group_note(group, change->id))
        fall_behind(group);
}

void feed_settle(struct feed *feed, int64_t first, int64_t head)
{
    INVARIANT(feed->offered <= head); /* who rests is woken for what was offered */
    if (feed->channel_on && feed->channel.head < head)
        channel_pass(&feed->channel, head);
    wake_all(&feed->resting, first);
}
