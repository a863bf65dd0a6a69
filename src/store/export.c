/* The table export, and the counters of each export that the writer keeps in memory. */
#include "store/store_internal.h"

#define COUNTERS                                                                                   \
    "entities, max_entities, last_change, last_slot, last_idx, last_shared, head_slot, head_idx, " \
    "floor_change, floor_slot, floor_idx, first_change, trimmed_slot, trimmed_idx, "               \
    "trimmed_shared, flip_floor"

static const char all_sql[] = "SELECT id, name, " COUNTERS " FROM export ORDER BY id";
static const char by_name_sql[] = "SELECT id, name, " COUNTERS " FROM export WHERE name = ?";
static const char insert_sql[] =
    "INSERT INTO export (id, name, " COUNTERS ") VALUES (?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
    "0, 0, 0, -1)";
static const char write_sql[] =
    "UPDATE export SET entities = ?, max_entities = ?, last_change = ?, last_slot = ?, "
    "last_idx = ?, last_shared = ?, head_slot = ?, head_idx = ?, floor_change = ?, "
    "floor_slot = ?, floor_idx = ?, first_change = ?, trimmed_slot = ?, trimmed_idx = ?, "
    "trimmed_shared = ?, flip_floor = ? WHERE id = ?";
static const char is_ordered_sql[] = "SELECT 1 FROM entity INDEXED BY entity_evict "
                                     "WHERE export = ? AND evict_order IS NOT NULL LIMIT 1";

/* ---- rows ---- */

static struct export_counters read_counters(const struct query *query)
{
    return (struct export_counters){
        .entities = query_column(query, 2),
        .max_entities = query_column(query, 3),
        .last_change = query_column(query, 4),
        .last_seq = {query_column(query, 5), query_column(query, 6)},
        .last_shared = query_column(query, 7) != 0,
        .head = {query_column(query, 8), query_column(query, 9)},
        .floor_change = query_column(query, 10),
        .floor_seq = {query_column(query, 11), query_column(query, 12)},
        .first_change = query_column(query, 13),
        .trimmed_seq = {query_column(query, 14), query_column(query, 15)},
        .trimmed_shared = query_column(query, 16) != 0,
        .membership_floor = query_column(query, 17),
    };
}

static struct store_export read_export(const struct query *query)
{
    struct export_counters counters = read_counters(query);
    return (struct store_export){
        .id = (uint32_t)query_column(query, 0),
        .name = query_column_text(query, 1),
        .entities = counters.entities,
        .last_change = counters.last_change,
        .last_seq = counters.last_seq,
        .last_seq_shared = counters.last_shared,
        .head = counters.head,
        .first_change = counters.first_change,
        .floor_change = counters.floor_change,
        .floor_seq = counters.floor_seq,
        .trimmed_seq = counters.trimmed_seq,
        .trimmed_seq_shared = counters.trimmed_shared,
        .membership_floor = counters.membership_floor,
        .max_entities = counters.max_entities,
    };
}

static bool write_counters(struct store_writer *writer, size_t place, struct error *error)
{
    const struct export_counters *counters = &writer->exports[place]->now;
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_EXPORT_WRITE, write_sql, error)) {
        return false;
    }
    query_integer(&query, counters->entities);
    query_integer(&query, counters->max_entities);
    query_integer(&query, counters->last_change);
    query_integer(&query, counters->last_seq.slot);
    query_integer(&query, counters->last_seq.index);
    query_integer(&query, counters->last_shared);
    query_integer(&query, counters->head.slot);
    query_integer(&query, counters->head.index);
    query_integer(&query, counters->floor_change);
    query_integer(&query, counters->floor_seq.slot);
    query_integer(&query, counters->floor_seq.index);
    query_integer(&query, counters->first_change);
    query_integer(&query, counters->trimmed_seq.slot);
    query_integer(&query, counters->trimmed_seq.index);
    query_integer(&query, counters->trimmed_shared);
    query_integer(&query, counters->membership_floor);
    query_integer(&query, (int64_t)place + 1);
    return query_run(&query, error);
}

