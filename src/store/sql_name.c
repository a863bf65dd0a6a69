/*
 * The names of SQL views, and which of them there are: the table sql_view.
 *
 * A SQL view has the id of its view as its name. SQLite takes names that differ by the case of
 * letters alone for one, and keeps those from sqlite_ on for itself. So that nobody asks for one
 * view and gets another, such a view has no SQL view of its id, but one of its id spelt: =, then
 * the id with ^ before each capital letter and each ^. "Quake/list" is "=^Quake/list" then, and
 * "quake/list" "=quake/list". An id that begins with = is always spelt.
 *
 * They are made in the schema by sql_make.c.
 *
 * Invariants, at the end of a transaction of the start:
 *  1. Each row of sql_view has its SQL view, made of exactly its body, and no other SQL view in the
 *     file was made here. Other SQL views are the operator's: nothing here touches them.
 *  2. A SQL view has its plain id as its name only if no other id is the same but for case.
 */
#include "store/store_internal.h"

#include <stdlib.h>
#include <strings.h>

enum { NAME_LIMIT = 4096, SQL_LIMIT = 4 << 20, LIST_LIMIT = 256 << 20 };

#define TEXT_OF_VIEW                                                                               \
    "'CREATE VIEW \"' || replace(v.name, '\"', '\"\"') || '\" AS' || char(10) || v.body"

static const char find_sql[] = "SELECT name, body FROM sql_view WHERE view = ?";
static const char others_sql[] =
    "SELECT view, name, body FROM sql_view WHERE view = ?1 COLLATE NOCASE AND view <> ?1";
static const char put_sql[] =
    "INSERT INTO sql_view (view, name, body) VALUES (?1, ?2, ?3) ON CONFLICT (view) "
    "DO UPDATE SET name = excluded.name, body = excluded.body";
static const char delete_sql[] = "DELETE FROM sql_view WHERE view = ?";
static const char all_sql[] =
    "SELECT v.view, v.name, v.body, coalesce(e.id, '') FROM sql_view AS v LEFT JOIN export AS e "
    "ON e.name = substr(v.view, 1, instr(v.view, '/') - 1)";
static const char stray_sql[] = "SELECT name " SQL_VIEW_STRAYS;
static const char unequal_sql[] =
    "SELECT v.view, v.name, v.body FROM sql_view AS v LEFT JOIN sqlite_schema AS s "
    "ON s.type = 'view' AND s.name = v.name WHERE s.sql IS NOT " TEXT_OF_VIEW;

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for the SQL views");
}

/* ---- rows, gathered before anything is changed: texts, each ended by a NUL ---- */

static bool gather(struct query *query, int columns, struct buffer *out, struct error *error)
{
    enum query_step step;
    while ((step = query_row(query, error)) == QUERY_ROW) {
        for (int i = 0; i < columns; i++) {
            struct span text = query_column_text(query, i);
            if (!text.data || !buffer_add(out, text.data, text.length + 1)) {
                query_end(query);
                return out_of_memory(error);
            }
        }
    }
    return step == QUERY_DONE;
}

static bool list(struct store_writer *writer, enum statement statement, const char *sql,
                 int columns, struct buffer *out, struct error *error)
{
    struct query query;
    return query_start(&query, &writer->connection, statement, sql, error) &&
           gather(&query, columns, out, error);
}

static bool list_of(struct store_writer *writer, enum statement statement, const char *sql,
                    int columns, struct span id, struct buffer *out, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, statement, sql, error)) {
        return false;
    }
    query_text(&query, id);
    return gather(&query, columns, out, error);
}

