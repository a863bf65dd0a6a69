/*
 * Bounds how far a window can have moved since a change. Its content at that change is not known.
 * But when c entities changed since, every other row stands at most c ranks from its former
 * one. So the rows that the client may hold and must lose lie among the changed ones and the c rows
 * beyond each end. The rows that it may lack lie among the changed ones and the c rows within each
 * end.
 */
#include "rows/scoped_scan.h"
#include "store/watched.h"
#include "window/reading.h"

enum {
    /* For each entity that may have changed where there is no snapshot to choose instead; where
     * there is one, an entity that changed often is no reason for it: */
    SCAN_FACTOR = 10,  /* log rows looked at, */
    PASS_FACTOR = 100, /* and, with those of other exports, passed over */
    /* Where there is no snapshot to choose instead: */
    FEW_CHANGED = 100,   /* entities that may always have changed, */
    ROW_CHANGED = 10,    /* and more for each row, */
    LOST_CHANGED = 1000, /* ... of which only removals are told */
    /* Where there is one: */
    DELETE_COST = 3, /* a delete is a message of its own, */
    ROW_COST = 2,    /* a row is compressed with others, */
    FEW_ROWS = 10    /* and fewer than these count as so many: it is little either way */
};

/* A sink for the keys of what goes. */
struct lost_keys {
    struct row_sink sink;
    struct window_rows *rows;
    size_t bytes;
    bool too_many;
};

/* ---- what changed ---- */

/* The mark of an entity that changed. */
enum sighting {
    SIGHT_MAYBE, /* the client may have seen it */
    SIGHT_NEVER, /* it may not have, because of its scope or because the view hides it */
    SIGHT_AS_NOW /* it may have if it may see it now */
};

/* A cut is over all rows: those that the view hides move it, so they count. */
static bool note_changed(struct window_since *since, struct span key, enum sighting sighting)
{
    const struct window *window = since->reading->window;
    bool hidden = !view_shows(window->spec.view, key);
    struct window_row *noted = map_get(&since->changed, key);
    if (hidden && !window_is_cut(window))
        return true;
    if (hidden)
        sighting = SIGHT_NEVER;
    if (noted && (sighting == SIGHT_MAYBE || noted->mark == SIGHT_NEVER))
        noted->mark = sighting;
    if (noted)
        return true;
    if ((int64_t)since->keys.count >= since->max_changed) {
        since->too_many = true;
        return false;
    }
    struct window_row *row = window_rows_note(&since->keys, key, sighting);
    return (row && map_add(&since->changed, row)) || out_of_memory(since->reading);
}

static bool count_scanned(struct window_since *since)
{
    if (++since->scanned > SCAN_FACTOR * since->most_scanned)
        since->too_many = true;
    return !since->too_many;
}

static bool each_change(void *argument, const struct store_change *change,
                        const struct store_entity *entity)
{
    struct window_since *since = argument;
    struct sight sight = row_scope_log_sight(since->reading->window->spec.scope, change);
    (void)entity;
    return count_scanned(since) &&
           note_changed(since, change->key,
                        sight.before || sight.after ? SIGHT_MAYBE : SIGHT_NEVER);
}

static bool each_membership(void *argument, struct span key)
{
    struct window_since *since = argument;
    return count_scanned(since) &&
           note_changed(since, key,
                        since->reading->window->spec.scope ? SIGHT_AS_NOW : SIGHT_MAYBE);
}

/* A cut is moved by whatever changed; else what others see does not count. */
static bool counts_seen_only(const struct window *window)
{
    const struct view_stage *stage = window->spec.stage;
    return window->spec.scope && (!stage || (!stage->has_cut && !stage->source));
}

/* Behind the export's newest change there is nothing to look through. */
static bool scan_log(struct window_since *since)
{
    struct window_reading *reading = since->reading;
    const struct store_export *export = &reading->state->export;
    struct error *error = &reading->result->error;
    bool by_label = counts_seen_only(reading->window);
    struct scoped scoped = {by_label ? reading->window->spec.scope : NULL, NULL};
    int64_t floor = reading->state->log.floor_change;
    int64_t behind = export->last_change - (since->from > floor ? since->from : floor);
    since->too_many = !scoped.scope && behind > PASS_FACTOR * since->most_scanned;
    return behind <= 0 || since->too_many ||
           (scoped_scan_changes(scoped, reading->reader, export->id, span_make(NULL, 0),
                                since->from, export->last_change, false, each_change, since,
                                error) &&
            error->code == ERROR_NONE);
}

