/* The one row of log_state. */
#include "store/store_internal.h"

static const char read_sql[] =
    "SELECT last_change, head_slot, head_idx, floor_change, floor_slot, floor_idx, cursor_floor, "
    "tombstone_floor, rows, bytes, tombstones, last_flip FROM log_state";
static const char write_sql[] =
    "UPDATE log_state SET last_change = ?, head_slot = ?, head_idx = ?, floor_change = ?, "
    "floor_slot = ?, floor_idx = ?, cursor_floor = ?, tombstone_floor = ?, rows = ?, bytes = ?, "
    "tombstones = ?, last_flip = ?";

bool log_record_read(struct connection *connection, struct log_record *record, struct error *error)
{
    struct query query;
    if (!query_start(&query, connection, STATEMENT_LOG_READ, read_sql, error)) {
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
        .last_flip = query_column(&query, 11),
    };
    record->tombstones = query_column(&query, 10);
    query_end(&query);
    return true;
}

bool log_record_write(struct connection *connection, const struct log_record *record,
                      struct error *error)
{
    const struct store_log_state *state = &record->state;
    struct query query;
    if (!query_start(&query, connection, STATEMENT_LOG_WRITE, write_sql, error)) {
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
    query_integer(&query, state->last_flip);
    return query_run(&query, error);
}

bool store_read_log(struct store_reader *reader, struct store_log_state *state, struct error *error)
{
    struct log_record record;
    if (!log_record_read(&reader->connection, &record, error)) {
        return false;
    }
    *state = record.state;
    return true;
}
