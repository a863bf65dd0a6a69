/*
 * The table derived_row as the writer keeps it, and how many rows each stage has, kept with the
 * stage, so that nobody has to count them. A transaction's differences are gathered here and
 * written once, when it is committed.
 */
#include "store/stage.h"
#include "store/store_internal.h"

static const char put_sql[] = "INSERT INTO derived_row (stage, place, entity) VALUES (?, ?, ?)";
static const char remove_sql[] = "DELETE FROM derived_row WHERE stage = ? AND place = ?";
static const char at_sql[] = "SELECT entity FROM derived_row WHERE stage = ? AND place = ?";
#define SCAN "SELECT place, entity FROM derived_row WHERE stage = ?1 "
#define PAGE " LIMIT ?3 OFFSET ?4"
static const char count_sql[] = "SELECT count(*) FROM derived_row WHERE stage = ? AND place < ?";
static const char *const scan_sql[] = {
    SCAN "AND place >= ?2 ORDER BY place" PAGE,
    SCAN "AND place < ?2 ORDER BY place DESC" PAGE,
    SCAN "ORDER BY place DESC" PAGE,
};

static const char count_add_sql[] = "UPDATE stage SET rows = rows + ? WHERE id = ?";
static const char count_read_sql[] =
    "SELECT rows FROM stage WHERE definition = ? AND built_change IS NOT NULL";

/* ---- how many rows a stage has ---- */

static struct stage_count *find_count(struct store_writer *writer, int64_t stage)
{
    for (size_t i = 0; i < writer->stage_count; i++) {
        if (writer->stages[i].stage == stage) {
            return &writer->stages[i];
        }
    }
    return NULL;
}

static bool count_rows(struct store_writer *writer, int64_t stage, int64_t rows,
                       struct error *error)
{
    struct stage_count *count = find_count(writer, stage);
    if (count) {
        count->rows += rows;
        return true;
    }
    if (writer->stage_count == writer->stage_capacity) {
        size_t capacity = writer->stage_capacity ? 2 * writer->stage_capacity : 8;
        struct stage_count *stages = memory_resize(writer->stages, capacity * sizeof *stages);
        if (!stages) {
            error_set(error, ERROR_MEMORY, "no memory to count the rows of a view");
            return writer_break(writer, error);
        }
        writer->stages = stages;
        writer->stage_capacity = capacity;
    }
    writer->stages[writer->stage_count++] = (struct stage_count){stage, rows};
    return true;
}

bool stage_counts_write(struct store_writer *writer, struct error *error)
{
    for (size_t i = 0; i < writer->stage_count; i++) {
        struct query query;
        if (writer->stages[i].rows == 0) {
            continue;
        }
        if (!query_start(&query, &writer->connection, STATEMENT_STAGE_COUNT, count_add_sql,
                         error)) {
            return false;
        }
        query_integer(&query, writer->stages[i].rows);
        query_integer(&query, writer->stages[i].stage);
        if (!query_run(&query, error)) {
            return false;
        }
    }
    return true;
}

bool store_read_stage_rows(struct store_reader *reader, struct span definition, int64_t *rows,
                           bool *found, struct error *error)
{
    struct query query;
    *found = false;
    if (!query_start(&query, &reader->connection, STATEMENT_STAGE_ROWS, count_read_sql, error)) {
        return false;
    }
    query_text(&query, definition);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *rows = query_column(&query, 0);
        *found = true;
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

/* ---- the rows ---- */

/* A statement about the row at a sort key. */
static bool start(struct query *query, struct connection *connection, enum statement which,
                  const char *sql, int64_t stage, struct span sort_key, struct error *error)
{
    if (!query_start(query, connection, which, sql, error)) {
        return false;
    }
    query_integer(query, stage);
    query_bytes(query, sort_key);
    return true;
}

bool store_row_put(struct store_writer *writer, int64_t stage, struct span sort_key, int64_t entity,
                   struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !start(&query, &writer->connection, STATEMENT_ROW_PUT, put_sql, stage, sort_key, error)) {
        return false;
    }
    query_integer(&query, entity);
    return query_run(&query, error) && count_rows(writer, stage, 1, error);
}

bool store_row_remove(struct store_writer *writer, int64_t stage, struct span sort_key,
                      struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !start(&query, &writer->connection, STATEMENT_ROW_REMOVE, remove_sql, stage, sort_key,
               error) ||
        !query_run(&query, error)) {
        return false;
    }
    if (connection_changes(&writer->connection) == 1) {
        return count_rows(writer, stage, -1, error);
    }
    error_set(error, ERROR_INTERNAL, "%s: stage %lld has no row where one must go",
              writer->connection.path, (long long)stage);
    return writer_break(writer, error);
}

static bool start_scan(struct query *query, struct connection *connection, int64_t stage,
                       struct span from, bool backwards, int64_t skip, int64_t limit,
                       struct error *error)
{
    int which = !backwards ? 0 : from.data ? 1 : 2;
    if (!query_start(query, connection, STATEMENT_ROW_SCAN + which, scan_sql[which], error)) {
        return false;
    }
    query_integer(query, stage);
    /* The least sort key: an empty one. The third statement has no ?2; binding it is harmless. */
    query_bytes(query, from.data ? from : span_make("", 0));
    query_integer(query, limit);
    query_integer(query, skip);
    return true;
}

bool store_row_scan(struct store_writer *writer, int64_t stage, struct span from, bool backwards,
                    int64_t skip, int64_t limit, store_each_sort_key each, void *argument,
                    struct error *error)
{
    struct query query;
    if (!start_scan(&query, &writer->connection, stage, from, backwards, skip, limit, error)) {
        return false;
    }
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        if (!each(argument, query_column_bytes(&query, 0), query_column(&query, 1))) {
            query_end(&query);
            return true;
        }
    }
    return step == QUERY_DONE;
}

bool store_read_row(struct store_reader *reader, int64_t stage, struct span sort_key,
                    int64_t *entity, struct error *error)
{
    struct query query;
    *entity = 0;
    if (!start(&query, &reader->connection, STATEMENT_ROW_AT, at_sql, stage, sort_key, error)) {
        return false;
    }
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *entity = query_column(&query, 0);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool store_read_rank(struct store_reader *reader, int64_t stage, struct span from, bool backwards,
                     int64_t rank, struct buffer *sort_key, bool *found, struct error *error)
{
    struct query query;
    *found = false;
    if (!start_scan(&query, &reader->connection, stage, from, backwards, rank, 1, error)) {
        return false;
    }
    enum query_step step = query_row(&query, error);
    if (step != QUERY_ROW) {
        return step == QUERY_DONE;
    }
    *found = buffer_add_span(sort_key, query_column_bytes(&query, 0));
    query_end(&query);
    return *found || error_set(error, ERROR_MEMORY, "out of memory while reading a view");
}

bool store_count_rows(struct store_reader *reader, int64_t stage, struct span sort_key,
                      int64_t *count, struct error *error)
{
    struct query query;
    *count = 0;
    if (!start(&query, &reader->connection, STATEMENT_ROW_COUNT, count_sql, stage, sort_key,
               error)) {
        return false;
    }
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *count = query_column(&query, 0);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}