static bool each_trimmed(void *argument, struct span key, struct span label, int64_t change)
{
    struct window_since *since = argument;
    const struct window *window = since->reading->window;
    if (span_equal(label, span_of(STORE_WATCHED_MOVED)))
        return !window->spec.stage || each_membership(since, key);
    bool seen = row_scope_sees(window->spec.scope, label);
    if (change <= since->from || (!seen && counts_seen_only(window)))
        return true;
    return count_scanned(since) && note_changed(since, key, seen ? SIGHT_MAYBE : SIGHT_NEVER);
}

/* The part that the log does not have any more, from the table beside it. */
static bool scan_trimmed(struct window_since *since)
{
    struct window_reading *reading = since->reading;
    struct error *error = &reading->result->error;
    if (!since->only_removals)
        return true;
    return store_scan_watched_keys(reading->reader, false, reading->state->export.id, since->from,
                                   INT64_MAX, each_trimmed, since, error) &&
           error->code == ERROR_NONE;
}

/* Of rows that moved without a change of their own: a client saw one then if it sees it now. */
static bool judge_moved(struct window_reading *reading, struct window_rows *keys)
{
    const struct window_spec *spec = &reading->window->spec;
    for (size_t i = 0; i < keys->count; i++) {
        struct window_row *row = keys->list[i];
        struct store_entity entity;
        bool found;
        if (row->mark != SIGHT_AS_NOW)
            continue;
        if (!store_read_entity(reading->reader, reading->state->export.id, window_row_key(row),
                               &entity, &found, &reading->result->error))
            return false;
        bool seen = found && row_scope_shows(spec->scope, spec->view, entity.data);
        row->mark = seen ? SIGHT_MAYBE : SIGHT_NEVER;
    }
    return true;
}

static bool find_changed(struct window_since *since)
{
    struct window_reading *reading = since->reading;
    struct error *error = &reading->result->error;
    if (reading->window->spec.key.data)
        return true; /* one row at most: it goes or comes, whatever changed beside it */
    if (!scan_trimmed(since) || (!since->too_many && !scan_log(since)))
        return false;
    if (since->too_many || !reading->window->spec.stage)
        return true;
    return store_scan_memberships(reading->reader, STORE_FROM_CHANGE, reading->state->export.id,
                                  since->from, -1, each_membership, since, error) &&
           error->code == ERROR_NONE && judge_moved(reading, &since->keys);
}

/* ---- what goes ---- */

/* False: a snapshot costs no more. */
static bool afford(struct window_since *since, int64_t cost)
{
    if (!since->may_refuse)
        return true;
    since->left -= cost;
    since->too_many = since->too_many || since->left < 0;
    return !since->too_many;
}

static bool put_delete(struct window_since *since, struct span key)
{
    return afford(since, DELETE_COST) &&
           (row_sink_remove(since->sink, key) || out_of_memory(since->reading));
}

static bool each_neighbour(void *argument, struct span sort_key, const struct store_entity *row)
{
    struct window_since *since = argument;
    (void)sort_key;
    const struct window_spec *spec = &since->reading->window->spec;
    if (map_get(&since->rows, row->key) || map_get(&since->changed, row->key) ||
        !view_shows(spec->view, row->key))
        return true;
    /* The text of rows that were scoped already is not at hand. */
    if (row->data.data && !row_scope_shows(spec->scope, spec->view, row->data))
        return true;
    return put_delete(since, row->key);
}

static bool scan_neighbours(struct window_since *since, int64_t first, int64_t count)
{
    const struct window *window = since->reading->window;
    const struct view_cut part = {first, count, window_view_cut(window).last};
    return count <= 0 ||
           window_scan(since->reading, 0, &part, window->spec.scope != NULL, each_neighbour, since);
}

static bool match_neighbours(struct window_since *since, int64_t first, int64_t end)
{
    const struct window_rows *matches = &since->reading->window->matches->rows;
    for (int64_t i = first < 0 ? 0 : first; i < end && i < (int64_t)matches->count; i++) {
        struct store_entity row = {.key = window_row_key(matches->list[i])};
        if (!each_neighbour(since, span_make(NULL, 0), &row))
            return false;
    }
    return true;
}

