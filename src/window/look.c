/*
 * A look: one short read transaction in which several windows are read, what differs is encoded,
 * and members that lack more than that are served. Only one is on its way at a time.
 *
 * When its time is up it begins nothing more: what it did not come to is first in the next look. So
 * an old reader does not hold up checkpoints, and a window that costs much does not hold up the
 * others for long. It always does one thing at least, so each comes to its turn.
 */
#include "window/window_internal.h"

bool window_read_stage(struct window_reading *reading)
{
    const struct view_stage *stage = reading->window->spec.view->stage;
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

static bool time_is_up(const struct window_look *look)
{
    return clock_monotonic_us() >= look->until_us;
}

static bool serve_requests(struct window_look *look, struct window_reading *reading)
{
    struct link *link;
    for (link = look->requests.next; link != &look->requests; link = link->next) {
        struct window_request *request = LINK_OWNER(struct window_request, in_requests, link);
        if (request->window != reading->window || request->same)
            continue;
        if (look->served > 0 && time_is_up(look)) {
            reading->result->skipped = true;
            return true;
        }
        INVARIANT(request->stage == REQUEST_LOOKING);
        look->served++;
        if (!window_encode_request(reading, request))
            return false;
    }
    return true;
}

static void look_at(struct window_look *look, struct window_result *result,
                    struct store_reader *reader)
{
    struct view_state state;
    struct window_reading reading = {
        .window = result->window,
        .result = result,
        .reader = reader,
        .state = &state,
        .max_rows = look->max_rows,
        .tombstone_ms = look->tombstone_ms,
        .now = look->now,
        .max_array = engine_max_array_length(look->hub->engine,
                                             span_of(result->window->spec.view->export_name)),
        .outlived = look->outlived,
        .budget = result->window->matches.state == MATCHES_PASSED ? WINDOW_SCAN : 0};
    INVARIANT(result->window->busy == WINDOW_LOOKED_AT);
    bool first = !result->window->content.known;
    uint64_t since = clock_monotonic_us() - result->window->content.previous.us;
    if ((int64_t)(since / 1000) >= look->tombstone_ms)
        window_rows_fini(
            &result->window->content.previous.rows); /* nobody comes back with those any more */
    if (!view_state_read(&state, result->window->spec.view, reader, &result->error))
        return;
    window_reading_init(&reading);
    if (result->snapshot_wanted)
        start_snapshot(&reading);
    bool done = window_read_stage(&reading) && window_read(&reading) && window_settle(&reading) &&
                (!first || window_recall(&reading)) &&
                (!result->snapshot_wanted || window_encode_farewells(&reading, &result->drafts)) &&
                serve_requests(look, &reading);
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
    return a->window == b->window && a->kind == b->kind && link_alone(&a->held) &&
           link_alone(&b->held) && a->kind != WINDOW_MOVE && a->kind != WINDOW_STATE &&
           a->from == b->from && a->current == b->current && a->as_frames == b->as_frames;
}

/* Many come back at once with the cursor that they were cut off at. */
static void find_same(struct window_look *look)
{
    struct link *link, *earlier;
    for (link = look->requests.next; link != &look->requests; link = link->next) {
        struct window_request *request = request_of(link);
        request->same = NULL;
        for (earlier = look->requests.next; earlier != link && !request->same;
             earlier = earlier->next)
            if (!request_of(earlier)->same && is_same(request_of(earlier), request))
                request->same = request_of(earlier);
    }
}

static void finish_request(struct window_look *look, struct window_request *request)
{
    if (window_request_finish(request))
        return;
    for (size_t i = 0; i < look->count; i++)
        if (look->results[i].window == request->window)
            error_set(&look->results[i].error, ERROR_MEMORY,
                      "out of memory while resuming a window");
}

/* Encoding and compressing is for after the transaction. */
static void finish_requests(struct window_look *look)
{
    struct link *link;
    for (link = look->requests.next; link != &look->requests; link = link->next) {
        struct window_request *request = request_of(link), *same = request->same;
        finish_request(look, request);
        if (!same)
            continue;
        request->done = same->done;
        request->refused = same->refused;
        request->version = same->version;
        request->rows = same->rows;
        request->text = text_ref(same->text);
    }
}

void window_look_run(struct read_job *read, struct store_reader *reader)
{
    struct window_look *look = (struct window_look *)read;
    find_same(look);
    look->until_us = clock_monotonic_us() + look->hub->options.look_us;
    look->now = engine_now_ms(look->hub->engine) / 1000;
    if (!store_read_begin(reader, &look->error))
        return;
    for (size_t i = 0; i < look->count; i++) {
        struct window_result *result = &look->results[i];
        result->skipped = result->unread = i > 0 && time_is_up(look);
        if (!result->unread)
            look_at(look, result, reader);
    }
    store_read_end(reader);
    for (size_t i = 0; i < look->count; i++)
        if (look->results[i].snapshot_wanted && !look->results[i].unread)
            finish_snapshot(&look->results[i]);
    finish_requests(look);
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
                                                  clock_monotonic_us() + hub->options.look_us};
    fill->done = window_matches_fill(fill->window, reader, &limits, &fill->filled, &fill->error);
}
