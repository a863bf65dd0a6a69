/* The tables watched_window and watched_row: what the windows of subscribers hold and held. */
#include "store/store_internal.h"

static const char put_sql[] =
    "INSERT INTO watched_window (name, change, at) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE "
    "SET change = excluded.change, at = excluded.at RETURNING id";
static const char get_sql[] = "SELECT id, change FROM watched_window WHERE name = ?";
static const char row_sql[] =
    "INSERT INTO watched_row (window, key, left_at) VALUES (?, ?, ?) ON CONFLICT (window, key) DO "
    "UPDATE SET left_at = excluded.left_at WHERE left_at <> excluded.left_at";
static const char scan_sql[] = "SELECT key, left_at FROM watched_row WHERE window = ?";
static const char old_sql[] = "SELECT id FROM watched_window WHERE at < ? ORDER BY at LIMIT 1";
static const char clear_sql[] = "DELETE FROM watched_row WHERE (window, key) IN "
                                "(SELECT window, key FROM watched_row WHERE window = ? LIMIT ?)";
static const char forget_sql[] = "DELETE FROM watched_window WHERE id = ?";
static const char trim_age_sql[] =
    "DELETE FROM watched_row WHERE window = ?1 AND left_at > 0 AND left_at < ?2";
static const char trim_count_sql[] =
    "DELETE FROM watched_row WHERE window = ?1 AND left_at > 0 AND left_at <= "
    "(SELECT left_at FROM watched_row INDEXED BY watched_row_left WHERE window = ?1 AND left_at > "
    "0 "
    "ORDER BY left_at DESC LIMIT 1 OFFSET ?2)";

bool store_watched_put(struct store_writer *writer, const struct store_watched *window, int64_t *id,
                       struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_WATCHED_PUT, put_sql, error)) {
        return false;
    }
    query_text(&query, window->name);
    query_integer(&query, window->change);
    query_integer(&query, window->at);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        *id = query_column(&query, 0);
    }
    return step == QUERY_DONE;
}

bool store_watched_row(struct store_writer *writer, int64_t id, struct span key, int64_t left_at,
                       struct error *error)
{
    struct query query;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, STATEMENT_WATCHED_ROW, row_sql, error)) {
        return false;
    }
    query_integer(&query, id);
    query_text(&query, key);
    query_integer(&query, left_at);
    return query_run(&query, error);
}

static bool run(struct store_writer *writer, enum statement which, const char *sql, int64_t first,
                int64_t second, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, which, sql, error)) {
        return false;
    }
    query_integer(&query, first);
    query_integer(&query, second);
    return query_run(&query, error);
}

bool store_watched_trim(struct store_writer *writer, int64_t id, int64_t before, int64_t keep,
                        struct error *error)
{
    return writer_ready(writer, error) &&
           run(writer, STATEMENT_WATCHED_TRIM_AGE, trim_age_sql, id, before, error) &&
           run(writer, STATEMENT_WATCHED_TRIM_COUNT, trim_count_sql, id, keep, error);
}

/* The window that was watched longest ago, if that was before then; else 0. */
static bool find_old(struct store_writer *writer, int64_t before, int64_t *id, struct error *error)
{
    struct query query;
    *id = 0;
    if (!query_start(&query, &writer->connection, STATEMENT_WATCHED_OLD, old_sql, error)) {
        return false;
    }
    query_integer(&query, before);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *id = query_column(&query, 0);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool store_watched_forget(struct store_writer *writer, int64_t before, int64_t step,
                          struct error *error)
{
    int64_t id;
    struct query query;
    if (!writer_ready(writer, error) || !find_old(writer, before, &id, error)) {
        return false;
    }
    if (id == 0) {
        return true;
    }
    if (!run(writer, STATEMENT_WATCHED_CLEAR, clear_sql, id, step, error)) {
        return false;
    }
    if (sqlite3_changes(writer->connection.database) >= step) {
        return true; /* it goes when it has no rows any more */
    }
    if (!query_start(&query, &writer->connection, STATEMENT_WATCHED_FORGET, forget_sql, error)) {
        return false;
    }
    query_integer(&query, id);
    return query_run(&query, error);
}

bool store_read_watched(struct store_reader *reader, struct span name, int64_t *id, int64_t *change,
                        bool *found, struct error *error)
{
    struct query query;
    *found = false;
    if (!query_start(&query, &reader->connection, STATEMENT_WATCHED_GET, get_sql, error)) {
        return false;
    }
    query_text(&query, name);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *found = true;
        *id = query_column(&query, 0);
        *change = query_column(&query, 1);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool store_scan_watched(struct store_reader *reader, int64_t id, store_each_watched each,
                        void *argument, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_WATCHED_SCAN, scan_sql, error)) {
        return false;
    }
    query_integer(&query, id);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct span key = query_column_text(&query, 0);
        if (!key.data || !each(argument, key, query_column(&query, 1))) {
            query_end(&query);
            return key.data || error_set(error, ERROR_MEMORY, "out of memory");
        }
    }
    return step == QUERY_DONE;
}
