/* The hub's life, its exports, and what a commit does to it. */
#include "delivery/hub_internal.h"

#include <stdio.h>

static struct span topic_key(const void *value)
{
    const struct topic *topic = value;
    return span_make(topic->name, topic->name_length);
}

struct hub *hub_new(const struct hub_options *options, struct view_set *views,
                    const struct window_ops *window_ops)
{
    struct hub *hub = memory_new(sizeof *hub);
    if (!hub)
        return NULL;
    hub->options = *options;
    if (!options->snapshot_rows)
        hub->options.snapshot_rows = HUB_SNAPSHOT_ROWS;
    if (!options->scan_rows)
        hub->options.scan_rows = HUB_SCAN;
    if (!options->page_bytes)
        hub->options.page_bytes = HUB_PAGE;
    if (!options->max_window_rows)
        hub->options.max_window_rows = HUB_WINDOW_ROWS;
    if (!options->refresh_us)
        hub->options.refresh_us = HUB_REFRESH_US;
    if (!options->max_filter_rows)
        hub->options.max_filter_rows = HUB_FILTER_ROWS;
    if (!options->sighted_changes)
        hub->options.sighted_changes = HUB_SIGHTED;
    if (!options->query.depth)
        hub->options.query.depth = HUB_QUERY_DEPTH;
    if (!options->query.terms)
        hub->options.query.terms = HUB_QUERY_TERMS;
    if (!options->max_windows)
        hub->options.max_windows = HUB_WINDOWS;
    if (!options->max_waiting)
        hub->options.max_waiting = HUB_WAITING;
    hub->window_ops = window_ops;
    hub->windows = window_ops->open();
    hub->snapshots = snapshots_new(hub, options->snapshot_cache_bytes);
    if (!hub->snapshots || !hub->windows) {
        hub->window_ops->close(hub->windows);
        if (hub->snapshots)
            snapshots_free(hub->snapshots);
        memory_free(hub);
        return NULL;
    }
    hub->views = views;
    backlog_init(&hub->backlog, 0, options->ring_bytes);
    exports_init(hub);
    map_init(&hub->topics.by_name, topic_key);
    map_init(&hub->row_scopes, row_scope_name);
    link_init(&hub->topics.touched);
    link_init(&hub->topics.long_frame_logs);
    link_init(&hub->subscribers);
    cursor_waits_init(&hub->waits);
    buffer_init(&hub->scratch.frame, UINT32_MAX);
    buffer_init(&hub->scratch.roomy, UINT32_MAX);
    buffer_init(&hub->scratch.shown, UINT32_MAX);
    buffer_init(&hub->scratch.paths, UINT32_MAX);
    buffer_init(&hub->scratch.out, UINT32_MAX);
    buffer_init(&hub->scratch.left, UINT32_MAX);
    return hub;
}

void hub_free(struct hub *hub)
{
    if (!hub)
        return;
    while (!link_alone(&hub->subscribers))
        subscriber_free(LINK_OWNER(struct subscriber, in_hub, hub->subscribers.next));
    INVARIANT(!hub->subscriber_count && !hub->subscription_count);
    INVARIANT(!hub->waits.count);
    INVARIANT(!hub->topics.channel_bytes && !hub->grown_pages);
    snapshots_free(hub->snapshots);
    hub->window_ops->close(hub->windows);
    exports_fini(hub);
    map_fini(&hub->topics.by_name);
    map_fini(&hub->row_scopes);
    backlog_fini(&hub->backlog);
    buffer_fini(&hub->scratch.frame);
    buffer_fini(&hub->scratch.roomy);
    buffer_fini(&hub->scratch.shown);
    buffer_fini(&hub->scratch.paths);
    buffer_fini(&hub->scratch.out);
    buffer_fini(&hub->scratch.left);
    view_set_free(hub->views);
    memory_free(hub);
}

void hub_attach(struct hub *hub, struct engine *engine)
{
    hub->engine = engine;
    hub->head = engine_facts(engine)->head;
    hub->opened_change = engine_facts(engine)->last_change;
    hub->opened_us = clock_monotonic_us();
    head_times_note(&hub->head_times, (struct head_time){.change = hub->opened_change,
                                                         .slot = hub->head.slot,
                                                         .us = hub->opened_us});
    snprintf(hub->encoding.epoch, sizeof hub->encoding.epoch, "%.8s", engine_facts(engine)->epoch);
    backlog_fini(&hub->backlog);
    backlog_init(&hub->backlog, engine_facts(engine)->last_change, hub->options.ring_bytes);
}

void hub_set_max_subscriptions(struct hub *hub, uint32_t max_subscriptions)
{
    hub->options.max_subscriptions = max_subscriptions;
}

/* ---- commits ---- */