/* The next text of such a list; moves *at. */
static struct span next_text(const struct buffer *list, size_t *at)
{
    const char *first = list->data + *at;
    struct span text = span_make(first, strlen(first));
    *at += text.length + 1;
    return text;
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
static bool create(struct store_writer *writer, struct span id, struct span name, struct span body,
                   struct error *error)
{
    struct query query;
    if (!sql_view_is_due(writer, id)) {
        return out_of_memory(error);
    }
    if (!query_start(&query, &writer->connection, STATEMENT_VIEW_PUT, put_sql, error)) {
        return false;
    }
    query_text(&query, id);
    query_text(&query, name);
    query_text(&query, body);
    return query_run(&query, error);
}

/* Another view has this id but for case from now on, or no longer. */
static bool rename_view(struct store_writer *writer, struct span id, struct span name,
                        struct span body, bool shared, struct error *error)
{
    struct buffer due;
    buffer_init(&due, NAME_LIMIT);
    bool ok = add_name(&due, id, shared) || out_of_memory(error);
    if (ok && !span_equal(buffer_span(&due), name)) {
        ok = sql_view_drop(writer, name, error) &&
             create(writer, id, buffer_span(&due), body, error);
        log_info("store", "sql-view-renamed", log_span("view", id),
                 log_span("name", buffer_span(&due)));
    }
    buffer_fini(&due);
    return ok;
}

static bool rename_all(struct store_writer *writer, const struct buffer *others, bool shared,
                       struct error *error)
{
    for (size_t at = 0; at < others->length;) {
        struct span id = next_text(others, &at), name = next_text(others, &at);
        if (!rename_view(writer, id, name, next_text(others, &at), shared, error)) {
            return false;
        }
    }
    return true;
}

/* ---- defining ---- */

/* `known`: name and body of the SQL view that it has, if any. */
static bool replace(struct store_writer *writer, struct span id, struct span body,
                    const struct buffer *known, const struct buffer *others, struct error *error)
{
    size_t at = 0;
    struct span old = {NULL, 0}, old_body = {NULL, 0};
    struct buffer name;
    if (known->length) {
        old = next_text(known, &at);
        old_body = next_text(known, &at);
    }
    buffer_init(&name, NAME_LIMIT);
    bool ok = add_name(&name, id, others->length > 0) || out_of_memory(error);
    bool same = ok && old.data && span_equal(old, buffer_span(&name)) && span_equal(old_body, body);
    if (ok && !same) {
        ok = rename_all(writer, others, true, error) &&
             (!old.data || sql_view_drop(writer, old, error)) &&
             create(writer, id, buffer_span(&name), body, error);
    }
    buffer_fini(&name);
    return ok;
}

bool sql_view_set(struct store_writer *writer, struct span id, struct span body,
                  struct error *error)
{
    struct buffer known, others;
    buffer_init(&known, SQL_LIMIT);
    buffer_init(&others, LIST_LIMIT);
    bool ok = list_of(writer, STATEMENT_VIEW_FIND, find_sql, 2, id, &known, error) &&
              list_of(writer, STATEMENT_VIEW_OTHERS, others_sql, 3, id, &others, error) &&
              replace(writer, id, body, &known, &others, error);
    buffer_fini(&known);
    buffer_fini(&others);
    return ok;
}

bool sql_view_row(struct store_writer *writer, struct span id, struct buffer *row,
                  struct error *error)
{
    return list_of(writer, STATEMENT_VIEW_FIND, find_sql, 2, id, row, error);
}

bool sql_view_is_known(struct store_writer *writer, struct span id, bool *known,
                       struct error *error)
{
    struct buffer found;
    buffer_init(&found, SQL_LIMIT);
    bool ok = list_of(writer, STATEMENT_VIEW_FIND, find_sql, 2, id, &found, error);
    *known = found.length > 0;
    buffer_fini(&found);
    return ok;
}

/* ---- dropping ---- */

static bool remove_view(struct store_writer *writer, struct span id, struct span name,
                        struct error *error)
{
    struct query query;
    struct buffer others;
    if (!sql_view_drop(writer, name, error) ||
        !query_start(&query, &writer->connection, STATEMENT_VIEW_DELETE, delete_sql, error)) {
        return false;
    }
    query_text(&query, id);
    if (!query_run(&query, error)) {
        return false;
    }
    buffer_init(&others, LIST_LIMIT);
    bool ok = list_of(writer, STATEMENT_VIEW_OTHERS, others_sql, 3, id, &others, error);
    size_t texts = 0;
    for (size_t at = 0; ok && at < others.length; texts++) {
        next_text(&others, &at);
    }
    /* The last of its name needs no other any more. */
    ok = ok && (texts != 3 || rename_all(writer, &others, false, error));
    buffer_fini(&others);
    return ok;
}

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
    struct listed view = {.id = next_text(list, at)};
    view.name = next_text(list, at);
    view.body = next_text(list, at);
    view.export_id = (uint32_t)strtoul(next_text(list, at).data, NULL, 10);
    return view;
}

