/* Windows: rows that a member has of other subscriptions on its connection (previous.c). */
#include "rows/scoped_scan.h"
#include "window/reading.h"

/* The fate of a key since the client had another token. */
struct sighting {
    bool was_seen; /* before the first change of the key */
    size_t key_length;
    char key[];
};

struct holding {
    struct window_reading *reading;
    const struct link *previous;
    const struct map *rows;        /* the window's, by key */
    struct map shown;              /* rows of windows that the client has beside it, by key */
    bool shows_all;                /* it has a list of the whole view beside it */
    bool deleted;                  /* also what was deleted of a list: no tombstones follow */
    const struct row_scope *scope; /* what the client saw of the list at hand, */
    int64_t until;                 /* ... and up to when, as in struct previous */
    struct map sightings;          /* of the list at hand, once `sighted` */
    int64_t sighted;               /* changes read for it */
    bool sighted_all;              /* the log tells of every key */
    struct row_sink *sink;         /* takes the keys */
};

static struct previous *previous_of(const struct link *link)
{
    return LINK_OWNER(struct previous, in_list, link);
}

/* ---- what stays ---- */

static bool find_shown(struct holding *holding)
{
    const struct link *link;
    for (link = holding->previous->next; link != holding->previous; link = link->next) {
        const struct previous *previous = previous_of(link);
        if (!previous->shown)
            continue;
        holding->shows_all = holding->shows_all || previous->kind == PREVIOUS_ALL;
        for (size_t i = 0; previous->source && i < window_of_previous(previous)->content.rows.count;
             i++) {
            struct window_row *row = window_of_previous(previous)->content.rows.list[i];
            if (!map_get(&holding->shown, window_row_key(row)) && !map_add(&holding->shown, row))
                return out_of_memory(holding->reading);
        }
    }
    return true;
}

static bool is_shown(const struct holding *holding, struct span key)
{
    const struct window *window = holding->reading->window;
    const struct link *link;
    if (window_is_keyed_by_field(window) ? window->content.rows.count > 0
                                         : map_get(holding->rows, key) != NULL)
        return true;
    if (map_get(&holding->shown, key))
        return true;
    for (link = holding->previous->next; link != holding->previous; link = link->next) {
        const struct previous *previous = previous_of(link);
        if (previous->shown && previous->kind == PREVIOUS_KEY &&
            span_equal(span_make(previous->key, previous->key_length), key))
            return true;
    }
    return false;
}

/* ---- what goes ---- */

static bool put(struct holding *holding, struct span key)
{
    return is_shown(holding, key) || row_sink_remove(holding->sink, key) ||
           out_of_memory(holding->reading);
}

static struct span sighting_key(const void *value)
{
    const struct sighting *sighting = value;
    return span_make(sighting->key, sighting->key_length);
}

static void forget_sightings(struct holding *holding)
{
    size_t position = 0;
    struct sighting *sighting;
    while ((sighting = map_next(&holding->sightings, &position)) != NULL)
        memory_free(sighting);
    map_fini(&holding->sightings);
    map_init(&holding->sightings, sighting_key);
    holding->sighted = 0;
    holding->sighted_all = false;
}

/* Changes behind a token's end that are read to tell what the old token saw. */
static int64_t sighted_changes(const struct holding *holding)
{
    return holding->reading->window->hub->options.sighted_changes;
}

static bool each_change(void *argument, const struct store_change *change,
                        const struct store_entity *entity)
{
    struct holding *holding = argument;
    (void)entity;
    holding->sighted_all = ++holding->sighted <= sighted_changes(holding);
    if (!holding->sighted_all || map_get(&holding->sightings, change->key))
        return holding->sighted_all;
    struct sighting *sighting = memory_new(sizeof *sighting + change->key.length);
    if (!sighting)
        return out_of_memory(holding->reading);
    sighting->was_seen = row_scope_log_sight(holding->scope, change).before;
    sighting->key_length = change->key.length;
    memcpy(sighting->key, change->key.data, change->key.length);
    if (map_add(&holding->sightings, sighting))
        return true;
    memory_free(sighting);
    return out_of_memory(holding->reading);
}

