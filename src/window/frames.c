/* The rows of a window as frames, on a reader. */
#include "rows/show.h"
#include "window/reading.h"

void window_say_more(const struct window *window, struct snapshot_drafts *drafts)
{
    int64_t take, skip;
    if (window_part(window, &take, &skip))
        drafts->more = window->content.more ? WIRE_MORE : WIRE_MORE_NONE;
}

bool window_fetch(struct window_reading *reading, struct span key, struct store_entity *entity)
{
    struct error *error = &reading->result->error;
    bool found;
    if (!store_read_entity(reading->reader, reading->state->export.id, key, entity, &found, error))
        return false;
    return found || error_set(error, ERROR_DATABASE,
                              "row '%.*s' of a view is not among its entities; run stele check",
                              (int)(key.length > 64 ? 64 : key.length), key.data);
}

bool window_index_old(struct window_reading *reading)
{
    if (reading->old_on)
        return true;
    reading->old_on = true;
    return window_rows_index(&reading->window->content.rows, &reading->old) ||
           out_of_memory(reading);
}

/* Members of a view that is keyed by a field know rows by the key that they asked for. */
static struct span key_of_rows(const struct window *window)
{
    return window_is_keyed_by_field(window) ? window->spec.key : span_make(NULL, 0);
}

/* If rows have keys other than their own, another of them may be the older one; so all come from
 * the refresh. Members with a scope must not learn whether a row that leaves is still there. */
static void init_sink(struct row_sink *sink, const struct window_reading *reading)
{
    sink->encoding = reading->window->spec.encoding;
    sink->key = key_of_rows(reading->window);
    sink->change = sink->key.data ? reading->state->log.last_change : 0;
    sink->leaving = ROW_REMOVE;
    sink->reader = reading->window->spec.scope ? NULL : reading->reader;
    sink->export_id = reading->state->export.id;
}

void window_frames_init(struct row_frames *frames, const struct window_reading *reading)
{
    const struct window *window = reading->window;
    row_frames_init(frames, window->spec.view, window->mode, FRAMES_LAST);
    init_sink(&frames->sink, reading);
    frames->last = view_state_cursor(reading->state);
}

void window_drafts_init(struct snapshot_drafts *drafts, const struct window_reading *reading,
                        int64_t limit)
{
    const struct window *window = reading->window;
    int64_t change = reading->state->log.last_change;
    const struct snapshot_point point = {.limit = limit,
                                         .change = change,
                                         .latest = change,
                                         .seq = view_state_cursor(reading->state)};
    snapshot_drafts_init(drafts, window->spec.view, window->mode, &point);
    init_sink(&drafts->sink, reading);
    drafts->ends_at_limit = true;
}

bool window_request_drafts(struct window_reading *reading, struct window_request *request,
                           int64_t limit)
{
    request->drafts = memory_new(sizeof *request->drafts);
    if (!request->drafts)
        return out_of_memory(reading);
    window_drafts_init(request->drafts, reading, limit);
    return true;
}

bool window_put_row(struct window_reading *reading, struct span key, struct row_sink *sink)
{
    struct store_entity entity;
    if (!window_texts_find(reading, key, &entity) && !window_fetch(reading, key, &entity))
        return false;
    entity.key = key;
    return row_sink_put(sink, &entity) || out_of_memory(reading);
}
