/* The rows of a window as frames, on a reader. */
#include "rows/show.h"
#include "window/window_internal.h"

static bool lacks_memory(struct window_reading *reading)
{
    return error_set(&reading->result->error, ERROR_MEMORY, "out of memory while showing a window");
}

void window_say_more(const struct window *window, struct snapshot_drafts *drafts)
{
    int64_t take, skip;
    if (window_part(window, &take, &skip))
        drafts->more = window->content.more ? WIRE_MORE : WIRE_MORE_NONE;
}

bool window_fetch(struct window_reading *reading, struct span key, struct store_entity *entity)
{
    struct error *error = &reading->result->error;
    bool found;
    if (!store_read_entity(reading->reader, reading->state->export.id, key, entity, &found, error))
        return false;
    return found || error_set(error, ERROR_DATABASE,
                              "row '%.*s' of a view is not among its entities; run stele check",
                              (int)(key.length > 64 ? 64 : key.length), key.data);
}

bool window_index_old(struct window_reading *reading)
{
    const struct window_rows *rows = &reading->window->content.rows;
    if (reading->old_on)
        return true;
    map_init(&reading->old, window_row_map_key);
    reading->old_on = true;
    for (size_t i = 0; i < rows->count; i++)
        if (!map_add(&reading->old, rows->list[i]))
            return lacks_memory(reading);
    return true;
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
                                .operation = data.data ? ROW_UPSERT : ROW_DELETE,
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
    struct seq before = reading->window->content.cursor, after = window_cursor(reading->state);
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
            INVARIANT(fresh->at + fresh->length <= reading->data.length);
            key = window_row_key(fresh->row);
            data = span_make(reading->data.data + fresh->at, fresh->length);
        }
        if (!window_put_frame(reading, key, data, seq, out))
            return false;
    }
    return true;
}

/* The rows after settling, by key: many may be looked for. */
bool window_index_rows(const struct window *window, struct map *map)
{
    map_init(map, window_row_map_key);
    for (size_t i = 0; i < window->content.rows.count; i++)
        if (!map_add(map, window->content.rows.list[i]))
            return false;
    return true;
}

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
