/* The tables watched_window and watched_row: what the windows of subscribers hold and held. */
#include "store/watched.h"
#include "store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* In `meta`: how many rows there are in watched_row. Counting them takes too long for each job. */
static const char rows_fact[] = "watched_rows";

static const char put_sql[] =
    "INSERT INTO watched_window (name, change, at) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE "
    "SET change = excluded.change, at = excluded.at RETURNING id, change";
static const char renew_sql[] =
    "INSERT INTO watched_window (name, change, at) VALUES (?, -1, ?3) ON CONFLICT (name) DO UPDATE "
    "SET change = CASE WHEN change < 0 THEN -1 ELSE ?2 END, at = ?3 RETURNING id, change";
static const char get_sql[] = "SELECT id, change FROM watched_window WHERE name = ?";
static const char row_sql[] =
    "INSERT INTO watched_row (window, key, left_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
static const char move_sql[] =
    "UPDATE watched_row SET left_at = ?3 WHERE window = ?1 AND key = ?2 AND left_at <> ?3";
static const char scan_sql[] = "SELECT key, left_at FROM watched_row WHERE window = ?";
static const char old_sql[] = "SELECT id, at FROM watched_window ORDER BY at LIMIT 1";
static const char windows_sql[] =
    "SELECT count(*) FROM watched_window INDEXED BY watched_window_at";
static const char rows_sql[] = "SELECT count(*) FROM watched_row";
static const char spoil_sql[] = "UPDATE watched_window SET change = -1 WHERE id = ?";
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
                       bool *kept, struct error *error)
{
    struct query query;
    enum statement which = window->renewed ? STATEMENT_WATCHED_RENEW : STATEMENT_WATCHED_PUT;
    if (!writer_ready(writer, error) ||
        !query_start(&query, &writer->connection, which, window->renewed ? renew_sql : put_sql,
                     error)) {
        return false;
    }
    query_text(&query, window->name);
    query_integer(&query, window->change);
    query_integer(&query, window->at);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        *id = query_column(&query, 0);
        *kept = query_column(&query, 1) >= 0;
    }
    return step == QUERY_DONE;
}

static bool put_row(struct store_writer *writer, enum statement which, const char *sql, int64_t id,
                    struct span key, int64_t left_at, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, which, sql, error)) {
        return false;
    }
    query_integer(&query, id);
    query_text(&query, key);
    query_integer(&query, left_at);
    return query_run(&query, error);
}

bool store_watched_row(struct store_writer *writer, int64_t id, struct span key, int64_t left_at,
                       int64_t *grown, struct error *error)
{
    if (!writer_ready(writer, error) ||
        !put_row(writer, STATEMENT_WATCHED_ROW, row_sql, id, key, left_at, error)) {
        return false;
    }
    if (connection_changes(&writer->connection) > 0) {
        ++*grown;
        return true;
    }
    return put_row(writer, STATEMENT_WATCHED_MOVE, move_sql, id, key, left_at, error);
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

/* The same, where rows go by it: *grown is the less. */
static bool clear(struct store_writer *writer, enum statement which, const char *sql, int64_t first,
                  int64_t second, int64_t *grown, struct error *error)
{
    if (!run(writer, which, sql, first, second, error)) {
        return false;
    }
    *grown -= connection_changes(&writer->connection);
    return true;
}

bool store_watched_trim(struct store_writer *writer, int64_t id, int64_t before, int64_t keep,
                        int64_t *grown, struct error *error)
{
    return writer_ready(writer, error) &&
           clear(writer, STATEMENT_WATCHED_TRIM_AGE, trim_age_sql, id, before, grown, error) &&
           clear(writer, STATEMENT_WATCHED_TRIM_COUNT, trim_count_sql, id, keep, grown, error);
}

/* ---- forgetting ---- */

/* The first two columns of a statement's first row; those that it does not have stay. */
static bool read_numbers(struct store_writer *writer, enum statement which, const char *sql,
                         int columns, int64_t *numbers, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, which, sql, error)) {
        return false;
    }
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        for (int i = 0; i < columns; i++) {
            numbers[i] = query_column(&query, i);
        }
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

/* *noted is what the fact says. */
static bool count_rows(struct store_writer *writer, int64_t grown, int64_t *noted, int64_t *rows,
                       struct error *error)
{
    struct buffer text;
    bool found;
    buffer_init(&text, 64);
    bool done = store_read_meta(&writer->reader, rows_fact, &text, &found, error);
    if (done && found && buffer_string(&text)) {
        *noted = strtoll(text.data, NULL, 10);
        *rows = *noted + grown;
    } else if (done) { /* `grown` are in it */
        done = read_numbers(writer, STATEMENT_WATCHED_ROWS, rows_sql, 1, rows, error);
    }
    buffer_fini(&text);
    return done;
}

static bool put_number(struct store_writer *writer, const char *name, int64_t number,
                       struct error *error)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)number);
    return store_meta_put(writer, name, span_of(text), error);
}

/* Some rows of a window, or what is left of it. One that goes before its time has not all its rows
 * from now on. */
static bool forget_some(struct store_writer *writer, const struct store_watched_limits *limits,
                        const int64_t window[2], int64_t step, struct store_watched_state *state,
                        struct error *error)
{
    struct query query;
    int64_t before = state->rows, id = window[0];
    if (window[1] >= limits->before &&
        (!put_number(writer, STORE_WATCHED_FORGOTTEN, limits->now, error) ||
         !query_start(&query, &writer->connection, STATEMENT_WATCHED_SPOIL, spoil_sql, error) ||
         (query_integer(&query, id), !query_run(&query, error)))) {
        return false;
    }
    if (!clear(writer, STATEMENT_WATCHED_CLEAR, clear_sql, id, step, &state->rows, error)) {
        return false;
    }
    if (before - state->rows >= step) {
        return true; /* it goes when it has no rows any more */
    }
    if (!query_start(&query, &writer->connection, STATEMENT_WATCHED_FORGET, forget_sql, error)) {
        return false;
    }
    query_integer(&query, id);
    state->windows--;
    return query_run(&query, error);
}

static bool is_beyond(const struct store_watched_limits *limits,
                      const struct store_watched_state *state)
{
    return state->rows > limits->rows || state->windows > limits->windows;
}

bool store_watched_forget(struct store_writer *writer, const struct store_watched_limits *limits,
                          int64_t grown, struct store_watched_state *state, struct error *error)
{
    int64_t noted = 0;
    *state = (struct store_watched_state){.rows = 0};
    if (!writer_ready(writer, error) || !count_rows(writer, grown, &noted, &state->rows, error) ||
        !read_numbers(writer, STATEMENT_WATCHED_WINDOWS, windows_sql, 1, &state->windows, error)) {
        return false;
    }
    int64_t rows = state->rows, windows = state->windows;
    while (!state->more) {
        int64_t oldest[2] = {0, INT64_MAX};
        if (!read_numbers(writer, STATEMENT_WATCHED_OLD, old_sql, 2, oldest, error)) {
            return false;
        }
        state->oldest_at = oldest[1];
        if (!oldest[0] || (oldest[1] >= limits->before && !is_beyond(limits, state))) {
            break;
        }
        int64_t step = limits->row_step - (rows - state->rows);
        state->more = step <= 0 || windows - state->windows >= limits->window_step;
        if (!state->more && !forget_some(writer, limits, oldest, step, state, error)) {
            return false;
        }
    }
    return state->rows == noted || put_number(writer, rows_fact, state->rows, error);
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
