/* The writer: its transactions, and the counters that it keeps in memory meanwhile. */
#include "store/store_internal.h"

struct store_writer *store_writer_open(struct database *database, struct error *error)
{
    struct store_writer *writer = memory_new(sizeof *writer);
    if (!writer) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    map_init(&writer->exports_by_name, export_record_name);
    sql_views_init(&writer->views, &writer->connection);
    if (!connection_open(&writer->connection, database, CONNECTION_WRITER, STATEMENT_COUNT,
                         error) ||
        !log_record_read(&writer->connection, &writer->committed, error) ||
        !usage_state_read(&writer->connection, &writer->usage_committed, error) ||
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
    memory_free(writer);
}

bool store_begin(struct store_writer *writer, struct error *error)
{
    return connection_begin(&writer->connection, error);
}

static bool write_counters(struct store_writer *writer, struct error *error)
{
    if (writer->log_dirty && !log_record_write(&writer->connection, &writer->now, error)) {
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
    writer->ahead = writer->tombstones_ahead = (struct ahead_rows){.until = 0};
    sql_views_forget_due(&writer->views);
    exports_rollback(writer);
}

bool store_commit(struct store_writer *writer, struct error *error)
{
    if (!writer_ready(writer, error) || !write_counters(writer, error) ||
        !sql_views_make_due(&writer->views, error)) {
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
    exports_commit(writer);
    return true;
}

void store_rollback(struct store_writer *writer)
{
    connection_rollback(&writer->connection);
    take_back(writer);
}

int64_t store_writer_largest(const struct store_writer *writer)
{
    return writer->connection.largest;
}

bool store_check_schema(struct store_writer *writer, struct error *error)
{
    return schema_check(&writer->connection, error);
}

struct sql_views *store_sql_views(struct store_writer *writer)
{
    return &writer->views;
}

const struct store_log_state *store_writer_log(struct store_writer *writer)
{
    return &writer->now.state;
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

bool store_meta_get(struct store_writer *writer, const char *name, struct buffer *value,
                    bool *found, struct error *error)
{
    return meta_get(&writer->connection, name, value, found, error);
}

bool store_meta_put(struct store_writer *writer, const char *name, struct span value,
                    struct error *error)
{
    return writer_ready(writer, error) && meta_put(&writer->connection, name, value, error);
}
