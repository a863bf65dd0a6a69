#include "rows/view_past.h"

#include "base/invariant.h"

#include <inttypes.h>

enum {
    PRESENT_ROWS = 2000, /* that one step reads; they come with their texts */
    MADE_CHANGES = 2000  /* that one step merges */
};

struct changed_row {
    enum replay_state state;
    bool needed;
    struct text *data; /* REPLAY_THERE */
    struct seq seq;
    size_t key_length;
    char key[];
};

static struct span changed_key(const void *value)
{
    const struct changed_row *row = value;
    return span_make(row->key, row->key_length);
}

void view_past_init(struct view_past *past)
{
    *past = (struct view_past){.stage = VIEW_PAST_PRESENT, .rows = {.take = VIEW_ALL}};
    buffer_init(&past->key, UINT32_MAX);
    buffer_init(&past->rows.behind_place, UINT32_MAX);
    map_init(&past->changed, changed_key);
    replay_init(&past->replay);
    row_past_init(&past->past);
}

void view_past_fini(struct view_past *past)
{
    size_t position = 0;
    struct changed_row *row;
    while ((row = map_next(&past->changed, &position))) {
        text_unref(row->data);
        memory_free(row);
    }
    map_fini(&past->changed);
    buffer_fini(&past->key);
    replay_fini(&past->replay);
    row_past_fini(&past->past);
    past_rows_fini(&past->rows);
}

static bool lacks_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while reading what a view was");
}

/* Where rows decide about others, all count, whoever sees them. */
static const struct row_scope *scope_of(const struct view_past *past)
{
    return past_rows_are_cut(past->rows.view) ? NULL : past->rows.scope;
}

/* ---- a scan ---- */

struct scan {
    struct view_past *past;
    struct error *error;
    int64_t looked;
    bool ended;
};

/* The changes behind past->next up to `last`, at most a step. */
static bool scan_on(struct view_past *past, struct store_reader *reader, int64_t last,
                    store_each_change each, struct error *error)
{
    struct scan scan = {.past = past, .error = error};
    int64_t from = past->next, to = from + past->scan_rows < last ? from + past->scan_rows : last;
    if (to <= from)
        return true;
    past->next = to;
    past->passed += to - from;
    return store_scan_changes(reader, past->export_id, span_make(NULL, 0), from, to, -1, false,
                              each, &scan, error) &&
           error->code == ERROR_NONE;
}

static bool was_trimmed(const struct view_past *past, int64_t floor, struct error *error)
{
    return error_set(error, ERROR_HISTORY_TRIMMED,
                     "what '%.128s' was at @%" PRId64 " is not known any more: the log begins "
                     "behind @%" PRId64 "; a longer retention_rows, retention_seconds or "
                     "retention_bytes keeps more",
                     past->rows.view->id, past->at, floor);
}

/* ---- the present rows ---- */

static bool each_present(void *argument, const struct store_entity *entity)
{
    struct scan *scan = argument;
    struct view_past *past = scan->past;
    scan->looked++;
    past->seq = entity->seq;
    buffer_clear(&past->key);
    if (!buffer_add_span(&past->key, entity->key))
        return lacks_memory(scan->error);
    if (entity->change > past->at)
        return true;
    scan->ended = past_rows_has_enough(&past->rows);
    return !scan->ended &&
           past_rows_add(&past->rows, entity->key, entity->seq, entity->data, false, scan->error);
}

bool view_past_begin_behind(struct view_past *past, struct span data, struct error *error)
{
    static const struct span name = {"_seq", 4};
    struct past_rows *rows = &past->rows;
    struct span text = data.data ? doc_value_at(data, &name, 1) : data;
    struct seq seq = {0, 0};
    INVARIANT(!past->begun);
    if (text.data && !seq_parse(doc_bare(text), &seq))
        return error_set(error, ERROR_DATABASE, "a row of view '%.128s' has no seq",
                         rows->view->id);
    if (!past_rows_begin_behind(rows, seq, data, error))
        return false;
    /* In the export's own order, what comes before need not be read. */
    past->in_between = !rows->view->stage && !view_query_traits(rows->query).sorts;
    past->seq = seq;
    buffer_clear(&past->key);
    return buffer_add_span(&past->key, rows->behind) || lacks_memory(error);
}

