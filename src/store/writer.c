/* The writer: its transactions, and the counters that it keeps in memory meanwhile. */
#include "store/store_internal.h"

/* ---- the one row of log_state ---- */

static const char log_sql[] =
    "SELECT last_change, head_slot, head_idx, floor_change, floor_slot, floor_idx, cursor_floor, "
    "tombstone_floor, rows, bytes, tombstones, last_flip FROM log_state";
static const char write_log_sql[] =
    "UPDATE log_state SET last_change = ?, head_slot = ?, head_idx = ?, floor_change = ?, "
    "floor_slot = ?, floor_idx = ?, cursor_floor = ?, tombstone_floor = ?, rows = ?, bytes = ?, "
    "tombstones = ?, last_flip = ?";

static bool read_log(struct connection *connection, struct log_record *record, struct error *error)
{
    struct query query;
    if (!query_start(&query, connection, STATEMENT_LOG_READ, log_sql, error)) {
        return false;
    }
    enum query_step step = query_row(&query, error);
    if (step == QUERY_DONE) {
        return error_set(error, ERROR_DATABASE,
                         "%s has an empty table log_state: it is damaged; use a backup",
                         connection->path);
    }
    if (step == QUERY_FAILED) {
        return false;
    }
    record->state = (struct store_log_state){
        .last_change = query_column(&query, 0),
        .head = {query_column(&query, 1), query_column(&query, 2)},
        .any = query_column(&query, 0) > 0,
        .floor_change = query_column(&query, 3),
        .floor_seq = {query_column(&query, 4), query_column(&query, 5)},
        .cursor_floor = query_column(&query, 6),
        .tombstone_floor = query_column(&query, 7),
        .rows = query_column(&query, 8),
        .bytes = query_column(&query, 9),
        .last_membership = query_column(&query, 11),
    };
    record->tombstones = query_column(&query, 10);
    query_end(&query);
    return true;
}

static bool write_log(struct connection *connection, const struct log_record *record,
                      struct error *error)
{
    const struct store_log_state *state = &record->state;
    struct query query;
    if (!query_start(&query, connection, STATEMENT_LOG_WRITE, write_log_sql, error)) {
        return false;
    }
    query_integer(&query, state->last_change);
    query_integer(&query, state->head.slot);
    query_integer(&query, state->head.index);
    query_integer(&query, state->floor_change);
    query_integer(&query, state->floor_seq.slot);
    query_integer(&query, state->floor_seq.index);
    query_integer(&query, state->cursor_floor);
    query_integer(&query, state->tombstone_floor);
    query_integer(&query, state->rows);
    query_integer(&query, state->bytes);
    query_integer(&query, record->tombstones);
    query_integer(&query, state->last_membership);
    return query_run(&query, error);
}

bool store_read_log(struct store_reader *reader, struct store_log_state *state, struct error *error)
{
    struct log_record record;
    if (!read_log(&reader->connection, &record, error)) {
        return false;
    }
    *state = record.state;
    return true;
}

/* ---- the writer ---- */

struct store_writer *store_writer_open(struct database *database, struct error *error)
{
    struct store_writer *writer = memory_new(sizeof *writer);
    if (!writer) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    sql_views_init(&writer->views, &writer->connection);
    if (!held_changes_init(&writer->held)) {
        error_set(error, ERROR_MEMORY, "out of memory");
        store_writer_close(writer);
        return NULL;
    }
    if (!connection_open(&writer->connection, database, CONNECTION_WRITER, STATEMENT_COUNT,
                         error) ||
        !read_log(&writer->connection, &writer->committed, error) ||
        !store_read_usage_state(&writer->reader, &writer->usage_committed, error) ||
        !watched_keys_read(writer, error) || !exports_load(writer, error)) {
        store_writer_close(writer);
        return NULL;
    }
    writer->now = writer->committed;
    writer->usage_now = writer->usage_committed;
    return writer;
}

void store_writer_close(struct store_writer *writer)
{
    if (!writer) {
        return;
    }
    if (writer->connection.writes) {
        store_rollback(writer);
    }
    connection_close(&writer->connection);
    exports_free(writer);
    sql_views_fini(&writer->views);
    memory_free(writer->stages);
    held_changes_fini(&writer->held);
    memory_free(writer);
}

bool store_begin(struct store_writer *writer, struct error *error)
{
    return connection_begin(&writer->connection, true, error);
}

static bool write_counters(struct store_writer *writer, struct error *error)
{
    if (writer->log_dirty && !write_log(&writer->connection, &writer->now, error)) {
        return false;
    }
    if (writer->usage_dirty && !usage_state_write(&writer->connection, &writer->usage_now, error)) {
        return false;
    }
    return exports_write(writer, error) && stage_counts_write(writer, error);
}

/* The counters are again what the file has. */
static void take_back(struct store_writer *writer)
{
    writer->now = writer->committed;
    writer->usage_now = writer->usage_committed;
    writer->log_dirty = writer->usage_dirty = false;
    writer->stage_count = 0;
    held_changes_forget(&writer->held);
    writer->ahead = writer->tombstones_ahead = (struct ahead_rows){.until = 0};
    sql_views_forget_due(&writer->views);
    exports_settle(writer, false);
}

bool store_commit(struct store_writer *writer, struct error *error)
{
    if (!writer_ready(writer, error) || !changes_flush(writer, error) ||
        !write_counters(writer, error) || !sql_views_make_due(&writer->views, error)) {
        store_rollback(writer);
        return false;
    }
    if (!connection_commit(&writer->connection, writer->committed.state.last_change,
                           writer->now.state.last_change, error)) {
        take_back(writer);
        return false;
    }
    writer->committed = writer->now;
    writer->usage_committed = writer->usage_now;
    writer->log_dirty = writer->usage_dirty = false;
    writer->stage_count = 0;
    exports_settle(writer, true);
    return true;
}

void store_rollback(struct store_writer *writer)
{
    connection_rollback(&writer->connection);
    take_back(writer);
}

struct store_writer_state store_writer_state(struct store_writer *writer)
{
    return (struct store_writer_state){.reader = &writer->reader,
                                       .log = &writer->now.state,
                                       .exports = (uint32_t)writer->export_count,
                                       .sql_views_due =
                                           writer->export_count - writer->viewed_exports,
                                       .sql_views = &writer->views,
                                       .usage = &writer->usage_now,
                                       .producers_removed = writer->producers_removed,
                                       .largest = writer->connection.largest};
}

bool store_check_schema(struct store_writer *writer, struct error *error)
{
    return schema_check(&writer->connection, error);
}

bool store_writer_refuse_cursors(struct store_writer *writer, struct error *error)
{
    if (!writer_ready(writer, error)) {
        return false;
    }
    writer->now.state.cursor_floor = writer->now.state.last_change + 1;
    writer->log_dirty = true;
    return true;
}

bool store_meta_put(struct store_writer *writer, const char *name, struct span value,
                    struct error *error)
{
    return writer_ready(writer, error) && meta_put(&writer->connection, name, value, error);
}
