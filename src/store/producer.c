/* The table producer: the last batch of each that was committed. */
#include "store/store_internal.h"

static const char get_sql[] = "SELECT batch FROM producer WHERE name = ?";
static const char put_sql[] = "INSERT INTO producer VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE "
                              "SET batch = excluded.batch, at = excluded.at";

bool store_producer_get(struct store_writer *writer, struct span producer, int64_t *batch,
                        struct error *error)
{
    struct query query;
    *batch = -1;
    if (!query_start(&query, &writer->connection, STATEMENT_PRODUCER_GET, get_sql, error)) {
        return false;
    }
    query_text(&query, producer);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *batch = query_column(&query, 0);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool store_producer_put(struct store_writer *writer, struct span producer, int64_t batch,
                        int64_t at, struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_PRODUCER_PUT, put_sql, error)) {
        return false;
    }
    query_text(&query, producer);
    query_integer(&query, batch);
    query_integer(&query, at);
    return query_run(&query, error);
}
