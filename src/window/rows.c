/* Windows: reading the rows that are in one now. */
#include "rows/scoped_scan.h"
#include "window/reading.h"

/* ---- one row ---- */

static bool lacks_memory(struct window_reading *reading)
{
    return error_set(&reading->result->error, ERROR_MEMORY, "out of memory while reading a window");
}

/* The row as it was: mostly it stands where it stood. NULL when it was not in the window. */
static bool find_old(struct window_reading *reading, struct span key, struct window_row **old)
{
    const struct window_rows *rows = &reading->window->content.rows;
    size_t sort_key = reading->rows.count;
    *old = sort_key < rows->count ? rows->list[sort_key] : NULL;
    if (*old && span_equal(window_row_key(*old), key))
        return true;
    *old = NULL;
    if (!rows->count)
        return true;
    if (!window_index_old(reading))
        return false;
    *old = map_get(&reading->old, key);
    return true;
}

static bool note_fresh(struct window_reading *reading, struct window_row *row, struct span data)
{
    if (reading->fresh_count == reading->fresh_capacity) {
        size_t capacity = reading->fresh_capacity ? reading->fresh_capacity * 2 : 16;
        struct window_fresh *fresh = memory_resize(reading->fresh, capacity * sizeof *fresh);
        if (!fresh)
            return lacks_memory(reading);
        reading->fresh = fresh;
        reading->fresh_capacity = capacity;
    }
    reading->fresh[reading->fresh_count++] =
        (struct window_fresh){row, reading->data.length, data.length};
    return buffer_add_span(&reading->data, data) || lacks_memory(reading);
}

/* A row of the window, in order. Without data (the entity's text) it is fetched when needed. */
static bool put_row(struct window_reading *reading, struct store_entity *entity,
                    struct span sort_key)
{
    struct window_row *old, *row;
    if (!find_old(reading, entity->key, &old))
        return false;
    bool fresh = !old || old->change != entity->change;
    row = fresh ? window_row_new(entity->key, sort_key, entity->change) : old;
    if (!row || !window_rows_add(&reading->rows, row)) {
        if (fresh)
            memory_free(row);
        return lacks_memory(reading);
    }
    if (old)
        old->fate = FATE_REPLACED;
    row->fate = FATE_CARRIED;
    if (fresh) {
        row->version = reading->window->content.version + 1;
        row->entered = old ? old->entered : row->version;
    }
    struct span key = window_row_key(row);
    if ((fresh || reading->result->snapshot_wanted) && !entity->data.data &&
        !window_fetch(reading, key, entity))
        return false;
    if (fresh && reading->window->content.known && !note_fresh(reading, row, entity->data))
        return false;
    return !reading->result->snapshot_wanted || row_sink_put(reading->result->sink, entity) ||
           lacks_memory(reading);
}

static bool is_full(const struct window_reading *reading)
{
    int64_t take = reading->window->spec.take;
    return take != VIEW_ALL && (int64_t)reading->rows.count >= take;
}

static bool is_too_large(struct window_reading *reading)
{
    if ((int64_t)reading->rows.count < reading->max_rows)
        return false;
    error_set(&reading->result->error, ERROR_TOO_LARGE,
              "the window has more than %lld rows; ask for a smaller one (take, filters), or raise "
              "max_window_rows",
              (long long)reading->max_rows);
    return true;
}

/* ---- all rows ---- */

/* One more row than the window takes: it ends the reading. */
static bool note_next(struct window_reading *reading, struct span sort_key)
{
    reading->more = true;
    if (!buffer_add_span(&reading->next, sort_key))
        lacks_memory(reading);
    return false;
}

/* Rows of the view come by; those that pass, less the skipped ones, are the window's. */
static bool each_of_stage(void *argument, struct span sort_key, const struct store_entity *row)
{
    struct window_reading *reading = argument;
    struct store_entity entity = *row;
    if (reading->budget && ++reading->looked > reading->budget) {
        /* A member with enough rows does not wait for the answer whether there are more. */
        reading->more = is_full(reading);
        reading->exhausted = !reading->more;
        return false;
    }
    window_expect_turn(reading->window, entity.data);
    if (!window_passes(reading->window, entity.key, entity.data))
        return true;
    if (is_full(reading))
        return note_next(reading, sort_key);
    if (is_too_large(reading))
        return false;
    if (reading->skipped < reading->window->spec.skip) {
        reading->skipped++;
        return true;
    }
    return put_row(reading, &entity, sort_key);
}

static bool each_of_list(void *argument, const struct store_entity *row)
{
    return each_of_stage(argument, span_make(NULL, 0), row);
}

static bool good(const struct window_reading *reading)
{
    return reading->result->error.code == ERROR_NONE;
}

/* The visible rows, by label. Rows of other labels are not looked at, so they cost no budget. */
static bool scan_labelled(struct window_reading *reading, int64_t by_label)
{
    struct scoped scoped = {reading->window->spec.scope, NULL};
    if (!view_query_filters(reading->window->spec.query))
        reading->budget = 0;
    return scoped_scan_rows(scoped, reading->reader, by_label, span_make(NULL, 0), -1,
                            each_of_stage, reading, &reading->result->error) &&
           good(reading);
}

