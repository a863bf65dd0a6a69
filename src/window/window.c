/* Windows on the loop: finding, joining and leaving. */
#include "window/reading.h"

/* ---- life ---- */

static struct span window_name(const void *value)
{
    return span_of(((const struct window *)value)->name);
}

struct windows *windows_new(void)
{
    struct windows *windows = memory_new(sizeof *windows);
    if (!windows)
        return NULL;
    map_init(&windows->by_name, window_name);
    windows_matches_init(windows);
    link_init(&windows->all);
    roster_init(&windows->listed);
    link_init(&windows->active);
    link_init(&windows->lingerers);
    window_topics_init(windows);
    link_init(&windows->requests);
    link_init(&windows->moved);
    link_init(&windows->unsettled);
    return windows;
}

/* Everything that decides what it holds, so that equal windows are one. */
static char *print_name(const struct window_spec *spec)
{
    struct buffer name;
    buffer_init(&name, SIZE_MAX / 2);
    buffer_printf(&name, "%s\n%lld,%lld,%lld\n%c", spec->view->id, (long long)spec->skip,
                  (long long)spec->take, (long long)spec->limit, spec->is_extra ? 'x' : '-');
    window_spec_print_rows(spec, &name);
    if (spec->encoding)
        buffer_add_string(&name, "bodies");
    if (spec->is_partial)
        buffer_add_string(&name, "\npartial");
    char *text = buffer_string(&name) ? buffer_take(&name, NULL) : NULL;
    buffer_fini(&name);
    return text;
}

void window_content_init(struct window *window)
{
    window->time.turn = INT64_MAX;
    buffer_init(&window->content.next, UINT32_MAX);
}

void window_content_fini(struct window *window)
{
    window_rows_fini(&window->content.rows);
    window_rows_fini(&window->content.previous.rows);
    window_matches_unref(window->matches, window->hub->windows);
    window->matches = NULL;
    buffer_fini(&window->content.next);
    for (size_t i = 0; i < window->content.removals.count; i++)
        memory_free(window->content.removals.list[i].key);
    memory_free(window->content.removals.list);
}

static struct window *window_new(struct hub *hub, struct topic *topic, struct window_spec *spec,
                                 char *name)
{
    INVARIANT(spec->skip >= 0 && spec->take >= VIEW_ALL);
    struct window *window = memory_new(sizeof *window);
    if (!window)
        return NULL;
    window->hub = hub;
    window->topic = topic;
    window->spec = *spec;
    window->mode = topic->mode;
    window->name = name;
    window->matching = window_may_scan(window) ? MATCHES_PASSED : MATCHES_WANTED;
    window->kept.state = window->spec.is_extra ? WINDOW_NOT_KEPT : WINDOW_UNDECIDED;
    link_init(&window->in_windows);
    link_init(&window->in_active);
    link_init(&window->in_lingering);
    link_init(&window->listing.in_list);
    link_init(&window->members);
    link_init(&window->waiting);
    link_init(&window->resting);
    link_init(&window->source.remembered);
    link_init(&window->kept.in_moved);
    link_init(&window->share.in_unsettled);
    map_init(&window->kept.moves, window_row_map_key);
    window_content_init(window);
    if (!window_topic_join(window) || !map_add(&hub->windows->by_name, window)) {
        window_topic_leave(window);
        memory_free(window);
        return NULL;
    }
    link_append(&hub->windows->all, &window->in_windows);
    roster_add(&hub->windows->listed, &window->in_listed, roster_number(&hub->windows->listed));
    link_append(&hub->windows->lingerers, &window->in_lingering);
    hub->windows->count++;
    hub->windows->timed += view_query_traits(window->spec.query).is_timed;
    hub->windows->lingering++; /* until somebody joins */
    topic->windows++;
    *spec = (struct window_spec){.view = NULL};
    return window;
}

static void window_free(struct window *window)
{
    struct windows *windows = window->hub->windows;
    INVARIANT(!window->member_count && link_alone(&window->members));
    INVARIANT(link_alone(&window->waiting) && link_alone(&window->resting));
    INVARIANT(windows->count > 0 && windows->lingering > 0);
    INVARIANT(window->topic->windows > 0);
    previous_forget(&window->source);
    window_keep_end(window);
    window_share_end(window);
    map_remove(&windows->by_name, window_name(window));
    window_topic_leave(window);
    link_remove(&window->in_windows);
    roster_remove(&window->in_listed);
    link_remove(&window->in_active);
    link_remove(&window->in_lingering);
    windows->count--;
    windows->timed -= view_query_traits(window->spec.query).is_timed;
    windows->lingering--;
    if (window->content.known)
        windows->ended_us = clock_monotonic_us();
    window->topic->windows--;
    topic_drop_unused(window->topic);
    if (window->frame_log_on)
        frame_log_fini(&window->frame_log);
    text_unref(window->snapshot.text);
    window_content_fini(window);
    window_spec_fini(&window->spec);
    memory_free(window->name);
    memory_free(window);
}

void windows_free(struct windows *windows)
{
    if (!windows)
        return;
    while (!link_alone(&windows->all))
        window_free(LINK_OWNER(struct window, in_windows, windows->all.next));
    window_topics_fini(windows);
    windows_matches_fini(windows);
    map_fini(&windows->by_name);
    memory_free(windows->newest);
    memory_free(windows);
}

/* ---- joining and leaving ---- */

/* Windows without members are kept for who comes back, up to a number of them; but not those of
 * an export that was never fed, which hold nothing. */
