/*
 * Trimming: the oldest changes, membership changes and tombstones go, a bounded number of each at a
 * time.
 *
 * A seq may be shared by several changes. Where some of them are trimmed and some are kept, a
 * cursor at that seq cannot be resumed: the first kept one is marked torn. Marking just that one
 * keeps a step bounded however many share the seq; when it is trimmed in its turn, the next is
 * marked.
 *
 * Rows were committed in the order of their ids, so each is at least as old as any behind it. One
 * that a wrong clock stamped later than now is as old as the next that is not.
 */
#include "store/store_internal.h"

static const char walk_sql[] =
    "SELECT id, export, slot, idx, at, key, patch, append FROM change WHERE id > ? "
    "ORDER BY id LIMIT ?";
/* In the following, ?1 < id <= ?2 are on their way out. */
static const char lowest_kept_sql[] = "SELECT slot, idx FROM change INDEXED BY change_seq "
                                      "WHERE id > ?2 ORDER BY slot, idx LIMIT 1";
static const char tear_sql[] =
    "UPDATE change SET torn = 1 WHERE id IN ("
    "SELECT (SELECT kept.id FROM change AS kept WHERE kept.slot = gone.slot "
    "AND kept.idx = gone.idx AND kept.export = gone.export AND kept.id > ?2 "
    "ORDER BY kept.id LIMIT 1) FROM change AS gone WHERE gone.id > ?1 AND gone.id <= ?2 "
    "AND (gone.slot, gone.idx) >= (?3, ?4))";
/* Up to where the rows from ?1 on are later than ?2, and when the next one was made. */
static const char ahead_sql[] =
    "SELECT id, at FROM change WHERE id > ? AND at <= ? ORDER BY id LIMIT 1";
static const char delete_sql[] = "DELETE FROM change WHERE id > ? AND id <= ?";
/* A change may move several rows in several stages. */
enum { FLIPS_FOR_STEP = 16 };
/* Only cursors from the floor on are resumed. While nothing is fed, time can note very many
 * membership changes with one change. */
static const char memberships_sql[] =
    "DELETE FROM derived_flip WHERE (export, change, key) IN (SELECT export, change, key "
    "FROM derived_flip INDEXED BY derived_flip_change WHERE change < ? ORDER BY change LIMIT ?) "
    "RETURNING export, change";
static const char tombstones_walk_sql[] =
    "SELECT change, at FROM tombstone INDEXED BY tombstone_change ORDER BY change LIMIT ?";
static const char tombstones_ahead_sql[] =
    "SELECT change, at FROM tombstone INDEXED BY tombstone_change WHERE change > ? AND at <= ? "
    "ORDER BY change LIMIT 1";
static const char tombstones_delete_sql[] = "DELETE FROM tombstone WHERE change <= ?";

/* Clocks of a minute apart are the same. */
enum { AHEAD_MS = 60 * 1000 };

/* The time of a row that is later than now; INT64_MAX: unknown. A row that was looked at once is
 * not looked at again: there may be a whole log of such, or very many tombstones. */
static bool find_time(struct store_writer *writer, struct ahead_rows *ahead, enum statement which,
                      const char *sql, int64_t id, int64_t now, int64_t *at, struct error *error)
{
    struct query query;
    if (id > ahead->until || !ahead->ends) {
        int64_t from = id > ahead->until ? id : ahead->until;
        if (!query_start(&query, &writer->connection, which, sql, error)) {
            return false;
        }
        query_integer(&query, from);
        query_integer(&query, now + AHEAD_MS);
        enum query_step step = query_row(&query, error);
        if (step == QUERY_FAILED) {
            return false;
        }
        *ahead = (struct ahead_rows){.until = writer->committed.state.last_change};
        if (step == QUERY_ROW) {
            ahead->ends = true;
            ahead->until = query_column(&query, 0) - 1;
            ahead->at = query_column(&query, 1);
            query_end(&query);
        }
    }
    *at = ahead->ends ? ahead->at : INT64_MAX;
    return true;
}

/* Which rows are later than now is another matter when now is moved. */
static void watch_now(struct store_writer *writer, int64_t now)
{
    if (now < writer->trimmed_at - AHEAD_MS || now > writer->trimmed_at + AHEAD_MS) {
        writer->ahead = writer->tombstones_ahead = (struct ahead_rows){.until = 0};
    }
    writer->trimmed_at = now;
}

/* Whether the oldest row must go, given what would be left with it. */
static bool is_due(struct store_writer *writer, const struct query *query,
                   const struct store_retention *retention, int64_t now, bool *due,
                   struct error *error)
{
    const struct store_log_state *log = &writer->now.state;
    int64_t at = query_column(query, 4);
    *due = (retention->rows > 0 && log->rows > retention->rows) ||
           (retention->bytes > 0 && log->bytes > retention->bytes);
    if (*due || retention->age_ms <= 0) {
        return true;
    }
    if (at > now + AHEAD_MS && !find_time(writer, &writer->ahead, STATEMENT_TRIM_AHEAD, ahead_sql,
                                          query_column(query, 0), now, &at, error)) {
        return false;
    }
    *due = at < now - retention->age_ms;
    return true;
}

