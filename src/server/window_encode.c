/* Windows: differences, snapshots and catch-up as frames. */
#include "server/window_internal.h"

static bool lacks_memory(struct window_reading *reading)
{
    return error_set(&reading->result->error, ERROR_MEMORY, "out of memory while showing a window");
}

struct seq window_cursor(const struct view_state *state)
{
    return state->found ? state->export.last_seq : (struct seq){0, 0};
}

/* Members of a view that is keyed by a field know rows by the key that they asked for. */
struct span window_shown_key(const struct window_reading *reading, struct span key)
{
    return window_is_keyed_by_field(reading->window) ? reading->window->spec.key : key;
}

bool window_put_frame(struct window_reading *reading, struct span key, struct span data,
                      const struct seq *seq, struct buffer *out)
{
    const struct window *window = reading->window;
    char text[SEQ_SIZE];
    struct wire_change frame = {.mode = window->mode,
                                .view = span_of(window->spec.view->id),
                                .operation = data.data ? WIRE_UPSERT : WIRE_DELETE,
                                .key = window_shown_key(reading, key),
                                .data = data};
    struct buffer shown;
    if (seq)
        frame.seq = frame_seq(text, *seq);
    buffer_init(&shown, UINT32_MAX);
    bool done = (!data.data || frame_show(window->spec.view, data, &shown, &frame.data)) &&
                wire_change(out, &frame);
    buffer_fini(&shown);
    return done || lacks_memory(reading);
}

bool window_encode_difference(struct window_reading *reading, struct buffer *out)
{
    struct seq before = reading->window->cursor, after = window_cursor(reading->state);
    /* Under the one key that members asked for, what comes takes the place of what left. */
    bool replaced = window_is_keyed_by_field(reading->window) && reading->fresh_count;
    size_t left = replaced ? 0 : reading->left.count, count = left + reading->fresh_count;
    for (size_t i = 0; i < count; i++) {
        const struct seq *seq = i + 1 == count ? &after : &before;
        struct span key, data = span_make(NULL, 0);
        if (i < left) {
            key = window_row_key(reading->left.list[i]);
        } else {
            const struct window_fresh *fresh = &reading->fresh[i - left];
            key = window_row_key(fresh->row);
            data = span_make(reading->data.data + fresh->at, fresh->length);
        }
        if (!window_put_frame(reading, key, data, seq, out))
            return false;
    }
    return true;
}

/* ---- with a snapshot ---- */

/* The rows after settling, by key: many may be looked for. */
bool window_index_rows(const struct window *window, struct map *map)
{
    map_init(map, window_row_map_key);
    for (size_t i = 0; i < window->rows.count; i++)
        if (!map_add(map, window->rows.list[i]))
            return false;
    return true;
}

struct farewell {
    struct window_reading *reading;
    const struct map *rows;
    int64_t since; /* wall clock: those from before are not told */
};

static bool say_farewell(void *argument, const struct store_tombstone *tombstone)
{
    struct farewell *farewell = argument;
    struct window_reading *reading = farewell->reading;
    if (tombstone->at < farewell->since)
        return false; /* and so are all that follow */
    if (!row_scope_sees(reading->window->spec.scope, tombstone->scope))
        return true;
    if (!view_shows(reading->window->spec.view, tombstone->key) ||
        map_get(farewell->rows, tombstone->key))
        return true;
    return snapshot_drafts_delete(&reading->result->drafts, tombstone->key) ||
           lacks_memory(reading);
}

bool window_encode_farewells(struct window_reading *reading)
{
    struct window *window = reading->window;
    int64_t since = clock_wall_ms() - reading->tombstone_ms;
    struct map rows;
    bool done = window_index_rows(window, &rows) || lacks_memory(reading);
    for (size_t i = 0; done && i < window->exit_count; i++) {
        struct span key = span_make(window->exits[i].key, window->exits[i].key_length);
        if (window->exits[i].at < since || map_get(&rows, key))
            continue;
        done = snapshot_drafts_delete(&reading->result->drafts, window_shown_key(reading, key)) ||
               lacks_memory(reading);
    }
    struct farewell farewell = {reading, &rows, since};
    if (done && reading->state->found && !window->spec.key.data)
        done = store_scan_tombstones(reading->reader, reading->state->export.id, INT64_MAX,
                                     WINDOW_FAREWELLS, say_farewell, &farewell,
                                     &reading->result->error) &&
               reading->result->error.code == ERROR_NONE;
    map_fini(&rows);
    if (done && reading->cut_at >= 0)
        done = window_encode_left_since(reading, reading->cut_at);
    return done;
}

