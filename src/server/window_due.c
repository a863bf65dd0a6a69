/* Windows on the loop: when to look at them, and what a look brings. */
#include "server/window_internal.h"

enum { RETRY_MS = 20 };

/* ---- when to look ---- */

static bool is_before(struct span place, const struct window *window)
{
    const struct window_rows *rows = &window->rows;
    int64_t take = window->spec.take;
    if (take == 0)
        return false; /* of a view that is cut to nothing */
    if (take == VIEW_ALL || (int64_t)rows->count < take || window->spec.view->stage->cut.last)
        return true;
    if (!window->more && window_may_have_more(window))
        return true; /* the first row behind it is news */
    struct span last =
        window->more ? buffer_span(&window->next) : window_row_place(rows->list[rows->count - 1]);
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

/* What it holds is right for the newer position too: it need not look through what was not for it.
 */
static void pass_over(struct window *window, const struct engine_commit *commit)
{
    if (window->looking || window->filling || window->stale)
        return;
    bool current = window->known && (!window_keeps_matches(window) || window->matches_ready);
    if (current && window->position < commit->last_change)
        window->position = commit->last_change;
}

void windows_commit(struct hub *hub, const struct engine_commit *commit)
{
    struct link *link;
    for (link = hub->windows->all.next; link != &hub->windows->all; link = link->next) {
        struct window *window = LINK_OWNER(struct window, in_windows, link);
        if (!window->stale && is_touched(window, commit))
            window->stale = true;
        else
            pass_over(window, commit);
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
    windows_end_lingering(windows);
    windows_keep(hub);
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
    uint64_t now = clock_monotonic_us(), soonest = windows_keep_due(hub);
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
