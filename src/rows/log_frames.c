/* Pages of catching up, the encoding side: rows and events of the database become frames. */
#include "rows/log_frames.h"
#include "rows/show.h"

enum { EVENT_DEPTH = 1024 }; /* more than max_depth may ever be */

static bool lacks_memory(struct catch_up_frames *frames)
{
    return error_set(frames->error, ERROR_MEMORY, "out of memory while catching up");
}

void catch_up_frames_init(struct catch_up_frames *frames, const struct catch_up_request *request,
                          struct error *error)
{
    frames->request = request;
    frames->error = error;
    frames->true_from = request->true_from;
    const struct snapshot_point begin = {.limit = -1};
    row_frames_init(&frames->frames, request->view, request->mode,
                    request->mode == WIRE_APPEND ? FRAMES_NONE : FRAMES_EACH);
    snapshot_drafts_init(&frames->rows, request->view, request->mode, &begin);
    frames->rows.is_one = frames->rows.amends = true;
    frames->frames.sink.encoding = frames->rows.sink.encoding = request->encoding;
    /* Clients of bodies are told behind the rows what is gone, and a tape has its offsets. */
    frames->rows.without_cursor = request->encoding != NULL;
    frames->frames.on_tape = request->style == CATCH_UP_EVENTS;
    buffer_init(&frames->shown, UINT32_MAX);
    buffer_init(&frames->paths, UINT32_MAX);
    doc_init(&frames->doc, UINT32_MAX, UINT32_MAX);
}

void catch_up_frames_fini(struct catch_up_frames *frames)
{
    row_frames_fini(&frames->frames);
    snapshot_drafts_fini(&frames->rows);
    buffer_fini(&frames->shown);
    buffer_fini(&frames->paths);
    doc_fini(&frames->doc);
}

/* An event as its reader sees it. */
static bool put_frame(struct catch_up_frames *frames, enum row_operation operation,
                      const struct store_change *change, struct span data, struct span append,
                      struct span seq)
{
    struct buffer *out = &frames->frames.out;
    struct wire_change frame = {.encoding = frames->request->encoding,
                                .change = change->id,
                                .on_tape = frames->request->style == CATCH_UP_EVENTS,
                                .mode = frames->request->mode,
                                .view = span_of(frames->request->view->id),
                                .operation = operation,
                                .key = change->key,
                                .data = data,
                                .append = append,
                                .seq = seq};
    bool as_list = frames->request->as_list;
    frames->listed += as_list;
    return (as_list ? wire_event(out, &frame, change->at) : wire_change(out, &frame)) ||
           lacks_memory(frames);
}

/* ---- rows ---- */

/* The client's state is one that was when it has the changes up to here too. */
static void note_later(struct catch_up_frames *frames, const struct store_entity *entity)
{
    int64_t change = entity ? entity->change : frames->head;
    if (change > frames->true_from)
        frames->true_from = change;
}

static bool is_resume(const struct catch_up_frames *frames)
{
    return frames->request->style == CATCH_UP_RESUME;
}

/*
 * The seq of a row is a cursor to go on from, but not while resuming, and not in an append view,
 * where going on means events: one of them may lie before this seq, merged into a row to come.
 */
bool catch_up_put_whole(struct catch_up_frames *frames, const struct store_entity *entity)
{
    struct row_sink *sink = is_resume(frames) ? &frames->rows.sink : &frames->frames.sink;
    frames->put++;
    note_later(frames, entity);
    return row_sink_put(sink, entity) || lacks_memory(frames);
}

bool catch_up_put_leaving(struct catch_up_frames *frames, enum row_operation operation,
                          struct span key, struct seq seq)
{
    const struct seq *cursor = frames->frames.cursor == FRAMES_EACH ? &seq : NULL;
    frames->rows.sink.leaving = operation;
    bool done = is_resume(frames)
                    ? row_sink_remove(&frames->rows.sink, key)
                    : row_frames_put_at(&frames->frames, operation, key, NULL, cursor);
    return done || lacks_memory(frames);
}

/* ---- events ---- */

/* The log's {"path":length, …} as what merge_print_patch wants, and the frame's append paths. */
static bool read_appends(struct catch_up_frames *frames, const struct store_change *change,
                         const struct store_entity *entity, uint32_t root,
                         struct merge_append *appends, size_t count)
{
    const struct catch_up_request *request = frames->request;
    struct doc *doc = &frames->doc;
    struct buffer *paths = &frames->paths;
    bool ambiguous = change->id <= request->ambiguous_until;
    buffer_clear(paths);
    uint32_t node = count ? doc_first(doc, root) : DOC_NONE;
    for (size_t i = 0; i < count; i++, node = doc->nodes[node].end) {
        int64_t length = 0;
        doc_integer(doc, node, &length);
        bool full = ambiguous || (request->max_array && length >= (int64_t)request->max_array);
        if (full && change->operation != ROW_CREATE)
            note_later(frames, entity); /* unless it was overwritten, it was the same then */
        appends[i] = (struct merge_append){
            .path = doc_key(doc, node), .length = (uint32_t)length, .full = full};
        if (full)
            continue;
        buffer_add_string(paths, paths->length ? ",\"" : "[\"");
        buffer_add_span(paths, appends[i].path);
        buffer_add_char(paths, '"');
    }
    if (paths->length)
        buffer_add_char(paths, ']');
    return !paths->failed;
}

