/* Windows on the loop: when to look at them, and what a look brings. */
#include "window/window_internal.h"

enum { RETRY_MS = 20 };

/* ---- when to look ---- */

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

/* Nothing is on its way, and nothing is wanted: the next thing that is activates it again. */
static bool is_idle(const struct window *window)
{
    if (!window->member_count)
        return true;
    /* What a look or a filling has is the reader's until it is back. */
    if (window->looking || window->filling)
        return false;
    bool ready = window->known && (!window_keeps_matches(window) || window->matches_ready);
    return ready && !window->stale && !window->snapshot_wanted && !window->request_count;
}

static void start_filling(struct hub *hub)
{
    struct link *link = hub->windows->active.next;
    while (link != &hub->windows->active) {
        struct window *window = LINK_OWNER(struct window, in_active, link);
        link = link->next;
        if (is_idle(window))
            link_remove(&window->in_active);
        else if (needs_filling(window) && !window_fill_start(window))
            return; /* too many reads wait: at the next commit or tick */
    }
}

void windows_look(struct hub *hub)
{
    struct windows *windows = hub->windows;
    struct window *wanted[WINDOW_LOOK];
    size_t count = 0;
    uint64_t now = clock_monotonic_us();
    windows_end_lingering(windows);
    windows_keep(hub);
    start_filling(hub);
    if (windows->looking)
        return;
    struct link *link = windows->active.next;
    for (; link != &windows->active && count < WINDOW_LOOK; link = link->next) {
        struct window *window = LINK_OWNER(struct window, in_active, link);
        if (needs_look(window, now))
            wanted[count++] = window;
    }
    if (!count || !window_look_start(hub, wanted, count))
        return;
    /* The others' turn comes first next time. */
    for (size_t i = 0; i < count; i++) {
        link_remove(&wanted[i]->in_active);
        link_append(&windows->active, &wanted[i]->in_active);
    }
}

int64_t windows_due(const struct hub *hub)
{
    const struct windows *windows = hub->windows;
    uint64_t now = clock_monotonic_us(), soonest = windows_keep_due(hub);
    const struct link *link;
    for (link = windows->active.next; link != &windows->active; link = link->next) {
        const struct window *window = LINK_OWNER(struct window, in_active, link);
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
    window_activate(window);
    if (result->unread && result->error.code == ERROR_NONE) {
        window->stale = true;
        return;
    }
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
    window->delivered = result->version;
    if (window->joining || result->snapshot)
        window->joined = result->version;
    window->joining = false;
    window_keep(window, result);
    if (window->snapshot && window->snapshot_more != window->more) {
        text_unref(window->snapshot);
        window->snapshot = NULL;
    }
    if (!window->member_count)
        return; /* it lingers; its version is the look's all the same */
    publish(window, result);
    if (result->snapshot) {
        text_unref(window->snapshot);
        window->snapshot = text_ref(result->snapshot);
        window->snapshot_version = result->version;
        window->snapshot_rows = result->drafts.rows;
        window->snapshot_more = window->more;
        window->snapshot_new = true;
        counter_add(&window->hub->metrics.snapshot_batches_built, 1);
    }
    if (window->snapshot && window->snapshot_version == result->version)
        window->snapshot_asof = result->asof;
    window_wake(&window->waiting);
    window_wake(&window->resting);
}
