/* Windows on the loop: finding, joining and leaving, and when to look again. */
#include "server/window_internal.h"

enum { RETRY_MS = 20 };

/* ---- life ---- */

static struct span window_name(const void *value)
{
    return span_of(((const struct window *)value)->name);
}

struct span window_key(const struct window *window)
{
    return window->spec.key;
}

struct windows *windows_new(void)
{
    struct windows *windows = memory_new(sizeof *windows);
    if (!windows)
        return NULL;
    map_init(&windows->by_name, window_name);
    link_init(&windows->all);
    link_init(&windows->requests);
    return windows;
}

void windows_count(const struct windows *windows, size_t *watched, size_t *members)
{
    *watched = windows->count - windows->lingering;
    *members = windows->members;
}

void window_spec_fini(struct window_spec *spec)
{
    view_filter_free(spec->filter);
    memory_free((void *)spec->key.data);
    row_scope_unref(spec->scope);
    *spec = (struct window_spec){.view = NULL};
}

bool window_spec_copy(const struct window_spec *spec, struct row_scope *scope,
                      struct window_spec *copy)
{
    *copy = *spec;
    copy->filter = view_filter_ref(spec->filter);
    copy->scope = row_scope_ref(scope);
    if (!spec->key.data)
        return true;
    copy->key = span_make(memory_copy_string(spec->key.data, spec->key.length), spec->key.length);
    if (copy->key.data)
        return true;
    window_spec_fini(copy);
    return false;
}

/* Everything that decides what it holds, so that equal windows are one. */
static char *print_name(const struct window_spec *spec)
{
    struct buffer name;
    buffer_init(&name, SIZE_MAX / 2);
    buffer_printf(&name, "%s\n%lld,%lld,%lld\n%c", spec->view->id, (long long)spec->skip,
                  (long long)spec->take, (long long)spec->limit, spec->key.data ? 'k' : '-');
    buffer_add_span(&name, spec->key);
    buffer_add_char(&name, '\n');
    if (spec->filter)
        buffer_add_span(&name, view_filter_text(spec->filter));
    buffer_add_char(&name, '\n');
    if (spec->scope)
        buffer_add_span(&name, row_scope_name(spec->scope));
    char *text = buffer_string(&name) ? buffer_take(&name, NULL) : NULL;
    buffer_fini(&name);
    return text;
}

void window_content_init(struct window *window)
{
    map_init(&window->match_by_key, window_row_map_key);
    window_bounds_init(&window->bounds);
    buffer_init(&window->fill_after, UINT32_MAX);
}

static struct window *window_new(struct hub *hub, struct feed *feed, struct window_spec *spec,
                                 char *name)
{
    struct window *window = memory_new(sizeof *window);
    if (!window)
        return NULL;
    window->hub = hub;
    window->feed = feed;
    window->spec = *spec;
    window->mode = feed->mode;
    window->name = name;
    window->scanning = window_may_scan(window);
    link_init(&window->in_windows);
    link_init(&window->members);
    link_init(&window->waiting);
    link_init(&window->resting);
    window_content_init(window);
    if (!map_add(&hub->windows->by_name, window)) {
        memory_free(window);
        return NULL;
    }
    link_append(&hub->windows->all, &window->in_windows);
    hub->windows->count++;
    hub->windows->lingering++; /* until somebody joins */
    feed->windows++;
    *spec = (struct window_spec){.view = NULL};
    return window;
}

void window_content_fini(struct window *window)
{
    window_rows_fini(&window->rows);
    window_rows_fini(&window->matches);
    map_fini(&window->match_by_key);
    window_bounds_fini(&window->bounds);
    buffer_fini(&window->fill_after);
    for (size_t i = 0; i < window->exit_count; i++)
        memory_free(window->exits[i].key);
    memory_free(window->exits);
}

void window_free(struct window *window)
{
    struct windows *windows = window->hub->windows;
    map_remove(&windows->by_name, window_name(window));
    link_remove(&window->in_windows);
    windows->count--;
    windows->lingering--;
    window->feed->windows--;
    feed_drop_unused(window->feed);
    if (window->channel_on)
        channel_fini(&window->channel);
    text_unref(window->snapshot);
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
    map_fini(&windows->by_name);
    memory_free(windows);
}

/* ---- joining and leaving ---- */

/* Windows without members are kept for who comes back, up to a number of them. */
static void end_lingering(struct windows *windows)
{
    struct link *link = windows->all.next;
    while (link != &windows->all && windows->lingering > WINDOW_LINGER) {
        struct window *window = LINK_OWNER(struct window, in_windows, link);
        link = link->next;
        if (!window->member_count && !window->looking && !window->filling && !window->pins)
            window_free(window);
    }
}

