/*
 * Requests of members on a reader: which are equal, serving them from the content just read, and
 * their end. Here are also those who fell behind, with the keys that left the window lately.
 */
#include "window/reading.h"

/* ---- keys that left lately ---- */

static void forget_removals(struct window_removals *removals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        INVARIANT(removals->floor <= removals->list[i].version);
        INVARIANT(removals->bytes >= removals->list[i].key_length);
        removals->floor = removals->list[i].version;
        removals->bytes -= removals->list[i].key_length;
        memory_free(removals->list[i].key);
    }
    removals->count -= count;
    memmove(removals->list, removals->list + count, removals->count * sizeof *removals->list);
}

bool window_note_removal(struct window *window, const struct window_row *row)
{
    struct window_removals *removals = &window->content.removals;
    struct span key = window_row_key(row);
    if (!removals->list) {
        removals->list = memory_new(WINDOW_REMOVALS * sizeof *removals->list);
        if (!removals->list)
            return false;
    }
    /* In one go, so that making room is cheap for each. */
    if (removals->count == WINDOW_REMOVALS || removals->bytes > WINDOW_REMOVAL_BYTES)
        forget_removals(removals, removals->count - removals->count / 2);
    INVARIANT(removals->count < WINDOW_REMOVALS);
    INVARIANT(!removals->count ||
              removals->list[removals->count - 1].version <= window->content.version + 1);
    char *copy = memory_copy_string(key.data, key.length);
    if (!copy)
        return false;
    removals->list[removals->count++] =
        (struct window_removal){.version = window->content.version + 1,
                                .entered = row->entered,
                                .told = row->version,
                                .change = row->change,
                                .at = engine_times(window->hub->engine).now,
                                .key_length = (uint32_t)key.length,
                                .key = copy};
    removals->bytes += key.length;
    return true;
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
            return out_of_memory(behind->reading);
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
            return out_of_memory(behind->reading);
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
    bool done = window_rows_index(&window->content.rows, &behind.rows) || out_of_memory(reading);
    done = done && find_first_removals(&behind) && put_missed(&behind) &&
           (row_sink_end(&behind.frames.sink, &request->text) || out_of_memory(reading));
    map_fini(&behind.rows);
    map_fini(&behind.first);
    row_frames_fini(&behind.frames);
    return done;
}

/* ---- all requests of a refresh ---- */

static struct window_request *request_of(struct link *link)
{
    return LINK_OWNER(struct window_request, in_requests, link);
}

static bool are_cursors_same(const struct window_request *a, const struct window_request *b)
{
    const struct resume_query *one = &a->cursor, *other = &b->cursor;
    return a->looks_up == b->looks_up &&
           (!a->looks_up || (seq_compare(one->after, other->after) == 0 &&
                             one->origin.parted == other->origin.parted));
}

static bool is_same(const struct window_request *a, const struct window_request *b)
{
    return a->window == b->window && a->kind == b->kind && link_alone(&a->previous) &&
           link_alone(&b->previous) && a->kind != WINDOW_MOVE && a->kind != WINDOW_STATE &&
           a->from == b->from && a->current == b->current && a->as_frames == b->as_frames &&
           are_cursors_same(a, b);
}

/* Many come back at once with the cursor that they were cut off at. */
void window_requests_pair(struct window_refresh *refresh)
{
    struct link *link, *earlier;
    for (link = refresh->requests.next; link != &refresh->requests; link = link->next) {
        struct window_request *request = request_of(link);
        request->same = NULL;
        for (earlier = refresh->requests.next; earlier != link && !request->same;
             earlier = earlier->next)
            if (!request_of(earlier)->same && is_same(request_of(earlier), request))
                request->same = request_of(earlier);
    }
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
    reading->refused = reading->refused ||
                       (request->refused && request->kind == WINDOW_RESUME && !request->as_frames);
    return request->done;
}

bool window_requests_serve(struct window_refresh *refresh, struct window_reading *reading)
{
    struct link *link;
    for (link = refresh->requests.next; link != &refresh->requests; link = link->next) {
        struct window_request *request = LINK_OWNER(struct window_request, in_requests, link);
        if (request->window != reading->window || request->same)
            continue;
        if (refresh->served > 0 && window_refresh_is_late(refresh)) {
            reading->result->skipped = true;
            return true;
        }
        INVARIANT(request->stage == REQUEST_TAKEN);
        refresh->served++;
        if (!window_encode_request(reading, request))
            return false;
    }
    return true;
}

static bool end_request(struct window_request *request)
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

static void finish_request(struct window_refresh *refresh, struct window_request *request)
{
    if (end_request(request))
        return;
    for (size_t i = 0; i < refresh->count; i++)
        if (refresh->results[i].window == request->window)
            error_set(&refresh->results[i].error, ERROR_MEMORY,
                      "out of memory while resuming a window");
}

/* Encoding and compressing is for after the transaction. */
void window_requests_finish(struct window_refresh *refresh)
{
    struct link *link;
    for (link = refresh->requests.next; link != &refresh->requests; link = link->next) {
        struct window_request *request = request_of(link), *same = request->same;
        finish_request(refresh, request);
        if (!same)
            continue;
        request->done = same->done;
        request->refused = same->refused;
        request->version = same->version;
        request->rows = same->rows;
        request->text = text_ref(same->text);
    }
}
