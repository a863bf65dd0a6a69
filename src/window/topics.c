/*
 * The places where commits find windows. A window over an export's own rows stands with its topic,
 * which a commit touches or does not. One of a derived view stands with the view's stage, and there
 * with the labels that it sees: the engine says which stages a commit touched, and where.
 */
#include "window/window_internal.h"

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
