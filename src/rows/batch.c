/* Snapshots, the encoding side: rows become batches, framed and compressed. */
#include "rows/batch.h"
#include "rows/show.h"

enum { BATCH_BYTES = 1 << 20 /* a batch ends early when it gets this long */ };

enum { MANY_GONE_BYTES = 8 * 1024 }; /* some hundred deletes */

void snapshot_drafts_fini(struct snapshot_drafts *drafts)
{
    for (size_t i = 0; i < drafts->count; i++) {
        snapshot_point_unref(&drafts->list[i].start);
        snapshot_point_unref(&drafts->list[i].end);
        wire_batch_fini(&drafts->list[i].rows);
        text_unref(drafts->list[i].frames);
    }
    memory_free(drafts->list);
    snapshot_point_unref(&drafts->point);
    buffer_fini(&drafts->deletes);
    buffer_fini(&drafts->row_key);
    buffer_fini(&drafts->gone);
    buffer_fini(&drafts->sink.shown);
}

/* A position with a copy of the key; false when out of memory, and then it is none. */
static bool make_position(struct list_position *position, struct seq seq, struct span key)
{
    *position = (struct list_position){.seq = seq, .key = text_new(key.data, key.length)};
    return position->key != NULL;
}

/* The position of the last row, which `point` did not get with each of them. */
static bool note_row(struct snapshot_drafts *drafts)
{
    struct snapshot_point *point = &drafts->point;
    if (drafts->row_noted)
        return true;
    snapshot_point_unref(point);
    if (!make_position(&point->at, drafts->row_seq, buffer_span(&drafts->row_key)))
        return false;
    point->bound = list_position_ref(&point->at);
    return drafts->row_noted = true;
}

/* The next row comes behind the last draft. */
static bool end_draft(struct snapshot_drafts *drafts)
{
    if (!note_row(drafts))
        return false;
    if (drafts->count) {
        INVARIANT(drafts->list);
        struct snapshot_point *end = &drafts->list[drafts->count - 1].end;
        snapshot_point_unref(end);
        *end = snapshot_point_ref(&drafts->point);
    }
    return true;
}

static struct snapshot_draft *new_draft(struct snapshot_drafts *drafts)
{
    if (!end_draft(drafts))
        return NULL;
    if (drafts->count == drafts->capacity) {
        size_t capacity = drafts->capacity ? drafts->capacity * 2 : 4;
        struct snapshot_draft *list = memory_resize(drafts->list, capacity * sizeof *list);
        if (!list)
            return NULL;
        drafts->list = list;
        drafts->capacity = capacity;
    }
    struct snapshot_draft *draft = &drafts->list[drafts->count++];
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there is room, or it was made */
    *draft = (struct snapshot_draft){.start = snapshot_point_ref(&drafts->point)};
    wire_batch_init(&draft->rows, drafts->sink.encoding, UINT32_MAX);
    return wire_batch_start(&draft->rows, drafts->sink.mode, span_of(drafts->sink.view->id)) ? draft
                                                                                             : NULL;
}

static size_t batch_rows(const struct snapshot_point *start)
{
    return start->rows == 0 ? WIRE_FIRST_BATCH : WIRE_NEXT_BATCH;
}

/* The draft that takes the next row; a new one when the last is full. */
static struct snapshot_draft *open_draft(struct snapshot_drafts *drafts)
{
    struct snapshot_draft *draft = drafts->count ? &drafts->list[drafts->count - 1] : NULL;
    if (draft && (drafts->is_one || (draft->rows.rows < batch_rows(&draft->start) &&
                                     draft->rows.json.length < BATCH_BYTES)))
        return draft;
    if (draft)
        drafts->full_bytes += draft->rows.json.length;
    return new_draft(drafts);
}

static bool put(struct row_sink *sink, const struct store_entity *row)
{
    struct snapshot_drafts *drafts = (struct snapshot_drafts *)sink;
    struct snapshot_point *point = &drafts->point;
    if (drafts->ends_at_limit && point->limit == 0)
        return true;
    struct snapshot_draft *draft = open_draft(drafts);
    if (!draft || !wire_batch_row(&draft->rows, row->key, row->data, row->change))
        return false;
    drafts->sink.rows++;
    point->rows++;
    if (point->limit > 0)
        point->limit--;
    point->begun = true;
    drafts->row_seq = row->seq;
    drafts->row_noted = false;
    buffer_clear(&drafts->row_key);
    return buffer_add_span(&drafts->row_key, row->key);
}

bool snapshot_drafts_pass(struct snapshot_drafts *drafts, struct seq seq, struct span key)
{
    struct snapshot_point *point = &drafts->point;
    if (!note_row(drafts))
        return false;
    list_position_unref(&point->at);
    point->begun = true;
    return make_position(&point->at, seq, key);
}

/* Before the rows, or behind the last. */
static bool remove_key(struct row_sink *sink, struct span key)
{
    struct snapshot_drafts *drafts = (struct snapshot_drafts *)sink;
    enum row_operation operation;
    if (sink->encoding && !drafts->amends)
        return true;
    if (!row_sink_leaving(sink, key, &operation))
        return false;
    struct buffer *out = drafts->point.rows_read ? &drafts->gone : &drafts->deletes;
    struct wire_change frame = {.encoding = drafts->sink.encoding,
                                .mode = drafts->sink.mode,
                                .view = span_of(drafts->sink.view->id),
                                .operation = operation,
                                .key = key};
    return wire_change(out, &frame);
}

bool snapshot_drafts_rows_read(struct snapshot_drafts *drafts)
{
    drafts->point.rows_read = true;
    return note_row(drafts);
}

