/*
 * Which windows a commit is for. A window over an export's own rows stands with its topic, which
 * the commit touched or did not. One of a derived view stands with the view's stage, and there with
 * the labels that it sees: the engine says which stages it touched, and where.
 */
#include "window/window_internal.h"

/* All windows over one stage, whatever their views cut of it. */
struct stage_topic {
    struct link windows;         /* window.listing.in_list */
    struct label_index by_label; /* the same */
    size_t length;
    char definition[];
};

static struct span stage_key(const void *value)
{
    const struct stage_topic *topic = value;
    return span_make(topic->definition, topic->length);
}

void window_topics_init(struct windows *windows)
{
    map_init(&windows->stages, stage_key);
}

void window_topics_fini(struct windows *windows)
{
    INVARIANT(windows->stages.count == 0);
    map_fini(&windows->stages);
}

/* ---- joining and leaving ---- */

static struct stage_topic *get_topic(struct windows *windows, struct span definition)
{
    struct stage_topic *topic = map_get(&windows->stages, definition);
    if (topic)
        return topic;
    topic = memory_alloc(sizeof *topic + definition.length);
    if (!topic)
        return NULL;
    *topic = (struct stage_topic){.length = definition.length};
    memcpy(topic->definition, definition.data, definition.length);
    link_init(&topic->windows);
    label_index_init(&topic->by_label);
    if (map_add(&windows->stages, topic))
        return topic;
    memory_free(topic);
    return NULL;
}

static void drop_unused(struct windows *windows, struct stage_topic *topic)
{
    if (!link_alone(&topic->windows))
        return;
    map_remove(&windows->stages, stage_key(topic));
    label_index_fini(&topic->by_label);
    memory_free(topic);
}

bool window_topic_join(struct window *window)
{
    struct windows *windows = window->hub->windows;
    const struct view_stage *stage = window->spec.stage;
    INVARIANT(link_alone(&window->listing.in_list) && !window->listing.stage);
    if (!stage) {
        link_append(&window->topic->list_windows, &window->listing.in_list);
        return true;
    }
    struct stage_topic *topic = get_topic(windows, span_of(stage->definition));
    if (!topic)
        return false;
    /* A cut is over the rows of all: what moves it is not for those alone who see the row. */
    const struct row_scope *scope = stage->has_cut || stage->source ? NULL : window->spec.scope;
    if (!label_index_add(&topic->by_label, &window->listing.labels, window, scope)) {
        drop_unused(windows, topic);
        return false;
    }
    window->listing.stage = topic;
    link_append(&topic->windows, &window->listing.in_list);
    return true;
}

void window_topic_leave(struct window *window)
{
    struct stage_topic *topic = window->listing.stage;
    link_remove(&window->listing.in_list);
    if (!topic)
        return;
    label_index_remove(&topic->by_label, &window->listing.labels);
    drop_unused(window->hub->windows, topic);
}

/* ---- a commit ---- */

static bool is_before(struct span sort_key, const struct window *window)
{
    const struct window_rows *rows = &window->content.rows;
    int64_t take = window->spec.take;
    if (take == 0)
        return false; /* of a view that is cut to nothing */
    if (take == VIEW_ALL || (int64_t)rows->count < take || window->spec.stage->cut.last)
        return true;
    if (!window->content.more && window_may_have_more(window))
        return true; /* the first row behind it is news */
    struct span last = window->content.more ? buffer_span(&window->content.next)
                                            : window_row_sort_key(rows->list[rows->count - 1]);
    return !last.length || span_compare(sort_key, last) <= 0;
}

void window_pass(struct window *window, int64_t change)
{
    if (window->busy || window->stale)
        return;
    if (window->content.known && !window_lacks_matches(window) && window->content.position < change)
        window->content.position = change;
}

/* The first commit that is for it since the last refresh; `before`: the newest change before that.
 */
static void mark(struct window *window, int64_t before)
{
    if (window->stale)
        return;
    window_pass(window, before);
    window->stale = true;
    window_activate(window);
}

static void mark_lists(struct hub *hub, int64_t before)
{
    struct link *link, *inner;
    for (link = hub->topics.touched.next; link != &hub->topics.touched; link = link->next) {
        struct topic *topic = LINK_OWNER(struct topic, in_touched, link);
        for (inner = topic->list_windows.next; inner != &topic->list_windows; inner = inner->next)
            mark(LINK_OWNER(struct window, listing.in_list, inner), before);
    }
}

/* Whether what was touched can be in the window, by where it is. */
static bool is_reached(const struct window *window, const struct derive_touched *touch)
{
    return window->busy || !window->content.known || window_keeps_matches(window) ||
           is_before(touch->sort_key, window);
}

static void mark_reached(struct hub *hub, struct link *sort_keys,
                         const struct derive_touched *touch, int64_t before)
{
    struct link *link;
    for (link = sort_keys ? sort_keys->next : NULL; link != sort_keys; link = link->next) {
        struct window *window = LINK_OWNER(struct label_entry, in_list, link)->target;
        counter_add(&hub->metrics.topics_offered, 1);
        if (is_reached(window, touch))
            mark(window, before);
    }
}

static void mark_topic(struct hub *hub, const struct derive_touched *touch, int64_t before)
{
    struct stage_topic *topic = map_get(&hub->windows->stages, span_of(touch->stage->definition));
    if (!topic)
        return;
    mark_reached(hub, &topic->by_label.everything, touch, before);
    mark_reached(hub, label_index_find(&topic->by_label, touch->label), touch, before);
}

void windows_mark(struct hub *hub, const struct engine_commit *commit)
{
    int64_t before = commit->last_change - (int64_t)commit->count;
    mark_lists(hub, before);
    for (size_t i = 0; i < commit->touch_count; i++)
        mark_topic(hub, &commit->touches[i], before);
}
