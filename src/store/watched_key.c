/*
 * The table watched_key: which entities changed, or were moved by time, where the log no longer
 * tells and somebody will ask (see store.h).
 *
 *   1. Rows that are not pinned were written by the trimming that took their changes. With the log
 *      they tell all from the change watched_floor on, which stands in `meta`.
 *   2. Beyond STORE_WATCHED_CHANGES rows the oldest go, and the floor goes up.
 */
#include "store/store_internal.h"
#include "store/watched.h"

#include <stdio.h>
#include <stdlib.h>

static const char floor_fact[] = "watched_floor";

/* ?1 < id <= ?2 */
#define CHANGES                                                                                    \
    "SELECT export, key, coalesce(scope, '') AS label, id AS change FROM change "                  \
    "WHERE id > ?1 AND id <= ?2 UNION ALL SELECT export, key, scope_left, id FROM change "         \
    "WHERE id > ?1 AND id <= ?2 AND scope_left IS NOT NULL"
/* ?1 <= change < ?2, of the next ?3 that go */
#define FLIPS                                                                                      \
    "SELECT export, key, '" STORE_WATCHED_MOVED "' AS label, change FROM (SELECT export, key, "    \
    "change FROM derived_flip INDEXED BY derived_flip_change WHERE change < ?2 ORDER BY change "   \
    "LIMIT ?3) WHERE change >= ?1"
#define PUT                                                                                        \
    "INSERT OR IGNORE INTO watched_key (pinned, export, key, label, change) "                      \
    "SELECT 0, export, key, label, change FROM "
enum { OF_CHANGES, OF_FLIPS };
static const char *const put_sql[] = {PUT "(" CHANGES ")", PUT "(" FLIPS ")"};
static const char pin_sql[] =
    "INSERT OR IGNORE INTO watched_key (pinned, export, key, label, change) "
    "SELECT 1, export, key, label, max(change) FROM (" CHANGES
    " UNION ALL SELECT export, key, label, change FROM watched_key "
    "WHERE pinned = 0 AND change >= ?3 AND change <= ?2 "
    "UNION ALL SELECT export, key, '" STORE_WATCHED_MOVED "', change FROM (SELECT export, key, "
    "change FROM derived_flip INDEXED BY derived_flip_change WHERE change >= ?3 AND change <= ?2 "
    "ORDER BY change DESC LIMIT ?4)) "
    "GROUP BY export, key, label ORDER BY max(change) DESC LIMIT ?5";
static const char count_sql[] = "SELECT count(*) FROM watched_key WHERE pinned = ?";
/* The change of the row number ?2, from the oldest on. */
static const char oldest_sql[] =
    "SELECT change FROM watched_key WHERE pinned = ? ORDER BY change LIMIT 1 OFFSET ?";
static const char forget_sql[] =
    "DELETE FROM watched_key WHERE (pinned, change, export, key, label) IN (SELECT pinned, change, "
    "export, key, label FROM watched_key WHERE pinned = ? AND change < ? ORDER BY change LIMIT ?)";
static const char scan_sql[] = "SELECT key, label, change FROM watched_key WHERE pinned = ? "
                               "AND change >= ? AND change <= ? AND export = ? ORDER BY change";

/* ---- statements ---- */

/* One that gives no rows. */
static bool run(struct store_writer *writer, enum statement which, const char *sql,
                const int64_t numbers[], int count, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, which, sql, error)) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        query_integer(&query, numbers[i]);
    }
    return query_run(&query, error);
}

static int64_t changed(const struct store_writer *writer)
{
    return connection_changes(&writer->connection);
}

/* The first number of the first row; without a row it stays. */
static bool ask(struct store_writer *writer, enum statement which, const char *sql,
                const int64_t numbers[], int count, int64_t *answer, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, which, sql, error)) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        query_integer(&query, numbers[i]);
    }
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *answer = query_column(&query, 0);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

/* ---- the floor ---- */

static bool read_floor(struct connection *connection, int64_t *floor, struct error *error)
{
    struct buffer text;
    bool found;
    *floor = -1;
    buffer_init(&text, 64);
    bool done = meta_get(connection, floor_fact, &text, &found, error);
    if (done && found) {
        const char *string = buffer_string(&text);
        done = string || error_set(error, ERROR_MEMORY, "out of memory");
        *floor = string ? strtoll(string, NULL, 10) : -1;
    }
    buffer_fini(&text);
    return done;
}

static bool set_floor(struct store_writer *writer, int64_t floor, struct error *error)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)floor);
    writer->now.watched_floor = floor;
    return meta_put(&writer->connection, floor_fact, span_of(text), error);
}

bool watched_keys_read(struct store_writer *writer, struct error *error)
{
    return read_floor(&writer->connection, &writer->committed.watched_floor, error) &&
           ask(writer, STATEMENT_WATCHED_KEYS_COUNT, count_sql, (int64_t[]){0}, 1,
               &writer->committed.watched_keys, error);
}

bool store_read_watched_floor(struct store_reader *reader, int64_t *floor, struct error *error)
{
    return read_floor(&reader->connection, floor, error);
}

