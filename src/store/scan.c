/* Scans, for readers: a stage's rows and an export's list, in pieces. */
#include "store/stage.h"
#include "store/store_internal.h"

#define STAGE_COLUMNS "SELECT d.place, e.id, e.change, e.slot, e.idx, e.key"
#define STAGE_FROM                                                                                 \
    " FROM derived_row AS d CROSS JOIN entity AS e ON e.id = d.entity WHERE d.stage = ?1 "
#define FORWARD STAGE_FROM "AND d.place > ?2 ORDER BY d.place LIMIT ?3"
#define BACKWARDS STAGE_FROM "AND d.place < ?2 ORDER BY d.place DESC LIMIT ?3"
#define FROM_LAST STAGE_FROM "ORDER BY d.place DESC LIMIT ?3"
static const char *const stage_sql[] = {
    STAGE_COLUMNS FORWARD,
    STAGE_COLUMNS BACKWARDS,
    STAGE_COLUMNS FROM_LAST,
    STAGE_COLUMNS ", e.data" FORWARD,
    STAGE_COLUMNS ", e.data" BACKWARDS,
    STAGE_COLUMNS ", e.data" FROM_LAST,
};

/* Rows that are skipped are steps over the index: SQLite reads none of them. */
#define LIST_COLUMNS "SELECT id, change, slot, idx, key"
#define LIST_FROM                                                                                  \
    " FROM entity INDEXED BY entity_seq WHERE export = ? "                                         \
    "ORDER BY slot DESC, idx DESC, key LIMIT ? OFFSET ?"
static const char *const list_sql[] = {LIST_COLUMNS LIST_FROM, LIST_COLUMNS ", data" LIST_FROM};

#define ENTITY_COLUMNS "id, change, slot, idx, key, data"
/* A scan first ends the seq where it stands, then goes beyond it: one statement for both would walk
 * through all rows of a seq that a whole import shares, page after page. */
#define SCAN "SELECT " ENTITY_COLUMNS " FROM entity INDEXED BY entity_seq WHERE export = ?1 AND "
static const char *const scan_sql[] = {
    SCAN "slot = ?2 AND idx = ?3 AND key > ?4 ORDER BY key LIMIT ?5",
    SCAN "(slot, idx) < (?2, ?3) ORDER BY slot DESC, idx DESC, key LIMIT ?5",
};

static const char file_sql[] = "SELECT id, change, slot, idx, key, data, export FROM entity "
                               "NOT INDEXED WHERE id > ? ORDER BY id LIMIT ?";
static const char count_sql[] = "SELECT coalesce(sum(entities), 0) FROM export";

static bool scan_rows(struct store_reader *reader, int64_t stage, struct span after, int64_t limit,
                      bool backwards, bool with_data, store_each_row each, void *argument,
                      struct error *error)
{
    struct query query;
    int which = (!backwards ? 0 : after.data ? 1 : 2) + (with_data ? 3 : 0);
    if (!query_start(&query, &reader->connection, STATEMENT_STAGE_SCAN + which, stage_sql[which],
                     error)) {
        return false;
    }
    query_integer(&query, stage);
    query_bytes(&query, after.data ? after : span_make("", 0));
    query_integer(&query, limit);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct store_entity entity;
        bool ok = entity_read_row(&query, 1, with_data, &entity, error);
        if (!ok || !each(argument, query_column_bytes(&query, 0), &entity)) {
            query_end(&query);
            return ok;
        }
    }
    return step == QUERY_DONE;
}

