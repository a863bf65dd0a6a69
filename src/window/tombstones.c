/* Deletes that are told with a snapshot: of rows that a client may hold from before. */
#include "rows/scoped_scan.h"
#include "window/reading.h"

/* Keys that whoever comes anew may hold from before. */
struct telling {
    struct window_reading *reading;
    struct snapshot_drafts *drafts;
    struct map rows;
    int64_t since; /* wall clock: those that went before are not told */
};

static bool put_tombstone(struct telling *telling, struct span key)
{
    struct window_reading *reading = telling->reading;
    if (!view_shows(reading->window->spec.view, key) || map_get(&telling->rows, key))
        return true;
    /* Under the one key that they ask for, they are sent another row. */
    if (window_is_keyed_by_field(reading->window) && reading->window->content.rows.count)
        return true;
    return row_sink_remove(&telling->drafts->sink, key) || out_of_memory(reading);
}

/* Whether some may hold rows from before the window was made, of which not all are known. */
static bool is_outlived(const struct window_reading *reading)
{
    return reading->listed || (reading->outlived && !reading->window->content.previous.all);
}

static bool each_tombstone(void *argument, const struct store_tombstone *tombstone)
{
    struct telling *telling = argument;
    const struct window_reading *reading = telling->reading;
    if (tombstone->at < telling->since ||
        (!is_outlived(reading) && tombstone->change <= reading->window->content.first_position))
        return false; /* and so are all that follow */
    if (!row_scope_sees(reading->window->spec.scope, tombstone->scope))
        return true;
    return put_tombstone(telling, tombstone->key);
}

/* A window of a key had no other row, but a list of the whole view had any. One that is keyed by a
 * field shows a row under that key, and the list did, too. */
static bool had_others(const struct window_reading *reading)
{
    if (!reading->window->spec.key.data)
        return true;
    return reading->listed && !window_is_keyed_by_field(reading->window);
}

/*
 * A key that was deleted since the window's first refresh is among its removals, if it was in the
 * window and these are not too many. A key that was deleted before can only have been in an earlier
 * window of the kind. A client that holds rows of that one may lack any delete since.
 */
static bool say_deleted(struct telling *telling)
{
    struct window_reading *reading = telling->reading;
    struct error *error = &reading->result->error;
    if (!reading->state->found || !had_others(reading) ||
        (!is_outlived(reading) && reading->window->content.removals.floor == 0))
        return true;
    return scoped_scan_tombstones((struct scoped){reading->window->spec.scope, NULL},
                                  reading->reader, reading->state->export.id, INT64_MAX,
                                  WINDOW_TOMBSTONES, each_tombstone, telling, error) &&
           error->code == ERROR_NONE;
}

bool window_encode_tombstones(struct window_reading *reading, struct snapshot_drafts *drafts)
{
    struct window *window = reading->window;
    if (drafts->sink.encoding) /* who gets bodies forgets what is not among the rows */
        return snapshot_drafts_rows_read(drafts) || out_of_memory(reading);
    struct telling telling = {.reading = reading,
                              .drafts = drafts,
                              .since =
                                  engine_times(window->hub->engine).due - reading->tombstone_ms};
    bool done = (window_rows_index(&window->content.rows, &telling.rows) &&
                 snapshot_drafts_rows_read(drafts)) ||
                out_of_memory(reading);
    for (size_t i = 0; done && i < window->content.removals.count; i++)
        if (window->content.removals.list[i].at >= telling.since)
            done = put_tombstone(&telling, span_make(window->content.removals.list[i].key,
                                                     window->content.removals.list[i].key_length));
    done = done && say_deleted(&telling);
    for (size_t i = 0; done && i < window->content.previous.rows.count; i++)
        done = put_tombstone(&telling, window_row_key(window->content.previous.rows.list[i]));
    map_fini(&telling.rows);
    return done;
}