/* One pass over the log for all keys: it has no index by key. To be called before a scan whose
 * rows are looked up: the reader's next call may take a row away. */
static bool find_sightings(struct holding *holding)
{
    struct window_reading *reading = holding->reading;
    struct error *error = &reading->result->error;
    int64_t from = holding->until > 0 ? holding->until : 0;
    forget_sightings(holding);
    if (!holding->until || !reading->state->found || reading->state->log.floor_change > from)
        return true;
    holding->sighted_all = true;
    return store_scan_changes(reading->reader, reading->state->export.id, span_make(NULL, 0), from,
                              reading->state->log.last_change, sighted_changes(holding) + 1, false,
                              each_change, holding, error) &&
           error->code == ERROR_NONE;
}

/* `change`: the newest one of the row. A row that came into the old token's scope only later
 * must not be named. If the log does not say, none is named. */
static bool put_if_seen(struct holding *holding, struct span key, int64_t change)
{
    if (!holding->until || change <= holding->until)
        return put(holding, key);
    const struct sighting *sighting = map_get(&holding->sightings, key);
    bool seen = sighting ? sighting->was_seen : holding->sighted_all;
    return !seen || put(holding, key);
}

static bool each_row(void *argument, const struct store_entity *row)
{
    struct holding *holding = argument;
    const struct window_spec *spec = &holding->reading->window->spec;
    if (!view_shows(spec->view, row->key) ||
        (row->data.data && !row_scope_shows(holding->scope, spec->view, row->data)))
        return true;
    return put_if_seen(holding, row->key, row->change);
}

static bool each_labelled(void *argument, struct span sort_key, const struct store_entity *row)
{
    (void)sort_key;
    return each_row(argument, row);
}

static bool each_tombstone(void *argument, const struct store_tombstone *tombstone)
{
    struct holding *holding = argument;
    const struct window_spec *spec = &holding->reading->window->spec;
    int64_t since = engine_times(holding->reading->window->hub->engine).due;
    if (tombstone->at < since - holding->reading->tombstone_ms)
        return false; /* and so are all that follow */
    if (!row_scope_sees(holding->scope, tombstone->scope) ||
        !view_shows(spec->view, tombstone->key))
        return true;
    return put_if_seen(holding, tombstone->key, tombstone->change);
}

static bool put_deleted(struct holding *holding)
{
    struct window_reading *reading = holding->reading;
    struct error *error = &reading->result->error;
    bool told = !holding->deleted && holding->scope == reading->window->spec.scope;
    if (told || !reading->state->found || window_is_keyed_by_field(reading->window))
        return true;
    return scoped_scan_tombstones((struct scoped){holding->scope, NULL}, reading->reader,
                                  reading->state->export.id, INT64_MAX, WINDOW_TOMBSTONES,
                                  each_tombstone, holding, error) &&
           error->code == ERROR_NONE;
}

/* A list that was not a window, of all that `scope` sees: its newest rows, and, here or with the
 * tombstones, what was deleted. */
static bool put_list(struct holding *holding, const struct row_scope *scope)
{
    struct window_reading *reading = holding->reading;
    struct error *error = &reading->result->error;
    struct scoped scoped = {scope, NULL};
    int64_t stage;
    reading->listed = true;
    holding->scope = scope;
    if (!reading->state->found)
        return true;
    if (!find_sightings(holding) || !put_deleted(holding) ||
        !scoped_find_rows(scoped, view_by_label(reading->window->spec.view), reading->reader,
                          &stage, error))
        return false;
    if (stage)
        return scoped_scan_rows(scoped, reading->reader, stage, span_make(NULL, 0),
                                WINDOW_TOMBSTONES, each_labelled, holding, error) &&
               error->code == ERROR_NONE;
    return (store_scan_list(reading->reader, reading->state->export.id, 0, WINDOW_TOMBSTONES,
                            scope != NULL, each_row, holding, error) &&
            error->code == ERROR_NONE);
}

static bool put_key(void *argument, struct span key)
{
    return put_if_seen(argument, key, INT64_MAX);
}

