/*
 * Windows: members that come with a cursor, or begin at one. since.c bounds the rows that may have
 * gone and come since.
 */
#include "window/reading.h"

/* If there are too many, the rows that were put are worth nothing. Rows that the client holds of
 * other subscriptions go first. */
static bool run(struct window_since *since, const struct window_request *request)
{
    bool done = window_since_find(since) &&
                (since->too_many ||
                 (window_each_previous(since->reading, request, &since->rows, true, since->sink) &&
                  window_since_put(since)));
    window_since_fini(since);
    return done || (since->too_many && since->reading->result->error.code == ERROR_NONE);
}

/* Frames, as they will be for a member that is live. */
static bool tell_frames(struct window_since *since, struct window_request *request)
{
    struct row_frames frames;
    window_frames_init(&frames, since->reading);
    since->sink = &frames.sink;
    bool done = run(since, request);
    request->refused = done && since->too_many;
    if (done && !request->refused)
        done = row_sink_end(&frames.sink, &request->text) ||
               error_set(&since->reading->result->error, ERROR_MEMORY,
                         "out of memory while resuming a window");
    request->rows = frames.sink.rows;
    since->sink = NULL;
    row_frames_fini(&frames);
    return done;
}

/* A snapshot's batch, of the rows that it lacks; or what asks as no member does has a sink. */
static bool tell_rows(struct window_since *since, struct window_request *request)
{
    if (!request->sink && !window_request_drafts(since->reading, request, -1))
        return false;
    since->sink = request->sink ? request->sink : &request->drafts->sink;
    if (request->drafts)
        request->drafts->amends = true;
    bool done = run(since, request);
    bool too_long =
        request->drafts && window_is_too_long(request, snapshot_drafts_bytes(request->drafts));
    request->refused = done && (since->too_many || too_long);
    request->rows = since->sink->rows;
    return done;
}

/* Find the change where its cursor stands; a cursor that would have to be searched for is refused:
 * it was in memory a moment ago. */
static bool look_up(struct window_reading *reading, struct window_request *request)
{
    struct resume_query *cursor = &request->cursor;
    cursor->view = reading->window->spec.view;
    if (!resume_query_look(cursor, reading->state, reading->reader, &reading->result->error))
        return false;
    request->from = cursor->from;
    request->refused = !cursor->done || !cursor->accepted;
    return true;
}

bool window_encode_resume(struct window_reading *reading, struct window_request *request)
{
    if (request->looks_up && !look_up(reading, request))
        return false;
    struct window_since since = {
        .reading = reading, .from = request->from, .may_refuse = !request->as_frames};
    request->refused =
        request->refused || window_since_is_unknown(reading, request->from, request->current);
    if (request->refused)
        return true;
    return request->as_frames ? tell_frames(&since, request) : tell_rows(&since, request);
}

/* Without the log: the rows that changed behind that change, as far as they are known. */
static bool tell_changed(struct window_reading *reading, struct window_request *request)
{
    const struct window_rows *rows = &reading->window->content.rows;
    struct row_frames frames;
    struct map by_key;
    window_frames_init(&frames, reading);
    bool done =
        window_rows_index(&reading->window->content.rows, &by_key) || out_of_memory(reading);
    done = done && window_each_previous(reading, request, &by_key, true, &frames.sink);
    map_fini(&by_key);
    for (size_t i = 0; done && i < rows->count; i++) {
        struct span key = window_row_key(rows->list[i]);
        if (rows->list[i]->change > request->from)
            done = window_put_row(reading, key, &frames.sink);
    }
    done = done && (row_sink_end(&frames.sink, &request->text) || out_of_memory(reading));
    row_frames_fini(&frames);
    return done;
}

bool window_encode_from_now(struct window_reading *reading, struct window_request *request)
{
    struct window_since since = {.reading = reading, .from = request->from, .only_rows = true};
    request->refused = window_since_is_trimmed(reading, request->from);
    if (!request->refused && !tell_frames(&since, request))
        return false;
    bool told = !request->refused;
    request->refused = false;
    return told || tell_changed(reading, request);
}
