/*
 * Defining the SQL views of a configuration, and dropping those of the one before; their names, and
 * which of them there are: the table sql_view.
 *
 * A SQL view has the id of its view as its name. SQLite takes names that differ by the case of
 * letters alone for one, and keeps those from sqlite_ on for itself. So that nobody asks for one
 * view and gets another, such a view has no SQL view of its id, but one of its id spelt: =, then
 * the id with ^ before each capital letter and each ^. "Quake/list" is "=^Quake/list" then, and
 * "quake/list" "=quake/list". An id that begins with = is always spelt.
 *
 * They are made in the schema by make.c.
 */
#include "sqlview/sqlview_internal.h"

#include <stdlib.h>
#include <strings.h>

enum { NAME_LIMIT = 4096 };

static const char put_sql[] =
    "INSERT INTO sql_view (view, name, body) VALUES (?1, ?2, ?3) ON CONFLICT (view) "
    "DO UPDATE SET name = excluded.name, body = excluded.body";
static const char delete_sql[] = "DELETE FROM sql_view WHERE view = ?";

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for the SQL views");
}

/* ---- names ---- */

static bool must_be_spelt(struct span id)
{
    return (id.length && id.data[0] == '=') ||
           (id.length >= 7 && strncasecmp(id.data, "sqlite_", 7) == 0);
}

static bool add_name(struct buffer *name, struct span id, bool shared)
{
    if (!shared && !must_be_spelt(id)) {
        return buffer_add_span(name, id);
    }
    buffer_add_char(name, '=');
    for (size_t i = 0; i < id.length; i++) {
        if (id.data[i] == '^' || (id.data[i] >= 'A' && id.data[i] <= 'Z')) {
            buffer_add_char(name, '^');
        }
        buffer_add_char(name, id.data[i]);
    }
    return !name->failed;
}

/* ---- SQL views ---- */

/* Note that the SQL view of this id is due in the transaction, by its row in sql_view as it is
 * then; false when out of memory. */
static bool note_due(struct sql_views *views, struct span id)
{
    if (!buffer_add_span(&views->due, id) || !buffer_add_char(&views->due, '\0')) {
        return false;
    }
    views->due_count++;
    return true;
}

/* Its row; the SQL view itself is made with the others of the transaction. */
static bool sql_view_put(struct sql_views *views, struct span id, struct span name,
                         struct span body, struct error *error)
{
    struct query query;
    if (!note_due(views, id)) {
        return out_of_memory(error);
    }
    if (!query_start(&query, views->connection, STATEMENT_VIEW_PUT, put_sql, error)) {
        return false;
    }
    query_text(&query, id);
    query_text(&query, name);
    query_text(&query, body);
    return query_run(&query, error);
}

/* Another view has this id but for case from now on, or no longer. */
static bool rename_view(struct sql_views *views, struct span id, struct span name, struct span body,
                        bool shared, struct error *error)
{
    struct buffer due;
    buffer_init(&due, NAME_LIMIT);
    bool ok = add_name(&due, id, shared) || out_of_memory(error);
    if (ok && !span_equal(buffer_span(&due), name)) {
        ok = sql_view_drop(views, name, error) &&
             sql_view_put(views, id, buffer_span(&due), body, error);
        log_info("store", "sql-view-renamed", log_span("view", id),
                 log_span("name", buffer_span(&due)));
    }
    buffer_fini(&due);
    return ok;
}

/* The next text of such a list; moves *at. */
static struct span next_row(const struct buffer *list, size_t *at)
{
    const char *first = list->data + *at;
    struct span text = span_make(first, strlen(first));
    *at += text.length + 1;
    return text;
}

static bool rename_all(struct sql_views *views, const struct buffer *others, bool shared,
                       struct error *error)
{
    for (size_t at = 0; at < others->length;) {
        struct span id = next_row(others, &at), name = next_row(others, &at);
        if (!rename_view(views, id, name, next_row(others, &at), shared, error)) {
            return false;
        }
    }
    return true;
}

