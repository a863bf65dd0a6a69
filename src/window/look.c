/*
 * A look: one short read transaction in which several windows are read, what differs is encoded,
 * and members that lack more than that are served. Only one is on its way at a time.
 *
 * When its time is up it begins nothing more: what it did not come to is first in the next look. So
 * an old reader does not hold up checkpoints, and a window that costs much does not hold up the
 * others for long. It always does one thing at least, so each comes to its turn.
 */
#include "window/window_internal.h"

struct window_look {
    struct read_job read;
    struct hub *hub;
    int64_t max_rows, tombstone_ms;
    bool outlived; /* as in struct window_reading */
    struct window_result *results;
    size_t count;
    struct link requests; /* window_request.in_requests */
    uint64_t until_us;    /* its time is up */
    size_t served;        /* requests */
    struct error error;   /* the look itself failed */
};

/* ---- on a reader ---- */

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
    struct window *window = reading->window;
    struct snapshot_place place = {.limit = window->spec.limit,
                                   .change = reading->state->log.last_change,
                                   .latest = reading->state->log.last_change,
                                   .seq = window_cursor(reading->state)};
    snapshot_drafts_init(&reading->result->drafts, window->spec.view, window->mode, &place);
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
        .max_array = engine_max_array_length(look->hub->engine,
                                             span_of(result->window->spec.view->export_name)),
        .outlived = look->outlived,
        .budget = result->window->scanning ? WINDOW_SCAN : 0};
    bool first = !result->window->known;
    uint64_t since = clock_monotonic_us() - result->window->lost_us;
    if ((int64_t)(since / 1000) >= look->tombstone_ms)
        window_rows_fini(&result->window->lost); /* nobody comes back with those any more */
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
        if (snapshot_drafts_end(&result->drafts, true))
            result->snapshot = window_join_drafts(&result->drafts);
        if (!result->snapshot)
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