/* A limit was lifted, and its order not cleared to the end. */
static bool find_order(struct store_writer *writer, struct error *error)
{
    for (size_t i = 0; i < writer->export_count; i++) {
        struct export_record *record = writer->exports[i];
        struct query query;
        if (record->now.max_entities > 0 || record->now.entities == 0) {
            continue;
        }
        if (!query_start(&query, &writer->connection, STATEMENT_EXPORT_IS_ORDERED, is_ordered_sql,
                         error)) {
            return false;
        }
        query_integer(&query, (int64_t)i + 1);
        enum query_step step = query_row(&query, error);
        if (step == QUERY_FAILED) {
            return false;
        }
        if (step == QUERY_ROW) {
            record->now.work = record->committed.work = ORDER_CLEAR;
            query_end(&query);
        }
    }
    return true;
}

/* ---- the writer's picture ---- */

static struct span record_name(const void *value)
{
    const struct export_record *record = value;
    return span_make(record->name, record->name_length);
}

static void free_record(struct export_record *record)
{
    if (record) {
        memory_free(record->name);
        memory_free(record);
    }
}

static bool reserve_record(struct store_writer *writer)
{
    if (writer->export_count < writer->export_capacity) {
        return true;
    }
    size_t capacity = writer->export_capacity ? 2 * writer->export_capacity : 16;
    struct export_record **grown =
        memory_resize(writer->exports, capacity * sizeof(*writer->exports));
    if (grown) {
        writer->exports = grown;
        writer->export_capacity = capacity;
    }
    return grown != NULL;
}

static bool add_record(struct store_writer *writer, struct span name,
                       const struct export_counters *counters, struct error *error)
{
    struct export_record *record = reserve_record(writer) ? memory_new(sizeof *record) : NULL;
    char *copy = record && name.data ? memory_copy_string(name.data, name.length) : NULL;
    if (copy) {
        *record = (struct export_record){.name = copy,
                                         .name_length = name.length,
                                         .now = *counters,
                                         .committed = *counters,
                                         .id = (uint32_t)writer->export_count + 1};
    }
    if (!copy || !map_add(&writer->exports_by_name, record)) {
        free_record(record);
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    writer->exports[writer->export_count++] = record;
    return true;
}

bool exports_load(struct store_writer *writer, struct error *error)
{
    struct query query;
    map_init(&writer->exports_by_name, record_name);
    if (!query_start(&query, &writer->connection, STATEMENT_EXPORT_ALL, all_sql, error)) {
        return false;
    }
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct export_counters counters = read_counters(&query);
        bool ok = query_column(&query, 0) == (int64_t)writer->export_count + 1;
        if (!ok) {
            error_set(error, ERROR_DATABASE, "%s: the table export has a hole: use a backup",
                      writer->connection.path);
        }
        if (!ok || !add_record(writer, query_column_text(&query, 1), &counters, error)) {
            query_end(&query);
            return false;
        }
    }
    writer->export_committed = writer->export_count;
    writer->viewed_exports = writer->viewed_committed = writer->export_count;
    return step == QUERY_DONE && find_order(writer, error);
}

bool exports_write(struct store_writer *writer, struct error *error)
{
    const struct export_record *record = writer->dirty_exports;
    for (; record; record = record->next_dirty) {
        if (!write_counters(writer, record->id - 1, error)) {
            return false;
        }
    }
    return true;
}

/* Each dirty one is as it is now, or as it was. */
static void settle(struct store_writer *writer, bool committed)
{
    while (writer->dirty_exports) {
        struct export_record *record = writer->dirty_exports;
        writer->dirty_exports = record->next_dirty;
        record->next_dirty = NULL;
        record->dirty = false;
        if (committed) {
            record->committed = record->now;
        } else {
            record->now = record->committed;
        }
    }
}

void exports_settle(struct store_writer *writer, bool committed)
{
    settle(writer, committed);
    if (committed) {
        writer->export_committed = writer->export_count;
        writer->viewed_committed = writer->viewed_exports;
        return;
    }
    writer->viewed_exports = writer->viewed_committed;
    while (writer->export_count > writer->export_committed) {
        struct export_record *record = writer->exports[--writer->export_count];
        map_remove(&writer->exports_by_name, record_name(record));
        free_record(record);
    }
}