static void offer_to(struct link *topics, const struct change *change)
{
    struct link *link;
    for (link = topics ? topics->next : NULL; link != topics; link = link->next)
        topic_offer(LINK_OWNER(struct label_entry, in_list, link)->target, change);
}

/* To who sees the row now, and to who saw it. */
static void offer(struct hub_export *export, const struct change *change)
{
    export->last_change = change->id;
    export->changes++;
    offer_to(&export->by_label.everything, change);
    offer_to(label_index_find(&export->by_label, change_scope(change)), change);
    offer_to(label_index_find(&export->by_label, change_scope_left(change)), change);
}

static void settle(struct hub *hub, int64_t first, int64_t head)
{
    struct link *link;
    for (link = hub->topics.touched.next; link != &hub->topics.touched; link = link->next)
        topic_settle(LINK_OWNER(struct topic, in_touched, link), first, head);
    topics_trim(hub);
}

static struct hub_export *export_by_id(struct hub *hub, uint32_t id)
{
    return id < hub->exports.by_id_count ? hub->exports.by_id[id] : NULL;
}

/* Offering only notes who has something to pull; the backlog then takes the change over. */
void hub_commit(void *argument, struct engine_commit *commit)
{
    struct hub *hub = argument;
    uint64_t now = clock_monotonic_us();
    uint64_t received = 0;
    for (size_t i = 0; i < commit->export_count; i++)
        hub_add_export(hub, &commit->exports[i]);
    for (size_t i = 0; i < commit->count; i++) {
        struct change *change = commit->changes[i];
        struct hub_export *export = export_by_id(hub, change->export_id);
        if (export)
            offer(export, change);
        if (change->received_us != received) /* once per request */
            histogram_add(&hub->metrics.publish_latency, now - change->received_us);
        received = change->received_us;
        backlog_add(&hub->backlog, change);
    }
    INVARIANT(seq_compare(hub->head, commit->head) <= 0);
    INVARIANT(hub->backlog.last == commit->last_change);
    hub->head = commit->head;
    head_times_note(
        &hub->head_times,
        (struct head_time){.change = commit->last_change, .slot = commit->head.slot, .us = now});
    if (commit->count)
        settle(hub, commit->last_change - (int64_t)commit->count + 1, commit->last_change);
    hub->commits++;
    hub->window_ops->commit(hub, commit);
    while (!link_alone(&hub->topics.touched))
        link_remove(hub->topics.touched.next);
    cursor_waits_wake(hub);
    if (hub->options.committed)
        hub->options.committed(hub->options.argument, commit->last_change);
}

/* ---- facts ---- */

/* A resting subscription has everything, wherever its cursor was left. */
int64_t hub_slowest_lag(const struct hub *hub)
{
    int64_t slowest = 0;
    const struct link *link, *inner;
    for (link = hub->subscribers.next; link != &hub->subscribers; link = link->next) {
        const struct subscriber *subscriber = LINK_OWNER(struct subscriber, in_hub, link);
        inner = subscriber->subscriptions.next;
        for (; inner != &subscriber->subscriptions; inner = inner->next) {
            const struct subscription *subscription =
                LINK_OWNER(struct subscription, in_subscriber, inner);
            bool moving =
                subscription->reading == READER_LOG ||
                (subscription->reading == READER_LIVE && link_alone(&subscription->in_rest));
            int64_t lag = hub->backlog.last - subscription->cursor;
            if (moving && lag > slowest)
                slowest = lag;
        }
    }
    return slowest;
}

static size_t count_subscriptions(const struct hub *hub, const struct view *view,
                                  const struct hub_export *export)
{
    size_t count = 0;
    if (!view->scope) {
        const struct topic *topic = map_get(&hub->topics.by_name, span_of(view->id));
        return topic ? topic->subscriptions : 0;
    }
    for (const struct link *link = export->topics.next; link != &export->topics;
         link = link->next) {
        const struct topic *topic = LINK_OWNER(struct topic, in_export, link);
        count += topic->view == view ? topic->subscriptions : 0;
    }
    return count;
}

struct hub_view_counts hub_view_counts(const struct hub *hub, struct span view_id)
{
    const struct view *view = view_set_find(hub->views, view_id);
    const struct hub_export *export =
        view ? map_get(&hub->exports.by_name, span_of(view->export_name)) : NULL;
    if (!export)
        return (struct hub_view_counts){.subscriptions = 0};
    return (struct hub_view_counts){count_subscriptions(hub, view, export), export->changes};
}

struct hub_state hub_state(const struct hub *hub)
{
    return (struct hub_state){.metrics = &hub->metrics,
                              .views = hub->views,
                              .encoding = &hub->encoding,
                              .subscribers = hub->subscriber_count,
                              .subscriptions = hub->subscription_count,
                              .cursors_waiting = hub->waits.count,
                              .last_change = hub->backlog.last,
                              .head = hub->head};
}