/* Of a short cut under a filter all rows count as near. */
static bool is_filtered_cut(const struct window *window)
{
    return window_is_cut(window) && window->spec.is_short &&
           (view_query_traits(window->spec.query).filters || window->spec.view->key_count ||
            window->spec.scope);
}

static bool scan_above(struct window_since *since, int64_t first, int64_t near)
{
    int64_t above = first < near ? first : near;
    return scan_neighbours(since, first - above, above);
}

/* Rows that a filter lets pass: beyond the window's ends, and beyond those of the cut. */
static bool put_matches_near(struct window_since *since, int64_t near)
{
    const struct window *window = since->reading->window;
    struct view_cut cut = window_view_cut(window);
    int64_t first = window->spec.skip, end = first + (int64_t)window->content.rows.count;
    if (!match_neighbours(since, first - near, first) || !match_neighbours(since, end, end + near))
        return false;
    if (!window_is_cut(window))
        return true;
    bool ends = cut.take != VIEW_ALL && cut.take < INT64_MAX - cut.skip;
    return scan_above(since, cut.skip, near) &&
           (!ends || scan_neighbours(since, cut.skip + cut.take, near));
}

static bool put_neighbours(struct window_since *since)
{
    struct window *window = since->reading->window;
    int64_t near = (int64_t)since->keys.count;
    struct view_cut cut = window_view_cut(window);
    int64_t first = cut.skip + window->spec.skip;
    int64_t end = first + (int64_t)window->content.rows.count;
    if (window->spec.key.data)
        return window->content.rows.count > 0 || put_delete(since, window->spec.key);
    if (window_keeps_matches(window))
        return put_matches_near(since, near);
    if (window->matching == MATCHES_PASSED)
        return window_scan_seen(since->reading, first - near, first, each_neighbour, since,
                                &since->too_many) &&
               (since->too_many || window_scan_seen(since->reading, end, end + near, each_neighbour,
                                                    since, &since->too_many));
    if (is_filtered_cut(window)) {
        int64_t above = cut.skip < near ? cut.skip : near;
        return scan_neighbours(since, cut.skip - above, above + cut.take + near);
    }
    return scan_above(since, first, near) && scan_neighbours(since, end, near);
}

static bool put_deletes(struct window_since *since)
{
    for (size_t i = 0; i < since->keys.count; i++) {
        struct span key = window_row_key(since->keys.list[i]);
        bool seen = since->keys.list[i]->mark == SIGHT_MAYBE;
        if (seen && !map_get(&since->rows, key) && !put_delete(since, key))
            return false;
    }
    return put_neighbours(since);
}

/* ---- what comes ---- */

static bool may_lack(const struct window_since *since, size_t index)
{
    const struct window *window = since->reading->window;
    const struct window_row *row = window->content.rows.list[index];
    struct view_cut cut = window_view_cut(window);
    size_t near = since->keys.count, count = window->content.rows.count;
    if (row->change > since->from || map_get(&since->changed, window_row_key(row)))
        return true;
    if (window->spec.key.data) /* others, or time, may have let it in */
        return window->spec.stage && !since->only_rows;
    if (is_filtered_cut(window))
        return near > 0;
    bool begins = window->spec.skip > 0 || cut.skip > 0;
    bool ends = window->spec.take != VIEW_ALL || cut.take != VIEW_ALL || cut.last;
    return (begins && index < near) || (ends && count - index <= near);
}

static bool put_rows(struct window_since *since)
{
    const struct window_rows *rows = &since->reading->window->content.rows;
    for (size_t i = 0; i < rows->count; i++)
        if (may_lack(since, i) &&
            (!afford(since, ROW_COST) ||
             !window_put_row(since->reading, window_row_key(rows->list[i]), since->sink)))
            return false;
    return true;
}

/* ---- the whole ---- */

/* Each entity that changed costs a delete or a row, mostly a delete where it may stand anywhere;
 * and where there are rows behind the window, it may have moved one over the end in either
 * direction. It has not where these are fewer than what changed, which is not known here; so a
 * large window, whose snapshot may be much more than what is lacking, finds out. */
int64_t window_since_affords(int64_t rows, bool more, bool anywhere)
{
    int64_t most = rows > FEW_ROWS ? rows : FEW_ROWS;
    bool moves = more && most == FEW_ROWS;
    int64_t cost = (anywhere ? DELETE_COST : ROW_COST) + DELETE_COST + ROW_COST;
    return moves ? (most * ROW_COST + 1) / cost : most;
}

