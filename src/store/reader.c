/* Readers: a read-only connection each, and short read transactions. */
#include "store/store_internal.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

struct store_reader *store_reader_open(struct store *store, struct error *error)
{
    struct store_reader *reader = memory_new(sizeof *reader);
    if (!reader) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    reader->store = store;
    if (!connection_open(&reader->connection, store, CONNECTION_READER, error)) {
        store_reader_close(reader);
        return NULL;
    }
    return reader;
}

void store_reader_close(struct store_reader *reader)
{
    if (reader) {
        connection_close(&reader->connection);
        memory_free(reader);
    }
}

void store_read_sizes(const struct store_reader *reader, struct store_sizes *sizes)
{
    const struct store *store = reader->store;
    struct stat status;
    struct statvfs disk;
    *sizes = (struct store_sizes){-1, store_wal_bytes(store), -1, -1};
    if (stat(store->file, &status) == 0) {
        sizes->database_bytes = (int64_t)status.st_size;
    }
    if (statvfs(store->file, &disk) == 0) {
        sizes->free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
        sizes->disk_bytes = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
    }
}

int64_t store_reader_steps(const struct store_reader *reader)
{
    int64_t steps = 0;
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_stmt *statement = reader->connection.statements[i];
        steps += statement ? sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 0) : 0;
    }
    return steps;
}

bool store_read_begin(struct store_reader *reader, struct error *error)
{
    struct query query;
    return query_start(&query, &reader->connection, STATEMENT_BEGIN, "BEGIN", error) &&
           query_run(&query, error);
}

void store_read_end(struct store_reader *reader)
{
    connection_rollback(&reader->connection);
}