bool store_scan_stage(struct store_reader *reader, int64_t stage, struct span after, int64_t skip,
                      int64_t limit, bool backwards, bool with_data, store_each_row each,
                      void *argument, struct error *error)
{
    if (skip <= 0) {
        return scan_rows(reader, stage, after, limit, backwards, with_data, each, argument, error);
    }
    /* The skipped rows cost less when their entities are not joined: go on behind the last one. */
    struct buffer sort_key;
    bool found;
    buffer_init(&sort_key, SIZE_MAX / 2);
    /* A forward scan begins at `after` itself, if that has a row. */
    int64_t there = 0;
    bool done = backwards || !after.data || store_read_row(reader, stage, after, &there, error);
    done = done && store_read_rank(reader, stage, after, backwards, skip - 1 + (there != 0),
                                   &sort_key, &found, error);
    if (done && found) {
        done = scan_rows(reader, stage, buffer_span(&sort_key), limit, backwards, with_data, each,
                         argument, error);
    }
    buffer_fini(&sort_key);
    return done;
}

bool store_scan_list(struct store_reader *reader, uint32_t export_id, int64_t skip, int64_t limit,
                     bool with_data, store_each_entity each, void *argument, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_LIST_SCAN + with_data,
                     list_sql[with_data], error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_integer(&query, limit);
    query_integer(&query, skip);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct store_entity entity;
        bool ok = entity_read_row(&query, 0, with_data, &entity, error);
        if (!ok || !each(argument, &entity)) {
            query_end(&query);
            return ok;
        }
    }
    return step == QUERY_DONE;
}

/* ---- all of an export ---- */

struct scan {
    struct store_reader *reader;
    uint32_t export_id;
    struct store_position from;
    int64_t left; /* rows that may still be told; negative: all */
    bool stopped; /* by the callback */
    store_each_entity each;
    void *argument;
};

static bool scan_part(struct scan *scan, int part, struct error *error)
{
    struct query query;
    if (scan->left == 0 || scan->stopped) {
        return true;
    }
    if (!query_start(&query, &scan->reader->connection, STATEMENT_ENTITY_SCAN + part,
                     scan_sql[part], error)) {
        return false;
    }
    query_integer(&query, scan->export_id);
    query_integer(&query, scan->from.seq.slot);
    query_integer(&query, scan->from.seq.index);
    /* Parameters are numbered and the second part has no ?4; binding it anyway is harmless. */
    query_text(&query, scan->from.key);
    query_integer(&query, scan->left);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct store_entity entity;
        if (!entity_read_row(&query, 0, true, &entity, error)) {
            query_end(&query);
            return false;
        }
        scan->left -= scan->left > 0;
        if (!scan->each(scan->argument, &entity)) {
            scan->stopped = true;
            query_end(&query);
            return true;
        }
    }
    return step == QUERY_DONE;
}

bool store_scan_entities(struct store_reader *reader, uint32_t export_id,
                         const struct store_position *after, int64_t limit, store_each_entity each,
                         void *argument, struct error *error)
{
    if (!after) {
        return store_scan_list(reader, export_id, 0, limit, true, each, argument, error);
    }
    struct scan scan = {
        .reader = reader,
        .export_id = export_id,
        .from = *after,
        .left = limit < 0 ? -1 : limit,
        .each = each,
        .argument = argument,
    };
    return scan_part(&scan, 0, error) && scan_part(&scan, 1, error);
}

bool store_scan_file(struct store_reader *reader, uint32_t export_id, int64_t *after, int64_t limit,
                     int64_t *looked, store_each_entity each, void *argument, struct error *error)
{
    struct query query;
    *looked = 0;
    if (!query_start(&query, &reader->connection, STATEMENT_FILE_SCAN, file_sql, error)) {
        return false;
    }
    query_integer(&query, *after);
    query_integer(&query, limit);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct store_entity entity;
        bool own = query_column(&query, 6) == export_id;
        bool ok = !own || entity_read_row(&query, 0, true, &entity, error);
        ++*looked;
        if (!ok || (own && !each(argument, &entity))) {
            query_end(&query);
            return ok;
        }
        *after = query_column(&query, 0);
    }
    return step == QUERY_DONE;
}

bool store_read_entity_count(struct store_reader *reader, int64_t *count, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_ENTITY_COUNT, count_sql, error)) {
        return false;
    }
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *count = query_column(&query, 0);
        query_end(&query);
    }
    return step == QUERY_ROW;
}
