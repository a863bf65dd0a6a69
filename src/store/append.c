/*
 * Appending to the table change: the log.
 *
 * A statement that inserts one row opens and closes the table and each of its indexes for it, which
 * costs as much as the row. So rows are held back, and several go into one statement.
 *
 *   1. Rows that are held belong to the open transaction: they are in the table before anything
 *      reads it there, and before the transaction is committed.
 *   2. The counters have them already.
 *   3. Held texts are copies; a row too large for that is inserted at once, behind the held ones.
 *   4. A full group goes to the connection's helper, which inserts it while the writer merges. Its
 *      rows are in the table before the connection's next statement.
 */
#include "base/invariant.h"
#include "store/store_internal.h"

#define INSERT                                                                                     \
    "INSERT INTO change (id, export, key, op, slot, idx, at, torn, patch, append, scope, "         \
    "scope_left) VALUES "
#define ROW "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define FOUR_ROWS ROW ", " ROW ", " ROW ", " ROW
enum { ROWS_OF_SEVERAL = 4, ROWS_OF_MANY = 16 };
static const char one_sql[] = INSERT ROW;
static const char several_sql[] = INSERT FOUR_ROWS;
static const char many_sql[] = INSERT FOUR_ROWS ", " FOUR_ROWS ", " FOUR_ROWS ", " FOUR_ROWS;

static const char seq_exists_sql[] =
    "SELECT 1 FROM change WHERE slot = ? AND idx = ? AND export = ? LIMIT 1";
static const char gone_sql[] =
    "SELECT slot, idx FROM change WHERE export = ? AND key = ? AND op >= 3 "
    "ORDER BY id DESC LIMIT 1";

/* ---- held rows ---- */

static void bind_row(struct query *query, const struct held_change *held)
{
    const struct store_change *change = &held->row;
    query_integer(query, change->id);
    query_integer(query, change->export_id);
    query_text(query, change->key);
    query_integer(query, change->operation);
    query_integer(query, change->seq.slot);
    query_integer(query, change->seq.index);
    query_integer(query, change->at);
    query_integer(query, held->torn);
    query_text(query, change->patch);
    query_text(query, change->append);
    query_text(query, change->scope);
    query_text(query, change->scope_left);
}

static bool insert(struct connection *connection, const struct held_change *rows, size_t count,
                   struct error *error)
{
    struct query query;
    bool started =
        count == ROWS_OF_MANY
            ? query_start(&query, connection, STATEMENT_CHANGE_INSERT_MANY, many_sql, error)
        : count == ROWS_OF_SEVERAL
            ? query_start(&query, connection, STATEMENT_CHANGE_INSERT_SEVERAL, several_sql, error)
            : query_start(&query, connection, STATEMENT_CHANGE_INSERT, one_sql, error);
    for (size_t i = 0; started && i < count; i++) {
        bind_row(&query, &rows[i]);
    }
    return started && query_run(&query, error);
}

static bool insert_group(const struct held_group *held, struct connection *connection,
                         struct error *error)
{
    for (size_t i = 0, step; i < held->count; i += step) {
        size_t left = held->count - i;
        step = left >= ROWS_OF_MANY ? ROWS_OF_MANY : left >= ROWS_OF_SEVERAL ? ROWS_OF_SEVERAL : 1;
        if (!insert(connection, &held->rows[i], step, error)) {
            return false;
        }
    }
    return true;
}

static bool run_group(struct connection_task *task, struct connection *connection,
                      struct error *error)
{
    return insert_group((const struct held_group *)task, connection, error);
}

/* One group is enough for those who append little. */
static bool make_group(struct held_changes *held, size_t at)
{
    struct held_group *group = held->groups[at] ? NULL : memory_alloc(sizeof *group);
    if (group) {
        group->task = (struct connection_task){.run = run_group};
        group->count = group->length = 0;
        held->groups[at] = group;
    }
    return held->groups[at] != NULL;
}

bool held_changes_init(struct held_changes *held)
{
    held->at = 0;
    return make_group(held, 0);
}

void held_changes_fini(struct held_changes *held)
{
    for (size_t i = 0; i < HELD_GROUPS; i++) {
        memory_free(held->groups[i]);
    }
}

void held_changes_forget(struct held_changes *held)
{
    struct held_group *now = held->groups[held->at];
    INVARIANT(!now->task.waits);
    now->count = now->length = 0;
}

bool changes_flush(struct store_writer *writer, struct error *error)
{
    bool done = connection_settle(&writer->connection, error) &&
                insert_group(writer->held.groups[writer->held.at], &writer->connection, error);
    held_changes_forget(&writer->held);
    return done;
}

/* The next group, when the present one is full; its own rows are in the table by then. */
static bool pass_on(struct store_writer *writer, struct error *error)
{
    struct held_changes *held = &writer->held;
    size_t next = (held->at + 1) % HELD_GROUPS;
    if (!make_group(held, next) ||
        !connection_give(&writer->connection, &held->groups[held->at]->task)) {
        return changes_flush(writer, error);
    }
    held->at = next;
    connection_wait(&writer->connection, &held->groups[held->at]->task);
    held_changes_forget(held);
    return true;
}

static void hold_text(struct held_group *held, struct span *text)
{
    if (!text->data) {
        return;
    }
    char *copy = held->texts + held->length;
    memcpy(copy, text->data, text->length);
    held->length += text->length;
    *text = span_make(copy, text->length);
}

static size_t text_bytes(const struct store_change *change)
{
    return change->key.length + change->patch.length + change->append.length +
           change->scope.length + change->scope_left.length;
}

