/* What the database says of a configured view: what it shows, and its SQL view. */
#include "engine/engine_internal.h"

/* ---- its shape ---- */

static void print_names(struct buffer *out, const char *label, const struct span *names,
                        size_t count)
{
    if (!count)
        return;
    buffer_add_string(out, label);
    for (size_t i = 0; i < count; i++) {
        buffer_add_char(out, i ? ',' : '[');
        doc_escape(out, names[i]);
    }
    buffer_add_char(out, ']');
}

bool writer_note_shape(struct writer *writer, const struct view *view, bool standard,
                       struct error *error)
{
    struct buffer shape;
    buffer_init(&shape, SIZE_MAX / 2);
    if (view->stage)
        buffer_add_string(&shape, view->stage->whole);
    buffer_printf(&shape, "%d", (int)view->output);
    print_names(&shape, "by", view->key_field, view->key_field_count);
    print_names(&shape, "fields", view->paths, view->path_count);
    print_names(&shape, "keys", view->keys, view->key_count);
    bool done = !shape.failed || error_set(error, ERROR_MEMORY, "out of memory for a view");
    done = done && store_view_note_shape(writer->store, span_of(view->id), buffer_span(&shape),
                                         standard, error);
    buffer_fini(&shape);
    return done;
}

/* ---- its SQL view: the projection in the store's terms ---- */

/* The raw name behind canonical bytes. */
static bool decode_segment(struct doc *doc, struct span canonical, struct buffer *out,
                           struct error *error)
{
    uint32_t root;
    struct buffer quoted;
    buffer_init(&quoted, canonical.length + 2);
    buffer_add_char(&quoted, '"');
    buffer_add_span(&quoted, canonical);
    buffer_add_char(&quoted, '"');
    doc_clear(doc);
    buffer_clear(out);
    bool done = !quoted.failed && doc_parse(doc, buffer_span(&quoted), 1, &root, error) &&
                doc_decode_string(doc, root, out);
    buffer_fini(&quoted);
    return done;
}

struct segments {
    struct span *spans;
    size_t count, capacity;
};

static bool add_segment(struct segments *segments, struct doc *doc, struct span canonical,
                        struct error *error)
{
    struct buffer raw;
    buffer_init(&raw, SIZE_MAX / 2);
    bool done = decode_segment(doc, canonical, &raw, error) &&
                array_reserve((void **)&segments->spans, segments->count, &segments->capacity,
                              sizeof *segments->spans);
    if (done) {
        char *copy = memory_copy_string(raw.data ? raw.data : "", raw.length);
        done = copy != NULL;
        if (done)
            segments->spans[segments->count++] = span_make(copy, raw.length);
    }
    buffer_fini(&raw);
    return done || error_set(error, ERROR_MEMORY, "out of memory while defining a view");
}

static bool split_path(struct segments *segments, struct doc *doc, struct span path, size_t *count,
                       struct error *error)
{
    size_t start = 0;
    *count = 0;
    for (size_t i = 0; i <= path.length; i++) {
        if (i < path.length && path.data[i] != '.')
            continue;
        if (!add_segment(segments, doc, span_make(path.data + start, i - start), error))
            return false;
        (*count)++;
        start = i + 1;
    }
    return true;
}

static struct store_cut store_cut_of(const struct view_stage *stage)
{
    return (struct store_cut){
        .skip = stage->cut.skip, .take = stage->cut.take, .last = stage->cut.last};
}

bool writer_define_view(struct writer *writer, const struct view *view, uint32_t export_id,
                        int64_t stage, struct error *error)
{
    struct doc doc;
    struct segments segments = {0};
    struct store_path *paths = memory_new((view->path_count + 1) * sizeof *paths);
    size_t *counts = memory_new((view->path_count + 1) * sizeof *counts);
    doc_init(&doc, UINT32_MAX, 1024);
    bool done = paths && counts;
    for (size_t i = 0; done && i < view->path_count; i++)
        done = split_path(&segments, &doc, view->paths[i], &counts[i], error);
    for (size_t i = 0, at = 0; done && i < view->path_count; at += counts[i++])
        paths[i] = (struct store_path){segments.spans + at, counts[i]};
    if (done && view->stage)
        done = store_view_define_derived(writer->store, span_of(view->id), stage,
                                         store_cut_of(view->stage), paths, view->path_count,
                                         view->keys, view->key_count, error);
    else if (done)
        done = store_view_define(writer->store, span_of(view->id), export_id, paths,
                                 view->path_count, view->keys, view->key_count, error);
    for (size_t i = 0; i < segments.count; i++)
        memory_free((void *)segments.spans[i].data);
    memory_free(segments.spans);
    memory_free(counts);
    memory_free(paths);
    doc_fini(&doc);
    return done;
}