static void set_bounds(struct window_since *since)
{
    int64_t rows = (int64_t)since->reading->window->content.rows.count;
    int64_t most = (since->only_removals ? LOST_CHANGED : FEW_CHANGED) + ROW_CHANGED * rows;
    int64_t max_rows = since->reading->max_rows;
    int64_t affords = window_since_affords(rows, false, false);
    since->left = ROW_COST * affords + 1;
    since->most_scanned = most < max_rows ? most : max_rows;
    since->max_changed =
        since->may_refuse && affords < since->most_scanned ? affords : since->most_scanned;
}

/* The log lacks something of the export that came behind this change. */
bool window_since_is_trimmed(const struct window_reading *reading, int64_t from)
{
    return reading->state->found && from < reading->state->export.floor_change;
}

/* ... or of what time moved in the view since then. */
static bool has_lost_moves(const struct window_reading *reading, int64_t from)
{
    return reading->state->found && from <= reading->state->export.membership_floor;
}

/* ... or of what time moved in the query. */
static bool moves_unnoted(const struct window_reading *reading)
{
    return view_query_traits(reading->window->spec.query).is_timed;
}

/*
 * ... or it was before the view showed what it does now. Of a cursor of the present view that is
 * not so. But it may be of before the stage was built anew: then nothing noted which rows others
 * moved into the part of another stage that this one is over. Where time moves rows, the epoch is
 * of the stage that is there.
 */
static bool is_before(const struct window_reading *reading, int64_t from, bool current)
{
    const struct view_stage *stage = reading->window->spec.stage;
    bool by_log = stage && current && (!stage->source || view_stage_is_timed(stage));
    return (!current && from < reading->state->log.cursor_floor) ||
           (stage && !by_log && from < reading->built);
}

static bool lacks_changes(const struct window_reading *reading, int64_t from)
{
    return window_since_is_trimmed(reading, from) ||
           (reading->window->spec.stage && has_lost_moves(reading, from));
}

bool window_since_is_unknown(const struct window_reading *reading, int64_t from, bool current)
{
    return lacks_changes(reading, from) || moves_unnoted(reading) ||
           is_before(reading, from, current);
}

bool window_since_find(struct window_since *since)
{
    map_init(&since->changed, window_row_map_key);
    set_bounds(since);
    return (window_rows_index(&since->reading->window->content.rows, &since->rows) ||
            out_of_memory(since->reading)) &&
           find_changed(since);
}

bool window_since_put(struct window_since *since)
{
    return (since->only_rows || put_deletes(since)) && (since->only_removals || put_rows(since));
}

void window_since_fini(struct window_since *since)
{
    map_fini(&since->rows);
    map_fini(&since->changed);
    window_rows_fini(&since->keys);
}

/* ---- what may have left ---- */

static bool note_lost(struct row_sink *sink, struct span key)
{
    struct lost_keys *lost = (struct lost_keys *)sink;
    lost->bytes += key.length;
    lost->too_many = lost->bytes > WINDOW_REMOVAL_BYTES;
    return window_rows_note(lost->rows, key, 0) && !lost->too_many;
}

bool window_find_lost(struct window_reading *reading, int64_t from, struct window_rows *lost,
                      bool *all)
{
    static const struct row_sink_ops ops = {.remove = note_lost};
    struct lost_keys keys = {.sink = {.ops = &ops}, .rows = lost};
    struct window_since since = {
        .reading = reading, .from = from, .only_removals = true, .sink = &keys.sink};
    int64_t floor;
    if (!store_read_watched_floor(reading->reader, &floor, &reading->result->error))
        return false;
    bool kept = floor >= 0 && from >= floor &&
                reading->state->log.last_change - from <= STORE_WATCHED_CHANGES;
    bool known = kept || !lacks_changes(reading, from);
    *all = !reading->state->found || (known && !is_before(reading, from, false));
    if (!reading->state->found || !*all)
        return true;
    bool done = window_since_find(&since) && (since.too_many || window_since_put(&since));
    window_since_fini(&since);
    if (keys.too_many || (since.too_many && reading->result->error.code == ERROR_NONE)) {
        done = true; /* what was noted is worth nothing */
        reading->result->error.code = ERROR_NONE;
    }
    *all = done && !since.too_many && !keys.too_many;
    if (!*all)
        window_rows_fini(lost);
    return done;
}