static bool read_present(struct view_past *past, struct store_reader *reader, struct error *error)
{
    struct scan scan = {.past = past, .error = error};
    struct store_position after = {past->seq, buffer_span(&past->key)};
    struct buffer key = past->key; /* the callback writes the next one */
    int64_t limit = past->scan_rows < PRESENT_ROWS ? past->scan_rows : PRESENT_ROWS;
    buffer_init(&past->key, UINT32_MAX);
    bool done = store_scan_entities(reader, past->export_id,
                                    past->begun || past->in_between ? &after : NULL, limit,
                                    each_present, &scan, error) &&
                error->code == ERROR_NONE;
    buffer_fini(&key);
    past->begun = true;
    past->passed += scan.looked;
    if (scan.ended || scan.looked < limit) {
        past->stage = VIEW_PAST_CHANGED;
        past->next = past->at;
    }
    return done;
}

/* ---- those that changed since ---- */

static struct changed_row *changed_new(struct view_past *past, struct span key)
{
    struct changed_row *row = memory_alloc(sizeof *row + key.length);
    if (!row)
        return NULL;
    *row = (struct changed_row){.state = REPLAY_UNKNOWN, .key_length = key.length};
    memcpy(row->key, key.data, key.length);
    if (map_add(&past->changed, row))
        return row;
    memory_free(row);
    return NULL;
}

/* Only the first change behind `at` tells of what was there. */
static bool each_changed(void *argument, const struct store_change *change,
                         const struct store_entity *entity)
{
    struct scan *scan = argument;
    struct view_past *past = scan->past;
    enum replay_effect effect = replay_effect(scope_of(past), change);
    (void)entity;
    if (effect == REPLAY_NOTHING || map_get(&past->changed, change->key) ||
        (!past_rows_are_cut(past->rows.view) && !view_shows(past->rows.view, change->key)) ||
        (change->id > past->head && past_rows_have(&past->rows, change->key)))
        return true;
    struct changed_row *row = changed_new(past, change->key);
    if (!row)
        return lacks_memory(scan->error);
    row->needed = effect != REPLAY_BEGINS;
    past->needed += row->needed;
    return (int64_t)++past->found <= past->rows.most ||
           error_set(scan->error, ERROR_TOO_LARGE,
                     "more than %" PRId64 " rows changed behind @%" PRId64
                     ", which is what one request may make again (max_window_rows)",
                     past->rows.most, past->at);
}

static bool read_changed(struct view_past *past, struct store_reader *reader,
                         const struct view_state *state, int64_t floor, struct error *error)
{
    if (past->next < floor)
        return was_trimmed(past, floor, error);
    if (!scan_on(past, reader, state->log.last_change, each_changed, error))
        return false;
    if (past->next < state->log.last_change)
        return true;
    past->next = floor;
    past->stage = VIEW_PAST_MADE;
    return true;
}

/* ---- what they were ---- */

static void drop_text(struct view_past *past, struct changed_row *row)
{
    past->rows.beside -= row->data ? row->data->length : 0;
    text_unref(row->data);
    row->data = NULL;
}

/* The log lost changes that were not read yet. What stands behind them is still there. */
static void make_anew(struct view_past *past, int64_t floor)
{
    size_t position = 0;
    struct changed_row *row;
    while ((row = map_next(&past->changed, &position))) {
        drop_text(past, row);
        row->state = REPLAY_UNKNOWN;
    }
    past->next = floor;
}

static bool step_row(struct view_past *past, struct changed_row *row, enum replay_effect effect,
                     const struct store_change *change, struct error *error)
{
    struct replay *replay = &past->replay;
    struct text *data = NULL;
    if (!replay_set(replay, text_span(row->data), error) ||
        !replay_step(replay, effect, change, error))
        return false;
    if (replay->is == REPLAY_THERE && !(data = text_new(replay->row.data, replay->row.length)))
        return lacks_memory(error);
    drop_text(past, row);
    past->rows.beside += data ? data->length : 0;
    row->data = data;
    row->state = replay->is;
    row->seq = change->seq;
    return past->rows.bytes + past->rows.beside <= PAST_ROWS_BYTES ||
           error_set(error, ERROR_TOO_LARGE,
                     "the rows that view '%.128s' needs of @%" PRId64
                     " take more than %d MiB, which is what one request may keep",
                     past->rows.view->id, past->at, PAST_ROWS_BYTES >> 20);
}

static bool each_made(void *argument, const struct store_change *change,
                      const struct store_entity *entity)
{
    struct scan *scan = argument;
    struct changed_row *row = map_get(&scan->past->changed, change->key);
    enum replay_effect effect = replay_effect(scope_of(scan->past), change);
    (void)entity;
    if (!row || !row->needed || effect == REPLAY_NOTHING ||
        (row->state == REPLAY_UNKNOWN && effect == REPLAY_PATCH))
        return true;
    return step_row(scan->past, row, effect, change, scan->error);
}

static bool add_row(struct view_past *past, struct changed_row *row, struct error *error)
{
    struct text *data = row->data;
    past->rows.beside -= data->length; /* it moves */
    row->data = NULL;
    bool done =
        past_rows_add(&past->rows, changed_key(row), row->seq, text_span(data), true, error);
    text_unref(data);
    return done;
}