static int64_t column_length(const struct query *query, int column)
{
    return sqlite3_column_bytes(query->statement, column);
}

/* Let the counters forget the present row. */
static bool forget_change(struct store_writer *writer, const struct query *query,
                          struct error *error)
{
    struct store_log_state *log = &writer->now.state;
    struct seq seq = {query_column(query, 2), query_column(query, 3)};
    struct export_counters *counters =
        export_change(writer, (uint32_t)query_column(query, 1), error);
    if (!counters) {
        return false;
    }
    if (!log->floor_change || seq_compare(seq, log->floor_seq) > 0) {
        log->floor_seq = seq;
    }
    /* A lower seq than the greatest trimmed one may have been there before: the careful answer. */
    counters->trimmed_seq = seq;
    counters->trimmed_shared = counters->floor_change && seq_compare(seq, counters->floor_seq) <= 0;
    if (!counters->floor_change || seq_compare(seq, counters->floor_seq) > 0) {
        counters->floor_seq = seq;
    }
    log->floor_change = query_column(query, 0);
    counters->floor_change = log->floor_change;
    log->rows--;
    log->bytes -= change_bytes((size_t)column_length(query, 5), (size_t)column_length(query, 6),
                               (size_t)column_length(query, 7));
    return true;
}

/* Changes on their way out: from < id <= to, and the greatest seq of them. */
struct outgoing {
    int64_t from, to;
    struct seq greatest;
};

static void note_outgoing(struct outgoing *outgoing, const struct query *query)
{
    struct seq seq = {query_column(query, 2), query_column(query, 3)};
    if (outgoing->to == outgoing->from || seq_compare(seq, outgoing->greatest) > 0) {
        outgoing->greatest = seq;
    }
    outgoing->to = query_column(query, 0);
}

/* Move the floors past what is due, up to `step` rows. */
static bool walk_changes(struct store_writer *writer, const struct store_retention *retention,
                         int64_t now, int64_t step, struct outgoing *outgoing, bool *more,
                         struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_TRIM_WALK, walk_sql, error)) {
        return false;
    }
    query_integer(&query, outgoing->from);
    query_integer(&query, step + 1);
    enum query_step result;
    int64_t walked = 0;
    while ((result = query_row(&query, error)) == QUERY_ROW) {
        bool due = false;
        bool ok = is_due(writer, &query, retention, now, &due, error);
        if (ok && due && walked < step) {
            note_outgoing(outgoing, &query);
            ok = forget_change(writer, &query, error);
            walked++;
            if (ok) {
                continue;
            }
        }
        *more = *more || due;
        query_end(&query);
        return ok || writer_break(writer, error);
    }
    return result == QUERY_DONE;
}

static bool start_outgoing(struct query *query, struct store_writer *writer, enum statement which,
                           const char *sql, const struct outgoing *outgoing, struct error *error)
{
    if (!query_start(query, &writer->connection, which, sql, error)) {
        return false;
    }
    query_integer(query, outgoing->from);
    query_integer(query, outgoing->to);
    return true;
}

/*
 * Mark what shares a seq with those that go. Seqs mostly grow, so that all that stay are mostly
 * greater: one look at the lowest of them spares a look for each that goes.
 */
static bool tear_kept(struct store_writer *writer, const struct outgoing *outgoing,
                      struct error *error)
{
    struct query query;
    if (!start_outgoing(&query, writer, STATEMENT_TRIM_LOWEST, lowest_kept_sql, outgoing, error)) {
        return false;
    }
    enum query_step step = query_row(&query, error);
    if (step != QUERY_ROW) {
        return step == QUERY_DONE;
    }
    struct seq lowest = {query_column(&query, 0), query_column(&query, 1)};
    query_end(&query);
    if (seq_compare(lowest, outgoing->greatest) > 0) {
        return true;
    }
    if (!start_outgoing(&query, writer, STATEMENT_TRIM_TEAR, tear_sql, outgoing, error)) {
        return false;
    }
    query_integer(&query, lowest.slot);
    query_integer(&query, lowest.index);
    return query_run(&query, error);
}

/* The export no longer knows all that time moved since that change. */
static bool forget_membership(struct store_writer *writer, const struct query *query,
                              struct error *error)
{
    struct export_counters *counters =
        export_change(writer, (uint32_t)query_column(query, 0), error);
    if (counters && query_column(query, 1) > counters->membership_floor) {
        counters->membership_floor = query_column(query, 1);
    }
    return counters != NULL;
}

