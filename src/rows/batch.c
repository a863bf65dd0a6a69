/* Snapshots, the encoding side: rows become batches, framed and compressed. */
#include "rows/batch.h"
#include "rows/show.h"

enum { BATCH_BYTES = 1 << 20 /* a batch ends early when it gets this long */ };

enum { MANY_GONE_BYTES = 8 * 1024 }; /* some hundred deletes */

void snapshot_drafts_init(struct snapshot_drafts *drafts, const struct view *view,
                          enum wire_mode mode, const struct snapshot_place *place)
{
    *drafts = (struct snapshot_drafts){
        .view = view, .mode = mode, .place = snapshot_place_ref(place), .row_noted = true};
    buffer_init(&drafts->deletes, UINT32_MAX);
    buffer_init(&drafts->row_key, UINT32_MAX);
    buffer_init(&drafts->gone, UINT32_MAX);
    buffer_init(&drafts->shown, UINT32_MAX);
}

void snapshot_drafts_fini(struct snapshot_drafts *drafts)
{
    for (size_t i = 0; i < drafts->count; i++) {
        snapshot_place_unref(&drafts->list[i].start);
        snapshot_place_unref(&drafts->list[i].end);
        wire_batch_fini(&drafts->list[i].rows);
        text_unref(drafts->list[i].frames);
    }
    memory_free(drafts->list);
    snapshot_place_unref(&drafts->place);
    buffer_fini(&drafts->deletes);
    buffer_fini(&drafts->row_key);
    buffer_fini(&drafts->gone);
    buffer_fini(&drafts->shown);
}

/* The position of the last row, which `place` did not get with each of them. */
static bool note_row(struct snapshot_drafts *drafts)
{
    struct snapshot_place *place = &drafts->place;
    if (drafts->row_noted)
        return true;
    snapshot_place_unref(place);
    if (!list_position_make(&place->at, drafts->row_seq, buffer_span(&drafts->row_key)))
        return false;
    place->bound = list_position_ref(&place->at);
    return drafts->row_noted = true;
}

