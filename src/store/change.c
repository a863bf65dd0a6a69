/* The table change: the log. */
#include "store/store_internal.h"

static const char insert_sql[] =
    "INSERT INTO change (id, export, key, op, slot, idx, at, torn, patch, append, scope, "
    "scope_left) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char seq_exists_sql[] =
    "SELECT 1 FROM change WHERE slot = ? AND idx = ? AND export = ? LIMIT 1";
static const char gone_sql[] =
    "SELECT slot, idx FROM change WHERE export = ? AND key = ? AND op >= 3 "
    "ORDER BY id DESC LIMIT 1";
/* Whether the seq is torn stands on its first kept change (see trim.c). */
static const char find_seq_sql[] =
    "SELECT id, torn, (SELECT max(id) FROM change WHERE slot = ?1 AND idx = ?2 AND export = ?3) "
    "FROM change WHERE slot = ?1 AND idx = ?2 AND export = ?3 ORDER BY id LIMIT 1";
/* In order of the index. Of changes that share a seq the first is met first, so a step that ends
 * among them need not go on there. */
static const char walk_seqs_sql[] =
    "SELECT id, slot, idx, export FROM change INDEXED BY change_seq "
    "WHERE (slot, idx, export) > (?, ?, ?) ORDER BY slot, idx, export, id LIMIT ?";

#define SCAN_COLUMNS                                                                               \
    "SELECT change.id, change.export, change.key, change.op, change.slot, change.idx, change.at, " \
    "change.patch, change.append, change.scope, change.scope_left"
enum { FIRST_JOINED = 11 }; /* column */
#define WITHOUT SCAN_COLUMNS " FROM change"
#define WITH                                                                                       \
    SCAN_COLUMNS ", entity.id, entity.change, entity.slot, entity.idx, entity.data FROM change "   \
                 "LEFT JOIN entity ON entity.export = change.export AND entity.key = change.key"
#define RANGE " WHERE change.id > ?1 AND change.id <= ?2"
#define ONE_EXPORT " AND change.export = ?4"
#define ONE_KEY " AND change.key = ?5"
#define ORDER " ORDER BY change.id LIMIT ?3"
/* The number of a variant is the sum of these. */
enum { SCAN_ONE_EXPORT = 1, SCAN_ONE_KEY = 2, SCAN_WITH_ENTITIES = 4 };
static const char *const scan_sql[] = {
    WITHOUT RANGE ORDER,
    WITHOUT RANGE ONE_EXPORT ORDER,
    WITHOUT RANGE ONE_KEY ORDER,
    WITHOUT RANGE ONE_EXPORT ONE_KEY ORDER,
    WITH RANGE ORDER,
    WITH RANGE ONE_EXPORT ORDER,
    WITH RANGE ONE_KEY ORDER,
    WITH RANGE ONE_EXPORT ONE_KEY ORDER,
};

static const char *const one_sql[] = {WITHOUT " WHERE change.id = ?1",
                                      WITH " WHERE change.id = ?1"};

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
    struct query query;
    *found = false;
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
    struct query query;
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
    if (!query_start(&query, &writer->connection, STATEMENT_CHANGE_INSERT, insert_sql, error)) {
        return false;
    }
    /* A late arrival below the export's floor may repeat a seq of which all was trimmed: a cursor
     * at that seq would then resume in the wrong place, so the change is born torn. */
    bool torn = counters->floor_change && seq_compare(change->seq, counters->floor_seq) <= 0;
    query_integer(&query, change->id);
    query_integer(&query, change->export_id);
    query_text(&query, change->key);
    query_integer(&query, change->operation);
    query_integer(&query, change->seq.slot);
    query_integer(&query, change->seq.index);
    query_integer(&query, change->at);
    query_integer(&query, torn);
    query_text(&query, change->patch);
    query_text(&query, change->append);
    query_text(&query, change->scope);
    query_text(&query, change->scope_left);
    if (!query_run(&query, error)) {
        return false;
    }
    count_change(writer, counters, change, shared);
    return true;
}

/* ---- scanning ---- */

/* A text that is NULL in the row is absent; one that SQLite had no memory for is an error. */
static bool read_text(const struct query *query, int column, struct span *text, struct error *error)
{
    *text = query_column_text(query, column);
    return text->data || query_is_null(query, column) ||
           error_set(error, ERROR_MEMORY, "out of memory");
}