/*
 * An array that is full, or a change that the client may have had already, is sent as what the
 * array was after it: the first so many elements of what it is now. If it was overwritten since,
 * that change comes later in this replay, and what is sent here does not matter.
 */
static bool print_event(struct catch_up_frames *frames, const struct store_change *change,
                        const struct store_entity *entity, struct buffer *data, struct span *append)
{
    struct doc *doc = &frames->doc;
    char seq[SEQ_SIZE];
    uint32_t patch, paths = DOC_NONE;
    doc_clear(doc);
    if (!doc_parse(doc, change->patch, EVENT_DEPTH, &patch, frames->error) ||
        (change->append.data && !doc_parse(doc, change->append, 2, &paths, frames->error)))
        return false;
    size_t count = paths == DOC_NONE ? 0 : doc->nodes[paths].count;
    struct merge_append *appends = memory_new((count + 1) * sizeof *appends);
    bool created = change->operation == ROW_CREATE;
    struct span merged = entity && !created ? entity->data : span_of("{}");
    bool done = appends && read_appends(frames, change, entity, paths, appends, count) &&
                merge_print_patch(data, doc, patch, appends, count, frames->request->max_array,
                                  frame_seq(seq, change->seq), merged, frames->error);
    memory_free(appends);
    *append = frames->paths.length ? buffer_span(&frames->paths) : span_make(NULL, 0);
    return done || (frames->error->code == ERROR_NONE && lacks_memory(frames));
}

/*
 * The seq of an event that the client may have had already must not take it back behind others
 * that it had: among those, only the client's own cursor is told. Nor must that of one before a
 * change that a row sent whole has in it: going on from there could repeat that change.
 */
static struct span event_cursor(const struct catch_up_frames *frames,
                                const struct store_change *change, char *text)
{
    const struct catch_up_request *request = frames->request;
    bool had = change->id <= request->ambiguous_until;
    if (had && seq_compare(change->seq, request->greater) != 0)
        return span_make(NULL, 0);
    if (request->partial && change->id < frames->true_from)
        return span_make(NULL, 0);
    return frame_seq(text, change->seq);
}

bool catch_up_put_event(struct catch_up_frames *frames, const struct store_change *change,
                        bool leaves, const struct store_entity *entity)
{
    const struct catch_up_request *request = frames->request;
    char text[SEQ_SIZE];
    struct span seq = event_cursor(frames, change, text);
    struct span none = span_make(NULL, 0), append, shown, shown_append;
    struct buffer data, paths;
    frames->put += !leaves;
    if (leaves || row_is_gone(change->operation))
        return put_frame(frames, ROW_DELETE, change, none, none, seq);
    buffer_init(&data, UINT32_MAX);
    buffer_init(&paths, UINT32_MAX);
    bool upsert = change->operation == ROW_UPSERT;
    bool done = print_event(frames, change, entity, &data, &append) &&
                frame_show(request->view, buffer_span(&data), &frames->shown, &shown) &&
                frame_show_append(request->view, append, &paths, &shown_append) &&
                put_frame(frames, upsert ? ROW_UPSERT : ROW_PATCH, change, shown,
                          upsert ? none : shown_append, seq);
    buffer_fini(&data);
    buffer_fini(&paths);
    return done || (frames->error->code == ERROR_NONE && lacks_memory(frames));
}

/* ---- the page ---- */

/* Behind what is in `out` already. */
static bool add_batch(struct catch_up_frames *frames, bool ended, struct seq cursor,
                      struct text **text)
{
    struct snapshot_drafts *rows = &frames->rows;
    struct buffer *out = &frames->frames.out;
    rows->point.seq = cursor;
    if (!snapshot_drafts_end(rows, ended))
        return false;
    struct text *batch = rows->list[0].frames;
    if (!out->length) {
        *text = text_ref(batch);
        return true;
    }
    return buffer_add_span(out, text_span(batch)) && row_sink_end(&frames->frames.sink, text);
}

bool catch_up_frames_end(struct catch_up_frames *frames, bool ended, struct seq cursor,
                         struct text **text)
{
    const struct snapshot_drafts *rows = &frames->rows;
    bool has_batch = ended || rows->sink.rows || rows->deletes.length;
    bool done = has_batch ? add_batch(frames, ended, cursor, text)
                          : row_sink_end(&frames->frames.sink, text);
    return done || lacks_memory(frames);
}
