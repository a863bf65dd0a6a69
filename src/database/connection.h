/*
 * A connection to a database, for the folders whose SQL it runs: prepared statements, one
 * transaction at a time, and SQLite's errors in our terms.
 *
 * Invariants:
 *  1. A statement that lends a row to the caller (connection.lent) is reset before anything else
 *     runs on that connection: an open SELECT would keep the read position and block DDL.
 *  2. Once a statement of a write transaction failed, nothing more is run in it
 *     (connection.broken): SQLite may have rolled back by itself, and what follows would commit one
 *     by one.
 *  3. Tasks that its helper runs (connection_give) are done before another statement begins.
 *  4. A transaction that connection_commit answered with false is not in the file, also after a
 *     crash; where that cannot be brought about, the error is ERROR_OUTCOME_UNKNOWN.
 */
#ifndef DATABASE_CONNECTION_H
#define DATABASE_CONNECTION_H

#include "base/invariant.h"
#include "database/database.h"

#include <sqlite3.h>

/* Each connection has one slot per prepared statement. These are its own; a folder that runs SQL
 * on it numbers its own from DATABASE_STATEMENTS on. The texts stand beside the code that runs
 * them. */
enum database_statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_META_GET,
    STATEMENT_META_PUT,
    STATEMENT_FORMER_PUT,
    DATABASE_STATEMENTS
};

struct connection {
    sqlite3 *sqlite;
    struct database *database; /* NULL: it is of a file that is not open as one */
    const char *path;          /* as the operator named it, for messages; the database's */
    sqlite3_stmt **statements;
    size_t statement_count;
    uint64_t rows;                    /* that its statements gave so far */
    sqlite3_stmt *lent;               /* its present row is borrowed by the caller; NULL: none */
    size_t open_queries;              /* that have given a row, and may give more */
    bool shared;                      /* the helper may be at work */
    bool helper_tried;                /* to start one; it is not tried again */
    struct connection_helper *helper; /* NULL: none */
    enum error_code broken; /* why the open transaction can only be rolled back; ERROR_NONE: fine */
    bool writes;            /* connection_begin has begun a transaction */
    int64_t given_before;   /* the bytes that it had given to the log when that began */
    int64_t largest;        /* the most that one of its transactions gave */
};

enum connection_kind { CONNECTION_MAIN, CONNECTION_WRITER, CONNECTION_READER };

/* Open with the settings of its kind and so many slots. `connection` may be closed also after a
 * failure. The database must outlive it. */
bool connection_open(struct connection *connection, struct database *database,
                     enum connection_kind kind, size_t statements, struct error *error);
void connection_close(struct connection *connection);
/* Run statements without results. */
bool connection_execute(struct connection *connection, const char *sql, struct error *error);
/* One integer that a PRAGMA or SELECT yields. */
bool connection_integer(struct connection *connection, const char *sql, int64_t *value,
                        struct error *error);
/* Rows that the last INSERT, UPDATE or DELETE touched / the rowid of the last INSERT. */
static inline int64_t connection_changes(const struct connection *connection)
{
    INVARIANT(!connection->shared);
    return sqlite3_changes64(connection->sqlite);
}
static inline int64_t connection_inserted(const struct connection *connection)
{
    INVARIANT(!connection->shared);
    return sqlite3_last_insert_rowid(connection->sqlite);
}
/* Turn the connection's last SQLite error into ours, with the file and the remedy; marks the
 * transaction broken. Always returns false. */
bool connection_fail(struct connection *connection, int result, struct error *error);
/* Before SQLite's handle is used: end the loan of the row, and wait for the helper. false: the
 * transaction is broken, by one of its tasks or before. */
bool connection_settle(struct connection *connection, struct error *error);

/* ---- transactions ---- */

/* BEGIN for reading: everything until connection_rollback sees one state; or, where it writes,
 * BEGIN IMMEDIATE. */
bool connection_begin(struct connection *connection, bool writes, struct error *error);
/* Whether a change may be made now: connection_begin to write came, and nothing has failed since.
 */
bool connection_ready(const struct connection *connection, struct error *error);
/* Mark the open transaction as one to roll back; for failures that SQLite does not know of. */
bool connection_break(struct connection *connection, struct error *error);
/* COMMIT the transaction of connection_begin, or roll it back. The newest change before and with
 * it is noted beside the file, which distinguishes copies and logs. */
bool connection_commit(struct connection *connection, int64_t change_before, int64_t change,
                       struct error *error);
/* End the transaction, if one is open, without keeping anything. Cannot fail. */
void connection_rollback(struct connection *connection);

/* ---- a second thread ---- */

/* Statements of the open transaction that need nothing but what the task holds. `run` is called on
 * the helper's thread, with a connection for its statements: false ends the transaction. */
struct connection_task {
    struct connection_task *next;
    bool (*run)(struct connection_task *task, struct connection *connection, struct error *error);
    bool waits; /* given, and not done; connection_wait reads it */
};

/* Run the task on the helper's thread, behind those given before. The task is borrowed until it is
 * done. false: not given, because there is no helper, or a query has rows left; then the caller
 * runs it. */
bool connection_give(struct connection *connection, struct connection_task *task);
/* Wait until the task is done, or failed. */
void connection_wait(struct connection *connection, const struct connection_task *task);

/* ---- statements ---- */

/* One run of a prepared statement. Parameters are bound in their order; the bytes are borrowed
 * and must live until the run ends. query_run or query_row reports a failed bind. */
struct query {
    struct connection *connection;
    sqlite3_stmt *statement;
    int bound;
    int result;
    bool has_row; /* it is one of the connection's open_queries */
};
enum query_step { QUERY_ROW, QUERY_DONE, QUERY_FAILED };

/* Prepare on first use, ready for binding. */
bool query_start(struct query *query, struct connection *connection, size_t which, const char *sql,
                 struct error *error);
void query_integer(struct query *query, int64_t value);
void query_text(struct query *query, struct span text);   /* absent: NULL */
void query_bytes(struct query *query, struct span bytes); /* as a BLOB; absent: NULL */
/* Run to its end; no rows wanted. */
bool query_run(struct query *query, struct error *error);
/* The next row. After QUERY_DONE and QUERY_FAILED the query is over. */
enum query_step query_row(struct query *query, struct error *error);
/* End it early. */
void query_end(struct query *query);
/* End it, but leave the present row readable until the connection is used again. */
void query_lend(struct query *query);
static inline int64_t query_column(const struct query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}
static inline bool query_is_null(const struct query *query, int column)
{
    return sqlite3_column_type(query->statement, column) == SQLITE_NULL;
}
/* Fails (like a step) when SQLite is out of memory for the text. NULL is an absent span. */
struct span query_column_text(const struct query *query, int column);
/* Of a BLOB; an empty one, and NULL, are an empty span. */
struct span query_column_bytes(const struct query *query, int column);

/* ---- what is the same for all ---- */

/* Small values by name, in the table meta. `value` gets a copy. */
bool meta_get(struct connection *connection, const char *name, struct buffer *value, bool *found,
              struct error *error);
bool meta_put(struct connection *connection, const char *name, struct span value,
              struct error *error);
/* *same: there is no such value, or it is this. */
bool meta_says(struct connection *connection, const char *name, const char *text, bool *same,
               struct error *error);
/* Whether the tables, columns, indexes and triggers are those of the migrations. Else
 * ERROR_DATABASE_UNUSABLE, which names one that differs: no commit can succeed any more. A bare
 * ERROR_DATABASE and the like: the schema could not be read. */
bool schema_check(struct connection *connection, struct error *error);

#endif
