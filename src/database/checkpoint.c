/*
 * Moving the write-ahead log into the database file, from a connection of its own beside the
 * writer, and giving its room back.
 */
#include "database/database_internal.h"

#include <limits.h>
#include <sys/stat.h>

struct database_checkpointer {
    struct database *database;
    struct connection connection;
    uint32_t pages;
};

struct database_checkpointer *database_checkpointer_open(struct database *database, uint32_t pages,
                                                         struct error *error)
{
    struct database_checkpointer *checkpointer = memory_new(sizeof *checkpointer);
    if (!checkpointer) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    checkpointer->database = database;
    checkpointer->pages = pages;
    if (!connection_open(&checkpointer->connection, database, CONNECTION_MAIN, DATABASE_STATEMENTS,
                         error)) {
        database_checkpointer_close(checkpointer);
        return NULL;
    }
    return checkpointer;
}

void database_checkpointer_close(struct database_checkpointer *checkpointer)
{
    if (checkpointer) {
        connection_close(&checkpointer->connection);
        memory_free(checkpointer);
    }
}

static uint32_t pages_in(const struct database *database)
{
    return atomic_load_explicit(&database->wal_pages, memory_order_relaxed);
}

bool database_checkpoint_due(const struct database_checkpointer *checkpointer)
{
    return pages_in(checkpointer->database) > checkpointer->pages;
}

/* The result of SQLite's checkpoint of that kind; SQLITE_BUSY: somebody has it in use. */
static int run(struct database_checkpointer *checkpointer, int kind, int *in_wal, int *moved)
{
    return sqlite3_wal_checkpoint_v2(checkpointer->connection.sqlite, "main", kind, in_wal, moved);
}

/*
 * PASSIVE never makes the writer or a reader wait. When it has moved everything, the next commit
 * starts the WAL from its beginning, which is all that keeps the WAL short.
 */
bool database_checkpoint(struct database_checkpointer *checkpointer, bool anyhow, uint32_t *left,
                         struct error *error)
{
    struct database *database = checkpointer->database;
    uint32_t pages = pages_in(database);
    int in_wal = 0, moved = 0;
    *left = 0;
    if (!anyhow && pages <= checkpointer->pages) {
        return true;
    }
    int result = run(checkpointer, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &moved);
    if (result == SQLITE_BUSY) {
        return true; /* somebody else checkpoints: the next call looks again */
    }
    if (result != SQLITE_OK) {
        return connection_fail(&checkpointer->connection, result, error);
    }
    /* All moved: nothing to do until the next commit tells a new length. Only if none did in the
     * meantime. */
    if (in_wal == moved) {
        atomic_compare_exchange_strong(&database->wal_pages, &pages, 0);
    }
    pages = pages_in(database);
    *left = pages > (uint32_t)moved ? pages - (uint32_t)moved : 0;
    return true;
}

bool database_wal_give_back(struct database_checkpointer *checkpointer, int wait_ms, bool *done,
                            struct error *error)
{
    struct connection *connection = &checkpointer->connection;
    int in_wal = 0, moved = 0;
    *done = false;
    int result = sqlite3_busy_timeout(connection->sqlite, wait_ms);
    if (result == SQLITE_OK) {
        result = run(checkpointer, SQLITE_CHECKPOINT_TRUNCATE, &in_wal, &moved);
    }
    if (result == SQLITE_BUSY) {
        return true;
    }
    if (result != SQLITE_OK) {
        return connection_fail(connection, result, error);
    }
    atomic_store_explicit(&checkpointer->database->wal_pages, 0, memory_order_relaxed);
    *done = true;
    return true;
}

int64_t database_wal_bytes(const struct database *database)
{
    char name[2 * PATH_MAX];
    struct stat status;
    snprintf(name, sizeof name, "%s-wal", database->file);
    return stat(name, &status) == 0 ? (int64_t)status.st_size : 0;
}
