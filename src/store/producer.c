/* The table producer: the last batch of each that was committed, and whose name it is. */
#include "store/producer.h"
#include "store/store_internal.h"

static const char get_sql[] =
    "SELECT name, owner, batch, mark, slot, idx, at, change FROM producer WHERE name = ?";
/* Nearly always its owner stays. Naming the owner would make SQLite write its index anew. */
static const char advance_sql[] =
    "UPDATE producer SET batch = ?3, mark = ?4, slot = ?5, idx = ?6, at = ?7, change = ?8 "
    "WHERE name = ?1 AND owner IS ?2";
static const char put_sql[] =
    "INSERT INTO producer (name, owner, batch, mark, slot, idx, at, change) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, batch = excluded.batch, "
    "mark = excluded.mark, slot = excluded.slot, idx = excluded.idx, at = excluded.at, "
    "change = excluded.change";
static const char *const count_sql[] = {
    "SELECT count(*) FROM (SELECT 1 FROM producer WHERE owner IS ?1 LIMIT ?2)",
    "SELECT count(*) FROM (SELECT 1 FROM idempotency_key WHERE owner = ?1 LIMIT ?2)",
};
/* "ingest-" and 32 hexadecimal digits: nobody uses such a name again when its run has ended. */
static const char trim_runs_sql[] =
    "DELETE FROM producer WHERE name IN (SELECT name FROM producer WHERE owner IS ?1 "
    "AND name >= 'ingest-' AND name < 'ingest.' AND length(name) = 39 "
    "AND substr(name, 8) NOT GLOB '*[^0-9a-f]*' AND at < ?2 LIMIT ?3) RETURNING name";
static const char remove_sql[] = "DELETE FROM producer WHERE name = ?";
static const char scan_sql[] =
    "SELECT name, owner, batch, mark, slot, idx, at, change FROM producer "
    "WHERE name > ?1 ORDER BY name LIMIT ?2";
static const char moved_sql[] =
    "SELECT name, owner, batch, mark, slot, idx, at, change FROM producer "
    "WHERE change >= ?1 AND change <= ?2 ORDER BY change";
/* Both halves come from the index, in order. */
static const char scan_owned_sql[] =
    "SELECT name, owner, batch, mark, slot, idx, at, change FROM producer WHERE owner = ?1 AND "
    "name > ?2 "
    "UNION ALL SELECT name, owner, batch, mark, slot, idx, at, change FROM producer "
    "WHERE owner IS NULL AND name > ?2 ORDER BY name LIMIT ?3";

static void read_row(const struct query *query, struct store_producer *producer)
{
    *producer = (struct store_producer){
        .name = query_column_text(query, 0),
        .owner = query_column_text(query, 1),
        .batch = query_column(query, 2),
        .mark = query_column_text(query, 3),
        .has_seq = !query_is_null(query, 4),
        .seq = {query_column(query, 4), query_column(query, 5)},
        .at = query_column(query, 6),
        .change = query_column(query, 7),
    };
}

/* A text that is there may be absent all the same, when SQLite had no memory for it. */
static bool is_whole(const struct query *query, const struct store_producer *producer)
{
    return producer->name.data && (producer->owner.data || query_is_null(query, 1)) &&
           (producer->mark.data || query_is_null(query, 3));
}

bool store_read_producer(struct store_reader *reader, struct span name,
                         struct store_producer *producer, bool *found, struct error *error)
{
    struct query query;
    *found = false;
    if (!query_start(&query, &reader->connection, STATEMENT_PRODUCER_GET, get_sql, error)) {
        return false;
    }
    query_text(&query, name);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        read_row(&query, producer);
        bool whole = is_whole(&query, producer);
        *found = whole;
        query_lend(&query);
        return whole || error_set(error, ERROR_MEMORY, "out of memory while reading a producer");
    }
    return step != QUERY_FAILED;
}

static bool write_row(struct store_writer *writer, size_t statement, const char *sql,
                      const struct store_producer *producer, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, statement, sql, error)) {
        return false;
    }
    query_text(&query, producer->name);
    query_text(&query, producer->owner);
    query_integer(&query, producer->batch);
    query_text(&query, producer->mark);
    if (producer->has_seq) {
        query_integer(&query, producer->seq.slot);
        query_integer(&query, producer->seq.index);
    } else {
        query_text(&query, span_make(NULL, 0));
        query_text(&query, span_make(NULL, 0));
    }
    query_integer(&query, producer->at);
    query_integer(&query, producer->change);
    return query_run(&query, error);
}

