/* Prepared statements of a connection: one slot each, prepared when it is first used. */
#include "base/invariant.h"
#include "database/database_internal.h"

bool query_start(struct query *query, struct connection *connection, size_t which, const char *sql,
                 struct error *error)
{
    INVARIANT(which < connection->statement_count);
    if (!connection_settle(connection, error)) {
        return false;
    }
    *query = (struct query){.connection = connection};
    sqlite3_stmt **slot = &connection->statements[which];
    if (!*slot) {
        int result =
            sqlite3_prepare_v3(connection->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
        if (result != SQLITE_OK) {
            return connection_fail(connection, result, error);
        }
    }
    query->statement = *slot;
    return true;
}

void query_integer(struct query *query, int64_t value)
{
    int result = sqlite3_bind_int64(query->statement, ++query->bound, value);
    if (result != SQLITE_OK) {
        query->result = result;
    }
}

void query_text(struct query *query, struct span text)
{
    int parameter = ++query->bound;
    int result = text.data ? sqlite3_bind_text64(query->statement, parameter, text.data,
                                                 text.length, SQLITE_STATIC, SQLITE_UTF8)
                           : sqlite3_bind_null(query->statement, parameter);
    if (result != SQLITE_OK) {
        query->result = result;
    }
}

void query_bytes(struct query *query, struct span bytes)
{
    int parameter = ++query->bound;
    int result = bytes.data ? sqlite3_bind_blob64(query->statement, parameter, bytes.data,
                                                  bytes.length, SQLITE_STATIC)
                            : sqlite3_bind_null(query->statement, parameter);
    if (result != SQLITE_OK) {
        query->result = result;
    }
}

/* A query with a row keeps its connection for the owner. */
static void keep_connection(struct query *query)
{
    if (!query->has_row) {
        query->has_row = true;
        query->connection->open_queries++;
    }
}

static void release_connection(struct query *query)
{
    if (query->has_row) {
        query->has_row = false;
        INVARIANT(query->connection->open_queries);
        query->connection->open_queries--;
    }
}

enum query_step query_row(struct query *query, struct error *error)
{
    INVARIANT(!query->connection->shared);
    if (query->result == SQLITE_OK) {
        query->result = sqlite3_step(query->statement);
        if (query->result == SQLITE_ROW) {
            query->result = SQLITE_OK;
            query->connection->rows++;
            keep_connection(query);
            return QUERY_ROW;
        }
    }
    int result = query->result;
    if (result != SQLITE_DONE) {
        connection_fail(query->connection, result, error);
    }
    query_end(query);
    return result == SQLITE_DONE ? QUERY_DONE : QUERY_FAILED;
}

bool query_run(struct query *query, struct error *error)
{
    enum query_step step = query_row(query, error);
    if (step == QUERY_ROW) {
        query_end(query);
    }
    return step != QUERY_FAILED;
}

void query_lend(struct query *query)
{
    release_connection(query);
    query->connection->lent = query->statement;
}

void query_end(struct query *query)
{
    release_connection(query);
    /* Its result only repeats what the last step said. */
    (void)sqlite3_reset(query->statement);
}

struct span query_column_text(const struct query *query, int column)
{
    const char *text = (const char *)sqlite3_column_text(query->statement, column);
    return span_make(text, (size_t)sqlite3_column_bytes(query->statement, column));
}

struct span query_column_bytes(const struct query *query, int column)
{
    const char *bytes = sqlite3_column_blob(query->statement, column);
    return span_make(bytes ? bytes : "",
                     bytes ? (size_t)sqlite3_column_bytes(query->statement, column) : 0);
}
