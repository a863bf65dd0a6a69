#include "rows/row_frames.h"
#include "rows/show.h"

/* `data` only of an upsert. */
static bool add_frame(struct row_frames *frames, enum row_operation operation, struct span key,
                      struct span data, int64_t change, const struct seq *seq)
{
    char text[SEQ_SIZE];
    struct wire_change frame = {.encoding = frames->sink.encoding,
                                .change = change,
                                .on_tape = frames->on_tape,
                                .mode = frames->sink.mode,
                                .view = span_of(frames->sink.view->id),
                                .operation = operation,
                                .key = key,
                                .data = data};
    if (seq)
        frame.seq = frame_seq(text, *seq);
    return wire_change(&frames->out, &frame);
}

static bool add_waiting(struct row_frames *frames, const struct seq *seq)
{
    if (!frames->waits)
        return true;
    frames->waits = false;
    struct span key = frames->key.length ? buffer_span(&frames->key) : span_make("", 0);
    struct span data =
        frames->operation == ROW_UPSERT ? buffer_span(&frames->data) : span_make(NULL, 0);
    return add_frame(frames, frames->operation, key, data, frames->change, seq);
}

static bool let_wait(struct row_frames *frames, enum row_operation operation, struct span key,
                     struct span data, int64_t change)
{
    if (!add_waiting(frames, frames->before))
        return false;
    buffer_clear(&frames->key);
    buffer_clear(&frames->data);
    frames->waits = true;
    frames->operation = operation;
    frames->change = change;
    return buffer_add_span(&frames->key, key) && buffer_add_span(&frames->data, data);
}

static bool put(struct row_sink *sink, const struct store_entity *row)
{
    struct row_frames *frames = (struct row_frames *)sink;
    sink->rows++;
    if (frames->cursor == FRAMES_LAST)
        return let_wait(frames, ROW_UPSERT, row->key, row->data, row->change);
    return add_frame(frames, ROW_UPSERT, row->key, row->data, row->change,
                     frames->cursor == FRAMES_EACH ? &row->seq : NULL);
}

static bool remove_key(struct row_sink *sink, struct span key)
{
    struct row_frames *frames = (struct row_frames *)sink;
    struct span none = span_make(NULL, 0);
    enum row_operation operation;
    if (!row_sink_leaving(sink, key, &operation))
        return false;
    return frames->cursor == FRAMES_LAST ? let_wait(frames, operation, key, none, 0)
                                         : add_frame(frames, operation, key, none, 0, NULL);
}

static bool end(struct row_sink *sink, struct text **text)
{
    struct row_frames *frames = (struct row_frames *)sink;
    if (!add_waiting(frames, &frames->last) || frames->out.failed)
        return false;
    if (frames->out.length)
        *text = text_new(frames->out.data, frames->out.length);
    return !frames->out.length || *text;
}

bool row_frames_put_at(struct row_frames *frames, enum row_operation operation, struct span key,
                       const struct store_entity *entity, const struct seq *seq)
{
    struct row_sink *sink = &frames->sink;
    struct span shown = span_make(NULL, 0);
    return (!entity || frame_show(sink->view, entity->data, &sink->shown, &shown)) &&
           add_frame(frames, operation, sink->key.data ? sink->key : key, shown,
                     entity ? entity->change : 0, seq);
}

void row_frames_init(struct row_frames *frames, const struct view *view, enum wire_mode mode,
                     enum row_frames_cursor cursor)
{
    static const struct row_sink_ops ops = {.put = put, .remove = remove_key, .end = end};
    *frames = (struct row_frames){.cursor = cursor};
    row_sink_init(&frames->sink, &ops, view, mode);
    buffer_init(&frames->out, UINT32_MAX);
    buffer_init(&frames->key, UINT32_MAX);
    buffer_init(&frames->data, UINT32_MAX);
}

void row_frames_fini(struct row_frames *frames)
{
    buffer_fini(&frames->sink.shown);
    buffer_fini(&frames->out);
    buffer_fini(&frames->key);
    buffer_fini(&frames->data);
}
