/* Moving the WAL into the database file, from a connection of its own beside the writer. */
#include "store/store_internal.h"

#include <limits.h>
#include <sys/stat.h>

struct store_checkpointer {
    struct store *store;
    struct connection connection;
    uint32_t pages;
};

struct store_checkpointer *store_checkpointer_open(struct store *store, uint32_t pages,
                                                   struct error *error)
{
    struct store_checkpointer *checkpointer = memory_new(sizeof *checkpointer);
    if (!checkpointer) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    checkpointer->store = store;
    checkpointer->pages = pages;
    if (!connection_open(&checkpointer->connection, store, CONNECTION_MAIN, error)) {
        store_checkpointer_close(checkpointer);
        return NULL;
    }
    return checkpointer;
}

void store_checkpointer_close(struct store_checkpointer *checkpointer)
{
    if (checkpointer) {
        connection_close(&checkpointer->connection);
        memory_free(checkpointer);
    }
}

bool store_checkpoint_due(const struct store_checkpointer *checkpointer)
{
    return atomic_load_explicit(&checkpointer->store->wal_pages, memory_order_relaxed) >
           checkpointer->pages;
}

/*
 * PASSIVE never makes the writer or a reader wait. When it has moved everything, the next commit
 * starts the WAL from its beginning, which is all that keeps the WAL short.
 */
bool store_checkpoint(struct store_checkpointer *checkpointer, uint32_t *left, struct error *error)
{
    struct store *store = checkpointer->store;
    uint32_t pages = atomic_load_explicit(&store->wal_pages, memory_order_relaxed);
    *left = 0;
    if (pages <= checkpointer->pages) {
        return true;
    }
    int in_wal = 0, moved = 0;
    int result = sqlite3_wal_checkpoint_v2(checkpointer->connection.database, "main",
                                           SQLITE_CHECKPOINT_PASSIVE, &in_wal, &moved);
    if (result == SQLITE_BUSY) {
        return true; /* somebody else checkpoints: the next call looks again */
    }
    if (result != SQLITE_OK) {
        return connection_fail(&checkpointer->connection, result, error);
    }
    /* All moved: nothing to do until the next commit tells a new length. Only if none did in the
     * meantime. */
    if (in_wal == moved) {
        atomic_compare_exchange_strong(&store->wal_pages, &pages, 0);
    }
    pages = atomic_load_explicit(&store->wal_pages, memory_order_relaxed);
    *left = pages > (uint32_t)moved ? pages - (uint32_t)moved : 0;
    return true;
}

int64_t store_wal_bytes(const struct store *store)
{
    char name[2 * PATH_MAX];
    struct stat status;
    snprintf(name, sizeof name, "%s-wal", store->file);
    return stat(name, &status) == 0 ? (int64_t)status.st_size : 0;
}
