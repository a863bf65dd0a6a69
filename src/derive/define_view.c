/* A configured view in the database: what it shows, and its SQL view. */
#include "derive/derive_internal.h"

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

bool define_shape(struct store_writer *store, const struct view *view, uint32_t export_id,
                  bool standard, struct error *error)
{
    struct buffer shape;
    buffer_init(&shape, SIZE_MAX / 2);
    if (view->stage)
        buffer_add_string(&shape, view->stage->whole);
    buffer_printf(&shape, "%d", (int)view->output);
    if (view->key_dotted.data)
        print_names(&shape, "by-path", &view->key_dotted, 1);
    else
        print_names(&shape, "by", view->key_field, view->key_field_count);
    print_names(&shape, "shows", view->paths, view->path_count);
    print_names(&shape, "keys", view->keys, view->key_count);
    bool done = !shape.failed || error_set(error, ERROR_MEMORY, "out of memory for a view");
    done = done && store_view_note_shape(store, span_of(view->id), export_id, buffer_span(&shape),
                                         standard, error);
    buffer_fini(&shape);
    return done;
}

/* ---- its SQL view ---- */

struct sql_view_cut sql_view_cut_of(const struct view_stage *stage)
{
    return (struct sql_view_cut){
        .skip = stage->cut.skip, .take = stage->cut.take, .last = stage->cut.last};
}

bool define_view(struct store_writer *store, const struct view *view, uint32_t export_id,
                 int64_t stage, struct error *error)
{
    struct span id = span_of(view->id);
    if (!view->stage)
        return sql_view_define(store_writer_state(store).sql_views, id, export_id, view->paths,
                               view->path_count, view->keys, view->key_count, error);
    return sql_view_define_derived(store_writer_state(store).sql_views, id, stage,
                                   sql_view_cut_of(view->stage), view->paths, view->path_count,
                                   view->keys, view->key_count, error);
}