/* Any row of the view may have been in it; in one of a key that row alone. */
static bool put_any(struct holding *holding, const struct window *window)
{
    bool of_key = window->spec.key.data && !window_is_keyed_by_field(window);
    return of_key ? put_key(holding, window->spec.key) : put_list(holding, window->spec.scope);
}

/* From before the server was started. */
static bool put_former(struct holding *holding, const struct previous *previous)
{
    const struct window *window = window_of_previous(previous);
    bool all;
    holding->scope = window->spec.scope;
    return find_sightings(holding) &&
           window_recall_other(holding->reading, window, put_key, holding, &all) &&
           (!all || put_any(holding, window));
}

/* The window may be of other rows than this one: what it has now, and what left it since. */
static bool put_window(struct holding *holding, const struct previous *previous)
{
    const struct window *window = window_of_previous(previous);
    if (previous->former && previous->version == 0)
        return put_former(holding, previous);
    for (size_t i = 0; i < window->content.rows.count; i++)
        if (window->content.rows.list[i]->entered <= previous->version &&
            !put(holding, window_row_key(window->content.rows.list[i])))
            return false;
    for (size_t i = 0; i < window->content.removals.count; i++) {
        const struct window_removal *removal = &window->content.removals.list[i];
        bool had = (removal->version > previous->version || previous->former) &&
                   removal->entered <= previous->version;
        if (had && !put(holding, span_make(removal->key, removal->key_length)))
            return false;
    }
    for (size_t i = 0; previous->former && i < window->content.previous.rows.count; i++)
        if (!put(holding, window_row_key(window->content.previous.rows.list[i])))
            return false;
    return true;
}

static bool put_previous(struct holding *holding, const struct previous *previous)
{
    holding->until = previous->until;
    switch (previous->kind) {
    case PREVIOUS_WINDOW:
        return put_window(holding, previous);
    case PREVIOUS_KEY:
        return put(holding, span_make(previous->key, previous->key_length));
    case PREVIOUS_ALL:
        break;
    }
    return put_list(holding, previous->scope);
}

bool window_each_previous(struct window_reading *reading, const struct window_request *request,
                          const struct map *rows, bool deleted, struct row_sink *sink)
{
    struct holding holding = {.reading = reading,
                              .previous = &request->previous,
                              .rows = rows,
                              .deleted = deleted,
                              .sink = sink};
    const struct link *link;
    map_init(&holding.shown, window_row_map_key);
    map_init(&holding.sightings, sighting_key);
    bool done = find_shown(&holding);
    for (link = request->previous.next; done && link != &request->previous; link = link->next)
        if (!previous_of(link)->shown && !holding.shows_all)
            done = put_previous(&holding, previous_of(link));
    map_fini(&holding.shown);
    forget_sightings(&holding);
    map_fini(&holding.sightings);
    return done;
}

/* ---- who begins anew ---- */

static bool put_rows(struct window_reading *reading, struct row_sink *sink)
{
    const struct window_rows *rows = &reading->window->content.rows;
    for (size_t i = 0; i < rows->count; i++)
        if (!window_put_row(reading, window_row_key(rows->list[i]), sink))
            return false;
    return true;
}

bool window_encode_move(struct window_reading *reading, struct window_request *request)
{
    struct window *window = reading->window;
    int64_t limit = request->with_rows ? window->spec.limit : 0;
    struct map rows;
    if (!window_request_drafts(reading, request, limit))
        return false;
    struct snapshot_drafts *drafts = request->drafts;
    bool done = window_rows_index(&window->content.rows, &rows) || out_of_memory(reading);
    done = done && window_each_previous(reading, request, &rows, false, &drafts->sink) &&
           (limit == 0 || put_rows(reading, &drafts->sink)) &&
           window_encode_tombstones(reading, drafts);
    request->rows = drafts->sink.rows;
    request->statement.state = reading->state->log.last_change;
    request->statement.stated =
        window->spec.key.data && window->content.rows.count && request->with_rows
            ? window->content.rows.list[0]->change
            : KEY_STATED_UNKNOWN;
    map_fini(&rows);
    return done;
}
