/* The table view_shape: what each view shows, and since when. */
#include "store/store_internal.h"

static const char note_sql[] =
    "INSERT INTO view_shape (view, shape, since) VALUES (?1, ?2, ?3) ON CONFLICT (view) "
    "DO UPDATE SET shape = excluded.shape, since = ?4 WHERE shape <> excluded.shape";
static const char since_sql[] = "SELECT since FROM view_shape WHERE view = ?";

bool store_view_note_shape(struct store_writer *writer, struct span id, uint32_t export_id,
                           struct span shape, bool ever, struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_SHAPE_NOTE, note_sql, error)) {
        return false;
    }
    query_text(&query, id);
    query_text(&query, shape);
    /* Nobody has a cursor of a view that is new, but whoever asks for it now. */
    int64_t last = store_export_counts(writer, export_id).last_change;
    query_integer(&query, ever || last == 0 ? 0 : last - 1);
    query_integer(&query, last);
    return query_run(&query, error);
}

bool store_read_shape_since(struct store_reader *reader, struct span id, int64_t *since,
                            struct error *error)
{
    struct query query;
    *since = 0;
    if (!query_start(&query, &reader->connection, STATEMENT_SHAPE_SINCE, since_sql, error)) {
        return false;
    }
    query_text(&query, id);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *since = query_column(&query, 0);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}
