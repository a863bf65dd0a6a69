/*
 * A refresh: one short read transaction in which several windows are read, what differs is encoded,
 * and members that lack more than that are served. Only one is on its way at a time.
 *
 * When its time is up it begins nothing more: what it did not come to is first in the next refresh.
 * So an old reader does not hold up checkpoints, and a window that costs much does not hold up the
 * others for long. It always does one thing at least, so each comes to its turn.
 */
#include "window/reading.h"

bool window_read_stage(struct window_reading *reading)
{
    const struct view_stage *stage = reading->window->spec.stage;
    bool found;
    reading->stage = 0;
    if (!stage)
        return true;
    return store_read_stage(reading->reader, span_of(stage->definition), &reading->stage,
                            &reading->built, &found, &reading->result->error) &&
           (found || !(reading->stage = 0));
}

static void start_snapshot(struct window_reading *reading)
{
    struct window_result *result = reading->result;
    window_drafts_init(&result->drafts, reading, reading->window->spec.limit);
    result->sink = &result->drafts.sink;
}

static bool time_is_up(const struct window_refresh *refresh)
{
    return clock_monotonic_us() >= refresh->until_us;
}

static bool serve_requests(struct window_refresh *refresh, struct window_reading *reading)
{
    struct link *link;
    for (link = refresh->requests.next; link != &refresh->requests; link = link->next) {
        struct window_request *request = LINK_OWNER(struct window_request, in_requests, link);
        if (request->window != reading->window || request->same)
            continue;
        if (refresh->served > 0 && time_is_up(refresh)) {
            reading->result->skipped = true;
            return true;
        }
        INVARIANT(request->stage == REQUEST_TAKEN);
        refresh->served++;
        if (!window_encode_request(reading, request))
            return false;
    }
    return true;
}

static void look_at(struct window_refresh *refresh, struct window_result *result,
                    struct store_reader *reader)
{
    struct view_state state;
    struct window_reading reading = {
        .window = result->window,
        .result = result,
        .reader = reader,
        .state = &state,
        .max_rows = refresh->max_rows,
        .tombstone_ms = refresh->tombstone_ms,
        .now = refresh->now,
        .max_array = engine_max_array_length(refresh->hub->engine,
                                             span_of(result->window->spec.view->export_name)),
        .outlived = refresh->outlived,
        .budget = result->window->matches.state == MATCHES_PASSED ? WINDOW_SCAN : 0};
    INVARIANT(result->window->busy == WINDOW_REFRESHED);
    bool first = !result->window->content.known;
    uint64_t since = clock_monotonic_us() - result->window->content.previous.us;
    if ((int64_t)(since / 1000) >= refresh->tombstone_ms)
        window_rows_fini(
            &result->window->content.previous.rows); /* nobody comes back with those any more */
    if (!view_state_read(&state, result->window->spec.view, reader, &result->error))
        return;
    window_reading_init(&reading);
    if (result->snapshot_wanted)
        start_snapshot(&reading);
    bool done = window_read_stage(&reading) && window_read(&reading) && window_diff(&reading) &&
                (!first || window_recall(&reading)) &&
                (!result->snapshot_wanted || window_encode_tombstones(&reading, &result->drafts)) &&
                serve_requests(refresh, &reading);
    if (!done && !result->refill && result->error.code == ERROR_NONE)
        error_set(&result->error, ERROR_INTERNAL, "a window could not be read");
    window_reading_fini(&reading);
}

/* Compressing is for after the transaction. */
static void finish_snapshot(struct window_result *result)
{
    if (result->error.code == ERROR_NONE && !result->refill) {
        window_say_more(result->window, &result->drafts);
        if (!row_sink_end(result->sink, &result->snapshot))
            error_set(&result->error, ERROR_MEMORY, "out of memory while showing a window");
    }
}

static struct window_request *request_of(struct link *link)
{
    return LINK_OWNER(struct window_request, in_requests, link);
}

static bool is_same(const struct window_request *a, const struct window_request *b)
{
    return a->window == b->window && a->kind == b->kind && link_alone(&a->previous) &&
           link_alone(&b->previous) && a->kind != WINDOW_MOVE && a->kind != WINDOW_STATE &&
           a->from == b->from && a->current == b->current && a->as_frames == b->as_frames;
}

/* Many come back at once with the cursor that they were cut off at. */
static void find_same(struct window_refresh *refresh)
{
    struct link *link, *earlier;
    for (link = refresh->requests.next; link != &refresh->requests; link = link->next) {
        struct window_request *request = request_of(link);
        request->same = NULL;
        for (earlier = refresh->requests.next; earlier != link && !request->same;
             earlier = earlier->next)
            if (!request_of(earlier)->same && is_same(request_of(earlier), request))
                request->same = request_of(earlier);
    }
}

static void finish_request(struct window_refresh *refresh, struct window_request *request)
{
    if (window_request_finish(request))
        return;
    for (size_t i = 0; i < refresh->count; i++)
        if (refresh->results[i].window == request->window)
            error_set(&refresh->results[i].error, ERROR_MEMORY,
                      "out of memory while resuming a window");
}

/* Encoding and compressing is for after the transaction. */
static void finish_requests(struct window_refresh *refresh)
{
    struct link *link;
    for (link = refresh->requests.next; link != &refresh->requests; link = link->next) {
        struct window_request *request = request_of(link), *same = request->same;
        finish_request(refresh, request);
        if (!same)
            continue;
        request->done = same->done;
        request->refused = same->refused;
        request->version = same->version;
        request->rows = same->rows;
        request->text = text_ref(same->text);
    }
}

void window_refresh_run(struct read_job *read, struct store_reader *reader)
{
    struct window_refresh *refresh = (struct window_refresh *)read;
    find_same(refresh);
    refresh->until_us = clock_monotonic_us() + refresh->hub->options.refresh_us;
    refresh->now = engine_now_ms(refresh->hub->engine) / 1000;
    if (!store_read_begin(reader, &refresh->error))
        return;
    for (size_t i = 0; i < refresh->count; i++) {
        struct window_result *result = &refresh->results[i];
        result->skipped = result->unread = i > 0 && time_is_up(refresh);
        if (!result->unread)
            look_at(refresh, result, reader);
    }
    store_read_end(reader);
    for (size_t i = 0; i < refresh->count; i++)
        if (refresh->results[i].snapshot_wanted && !refresh->results[i].unread)
            finish_snapshot(&refresh->results[i]);
    finish_requests(refresh);
}

/* ---- filling ---- */

void window_fill_run(struct read_job *read, struct store_reader *reader)
{
    struct window_fill *fill = (struct window_fill *)read;
    const struct hub *hub = fill->window->hub;
    const struct window_fill_limits limits = {.matches = hub->options.max_window_rows,
                                              .rows = INT64_MAX,
                                              .now = engine_now_ms(hub->engine) / 1000,
                                              .until_us =
                                                  clock_monotonic_us() + hub->options.refresh_us};
    fill->done = window_matches_fill(fill->window, reader, &limits, &fill->filled, &fill->error);
}