/* ---- defining ---- */

/* `known`: name and body of the SQL view that it has, if any. */
static bool replace(struct sql_views *views, struct span id, struct span body,
                    const struct buffer *known, const struct buffer *others, struct error *error)
{
    size_t at = 0;
    struct span old = {NULL, 0}, old_body = {NULL, 0};
    struct buffer name;
    if (known->length) {
        old = next_row(known, &at);
        old_body = next_row(known, &at);
    }
    buffer_init(&name, NAME_LIMIT);
    bool ok = add_name(&name, id, others->length > 0) || out_of_memory(error);
    bool same = ok && old.data && span_equal(old, buffer_span(&name)) && span_equal(old_body, body);
    if (ok && !same) {
        ok = rename_all(views, others, true, error) &&
             (!old.data || sql_view_drop(views, old, error)) &&
             sql_view_put(views, id, buffer_span(&name), body, error);
    }
    buffer_fini(&name);
    return ok;
}

static bool sql_view_set(struct sql_views *views, struct span id, struct span body,
                         struct error *error)
{
    struct buffer known, others;
    buffer_init(&known, SQL_LIMIT);
    buffer_init(&others, LIST_LIMIT);
    bool ok = sql_view_gather(views, SQL_VIEW_ROW, id, &known, error) &&
              sql_view_gather(views, SQL_VIEW_OTHERS, id, &others, error) &&
              replace(views, id, body, &known, &others, error);
    buffer_fini(&known);
    buffer_fini(&others);
    return ok;
}

/* ---- dropping ---- */

static bool sql_view_remove(struct sql_views *views, struct span id, struct span name,
                            struct error *error)
{
    struct query query;
    struct buffer others;
    if (!sql_view_drop(views, name, error) ||
        !query_start(&query, views->connection, STATEMENT_VIEW_DELETE, delete_sql, error)) {
        return false;
    }
    query_text(&query, id);
    if (!query_run(&query, error)) {
        return false;
    }
    buffer_init(&others, LIST_LIMIT);
    bool ok = sql_view_gather(views, SQL_VIEW_OTHERS, id, &others, error);
    size_t texts = 0;
    for (size_t at = 0; ok && at < others.length; texts++) {
        next_row(&others, &at);
    }
    /* The last of its name needs no other any more. */
    ok = ok && (texts != 3 || rename_all(views, &others, false, error));
    buffer_fini(&others);
    return ok;
}

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
    buffer_add_string(&id, sql_view_standard_names[kind]);
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
        ok = (buffer_add_string(&id, sql_view_standard_names[kind]) ||
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
    struct listed view = {.id = next_row(list, at)};
    view.name = next_row(list, at);
    view.body = next_row(list, at);
    view.export_id = (uint32_t)strtoul(next_row(list, at).data, NULL, 10);
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

/* Views of a former version that are no longer there; the operator's own views stay. */
static bool drop_strays(struct sql_views *views, struct error *error)
{
    struct buffer names;
    buffer_init(&names, LIST_LIMIT);
    bool ok = sql_view_gather(views, SQL_VIEW_STRAY, (struct span){NULL, 0}, &names, error);
    for (size_t at = 0; ok && at < names.length;) {
        struct span name = next_row(&names, &at);
        log_info("store", "sql-view-dropped", log_span("name", name));
        ok = sql_view_drop(views, name, error);
    }
    buffer_fini(&names);
    return ok;
}

/* Views that somebody changed, or dropped, by hand. */
static bool make_anew(struct sql_views *views, struct error *error)
{
    struct buffer changed;
    buffer_init(&changed, LIST_LIMIT);
    bool ok = sql_view_gather(views, SQL_VIEW_UNEQUAL, (struct span){NULL, 0}, &changed, error);
    for (size_t at = 0; ok && at < changed.length;) {
        struct span id = next_row(&changed, &at), name = next_row(&changed, &at);
        struct span body = next_row(&changed, &at);
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