static struct window *find_or_make(struct hub *hub, struct feed *feed, struct window_spec *spec,
                                   struct error *error)
{
    struct windows *windows = hub->windows;
    char *name = print_name(spec);
    struct window *window = name ? map_get(&windows->by_name, span_of(name)) : NULL;
    if (window) {
        memory_free(name);
        return window;
    }
    if (name && windows->count - windows->lingering >= hub->options.max_windows) {
        memory_free(name);
        error_set(error, ERROR_SUBSCRIPTION_LIMIT,
                  "%zu different windows are watched, as many as max_windows allows; use one that "
                  "others use, or subscribe later",
                  windows->count - windows->lingering);
        return NULL;
    }
    window = name ? window_new(hub, feed, spec, name) : NULL;
    if (!window) {
        memory_free(name);
        error_set(error, ERROR_MEMORY, "out of memory for a window");
    }
    return window;
}

bool window_join(struct subscription *subscription, struct window_spec *spec, struct error *error)
{
    struct feed *feed = subscription->feed;
    struct window *window = find_or_make(feed->hub, feed, spec, error);
    window_spec_fini(spec);
    if (!window)
        return false;
    subscription->window = window;
    link_append(&window->members, &subscription->in_window);
    feed->hub->windows->members++;
    if (window->member_count++ == 0)
        feed->hub->windows->lingering--;
    return true;
}

static void drop_request(struct subscription *subscription)
{
    struct window_request *request = subscription->request;
    if (!request)
        return;
    subscription->request = NULL;
    request->subscription = NULL;
    if (request->looking)
        return;
    if (!request->returned)
        request->window->request_count--;
    window_request_free(request);
}

void window_leave(struct subscription *subscription)
{
    struct window *window = subscription->window;
    struct windows *windows = window->hub->windows;
    drop_request(subscription);
    link_remove(&subscription->in_window);
    link_remove(&subscription->in_rest);
    subscription->window = NULL;
    windows->members--;
    if (--window->member_count)
        return;
    /* What it held stays known, so that who comes back learns what went meanwhile. */
    if (window->channel_on)
        channel_fini(&window->channel);
    window->channel_on = false;
    text_unref(window->snapshot);
    window->snapshot = NULL;
    windows->lingering++;
    link_remove(&window->in_windows);
    link_append(&windows->all, &window->in_windows);
}

/* ---- what a member had of another window ---- */

void window_hold(struct subscription *subscription, struct window_held *held)
{
    const struct window_request *request = subscription->request;
    struct window *window = subscription->window;
    bool known = subscription->member_phase == MEMBER_LIVE ||
                 subscription->member_phase == MEMBER_BEHIND ||
                 (subscription->member_phase == MEMBER_WAITING && request->kind == WINDOW_BEHIND);
    *held = subscription->held; /* it has got nothing since */
    subscription->held.window = NULL;
    if (held->window || subscription->phase != PHASE_WINDOW || !known)
        return;
    *held = (struct window_held){.window = window, .version = subscription->version};
    window->pins++;
}

void window_release(struct window_held *held)
{
    if (held->window)
        held->window->pins--;
    held->window = NULL;
}

void window_fail(struct window *window, const struct error *error)
{
    while (!link_alone(&window->members)) {
        struct subscription *subscription =
            LINK_OWNER(struct subscription, in_window, window->members.next);
        subscriber_error(subscription->subscriber, error, false);
        subscription_close(subscription);
    }
    /* A look may be at the rows of one that is held. */
    if (!window->pins)
        window_rows_fini(&window->rows);
    window_matches_clear(window);
    window->known = window->matches_ready = false;
}

void window_wake(struct link *members)
{
    while (!link_alone(members))
        subscriber_ready(LINK_OWNER(struct subscription, in_rest, members->next));
}

/* ---- when to look ---- */

static bool is_before(struct span place, const struct window *window)
{
    const struct window_rows *rows = &window->rows;
    int64_t take = window->spec.take;
    if (take == 0)
        return false; /* of a view that is cut to nothing */
    if (take == VIEW_ALL || (int64_t)rows->count < take || window->spec.view->stage->cut.last)
        return true;
    struct span last = window_row_place(rows->list[rows->count - 1]);
    return !last.length || span_compare(place, last) <= 0;
}

/* Whether the commit can have changed what the window shows. */
static bool is_touched(const struct window *window, const struct engine_commit *commit)
{
    const struct view_stage *stage = window->spec.view->stage;
    const struct hub_export *export = window->feed->export;
    int64_t newest = window->spec.scope ? window->feed->last_change : export->last_change;
    bool fed = commit->count && newest > commit->last_change - (int64_t)commit->count;
    if (!stage)
        return fed;
    for (size_t i = 0; i < commit->touch_count; i++) {
        const struct engine_stage_touch *touch = &commit->touches[i];
        if (touch->stage == stage || strcmp(touch->stage->definition, stage->definition) == 0)
            return window->looking || window->filling || !window->known ||
                   window_keeps_matches(window) || is_before(touch->place, window);
    }
    return false;
}

void windows_commit(struct hub *hub, const struct engine_commit *commit)
{
    struct link *link;
    for (link = hub->windows->all.next; link != &hub->windows->all; link = link->next) {
        struct window *window = LINK_OWNER(struct window, in_windows, link);
        if (!window->stale && is_touched(window, commit))
            window->stale = true;
    }
    windows_look(hub);
}

