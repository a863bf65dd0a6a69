/*
 * The SQL views in the schema: how they are made and dropped.
 *
 * CREATE VIEW looks through the whole schema, so that one costs 3 ms where there are 30,000. What
 * it leaves is one row of sqlite_schema and a raised number of the schema. So of the SQL views of a
 * transaction all but one are written as their rows, each after SQLite has compiled its CREATE
 * VIEW: that it is SQL, and that the name is free. The last is created, which tells every other
 * connection to read the schema anew. A transaction that is rolled back takes all of it back.
 *
 * The views's own connection does not read it anew then: its picture of the schema lacks the rows
 * that were written (schema_behind). It needs them only to drop one of them, and reads the schema
 * before it does. That no two get the same name it knows from the table sql_view.
 */
#include "sqlview/sqlview_internal.h"

#include <stdlib.h>

static const char insert_sql[] = "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) "
                                 "VALUES ('view', ?1, ?1, 0, ?2)";

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for the SQL views");
}

/* ---- dropping ---- */

static bool read_schema(struct sql_views *views, struct error *error)
{
    if (!connection_execute(views->connection, "PRAGMA writable_schema = RESET", error)) {
        return false;
    }
    views->schema_behind = false;
    return true;
}

/* A name of SQL, quoted. */
static void add_identifier(struct buffer *sql, struct span name)
{
    buffer_add_char(sql, '"');
    for (size_t i = 0; i < name.length; i++) {
        buffer_add(sql, name.data[i] == '"' ? "\"\"" : &name.data[i], name.data[i] == '"' ? 2 : 1);
    }
    buffer_add_char(sql, '"');
}

static bool print_drop(struct buffer *sql, struct span name)
{
    buffer_init(sql, SQL_LIMIT);
    buffer_add_string(sql, "DROP VIEW IF EXISTS ");
    add_identifier(sql, name);
    return buffer_string(sql) != NULL;
}

bool sql_view_drop(struct sql_views *views, struct span name, struct error *error)
{
    struct buffer sql;
    if (views->schema_behind && !read_schema(views, error)) {
        return false;
    }
    bool ok = print_drop(&sql, name) ? connection_execute(views->connection, sql.data, error)
                                     : out_of_memory(error);
    buffer_fini(&sql);
    return ok;
}

/* ---- what is due ---- */

void sql_views_forget_due(struct sql_views *views)
{
    views->due_count = 0;
    buffer_clear(&views->due);
}

static int compare_ids(const void *a, const void *b)
{
    const struct span *left = a, *right = b;
    return span_compare(*left, *right);
}

/* In order, and each once. */
static struct span *sort_due(const struct sql_views *views, size_t *count)
{
    struct span *ids = memory_new(views->due_count * sizeof *ids);
    size_t kept = 0;
    if (!ids) {
        return NULL;
    }
    for (size_t i = 0, at = 0; i < views->due_count; i++) {
        ids[i] = span_of(views->due.data + at);
        at += ids[i].length + 1;
    }
    qsort(ids, views->due_count, sizeof *ids, compare_ids);
    for (size_t i = 0; i < views->due_count; i++) {
        if (kept == 0 || !span_equal(ids[kept - 1], ids[i])) {
            ids[kept++] = ids[i];
        }
    }
    *count = kept;
    return ids;
}

/* ---- making ---- */

struct making {
    struct sql_views *views;
    struct buffer row;          /* of the SQL view that is looked at */
    struct buffer name, create; /* the one that was found last to be made; empty: none */
    struct buffer next;
    bool writable;
};

static bool compiles(struct making *making, const char *sql, int *result)
{
    sqlite3_stmt *statement = NULL;
    (void)connection_settle(making->views->connection, NULL); /* a broken one is told next */
    *result = sqlite3_prepare_v2(making->views->connection->sqlite, sql, -1, &statement, NULL);
    sqlite3_finalize(statement);
    return *result == SQLITE_OK;
}

/* Somebody has made a view or a table of the name. The view goes; a table stays, and a check tells
 * that the SQL view is not what it should be. */
static bool make_free(struct making *making, struct span name, bool *free, struct error *error)
{
    struct connection *connection = making->views->connection;
    struct buffer sql;
    bool printed = print_drop(&sql, name);
    int result = printed ? sqlite3_exec(connection->sqlite, sql.data, NULL, NULL, NULL) : 0;
    buffer_fini(&sql);
    *free = result == SQLITE_OK;
    if (!printed) {
        return out_of_memory(error);
    }
    return *free || result == SQLITE_ERROR || connection_fail(connection, result, error);
}