/* Keep it for one of the next statements; where it has no room, insert it. */
static bool hold(struct store_writer *writer, const struct store_change *change, bool torn,
                 struct error *error)
{
    struct held_group *held = writer->held.groups[writer->held.at];
    size_t size = text_bytes(change);
    if (size > HELD_TEXT_BYTES) {
        struct held_change row = {.row = *change, .torn = torn};
        return changes_flush(writer, error) && insert(&writer->connection, &row, 1, error);
    }
    if (held->count == HELD_CHANGES || held->length + size > HELD_TEXT_BYTES) {
        if (!pass_on(writer, error)) {
            return false;
        }
        held = writer->held.groups[writer->held.at];
    }
    struct held_change *row = &held->rows[held->count++];
    *row = (struct held_change){.row = *change, .torn = torn};
    hold_text(held, &row->row.key);
    hold_text(held, &row->row.patch);
    hold_text(held, &row->row.append);
    hold_text(held, &row->row.scope);
    hold_text(held, &row->row.scope_left);
    return true;
}

static bool holds_seq(const struct held_group *held, uint32_t export_id, struct seq seq)
{
    for (size_t i = 0; i < held->count; i++) {
        const struct store_change *change = &held->rows[i].row;
        if (change->export_id == export_id && seq_compare(change->seq, seq) == 0) {
            return true;
        }
    }
    return false;
}

/* The newest held delete or eviction of the key; NULL: there is none. */
static const struct store_change *find_gone(const struct held_group *held, uint32_t export_id,
                                            struct span key)
{
    for (size_t i = held->count; i-- > 0;) {
        const struct store_change *change = &held->rows[i].row;
        if (change->export_id == export_id && row_is_gone(change->operation) &&
            span_equal(change->key, key)) {
            return change;
        }
    }
    return NULL;
}

/* ---- appending ---- */

/* Whether another change of the export had the seq of the one that comes now. The log is asked
 * only when the seq does not go forward. */
static bool seq_is_shared(struct store_writer *writer, uint32_t export_id,
                          const struct export_counters *counters, struct seq seq, bool *shared,
                          struct error *error)
{
    *shared = false;
    if (counters->last_change == 0 || seq_compare(seq, counters->head) > 0) {
        return true;
    }
    /* Up to the floor nobody knows any more which seqs there were: the careful answer is yes. */
    if (seq_compare(seq, counters->last_seq) == 0 ||
        (counters->floor_change && seq_compare(seq, counters->floor_seq) <= 0)) {
        *shared = true;
        return true;
    }
    if (holds_seq(writer->held.groups[writer->held.at], export_id, seq)) {
        *shared = true;
        return true;
    }
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_CHANGE_SEQ_EXISTS, seq_exists_sql,
                     error)) {
        return false;
    }
    query_integer(&query, seq.slot);
    query_integer(&query, seq.index);
    query_integer(&query, export_id);
    enum query_step step = query_row(&query, error);
    *shared = step == QUERY_ROW;
    if (*shared) {
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool store_change_gone(struct store_writer *writer, uint32_t export_id, struct span key,
                       struct seq *seq, bool *found, struct error *error)
{
    const struct store_change *held =
        find_gone(writer->held.groups[writer->held.at], export_id, key);
    struct query query;
    *found = held != NULL;
    if (held) {
        *seq = held->seq;
        return true;
    }
    if (!query_start(&query, &writer->connection, STATEMENT_CHANGE_GONE, gone_sql, error)) {
        return false;
    }
    query_integer(&query, export_id);
    query_text(&query, key);
    enum query_step step = query_row(&query, error);
    *found = step == QUERY_ROW;
    if (*found) {
        *seq = (struct seq){query_column(&query, 0), query_column(&query, 1)};
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

static void count_change(struct store_writer *writer, struct export_counters *counters,
                         const struct store_change *change, bool shared)
{
    struct store_log_state *log = &writer->now.state;
    if (!log->any || seq_compare(change->seq, log->head) > 0) {
        log->head = change->seq;
    }
    if (!counters->last_change || seq_compare(change->seq, counters->head) > 0) {
        counters->head = change->seq;
    }
    log->last_change = change->id;
    log->any = true;
    log->rows++;
    log->bytes += change_bytes(change->key.length, change->patch.length, change->append.length);
    if (!counters->last_change) {
        counters->first_change = change->id;
    }
    counters->last_change = change->id;
    counters->last_seq = change->seq;
    counters->last_shared = shared;
    writer->log_dirty = true;
}

bool store_change_append(struct store_writer *writer, const struct store_change *change,
                         struct error *error)
{
    struct export_counters *counters = NULL;
    bool shared = false;
    if (!writer_ready(writer, error) ||
        !(counters = export_change(writer, change->export_id, error)) ||
        !seq_is_shared(writer, change->export_id, counters, change->seq, &shared, error)) {
        return false;
    }
    if (change->id != writer->now.state.last_change + 1) {
        error_set(error, ERROR_INTERNAL, "change %lld cannot follow change %lld in %s",
                  (long long)change->id, (long long)writer->now.state.last_change,
                  writer->connection.path);
        return writer_break(writer, error);
    }
    /* A late arrival below the export's floor may repeat a seq of which all was trimmed: a cursor
     * at that seq would then resume in the wrong place, so the change is born torn. */
    bool torn = counters->floor_change && seq_compare(change->seq, counters->floor_seq) <= 0;
    if (!hold(writer, change, torn, error)) {
        return false;
    }
    count_change(writer, counters, change, shared);
    return true;
}
