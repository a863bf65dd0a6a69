/* Windows: differences, snapshots and catch-up as frames. */
#include "rows/scoped_scan.h"
#include "rows/show.h"
#include "window/reading.h"

static bool lacks_memory(struct window_reading *reading)
{
    return error_set(&reading->result->error, ERROR_MEMORY, "out of memory while showing a window");
}

/* ---- who fell behind ---- */

/* The diff for a member at an older version: one frame for a key. */
struct behind {
    struct window_reading *reading;
    int64_t from;
    struct map rows;  /* the window's, by key */
    struct map first; /* removals since `from`, of each key the first: what it was for the member */
    struct row_frames frames;
};

static struct span removal_key(const void *value)
{
    const struct window_removal *removal = value;
    return span_make(removal->key, removal->key_length);
}

static bool find_first_removals(struct behind *behind)
{
    const struct window *window = behind->reading->window;
    for (size_t i = 0; i < window->content.removals.count; i++) {
        struct window_removal *removal = &window->content.removals.list[i];
        if (removal->version > behind->from && !map_get(&behind->first, removal_key(removal)) &&
            !map_add(&behind->first, removal))
            return lacks_memory(behind->reading);
    }
    return true;
}

/* Whether the member has that row and must lose it. */
static bool is_gone(const struct behind *behind, const struct window_removal *removal)
{
    const struct window *window = behind->reading->window;
    if (map_get(&behind->first, removal_key(removal)) != removal || removal->entered > behind->from)
        return false;
    return window_is_keyed_by_field(window) ? !window->content.rows.count
                                            : !map_get(&behind->rows, removal_key(removal));
}

/* Whether it lacks that row: not when the row left and came back as it was. */
static bool is_missed(const struct behind *behind, const struct window_row *row)
{
    const struct window_removal *removal = map_get(&behind->first, window_row_key(row));
    bool has = removal && removal->entered <= behind->from && removal->told <= behind->from &&
               removal->change == row->change;
    return row->version > behind->from && !has;
}

static bool put_missed(struct behind *behind)
{
    const struct window *window = behind->reading->window;
    for (size_t i = 0; i < window->content.removals.count; i++) {
        const struct window_removal *removal = &window->content.removals.list[i];
        if (is_gone(behind, removal) &&
            !row_sink_remove(&behind->frames.sink, removal_key(removal)))
            return lacks_memory(behind->reading);
    }
    for (size_t i = 0; i < window->content.rows.count; i++) {
        const struct window_row *row = window->content.rows.list[i];
        if (is_missed(behind, row) &&
            !window_put_row(behind->reading, window_row_key(row), &behind->frames.sink))
            return false;
    }
    return true;
}

static bool encode_behind(struct window_reading *reading, struct window_request *request)
{
    struct window *window = reading->window;
    struct behind behind = {.reading = reading, .from = request->from};
    if (request->from < window->content.removals.floor) {
        request->refused = true;
        return true;
    }
    window_frames_init(&behind.frames, reading);
    map_init(&behind.first, removal_key);
    bool done = window_index_rows(window, &behind.rows) || lacks_memory(reading);
    done = done && find_first_removals(&behind) && put_missed(&behind) &&
           (row_sink_end(&behind.frames.sink, &request->text) || lacks_memory(reading));
    map_fini(&behind.rows);
    map_fini(&behind.first);
    row_frames_fini(&behind.frames);
    return done;
}

bool window_encode_request(struct window_reading *reading, struct window_request *request)
{
    static bool (*const encode[])(struct window_reading *, struct window_request *) = {
        [WINDOW_BEHIND] = encode_behind,
        [WINDOW_RESUME] = window_encode_resume,
        [WINDOW_FROM_NOW] = window_encode_from_now,
        [WINDOW_MOVE] = window_encode_move,
        [WINDOW_STATE] = window_encode_state};
    INVARIANT(request->window == reading->window && !request->same);
    INVARIANT(reading->window->content.known &&
              reading->window->content.version == reading->result->version);
    INVARIANT(!request->done && !request->text && !request->drafts);
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
        done = request->done = row_sink_end(&request->drafts->sink, &request->text);
    }
    snapshot_drafts_fini(request->drafts);
    memory_free(request->drafts);
    request->drafts = NULL;
    return done;
}
