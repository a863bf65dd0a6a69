/*
 * What a connection and the twin of its helper have each: the loan of a row, their statements, and
 * whether their transaction is broken. It needs no other file of a connection.
 */
#include "database/database_internal.h"

void connection_take_row(struct connection *connection)
{
    if (connection->lent) {
        /* Its result only repeats what the last step said. */
        (void)sqlite3_reset(connection->lent);
        connection->lent = NULL;
    }
}

void statements_free(struct connection *connection)
{
    connection->lent = NULL;
    for (size_t i = 0; i < connection->statement_count; i++) {
        (void)sqlite3_finalize(connection->statements[i]);
    }
    memory_free(connection->statements);
    connection->statements = NULL;
    connection->statement_count = 0;
}

bool connection_ready(const struct connection *connection, struct error *error)
{
    if (!connection->writes) {
        return error_set(error, ERROR_INTERNAL, "a change to %s outside of a transaction",
                         connection->path);
    }
    if (connection->broken != ERROR_NONE) {
        return error_set(error, connection->broken,
                         "an earlier step of this transaction on %s failed: it can only be rolled "
                         "back",
                         connection->path);
    }
    return true;
}

bool connection_break(struct connection *connection, struct error *error)
{
    if (connection->broken == ERROR_NONE) {
        connection->broken = error ? error->code : ERROR_INTERNAL;
    }
    return false;
}