static bool read_change(const struct query *query, struct store_change *change, struct error *error)
{
    *change = (struct store_change){
        .id = query_column(query, 0),
        .export_id = (uint32_t)query_column(query, 1),
        .operation = (enum row_operation)query_column(query, 3),
        .seq = {query_column(query, 4), query_column(query, 5)},
        .at = query_column(query, 6),
    };
    return read_text(query, 2, &change->key, error) && read_text(query, 7, &change->patch, error) &&
           read_text(query, 8, &change->append, error) &&
           read_text(query, 9, &change->scope, error) &&
           read_text(query, 10, &change->scope_left, error);
}

/* *entity stays untouched and *there false when the key has none now. */
static bool read_joined(const struct query *query, struct span key, struct store_entity *entity,
                        bool *there, struct error *error)
{
    *there = !query_is_null(query, FIRST_JOINED);
    if (!*there) {
        return true;
    }
    *entity = (struct store_entity){
        .id = query_column(query, FIRST_JOINED),
        .change = query_column(query, FIRST_JOINED + 1),
        .seq = {query_column(query, FIRST_JOINED + 2), query_column(query, FIRST_JOINED + 3)},
        .key = key,
    };
    return read_text(query, FIRST_JOINED + 4, &entity->data, error);
}

static bool tell_change(const struct query *query, bool with_entities, store_each_change each,
                        void *argument, bool *stop, struct error *error)
{
    struct store_change change;
    struct store_entity entity;
    bool there = false;
    if (!read_change(query, &change, error) ||
        (with_entities && !read_joined(query, change.key, &entity, &there, error))) {
        return false;
    }
    *stop = !each(argument, &change, there ? &entity : NULL);
    return true;
}

bool store_scan_changes(struct store_reader *reader, uint32_t export_id, struct span key,
                        int64_t from, int64_t to, int64_t limit, bool with_entities,
                        store_each_change each, void *argument, struct error *error)
{
    int variant = (export_id ? SCAN_ONE_EXPORT : 0) | (key.data ? SCAN_ONE_KEY : 0) |
                  (with_entities ? SCAN_WITH_ENTITIES : 0);
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_CHANGE_SCAN + variant,
                     scan_sql[variant], error)) {
        return false;
    }
    query_integer(&query, from);
    query_integer(&query, to);
    query_integer(&query, limit);
    if (export_id) {
        query_integer(&query, export_id);
    }
    if (key.data) {
        query.bound = 4; /* the key is ?5 also where there is no ?4 */
        query_text(&query, key);
    }
    bool stop = false;
    enum query_step step = QUERY_DONE;
    while (!stop && (step = query_row(&query, error)) == QUERY_ROW) {
        if (!tell_change(&query, with_entities, each, argument, &stop, error)) {
            query_end(&query);
            return false;
        }
    }
    if (stop) {
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool change_tell(struct store_reader *reader, int64_t id, bool with_entities,
                 store_each_change each, void *argument, bool *stop, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_LABELLED_CHANGE + with_entities,
                     one_sql[with_entities], error)) {
        return false;
    }
    query_integer(&query, id);
    enum query_step step = query_row(&query, error);
    if (step != QUERY_ROW) {
        return step == QUERY_DONE;
    }
    bool done = tell_change(&query, with_entities, each, argument, stop, error);
    query_end(&query);
    return done;
}

/* ---- finding ---- */

bool store_find_seq(struct store_reader *reader, uint32_t export_id, struct seq seq,
                    struct store_seq_range *range, struct error *error)
{
    struct query query;
    *range = (struct store_seq_range){0};
    if (!query_start(&query, &reader->connection, STATEMENT_CHANGE_FIND_SEQ, find_seq_sql, error)) {
        return false;
    }
    query_integer(&query, seq.slot);
    query_integer(&query, seq.index);
    query_integer(&query, export_id);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *range = (struct store_seq_range){
            .first = query_column(&query, 0),
            .last = query_column(&query, 2),
            .torn = query_column(&query, 1) != 0,
        };
        query_end(&query);
    }
    return step != QUERY_FAILED;
}

bool store_walk_seqs(struct store_reader *reader, uint32_t export_id, struct store_seq_walk *walk,
                     int64_t limit, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_CHANGE_WALK_SEQS, walk_seqs_sql,
                     error)) {
        return false;
    }
    query_integer(&query, walk->seq.slot);
    query_integer(&query, walk->seq.index);
    query_integer(&query, walk->export_id);
    query_integer(&query, limit);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        int64_t id = query_column(&query, 0);
        walk->seq = (struct seq){query_column(&query, 1), query_column(&query, 2)};
        walk->export_id = (uint32_t)query_column(&query, 3);
        if (walk->export_id == export_id && (walk->first == 0 || id < walk->first)) {
            walk->first = id;
        }
        limit--;
    }
    walk->done = limit > 0;
    return step == QUERY_DONE;
}