/* A window that coalesces shows a change at the end of its interval. */
static bool is_due(const struct window *window, uint64_t now)
{
    uint64_t interval = (uint64_t)window->spec.view->coalesce_ms * 1000;
    return window->stale && now - window->looked_us >= interval;
}

static bool needs_look(const struct window *window, uint64_t now)
{
    if (!window->member_count || window->looking || window->filling)
        return false;
    if (window_keeps_matches(window) && !window->matches_ready)
        return false;
    return !window->known || window->snapshot_wanted || window->request_count > 0 ||
           is_due(window, now);
}

static bool needs_filling(const struct window *window)
{
    return window->member_count && !window->looking && !window->filling &&
           window_keeps_matches(window) && !window->matches_ready;
}

static void start_filling(struct hub *hub)
{
    struct link *link;
    for (link = hub->windows->all.next; link != &hub->windows->all; link = link->next) {
        struct window *window = LINK_OWNER(struct window, in_windows, link);
        if (needs_filling(window) && !window_fill_start(window))
            return; /* too many reads wait: at the next commit or tick */
    }
}

void windows_look(struct hub *hub)
{
    struct windows *windows = hub->windows;
    struct window *wanted[WINDOW_LOOK];
    size_t count = 0;
    uint64_t now = clock_monotonic_us();
    end_lingering(windows);
    start_filling(hub);
    if (windows->looking)
        return;
    struct link *link = windows->all.next;
    for (; link != &windows->all && count < WINDOW_LOOK; link = link->next) {
        struct window *window = LINK_OWNER(struct window, in_windows, link);
        if (needs_look(window, now))
            wanted[count++] = window;
    }
    if (!count || !window_look_start(hub, wanted, count))
        return;
    /* The others' turn comes first next time. */
    for (size_t i = 0; i < count; i++) {
        link_remove(&wanted[i]->in_windows);
        link_append(&windows->all, &wanted[i]->in_windows);
    }
}

int64_t windows_due(const struct hub *hub)
{
    const struct windows *windows = hub->windows;
    uint64_t now = clock_monotonic_us(), soonest = UINT64_MAX;
    const struct link *link;
    for (link = windows->all.next; link != &windows->all; link = link->next) {
        const struct window *window = LINK_OWNER(struct window, in_windows, link);
        if (needs_filling(window) || (!windows->looking && needs_look(window, now)))
            return RETRY_MS; /* too many reads waited */
        if (!window->stale || !window->member_count || window->filling || windows->looking)
            continue; /* what is on its way looks again when it is done */
        uint64_t due = window->looked_us + (uint64_t)window->spec.view->coalesce_ms * 1000;
        if (due < soonest)
            soonest = due;
    }
    if (soonest == UINT64_MAX)
        return -1;
    return soonest > now ? (int64_t)((soonest - now) / 1000) + 1 : 1;
}

/* ---- a look came back ---- */

/* Each window's part of the memory for ready frames; a few blocks in any case. */
static size_t channel_share(const struct hub *hub)
{
    size_t share = hub->options.channel_bytes / (hub->windows->count + 1);
    return share > 2 * CHANNEL_BLOCK ? share : 2 * CHANNEL_BLOCK;
}

bool window_open_channel(struct window *window)
{
    if (window->looking || window->filling || !window->known)
        return false;
    channel_init(&window->channel, window->version);
    window->channel_on = true;
    return true;
}

/* Who joined while the look was on its way is told the difference too. */
static void publish(struct window *window, const struct window_result *result)
{
    if (!window->channel_on) {
        channel_init(&window->channel, result->version - (result->differs ? 1 : 0));
        window->channel_on = true;
    }
    if (result->differs) {
        channel_add(&window->channel, result->version, text_span(result->frames));
        counter_add(&window->hub->metrics.frames[window->mode], result->frame_count);
        while (window->channel.bytes > channel_share(window->hub) &&
               channel_drop_oldest(&window->channel))
            continue;
    }
}

void window_delivered(struct window_result *result)
{
    struct window *window = result->window;
    window->looking = false;
    window->looked_us = clock_monotonic_us();
    window->snapshot_wanted = window->snapshot_wanted && !result->snapshot;
    if (result->refill) {
        window_matches_clear(window);
        window->matches_ready = false;
        window->gap = true;
        window->stale = true; /* what the look was for is still to be told */
        return;
    }
    if (result->error.code != ERROR_NONE) {
        window_fail(window, &result->error);
        return;
    }
    if (!window->member_count)
        return; /* it lingers; its version is the look's all the same */
    publish(window, result);
    if (result->snapshot) {
        text_unref(window->snapshot);
        window->snapshot = text_ref(result->snapshot);
        window->snapshot_version = result->version;
        window->snapshot_rows = result->drafts.rows;
        window->snapshot_new = true;
        counter_add(&window->hub->metrics.snapshot_batches_built, 1);
    }
    if (window->snapshot && window->snapshot_version == result->version)
        window->snapshot_position = window->position;
    window_wake(&window->waiting);
    window_wake(&window->resting);
}
