/*
 * The names of SQL views, and which of them there are: the table sql_view.
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

/* Its row; the SQL view itself is made with the others of the transaction. */
bool sql_view_put(struct sql_views *views, struct span id, struct span name, struct span body,
                  struct error *error)
{
    struct query query;
    if (!sql_view_is_due(views, id)) {
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

static bool rename_all(struct sql_views *views, const struct buffer *others, bool shared,
                       struct error *error)
{
    for (size_t at = 0; at < others->length;) {
        struct span id = sql_view_next(others, &at), name = sql_view_next(others, &at);
        if (!rename_view(views, id, name, sql_view_next(others, &at), shared, error)) {
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
        old = sql_view_next(known, &at);
        old_body = sql_view_next(known, &at);
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

bool sql_view_set(struct sql_views *views, struct span id, struct span body, struct error *error)
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

bool sql_view_remove(struct sql_views *views, struct span id, struct span name, struct error *error)
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
        sql_view_next(&others, &at);
    }
    /* The last of its name needs no other any more. */
    ok = ok && (texts != 3 || rename_all(views, &others, false, error));
    buffer_fini(&others);
    return ok;
}
