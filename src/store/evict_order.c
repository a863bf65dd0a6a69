/*
 * The eviction order: entity.evict_order is the row's change in an export with a limit, else NULL.
 *
 * A large export has many rows to bring in order. So it can be done in steps, while rows that are
 * written meanwhile get their place at once, and the limit holds from the last step on. A limit
 * that is lifted leaves the order behind, to be cleared in steps. Neither needs a note in the file:
 * without a limit nobody reads the order, and making it sets it in every row.
 */
#include "store/store_internal.h"

static const char oldest_sql[] = "SELECT id, evict_order FROM entity WHERE export = ? "
                                 "AND evict_order > ? ORDER BY evict_order LIMIT ?";
static const char order_sql[] = "UPDATE entity SET evict_order = change WHERE export = ?";
/* Rows of all exports, as they lie in the file: no index has those of one in the order of ids. */
static const char order_to_sql[] =
    "SELECT id FROM entity NOT INDEXED WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?";
static const char order_some_sql[] =
    "UPDATE entity SET evict_order = change WHERE +export = ? AND id > ? AND id <= ? "
    "AND evict_order IS NOT change";
static const char unorder_sql[] =
    "UPDATE entity SET evict_order = NULL WHERE id IN (SELECT id FROM entity INDEXED BY "
    "entity_evict WHERE export = ? AND evict_order IS NOT NULL LIMIT ?)";

/* ---- limits ---- */

static void limit_now(struct export_counters *counters, int64_t max_entities)
{
    counters->max_entities = max_entities;
    counters->work = ORDER_NONE;
}

/* The part of the order that was made stays until it is cleared. */
static void lift(struct export_counters *counters)
{
    counters->max_entities = 0;
    counters->work = ORDER_CLEAR;
}

static bool limit_at_once(struct store_writer *writer, uint32_t export_id,
                          struct export_counters *counters, int64_t max_entities,
                          struct error *error)
{
    struct query query;
    if (max_entities <= 0) {
        if (export_is_ordered(counters)) {
            lift(counters);
        }
        return true;
    }
    if (counters->max_entities == 0) {
        if (!query_start(&query, &writer->connection, STATEMENT_EXPORT_ORDER, order_sql, error)) {
            return false;
        }
        query_integer(&query, export_id);
        if (!query_run(&query, error)) {
            return false;
        }
    }
    limit_now(counters, max_entities);
    return true;
}

bool store_export_limit(struct store_writer *writer, uint32_t export_id, int64_t max_entities,
                        bool in_steps, struct error *error)
{
    struct export_counters *counters = NULL;
    if (!writer_ready(writer, error) || !(counters = export_change(writer, export_id, error))) {
        return false;
    }
    if (!in_steps || max_entities <= 0 || counters->max_entities > 0 || counters->entities == 0) {
        return limit_at_once(writer, export_id, counters, max_entities, error);
    }
    if (counters->work != ORDER_MAKE) {
        counters->work = ORDER_MAKE;
        counters->ordered_row = 0;
    }
    counters->wanted_max = max_entities;
    return true;
}

/* ---- steps ---- */

/* Up to which entity.id a step of so many rows goes; INT64_MAX: to the end. */
static bool find_end(struct store_writer *writer, int64_t from, int64_t limit, int64_t *to,
                     struct error *error)
{
    struct query query;
    *to = INT64_MAX;
    if (!query_start(&query, &writer->connection, STATEMENT_EXPORT_ORDER_TO, order_to_sql, error)) {
        return false;
    }
    query_integer(&query, from);
    query_integer(&query, limit - 1);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *to = query_column(&query, 0);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

static bool order_some(struct store_writer *writer, uint32_t export_id,
                       struct export_counters *counters, int64_t limit, struct error *error)
{
    struct query query;
    int64_t to;
    if (!find_end(writer, counters->ordered_row, limit, &to, error) ||
        !query_start(&query, &writer->connection, STATEMENT_EXPORT_ORDER_SOME, order_some_sql,
                     error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_integer(&query, counters->ordered_row);
    query_integer(&query, to);
    if (!query_run(&query, error)) {
        return false;
    }
    counters->ordered_row = to;
    if (to == INT64_MAX) {
        limit_now(counters, counters->wanted_max);
    }
    return true;
}

static bool clear_some(struct store_writer *writer, uint32_t export_id,
                       struct export_counters *counters, int64_t limit, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_EXPORT_UNORDER, unorder_sql, error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_integer(&query, limit);
    if (!query_run(&query, error)) {
        return false;
    }
    if (connection_changes(&writer->connection) < limit) {
        counters->work = ORDER_NONE;
    }
    return true;
}

bool store_export_order(struct store_writer *writer, uint32_t export_id, int64_t limit,
                        int64_t *rows, struct error *error)
{
    struct export_counters *counters = NULL;
    *rows = 0;
    if (!writer_ready(writer, error) || !(counters = export_change(writer, export_id, error))) {
        return false;
    }
    if (counters->work == ORDER_NONE) {
        return true;
    }
    *rows = limit;
    return counters->work == ORDER_MAKE ? order_some(writer, export_id, counters, limit, error)
                                        : clear_some(writer, export_id, counters, limit, error);
}

/* ---- reading it ---- */

bool store_export_oldest(struct store_writer *writer, uint32_t export_id, int64_t after,
                         int64_t limit, bool (*each)(void *argument, int64_t id, int64_t change),
                         void *argument, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_EXPORT_OLDEST, oldest_sql, error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_integer(&query, after);
    query_integer(&query, limit);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        if (!each(argument, query_column(&query, 0), query_column(&query, 1))) {
            query_end(&query);
            return true;
        }
    }
    return step == QUERY_DONE;
}
