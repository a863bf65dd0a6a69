/* The writer: its transactions, and the counters that it keeps in memory meanwhile. */
#include "store/store_internal.h"

static int note_wal(void *argument, sqlite3 *database, const char *name, int pages)
{
    struct store *store = argument;
    (void)database;
    (void)name;
    atomic_store_explicit(&store->wal_pages, (uint32_t)pages, memory_order_relaxed);
    atomic_fetch_add_explicit(&store->wal_commits, 1, memory_order_relaxed);
    return SQLITE_OK;
}

struct store_writer *store_writer_open(struct store *store, struct error *error)
{
    if (store->options.read_only) {
        error_set(error, ERROR_DATABASE, "%s is open for reading only", store->path);
        return NULL;
    }
    struct store_writer *writer = memory_new(sizeof *writer);
    if (!writer) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    writer->store = store;
    map_init(&writer->exports_by_name, export_record_name);
    buffer_init(&writer->due_views, SIZE_MAX / 2);
    if (!connection_open(&writer->connection, store, CONNECTION_WRITER, error) ||
        !log_record_read(&writer->connection, &writer->committed, error) ||
        !usage_state_read(&writer->connection, &writer->usage_committed, error) ||
        !watched_keys_read(writer, error) || !exports_load(writer, error)) {
        store_writer_close(writer);
        return NULL;
    }
    writer->now = writer->committed;
    writer->usage_now = writer->usage_committed;
    /* SQLite's way to learn the length of the WAL without asking: called after each commit. */
    sqlite3_wal_hook(writer->connection.database, note_wal, store);
    return writer;
}

void store_writer_close(struct store_writer *writer)
{
    if (!writer) {
        return;
    }
    if (writer->open) {
        store_rollback(writer);
    }
    connection_close(&writer->connection);
    exports_free(writer);
    buffer_fini(&writer->due_views);
    memory_free(writer->stages);
    memory_free(writer);
}

bool writer_ready(struct store_writer *writer, struct error *error)
{
    if (!writer->open) {
        return error_set(error, ERROR_INTERNAL, "a change to %s outside of a transaction",
                         writer->store->path);
    }
    if (writer->connection.broken != ERROR_NONE) {
        return error_set(error, writer->connection.broken,
                         "an earlier step of this transaction on %s failed: it can only be rolled "
                         "back",
                         writer->store->path);
    }
    return true;
}

bool writer_break(struct store_writer *writer, struct error *error)
{
    if (writer->connection.broken == ERROR_NONE) {
        writer->connection.broken = error ? error->code : ERROR_INTERNAL;
    }
    return false;
}

bool store_begin(struct store_writer *writer, struct error *error)
{
    struct query query;
    if (writer->open) {
        return error_set(error, ERROR_INTERNAL, "a transaction on %s is open already",
                         writer->store->path);
    }
    writer->connection.broken = ERROR_NONE;
    if (!query_start(&query, &writer->connection, STATEMENT_BEGIN, "BEGIN IMMEDIATE", error) ||
        !query_run(&query, error)) {
        return false;
    }
    writer->open = true;
    writer->given_before = wal_file_given(writer->connection.database);
    return true;
}

/* What the transaction gave to the write-ahead log, whether or not it could be written. */
static void note_size(struct store_writer *writer)
{
    int64_t given = wal_file_given(writer->connection.database) - writer->given_before;
    if (given > writer->largest) {
        writer->largest = given;
    }
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

static bool run_commit(struct store_writer *writer, struct error *error)
{
    struct query query;
    wal_file_expect(writer->connection.database);
    return query_start(&query, &writer->connection, STATEMENT_COMMIT, "COMMIT", error) &&
           query_run(&query, error);
}

/* A COMMIT failed, maybe when all of it was written. Nothing may be found of it after a crash. */
static bool undo_commit(struct store_writer *writer, struct error *error)
{
    char cause[ERROR_MESSAGE_SIZE];
    store_rollback(writer);
    if (wal_file_take_back(writer->connection.database)) {
        return false;
    }
    snprintf(cause, sizeof cause, "%s", error ? error->message : "");
    return error_set(error, ERROR_OUTCOME_UNKNOWN,
                     "%.400s; the transaction was written and cannot be taken back: after a crash "
                     "or power cut now it may be there",
                     cause);
}

bool store_commit(struct store_writer *writer, struct error *error)
{
    if (!writer_ready(writer, error) || !write_counters(writer, error) ||
        !sql_views_make_due(writer, error)) {
        store_rollback(writer);
        return false;
    }
    if (!run_commit(writer, error)) {
        return undo_commit(writer, error);
    }
    writer->open = false;
    note_size(writer);
    wal_base_note(writer->store, writer->connection.database, writer->committed.state.last_change);
    if (writer->now.state.last_change != writer->committed.state.last_change) {
        identity_write_mark(writer->store, writer->now.state.last_change);
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
    if (writer->open) {
        note_size(writer);
    }
    connection_rollback(&writer->connection);
    writer->open = false;
    writer->now = writer->committed;
    writer->usage_now = writer->usage_committed;
    writer->log_dirty = writer->usage_dirty = false;
    writer->stage_count = 0;
    writer->ahead = writer->tombstones_ahead = (struct ahead_rows){.until = 0};
    sql_views_forget_due(writer);
    exports_rollback(writer);
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
