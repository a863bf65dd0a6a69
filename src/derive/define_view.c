/*
 * A configured view in the database: what it shows, and its SQL view. The offline check of SQL
 * views holds them against a configuration: each shows what its definition says, there is one for
 * each view, and none of a view that was taken out.
 */
#include "derive/derive_internal.h"

#include <stdio.h>

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

static struct sql_view_cut cut_of(const struct view_stage *stage)
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
                                   cut_of(view->stage), view->paths, view->path_count, view->keys,
                                   view->key_count, error);
}

/* ---- the check ---- */

enum { BODY_LIMIT = 4 << 20 };

struct sql_check {
    struct store_reader *reader;
    const struct view_set *views;
    void (*found)(void *argument, const char *line);
    void *argument;
    size_t defined; /* SQL views of definitions in the configuration */
    struct error *error;
    bool failed;
};

static void report(struct sql_check *check, struct span id, const char *what)
{
    char line[512];
    snprintf(line, sizeof line, "the SQL view of '%.*s' %s", id.length > 260 ? 260 : (int)id.length,
             id.data, what);
    check->found(check->argument, line);
}

static bool print_defined(struct sql_check *check, const struct view *view, uint32_t export_id,
                          struct buffer *body)
{
    const struct view_stage *stage = view->stage;
    int64_t id = 0, built;
    bool found = false;
    if (!stage)
        return sql_view_body(body, export_id, view->paths, view->path_count, view->keys,
                             view->key_count);
    check->failed = !store_read_stage(check->reader, span_of(stage->definition), &id, &built,
                                      &found, check->error);
    return !check->failed && found &&
           sql_view_derived_body(body, id, cut_of(stage), view->paths, view->path_count, view->keys,
                                 view->key_count);
}

/* The text of the SQL view of this id by the configuration; false if it has none. */
static bool print_expected(struct sql_check *check, struct span id, struct buffer *body)
{
    const struct view *view = view_set_find(check->views, id);
    const char *slash = memchr(id.data, '/', id.length);
    bool defined = view && !view_is_standard(view), found = false;
    struct span name = defined ? span_of(view->export_name)
                               : span_make(id.data, slash ? (size_t)(slash - id.data) : 0);
    struct store_export export;
    check->failed = !store_read_export(check->reader, name, &export, &found, check->error);
    if (check->failed || !found)
        return false;
    check->defined += defined;
    return defined ? print_defined(check, view, export.id, body)
                   : sql_view_standard_body(body, id, export.id);
}

static bool check_one(void *argument, struct span id, struct span body)
{
    struct sql_check *check = argument;
    struct buffer expected;
    buffer_init(&expected, BODY_LIMIT);
    bool any = print_expected(check, id, &expected);
    if (expected.failed && !check->failed)
        check->failed = !error_set(check->error, ERROR_MEMORY, "out of memory while checking");
    if (!check->failed && !any)
        report(check, id, "is there, but the configuration has no such view, or it is not built");
    else if (!check->failed && !span_equal(buffer_span(&expected), body))
        report(check, id, "shows something else than the configuration says");
    buffer_fini(&expected);
    return !check->failed;
}

bool check_sql_views(struct store_reader *reader, const struct view_set *views,
                     void (*found)(void *argument, const char *line), void *argument,
                     struct error *error)
{
    struct sql_check check = {reader, views, found, argument, .error = error};
    const struct view *view;
    size_t wanted = 0;
    char line[160];
    if (!store_read_sql_views(reader, check_one, &check, error) || check.failed)
        return false;
    for (size_t i = 0; (view = view_set_at(views, i)); i++)
        wanted += !view_is_standard(view);
    if (check.defined < wanted) {
        snprintf(line, sizeof line,
                 "%zu configured views have no SQL view: no server has run with this configuration",
                 wanted - check.defined);
        found(argument, line);
    }
    return true;
}
