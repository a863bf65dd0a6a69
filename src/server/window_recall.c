/*
 * Windows: what somebody may hold of one that is looked at for the first time since the server was
 * started, or since it was forgotten. Three things tell:
 *
 *   - the rows that the database has of it (window_keep.c), and those that left it lately;
 *   - what may have been in it behind the last change up to which those were right, for in the
 *     moment before a crash somebody may have been shown more than was written down;
 *   - where that is not known, what was deleted (window_encode.c).
 */
#include "server/scoped_scan.h"
#include "server/window_internal.h"

#include <stdlib.h>

enum { GAP_KEYS = 10000 }; /* entities that changed in that moment, at most */

struct recall {
    struct window_reading *reading;
    struct map rows; /* the window's, by key */
    int64_t since;   /* wall clock: what left before is not told */
    struct window_rows gap;
};

static bool lacks_memory(struct window_reading *reading)
{
    return error_set(&reading->result->error, ERROR_MEMORY,
                     "out of memory while recalling a window");
}

static bool add(struct window_reading *reading, struct window_rows *rows, struct span key,
                enum window_fate fate)
{
    struct window_row *row = window_row_new(key, span_make(NULL, 0), 0);
    if (row)
        row->fate = fate;
    if (row && window_rows_add(rows, row))
        return true;
    memory_free(row);
    return lacks_memory(reading);
}

/* ---- what the database has ---- */

static bool each_kept(void *argument, struct span key, int64_t left_at)
{
    struct recall *recall = argument;
    struct window_reading *reading = recall->reading;
    if (map_get(&recall->rows, key) || (left_at && left_at < recall->since))
        return true;
    /* It left while nobody looked: now is when that becomes known. */
    if (!left_at && !add(reading, &reading->result->moves, key, ROW_LEFT))
        return false;
    return add(reading, &reading->window->lost, key, ROW_LEFT);
}

/* ---- the moment before the crash ---- */

static bool read_number(struct store_reader *reader, const char *name, int64_t *number,
                        struct error *error)
{
    struct buffer text;
    bool found;
    buffer_init(&text, 64);
    bool done = store_read_meta(reader, name, &text, &found, error);
    if (done && found && buffer_string(&text))
        *number = strcmp(text.data, "all") == 0 ? INT64_MAX : strtoll(text.data, NULL, 10);
    buffer_fini(&text);
    return done;
}

static bool each_change(void *argument, const struct store_change *change,
                        const struct store_entity *entity)
{
    struct recall *recall = argument;
    struct window_reading *reading = recall->reading;
    const struct window_spec *spec = &reading->window->spec;
    struct sight sight = row_scope_log_sight(spec->scope, change);
    bool other = spec->key.data && !span_equal(spec->key, change->key);
    (void)entity;
    if (!(sight.before || sight.after) || !view_shows(spec->view, change->key) || other)
        return true;
    return recall->gap.count < GAP_KEYS && add(reading, &recall->gap, change->key, ROW_LEFT);
}

/* Too much came since to tell what else may have moved: those that changed themselves are told. Of
 * a view that is keyed by a field the one row goes by a key that the log does not tell. */
static bool find_changed(struct recall *recall, int64_t from)
{
    struct window_reading *reading = recall->reading;
    struct error *error = &reading->result->error;
    if (from < reading->state->log.floor_change || reading->cut_at <= from)
        return true;
    return scoped_scan_changes((struct scoped){reading->window->spec.scope, NULL}, reading->reader,
                               reading->state->export.id, span_make(NULL, 0), from, reading->cut_at,
                               false, each_change, recall, error) &&
           error->code == ERROR_NONE;
}

static bool find_gap(struct recall *recall, int64_t from)
{
    struct window_reading *reading = recall->reading;
    struct window *window = reading->window;
    bool all;
    if (!window_find_lost(reading, from, &recall->gap, &all) ||
        (!all && !find_changed(recall, from)))
        return false;
    window->recalled = window->recalled && all;
    for (size_t i = 0; i < recall->gap.count; i++) {
        struct span key = window_row_key(recall->gap.list[i]);
        if (!map_get(&recall->rows, key) && !add(reading, &window->lost, key, ROW_LEFT))
            return false;
    }
    return true;
}

/* ---- both ---- */

/* One that the database does not know, nobody watched, unless it was forgotten before its time. */
static bool find_forgotten(struct recall *recall)
{
    struct window_reading *reading = recall->reading;
    int64_t forgotten = 0;
    bool done =
        read_number(reading->reader, STORE_WATCHED_FORGOTTEN, &forgotten, &reading->result->error);
    reading->window->recalled = forgotten < recall->since;
    return done;
}

static bool find_kept(struct recall *recall, int64_t *change)
{
    struct window_reading *reading = recall->reading;
    struct window *window = reading->window;
    struct error *error = &reading->result->error;
    int64_t id;
    bool found;
    if (!store_read_watched(reading->reader, span_of(window->name), &id, change, &found, error))
        return false;
    if (!found)
        return find_forgotten(recall);
    window->recalled = *change >= 0;
    return *change < 0 || (store_scan_watched(reading->reader, id, each_kept, recall, error) &&
                           error->code == ERROR_NONE);
}

bool window_recall(struct window_reading *reading)
{
    struct window *window = reading->window;
    struct recall recall = {.reading = reading,
                            .since = engine_due_ms(window->hub->engine) - reading->tombstone_ms};
    int64_t change = INT64_MAX, from = -1;
    window_rows_fini(&window->lost);
    window->recalled = false;
    if (reading->tombstone_ms <= 0)
        return true;
    window->lost_us = clock_monotonic_us();
    bool done = (window_index_rows(window, &recall.rows) || lacks_memory(reading)) &&
                find_kept(&recall, &change);
    if (done && reading->cut_at >= 0)
        done = read_number(reading->reader, ENGINE_WATCHED_BEFORE, &from, &reading->result->error);
    if (from < 0) /* no window was ever watched, or it was not written down */
        from = reading->cut_at;
    /* What coalesces may have been shown later than all others. */
    if (window->spec.view->coalesce_ms && change >= 0 && change < from && from != INT64_MAX)
        from = change;
    if (done && reading->cut_at >= 0 && from != INT64_MAX)
        done = find_gap(&recall, from);
    map_fini(&recall.rows);
    window_rows_fini(&recall.gap);
    return done;
}