/* ---- who fell behind ---- */

/* What a member at an older version lacks: one frame for a key, only the last with a cursor,
 * because none in between stands for a state. */
struct behind {
    struct window_reading *reading;
    int64_t from;
    struct map rows;  /* the window's, by key */
    struct map first; /* exits since `from`, of each key the first: what it was for the member */
    struct buffer out;
    size_t left; /* frames to come */
    struct seq cursor;
};

static struct span exit_key(const void *value)
{
    const struct window_exit *exit = value;
    return span_make(exit->key, exit->key_length);
}

static bool find_first_exits(struct behind *behind)
{
    const struct window *window = behind->reading->window;
    for (size_t i = 0; i < window->exit_count; i++) {
        struct window_exit *exit = &window->exits[i];
        if (exit->version > behind->from && !map_get(&behind->first, exit_key(exit)) &&
            !map_add(&behind->first, exit))
            return lacks_memory(behind->reading);
    }
    return true;
}

/* Whether the member has that row and must lose it. */
static bool is_gone(const struct behind *behind, const struct window_exit *exit)
{
    const struct window *window = behind->reading->window;
    if (map_get(&behind->first, exit_key(exit)) != exit || exit->entered > behind->from)
        return false;
    return window_is_keyed_by_field(window) ? !window->rows.count
                                            : !map_get(&behind->rows, exit_key(exit));
}

/* Whether it lacks that row: not when the row left and came back as it was. */
static bool is_missed(const struct behind *behind, const struct window_row *row)
{
    const struct window_exit *exit = map_get(&behind->first, window_row_key(row));
    bool has = exit && exit->entered <= behind->from && exit->told <= behind->from &&
               exit->change == row->change;
    return row->version > behind->from && !has;
}

static bool put_missed(struct behind *behind, struct span key, const struct window_row *row)
{
    struct store_entity entity = {.data = span_make(NULL, 0)};
    const struct seq *seq = --behind->left == 0 ? &behind->cursor : NULL;
    return (!row || window_fetch(behind->reading, key, &entity)) &&
           window_put_frame(behind->reading, key, entity.data, seq, &behind->out);
}

static bool put_all_missed(struct behind *behind)
{
    const struct window *window = behind->reading->window;
    for (size_t i = 0; i < window->exit_count; i++)
        behind->left += is_gone(behind, &window->exits[i]);
    for (size_t i = 0; i < window->rows.count; i++)
        behind->left += is_missed(behind, window->rows.list[i]);
    for (size_t i = 0; i < window->exit_count; i++) {
        const struct window_exit *exit = &window->exits[i];
        if (is_gone(behind, exit) && !put_missed(behind, exit_key(exit), NULL))
            return false;
    }
    for (size_t i = 0; i < window->rows.count; i++) {
        const struct window_row *row = window->rows.list[i];
        if (is_missed(behind, row) && !put_missed(behind, window_row_key(row), row))
            return false;
    }
    return true;
}

static bool encode_behind(struct window_reading *reading, struct window_request *request)
{
    struct window *window = reading->window;
    struct behind behind = {
        .reading = reading, .from = request->from, .cursor = window_cursor(reading->state)};
    if (request->from < window->exit_floor) {
        request->refused = true;
        return true;
    }
    buffer_init(&behind.out, UINT32_MAX);
    map_init(&behind.first, exit_key);
    bool done = window_index_rows(window, &behind.rows) || lacks_memory(reading);
    done = done && find_first_exits(&behind) && put_all_missed(&behind);
    if (done && behind.out.length) {
        request->text = text_new(behind.out.data, behind.out.length);
        done = request->text != NULL || lacks_memory(reading);
    }
    map_fini(&behind.rows);
    map_fini(&behind.first);
    buffer_fini(&behind.out);
    return done;
}

bool window_encode_request(struct window_reading *reading, struct window_request *request)
{
    bool done = request->kind == WINDOW_BEHIND   ? encode_behind(reading, request)
                : request->kind == WINDOW_RESUME ? window_encode_resume(reading, request)
                                                 : window_encode_move(reading, request);
    request->version = reading->result->version;
    request->done = done;
    return done;
}

struct text *window_join_drafts(struct snapshot_drafts *drafts)
{
    struct buffer out;
    buffer_init(&out, UINT32_MAX);
    for (size_t i = 0; i < drafts->count; i++)
        buffer_add_span(&out, text_span(drafts->list[i].frames));
    struct text *text = out.failed ? NULL : text_new(out.data, out.length);
    buffer_fini(&out);
    return text;
}