/* Without a filter the database can skip and stop by itself. */
static bool scan(struct window_reading *reading)
{
    const struct window *window = reading->window;
    const struct window_spec *spec = &window->spec;
    struct view_cut cut = window_view_cut(window);
    bool plain = !view_query_filters(spec->query) && !spec->key.data && !spec->view->key_count &&
                 !spec->scope;
    int64_t skip = cut.skip, limit = cut.take;
    if (plain) {
        skip += spec->skip;
        limit = limit == VIEW_ALL ? VIEW_ALL : limit > spec->skip ? limit - spec->skip : 0;
        if (window_may_have_more(window))
            limit = spec->take + 1;
        else if (spec->take != VIEW_ALL && (limit == VIEW_ALL || spec->take < limit))
            limit = spec->take;
        reading->skipped = spec->skip;
    }
    struct error *error = &reading->result->error;
    int64_t by_label = 0;
    if (!window_is_cut(window) &&
        !scoped_find_rows((struct scoped){spec->scope, NULL}, window_by_label(window),
                          reading->reader, &by_label, error))
        return false;
    if (by_label)
        return scan_labelled(reading, by_label);
    if (!spec->stage)
        return store_scan_list(reading->reader, reading->state->export.id, skip, limit, true,
                               each_of_list, reading, error) &&
               good(reading);
    if (cut.last && spec->skip > 0)
        return true;
    return store_scan_stage(reading->reader, reading->stage, span_make(NULL, 0),
                            cut.last ? 0 : skip, limit, cut.last, true, each_of_stage, reading,
                            error) &&
           good(reading);
}

static bool read_matches(struct window_reading *reading)
{
    const struct window *window = reading->window;
    if (!window_matches_update(reading))
        return false;
    reading->more = window->spec.take != VIEW_ALL && !window->spec.key.data &&
                    (int64_t)window->matches.rows.count - window->spec.skip > window->spec.take;
    for (size_t i = (size_t)window->spec.skip; i < window->matches.rows.count && !is_full(reading);
         i++) {
        const struct window_row *match = window->matches.rows.list[i];
        struct store_entity entity = {.key = window_row_key(match), .change = match->change};
        if (is_too_large(reading) || !put_row(reading, &entity, span_make(NULL, 0)))
            return false;
    }
    return true;
}

/* Whether the view has that sort key: its stage has a row there, within the cut. */
static bool is_at_sort_key(struct window_reading *reading, struct span sort_key, bool *found)
{
    struct error *error = &reading->result->error;
    struct view_cut cut = window_view_cut(reading->window);
    struct window_bounds bounds;
    if (!store_read_sort_key(reading->reader, reading->stage, sort_key, found, error) || !*found ||
        !window_is_cut(reading->window))
        return error->code == ERROR_NONE;
    window_bounds_init(&bounds);
    bool done = window_bounds_read(&bounds, reading->reader, reading->stage, &cut, error);
    *found = done && window_bounds_have(&bounds, sort_key);
    window_bounds_fini(&bounds);
    return done;
}

/* One key: no need to look at any other row, but in a short cut. */
static bool read_key(struct window_reading *reading)
{
    const struct window *window = reading->window;
    const struct view_stage *stage = window->spec.stage;
    struct error *error = &reading->result->error;
    struct store_entity entity;
    struct buffer sort_key;
    bool found;
    if (!store_read_entity(reading->reader, reading->state->export.id, window->spec.key, &entity,
                           &found, error))
        return false;
    if (found)
        window_expect_turn(reading->window, entity.data);
    if (!found || window->spec.skip > 0 || !window_passes(window, entity.key, entity.data))
        return true;
    buffer_init(&sort_key, UINT32_MAX);
    bool done = !stage ||
                view_stage_sort_key(stage, entity.key, entity.data, entity.seq, &sort_key) ||
                lacks_memory(reading);
    if (done && stage)
        done = is_at_sort_key(reading, buffer_span(&sort_key), &found);
    /* Looking the sort key up took the entity's text back, so it is fetched again. */
    entity.key = window->spec.key;
    if (stage)
        entity.data = span_make(NULL, 0);
    done = done && (!found || put_row(reading, &entity, span_make(NULL, 0)));
    buffer_fini(&sort_key);
    return done;
}

void window_reading_init(struct window_reading *reading)
{
    buffer_init(&reading->data, UINT32_MAX);
    buffer_init(&reading->next, UINT32_MAX);
}

bool window_read(struct window_reading *reading)
{
    struct window *window = reading->window;
    for (size_t i = 0; i < window->content.rows.count; i++)
        window->content.rows.list[i]->fate = FATE_LEFT;
    if (!reading->state->found || (window->spec.stage && !reading->stage))
        return true; /* nothing was ever fed */
    if (window_keeps_matches(window))
        return read_matches(reading);
    window->time.now = reading->now;
    window->time.turn = INT64_MAX;
    if (window->spec.key.data && !window_is_keyed_by_field(window) &&
        !(window_is_cut(window) && window->spec.is_short))
        return read_key(reading);
    return scan(reading) &&
           (window->matches.state != MATCHES_PASSED || window_stop_scanning(reading));
}
