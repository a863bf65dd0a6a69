/*
 * Windows: what somebody may hold of one that is looked at for the first time since the server was
 * started, or since it was forgotten. Three things tell:
 *
 *   - the rows that the database has of it (keep.c), and those that left it lately;
 *   - what may have been in it behind the last change up to which those were right, for in the
 *     moment before a crash somebody may have been shown more than was written down: of the last
 *     crash, and of those before it that are not long ago;
 *   - where that is not known, what was deleted (tombstones.c).
 */
#include "store/watched.h"
#include "window/reading.h"

#include <stdlib.h>

struct recall {
    struct window_reading *reading;
    struct map rows; /* the window's, by key */
    struct map lost; /* window->content.previous.rows likewise */
    int64_t since;   /* wall clock: what left before is not told */
    int64_t from;    /* of the gap that is looked at */
    bool known;      /* the database has the window, or had it */
    bool unread;     /* the window's rows are not known, nor so what is near them */
};

/* Somebody may hold it, and the window does not have it. */
static bool lose(struct recall *recall, struct span key)
{
    if (map_get(&recall->rows, key) || map_get(&recall->lost, key))
        return true;
    struct window_row *row =
        window_rows_note(&recall->reading->window->content.previous.rows, key, 0);
    return (row && map_add(&recall->lost, row)) || out_of_memory(recall->reading);
}

/* ---- what the database has ---- */

static bool each_kept(void *argument, struct span key, int64_t left_at)
{
    struct recall *recall = argument;
    struct window_reading *reading = recall->reading;
    if (map_get(&recall->rows, key) || (left_at && left_at < recall->since))
        return true;
    /* It left while nobody looked: now is when that becomes known. */
    if (!left_at && !window_rows_note(&reading->result->moves, key, MOVE_LEFT))
        return out_of_memory(reading);
    return lose(recall, key);
}

/* ---- the moment before a crash ---- */

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

/* Of one that time moved the label is not known. */
static bool is_visible(struct recall *recall, struct span key, bool *visible)
{
    struct window_reading *reading = recall->reading;
    const struct window_spec *spec = &reading->window->spec;
    struct store_entity entity;
    *visible = true;
    if (!spec->scope)
        return true;
    if (!store_read_entity(reading->reader, reading->state->export.id, key, &entity, visible,
                           &reading->result->error))
        return false;
    *visible = *visible && row_scope_shows(spec->scope, spec->view, entity.data);
    return true;
}

static bool each_pinned(void *argument, struct span key, struct span label, int64_t change)
{
    struct recall *recall = argument;
    const struct window_spec *spec = &recall->reading->window->spec;
    bool moved = span_equal(label, span_of(STORE_WATCHED_MOVED));
    bool counts = moved ? spec->stage != NULL : change > recall->from;
    bool other = spec->key.data && !span_equal(spec->key, key), visible;
    if (!counts || other || !view_shows(spec->view, key))
        return true;
    if (moved ? !is_visible(recall, key, &visible)
              : !(visible = row_scope_sees(spec->scope, label), true))
        return false;
    return !visible || lose(recall, key);
}

/* Too much came since to tell what else may have moved: those that changed themselves are told. Of
 * a view that is keyed by a field the one row goes by a key that nobody noted. */
static bool find_changed(struct recall *recall, int64_t from, int64_t to)
{
    struct window_reading *reading = recall->reading;
    struct error *error = &reading->result->error;
    reading->window->content.previous.all = false;
    recall->from = from;
    return store_scan_watched_keys(reading->reader, true, reading->state->export.id, from, to,
                                   each_pinned, recall, error) &&
           error->code == ERROR_NONE;
}

/* The rows that may have left behind a change: the answer covers all younger gaps, too. */
static bool find_gap(struct recall *recall, int64_t from, int64_t to, bool *all)
{
    struct window_rows rows = {.list = NULL};
    if (recall->unread)
        return find_changed(recall, from, to);
    if (!window_find_lost(recall->reading, from, &rows, all))
        return false;
    bool done = *all || find_changed(recall, from, to);
    for (size_t i = 0; done && i < rows.count; i++)
        done = lose(recall, window_row_key(rows.list[i]));
    window_rows_fini(&rows);
    return done;
}