static bool frame_batch(struct snapshot_drafts *drafts, struct wire_batch *rows, bool complete,
                        struct wire_gzip *gzip, struct buffer *out)
{
    char seq[SEQ_SIZE];
    bool is_state = drafts->point.latest == drafts->point.change;
    bool has_cursor = complete && is_state && !drafts->without_cursor;
    struct span cursor = has_cursor ? frame_seq(seq, drafts->point.seq) : span_make(NULL, 0);
    rows->more = drafts->more;
    return wire_batch_end(rows, complete, cursor, gzip, out);
}

/*
 * The last rows, then what is gone, and then the batch that completes the snapshot. They are sent
 * as one, so that whoever has the rows has deletes of the same state. Before many deletes the
 * sender rests: a page shows its rows only when it has nothing else to take in.
 */
static bool frame_with_gone(struct snapshot_drafts *drafts, struct snapshot_draft *draft,
                            struct wire_gzip *gzip, struct buffer *out, size_t *rest_at)
{
    bool has_rows = draft->rows.rows > 0;
    if (has_rows && !frame_batch(drafts, &draft->rows, false, gzip, out))
        return false;
    if (has_rows && drafts->gone.length >= MANY_GONE_BYTES)
        *rest_at = out->length;
    buffer_add_span(out, buffer_span(&drafts->gone));
    return !draft->complete ||
           (wire_batch_start(&draft->rows, drafts->sink.mode, span_of(drafts->sink.view->id)) &&
            frame_batch(drafts, &draft->rows, true, gzip, out));
}

/* The rows' JSON goes as soon as it is framed. */
static bool frame_draft(struct snapshot_drafts *drafts, struct snapshot_draft *draft,
                        struct wire_gzip *gzip, struct buffer *out)
{
    bool is_final = draft == &drafts->list[drafts->count - 1];
    bool only_deletes = !draft->rows.rows && !draft->last;
    size_t rest_at = 0;
    bool framed =
        is_final && drafts->gone.length
            ? frame_with_gone(drafts, draft, gzip, out, &rest_at)
            : only_deletes || frame_batch(drafts, &draft->rows, draft->complete, gzip, out);
    if (!framed || out->failed)
        return false;
    draft->frames = text_new(out->data, out->length);
    if (draft->frames)
        draft->frames->rest_at = (uint32_t)rest_at;
    drafts->json_bytes += draft->rows.json.length;
    wire_batch_fini(&draft->rows);
    wire_batch_init(&draft->rows, drafts->sink.encoding, 1);
    return draft->frames != NULL;
}

static bool may_be_compressed(const struct snapshot_draft *draft)
{
    return draft->rows.json.length + 64 >= WIRE_GZIP_MINIMUM;
}

size_t snapshot_drafts_bytes(const struct snapshot_drafts *drafts)
{
    size_t bytes = drafts->deletes.length + drafts->gone.length;
    for (size_t i = 0; i < drafts->count; i++) {
        if (may_be_compressed(&drafts->list[i]))
            return 0;
        bytes += drafts->list[i].rows.json.length;
    }
    return bytes;
}

bool snapshot_drafts_end(struct snapshot_drafts *drafts, bool last)
{
    if (drafts->gone.failed || (!drafts->count && !new_draft(drafts)))
        return false;
    if (!end_draft(drafts))
        return false;
    struct snapshot_draft *final = &drafts->list[drafts->count - 1];
    final->last = last;
    final->complete =
        last && (drafts->sink.encoding || drafts->point.latest == drafts->point.change);
    struct wire_gzip *gzip = NULL;
    struct buffer out;
    bool done = true;
    buffer_init(&out, UINT32_MAX);
    for (size_t i = 0; done && i < drafts->count; i++) {
        struct snapshot_draft *draft = &drafts->list[i];
        if (!gzip && may_be_compressed(draft))
            gzip = wire_gzip_new();
        buffer_clear(&out);
        if (i == 0)
            buffer_add_span(&out, buffer_span(&drafts->deletes));
        done = frame_draft(drafts, draft, gzip, &out);
    }
    buffer_fini(&out);
    wire_gzip_free(gzip);
    return done;
}

static bool end(struct row_sink *sink, struct text **text)
{
    struct snapshot_drafts *drafts = (struct snapshot_drafts *)sink;
    struct buffer out;
    *text = NULL;
    if (!snapshot_drafts_end(drafts, true))
        return false;
    buffer_init(&out, UINT32_MAX);
    for (size_t i = 0; i < drafts->count; i++)
        buffer_add_span(&out, text_span(drafts->list[i].frames));
    if (!out.failed)
        *text = text_new(out.data, out.length);
    buffer_fini(&out);
    return *text != NULL;
}

void snapshot_drafts_init(struct snapshot_drafts *drafts, const struct view *view,
                          enum wire_mode mode, const struct snapshot_point *point)
{
    static const struct row_sink_ops ops = {.put = put, .remove = remove_key, .end = end};
    *drafts = (struct snapshot_drafts){.point = snapshot_point_ref(point), .row_noted = true};
    row_sink_init(&drafts->sink, &ops, view, mode);
    buffer_init(&drafts->deletes, UINT32_MAX);
    buffer_init(&drafts->row_key, UINT32_MAX);
    buffer_init(&drafts->gone, UINT32_MAX);
}

/* ---- points ---- */

struct snapshot_point snapshot_point_ref(const struct snapshot_point *point)
{
    list_position_ref(&point->at);
    list_position_ref(&point->bound);
    return *point;
}

void snapshot_point_unref(struct snapshot_point *point)
{
    list_position_unref(&point->at);
    list_position_unref(&point->bound);
}