/* What is put next comes behind the last draft. */
static bool end_draft(struct snapshot_drafts *drafts)
{
    if (!note_row(drafts))
        return false;
    if (drafts->count) {
        INVARIANT(drafts->list);
        struct snapshot_place *end = &drafts->list[drafts->count - 1].end;
        snapshot_place_unref(end);
        *end = snapshot_place_ref(&drafts->place);
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
    *draft = (struct snapshot_draft){.start = snapshot_place_ref(&drafts->place)};
    wire_batch_init(&draft->rows, drafts->encoding, UINT32_MAX);
    return wire_batch_start(&draft->rows, drafts->mode, span_of(drafts->view->id)) ? draft : NULL;
}

static size_t batch_rows(const struct snapshot_place *start)
{
    return start->rows == 0 ? WIRE_FIRST_BATCH : WIRE_NEXT_BATCH;
}

/* The draft that takes the next row; a new one when the last is full. */
static struct snapshot_draft *open_draft(struct snapshot_drafts *drafts)
{
    struct snapshot_draft *draft = drafts->count ? &drafts->list[drafts->count - 1] : NULL;
    if (draft && draft->rows.rows < batch_rows(&draft->start) &&
        draft->rows.json.length < BATCH_BYTES)
        return draft;
    if (draft)
        drafts->full_bytes += draft->rows.json.length;
    return new_draft(drafts);
}

static bool has_room(struct plain_rows *plain, size_t more)
{
    size_t used = plain->rows.json.length + plain->deleted.length;
    plain->too_large = plain->rows.rows > 0 && used + more > plain->max_bytes;
    return !plain->too_large;
}

static bool add_plain_row(struct snapshot_drafts *drafts, const struct store_entity *row)
{
    struct plain_rows *plain = drafts->plain;
    struct span data;
    return frame_show(drafts->view, row->data, &drafts->shown, &data) &&
           has_room(plain, row->key.length + data.length) &&
           wire_batch_row(&plain->rows, row->key, data, row->change);
}

static bool add_plain_delete(struct plain_rows *plain, struct span key)
{
    if (!has_room(plain, key.length))
        return false;
    if (plain->deleted.length)
        buffer_add_char(&plain->deleted, ',');
    return doc_escape(&plain->deleted, key);
}

bool snapshot_drafts_row(struct snapshot_drafts *drafts, const struct store_entity *row)
{
    if (drafts->plain)
        return add_plain_row(drafts, row);
    struct snapshot_draft *draft = open_draft(drafts);
    struct snapshot_place *place = &drafts->place;
    struct span data;
    if (!draft || !frame_show(drafts->view, row->data, &drafts->shown, &data) ||
        !wire_batch_row(&draft->rows, row->key, data, row->change))
        return false;
    drafts->rows++;
    place->rows++;
    if (place->limit > 0)
        place->limit--;
    place->begun = true;
    drafts->row_seq = row->seq;
    drafts->row_noted = false;
    buffer_clear(&drafts->row_key);
    return buffer_add_span(&drafts->row_key, row->key);
}

bool snapshot_drafts_pass(struct snapshot_drafts *drafts, struct seq seq, struct span key)
{
    struct snapshot_place *place = &drafts->place;
    if (!note_row(drafts))
        return false;
    list_position_unref(&place->at);
    place->begun = true;
    return list_position_make(&place->at, seq, key);
}

static bool put_delete(struct snapshot_drafts *drafts, struct buffer *out, struct span key)
{
    if (drafts->plain)
        return add_plain_delete(drafts->plain, key);
    struct wire_change frame = {.mode = drafts->mode,
                                .view = span_of(drafts->view->id),
                                .operation = ROW_DELETE,
                                .key = key};
    return wire_change(out, &frame);
}

bool snapshot_drafts_delete(struct snapshot_drafts *drafts, struct span key)
{
    return put_delete(drafts, &drafts->deletes, key);
}

bool snapshot_drafts_rows_read(struct snapshot_drafts *drafts)
{
    drafts->place.rows_read = true;
    return note_row(drafts);
}

bool snapshot_drafts_gone(struct snapshot_drafts *drafts, struct span key)
{
    return put_delete(drafts, &drafts->gone, key);
}

static bool frame_batch(struct snapshot_drafts *drafts, struct wire_batch *rows, bool complete,
                        struct wire_gzip *gzip, struct buffer *out)
{
    char seq[SEQ_SIZE];
    struct span cursor = complete ? frame_seq(seq, drafts->place.seq) : span_make(NULL, 0);
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
           (wire_batch_start(&draft->rows, drafts->mode, span_of(drafts->view->id)) &&
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
    wire_batch_fini(&draft->rows);
    wire_batch_init(&draft->rows, drafts->encoding, 1);
    return draft->frames != NULL;
}

bool snapshot_drafts_end(struct snapshot_drafts *drafts, bool last)
{
    if (drafts->gone.failed || (!drafts->count && !new_draft(drafts)))
        return false;
    if (!end_draft(drafts))
        return false;
    struct snapshot_draft *final = &drafts->list[drafts->count - 1];
    final->last = last;
    final->complete = last && drafts->place.latest == drafts->place.change;
    struct wire_gzip *gzip = NULL;
    struct buffer out;
    bool done = true;
    buffer_init(&out, UINT32_MAX);
    for (size_t i = 0; done && i < drafts->count; i++) {
        struct snapshot_draft *draft = &drafts->list[i];
        if (!gzip && draft->rows.json.length + 64 >= WIRE_GZIP_MINIMUM)
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

/* ---- places ---- */

struct snapshot_place snapshot_place_ref(const struct snapshot_place *place)
{
    list_position_ref(&place->at);
    list_position_ref(&place->bound);
    return *place;
}

void snapshot_place_unref(struct snapshot_place *place)
{
    list_position_unref(&place->at);
    list_position_unref(&place->bound);
}
