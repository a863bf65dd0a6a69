/* The table entity: the present state. */
#include "store/store_internal.h"

#define COLUMNS "id, change, slot, idx, key, data"

static const char get_sql[] = "SELECT " COLUMNS " FROM entity WHERE export = ? AND key = ?";
/* Two, because nothing compares as less than every key. */
#define WALK "SELECT " COLUMNS " FROM entity WHERE export = ?1 "
static const char *const walk_sql[] = {WALK "ORDER BY key LIMIT ?3",
                                       WALK "AND key > ?2 ORDER BY key LIMIT ?3"};
static const char by_id_sql[] =
    "SELECT " COLUMNS " FROM entity WHERE id = ?1 AND (?2 = 0 OR export = ?2)";
static const char order_sql[] =
    "SELECT id FROM entity WHERE export = ? ORDER BY key LIMIT ? OFFSET ?";
static const char insert_sql[] =
    "INSERT INTO entity (export, key, slot, idx, change, evict_order, data) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)";
/* Two, because naming evict_order makes SQLite look at its index on every update. */
static const char update_sql[] =
    "UPDATE entity SET slot = ?, idx = ?, change = ?, data = ? WHERE id = ?";
static const char update_limited_sql[] =
    "UPDATE entity SET slot = ?1, idx = ?2, change = ?3, data = ?4, evict_order = ?3 WHERE id = ?5";
static const char delete_sql[] = "DELETE FROM entity WHERE id = ?";

bool entity_read_row(const struct query *query, int column, bool with_data,
                     struct store_entity *entity, struct error *error)
{
    *entity = (struct store_entity){
        .id = query_column(query, column),
        .change = query_column(query, column + 1),
        .seq = {query_column(query, column + 2), query_column(query, column + 3)},
        .key = query_column_text(query, column + 4),
    };
    if (with_data) {
        entity->data = query_column_text(query, column + 5);
    }
    return (entity->key.data && (entity->data.data || !with_data)) ||
           error_set(error, ERROR_MEMORY, "out of memory");
}

static bool read_row(const struct query *query, struct store_entity *entity, struct error *error)
{
    return entity_read_row(query, 0, true, entity, error);
}

/* The one row of a query that is bound; it stays lent. */
static bool read_one(struct query *query, struct store_entity *entity, bool *found,
                     struct error *error)
{
    enum query_step step = query_row(query, error);
    if (step != QUERY_ROW) {
        return step == QUERY_DONE;
    }
    query_lend(query);
    *found = read_row(query, entity, error);
    return *found;
}

bool store_read_entity(struct store_reader *reader, uint32_t export_id, struct span key,
                       struct store_entity *entity, bool *found, struct error *error)
{
    struct query query;
    *found = false;
    if (!query_start(&query, &reader->connection, STATEMENT_ENTITY_GET, get_sql, error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_text(&query, key);
    return read_one(&query, entity, found, error);
}

bool store_read_entity_by_id(struct store_reader *reader, uint32_t export_id, int64_t id,
                             struct store_entity *entity, bool *found, struct error *error)
{
    struct query query;
    *found = false;
    if (!query_start(&query, &reader->connection, STATEMENT_ENTITY_BY_ID, by_id_sql, error)) {
        return false;
    }
    query_integer(&query, id);
    query_integer(&query, export_id);
    return read_one(&query, entity, found, error);
}

bool store_entity_insert(struct store_writer *writer, uint32_t export_id,
                         struct store_entity *entity, struct error *error)
{
    struct export_counters *counters = NULL;
    struct query query;
    if (!writer_ready(writer, error) || !(counters = export_change(writer, export_id, error)) ||
        !query_start(&query, &writer->connection, STATEMENT_ENTITY_INSERT, insert_sql, error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_text(&query, entity->key);
    query_integer(&query, entity->seq.slot);
    query_integer(&query, entity->seq.index);
    query_integer(&query, entity->change);
    if (export_is_ordered(counters)) {
        query_integer(&query, entity->change);
    } else {
        query_text(&query, span_make(NULL, 0));
    }
    query_text(&query, entity->data);
    if (!query_run(&query, error)) {
        return false;
    }
    entity->id = connection_inserted(&writer->connection);
    counters->entities++;
    return true;
}

/* An id that is not there is a fault of the caller's cache; committing on top of it would lose. */
static bool expect_one(struct store_writer *writer, int64_t id, struct error *error)
{
    if (connection_changes(&writer->connection) == 1) {
        return true;
    }
    error_set(error, ERROR_INTERNAL, "%s has no entity %lld", writer->connection.path,
              (long long)id);
    return writer_break(writer, error);
}

bool store_entity_update(struct store_writer *writer, uint32_t export_id,
                         const struct store_entity *entity, struct error *error)
{
    struct export_counters *counters = NULL;
    struct query query;
    if (!writer_ready(writer, error) || !(counters = export_change(writer, export_id, error))) {
        return false;
    }
    bool limited = export_is_ordered(counters);
    if (!query_start(&query, &writer->connection,
                     limited ? STATEMENT_ENTITY_UPDATE_LIMITED : STATEMENT_ENTITY_UPDATE,
                     limited ? update_limited_sql : update_sql, error)) {
        return false;
    }
    query_integer(&query, entity->seq.slot);
    query_integer(&query, entity->seq.index);
    query_integer(&query, entity->change);
    query_text(&query, entity->data);
    query_integer(&query, entity->id);
    return query_run(&query, error) && expect_one(writer, entity->id, error);
}

bool store_entity_delete(struct store_writer *writer, uint32_t export_id, int64_t id,
                         struct error *error)
{
    struct export_counters *counters = NULL;
    struct query query;
    if (!writer_ready(writer, error) || !(counters = export_change(writer, export_id, error)) ||
        !query_start(&query, &writer->connection, STATEMENT_ENTITY_DELETE, delete_sql, error)) {
        return false;
    }
    query_integer(&query, id);
    if (!query_run(&query, error) || !expect_one(writer, id, error)) {
        return false;
    }
    counters->entities--;
    return true;
}

bool store_scan_key_order(struct store_reader *reader, uint32_t export_id, int64_t skip,
                          int64_t limit, bool (*each)(void *argument, int64_t id), void *argument,
                          struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_ENTITY_ORDER, order_sql, error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_integer(&query, limit);
    query_integer(&query, skip);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        if (!each(argument, query_column(&query, 0))) {
            query_end(&query);
            return true;
        }
    }
    return step == QUERY_DONE;
}

bool store_scan_keys(struct store_reader *reader, uint32_t export_id, struct span after,
                     int64_t limit, store_each_entity each, void *argument, struct error *error)
{
    struct query query;
    int which = after.data != NULL;
    if (!query_start(&query, &reader->connection, STATEMENT_ENTITY_WALK + which, walk_sql[which],
                     error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_text(&query, after);
    query_integer(&query, limit);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct store_entity entity;
        bool ok = read_row(&query, &entity, error);
        if (!ok || !each(argument, &entity)) {
            query_end(&query);
            return ok;
        }
    }
    return step == QUERY_DONE;
}
