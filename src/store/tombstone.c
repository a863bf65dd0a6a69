/* The table tombstone: what was deleted lately, and what left a scope. */
#include "store/store_internal.h"

static const char get_sql[] = "SELECT key, scope, change, slot, idx, at FROM tombstone "
                              "WHERE export = ? AND key = ? AND scope = ''";
static const char insert_sql[] = "INSERT INTO tombstone (export, key, scope, change, slot, idx, at)"
                                 " VALUES (?, ?, ?, ?, ?, ?, ?)";
static const char delete_sql[] = "DELETE FROM tombstone WHERE export = ? AND key = ? AND scope = ?";
static const char clear_sql[] = "DELETE FROM tombstone";
static const char scan_sql[] =
    "SELECT key, scope, change, slot, idx, at FROM tombstone INDEXED BY tombstone_recent "
    "WHERE export = ? AND change < ? ORDER BY change DESC LIMIT ?";

static const char labelled_sql[] =
    "SELECT key, scope, change, slot, idx, at FROM tombstone INDEXED BY tombstone_scope "
    "WHERE export = ? AND scope = ? AND scope <> '' AND change = ?";

static bool read_row(const struct query *query, struct store_tombstone *tombstone,
                     struct error *error)
{
    *tombstone = (struct store_tombstone){
        .key = query_column_text(query, 0),
        .scope = query_column_text(query, 1),
        .change = query_column(query, 2),
        .seq = {query_column(query, 3), query_column(query, 4)},
        .at = query_column(query, 5),
    };
    return (tombstone->key.data && tombstone->scope.data) ||
           error_set(error, ERROR_MEMORY, "out of memory");
}

static struct span stored_scope(struct span scope)
{
    return scope.data ? scope : span_of("");
}

bool store_tombstone_remove(struct store_writer *writer, uint32_t export_id, struct span key,
                            struct span scope, struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error)) {
        return false;
    }
    /* The most frequent case costs no look into the table. */
    if (writer->now.tombstones == 0) {
        return true;
    }
    if (!query_start(&query, &writer->connection, STATEMENT_TOMBSTONE_DELETE, delete_sql, error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_text(&query, key);
    query_text(&query, stored_scope(scope));
    if (!query_run(&query, error)) {
        return false;
    }
    writer->now.tombstones -= connection_changes(&writer->connection);
    writer->log_dirty = true;
    return true;
}

bool store_tombstone_put(struct store_writer *writer, uint32_t export_id, struct span key,
                         struct span scope, int64_t change_id, struct seq seq, int64_t at,
                         struct error *error)
{
    struct query query;
    /* An older one goes first, which keeps the count exact. */
    if (!store_tombstone_remove(writer, export_id, key, scope, error) ||
        !query_start(&query, &writer->connection, STATEMENT_TOMBSTONE_INSERT, insert_sql, error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_text(&query, key);
    query_text(&query, stored_scope(scope));
    query_integer(&query, change_id);
    query_integer(&query, seq.slot);
    query_integer(&query, seq.index);
    query_integer(&query, at);
    if (!query_run(&query, error)) {
        return false;
    }
    writer->now.tombstones++;
    writer->log_dirty = true;
    return true;
}

bool store_tombstones_clear(struct store_writer *writer, struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_TOMBSTONE_CLEAR, clear_sql, error) ||
        !query_run(&query, error)) {
        return false;
    }
    writer->now.tombstones = 0;
    writer->now.state.tombstone_floor = writer->now.state.last_change;
    writer->log_dirty = true;
    return true;
}

bool store_scan_tombstones(struct store_reader *reader, uint32_t export_id, int64_t before,
                           int64_t limit,
                           bool (*each)(void *argument, const struct store_tombstone *tombstone),
                           void *argument, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_TOMBSTONE_SCAN, scan_sql, error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_integer(&query, before);
    query_integer(&query, limit);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct store_tombstone tombstone;
        bool ok = read_row(&query, &tombstone, error);
        if (!ok || !each(argument, &tombstone)) {
            query_end(&query);
            return ok;
        }
    }
    return step == QUERY_DONE;
}

bool store_read_tombstone(struct store_reader *reader, uint32_t export_id, struct span key,
                          struct store_tombstone *tombstone, bool *found, struct error *error)
{
    struct query query;
    *found = false;
    if (!query_start(&query, &reader->connection, STATEMENT_TOMBSTONE_GET, get_sql, error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_text(&query, key);
    enum query_step step = query_row(&query, error);
    if (step != QUERY_ROW) {
        return step == QUERY_DONE;
    }
    query_lend(&query);
    *found = read_row(&query, tombstone, error);
    return *found;
}

bool tombstone_tell(struct store_reader *reader, uint32_t export_id, struct span scope,
                    int64_t change,
                    bool (*each)(void *argument, const struct store_tombstone *tombstone),
                    void *argument, bool *stop, struct error *error)
{
    struct query query;
    struct store_tombstone tombstone;
    if (!query_start(&query, &reader->connection, STATEMENT_LABELLED_TOMBSTONE, labelled_sql,
                     error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_text(&query, scope);
    query_integer(&query, change);
    enum query_step step = query_row(&query, error);
    if (step != QUERY_ROW) {
        return step == QUERY_DONE;
    }
    bool done = read_row(&query, &tombstone, error);
    *stop = done && !each(argument, &tombstone);
    query_end(&query);
    return done;
}
