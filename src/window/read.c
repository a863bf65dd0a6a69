/*
 * A refresh on a reader: in one short transaction the windows are read, each with its diff to the
 * former rows as frames, and members that lack more than that are served. refresh.c is the loop's
 * side.
 *
 * When its time is up it begins nothing more: what it did not come to is first in the next refresh.
 * So an old reader does not hold up checkpoints, and a window that costs much does not hold up the
 * others for long. It always does one thing at least, so each comes to its turn.
 */
#include "window/reading.h"

/* ---- one row ---- */

/* The row as it was: mostly it stands where it stood. NULL when it was not in the window. */
static bool find_old(struct window_reading *reading, struct span key, struct window_row **old)
{
    const struct window_rows *rows = &reading->window->content.rows;
    size_t rank = reading->rows.count;
    *old = rank < rows->count ? rows->list[rank] : NULL;
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
            return out_of_memory(reading);
        reading->fresh = fresh;
        reading->fresh_capacity = capacity;
    }
    reading->fresh[reading->fresh_count++] =
        (struct window_fresh){row, reading->data.length, data.length};
    return buffer_add_span(&reading->data, data) || out_of_memory(reading);
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
        return out_of_memory(reading);
    }
    if (old)
        old->mark = FATE_REPLACED;
    row->mark = FATE_CARRIED;
    if (fresh) {
        row->version = reading->window->content.version + 1;
        row->entered = old ? old->entered : row->version;
    }
    struct span key = window_row_key(row);
    window_texts_note(reading, row, entity);
    if ((fresh || reading->result->snapshot_wanted) && !entity->data.data &&
        !window_fetch(reading, key, entity))
        return false;
    if (fresh && reading->window->content.known && !note_fresh(reading, row, entity->data))
        return false;
    return !reading->result->snapshot_wanted || row_sink_put(reading->result->sink, entity) ||
           out_of_memory(reading);
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

/* ---- all rows of a window ---- */

