/* Readers: a read-only connection each, and short read transactions. */
#include "store/store_internal.h"

struct store_reader *store_reader_open(struct database *database, struct error *error)
{
    struct store_reader *reader = memory_new(sizeof *reader);
    if (!reader) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    if (!connection_open(&reader->connection, database, CONNECTION_READER, STATEMENT_COUNT,
                         error)) {
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

bool store_read_begin(struct store_reader *reader, struct error *error)
{
    return connection_begin(&reader->connection, false, error);
}

void store_read_end(struct store_reader *reader)
{
    connection_rollback(&reader->connection);
}

uint64_t store_rows_read(const struct store_reader *reader)
{
    return reader->connection.rows;
}

bool store_read_meta(struct store_reader *reader, const char *name, struct buffer *value,
                     bool *found, struct error *error)
{
    return meta_get(&reader->connection, name, value, found, error);
}