/* All rows are known, and added; else one that is not is asked for its reason. */
static bool add_made(struct view_past *past, struct error *error)
{
    size_t position = 0;
    struct changed_row *row;
    past->stage = VIEW_PAST_DONE;
    while ((row = map_next(&past->changed, &position))) {
        if (row->needed && row->state == REPLAY_UNKNOWN) {
            past->stage = VIEW_PAST_REFUSED;
            past->past.key = changed_key(row);
            return true;
        }
        if (row->state == REPLAY_THERE && !add_row(past, row, error))
            return false;
    }
    return past_rows_end(&past->rows, error);
}

static bool read_made(struct view_past *past, struct store_reader *reader, int64_t floor,
                      struct error *error)
{
    if (!past->needed)
        return add_made(past, error);
    if (past->at < floor)
        return was_trimmed(past, floor, error);
    if (past->next < floor)
        make_anew(past, floor);
    int64_t last = past->next + MADE_CHANGES;
    if (!scan_on(past, reader, last < past->at ? last : past->at, each_made, error))
        return false;
    return past->next < past->at || add_made(past, error);
}

/* ---- why not ---- */

/* The name of a row that the asker cannot see is nobody's business. */
static bool refuse_nameless(const struct view *view, int64_t at, struct error *error)
{
    return error_set(error, ERROR_HISTORY_TRIMMED,
                     "what '%.128s' was at @%" PRId64 " is not known any more: the log has "
                     "lost what one of the rows was; a longer retention_rows, "
                     "retention_seconds or retention_bytes keeps more",
                     view->id, at);
}

bool view_past_refuse_row(const struct row_past *row, bool names_rows, struct error *error)
{
    return row->too_far || names_rows || !row->view->stage
               ? row_past_refuse(row, error)
               : refuse_nameless(row->view, row->at, error);
}

static bool refuse(struct view_past *past, struct store_reader *reader, struct error *error)
{
    struct row_past *it = &past->past;
    if ((past->rows.scope && !scope_of(past)) || (past->rows.view->stage && !past->names_rows))
        return refuse_nameless(past->rows.view, past->at, error);
    it->view = past->rows.view;
    it->scope = past->rows.scope;
    it->at = past->at;
    it->scan_rows = past->scan_rows;
    it->most = past->most;
    it->explains = true;
    if (!row_past_run(it, reader, error))
        return false;
    return it->stage != PAST_DONE || row_past_refuse(it, error);
}

/* ---- the steps ---- */

static bool go_on(struct view_past *past, struct store_reader *reader,
                  const struct view_state *state, struct error *error)
{
    int64_t floor = past_floor(scope_of(past), state);
    past->export_id = state->export.id;
    if (!state->found) {
        past->stage = VIEW_PAST_DONE;
        return past_rows_end(&past->rows, error);
    }
    if (!past->begun && past->at < floor)
        return was_trimmed(past, floor, error);
    if (!past->begun)
        past->head = state->log.last_change;
    switch (past->stage) {
    case VIEW_PAST_PRESENT:
        return read_present(past, reader, error);
    case VIEW_PAST_CHANGED:
        return read_changed(past, reader, state, floor, error);
    case VIEW_PAST_MADE:
        return read_made(past, reader, floor, error);
    case VIEW_PAST_REFUSED:
    case VIEW_PAST_DONE:
        return true;
    }
    return true;
}

bool view_past_run_row(struct row_past *row, struct store_reader *reader, struct error *error)
{
    struct replay *replay = &row->replay;
    if (!row_past_run(row, reader, error))
        return false;
    return row->stage != PAST_DONE || replay->is != REPLAY_THERE ||
           past_rows_hold(row->view, buffer_span(&replay->row)) ||
           replay_set(replay, span_make(NULL, 0), error);
}

bool view_past_run(struct view_past *past, struct store_reader *reader, struct error *error)
{
    struct view_state state;
    if (past->stage == VIEW_PAST_REFUSED)
        return refuse(past, reader, error);
    if (!store_read_begin(reader, error))
        return false;
    bool done = view_state_read(&state, past->rows.view, reader, error) &&
                go_on(past, reader, &state, error);
    store_read_end(reader);
    if (!done || past->stage == VIEW_PAST_DONE || past->passed < past->most || !past->most)
        return done;
    return error_set(error, ERROR_TOO_LARGE,
                     "what '%.128s' was at @%" PRId64 " takes more than %" PRId64
                     " rows and changes, which is what one request may read (max_filter_rows)",
                     past->rows.view->id, past->at, past->most);
}
