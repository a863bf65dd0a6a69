/*
 * How many rows each stage has, kept with it, so that nobody has to count them. A transaction's
 * differences are gathered here and written once, when it is committed.
 */
#include "store/stage.h"
#include "store/store_internal.h"

static const char add_sql[] = "UPDATE stage SET rows = rows + ? WHERE id = ?";
static const char read_sql[] =
    "SELECT rows FROM stage WHERE definition = ? AND built_change IS NOT NULL";

static struct stage_count *find(struct store_writer *writer, int64_t stage)
{
    for (size_t i = 0; i < writer->stage_count; i++) {
        if (writer->stages[i].stage == stage) {
            return &writer->stages[i];
        }
    }
    return NULL;
}

bool stage_count_add(struct store_writer *writer, int64_t stage, int64_t rows, struct error *error)
{
    struct stage_count *count = find(writer, stage);
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
        if (!query_start(&query, &writer->connection, STATEMENT_STAGE_COUNT, add_sql, error)) {
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
    if (!query_start(&query, &reader->connection, STATEMENT_STAGE_ROWS, read_sql, error)) {
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
