/* Windows: differences, snapshots and catch-up as frames. */
#include "rows/scoped_scan.h"
#include "rows/show.h"
#include "window/window_internal.h"

static bool lacks_memory(struct window_reading *reading)
{
    return error_set(&reading->result->error, ERROR_MEMORY, "out of memory while showing a window");
}

struct seq window_cursor(const struct view_state *state)
{
    return view_state_cursor(state);
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

/* Keys that whoever comes anew may hold from before. */
struct farewell {
    struct window_reading *reading;
    struct snapshot_drafts *drafts;
    struct map rows;
    int64_t since; /* wall clock: those that went before are not told */
};

static bool say_farewell(struct farewell *farewell, struct span key)
{
    struct window_reading *reading = farewell->reading;
    if (!view_shows(reading->window->spec.view, key) || map_get(&farewell->rows, key))
        return true;
    /* Under the one key that they ask for, they are sent another row. */
    if (window_is_keyed_by_field(reading->window) && reading->window->rows.count)
        return true;
    return snapshot_drafts_gone(farewell->drafts, window_shown_key(reading, key)) ||
           lacks_memory(reading);
}

/* Whether some may hold rows from before the window was made, of which not all are known. */
static bool is_outlived(const struct window_reading *reading)
{
    return reading->listed || (reading->outlived && !reading->window->recalled);
}

static bool each_tombstone(void *argument, const struct store_tombstone *tombstone)
{
    struct farewell *farewell = argument;
    const struct window_reading *reading = farewell->reading;
    if (tombstone->at < farewell->since ||
        (!is_outlived(reading) && tombstone->change <= reading->window->first_position))
        return false; /* and so are all that follow */
    if (!row_scope_sees(reading->window->spec.scope, tombstone->scope))
        return true;
    return say_farewell(farewell, tombstone->key);
}

/* A window of a key had no other row, but a list of the whole view had any. One that is keyed by a
 * field shows a row under that key, and the list did, too. */
static bool had_others(const struct window_reading *reading)
{
    if (!reading->window->spec.key.data)
        return true;
    return reading->listed && !window_is_keyed_by_field(reading->window);
}

/*
 * What was deleted since the window was first looked at is among its exits, if it was in it and
 * those are not too many. What was deleted before can only have been in an earlier window of the
 * kind, and who holds rows of that may lack any delete since.
 */
static bool say_deleted(struct farewell *farewell)
{
    struct window_reading *reading = farewell->reading;
    struct error *error = &reading->result->error;
    if (!reading->state->found || !had_others(reading) ||
        (!is_outlived(reading) && reading->window->exit_floor == 0))
        return true;
    return scoped_scan_tombstones((struct scoped){reading->window->spec.scope, NULL},
                                  reading->reader, reading->state->export.id, INT64_MAX,
                                  WINDOW_FAREWELLS, each_tombstone, farewell, error) &&
           error->code == ERROR_NONE;
}

bool window_encode_farewells(struct window_reading *reading, struct snapshot_drafts *drafts)
{
    struct window *window = reading->window;
    struct farewell farewell = {.reading = reading,
                                .drafts = drafts,
                                .since =
                                    engine_due_ms(window->hub->engine) - reading->tombstone_ms};
    bool done = (window_index_rows(window, &farewell.rows) && snapshot_drafts_rows_read(drafts)) ||
                lacks_memory(reading);
    for (size_t i = 0; done && i < window->exit_count; i++)
        if (window->exits[i].at >= farewell.since)
            done = say_farewell(&farewell,
                                span_make(window->exits[i].key, window->exits[i].key_length));
    done = done && say_deleted(&farewell);
    for (size_t i = 0; done && i < window->lost.count; i++)
        done = say_farewell(&farewell, window_row_key(window->lost.list[i]));
    map_fini(&farewell.rows);
    return done;
}

/* ---- frames for one member ---- */

void window_frames_init(struct window_frames *frames, struct window_reading *reading)
{
    *frames = (struct window_frames){.reading = reading};
    buffer_init(&frames->out, UINT32_MAX);
    buffer_init(&frames->key, UINT32_MAX);
    buffer_init(&frames->data, UINT32_MAX);
}

void window_frames_fini(struct window_frames *frames)
{
    buffer_fini(&frames->out);
    buffer_fini(&frames->key);
    buffer_fini(&frames->data);
}

static bool put_waiting(struct window_frames *frames, const struct seq *seq)
{
    if (!frames->waits)
        return true;
    frames->waits = false;
    struct span key = frames->key.length ? buffer_span(&frames->key) : span_make("", 0);
    struct span data = frames->is_delete ? span_make(NULL, 0) : buffer_span(&frames->data);
    return window_put_frame(frames->reading, key, data, seq, &frames->out);
}

bool window_frames_put(struct window_frames *frames, struct span key, struct span data)
{
    if (!put_waiting(frames, NULL))
        return false;
    buffer_clear(&frames->key);
    buffer_clear(&frames->data);
    frames->waits = true;
    frames->is_delete = !data.data;
    frames->rows += data.data != NULL;
    return (buffer_add_span(&frames->key, key) && buffer_add_span(&frames->data, data)) ||
           lacks_memory(frames->reading);
}

bool window_frames_end(struct window_frames *frames, struct text **text)
{
    struct seq cursor = window_cursor(frames->reading->state);
    if (!put_waiting(frames, &cursor))
        return false;
    if (frames->out.length)
        *text = text_new(frames->out.data, frames->out.length);
    return !frames->out.length || *text || lacks_memory(frames->reading);
}

static bool put_held(void *argument, struct span key)
{
    return window_frames_put(argument, key, span_make(NULL, 0));
}

bool window_encode_changed(struct window_reading *reading, struct window_request *request)
{
    const struct window_rows *rows = &reading->window->rows;
    struct window_frames frames;
    struct map by_key;
    window_frames_init(&frames, reading);
    bool done = window_index_rows(reading->window, &by_key) || lacks_memory(reading);
    done = done && window_each_held(reading, request, &by_key, true, put_held, &frames);
    map_fini(&by_key);
    for (size_t i = 0; done && i < rows->count; i++) {
        struct span key = window_row_key(rows->list[i]);
        struct store_entity entity;
        if (rows->list[i]->change > request->from)
            done =
                window_fetch(reading, key, &entity) && window_frames_put(&frames, key, entity.data);
    }
    done = done && window_frames_end(&frames, &request->text);
    window_frames_fini(&frames);
    return done;
}

/* ---- who fell behind ---- */

/* What a member at an older version lacks: one frame for a key. */
struct behind {
    struct window_reading *reading;
    int64_t from;
    struct map rows;  /* the window's, by key */
    struct map first; /* exits since `from`, of each key the first: what it was for the member */
    struct window_frames frames;
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

static bool put_missed(struct behind *behind)
{
    const struct window *window = behind->reading->window;
    for (size_t i = 0; i < window->exit_count; i++) {
        const struct window_exit *exit = &window->exits[i];
        if (is_gone(behind, exit) &&
            !window_frames_put(&behind->frames, exit_key(exit), span_make(NULL, 0)))
            return false;
    }
    for (size_t i = 0; i < window->rows.count; i++) {
        const struct window_row *row = window->rows.list[i];
        struct store_entity entity;
        if (is_missed(behind, row) &&
            (!window_fetch(behind->reading, window_row_key(row), &entity) ||
             !window_frames_put(&behind->frames, window_row_key(row), entity.data)))
            return false;
    }
    return true;
}

static bool encode_behind(struct window_reading *reading, struct window_request *request)
{
    struct window *window = reading->window;
    struct behind behind = {.reading = reading, .from = request->from};
    if (request->from < window->exit_floor) {
        request->refused = true;
        return true;
    }
    window_frames_init(&behind.frames, reading);
    map_init(&behind.first, exit_key);
    bool done = window_index_rows(window, &behind.rows) || lacks_memory(reading);
    done = done && find_first_exits(&behind) && put_missed(&behind) &&
           window_frames_end(&behind.frames, &request->text);
    map_fini(&behind.rows);
    map_fini(&behind.first);
    window_frames_fini(&behind.frames);
    return done;
}

bool window_encode_request(struct window_reading *reading, struct window_request *request)
{
    static bool (*const encode[])(struct window_reading *, struct window_request *) = {
        [WINDOW_BEHIND] = encode_behind,
        [WINDOW_RESUME] = window_encode_resume,
        [WINDOW_UNTOLD] = window_encode_untold,
        [WINDOW_MOVE] = window_encode_move,
        [WINDOW_STATE] = window_encode_state};
    request->version = reading->result->version;
    request->done = encode[request->kind](reading, request);
    return request->done;
}

bool window_request_finish(struct window_request *request)
{
    bool done = true;
    if (!request->drafts)
        return true;
    if (request->done && !request->refused) {
        window_say_more(request->window, request->drafts);
        done = snapshot_drafts_end(request->drafts, true);
        request->text = done ? window_join_drafts(request->drafts) : NULL;
        done = request->done = request->text != NULL;
    }
    snapshot_drafts_fini(request->drafts);
    memory_free(request->drafts);
    request->drafts = NULL;
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
