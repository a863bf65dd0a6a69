/* The tables usage_event and usage_state: events that are to be delivered, see docs/usage.md. */
#include "store/store_internal.h"

enum { ROW_BYTES = 64 };

static const char state_read_sql[] = "SELECT rows, bytes, dropped FROM usage_state";
static const char state_write_sql[] = "UPDATE usage_state SET rows = ?, bytes = ?, dropped = ?";
static const char put_sql[] = "INSERT INTO usage_event (event_id, at, event) VALUES (?, ?, ?)";
static const char remove_sql[] =
    "DELETE FROM usage_event WHERE id BETWEEN ? AND ? RETURNING length(CAST(event AS BLOB))";
static const char oldest_sql[] =
    "SELECT id, length(CAST(event AS BLOB)) FROM usage_event ORDER BY id LIMIT ?";
static const char scan_sql[] =
    "SELECT id, at, event_id, event FROM usage_event WHERE id > ? ORDER BY id LIMIT ?";

/* ---- the counters ---- */

bool store_read_usage_state(struct store_reader *reader, struct store_usage_state *state,
                            struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_USAGE_STATE_READ, state_read_sql,
                     error)) {
        return false;
    }
    enum query_step step = query_row(&query, error);
    if (step == QUERY_DONE) {
        return error_set(error, ERROR_DATABASE,
                         "%s has an empty table usage_state: it is damaged; use a backup",
                         reader->connection.path);
    }
    if (step == QUERY_FAILED) {
        return false;
    }
    *state = (struct store_usage_state){query_column(&query, 0), query_column(&query, 1),
                                        query_column(&query, 2)};
    query_end(&query);
    return true;
}

bool usage_state_write(struct connection *connection, const struct store_usage_state *state,
                       struct error *error)
{
    struct query query;
    if (!query_start(&query, connection, STATEMENT_USAGE_STATE_WRITE, state_write_sql, error)) {
        return false;
    }
    query_integer(&query, state->rows);
    query_integer(&query, state->bytes);
    query_integer(&query, state->dropped);
    return query_run(&query, error);
}

/* ---- the events ---- */

bool store_usage_put(struct store_writer *writer, const struct store_usage_event *event,
                     struct error *error)
{
    struct query query;
    char text[DATABASE_UUID_SIZE];
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_USAGE_PUT, put_sql, error)) {
        return false;
    }
    database_new_uuid(text);
    query_text(&query, span_of(text));
    query_integer(&query, event->at);
    query_text(&query, event->event);
    if (!query_run(&query, error)) {
        return false;
    }
    writer->usage_now.rows++;
    writer->usage_now.bytes += ROW_BYTES + (int64_t)event->event.length;
    writer->usage_dirty = true;
    return true;
}

bool store_usage_remove(struct store_writer *writer, int64_t first, int64_t last,
                        struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_USAGE_REMOVE, remove_sql, error)) {
        return false;
    }
    query_integer(&query, first);
    query_integer(&query, last);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        writer->usage_now.rows--;
        writer->usage_now.bytes -= ROW_BYTES + query_column(&query, 0);
    }
    writer->usage_dirty = true;
    return step == QUERY_DONE;
}

/* The newest of the oldest that must go, at most `step` of them; 0: none. */
static bool find_excess(struct store_writer *writer, int64_t rows, int64_t bytes, int64_t step,
                        int64_t *last, int64_t *count, struct error *error)
{
    struct store_usage_state left = writer->usage_now;
    struct query query;
    *last = *count = 0;
    if (left.rows <= rows && left.bytes <= bytes) {
        return true;
    }
    if (!query_start(&query, &writer->connection, STATEMENT_USAGE_OLDEST, oldest_sql, error)) {
        return false;
    }
    query_integer(&query, step);
    enum query_step found = QUERY_DONE;
    while ((left.rows > rows || left.bytes > bytes) &&
           (found = query_row(&query, error)) == QUERY_ROW) {
        *last = query_column(&query, 0);
        left.bytes -= ROW_BYTES + query_column(&query, 1);
        left.rows--;
        ++*count;
    }
    if (found == QUERY_ROW) {
        query_end(&query);
    }
    return found != QUERY_FAILED;
}

bool store_usage_trim(struct store_writer *writer, int64_t rows, int64_t bytes, int64_t step,
                      struct error *error)
{
    int64_t last, count;
    if (!writer_ready(writer, error) ||
        !find_excess(writer, rows, bytes, step, &last, &count, error)) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    writer->usage_now.dropped += count;
    return store_usage_remove(writer, 0, last, error);
}

bool store_read_usage(struct store_reader *reader, int64_t after, int64_t limit,
                      bool (*each)(void *argument, const struct store_usage_event *event),
                      void *argument, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_USAGE_SCAN, scan_sql, error)) {
        return false;
    }
    query_integer(&query, after);
    query_integer(&query, limit);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct store_usage_event event = {.id = query_column(&query, 0),
                                          .at = query_column(&query, 1),
                                          .event_id = query_column_text(&query, 2),
                                          .event = query_column_text(&query, 3)};
        bool ok = event.event_id.data && event.event.data;
        if (!ok || !each(argument, &event)) {
            query_end(&query);
            return ok || error_set(error, ERROR_MEMORY, "out of memory");
        }
    }
    return step == QUERY_DONE;
}
