/* Topics: one per view that somebody listens to. */
#include "delivery/hub_internal.h"

static struct span group_key(const void *value)
{
    const struct key_group *group = value;
    return span_make(group->key, group->key_length);
}

enum wire_mode topic_mode(const struct view *view)
{
    return view->mode == VIEW_STATE    ? WIRE_STATE
           : view->mode == VIEW_APPEND ? WIRE_APPEND
                                       : WIRE_LIST;
}

static struct topic *topic_new(const struct subscriber *subscriber, const struct view *view,
                               struct span name)
{
    struct hub *hub = subscriber->hub;
    struct hub_export *export = hub_await(hub, view);
    struct topic *topic = export ? memory_alloc(sizeof *topic + name.length) : NULL;
    if (!topic) {
        if (export)
            hub_stop_waiting(hub, export);
        return NULL;
    }
    *topic = (struct topic){.hub = hub,
                            .export = export,
                            .view = view_ref(view),
                            .scope = row_scope_ref(view->scope ? subscriber->scope : NULL),
                            .encoding = subscriber->encoding,
                            .mode = topic_mode(view),
                            .name_length = name.length};
    memcpy(topic->name, name.data, name.length);
    link_init(&topic->in_export);
    link_init(&topic->in_touched);
    link_init(&topic->list_windows);
    link_init(&topic->logs);
    link_init(&topic->resting);
    map_init(&topic->groups, group_key);
    bool listed = label_index_add(&export->by_label, &topic->labels, topic, topic->scope);
    if (!listed || !map_add(&hub->topics.by_name, topic)) {
        label_index_remove(&export->by_label, &topic->labels);
        row_scope_unref(topic->scope);
        view_unref(topic->view);
        memory_free(topic);
        hub_stop_waiting(hub, export);
        return NULL;
    }
    link_append(&export->topics, &topic->in_export);
    return topic;
}

struct topic *topic_get(const struct subscriber *subscriber, const struct view *view)
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
    struct topic *topic = map_get(&hub->topics.by_name, name);
    return topic ? topic : topic_new(subscriber, view, name);
}

static void topic_free(struct topic *topic)
{
    INVARIANT(!topic->unkeyed && !topic->groups.count && link_alone(&topic->logs));
    INVARIANT(link_alone(&topic->resting) && link_alone(&topic->list_windows));
    map_remove(&topic->hub->topics.by_name, span_make(topic->name, topic->name_length));
    link_remove(&topic->in_export);
    link_remove(&topic->in_touched);
    label_index_remove(&topic->export->by_label, &topic->labels);
    map_fini(&topic->groups);
    row_scope_unref(topic->scope);
    view_unref(topic->view);
    hub_stop_waiting(topic->hub, topic->export);
    memory_free(topic);
}

/* ---- key groups ---- */

static struct key_group *group_get(struct topic *topic, struct span key)
{
    struct key_group *group = map_get(&topic->groups, key);
    if (group)
        return group;
    group = memory_alloc(sizeof *group + key.length);
    if (!group)
        return NULL;
    *group = (struct key_group){.topic = topic, .key_length = key.length};
    memcpy(group->key, key.data, key.length);
    link_init(&group->members);
    link_init(&group->resting);
    if (!map_add(&topic->groups, group)) {
        memory_free(group);
        return NULL;
    }
    return group;
}

static void group_free(struct key_group *group)
{
    INVARIANT(link_alone(&group->resting));
    map_remove(&group->topic->groups, group_key(group));
    memory_free(group->ids);
    memory_free(group);
}

/* Ids that the backlog has dropped are of no use: whoever needs them is served from the database.
 */
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
    group_trim(group, group->topic->hub->backlog.first);
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

/* A resting subscription has everything before this change, however long ago its cursor was set. */
static void wake_all(struct link *resting, int64_t first)
{
    while (!link_alone(resting)) {
        struct subscription *subscription = LINK_OWNER(struct subscription, in_rest, resting->next);
        if (subscription->cursor < first - 1)
            subscription->cursor = first - 1;
        subscriber_ready(subscription);
    }
}

void topic_rest(struct subscription *subscription)
{
    struct link *resting =
        subscription->group ? &subscription->group->resting : &subscription->topic->resting;
    INVARIANT(subscription->reading == READER_LIVE);
    INVARIANT(subscription->cursor >= subscription->topic->hub->backlog.last);
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

static void count_in(struct topic *topic, struct subscription *subscription)
{
    subscription->topic = topic;
    topic->subscriptions++;
    topic->hub->subscription_count++;
}

static bool join_keyed(struct topic *topic, struct subscription *subscription, struct span key)
{
    INVARIANT(!subscription->group && !subscription->member);
    if (!key.data) {
        topic->unkeyed++;
        return true;
    }
    subscription->group = group_get(topic, key);
    if (subscription->group)
        link_append(&subscription->group->members, &subscription->in_group);
    return subscription->group != NULL;
}

bool topic_join(struct topic *topic, struct subscription *subscription, struct span key,
                struct window_spec *spec, struct error *error)
{
    if (spec)
        subscription->topic = topic;
    if (spec ? !topic->hub->window_ops->join(subscription, spec, error)
             : !join_keyed(topic, subscription, key))
        return false;
    count_in(topic, subscription);
    return true;
}

void topic_drop_unused(struct topic *topic)
{
    if (!topic->subscriptions && !topic->windows)
        topic_free(topic);
}

void topic_leave(struct topic *topic, struct subscription *subscription)
{
    INVARIANT(subscription->topic == topic && topic->subscriptions > 0);
    INVARIANT(topic->hub->subscription_count >= topic->subscriptions);
    INVARIANT(subscription->member || subscription->group || topic->unkeyed > 0);
    link_remove(&subscription->in_rest);
    if (subscription->member) {
        topic->hub->window_ops->leave(subscription);
    } else if (subscription->group) {
        link_remove(&subscription->in_group);
        if (link_alone(&subscription->group->members))
            group_free(subscription->group);
        subscription->group = NULL;
    } else {
        topic->unkeyed--;
        topic_log_leave(subscription);
    }
    topic->hub->subscription_count--;
    topic->subscriptions--;
    topic_drop_unused(topic);
}

/* ---- a commit ---- */

/* Nothing at all happens for who must not see the row. */
static bool is_hidden(const struct topic *topic, const struct change *change)
{
    struct sight sight = row_scope_sight(topic->scope, change);
    return !sight.before && !sight.after;
}

void topic_offer(struct topic *topic, const struct change *change)
{
    INVARIANT(topic->offered <= change->id);
    INVARIANT(topic->export->id == change->export_id);
    if (topic->offered == change->id) /* it saw the row before, and sees it now */
        return;
    topic->offered = change->id;
    counter_add(&topic->hub->metrics.topics_offered, 1);
    if (topic->scope && is_hidden(topic, change))
        return;
    if (link_alone(&topic->in_touched))
        link_append(&topic->hub->topics.touched, &topic->in_touched);
    topic_logs_offer(topic, change);
    if (!topic->groups.count)
        return;
    struct key_group *group = map_get(&topic->groups, change_key(change));
    if (!group || !view_shows(topic->view, change_key(change)))
        return;
    wake_all(&group->resting, change->id);
    if (!group_note(group, change->id))
        fall_behind(group);
}

void topic_settle(struct topic *topic, int64_t first, int64_t head)
{
    INVARIANT(topic->offered <= head); /* who rests is woken for what was offered */
    for (struct link *link = topic->logs.next; link != &topic->logs; link = link->next)
        topic_log_pass(LINK_OWNER(struct topic_log, in_topic, link), head);
    wake_all(&topic->resting, first);
}