bool store_producer_put(struct store_writer *writer, const struct store_producer *producer,
                        struct error *error)
{
    if (!writer_ready(writer, error) ||
        !write_row(writer, STATEMENT_PRODUCER_ADVANCE, advance_sql, producer, error)) {
        return false;
    }
    return connection_changes(&writer->connection) > 0 ||
           write_row(writer, STATEMENT_PRODUCER_PUT, put_sql, producer, error);
}

bool store_owner_count(struct store_writer *writer, enum store_owned what, struct span owner,
                       int64_t most, int64_t *count, struct error *error)
{
    struct query query;
    *count = 0;
    if (!query_start(&query, &writer->connection, STATEMENT_OWNER_COUNT + what, count_sql[what],
                     error)) {
        return false;
    }
    query_text(&query, owner);
    query_integer(&query, most);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *count = query_column(&query, 0);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

static bool note_forgotten(struct store_writer *writer, struct span name, struct error *error)
{
    if (!name.data) {
        return error_set(error, ERROR_MEMORY, "out of memory while forgetting a producer");
    }
    return note_put(writer, STORE_NOTE_FORGOTTEN, writer->now.state.last_change, name,
                    span_make(NULL, 0), error);
}

bool store_producer_trim_runs(struct store_writer *writer, struct span owner, int64_t before,
                              int64_t step, int64_t *removed, struct error *error)
{
    struct query query;
    enum query_step found;
    *removed = 0;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_PRODUCER_TRIM, trim_runs_sql, error)) {
        return false;
    }
    writer->producers_removed++;
    query_text(&query, owner);
    query_integer(&query, before);
    query_integer(&query, step);
    while ((found = query_row(&query, error)) == QUERY_ROW) {
        ++*removed;
        if (!note_forgotten(writer, query_column_text(&query, 0), error)) {
            query_end(&query);
            return false;
        }
    }
    return found == QUERY_DONE;
}

bool store_producer_remove(struct store_writer *writer, struct span name, struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_PRODUCER_REMOVE, remove_sql, error)) {
        return false;
    }
    writer->producers_removed++;
    query_text(&query, name);
    if (!query_run(&query, error)) {
        return false;
    }
    return connection_changes(&writer->connection) == 0 || note_forgotten(writer, name, error);
}

static bool each_row(struct query *query,
                     bool (*each)(void *argument, const struct store_producer *producer),
                     void *argument, struct error *error)
{
    enum query_step step;
    while ((step = query_row(query, error)) == QUERY_ROW) {
        struct store_producer producer;
        read_row(query, &producer);
        bool whole = is_whole(query, &producer);
        if (!whole || !each(argument, &producer)) {
            query_end(query);
            return whole ||
                   error_set(error, ERROR_MEMORY, "out of memory while reading a producer");
        }
    }
    return step == QUERY_DONE;
}

bool store_read_producers(struct store_reader *reader, const struct store_producer_scan *scan,
                          bool (*each)(void *argument, const struct store_producer *producer),
                          void *argument, struct error *error)
{
    struct query query;
    bool owned = scan->owner.data != NULL;
    if (!query_start(&query, &reader->connection,
                     owned ? STATEMENT_PRODUCER_SCAN_OWNED : STATEMENT_PRODUCER_SCAN,
                     owned ? scan_owned_sql : scan_sql, error)) {
        return false;
    }
    if (owned) {
        query_text(&query, scan->owner);
    }
    query_text(&query, scan->after.data ? scan->after : span_of(""));
    query_integer(&query, scan->limit);
    return each_row(&query, each, argument, error);
}

bool store_read_moved_producers(struct store_reader *reader, int64_t from, int64_t to,
                                bool (*each)(void *argument, const struct store_producer *producer),
                                void *argument, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_PRODUCER_MOVED, moved_sql, error)) {
        return false;
    }
    query_integer(&query, from);
    query_integer(&query, to);
    return each_row(&query, each, argument, error);
}
