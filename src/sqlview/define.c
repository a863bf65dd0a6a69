/* Defining the SQL views of a configuration, and dropping those of the one before. */
#include "sqlview/sqlview_internal.h"

#include <stdlib.h>

/* ---- defining ---- */

static bool define(struct sql_views *views, struct span id, struct buffer *sql, struct error *error)
{
    bool ok = sql->failed ? error_set(error, ERROR_MEMORY, "no memory for the SQL view of %.*s",
                                      (int)id.length, id.data)
                          : sql_view_set(views, id, buffer_span(sql), error);
    return ok || connection_break(views->connection, error);
}

static bool set_standard(struct sql_views *views, struct span export_name, int kind,
                         uint32_t export_id, struct error *error)
{
    struct buffer id, sql;
    buffer_init(&id, SQL_LIMIT);
    buffer_init(&sql, SQL_LIMIT);
    buffer_add_span(&id, export_name);
    buffer_add_char(&id, '/');
    buffer_add_string(&id, sql_view_standard_name(kind));
    sql_view_standard_text(&sql, kind, export_id);
    sql.failed = sql.failed || id.failed;
    bool ok = define(views, buffer_span(&id), &sql, error);
    buffer_fini(&id);
    buffer_fini(&sql);
    return ok;
}

static bool is_known(struct sql_views *views, struct span id, bool *known, struct error *error)
{
    struct buffer found;
    buffer_init(&found, SQL_LIMIT);
    bool ok = sql_view_gather(views, SQL_VIEW_ROW, id, &found, error);
    *known = found.length > 0;
    buffer_fini(&found);
    return ok;
}

bool sql_views_add_standard(struct sql_views *views, struct span name, uint32_t export_id,
                            struct error *error)
{
    struct buffer id;
    bool ok = true;
    buffer_init(&id, SQL_LIMIT);
    for (int kind = 0; ok && kind < SQL_VIEW_STANDARD; kind++) {
        bool known = false;
        buffer_clear(&id);
        buffer_add_span(&id, name);
        buffer_add_char(&id, '/');
        ok = (buffer_add_string(&id, sql_view_standard_name(kind)) ||
              error_set(error, ERROR_MEMORY, "no memory for a SQL view")) &&
             is_known(views, buffer_span(&id), &known, error) &&
             (known || set_standard(views, name, kind, export_id, error));
    }
    buffer_fini(&id);
    return ok || connection_break(views->connection, error);
}

bool sql_view_define(struct sql_views *views, struct span id, uint32_t export_id,
                     const struct span *paths, size_t path_count, const struct span *keys,
                     size_t key_count, struct error *error)
{
    struct buffer sql;
    if (!connection_ready(views->connection, error)) {
        return false;
    }
    buffer_init(&sql, SQL_LIMIT);
    sql.failed |= !sql_view_body(&sql, export_id, paths, path_count, keys, key_count);
    bool ok = define(views, id, &sql, error);
    buffer_fini(&sql);
    return ok;
}

bool sql_view_define_derived(struct sql_views *views, struct span id, int64_t stage,
                             struct sql_view_cut cut, const struct span *paths, size_t path_count,
                             const struct span *keys, size_t key_count, struct error *error)
{
    struct buffer sql;
    if (!connection_ready(views->connection, error)) {
        return false;
    }
    buffer_init(&sql, SQL_LIMIT);
    sql.failed |= !sql_view_derived_body(&sql, stage, cut, paths, path_count, keys, key_count);
    bool ok = define(views, id, &sql, error);
    buffer_fini(&sql);
    return ok;
}

/* ---- dropping the others ---- */

static int compare_ids(const void *a, const void *b)
{
    const struct span *left = a, *right = b;
    return span_compare(*left, *right);
}

/* `ids` are sorted. */
static bool is_among(struct span id, const struct span *ids, size_t count)
{
    return count && bsearch(&id, ids, count, sizeof *ids, compare_ids);
}

/* A SQL view of ours, as it was listed. */
struct listed {
    struct span id, name, body;
    uint32_t export_id; /* 0: of no export that there is */
};

static struct listed next_listed(const struct buffer *list, size_t *at)
{
    struct listed view = {.id = sql_view_next(list, at)};
    view.name = sql_view_next(list, at);
    view.body = sql_view_next(list, at);
    view.export_id = (uint32_t)strtoul(sql_view_next(list, at).data, NULL, 10);
    return view;
}

static bool is_standard(const struct listed *view)
{
    struct buffer body;
    buffer_init(&body, SQL_LIMIT);
    bool standard = sql_view_standard_body(&body, view->id, view->export_id) && !body.failed &&
                    span_equal(buffer_span(&body), view->body);
    buffer_fini(&body);
    return standard;
}

/* Drop it, or make it the standard view again whose name it has. */
static bool retire(struct sql_views *views, const struct listed *view, struct error *error)
{
    int kind = view->export_id ? sql_view_standard(view->id) : -1;
    if (kind < 0) {
        return sql_view_remove(views, view->id, view->name, error);
    }
    const char *slash = memchr(view->id.data, '/', view->id.length);
    return is_standard(view) ||
           set_standard(views, span_make(view->id.data, (size_t)(slash - view->id.data)), kind,
                        view->export_id, error);
}

static bool retire_others(struct sql_views *views, const struct span *ids, size_t count,
                          struct error *error)
{
    struct buffer all;
    buffer_init(&all, LIST_LIMIT);
    bool ok = sql_view_gather(views, SQL_VIEW_ALL, (struct span){NULL, 0}, &all, error);
    for (size_t at = 0; ok && at < all.length;) {
        struct listed view = next_listed(&all, &at);
        ok = is_among(view.id, ids, count) || retire(views, &view, error);
    }
    buffer_fini(&all);
    return ok;
}

/* What a former version made, of views that are no longer; the operator's own views stay. */
static bool drop_strays(struct sql_views *views, struct error *error)
{
    struct buffer names;
    buffer_init(&names, LIST_LIMIT);
    bool ok = sql_view_gather(views, SQL_VIEW_STRAY, (struct span){NULL, 0}, &names, error);
    for (size_t at = 0; ok && at < names.length;) {
        struct span name = sql_view_next(&names, &at);
        log_info("store", "sql-view-dropped", log_span("name", name));
        ok = sql_view_drop(views, name, error);
    }
    buffer_fini(&names);
    return ok;
}

/* What somebody changed, or dropped, by hand. */
static bool make_anew(struct sql_views *views, struct error *error)
{
    struct buffer changed;
    buffer_init(&changed, LIST_LIMIT);
    bool ok = sql_view_gather(views, SQL_VIEW_UNEQUAL, (struct span){NULL, 0}, &changed, error);
    for (size_t at = 0; ok && at < changed.length;) {
        struct span id = sql_view_next(&changed, &at), name = sql_view_next(&changed, &at);
        struct span body = sql_view_next(&changed, &at);
        ok = sql_view_drop(views, name, error) && sql_view_put(views, id, name, body, error);
    }
    buffer_fini(&changed);
    return ok;
}

bool sql_views_drop_others(struct sql_views *views, struct span *ids, size_t count,
                           struct error *error)
{
    if (count) {
        qsort(ids, count, sizeof *ids, compare_ids);
    }
    return connection_ready(views->connection, error) &&
           ((retire_others(views, ids, count, error) && sql_views_make_due(views, error) &&
             drop_strays(views, error) && make_anew(views, error)) ||
            connection_break(views->connection, error));
}