/* Whether the name is taken; else what CREATE VIEW says is about something else. */
static bool is_taken(struct making *making, const char *create, struct error *error)
{
    struct buffer sql;
    int result;
    buffer_init(&sql, SQL_LIMIT);
    buffer_add_string(&sql, "CREATE VIEW IF NOT EXISTS ");
    buffer_add_string(&sql, create + strlen("CREATE VIEW "));
    bool ok = buffer_string(&sql) ? compiles(making, sql.data, &result) ||
                                        connection_fail(making->views->connection, result, error)
                                  : out_of_memory(error);
    buffer_fini(&sql);
    return ok;
}

/* Print and try its CREATE VIEW; *free: it can be made. */
static bool look_at(struct making *making, struct span name, struct span body, bool *free,
                    struct error *error)
{
    struct buffer *sql = &making->next;
    int result;
    buffer_clear(sql);
    buffer_add_string(sql, "CREATE VIEW ");
    add_identifier(sql, name);
    buffer_add_string(sql, " AS\n");
    buffer_add_span(sql, body);
    if (!buffer_string(sql)) {
        return out_of_memory(error);
    }
    *free = compiles(making, sql->data, &result);
    return *free || (is_taken(making, sql->data, error) && make_free(making, name, free, error));
}

static bool make_writable(struct making *making, bool writable, struct error *error)
{
    if (making->writable == writable) {
        return true;
    }
    making->writable = writable;
    return connection_execute(
        making->views->connection,
        writable ? "PRAGMA writable_schema = ON" : "PRAGMA writable_schema = OFF", error);
}

static bool write_row(struct making *making, struct error *error)
{
    struct query query;
    if (!make_writable(making, true, error) ||
        !query_start(&query, making->views->connection, STATEMENT_SCHEMA_INSERT, insert_sql,
                     error)) {
        return false;
    }
    making->views->schema_behind = true;
    query_text(&query, buffer_span(&making->name));
    query_text(&query, span_of(making->create.data));
    return query_run(&query, error);
}

/* The one found before is not the last, then. */
static bool take(struct making *making, struct span name, struct error *error)
{
    if (making->create.length && !write_row(making, error)) {
        return false;
    }
    buffer_clear(&making->name);
    buffer_clear(&making->create);
    return (buffer_add_span(&making->name, name) &&
            buffer_add_span(&making->create, buffer_span(&making->next)) &&
            buffer_string(&making->create)) ||
           out_of_memory(error);
}

/* If it is still wanted. */
static bool make_one(struct making *making, struct span id, struct error *error)
{
    bool free = false;
    buffer_clear(&making->row);
    if (!sql_view_gather(making->views, SQL_VIEW_ROW, id, &making->row, error)) {
        return false;
    }
    if (!making->row.length) {
        return true;
    }
    struct span name = span_of(making->row.data);
    struct span body = span_of(making->row.data + name.length + 1);
    return look_at(making, name, body, &free, error) && (!free || take(making, name, error));
}

static bool make_all(struct sql_views *views, const struct span *ids, size_t count,
                     struct error *error)
{
    struct making making = {.views = views};
    buffer_init(&making.row, SQL_LIMIT);
    buffer_init(&making.name, SQL_LIMIT);
    buffer_init(&making.create, SQL_LIMIT);
    buffer_init(&making.next, SQL_LIMIT);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        ok = make_one(&making, ids[i], error);
    }
    ok = make_writable(&making, false, ok ? error : NULL) && ok;
    ok = ok && (!making.create.length ||
                connection_execute(views->connection, making.create.data, error));
    buffer_fini(&making.row);
    buffer_fini(&making.name);
    buffer_fini(&making.create);
    buffer_fini(&making.next);
    return ok;
}

bool sql_views_make_due(struct sql_views *views, struct error *error)
{
    size_t count = 0;
    if (!views->due_count) {
        return true;
    }
    struct span *ids = sort_due(views, &count);
    bool ok = ids ? make_all(views, ids, count, error) : out_of_memory(error);
    memory_free(ids);
    sql_views_forget_due(views);
    return ok || connection_break(views->connection, error);
}