static bool trim_memberships(struct store_writer *writer, int64_t step, int64_t watched, bool *more,
                             struct error *error)
{
    struct query query;
    if (!watched_keys_note(writer, watched, writer->now.state.floor_change, step * FLIPS_FOR_STEP,
                           error) ||
        !query_start(&query, &writer->connection, STATEMENT_TRIM_MEMBERSHIPS, memberships_sql,
                     error)) {
        return false;
    }
    query_integer(&query, writer->now.state.floor_change);
    query_integer(&query, step * FLIPS_FOR_STEP);
    int64_t trimmed = 0;
    enum query_step result;
    while ((result = query_row(&query, error)) == QUERY_ROW) {
        if (!forget_membership(writer, &query, error)) {
            query_end(&query);
            return writer_break(writer, error);
        }
        trimmed++;
    }
    *more = *more || trimmed >= step * FLIPS_FOR_STEP;
    return result == QUERY_DONE;
}

static bool trim_changes(struct store_writer *writer, const struct store_retention *retention,
                         int64_t now, int64_t step, int64_t watched, bool *more,
                         struct error *error)
{
    int64_t floor = writer->now.state.floor_change;
    struct outgoing outgoing = {.from = floor, .to = floor};
    struct query query;
    if (!walk_changes(writer, retention, now, step, &outgoing, more, error)) {
        return false;
    }
    if (outgoing.to == outgoing.from) {
        return true;
    }
    writer->log_dirty = true;
    return watched_keys_note(writer, watched > floor ? watched : floor, outgoing.to, 0, error) &&
           tear_kept(writer, &outgoing, error) &&
           start_outgoing(&query, writer, STATEMENT_TRIM_DELETE, delete_sql, &outgoing, error) &&
           query_run(&query, error);
}

/* Whether a tombstone must go by its age. */
static bool is_old(struct store_writer *writer, const struct query *tombstone,
                   const struct store_retention *retention, int64_t now, bool *old,
                   struct error *error)
{
    int64_t at = query_column(tombstone, 1);
    *old = false;
    if (retention->tombstone_age_ms <= 0) {
        return true;
    }
    if (at > now + AHEAD_MS &&
        !find_time(writer, &writer->tombstones_ahead, STATEMENT_TRIM_TOMBSTONES_AHEAD,
                   tombstones_ahead_sql, query_column(tombstone, 0), now, &at, error)) {
        return false;
    }
    *old = at < now - retention->tombstone_age_ms;
    return true;
}

/* The newest tombstone that is due, 0 when none, and how many are with it. */
static bool walk_tombstones(struct store_writer *writer, const struct store_retention *retention,
                            int64_t now, int64_t step, int64_t *last, int64_t *count, bool *more,
                            struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_TRIM_TOMBSTONES_WALK,
                     tombstones_walk_sql, error)) {
        return false;
    }
    query_integer(&query, step + 1);
    enum query_step result;
    while ((result = query_row(&query, error)) == QUERY_ROW) {
        bool old;
        if (!is_old(writer, &query, retention, now, &old, error)) {
            query_end(&query);
            return false;
        }
        bool beyond = retention->tombstone_rows > 0 &&
                      writer->now.tombstones - *count > retention->tombstone_rows;
        if ((old || beyond) && *count < step) {
            *last = query_column(&query, 0);
            ++*count;
            continue;
        }
        *more = *more || old || beyond;
        query_end(&query);
        return true;
    }
    return result == QUERY_DONE;
}

static bool trim_tombstones(struct store_writer *writer, const struct store_retention *retention,
                            int64_t now, int64_t step, bool *more, struct error *error)
{
    int64_t last = 0, count = 0;
    struct query query;
    if (writer->now.tombstones == 0) {
        return true;
    }
    if (!walk_tombstones(writer, retention, now, step, &last, &count, more, error)) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    if (!query_start(&query, &writer->connection, STATEMENT_TRIM_TOMBSTONES_DELETE,
                     tombstones_delete_sql, error)) {
        return false;
    }
    query_integer(&query, last);
    if (!query_run(&query, error)) {
        return false;
    }
    writer->now.tombstones -= connection_changes(&writer->connection);
    writer->now.state.tombstone_floor = last;
    writer->log_dirty = true;
    return true;
}

bool store_trim(struct store_writer *writer, const struct store_retention *retention, int64_t now,
                int64_t step, int64_t watched, bool *more, struct error *error)
{
    *more = false;
    watch_now(writer, now);
    return writer_ready(writer, error) && changes_flush(writer, error) &&
           trim_changes(writer, retention, now, step, watched, more, error) &&
           trim_memberships(writer, step, watched, more, error) &&
           watched_keys_forget(writer, watched, step, error) &&
           trim_tombstones(writer, retention, now, step, more, error) && notes_trim(writer, error);
}