static bool find_gaps(struct recall *recall)
{
    struct window_reading *reading = recall->reading;
    struct engine_watched_gap gaps[ENGINE_WATCHED_GAPS];
    size_t count;
    bool coalesces = reading->window->spec.view->coalesce_ms > 0;
    if (!engine_watched_gaps(reading->reader, coalesces, recall->since, gaps, &count,
                             &reading->result->error))
        return false;
    bool done = true, all = false;
    for (size_t i = 0; done && !all && i < count; i++)
        done = find_gap(recall, gaps[i].from, gaps[i].to, &all);
    return done;
}

/* ---- both ---- */

/* One that the database does not know, nobody watched, unless it was forgotten before its time. */
static bool find_forgotten(struct recall *recall)
{
    struct window_reading *reading = recall->reading;
    int64_t forgotten = 0;
    bool done =
        read_number(reading->reader, STORE_WATCHED_FORGOTTEN, &forgotten, &reading->result->error);
    reading->window->content.previous.all = forgotten < recall->since;
    recall->known = !reading->window->content.previous.all;
    return done;
}

static bool find_kept(struct recall *recall)
{
    struct window_reading *reading = recall->reading;
    struct window *window = reading->window;
    struct error *error = &reading->result->error;
    int64_t id, change;
    bool found;
    if (!store_read_watched(reading->reader, span_of(window->name), &id, &change, &found, error))
        return false;
    if (!found)
        return find_forgotten(recall);
    window->content.previous.all = change >= 0;
    recall->known = true;
    return change < 0 || (store_scan_watched(reading->reader, id, each_kept, recall, error) &&
                          error->code == ERROR_NONE);
}

bool window_recall(struct window_reading *reading)
{
    struct window *window = reading->window;
    struct recall recall = {.reading = reading,
                            .since = engine_times(window->hub->engine).due - reading->tombstone_ms};
    window_rows_fini(&window->content.previous.rows);
    window->content.previous.all = false;
    if (reading->tombstone_ms <= 0)
        return true;
    window->content.previous.us = clock_monotonic_us();
    map_init(&recall.lost, window_row_map_key);
    bool done =
        (window_rows_index(&window->content.rows, &recall.rows) || out_of_memory(reading)) &&
        find_kept(&recall) && find_gaps(&recall);
    map_fini(&recall.rows);
    map_fini(&recall.lost);
    return done;
}

/*
 * The rows of the other window are not looked up: without them, all rows that the database has of
 * it count. After a crash that is not all. If nobody had watched the other window, the changed keys
 * count.
 */
bool window_recall_other(const struct window_reading *reading, const struct window *other,
                         bool (*each)(void *argument, struct span key), void *argument, bool *all)
{
    struct window window = {.hub = other->hub, .spec = other->spec, .name = other->name};
    struct window_result result = {.window = &window};
    struct window_reading own = *reading;
    struct recall recall = {.reading = &own,
                            .since = engine_times(other->hub->engine).due - reading->tombstone_ms,
                            .unread = true};
    *all = false;
    if (reading->tombstone_ms <= 0 || !reading->outlived)
        return true;
    own.window = &window;
    own.result = &result;
    map_init(&recall.rows, window_row_map_key);
    map_init(&recall.lost, window_row_map_key);
    bool done = find_kept(&recall) && find_gaps(&recall);
    if (!done)
        reading->result->error = result.error;
    for (size_t i = 0; done && i < window.content.previous.rows.count; i++)
        done = each(argument, window_row_key(window.content.previous.rows.list[i]));
    *all = recall.known && !window.content.previous.all;
    map_fini(&recall.rows);
    map_fini(&recall.lost);
    window_rows_fini(&result.moves);
    window_rows_fini(&window.content.previous.rows);
    return done;
}
