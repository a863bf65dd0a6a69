/*
 * The table stage: which filtered and ordered sets of entities there are.
 *
 * A stage that no view needs any more is retired: it loses its definition, so that nothing finds
 * it, and its rows are swept away a few at a time. When the last is gone, so is the stage.
 */
#include "store/stage.h"
#include "store/store_internal.h"

static const char find_sql[] =
    "SELECT id, export, built_change IS NOT NULL, built_change FROM stage WHERE definition = ?";
static const char insert_sql[] =
    "INSERT INTO stage (definition, export, whole, rows) VALUES (?, ?, ?, 0)";
static const char progress_sql[] = "SELECT progress FROM stage WHERE id = ?";
static const char note_progress_sql[] = "UPDATE stage SET progress = ? WHERE id = ?";
static const char note_built_sql[] =
    "UPDATE stage SET progress = NULL, built_change = ? WHERE id = ?";
static const char live_sql[] =
    "SELECT id FROM stage WHERE definition IS NOT NULL AND id > ? ORDER BY id LIMIT 1";
static const char retire_sql[] = "UPDATE stage SET definition = NULL WHERE id = ?";
static const char retired_sql[] = "SELECT id FROM stage WHERE definition IS NULL LIMIT 1";
static const char delete_sql[] = "DELETE FROM stage WHERE id = ?";
static const char sweep_rows_sql[] =
    "DELETE FROM derived_row WHERE (stage, place) IN "
    "(SELECT stage, place FROM derived_row WHERE stage = ? ORDER BY place LIMIT ?)";
static const char sweep_turns_sql[] =
    "DELETE FROM derived_turn WHERE (stage, at, entity) IN "
    "(SELECT stage, at, entity FROM derived_turn WHERE stage = ? ORDER BY at, entity LIMIT ?)";

static bool find(struct connection *connection, enum statement which, struct span definition,
                 struct store_stage *stage, bool *found, struct error *error)
{
    struct query query;
    *found = false;
    if (!query_start(&query, connection, which, find_sql, error)) {
        return false;
    }
    query_text(&query, definition);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *found = true;
        *stage = (struct store_stage){.id = query_column(&query, 0),
                                      .export_id = (uint32_t)query_column(&query, 1),
                                      .built = query_column(&query, 2) != 0,
                                      .built_change = query_column(&query, 3)};
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool store_stage_ensure(struct store_writer *writer, struct span definition, uint32_t export_id,
                        bool whole, struct store_stage *stage, struct error *error)
{
    struct query query;
    bool found;
    if (!writer_ready(writer, error) ||
        !find(&writer->connection, STATEMENT_STAGE_FIND, definition, stage, &found, error)) {
        return false;
    }
    if (found) {
        return true;
    }
    if (!query_start(&query, &writer->connection, STATEMENT_STAGE_INSERT, insert_sql, error)) {
        return false;
    }
    query_text(&query, definition);
    query_integer(&query, export_id);
    query_integer(&query, whole);
    if (!query_run(&query, error)) {
        return false;
    }
    *stage = (struct store_stage){.id = connection_inserted(&writer->connection),
                                  .export_id = export_id};
    return true;
}

bool store_read_stage(struct store_reader *reader, struct span definition, int64_t *id,
                      int64_t *built_change, bool *found, struct error *error)
{
    struct store_stage stage = {.id = 0};
    if (!find(&reader->connection, STATEMENT_STAGE_READ, definition, &stage, found, error)) {
        return false;
    }
    *found = *found && stage.built;
    *id = *found ? stage.id : 0;
    *built_change = *found ? stage.built_change : 0;
    return true;
}

/* ---- building ---- */

bool store_stage_progress(struct store_writer *writer, int64_t stage, struct buffer *progress,
                          struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_STAGE_PROGRESS, progress_sql, error)) {
        return false;
    }
    query_integer(&query, stage);
    enum query_step step = query_row(&query, error);
    if (step != QUERY_ROW) {
        return step == QUERY_DONE;
    }
    buffer_add_span(progress, query_column_bytes(&query, 0));
    query_end(&query);
    return !progress->failed ||
           error_set(error, ERROR_MEMORY, "out of memory while building a view");
}

bool store_stage_note_progress(struct store_writer *writer, int64_t stage, struct span progress,
                               struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_STAGE_NOTE_PROGRESS, note_progress_sql,
                     error)) {
        return false;
    }
    query_bytes(&query, progress);
    query_integer(&query, stage);
    return query_run(&query, error);
}

bool store_stage_note_built(struct store_writer *writer, int64_t stage, uint32_t export_id,
                            struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_STAGE_NOTE_BUILT, note_built_sql,
                     error)) {
        return false;
    }
    query_integer(&query, store_export_counts(writer, export_id).last_change);
    query_integer(&query, stage);
    return query_run(&query, error);
}

/* ---- retiring ---- */

/* Run a statement that yields a stage number or none (0). */
static bool pick(struct store_writer *writer, enum statement which, const char *sql, int64_t after,
                 int64_t *stage, struct error *error)
{
    struct query query;
    *stage = 0;
    if (!query_start(&query, &writer->connection, which, sql, error)) {
        return false;
    }
    if (which == STATEMENT_STAGE_LIVE) {
        query_integer(&query, after);
    }
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *stage = query_column(&query, 0);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

static bool run_on(struct store_writer *writer, enum statement which, const char *sql,
                   int64_t stage, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, which, sql, error)) {
        return false;
    }
    query_integer(&query, stage);
    return query_run(&query, error);
}

bool store_stage_retire_others(struct store_writer *writer, const int64_t *stages, size_t count,
                               struct error *error)
{
    int64_t stage = 0;
    if (!writer_ready(writer, error)) {
        return false;
    }
    for (;;) {
        if (!pick(writer, STATEMENT_STAGE_LIVE, live_sql, stage, &stage, error)) {
            return false;
        }
        if (stage == 0) {
            return true;
        }
        bool wanted = false;
        for (size_t i = 0; i < count; i++) {
            wanted = wanted || stages[i] == stage;
        }
        if (!wanted && !run_on(writer, STATEMENT_STAGE_RETIRE, retire_sql, stage, error)) {
            return false;
        }
    }
}

/* Delete up to *left of a stage's rows or turns, and count them off. */
static bool sweep(struct store_writer *writer, enum statement which, const char *sql, int64_t stage,
                  int64_t *left, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, which, sql, error)) {
        return false;
    }
    query_integer(&query, stage);
    query_integer(&query, *left);
    if (!query_run(&query, error)) {
        return false;
    }
    *left -= connection_changes(&writer->connection);
    return true;
}

bool store_stage_sweep(struct store_writer *writer, int64_t step, bool *more, struct error *error)
{
    int64_t stage = 0;
    *more = true;
    if (!writer_ready(writer, error)) {
        return false;
    }
    while (step > 0) {
        if (!pick(writer, STATEMENT_STAGE_RETIRED, retired_sql, 0, &stage, error)) {
            return false;
        }
        if (stage == 0) {
            *more = false;
            return true;
        }
        if (!sweep(writer, STATEMENT_SWEEP_ROWS, sweep_rows_sql, stage, &step, error) ||
            !sweep(writer, STATEMENT_SWEEP_TURNS, sweep_turns_sql, stage, &step, error) ||
            (step > 0 && !run_on(writer, STATEMENT_STAGE_DELETE, delete_sql, stage, error))) {
            return false;
        }
    }
    return true;
}