static bool is_standard(const struct listed *view)
{
    struct buffer body;
    buffer_init(&body, SQL_LIMIT);
    bool standard = store_standard_view_sql(&body, view->id, view->export_id) && !body.failed &&
                    span_equal(buffer_span(&body), view->body);
    buffer_fini(&body);
    return standard;
}

/* Drop it, or make it the standard view again whose name it has. */
static bool retire(struct store_writer *writer, const struct listed *view, struct error *error)
{
    int kind = view->export_id ? sql_view_standard(view->id) : -1;
    if (kind < 0) {
        return remove_view(writer, view->id, view->name, error);
    }
    const char *slash = memchr(view->id.data, '/', view->id.length);
    return is_standard(view) ||
           sql_view_set_standard(writer, span_make(view->id.data, (size_t)(slash - view->id.data)),
                                 kind, view->export_id, error);
}

static bool retire_others(struct store_writer *writer, const struct span *ids, size_t count,
                          struct error *error)
{
    struct buffer all;
    buffer_init(&all, LIST_LIMIT);
    bool ok = list(writer, STATEMENT_VIEW_ALL, all_sql, 4, &all, error);
    for (size_t at = 0; ok && at < all.length;) {
        struct listed view = next_listed(&all, &at);
        ok = is_among(view.id, ids, count) || retire(writer, &view, error);
    }
    buffer_fini(&all);
    return ok;
}

/* What a former version made, of views that are no longer; the operator's own views stay. */
static bool drop_strays(struct store_writer *writer, struct error *error)
{
    struct buffer names;
    buffer_init(&names, LIST_LIMIT);
    bool ok = list(writer, STATEMENT_VIEW_STRAY, stray_sql, 1, &names, error);
    for (size_t at = 0; ok && at < names.length;) {
        struct span name = next_text(&names, &at);
        log_info("store", "sql-view-dropped", log_span("name", name));
        ok = sql_view_drop(writer, name, error);
    }
    buffer_fini(&names);
    return ok;
}

/* What somebody changed, or dropped, by hand. */
static bool make_anew(struct store_writer *writer, struct error *error)
{
    struct buffer views;
    buffer_init(&views, LIST_LIMIT);
    bool ok = list(writer, STATEMENT_VIEW_UNEQUAL, unequal_sql, 3, &views, error);
    for (size_t at = 0; ok && at < views.length;) {
        struct span id = next_text(&views, &at), name = next_text(&views, &at);
        struct span body = next_text(&views, &at);
        ok = sql_view_drop(writer, name, error) && create(writer, id, name, body, error);
    }
    buffer_fini(&views);
    return ok;
}

bool store_view_drop_others(struct store_writer *writer, struct span *ids, size_t count,
                            struct error *error)
{
    if (count) {
        qsort(ids, count, sizeof *ids, compare_ids);
    }
    return writer_ready(writer, error) &&
           ((retire_others(writer, ids, count, error) && sql_views_make_due(writer, error) &&
             drop_strays(writer, error) && make_anew(writer, error)) ||
            writer_break(writer, error));
}
