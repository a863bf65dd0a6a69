/*
 * The transactions of a connection. A COMMIT can fail after all of it was written; then nothing of
 * it may be found after a crash, so what was written is taken back (wal_file.c).
 */
#include "database/database_internal.h"

static bool begin(struct connection *connection, const char *sql, struct error *error)
{
    struct query query;
    return query_start(&query, connection, STATEMENT_BEGIN, sql, error) && query_run(&query, error);
}

bool connection_begin(struct connection *connection, bool writes, struct error *error)
{
    if (!writes) {
        return begin(connection, "BEGIN", error);
    }
    if (connection->writes) {
        return error_set(error, ERROR_INTERNAL, "a transaction on %s is open already",
                         connection->path);
    }
    connection->broken = ERROR_NONE;
    if (!begin(connection, "BEGIN IMMEDIATE", error)) {
        return false;
    }
    connection->writes = true;
    connection->given_before = wal_file_state(connection->sqlite).given;
    return true;
}

/* The bytes that the transaction gave to the write-ahead log, whether or not they could be
 * written. */
static void note_size(struct connection *connection)
{
    int64_t given = wal_file_state(connection->sqlite).given - connection->given_before;
    if (given > connection->largest) {
        connection->largest = given;
    }
}

void connection_rollback(struct connection *connection)
{
    (void)connection_settle(connection, NULL); /* what failed goes with the rest */
    if (connection->writes) {
        note_size(connection);
        connection->writes = false;
    }
    /* SQLite may have rolled back by itself. */
    if (sqlite3_get_autocommit(connection->sqlite)) {
        return;
    }
    sqlite3_stmt *rollback = connection->statements[STATEMENT_ROLLBACK];
    /* Its error is one of before; the transaction is gone in any case. */
    (void)sqlite3_step(rollback);
    (void)sqlite3_reset(rollback);
}

static bool run_commit(struct connection *connection, struct error *error)
{
    struct query query;
    INVARIANT(!connection->open_queries);
    if (!connection_settle(connection, error)) {
        return false;
    }
    wal_file_expect(connection->sqlite);
    return query_start(&query, connection, STATEMENT_COMMIT, "COMMIT", error) &&
           query_run(&query, error);
}

/* A COMMIT failed, maybe when all of it was written. Nothing may be found of it after a crash. */
static bool undo_commit(struct connection *connection, struct error *error)
{
    char cause[ERROR_MESSAGE_SIZE];
    connection_rollback(connection);
    if (wal_file_take_back(connection->sqlite)) {
        return false;
    }
    snprintf(cause, sizeof cause, "%s", error ? error->message : "");
    return error_set(error, ERROR_OUTCOME_UNKNOWN,
                     "%.400s; the transaction was written and cannot be taken back: after a crash "
                     "or power cut now it may be there",
                     cause);
}

bool connection_commit(struct connection *connection, int64_t change_before, int64_t change,
                       struct error *error)
{
    if (!run_commit(connection, error)) {
        return undo_commit(connection, error);
    }
    connection->writes = false;
    note_size(connection);
    wal_base_note(connection->database, connection->sqlite, change_before);
    if (change != change_before) {
        lock_write_mark(connection->database, change);
    }
    return true;
}