void windows_end_lingering(struct windows *windows)
{
    struct link *link = windows->lingerers.next;
    while (link != &windows->lingerers) {
        struct window *window = LINK_OWNER(struct window, in_lingering, link);
        link = link->next;
        bool is_empty = window->topic->export->waiting; /* nothing is to be told of it */
        if (windows->lingering <= WINDOW_LINGER && !is_empty)
            continue;
        if (!window->member_count && !window->busy && !window->source.pins &&
            (is_empty || link_alone(&window->kept.in_moved)))
            window_free(window);
    }
}

static struct window *find_or_make(struct hub *hub, struct topic *topic, struct window_spec *spec,
                                   struct subscriber *subscriber, struct error *error)
{
    struct windows *windows = hub->windows;
    char *name = print_name(spec);
    struct window *window = name ? map_get(&windows->by_name, span_of(name)) : NULL;
    bool watched = window && window->member_count;
    /* A member that comes back to a lingering window takes a place like every other. */
    if (name && !watched && !spec->is_extra) {
        if (!windows_make_room(hub, subscriber, error)) {
            memory_free(name);
            return NULL;
        }
        window = map_get(&windows->by_name, span_of(name));
    }
    if (window) {
        memory_free(name);
        return window;
    }
    window = name ? window_new(hub, topic, spec, name) : NULL;
    if (!window) {
        memory_free(name);
        error_set(error, ERROR_MEMORY, "out of memory for a window");
    }
    return window;
}

static struct member *member_new(struct subscription *subscription, struct error *error)
{
    struct member *member = memory_new(sizeof *member);
    if (!member) {
        error_set(error, ERROR_MEMORY, "out of memory for a window");
        return NULL;
    }
    member->subscription = subscription;
    link_init(&member->in_window);
    return member;
}

bool window_join(struct subscription *subscription, struct window_spec *spec, struct error *error)
{
    struct topic *topic = subscription->topic;
    INVARIANT(!subscription->member);
    struct member *member = member_new(subscription, error);
    spec->encoding = topic->encoding;
    struct window *window =
        member ? find_or_make(topic->hub, topic, spec, subscription->subscriber, error) : NULL;
    window_spec_fini(spec);
    if (!window) {
        memory_free(member);
        return false;
    }
    INVARIANT(window->topic == topic);
    INVARIANT(!window->member_count == link_alone(&window->members));
    member->window = window;
    subscription->member = member;
    subscription->previous.shown = 0;
    link_append(&window->members, &member->in_window);
    topic->hub->windows->members++;
    if (window->member_count++ == 0) {
        INVARIANT(topic->hub->windows->lingering > 0 && !link_alone(&window->in_lingering));
        topic->hub->windows->lingering--;
        topic->hub->windows->extra += window->spec.is_extra;
        link_remove(&window->in_lingering);
    }
    window_share_joined(window, subscription->subscriber);
    window_activate(window);
    return true;
}

static void drop_request(struct subscription *subscription)
{
    struct window_request *request = subscription->member->request;
    if (!request)
        return;
    INVARIANT(request->subscription == subscription);
    INVARIANT(request->window == subscription->member->window);
    subscription->member->request = NULL;
    request->subscription = NULL;
    subscription->beside.unstated = subscription->beside.unstated || request->kind == WINDOW_STATE;
    if (request->stage == REQUEST_TAKEN)
        return;
    if (request->stage != REQUEST_RETURNED) {
        INVARIANT(request->window->request_count > 0);
        request->window->request_count--;
    }
    window_request_free(request);
}

void window_leave(struct subscription *subscription)
{
    struct window *window = subscription->member->window;
    struct windows *windows = window->hub->windows;
    drop_request(subscription);
    link_remove(&subscription->member->in_window);
    link_remove(&subscription->in_rest);
    memory_free(subscription->member);
    subscription->member = NULL;
    INVARIANT(window->member_count > 0 && windows->members >= window->member_count);
    windows->members--;
    window->member_count--;
    INVARIANT(!window->member_count == link_alone(&window->members));
    window_share_left(window, subscription->subscriber);
    if (window->member_count)
        return;
    INVARIANT(!window->request_count); /* they were the members' */
    INVARIANT(windows->extra >= window->spec.is_extra);
    /* The rows that the window held stay known, so a member that comes back learns which went
     * meanwhile. */
    if (window->frame_log_on)
        frame_log_fini(&window->frame_log);
    window->frame_log_on = false;
    text_unref(window->snapshot.text);
    window->snapshot.text = NULL;
    windows->lingering++;
    windows->extra -= window->spec.is_extra;
    link_append(&windows->lingerers, &window->in_lingering);
}

/* Clients that do not keep their cursor come back soon after a restart, with what they held. */
bool windows_outlived(const struct hub *hub)
{
    const struct windows *windows = hub->windows;
    uint64_t now = clock_monotonic_us(), most = (uint64_t)hub->options.tombstone_ms * 1000;
    bool ended = windows->ended_us && now - windows->ended_us < most;
    return ended || (hub->opened_change > 0 && now - hub->opened_us < most);
}

void window_fail(struct window *window, const struct error *error)
{
    INVARIANT(!window->busy); /* its content is a reader's until then */
    while (!link_alone(&window->members)) {
        struct subscription *subscription = window_member(window->members.next);
        subscription_fail(subscription, error);
    }
    previous_forget(&window->source);
    /* A refresh may be at the rows of one that is held. */
    if (!window->source.pins)
        window_rows_fini(&window->content.rows);
    window_matches_drop(window);
    if (window->content.known)
        window->hub->windows->ended_us = clock_monotonic_us();
    window->content.known = false;
}
