/*
 * Refreshes on the loop: which windows a commit touched, which of them to read and when, and what a
 * refresh brings. One is on its way at a time; read.c is the reader's side.
 */
#include "window/reading.h"

enum { RETRY_MS = 20 };

/* ---- what a commit touched ---- */

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

/* It keeps matches, and they are still to be found. */
static bool lacks_matches(const struct window *window)
{
    return window_keeps_matches(window) && window->matching != MATCHES_KEPT;
}

/* Its content is right up to this change, unless it was touched: it need not read the changes
 * before that. */
static void pass(struct window *window, int64_t change)
{
    if (window->busy || window->stale)
        return;
    if (!window->content.known || lacks_matches(window) || window->content.position >= change)
        return;
    window->content.position = change;
    window->published.passed = change;
    if (window_keeps_matches(window) && window->matches->passed < change)
        window->matches->passed = change;
}

/* The first commit that is for it since the last refresh; `before`: the newest change before that.
 */
static void mark(struct window *window, int64_t before)
{
    if (window->stale)
        return;
    pass(window, before);
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

static void mark_all(struct hub *hub, const struct engine_commit *commit)
{
    int64_t before = commit->last_change - (int64_t)commit->count;
    mark_lists(hub, before);
    for (size_t i = 0; i < commit->touch_count; i++)
        mark_topic(hub, &commit->touches[i], before);
}

/* ---- a refresh came back ---- */

/* Each window's part of the memory for ready frames; a few blocks in any case. */
static size_t frame_log_share(const struct hub *hub)
{
    size_t share = hub->options.channel_bytes / (hub->windows->count + 1);
    return share > 2 * FRAME_LOG_BLOCK ? share : 2 * FRAME_LOG_BLOCK;
}

/* A member that joined while the refresh was under way gets the diff, too. */
static void publish(struct window *window, const struct window_result *result)
{
    if (!window->frame_log_on) {
        frame_log_init(&window->frame_log, result->version - (result->differs ? 1 : 0), 0);
        window->frame_log_on = true;
    }
    INVARIANT(window->frame_log.head + result->differs <= result->version);
    if (result->differs) {
        frames_add(&window->frame_log, result->version, text_span(result->frames));
        counter_add(&window->hub->metrics.frames[window->mode], result->frame_count);
        while (window->frame_log.bytes > frame_log_share(window->hub) &&
               frame_log_drop_oldest(&window->frame_log))
            continue;
    }
}

static void take_snapshot(struct window *window, const struct window_result *result)
{
    text_unref(window->snapshot.text);
    window->snapshot.text = text_ref(result->snapshot);
    window->snapshot.version = result->version;
    window->snapshot.rows = result->drafts.sink.rows;
    window->snapshot.bytes = text_span(result->snapshot).length;
    window->snapshot.row_bytes =
        result->drafts.json_bytes / (size_t)(window->snapshot.rows ? window->snapshot.rows : 1);
    window->snapshot.more = window->content.more;
    window->snapshot.unused = true;
    counter_add(&window->hub->metrics.snapshot_batches_built, 1);
}

/* `passed`: up to where those that are live have everything (member_has). */
static void wake(struct link *members, int64_t passed)
{
    while (!link_alone(members)) {
        struct subscription *subscription = LINK_OWNER(struct subscription, in_rest, members->next);
        struct member *member = subscription->member;
        if (member->phase == MEMBER_LIVE && member->change < passed)
            member->change = passed;
        subscriber_ready(subscription);
    }
}

static void delivered(struct window_result *result)
{
    struct window *window = result->window;
    INVARIANT(window->busy == WINDOW_REFRESHED);
    window->busy = WINDOW_AT_REST;
    window_activate(window);
    if (result->unread && result->error.code == ERROR_NONE) {
        window->stale = true;
        return;
    }
    window->refreshed_us = clock_monotonic_us();
    window_count(window, &result->measure);
    window->snapshot.wanted = window->snapshot.wanted && !result->snapshot;
    if (result->refill) {
        window->content.gap = true;
        window->stale = true; /* what the refresh was for is still to be told */
        window_matches_drop(window);
        return;
    }
    if (result->error.code != ERROR_NONE) {
        window_fail(window, &result->error);
        return;
    }
    INVARIANT(window->published.version <= result->version);
    INVARIANT(window->content.version == result->version);
    window->published.version = result->version;
    if (window->published.joining || result->snapshot)
        window->published.joined = result->version;
    window->published.joining = false;
    window_keep(window, result);
    if (window->snapshot.text && window->snapshot.more != window->content.more) {
        text_unref(window->snapshot.text);
        window->snapshot.text = NULL;
    }
    if (!window->member_count)
        return; /* it lingers; its version is the refresh's all the same */
    publish(window, result);
    if (result->snapshot)
        take_snapshot(window, result);
    if (window->snapshot.text && window->snapshot.version == result->version)
        window->snapshot.asof = result->asof;
    wake(&window->waiting, 0);
    wake(&window->resting, window->published.passed);
}

/* ---- a refresh on its way ---- */

static void free_refresh(struct window_refresh *refresh)
{
    for (size_t i = 0; i < refresh->count; i++) {
        struct window_result *result = &refresh->results[i];
        text_unref(result->frames);
        text_unref(result->snapshot);
        window_rows_fini(&result->moves);
        if (result->snapshot_wanted && !result->unread)
            snapshot_drafts_fini(&result->drafts);
    }
    view_unref(refresh->traced.view);
    memory_free(refresh->results);
    memory_free(refresh);
}

/* Windows that a refresh skipped are first in the next one. A failure may have freed others, but
 * not these. */
static void put_first(struct window_refresh *refresh)
{
    for (size_t i = refresh->count; i-- > 0;) {
        struct window_result *result = &refresh->results[i];
        if (!result->skipped || result->error.code != ERROR_NONE)
            continue;
        link_remove(&result->window->in_active);
        link_prepend(&refresh->hub->windows->active, &result->window->in_active);
    }
}

static void deliver(struct engine_event *event)
{
    struct window_refresh *refresh = (struct window_refresh *)event;
    struct hub *hub = refresh->hub;
    INVARIANT(hub->windows->refreshing);
    hub->windows->refreshing = false;
    for (size_t i = 0; i < refresh->count; i++) {
        struct window_result *result = &refresh->results[i];
        if (refresh->error.code != ERROR_NONE)
            result->error = refresh->error;
        if (result->error.code != ERROR_NONE)
            log_error("hub", "window-failed", log_text("view", result->window->spec.view->id),
                      log_text("error", result->error.message));
    }
    /* Requests first: what they hold is of the version that the windows are about to have. */
    window_requests_deliver(refresh);
    for (size_t i = 0; i < refresh->count; i++)
        delivered(&refresh->results[i]);
    put_first(refresh);
    if (refresh->trace.sampled)
        window_trace_record(refresh);
    free_refresh(refresh);
    windows_refresh(hub);
}

static bool start_refresh(struct hub *hub, struct window **windows, size_t count)
{
    struct window_refresh *refresh = memory_new(sizeof *refresh);
    struct window_result *results = refresh ? memory_new(count * sizeof *results) : NULL;
    if (!results) {
        memory_free(refresh);
        return false;
    }
    *refresh =
        (struct window_refresh){.read = {.event.deliver = deliver, .run = window_refresh_run},
                                .hub = hub,
                                .max_rows = hub->options.max_window_rows,
                                .tombstone_ms = hub->options.tombstone_ms,
                                .outlived = windows_outlived(hub),
                                .results = results,
                                .count = count,
                                .trace = trace_begin(hub->options.tracer, NULL)};
    link_init(&refresh->requests);
    for (size_t i = 0; i < count; i++) {
        pass(windows[i], hub->backlog.last);
        results[i] = (struct window_result){.window = windows[i],
                                            .asof = hub->commits,
                                            .keeps = hub->options.tombstone_ms > 0 &&
                                                     windows[i]->kept.state != WINDOW_NOT_KEPT,
                                            .snapshot_wanted = windows[i]->snapshot.wanted};
        windows[i]->busy = WINDOW_REFRESHED;
        windows[i]->stale = false;
    }
    window_requests_take(refresh);
    if (refresh->trace.sampled)
        window_trace_asked(refresh);
    if (engine_read(hub->engine, &refresh->read)) {
        hub->windows->refreshing = true;
        counter_add(&hub->metrics.window_refreshes, 1);
        return true;
    }
    /* Too many reads wait. The next commit or tick tries again. */
    for (size_t i = 0; i < count; i++) {
        windows[i]->busy = WINDOW_AT_REST;
        windows[i]->stale = true;
    }
    window_requests_deliver(refresh); /* none is done */
    free_refresh(refresh);
    return false;
}

/* ---- filling ---- */

static void deliver_fill(struct engine_event *event)
{
    struct window_fill *fill = (struct window_fill *)event;
    struct window *window = fill->window;
    struct hub *hub = window->hub;
    INVARIANT(window->busy == WINDOW_FILLED_UP);
    window->busy = WINDOW_AT_REST;
    window_activate(window);
    window_count(window, &fill->measure);
    if (!fill->done) {
        log_error("hub", "window-failed", log_text("view", window->spec.view->id),
                  log_text("error", fill->error.message));
        window_fail(window, &fill->error);
    } else if (fill->filled == WINDOW_FILLED) {
        window->matching = MATCHES_KEPT;
    }
    memory_free(fill);
    windows_refresh(hub); /* goes on, if there is more */
}

/* Of the readers' time for a window: its first member's. */
static uint64_t owner_of(const struct window *window)
{
    if (link_alone(&window->members))
        return 0;
    return window_member(window->members.next)->subscriber->owner;
}

static bool start_fill(struct window *window)
{
    struct hub *hub = window->hub;
    struct window_fill *fill = window_matches_join(window) ? memory_new(sizeof *fill) : NULL;
    if (!fill)
        return false;
    fill->read.event.deliver = deliver_fill;
    fill->read.run = window_fill_run;
    fill->read.owner = owner_of(window);
    fill->read.is_long = true;
    fill->window = window;
    if (!engine_read(hub->engine, &fill->read)) {
        memory_free(fill);
        return false;
    }
    window->busy = WINDOW_FILLED_UP;
    return true;
}

/* ---- when to refresh ---- */

/* The present on both clocks: of the loop, and of those who ask for the time. */
struct present {
    uint64_t us;
    int64_t wall_ms;
};

/* The wall clock only while a window's query uses it; else 0. */
static struct present present_of(const struct hub *hub)
{
    bool timed = hub->windows->timed && hub->engine;
    return (struct present){clock_monotonic_us(), timed ? engine_times(hub->engine).now : 0};
}

/* A window that coalesces shows a change at the end of its interval. */
static bool is_due(const struct window *window, struct present now)
{
    uint64_t interval = (uint64_t)window->spec.view->coalesce_ms * 1000;
    bool changed = window->stale || window_turns_in(window, now.wall_ms) == 0;
    return changed && now.us - window->refreshed_us >= interval;
}

static bool needs_refresh(const struct window *window, struct present now)
{
    if (!window->member_count || window->busy)
        return false;
    if (lacks_matches(window))
        return false;
    return !window->content.known || window->snapshot.wanted || window->request_count > 0 ||
           is_due(window, now);
}

static bool needs_filling(const struct window *window)
{
    return window->member_count && !window->busy && lacks_matches(window);
}

/* Nothing is on its way, and nothing is wanted: the next thing that is activates it again. */
static bool is_idle(const struct window *window)
{
    if (!window->member_count)
        return true;
    /* While a reader has the window, a refresh or a filling owns its content. */
    if (window->busy)
        return false;
    return window->content.known && !lacks_matches(window) && window->time.turn == INT64_MAX &&
           !window->stale && !window->snapshot.wanted && !window->request_count;
}

static void start_filling(struct hub *hub)
{
    struct link *link = hub->windows->active.next;
    while (link != &hub->windows->active) {
        struct window *window = LINK_OWNER(struct window, in_active, link);
        link = link->next;
        if (is_idle(window))
            link_remove(&window->in_active);
        else if (needs_filling(window) && !start_fill(window))
            return; /* too many reads wait: at the next commit or tick */
    }
}

void windows_refresh(struct hub *hub)
{
    struct windows *windows = hub->windows;
    struct window *wanted[WINDOW_REFRESH];
    size_t count = 0;
    struct present now = present_of(hub);
    windows_end_lingering(windows);
    windows_keep(hub);
    window_sums_take_turn(hub);
    start_filling(hub);
    if (windows->refreshing)
        return;
    struct link *link = windows->active.next;
    for (; link != &windows->active && count < WINDOW_REFRESH; link = link->next) {
        struct window *window = LINK_OWNER(struct window, in_active, link);
        if (needs_refresh(window, now))
            wanted[count++] = window;
    }
    if (!count || !start_refresh(hub, wanted, count))
        return;
    /* The others' turn comes first next time. */
    for (size_t i = 0; i < count; i++) {
        link_remove(&wanted[i]->in_active);
        link_append(&windows->active, &wanted[i]->in_active);
    }
}

void windows_commit(struct hub *hub, const struct engine_commit *commit)
{
    mark_all(hub, commit);
    windows_refresh(hub);
}

/* When a look at it is due, which is not yet: monotonic; UINT64_MAX: nothing is to be shown. */
static uint64_t due_at(const struct window *window, struct present now)
{
    uint64_t rested = window->refreshed_us + (uint64_t)window->spec.view->coalesce_ms * 1000;
    int64_t turns_in = window->stale ? 0 : window_turns_in(window, now.wall_ms);
    if (turns_in == INT64_MAX)
        return UINT64_MAX;
    uint64_t turn = window->stale ? 0 : now.us + (uint64_t)turns_in * 1000;
    return turn > rested ? turn : rested;
}

int64_t windows_due(const struct hub *hub)
{
    const struct windows *windows = hub->windows;
    struct present now = present_of(hub);
    uint64_t soonest = windows_keep_due(hub);
    const struct link *link;
    for (link = windows->active.next; link != &windows->active; link = link->next) {
        const struct window *window = LINK_OWNER(struct window, in_active, link);
        if (needs_filling(window) || (!windows->refreshing && needs_refresh(window, now)))
            return RETRY_MS; /* too many reads waited */
        if (!window->member_count || window->busy == WINDOW_FILLED_UP || windows->refreshing)
            continue; /* what is on its way refreshes again when it is done */
        uint64_t due = due_at(window, now);
        if (due < soonest)
            soonest = due;
    }
    uint64_t sums = window_sums_due(hub, now.us);
    soonest = sums < soonest ? sums : soonest;
    if (soonest == UINT64_MAX)
        return -1;
    return soonest > now.us ? (int64_t)((soonest - now.us) / 1000) + 1 : 1;
}
