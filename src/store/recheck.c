/* The tables derived_turn and derived_flip: what time will do, and what happened to entities
 * without a change of their own. */
#include "store/stage.h"
#include "store/store_internal.h"

static const char put_sql[] = "INSERT INTO derived_turn (stage, at, entity) VALUES (?, ?, ?)";
static const char remove_sql[] =
    "DELETE FROM derived_turn WHERE stage = ? AND at = ? AND entity = ?";
static const char exists_sql[] =
    "SELECT 1 FROM derived_turn WHERE stage = ? AND at = ? AND entity = ?";
static const char at_sql[] =
    "SELECT at FROM derived_turn WHERE stage = ? ORDER BY at, entity LIMIT 1 OFFSET ?";
static const char scan_sql[] =
    "SELECT at, entity FROM derived_turn WHERE stage = ? AND at <= ? ORDER BY at, entity LIMIT ?";
static const char membership_put_sql[] =
    "INSERT INTO derived_flip (export, change, key, number) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (export, change, key) DO UPDATE SET number = excluded.number";
#define MEMBERSHIP_SCAN "SELECT key FROM derived_flip WHERE export = ? AND "
static const char *const membership_scan_sql[] = {
    MEMBERSHIP_SCAN "change >= ? ORDER BY change, key LIMIT ?",
    MEMBERSHIP_SCAN "number > ? ORDER BY number LIMIT ?"};

static bool start(struct query *query, struct store_writer *writer, enum statement which,
                  const char *sql, int64_t stage, int64_t at, int64_t entity, struct error *error)
{
    if (!query_start(query, &writer->connection, which, sql, error)) {
        return false;
    }
    query_integer(query, stage);
    query_integer(query, at);
    query_integer(query, entity);
    return true;
}

bool store_recheck_put(struct store_writer *writer, int64_t stage, int64_t at, int64_t entity,
                       struct error *error)
{
    struct query query;
    return writer_ready(writer, error) &&
           start(&query, writer, STATEMENT_RECHECK_PUT, put_sql, stage, at, entity, error) &&
           query_run(&query, error);
}

bool store_recheck_remove(struct store_writer *writer, int64_t stage, int64_t at, int64_t entity,
                          bool *found, struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !start(&query, writer, STATEMENT_RECHECK_REMOVE, remove_sql, stage, at, entity, error) ||
        !query_run(&query, error)) {
        return false;
    }
    *found = connection_changes(&writer->connection) > 0;
    return true;
}

bool store_recheck_exists(struct store_writer *writer, int64_t stage, int64_t at, int64_t entity,
                          bool *found, struct error *error)
{
    struct query query;
    if (!start(&query, writer, STATEMENT_RECHECK_EXISTS, exists_sql, stage, at, entity, error)) {
        return false;
    }
    enum query_step step = query_row(&query, error);
    *found = step == QUERY_ROW;
    if (*found) {
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool store_recheck_at(struct store_writer *writer, int64_t stage, int64_t skip, int64_t *at,
                      struct error *error)
{
    struct query query;
    *at = INT64_MAX;
    if (!query_start(&query, &writer->connection, STATEMENT_RECHECK_AT, at_sql, error)) {
        return false;
    }
    query_integer(&query, stage);
    query_integer(&query, skip);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *at = query_column(&query, 0);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool store_recheck_scan(struct store_writer *writer, int64_t stage, int64_t until, int64_t limit,
                        bool (*each)(void *argument, int64_t at, int64_t entity), void *argument,
                        struct error *error)
{
    struct query query;
    if (!start(&query, writer, STATEMENT_RECHECK_SCAN, scan_sql, stage, until, limit, error)) {
        return false;
    }
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        if (!each(argument, query_column(&query, 0), query_column(&query, 1))) {
            query_end(&query);
            return true;
        }
    }
    return step == QUERY_DONE;
}

bool store_membership_put(struct store_writer *writer, int64_t change, uint32_t export_id,
                          struct span key, struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_MEMBERSHIP_PUT, membership_put_sql,
                     error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_integer(&query, change);
    query_text(&query, key);
    query_integer(&query, ++writer->now.state.last_membership);
    writer->log_dirty = true;
    return query_run(&query, error);
}

bool store_scan_memberships(struct store_reader *reader, enum store_membership_order order,
                            uint32_t export_id, int64_t from, int64_t limit,
                            store_each_membership each, void *argument, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_MEMBERSHIP_SCAN + (int)order,
                     membership_scan_sql[order], error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_integer(&query, from);
    query_integer(&query, limit);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct span key = query_column_text(&query, 0);
        if (!key.data || !each(argument, key)) {
            query_end(&query);
            return key.data || error_set(error, ERROR_MEMORY, "out of memory");
        }
    }
    return step == QUERY_DONE;
}