static void run(struct read_job *read, struct store_reader *reader)
{
    struct window_look *look = (struct window_look *)read;
    find_same(look);
    look->until_us = clock_monotonic_us() + look->hub->options.look_us;
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

/* ---- on the loop ---- */

static void free_look(struct window_look *look)
{
    for (size_t i = 0; i < look->count; i++) {
        struct window_result *result = &look->results[i];
        text_unref(result->frames);
        text_unref(result->snapshot);
        window_rows_fini(&result->moves);
        if (result->snapshot_wanted && !result->unread)
            snapshot_drafts_fini(&result->drafts);
    }
    memory_free(look->results);
    memory_free(look);
}

static void deliver_requests(struct window_look *look)
{
    while (!link_alone(&look->requests)) {
        struct window_request *request =
            LINK_OWNER(struct window_request, in_requests, look->requests.next);
        link_remove(&request->in_requests);
        request->looking = false;
        request->returned = true;
        if (request->done && request->same)
            counter_add(&look->hub->metrics.resumes_shared, 1);
        window_request_done(request);
    }
}

/* What was skipped comes first next time. Failing may have freed the others, but not these. */
static void put_first(struct window_look *look)
{
    for (size_t i = look->count; i-- > 0;) {
        struct window_result *result = &look->results[i];
        if (!result->skipped || result->error.code != ERROR_NONE)
            continue;
        link_remove(&result->window->in_active);
        link_prepend(&look->hub->windows->active, &result->window->in_active);
    }
}

static void deliver(struct engine_event *event)
{
    struct window_look *look = (struct window_look *)event;
    struct hub *hub = look->hub;
    hub->windows->looking = false;
    for (size_t i = 0; i < look->count; i++) {
        struct window_result *result = &look->results[i];
        if (look->error.code != ERROR_NONE)
            result->error = look->error;
        if (result->error.code != ERROR_NONE)
            log_error("hub", "window-failed", "view=\"%s\" error=\"%s\"",
                      result->window->spec.view->id, result->error.message);
    }
    /* Requests first: what they hold is of the version that the windows are about to have. */
    deliver_requests(look);
    for (size_t i = 0; i < look->count; i++)
        window_delivered(&look->results[i]);
    put_first(look);
    free_look(look);
    windows_look(hub);
}

static void take_requests(struct window_look *look)
{
    struct windows *windows = look->hub->windows;
    struct link *link = windows->requests.next;
    size_t taken = 0;
    while (link != &windows->requests && taken < WINDOW_REQUESTS) {
        struct window_request *request = LINK_OWNER(struct window_request, in_requests, link);
        link = link->next;
        if (!request->window->looking)
            continue;
        link_remove(&request->in_requests);
        link_append(&look->requests, &request->in_requests);
        request->looking = true;
        request->window->joining = true;
        request->window->request_count--;
        taken++;
    }
}

/* Clients that do not keep their cursor come back soon after a restart, with what they held. */
static bool is_outlived(const struct hub *hub)
{
    const struct windows *windows = hub->windows;
    uint64_t now = clock_monotonic_us(), most = (uint64_t)hub->options.tombstone_ms * 1000;
    bool ended = windows->ended_us && now - windows->ended_us < most;
    return ended || (hub->opened_change > 0 && now - hub->opened_us < most);
}

bool window_look_start(struct hub *hub, struct window **windows, size_t count)
{
    struct window_look *look = memory_new(sizeof *look);
    struct window_result *results = look ? memory_new(count * sizeof *results) : NULL;
    if (!results) {
        memory_free(look);
        return false;
    }
    *look = (struct window_look){.read = {.event.deliver = deliver, .run = run},
                                 .hub = hub,
                                 .max_rows = hub->options.max_window_rows,
                                 .tombstone_ms = hub->options.tombstone_ms,
                                 .outlived = is_outlived(hub),
                                 .results = results,
                                 .count = count};
    link_init(&look->requests);
    for (size_t i = 0; i < count; i++) {
        window_pass(windows[i], hub->ring.last);
        results[i] = (struct window_result){.window = windows[i],
                                            .asof = hub->commits,
                                            .keeps = hub->options.tombstone_ms > 0 &&
                                                     windows[i]->kept != WINDOW_NOT_KEPT,
                                            .snapshot_wanted = windows[i]->snapshot_wanted};
        windows[i]->looking = true;
        windows[i]->stale = false;
    }
    take_requests(look);
    if (engine_read(hub->engine, &look->read)) {
        hub->windows->looking = true;
        counter_add(&hub->metrics.window_looks, 1);
        return true;
    }
    /* Too many reads wait. The next commit or tick tries again. */
    for (size_t i = 0; i < count; i++) {
        windows[i]->looking = false;
        windows[i]->stale = true;
    }
    while (!link_alone(&look->requests)) {
        struct window_request *request =
            LINK_OWNER(struct window_request, in_requests, look->requests.next);
        link_remove(&request->in_requests);
        link_append(&hub->windows->requests, &request->in_requests);
        request->looking = false;
        request->window->request_count++;
    }
    free_look(look);
    return false;
}

/* ---- filling ---- */

struct window_fill {
    struct read_job read;
    struct window *window;
    bool done;
    enum window_filled filled;
    struct error error;
};

static void run_fill(struct read_job *read, struct store_reader *reader)
{
    struct window_fill *fill = (struct window_fill *)read;
    const struct hub *hub = fill->window->hub;
    const struct window_fill_limits limits = {.matches = hub->options.max_window_rows,
                                              .rows = INT64_MAX,
                                              .until_us =
                                                  clock_monotonic_us() + hub->options.look_us};
    fill->done = window_matches_fill(fill->window, reader, &limits, &fill->filled, &fill->error);
}

static void deliver_fill(struct engine_event *event)
{
    struct window_fill *fill = (struct window_fill *)event;
    struct window *window = fill->window;
    struct hub *hub = window->hub;
    window->filling = false;
    window_activate(window);
    if (!fill->done) {
        log_error("hub", "window-failed", "view=\"%s\" error=\"%s\"", window->spec.view->id,
                  fill->error.message);
        window_fail(window, &fill->error);
    } else if (fill->filled == WINDOW_FILLED) {
        window->matches_ready = true;
    }
    memory_free(fill);
    windows_look(hub); /* goes on, if there is more */
}

bool window_fill_start(struct window *window)
{
    struct hub *hub = window->hub;
    struct window_fill *fill = memory_new(sizeof *fill);
    if (!fill)
        return false;
    fill->read.event.deliver = deliver_fill;
    fill->read.run = run_fill;
    fill->read.owner = window_owner(window);
    fill->read.is_long = true;
    fill->window = window;
    window->filling = engine_read(hub->engine, &fill->read);
    if (!window->filling)
        memory_free(fill);
    return window->filling;
}
