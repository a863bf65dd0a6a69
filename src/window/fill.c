/*
 * Finding the matches of a window with a filter over all of a view: in parts, each of the state
 * that it meets. filter.c then looks again at whatever changed since filling began, in parts too
 * until little is left.
 */
#include "rows/scoped_scan.h"
#include "window/reading.h"

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
    return window_match_make(filling->window, entity, filling->limits->matches, row,
                             filling->error);
}

static bool put_found(struct filling *filling, struct window_row *row)
{
    return !row || window_match_put(filling->window, row, filling->limits->matches, filling->error);
}

/* In the order of the stage or of the keys: it goes on behind `after`. */
static bool fill_in_order(struct filling *filling, struct span after,
                          const struct store_entity *entity)
{
    struct window *window = filling->window;
    struct window_row *row;
    if (has_enough(filling))
        return false;
    buffer_clear(&window->matches->fill.after);
    return (buffer_add_span(&window->matches->fill.after, after) ||
            error_set(filling->error, ERROR_MEMORY, "out of memory while filtering a view")) &&
           fill_row(filling, entity, &row) && put_found(filling, row);
}

static bool fill_from_stage(void *argument, struct span sort_key, const struct store_entity *entity)
{
    const struct window *window = ((struct filling *)argument)->window;
    if (window_is_cut(window) && window_bounds_end(&window->matches->bounds, sort_key))
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
    bool done = window_match_in_stage(window, filling->reader, filling->export_id, filling->stage,
                                      row, &found, filling->error);
    found = found && (!window_is_cut(window) ||
                      window_bounds_have(&window->matches->bounds, window_row_sort_key(row)));
    if (done && found)
        return window_match_put(filling->window, row, filling->limits->matches, filling->error);
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
    window->matches->fill.by_file = rows > all / FILE_ROWS;
    if (rows > filling->limits->rows)
        filling->filled = WINDOW_FILL_ENDS;
    return true;
}

/* The whole is filled as of where the cut lies now: what it moves over is made up for later. */
static bool begin_filling(struct filling *filling, const struct view_state *state)
{
    struct window *window = filling->window;
    struct view_cut cut = window_view_cut(window);
    if (!window_find_labelled(window, filling->reader, &filling->by_label, filling->error))
        return false;
    if (window->matches->fill.begun)
        return true;
    window->matches->fill.begun = true;
    window->matches->position = state->log.last_change;
    window->matches->membership = state->log.last_membership;
    window->matches->now = window->time.now = filling->limits->now;
    return (filling->by_label || choose_order(filling, state)) &&
           (!filling->stage || !window_is_cut(window) ||
            window_bounds_read(&window->matches->bounds, filling->reader, filling->stage, &cut,
                               filling->error));
}

static bool fill_by_file(struct filling *filling, uint32_t export_id)
{
    int64_t looked, limit = WINDOW_FILL;
    bool done = store_scan_file(filling->reader, export_id, &filling->window->matches->fill.id,
                                limit, &looked, fill_from_file, filling, filling->error);
    if (looked == limit && filling->filled == WINDOW_FILLED)
        filling->filled = WINDOW_FILL_MORE;
    return done;
}

static bool fill_by_order(struct filling *filling, uint32_t export_id)
{
    struct window *window = filling->window;
    bool cut = window_is_cut(window);
    const struct buffer *from = !cut || window->matches->fill.after.length
                                    ? &window->matches->fill.after
                                    : &window->matches->bounds.low;
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
    const struct buffer *from = !window_is_cut(window) || window->matches->fill.after.length
                                    ? &window->matches->fill.after
                                    : &window->matches->bounds.low;
    int64_t limit = WINDOW_FILL;
    bool done = scoped_scan_rows((struct scoped){window->spec.scope, NULL}, filling->reader,
                                 filling->by_label, buffer_span(from), limit, fill_from_stage,
                                 filling, filling->error);
    window->matches->fill.looked += filling->seen;
    if (filling->seen == limit && filling->filled == WINDOW_FILLED)
        filling->filled = WINDOW_FILL_MORE;
    if (window->matches->fill.looked > filling->limits->rows)
        filling->filled = WINDOW_FILL_ENDS;
    return done;
}

static bool see_part(struct filling *filling)
{
    if (filling->by_label)
        return fill_by_label(filling);
    return filling->window->matches->fill.by_file ? fill_by_file(filling, filling->export_id)
                                                  : fill_by_order(filling, filling->export_id);
}

/* All rows were seen, in the states that the parts met: what changed meanwhile, in parts too. */
static bool approach(struct filling *filling, const struct view_state *state)
{
    struct window_result result = {.window = filling->window};
    struct window_reading reading = {.window = filling->window,
                                     .result = &result,
                                     .reader = filling->reader,
                                     .state = state,
                                     .stage = filling->stage,
                                     .max_rows = filling->limits->matches};
    bool near, done = window_matches_approach(&reading, &near);
    if (!done)
        *filling->error = result.error;
    filling->filled = near ? WINDOW_FILLED : WINDOW_FILL_MORE;
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
    bool nothing = (window_is_cut(window) && window->matches->bounds.nothing) ||
                   filling->filled == WINDOW_FILL_ENDS;
    if (!state.found || (stage && !filling->stage) || nothing)
        return true;
    filling->export_id = state.export.id;
    if (!window->matches->fill.all_seen && !see_part(filling))
        return false;
    window->matches->fill.all_seen = filling->filled == WINDOW_FILLED;
    return filling->filled != WINDOW_FILLED || approach(filling, &state);
}

bool window_matches_fill(struct window *window, struct store_reader *reader,
                         const struct window_fill_limits *limits, enum window_filled *filled,
                         struct error *error)
{
    struct filling filling = {.window = window, .reader = reader, .limits = limits, .error = error};
    struct window_matches *matches = window->matches;
    error->code = ERROR_NONE;
    if (!store_read_begin(reader, error))
        return false;
    if (matches->broken)
        window_matches_reset(matches);
    matches->broken = true;
    window->time.now = matches->now;
    bool done = read_part(&filling) && error->code == ERROR_NONE;
    store_read_end(reader);
    matches->broken = !done;
    matches->found = done && filling.filled == WINDOW_FILLED;
    *filled = filling.filled;
    return done;
}

void window_fill_run(struct read_job *read, struct store_reader *reader)
{
    struct window_fill *fill = (struct window_fill *)read;
    const struct hub *hub = fill->window->hub;
    struct window_matches *matches = fill->window->matches;
    struct window_clock start = window_clock_start(reader);
    pthread_mutex_lock(&matches->lock);
    const struct window_fill_limits limits = {.matches = hub->options.max_window_rows,
                                              .rows = INT64_MAX,
                                              .now = engine_times(hub->engine).now / 1000,
                                              .until_us =
                                                  clock_monotonic_us() + hub->options.refresh_us};
    fill->filled = WINDOW_FILLED;
    bool found = matches->found; /* then a refresh on another reader may be at them */
    fill->done =
        found || window_matches_fill(fill->window, reader, &limits, &fill->filled, &fill->error);
    fill->measure = window_measure(fill->window, reader, start);
    fill->measure.matches = found ? 0 : matches->rows.count;
    pthread_mutex_unlock(&matches->lock);
}