/* ---- forgetting ---- */

/* A negative step: all of them. */
static bool forget(struct store_writer *writer, bool pinned, int64_t before, int64_t step,
                   int64_t *forgotten, struct error *error)
{
    if (!run(writer, STATEMENT_WATCHED_KEYS_FORGET, forget_sql, (int64_t[]){pinned, before, step},
             3, error)) {
        return false;
    }
    *forgotten += changed(writer);
    writer->now.watched_keys -= pinned ? 0 : changed(writer);
    return true;
}

bool store_watched_keys_unpin(struct store_writer *writer, int64_t before, int64_t step,
                              struct error *error)
{
    int64_t forgotten = 0;
    return writer_ready(writer, error) && forget(writer, true, before, step, &forgotten, error);
}

/* A later start, by another setting, may ask for what nobody asks for now. */
bool watched_keys_forget(struct store_writer *writer, int64_t before, int64_t step,
                         struct error *error)
{
    int64_t forgotten = 0, floor = writer->now.state.floor_change;
    if (!writer->now.watched_keys) {
        return true;
    }
    floor = before < floor ? before : floor;
    return forget(writer, false, before, step, &forgotten, error) &&
           (!forgotten || floor <= writer->now.watched_floor || set_floor(writer, floor, error));
}

/* Beyond the bound the oldest `excess` go, and what shares a change with them. *last: theirs. */
static bool bound(struct store_writer *writer, bool pinned, int64_t excess, int64_t *last,
                  struct error *error)
{
    int64_t forgotten = 0;
    return ask(writer, STATEMENT_WATCHED_KEYS_OLDEST, oldest_sql, (int64_t[]){pinned, excess - 1},
               2, last, error) &&
           forget(writer, pinned, *last + 1, -1, &forgotten, error);
}

/* ---- noting ---- */

static bool note(struct store_writer *writer, int which, const int64_t numbers[], int count,
                 struct error *error)
{
    if (!run(writer, STATEMENT_WATCHED_KEYS_PUT + which, put_sql[which], numbers, count, error)) {
        return false;
    }
    writer->now.watched_keys += changed(writer);
    int64_t excess = writer->now.watched_keys - STORE_WATCHED_CHANGES, last = 0;
    return excess <= 0 ||
           (bound(writer, false, excess, &last, error) &&
            /* The note may be older than the forgotten part. */
            (last + 1 <= writer->now.watched_floor || set_floor(writer, last + 1, error)));
}

bool watched_keys_note(struct store_writer *writer, int64_t from, int64_t to, int64_t memberships,
                       struct error *error)
{
    return from >= to || note(writer, memberships ? OF_FLIPS : OF_CHANGES,
                              (int64_t[]){from, to, memberships}, memberships ? 3 : 2, error);
}

/* ---- at a start ---- */

bool store_watched_keys_start(struct store_writer *writer, bool keep, bool *anew,
                              struct error *error)
{
    bool kept = writer->now.watched_floor >= 0;
    *anew = keep && !kept;
    if (!writer_ready(writer, error)) {
        return false;
    }
    if (*anew) {
        return set_floor(writer, writer->now.state.floor_change, error);
    }
    int64_t forgotten = 0;
    return keep || !kept ||
           (forget(writer, true, INT64_MAX, -1, &forgotten, error) &&
            forget(writer, false, INT64_MAX, -1, &forgotten, error) &&
            set_floor(writer, -1, error));
}

bool store_watched_keys_pin(struct store_writer *writer, int64_t from, int64_t to,
                            struct error *error)
{
    int64_t first = from > to - STORE_WATCHED_CHANGES ? from : to - STORE_WATCHED_CHANGES,
            count = 0, last = 0;
    if (!writer_ready(writer, error) || !changes_flush(writer, error) ||
        !run(writer, STATEMENT_WATCHED_KEYS_PIN, pin_sql,
             (int64_t[]){first, to, from, STORE_WATCHED_CHANGES, STORE_WATCHED_PINNED}, 5, error) ||
        !ask(writer, STATEMENT_WATCHED_KEYS_COUNT, count_sql, (int64_t[]){1}, 1, &count, error)) {
        return false;
    }
    int64_t excess = count - STORE_WATCHED_PINNED;
    return excess <= 0 || bound(writer, true, excess, &last, error);
}

/* ---- reading ---- */

bool store_scan_watched_keys(struct store_reader *reader, bool pinned, uint32_t export_id,
                             int64_t from, int64_t to, store_each_watched_key each, void *argument,
                             struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_WATCHED_KEYS_SCAN, scan_sql, error)) {
        return false;
    }
    query_integer(&query, pinned);
    query_integer(&query, from);
    query_integer(&query, to);
    query_integer(&query, export_id);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct span key = query_column_text(&query, 0), label = query_column_text(&query, 1);
        bool read = key.data && label.data;
        if (!read || !each(argument, key, label, query_column(&query, 2))) {
            query_end(&query);
            return read || error_set(error, ERROR_MEMORY, "out of memory");
        }
    }
    return step == QUERY_DONE;
}
