/*
 * Trimming: the oldest changes and tombstones go, a bounded number at a time.
 *
 * A seq may be shared by several changes. Where some of them are trimmed and some are kept, a
 * cursor at that seq cannot be resumed: the first kept one is marked torn. Marking just that one
 * keeps a step bounded however many share the seq; when it is trimmed in its turn, the next is
 * marked.
 */
#include "store/store_internal.h"

static const char walk_sql[] =
    "SELECT id, export, slot, idx, at, key, patch, append FROM change WHERE id > ? "
    "ORDER BY id LIMIT ?";
/* ?1 < id <= ?2 are on their way out. */
static const char tear_sql[] =
    "UPDATE change SET torn = 1 WHERE id IN ("
    "SELECT (SELECT kept.id FROM change AS kept WHERE kept.slot = gone.slot "
    "AND kept.idx = gone.idx AND kept.export = gone.export AND kept.id > ?2 "
    "ORDER BY kept.id LIMIT 1) FROM change AS gone WHERE gone.id > ?1 AND gone.id <= ?2)";
static const char delete_sql[] = "DELETE FROM change WHERE id > ? AND id <= ?";
/* Only cursors from the floor on are resumed. */
static const char flips_sql[] = "DELETE FROM derived_flip WHERE change < ?";
static const char tombstones_walk_sql[] =
    "SELECT change, at FROM tombstone INDEXED BY tombstone_change ORDER BY change LIMIT ?";
static const char tombstones_delete_sql[] = "DELETE FROM tombstone WHERE change <= ?";

/* Whether the oldest row must go, given what would be left with it. */
static bool is_due(int64_t rows, int64_t bytes, int64_t at, const struct store_retention *retention,
                   int64_t now)
{
    return (retention->rows > 0 && rows > retention->rows) ||
           (retention->bytes > 0 && bytes > retention->bytes) ||
           (retention->age_ms > 0 && at < now - retention->age_ms);
}

static int64_t column_length(const struct query *query, int column)
{
    return sqlite3_column_bytes(query->statement, column);
}

/* Let the counters forget the present row. */
static bool forget_change(struct store_writer *writer, const struct query *query,
                          struct error *error)
{
    struct store_log_state *log = &writer->now.state;
    struct seq seq = {query_column(query, 2), query_column(query, 3)};
    struct export_counters *counters =
        export_change(writer, (uint32_t)query_column(query, 1), error);
    if (!counters) {
        return false;
    }
    if (!log->floor_change || seq_compare(seq, log->floor_seq) > 0) {
        log->floor_seq = seq;
    }
    if (!counters->floor_change || seq_compare(seq, counters->floor_seq) > 0) {
        counters->floor_seq = seq;
    }
    log->floor_change = query_column(query, 0);
    counters->floor_change = log->floor_change;
    log->rows--;
    log->bytes -= change_bytes((size_t)column_length(query, 5), (size_t)column_length(query, 6),
                               (size_t)column_length(query, 7));
    return true;
}

/* Move the floors past what is due, up to `step` rows. */
static bool walk_changes(struct store_writer *writer, const struct store_retention *retention,
                         int64_t now, int64_t step, bool *more, struct error *error)
{
    struct store_log_state *log = &writer->now.state;
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_TRIM_WALK, walk_sql, error)) {
        return false;
    }
    query_integer(&query, log->floor_change);
    query_integer(&query, step + 1);
    enum query_step result;
    int64_t walked = 0;
    while ((result = query_row(&query, error)) == QUERY_ROW) {
        bool due = is_due(log->rows, log->bytes, query_column(&query, 4), retention, now);
        bool ok = true;
        if (due && walked < step) {
            ok = forget_change(writer, &query, error);
            walked++;
            if (ok) {
                continue;
            }
        }
        *more = *more || due;
        query_end(&query);
        return ok || writer_break(writer, error);
    }
    return result == QUERY_DONE;
}

/* Run a statement over the changes with from < id <= to. */
static bool run_range(struct store_writer *writer, enum statement which, const char *sql,
                      int64_t from, int64_t to, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, which, sql, error)) {
        return false;
    }
    query_integer(&query, from);
    query_integer(&query, to);
    return query_run(&query, error);
}

static bool trim_flips(struct store_writer *writer, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_TRIM_FLIPS, flips_sql, error)) {
        return false;
    }
    query_integer(&query, writer->now.state.floor_change);
    return query_run(&query, error);
}

static bool trim_changes(struct store_writer *writer, const struct store_retention *retention,
                         int64_t now, int64_t step, bool *more, struct error *error)
{
    int64_t from = writer->now.state.floor_change;
    if (!walk_changes(writer, retention, now, step, more, error)) {
        return false;
    }
    int64_t to = writer->now.state.floor_change;
    if (to == from) {
        return true;
    }
    writer->log_dirty = true;
    return run_range(writer, STATEMENT_TRIM_TEAR, tear_sql, from, to, error) &&
           run_range(writer, STATEMENT_TRIM_DELETE, delete_sql, from, to, error) &&
           trim_flips(writer, error);
}

/* The newest tombstone that is due, 0 when none, and how many are with it. */
static bool walk_tombstones(struct store_writer *writer, const struct store_retention *retention,
                            int64_t now, int64_t step, int64_t *last, int64_t *count, bool *more,
                            struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_TRIM_TOMBSTONES_WALK,
                     tombstones_walk_sql, error)) {
        return false;
    }
    query_integer(&query, step + 1);
    enum query_step result;
    while ((result = query_row(&query, error)) == QUERY_ROW) {
        bool old = retention->tombstone_age_ms > 0 &&
                   query_column(&query, 1) < now - retention->tombstone_age_ms;
        bool beyond = retention->tombstone_rows > 0 &&
                      writer->now.tombstones - *count > retention->tombstone_rows;
        if ((old || beyond) && *count < step) {
            *last = query_column(&query, 0);
            ++*count;
            continue;
        }
        *more = *more || old || beyond;
        query_end(&query);
        return true;
    }
    return result == QUERY_DONE;
}

static bool trim_tombstones(struct store_writer *writer, const struct store_retention *retention,
                            int64_t now, int64_t step, bool *more, struct error *error)
{
    int64_t last = 0, count = 0;
    struct query query;
    if (writer->now.tombstones == 0) {
        return true;
    }
    if (!walk_tombstones(writer, retention, now, step, &last, &count, more, error)) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    if (!query_start(&query, &writer->connection, STATEMENT_TRIM_TOMBSTONES_DELETE,
                     tombstones_delete_sql, error)) {
        return false;
    }
    query_integer(&query, last);
    if (!query_run(&query, error)) {
        return false;
    }
    writer->now.tombstones -= sqlite3_changes(writer->connection.database);
    writer->now.state.tombstone_floor = last;
    writer->log_dirty = true;
    return true;
}

bool store_trim(struct store_writer *writer, const struct store_retention *retention, int64_t now,
                int64_t step, bool *more, struct error *error)
{
    *more = false;
    return writer_ready(writer, error) && trim_changes(writer, retention, now, step, more, error) &&
           trim_tombstones(writer, retention, now, step, more, error);
}