void exports_free(struct store_writer *writer)
{
    for (size_t i = 0; i < writer->export_count; i++) {
        free_record(writer->exports[i]);
    }
    map_fini(&writer->exports_by_name);
    memory_free(writer->exports);
    writer->exports = NULL;
    writer->export_count = 0;
}

struct export_counters *export_change(struct store_writer *writer, uint32_t export_id,
                                      struct error *error)
{
    if (export_id == 0 || export_id > writer->export_count) {
        error_set(error, ERROR_INTERNAL, "%s has no export %u", writer->connection.path, export_id);
        return NULL;
    }
    struct export_record *record = writer->exports[export_id - 1];
    if (!record->dirty) {
        record->dirty = true;
        record->next_dirty = writer->dirty_exports;
        writer->dirty_exports = record;
    }
    return &record->now;
}

/* ---- for the engine ---- */

bool store_export_add(struct store_writer *writer, struct span name, uint32_t *export_id,
                      struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error)) {
        return false;
    }
    const struct export_record *record = map_get(&writer->exports_by_name, name);
    if (record) {
        *export_id = record->id;
        return true;
    }
    if (!query_start(&query, &writer->connection, STATEMENT_EXPORT_INSERT, insert_sql, error)) {
        return false;
    }
    *export_id = (uint32_t)writer->export_count + 1;
    query_integer(&query, *export_id);
    query_text(&query, name);
    if (!query_run(&query, error)) {
        return false;
    }
    return add_record(writer, name, &(struct export_counters){.membership_floor = -1}, error) ||
           writer_break(writer, error);
}

bool store_export_ensure(struct store_writer *writer, struct span name, uint32_t *export_id,
                         struct error *error)
{
    if (!store_export_add(writer, name, export_id, error) ||
        !sql_views_add_standard(&writer->views, name, *export_id, error)) {
        return false;
    }
    writer->viewed_exports += *export_id == writer->viewed_exports + 1;
    return true;
}

bool store_sql_views_make(struct store_writer *writer, size_t exports, struct error *error)
{
    bool ok = writer_ready(writer, error);
    for (; ok && exports && writer->viewed_exports < writer->export_count; exports--) {
        const struct export_record *record = writer->exports[writer->viewed_exports];
        ok = sql_views_add_standard(&writer->views, record_name(record), record->id, error);
        writer->viewed_exports += ok;
    }
    return ok;
}

bool store_exports_define_views(struct store_writer *writer, struct error *error)
{
    bool ok = writer_ready(writer, error);
    for (size_t i = 0; ok && i < writer->export_count; i++) {
        struct span name = record_name(writer->exports[i]);
        ok = sql_views_add_standard(&writer->views, name, (uint32_t)i + 1, error);
    }
    return ok;
}

struct store_export_counts store_export_counts(const struct store_writer *writer,
                                               uint32_t export_id)
{
    if (export_id == 0 || export_id > writer->export_count) {
        return (struct store_export_counts){.entities = 0};
    }
    const struct export_counters *now = &writer->exports[export_id - 1]->now;
    return (struct store_export_counts){.entities = now->entities,
                                        .max_entities = now->max_entities,
                                        .last_change = now->last_change,
                                        .last_seq = now->last_seq,
                                        .order_waits = now->work != ORDER_NONE};
}

bool store_read_export(struct store_reader *reader, struct span name, struct store_export *export,
                       bool *found, struct error *error)
{
    struct query query;
    *found = false;
    if (!query_start(&query, &reader->connection, STATEMENT_EXPORT_BY_NAME, by_name_sql, error)) {
        return false;
    }
    query_text(&query, name);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *export = read_export(&query);
        export->name = name;
        *found = true;
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool store_read_exports(struct store_reader *reader,
                        bool (*each)(void *argument, const struct store_export *export),
                        void *argument, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_EXPORT_ALL, all_sql, error)) {
        return false;
    }
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct store_export export = read_export(&query);
        if (!export.name.data) {
            query_end(&query);
            return error_set(error, ERROR_MEMORY, "out of memory");
        }
        if (!each(argument, &export)) {
            query_end(&query);
            return true;
        }
    }
    return step == QUERY_DONE;
}
