/*
 * Windows with a filter over all of a view: its matches are kept in memory, in the view's order.
 * fill.c finds them; then whatever changed since filling began is looked at again, so that the
 * matches are those of one state.
 */
#include "rows/scoped_scan.h"
#include "window/reading.h"

enum {
    CATCHING_UP = 10,   /* log rows for each row a window may have: more, and it is filled anew */
    CHANGES_LEFT = 2000 /* so many are left to a refresh; parts of a search take as many */
};

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
    struct window_row *row = map_remove(&window->matches->by_key, key);
    if (!row)
        return;
    struct window_rows *matches = &window->matches->rows;
    size_t at = find_sort_key(matches, window_row_sort_key(row));
    INVARIANT(at < matches->count && matches->list[at] == row);
    matches->count--;
    memmove(matches->list + at, matches->list + at + 1,
            (matches->count - at) * sizeof(*matches->list));
    memory_free(row);
}

/* A match is small, and for what they see users need not ask as they do for what they filter. */
enum { SCOPE_MATCHES = 10 };

static int64_t match_limit(const struct window *window, int64_t max_rows)
{
    bool only_scoped = window->spec.scope && !window_is_sorted(window) &&
                       !view_query_traits(window->spec.query).filters;
    return only_scoped && max_rows < INT64_MAX / SCOPE_MATCHES ? max_rows * SCOPE_MATCHES
                                                               : max_rows;
}

