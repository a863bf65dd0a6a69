/*
 * Windows with a filter over all of a view: its matches are kept in memory, in the view's order.
 * Filling goes through the view in parts, each of the state it meets; then whatever changed since
 * filling began is looked at again, so that the matches are those of one state.
 */
#include "rows/scoped_scan.h"
#include "window/reading.h"

enum {
    CATCHING_UP = 10
}; /* log rows for each row a window may have: more, and it is filled anew */

static bool lacks_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while filtering a view");
}

/* ---- the matches ---- */

/* The index at which a sort key stands or belongs. */
static size_t find_sort_key(const struct window_rows *matches, struct span sort_key)
{
    size_t low = 0, high = matches->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (span_compare(window_row_sort_key(matches->list[middle]), sort_key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void take_out(struct window *window, struct span key)
{
    struct window_row *row = map_remove(&window->matches.by_key, key);
    if (!row)
        return;
    struct window_rows *matches = &window->matches.rows;
    size_t at = find_sort_key(matches, window_row_sort_key(row));
    INVARIANT(at < matches->count && matches->list[at] == row);
    matches->count--;
    memmove(matches->list + at, matches->list + at + 1,
            (matches->count - at) * sizeof(*matches->list));
    memory_free(row);
}

static bool put_in(struct window *window, struct window_row *row, int64_t max_rows,
                   struct error *error)
{
    struct window_rows *matches = &window->matches.rows;
    INVARIANT(matches->count == window->matches.by_key.count);
    take_out(window, window_row_key(row));
    if ((int64_t)matches->count >= window_match_limit(window, max_rows)) {
        memory_free(row);
        if (!window_is_sorted(window) && !view_query_filters(window->spec.query) &&
            window->spec.scope)
            return error_set(
                error, ERROR_TOO_LARGE,
                "this token sees more than %lld rows of what the view is cut to; raise "
                "max_window_rows",
                (long long)window_match_limit(window, max_rows));
        if (window_is_sorted(window))
            return error_set(error, ERROR_TOO_LARGE,
                             "there are more than %lld rows to sort; leave rows out (where, "
                             "filters), define a view with that sort alone as an index and ask for "
                             "a part (take), or raise max_window_rows",
                             (long long)max_rows);
        return error_set(error, ERROR_TOO_LARGE,
                         "the filters let more than %lld rows pass; narrow them, or raise "
                         "max_window_rows",
                         (long long)max_rows);
    }
    size_t at = find_sort_key(matches, window_row_sort_key(row));
    if (!window_rows_add(matches, row)) {
        memory_free(row);
        return lacks_memory(error);
    }
    memmove(matches->list + at + 1, matches->list + at,
            (matches->count - 1 - at) * sizeof(*matches->list));
    matches->list[at] = row;
    if (map_add(&window->matches.by_key, row))
        return true;
    memmove(matches->list + at, matches->list + at + 1,
            (matches->count - 1 - at) * sizeof(*matches->list));
    matches->count--;
    memory_free(row);
    return lacks_memory(error);
}

void window_matches_clear(struct window *window)
{
    window_rows_fini(&window->matches.rows);
    map_fini(&window->matches.by_key);
    map_init(&window->matches.by_key, window_row_map_key);
    window_turns_clear(window);
    buffer_clear(&window->matches.fill.after);
    window->matches.fill.position = 0;
    if (window->matches.state == MATCHES_KEPT)
        window->matches.state = MATCHES_WANTED;
}

/* A new match as the entity stands; *row is NULL when it does not pass. */
static bool make_match(struct window *window, const struct store_entity *entity, int64_t max_rows,
                       struct window_row **row, struct error *error)
{
    const struct view_stage *stage = window->spec.stage;
    struct buffer sort_key;
    *row = NULL;
    if (!window_note_turn(window, entity->key, entity->data, max_rows, error))
        return false;
    if (!window_passes(window, entity->key, entity->data))
        return true;
    buffer_init(&sort_key, UINT32_MAX);
    bool done = window_is_sorted(window)
                    ? view_query_sort_key(window->spec.query, entity->key, entity->data, &sort_key)
                : stage
                    ? view_stage_sort_key(stage, entity->key, entity->data, entity->seq, &sort_key)
                    : view_seq_sort_key(entity->key, entity->seq, &sort_key);
    if (done)
        *row = window_row_new(entity->key, buffer_span(&sort_key), entity->change);
    buffer_fini(&sort_key);
    return *row || lacks_memory(error);
}

/* Whether the view has a match that stands elsewhere in its order than in the query's. */
static bool read_stage_sort_key(const struct window *window, struct store_reader *reader,
                                uint32_t export_id, int64_t stage, const struct window_row *row,
                                bool *found, struct error *error)
{
    struct store_entity entity;
    struct buffer sort_key;
    if (!store_read_entity(reader, export_id, window_row_key(row), &entity, found, error) ||
        !*found)
        return error->code == ERROR_NONE;
    buffer_init(&sort_key, UINT32_MAX);
    bool done =
        view_stage_sort_key(window->spec.stage, entity.key, entity.data, entity.seq, &sort_key)
            ? store_read_sort_key(reader, stage, buffer_span(&sort_key), found, error)
            : lacks_memory(error);
    buffer_fini(&sort_key);
    return done;
}

/* Whether a match is in the stage of its view, wherever that is cut. */
static bool find_in_stage(const struct window *window, struct store_reader *reader,
                          uint32_t export_id, int64_t stage, const struct window_row *row,
                          bool *found, struct error *error)
{
    if (window_is_sorted(window))
        return read_stage_sort_key(window, reader, export_id, stage, row, found, error);
    return store_read_sort_key(reader, stage, window_row_sort_key(row), found, error);
}

/* ---- filling ---- */

struct filling {
    struct window *window;
    struct store_reader *reader;
    uint32_t export_id;
    const struct window_fill_limits *limits;
    int64_t stage;    /* the view's, in the database */
    int64_t by_label; /* the one that has its rows by label; 0: none */
    int64_t seen;     /* rows looked at */
    enum window_filled filled;
    struct error *error;
};

enum {
    CLOCK_ROWS = 256, /* rows between two looks at the clock */
    FILE_ROWS = 4     /* rows of a stage that cost as much as so many in the order of the file */
};

/* Whether the next row is for another part. */
static bool has_enough(struct filling *filling)
{
    const struct window_fill_limits *limits = filling->limits;
    bool late = filling->seen && filling->seen % CLOCK_ROWS == 0 && limits->until_us &&
                clock_monotonic_us() >= limits->until_us;
    if (late)
        filling->filled = WINDOW_FILL_MORE;
    return late;
}

static bool fill_row(struct filling *filling, const struct store_entity *entity,
                     struct window_row **row)
{
    filling->seen++;
    return make_match(filling->window, entity, filling->limits->matches, row, filling->error);
}

static bool put_found(struct filling *filling, struct window_row *row)
{
    return !row || put_in(filling->window, row, filling->limits->matches, filling->error);
}

/* In the order of the stage or of the keys: it goes on behind `after`. */
static bool fill_in_order(struct filling *filling, struct span after,
                          const struct store_entity *entity)
{
    struct window *window = filling->window;
    struct window_row *row;
    if (has_enough(filling))
        return false;
    buffer_clear(&window->matches.fill.after);
    return (buffer_add_span(&window->matches.fill.after, after) || lacks_memory(filling->error)) &&
           fill_row(filling, entity, &row) && put_found(filling, row);
}

static bool fill_from_stage(void *argument, struct span sort_key, const struct store_entity *entity)
{
    const struct window *window = ((struct filling *)argument)->window;
    if (window_is_cut(window) && window_bounds_end(&window->matches.bounds, sort_key))
        return false;
    return fill_in_order(argument, sort_key, entity);
}

static bool fill_from_export(void *argument, const struct store_entity *entity)
{
    return fill_in_order(argument, entity->key, entity);
}

/* A match must be in the view, too. */
static bool fill_from_file(void *argument, const struct store_entity *entity)
{
    struct filling *filling = argument;
    const struct window *window = filling->window;
    struct window_row *row;
    bool found = true;
    if (has_enough(filling) || !fill_row(filling, entity, &row))
        return false;
    if (!row || !window->spec.stage)
        return put_found(filling, row);
    bool done = find_in_stage(window, filling->reader, filling->export_id, filling->stage, row,
                              &found, filling->error);
    found = found && (!window_is_cut(window) ||
                      window_bounds_have(&window->matches.bounds, window_row_sort_key(row)));
    if (done && found)
        return put_in(filling->window, row, filling->limits->matches, filling->error);
    memory_free(row);
    return done;
}

/*
 * A stage, and the keys of an export, name entities all over the file. Unless they are few, reading
 * the file from its beginning to its end costs much less.
 */
static bool choose_order(struct filling *filling, const struct view_state *state)
{
    struct window *window = filling->window;
    const struct view_stage *stage = window->spec.stage;
    struct view_cut cut = window_view_cut(window);
    int64_t all, rows = state->export.entities;
    bool found;
    if (!store_read_entity_count(filling->reader, &all, filling->error) ||
        (stage && !store_read_stage_rows(filling->reader, span_of(stage->definition), &rows, &found,
                                         filling->error)))
        return false;
    rows = rows > cut.skip ? rows - cut.skip : 0;
    if (cut.take != VIEW_ALL && cut.take < rows)
        rows = cut.take;
    window->matches.fill.by_file = rows > all / FILE_ROWS;
    if (rows > filling->limits->rows)
        filling->filled = WINDOW_FILL_ENDS;
    return true;
}

/* The whole is filled as of where the cut lies now: what it moves over is made up for later. */
static bool begin_filling(struct filling *filling, const struct view_state *state)
{
    struct window *window = filling->window;
    struct view_cut cut = window_view_cut(window);
    if (!scoped_find_rows((struct scoped){window->spec.scope, NULL}, window_by_label(window),
                          filling->reader, &filling->by_label, filling->error))
        return false;
    if (window->matches.fill.position)
        return true;
    window->matches.fill.position = window->content.position = state->log.last_change;
    window->content.membership = state->log.last_membership;
    window->matches.fill.id = window->matches.fill.looked = 0;
    window->time.now = filling->limits->now;
    return (filling->by_label || choose_order(filling, state)) &&
           (!filling->stage || !window_is_cut(window) ||
            window_bounds_read(&window->matches.bounds, filling->reader, filling->stage, &cut,
                               filling->error));
}

static bool fill_by_file(struct filling *filling, uint32_t export_id)
{
    int64_t looked, limit = WINDOW_FILL;
    bool done = store_scan_file(filling->reader, export_id, &filling->window->matches.fill.id,
                                limit, &looked, fill_from_file, filling, filling->error);
    if (looked == limit && filling->filled == WINDOW_FILLED)
        filling->filled = WINDOW_FILL_MORE;
    return done;
}

static bool fill_by_order(struct filling *filling, uint32_t export_id)
{
    struct window *window = filling->window;
    bool cut = window_is_cut(window);
    const struct buffer *from = !cut || window->matches.fill.after.length
                                    ? &window->matches.fill.after
                                    : &window->matches.bounds.low;
    struct span after = from->length ? buffer_span(from) : span_make(NULL, 0);
    int64_t limit = WINDOW_FILL;
    bool done = window->spec.stage
                    ? store_scan_stage(filling->reader, filling->stage, after, 0, limit, false,
                                       true, fill_from_stage, filling, filling->error)
                    : store_scan_keys(filling->reader, export_id, after, limit, fill_from_export,
                                      filling, filling->error);
    if (filling->seen == limit && filling->filled == WINDOW_FILLED)
        filling->filled = WINDOW_FILL_MORE;
    return done;
}

/* The visible rows, in the view's order. Only the scan shows how many there are. */
static bool fill_by_label(struct filling *filling)
{
    struct window *window = filling->window;
    const struct buffer *from = !window_is_cut(window) || window->matches.fill.after.length
                                    ? &window->matches.fill.after
                                    : &window->matches.bounds.low;
    int64_t limit = WINDOW_FILL;
    bool done = scoped_scan_rows((struct scoped){window->spec.scope, NULL}, filling->reader,
                                 filling->by_label, buffer_span(from), limit, fill_from_stage,
                                 filling, filling->error);
    window->matches.fill.looked += filling->seen;
    if (filling->seen == limit && filling->filled == WINDOW_FILLED)
        filling->filled = WINDOW_FILL_MORE;
    if (window->matches.fill.looked > filling->limits->rows)
        filling->filled = WINDOW_FILL_ENDS;
    return done;
}

static bool read_part(struct filling *filling)
{
    struct window *window = filling->window;
    const struct view_stage *stage = window->spec.stage;
    struct view_state state;
    int64_t built;
    bool found;
    if (!view_state_read(&state, window->spec.view, filling->reader, filling->error) ||
        (stage && !store_read_stage(filling->reader, span_of(stage->definition), &filling->stage,
                                    &built, &found, filling->error)) ||
        !begin_filling(filling, &state))
        return false;
    bool nothing = (window_is_cut(window) && window->matches.bounds.nothing) ||
                   filling->filled == WINDOW_FILL_ENDS;
    if (!state.found || (stage && !filling->stage) || nothing)
        return true;
    filling->export_id = state.export.id;
    if (filling->by_label)
        return fill_by_label(filling);
    return window->matches.fill.by_file ? fill_by_file(filling, state.export.id)
                                        : fill_by_order(filling, state.export.id);
}

bool window_matches_fill(struct window *window, struct store_reader *reader,
                         const struct window_fill_limits *limits, enum window_filled *filled,
                         struct error *error)
{
    struct filling filling = {.window = window, .reader = reader, .limits = limits, .error = error};
    error->code = ERROR_NONE;
    if (!store_read_begin(reader, error))
        return false;
    bool done = read_part(&filling) && error->code == ERROR_NONE;
    store_read_end(reader);
    *filled = filling.filled;
    return done;
}

/* ---- keeping up ---- */

/* The fate of the entities that changed: rows to put in, keys to take out. */
struct catching {
    struct window_reading *reading;
    struct window_rows found; /* FATE_LEFT: only its key counts */
};

static bool note(struct catching *catching, struct span key, const struct store_entity *entity)
{
    struct window *window = catching->reading->window;
    struct error *error = &catching->reading->result->error;
    int64_t max_rows = catching->reading->max_rows;
    struct window_row *row = NULL;
    if (entity ? !make_match(window, entity, max_rows, &row, error)
               : !window_note_turn(window, key, span_make(NULL, 0), max_rows, error))
        return false;
    if (row)
        row->fate = FATE_CARRIED;
    else
        row = window_row_new(key, span_make(NULL, 0), 0);
    if (row && window_rows_add(&catching->found, row))
        return true;
    memory_free(row);
    return lacks_memory(error);
}

static bool each_change(void *argument, const struct store_change *change,
                        const struct store_entity *entity)
{
    struct catching *catching = argument;
    const struct window_spec *spec = &catching->reading->window->spec;
    /* A later change of it comes; but of one that is out of sight now that is not told here. */
    if (entity && entity->change != change->id &&
        row_scope_shows(spec->scope, spec->view, entity->data))
        return true;
    return note(argument, change->key, entity);
}

static bool each_membership(void *argument, struct span key)
{
    struct catching *catching = argument;
    struct window_row *row = window_row_new(key, span_make(NULL, 0), 0);
    if (row) {
        row->fate = FATE_REPLACED; /* to be looked up */
        if (window_rows_add(&catching->found, row))
            return true;
    }
    memory_free(row);
    return lacks_memory(&catching->reading->result->error);
}

/* A membership change names an entity; what it is now is not at hand. */
static bool look_up(struct catching *catching, struct window_row **slot)
{
    struct window_reading *reading = catching->reading;
    struct error *error = &reading->result->error;
    struct window_row *row = *slot, *match = NULL;
    struct store_entity entity;
    bool found;
    if (!store_read_entity(reading->reader, reading->state->export.id, window_row_key(row), &entity,
                           &found, error))
        return false;
    if (found && !make_match(reading->window, &entity, reading->max_rows, &match, error))
        return false;
    row->fate = FATE_LEFT;
    if (match) {
        match->fate = FATE_CARRIED;
        memory_free(row);
        *slot = match;
    }
    return true;
}

/* Passing the filter is not all: the entity must be in the view. */
static bool is_in_view(struct window_reading *reading, const struct window_row *row, bool *found)
{
    const struct window *window = reading->window;
    *found = !window_is_cut(window) ||
             window_bounds_have(&window->matches.bounds, window_row_sort_key(row));
    if (!window->spec.stage || !*found)
        return true;
    return find_in_stage(window, reading->reader, reading->state->export.id, reading->stage, row,
                         found, &reading->result->error);
}

static bool apply(struct catching *catching)
{
    struct window_reading *reading = catching->reading;
    struct window_rows *found = &catching->found;
    for (size_t i = 0; i < found->count; i++) {
        if (found->list[i]->fate == FATE_REPLACED && !look_up(catching, &found->list[i]))
            return false;
        struct window_row *row = found->list[i];
        bool in = row->fate == FATE_CARRIED;
        if (in && !is_in_view(reading, row, &in))
            return false;
        if (!in) {
            take_out(reading->window, window_row_key(row));
            continue;
        }
        found->list[i] = NULL;
        if (!put_in(reading->window, row, reading->max_rows, &reading->result->error))
            return false;
    }
    return true;
}

/* ---- the cut ---- */

/* Take out what is no longer within the bounds: it stands at the ends. */
static void drop_outside(struct window *window)
{
    struct window_rows *matches = &window->matches.rows;
    size_t first = 0, end = matches->count;
    while (end && !window_bounds_have(&window->matches.bounds,
                                      window_row_sort_key(matches->list[end - 1])))
        end--;
    while (first < end &&
           !window_bounds_have(&window->matches.bounds, window_row_sort_key(matches->list[first])))
        first++;
    for (size_t i = 0; i < matches->count; i++)
        if (i < first || i >= end)
            memory_free(map_remove(&window->matches.by_key, window_row_key(matches->list[i])));
    if (first)
        memmove(matches->list, matches->list + first, (end - first) * sizeof(*matches->list));
    matches->count = end - first;
}

static bool each_newcomer(void *argument, struct span sort_key, const struct store_entity *entity)
{
    struct window_reading *reading = argument;
    struct error *error = &reading->result->error;
    struct window_row *row;
    (void)sort_key;
    if (!make_match(reading->window, entity, reading->max_rows, &row, error))
        return false;
    return !row || put_in(reading->window, row, reading->max_rows, error);
}

/* Move the bounds, before the changes are applied: what did not change comes or goes by that. */
static bool move_bounds(struct window_reading *reading)
{
    struct window *window = reading->window;
    struct error *error = &reading->result->error;
    struct view_cut cut = window_view_cut(window);
    if (!window_is_cut(window))
        return true;
    struct window_bounds was = window->matches.bounds;
    window_bounds_init(&window->matches.bounds);
    bool done =
        window_bounds_read(&window->matches.bounds, reading->reader, reading->stage, &cut, error);
    if (done)
        drop_outside(window);
    done = done && window_bounds_newcomers(&was, &window->matches.bounds, reading->reader,
                                           reading->stage, each_newcomer, reading, error);
    window_bounds_fini(&was);
    return done;
}

/* The number of changes since the matches were last brought up to date; -1: not known any more. */
static int64_t count_news(const struct window *window, const struct view_state *state)
{
    int64_t changes = state->export.last_change - window->content.position;
    int64_t news =
        (changes > 0 ? changes : 0) + state->log.last_membership - window->content.membership;
    return news && window->content.position < state->log.floor_change ? -1 : news;
}

static bool find_news(struct catching *catching)
{
    struct window_reading *reading = catching->reading;
    const struct window *window = reading->window;
    const struct store_export *export = &reading->state->export;
    struct error *error = &reading->result->error;
    if (export->last_change > window->content.position &&
        !scoped_scan_changes((struct scoped){window->spec.scope, NULL}, reading->reader, export->id,
                             span_make(NULL, 0), window->content.position, export->last_change,
                             true, each_change, catching, error))
        return false;
    if (error->code == ERROR_NONE && window->spec.stage &&
        !store_scan_new_memberships(reading->reader, export->id, window->content.membership, -1,
                                    each_membership, catching, error))
        return false;
    return error->code == ERROR_NONE;
}

bool window_matches_update(struct window_reading *reading)
{
    struct catching catching = {.reading = reading};
    int64_t news = count_news(reading->window, reading->state);
    if (news < 0 || news > CATCHING_UP * reading->max_rows ||
        window_is_ahead(reading->window, reading->now))
        return !(reading->result->refill = true);
    bool done = window_take_rechecks(reading->window, reading->now, each_membership, &catching) &&
                find_news(&catching) && move_bounds(reading) && apply(&catching);
    window_rows_fini(&catching.found);
    return done;
}