/* One more row than the window takes: it ends the reading. */
static bool note_next(struct window_reading *reading, struct span sort_key)
{
    reading->more = true;
    if (!buffer_add_span(&reading->next, sort_key))
        out_of_memory(reading);
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

/* Without a filter the database can skip and stop by itself. */
static bool scan(struct window_reading *reading)
{
    const struct window *window = reading->window;
    const struct window_spec *spec = &window->spec;
    struct view_cut part = window_view_cut(window);
    bool filters = view_query_traits(spec->query).filters;
    int64_t by_label = 0;
    if (!filters && !spec->key.data && !spec->view->key_count && !spec->scope) {
        int64_t left = part.take > spec->skip ? part.take - spec->skip : 0;
        part.skip += spec->skip;
        part.take = part.take == VIEW_ALL ? VIEW_ALL : left;
        if (window_may_have_more(window))
            part.take = spec->take + 1;
        else if (spec->take != VIEW_ALL && (part.take == VIEW_ALL || spec->take < part.take))
            part.take = spec->take;
        reading->skipped = spec->skip;
    }
    if (!window_is_cut(window) &&
        !window_find_labelled(window, reading->reader, &by_label, &reading->result->error))
        return false;
    if (by_label && !filters)
        reading->budget = 0; /* rows of other labels are not looked at, so they cost none */
    if (part.last && spec->skip > 0)
        return true;
    part.skip = part.last ? 0 : part.skip;
    return window_scan(reading, by_label, &part, true, each_of_stage, reading);
}

static bool read_matches(struct window_reading *reading)
{
    const struct window *window = reading->window;
    if (!window_matches_update(reading))
        return false;
    reading->more = window->spec.take != VIEW_ALL && !window->spec.key.data &&
                    (int64_t)window->matches->rows.count - window->spec.skip > window->spec.take;
    for (size_t i = (size_t)window->spec.skip; i < window->matches->rows.count && !is_full(reading);
         i++) {
        const struct window_row *match = window->matches->rows.list[i];
        struct store_entity entity = {.key = window_row_key(match), .change = match->change};
        if (is_too_large(reading) || !put_row(reading, &entity, span_make(NULL, 0)))
            return false;
    }
    return true;
}

/* One key: no need to look at any other row, but in a short cut. */
static bool read_key(struct window_reading *reading)
{
    const struct window *window = reading->window;
    struct error *error = &reading->result->error;
    struct store_entity entity;
    bool found;
    if (!store_read_entity(reading->reader, reading->state->export.id, window->spec.key, &entity,
                           &found, error))
        return false;
    if (found)
        window_expect_turn(reading->window, entity.data);
    if (!found || window->spec.skip > 0 || !window_passes(window, entity.key, entity.data))
        return true;
    if (window->spec.stage) {
        if (!window_view_has(window, reading->reader, reading->stage, &entity, &found, error))
            return false;
        entity.data = span_make(NULL, 0); /* looking it up took the text back */
    }
    entity.key = window->spec.key;
    return !found || put_row(reading, &entity, span_make(NULL, 0));
}

/* Find the view's stage in the database. */
static bool find_stage(struct window_reading *reading)
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

void window_reading_init(struct window_reading *reading)
{
    buffer_init(&reading->data, UINT32_MAX);
    buffer_init(&reading->next, UINT32_MAX);
}

bool window_read(struct window_reading *reading)
{
    struct window *window = reading->window;
    for (size_t i = 0; i < window->content.rows.count; i++)
        window->content.rows.list[i]->mark = FATE_LEFT;
    if (!find_stage(reading))
        return false;
    if (!reading->state->found || (window->spec.stage && !reading->stage))
        return true; /* nothing was ever fed */
    if (window_keeps_matches(window))
        return read_matches(reading);
    window->time.now = reading->now;
    window->time.turn = INT64_MAX;
    if (window->spec.key.data && !window_is_keyed_by_field(window) &&
        !(window_is_cut(window) && window->spec.is_short))
        return read_key(reading);
    if (!scan(reading))
        return false;
    if (window->matching != MATCHES_PASSED || !reading->exhausted)
        return true;
    /* It has skipped too much, and keeps its matches from now on. */
    window->matching = MATCHES_WANTED;
    reading->result->refill = true;
    return false;
}

/* ---- the diff ---- */

static bool is_fresh(const struct window_reading *reading, const struct window_row *row)
{
    return row->version > reading->window->content.version;
}

static bool find_left(struct window_reading *reading)
{
    struct window *window = reading->window;
    for (size_t i = 0; i < window->content.rows.count; i++) {
        struct window_row *row = window->content.rows.list[i];
        if (row->mark == FATE_LEFT && !window_rows_add(&reading->left, row))
            return out_of_memory(reading);
    }
    return true;
}

static bool can_tell_events(const struct window_reading *reading)
{
    const struct window *window = reading->window;
    return tape_is_of(window->spec.view) && !window->content.gap && reading->state->found &&
           window->content.position >= reading->state->log.floor_change;
}

/* Deletes for what left, upserts for what is fresh; only the last carries the new cursor. */
static bool put_difference(struct window_reading *reading, struct row_sink *sink)
{
    /* Under the one key that members asked for, what comes takes the place of what left. */
    bool replaced = window_is_keyed_by_field(reading->window) && reading->fresh_count;
    for (size_t i = 0; !replaced && i < reading->left.count; i++)
        if (!row_sink_remove(sink, window_row_key(reading->left.list[i])))
            return false;
    for (size_t i = 0; i < reading->fresh_count; i++) {
        const struct window_fresh *fresh = &reading->fresh[i];
        INVARIANT(fresh->at + fresh->length <= reading->data.length);
        struct store_entity row = {.key = window_row_key(fresh->row),
                                   .change = fresh->row->change,
                                   .data = {reading->data.data + fresh->at, fresh->length}};
        if (!row_sink_put(sink, &row))
            return false;
    }
    return true;
}

static bool encode_difference(struct window_reading *reading, struct text **text)
{
    struct row_frames frames;
    window_frames_init(&frames, reading);
    frames.before = &reading->window->content.cursor;
    bool done = put_difference(reading, &frames.sink) && row_sink_end(&frames.sink, text);
    row_frames_fini(&frames);
    return done || out_of_memory(reading);
}

static bool encode(struct window_reading *reading)
{
    struct window_result *result = reading->result;
    if (can_tell_events(reading)) {
        if (!window_encode_events(reading, &result->frames, &result->frame_count))
            return false;
    } else {
        result->frame_count = reading->left.count + reading->fresh_count;
        if (!encode_difference(reading, &result->frames))
            return false;
    }
    result->differs = result->frames != NULL;
    for (size_t i = 0; i < reading->left.count; i++)
        if (!window_note_removal(reading->window, reading->left.list[i]))
            return out_of_memory(reading);
    return true;
}

/* The keys that came and left, for the database. */
static bool note_moves(struct window_reading *reading)
{
    struct window_result *result = reading->result;
    int64_t version = reading->window->content.version + 1;
    bool done = true;
    for (size_t i = 0; done && result->keeps && i < reading->left.count; i++)
        done = window_rows_note(&result->moves, window_row_key(reading->left.list[i]), MOVE_LEFT);
    for (size_t i = 0; done && result->keeps && i < reading->rows.count; i++)
        if (is_fresh(reading, reading->rows.list[i]) && reading->rows.list[i]->entered == version)
            done =
                window_rows_note(&result->moves, window_row_key(reading->rows.list[i]), MOVE_CAME);
    return done || out_of_memory(reading);
}

bool window_diff(struct window_reading *reading)
{
    struct window *window = reading->window;
    struct window_result *result = reading->result;
    INVARIANT(window->content.position <= reading->state->log.last_change);
    INVARIANT(reading->fresh_count <= reading->rows.count);
    if (!find_left(reading) || (window->content.known && !encode(reading)) || !note_moves(reading))
        return false;
    result->version = window->content.version + (result->differs || !window->content.known ? 1 : 0);
    for (size_t i = 0; i < window->content.rows.count; i++)
        if (window->content.rows.list[i]->mark != FATE_CARRIED)
            memory_free(window->content.rows.list[i]);
    memory_free(window->content.rows.list);
    window->content.rows = reading->rows;
    reading->rows = (struct window_rows){.list = NULL};
    reading->left.count = 0;
    window->content.version = result->version;
    if (!window->content.known)
        window->content.first_position = reading->state->log.last_change;
    window->content.position = reading->state->log.last_change;
    window->content.cursor = view_state_cursor(reading->state);
    window->content.known = true;
    window->content.gap = false;
    window->content.more = reading->more;
    buffer_clear(&window->content.next);
    return buffer_add_span(&window->content.next, buffer_span(&reading->next)) ||
           out_of_memory(reading);
}

void window_reading_fini(struct window_reading *reading)
{
    for (size_t i = 0; i < reading->rows.count; i++)
        if (is_fresh(reading, reading->rows.list[i]))
            memory_free(reading->rows.list[i]); /* it failed: the others are still the window's */
    memory_free(reading->rows.list);
    memory_free(reading->left.list);
    if (reading->old_on)
        map_fini(&reading->old);
    memory_free(reading->fresh);
    window_texts_end(reading);
    buffer_fini(&reading->data);
    buffer_fini(&reading->next);
}

/* ---- all of them ---- */

static void start_snapshot(struct window_reading *reading)
{
    struct window_result *result = reading->result;
    window_drafts_init(&result->drafts, reading, reading->window->spec.limit);
    result->sink = &result->drafts.sink;
}

/* Members whose cursors were refused begin with a snapshot: it need not be another refresh's. */
static bool add_snapshot(struct window_reading *reading)
{
    struct window_result *result = reading->result;
    const struct window_rows *rows = &reading->window->content.rows;
    if (!reading->refused || result->snapshot_wanted)
        return true;
    result->snapshot_wanted = true;
    start_snapshot(reading);
    for (size_t i = 0; i < rows->count; i++)
        if (!window_put_row(reading, window_row_key(rows->list[i]), result->sink))
            return false;
    return window_encode_tombstones(reading, &result->drafts);
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
        .budget = result->window->matching == MATCHES_PASSED ? WINDOW_SCAN : 0};
    INVARIANT(result->window->busy == WINDOW_REFRESHED);
    bool first = !result->window->content.known;
    uint64_t since = clock_monotonic_us() - result->window->content.previous.us;
    if ((int64_t)(since / 1000) >= refresh->tombstone_ms)
        window_rows_fini(
            &result->window->content.previous.rows); /* nobody comes back with those any more */
    if (!view_state_read(&state, result->window->spec.view, reader, &result->error))
        return;
    window_reading_init(&reading);
    window_texts_begin(&reading, refresh);
    if (result->snapshot_wanted)
        start_snapshot(&reading);
    bool done = window_read(&reading) && window_diff(&reading) &&
                (!first || window_recall(&reading)) &&
                (!result->snapshot_wanted || window_encode_tombstones(&reading, &result->drafts)) &&
                window_requests_serve(refresh, &reading) && add_snapshot(&reading);
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

static void run(struct window_refresh *refresh, struct store_reader *reader)
{
    window_requests_pair(refresh);
    refresh->until_us = clock_monotonic_us() + refresh->hub->options.refresh_us;
    refresh->now = engine_times(refresh->hub->engine).now / 1000;
    if (!store_read_begin(reader, &refresh->error))
        return;
    for (size_t i = 0; i < refresh->count; i++) {
        struct window_result *result = &refresh->results[i];
        struct window_clock start = window_clock_start(reader);
        result->skipped = result->unread = i > 0 && window_refresh_is_late(refresh);
        if (result->unread)
            continue;
        look_at(refresh, result, reader);
        result->measure = window_measure(result->window, reader, start);
    }
    store_read_end(reader);
    for (size_t i = 0; i < refresh->count; i++)
        if (refresh->results[i].snapshot_wanted && !refresh->results[i].unread)
            finish_snapshot(&refresh->results[i]);
    window_requests_finish(refresh);
}

void window_refresh_run(struct read_job *read, struct store_reader *reader)
{
    struct window_refresh *refresh = (struct window_refresh *)read;
    bool sampled = refresh->trace.sampled;
    refresh->traced.reading_us = sampled ? clock_monotonic_us() : 0;
    run(refresh, reader);
    refresh->traced.read_us = sampled ? clock_monotonic_us() : 0;
}