bool window_match_put(struct window *window, struct window_row *row, int64_t max_rows,
                      struct error *error)
{
    struct window_rows *matches = &window->matches->rows;
    INVARIANT(matches->count == window->matches->by_key.count);
    take_out(window, window_row_key(row));
    if ((int64_t)matches->count >= match_limit(window, max_rows)) {
        memory_free(row);
        if (!window_is_sorted(window) && !view_query_traits(window->spec.query).filters &&
            window->spec.scope)
            return error_set(
                error, ERROR_TOO_LARGE,
                "this token sees more than %lld rows of what the view is cut to; raise "
                "max_window_rows",
                (long long)match_limit(window, max_rows));
        if (window_is_sorted(window))
            return error_set(error, ERROR_TOO_LARGE,
                             "there are more than %lld rows to sort; leave rows out (where, "
                             "filters), %s and ask for a part (take), or raise max_window_rows",
                             (long long)max_rows, window_spec_index_remedy(&window->spec));
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
    if (map_add(&window->matches->by_key, row))
        return true;
    memmove(matches->list + at, matches->list + at + 1,
            (matches->count - 1 - at) * sizeof(*matches->list));
    matches->count--;
    memory_free(row);
    return lacks_memory(error);
}

/* A new match as the entity stands; *row is NULL when it does not pass. */
bool window_match_make(struct window *window, const struct store_entity *entity, int64_t max_rows,
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

/* A match that stands elsewhere in the view's order than in the query's is looked up by its text.
 */
bool window_match_in_stage(const struct window *window, struct store_reader *reader,
                           uint32_t export_id, int64_t stage, const struct window_row *row,
                           bool *found, struct error *error)
{
    struct store_entity entity;
    if (!window_is_sorted(window)) {
        int64_t id;
        bool done = store_read_row(reader, stage, window_row_sort_key(row), &id, error);
        *found = id != 0;
        return done;
    }
    if (!store_read_entity(reader, export_id, window_row_key(row), &entity, found, error) ||
        !*found)
        return error->code == ERROR_NONE;
    return window_stage_has(window, reader, stage, &entity, found, error);
}

/* ---- keeping up ---- */

/* The mark of an entity that changed. */
enum found {
    FOUND_GONE,  /* only its key counts: to be taken out */
    FOUND_MATCH, /* a row to put in */
    FOUND_UNREAD /* to be looked up */
};

struct catching {
    struct window_reading *reading;
    struct window_rows found; /* marked by enum found */
};

static bool note(struct catching *catching, struct span key, const struct store_entity *entity)
{
    struct window *window = catching->reading->window;
    struct error *error = &catching->reading->result->error;
    int64_t max_rows = catching->reading->max_rows;
    struct window_row *row = NULL;
    if (entity ? !window_match_make(window, entity, max_rows, &row, error)
               : !window_note_turn(window, key, span_make(NULL, 0), max_rows, error))
        return false;
    if (!row)
        return window_rows_note(&catching->found, key, FOUND_GONE) || lacks_memory(error);
    row->mark = FOUND_MATCH;
    if (window_rows_add(&catching->found, row))
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
    return window_rows_note(&catching->found, key, FOUND_UNREAD) ||
           lacks_memory(&catching->reading->result->error);
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
    if (found && !window_match_make(reading->window, &entity, reading->max_rows, &match, error))
        return false;
    row->mark = FOUND_GONE;
    if (match) {
        match->mark = FOUND_MATCH;
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
             window_bounds_have(&window->matches->bounds, window_row_sort_key(row));
    if (!window->spec.stage || !*found)
        return true;
    return window_match_in_stage(window, reading->reader, reading->state->export.id, reading->stage,
                                 row, found, &reading->result->error);
}

static bool apply(struct catching *catching)
{
    struct window_reading *reading = catching->reading;
    struct window_rows *found = &catching->found;
    for (size_t i = 0; i < found->count; i++) {
        if (found->list[i]->mark == FOUND_UNREAD && !look_up(catching, &found->list[i]))
            return false;
        struct window_row *row = found->list[i];
        bool in = row->mark == FOUND_MATCH;
        if (in && !is_in_view(reading, row, &in))
            return false;
        if (!in) {
            take_out(reading->window, window_row_key(row));
            continue;
        }
        found->list[i] = NULL;
        if (!window_match_put(reading->window, row, reading->max_rows, &reading->result->error))
            return false;
    }
    return true;
}

/* ---- the cut ---- */

/* Take out what is no longer within the bounds: it stands at the ends. */
static void drop_outside(struct window *window)
{
    struct window_rows *matches = &window->matches->rows;
    size_t first = 0, end = matches->count;
    while (end && !window_bounds_have(&window->matches->bounds,
                                      window_row_sort_key(matches->list[end - 1])))
        end--;
    while (first < end &&
           !window_bounds_have(&window->matches->bounds, window_row_sort_key(matches->list[first])))
        first++;
    for (size_t i = 0; i < matches->count; i++)
        if (i < first || i >= end)
            memory_free(map_remove(&window->matches->by_key, window_row_key(matches->list[i])));
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
    if (!window_match_make(reading->window, entity, reading->max_rows, &row, error))
        return false;
    return !row || window_match_put(reading->window, row, reading->max_rows, error);
}

/* Move the bounds, before the changes are applied: what did not change comes or goes by that. */
static bool move_bounds(struct window_reading *reading)
{
    struct window *window = reading->window;
    struct error *error = &reading->result->error;
    struct view_cut cut = window_view_cut(window);
    if (!window_is_cut(window))
        return true;
    struct window_bounds was = window->matches->bounds;
    window_bounds_init(&window->matches->bounds);
    bool done =
        window_bounds_read(&window->matches->bounds, reading->reader, reading->stage, &cut, error);
    if (done)
        drop_outside(window);
    done = done && window_bounds_newcomers(&was, &window->matches->bounds, reading->reader,
                                           reading->stage, each_newcomer, reading, error);
    window_bounds_fini(&was);
    return done;
}

/* The change up to which the matches are those of the present. */
static int64_t known_up_to(const struct window_matches *matches)
{
    int64_t passed = matches->passed;
    return passed > matches->position ? passed : matches->position;
}

/* The number of changes since the matches were last brought up to date; -1: not known any more. */
static int64_t count_news(const struct window_matches *matches, const struct view_state *state)
{
    int64_t position = known_up_to(matches), changes = state->export.last_change - position;
    int64_t news = (changes > 0 ? changes : 0) + state->log.last_membership - matches->membership;
    return news && position < state->log.floor_change ? -1 : news;
}

static bool find_changes(struct catching *catching, int64_t from, int64_t to)
{
    struct window_reading *reading = catching->reading;
    struct error *error = &reading->result->error;
    struct scoped scoped = {reading->window->spec.scope, NULL};
    return from >= to ||
           (scoped_scan_changes(scoped, reading->reader, reading->state->export.id,
                                span_make(NULL, 0), from, to, true, each_change, catching, error) &&
            error->code == ERROR_NONE);
}

static bool find_news(struct catching *catching)
{
    struct window_reading *reading = catching->reading;
    const struct window *window = reading->window;
    const struct store_export *export = &reading->state->export;
    struct error *error = &reading->result->error;
    if (!find_changes(catching, known_up_to(window->matches), export->last_change))
        return false;
    if (error->code == ERROR_NONE && window->spec.stage &&
        !store_scan_memberships(reading->reader, STORE_BEHIND_NUMBER, export->id,
                                window->matches->membership, -1, each_membership, catching, error))
        return false;
    return error->code == ERROR_NONE;
}

/*
 * An entity that changed again behind a part is passed over until that change comes. So the matches
 * are those of no state until a refresh has done the rest. Parts wait for their turn among those of
 * others: where more changes come meanwhile than a part has, they would never end, so that is for
 * the refresh, too.
 */
bool window_matches_approach(struct window_reading *reading, bool *near)
{
    struct window_matches *matches = reading->window->matches;
    struct catching catching = {.reading = reading};
    int64_t position = known_up_to(matches), to = position + CHANGES_LEFT;
    int64_t news = count_news(matches, reading->state);
    bool gains = !matches->fill.news || news + CHANGES_LEFT / 2 < matches->fill.news;
    *near = reading->state->export.last_change <= to || news < 0 || !gains ||
            news > CATCHING_UP * reading->max_rows;
    matches->fill.news = news;
    if (*near)
        return true; /* of too many, a refresh says that they are to be found again */
    bool done = find_changes(&catching, position, to) && apply(&catching);
    window_rows_fini(&catching.found);
    if (done)
        matches->position = to;
    return done;
}

bool window_matches_update(struct window_reading *reading)
{
    struct catching catching = {.reading = reading};
    struct window *window = reading->window;
    struct window_matches *matches = window->matches;
    const struct store_log_state *log = &reading->state->log;
    int64_t news = count_news(matches, reading->state);
    INVARIANT(matches->position <= log->last_change);
    if (matches->broken || news < 0 || news > CATCHING_UP * reading->max_rows ||
        window_is_ahead(window, reading->now))
        return !(reading->result->refill = true);
    matches->broken = true;
    bool done = window_take_rechecks(window, reading->now, each_membership, &catching) &&
                find_news(&catching) && move_bounds(reading) && apply(&catching);
    window_rows_fini(&catching.found);
    if (!done)
        return false;
    matches->broken = false;
    matches->position = log->last_change;
    matches->membership = log->last_membership;
    window_expect_first_turn(window);
    return true;
}
