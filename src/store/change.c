/* Reading the table change: the log. */
#include "store/store_internal.h"

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

static const char back_sql[] =
    WITHOUT " NOT INDEXED WHERE change.id > ?1 AND change.id <= ?2 AND change.export = ?3 AND "
            "change.key = ?4 ORDER BY change.id DESC";
static const char find_time_sql[] =
    "SELECT id FROM change NOT INDEXED WHERE id > ? AND id <= ? AND export = ? AND at <= ? "
    "ORDER BY id DESC LIMIT 1";

static const char *const one_sql[] = {WITHOUT " WHERE change.id = ?1",
                                      WITH " WHERE change.id = ?1"};

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

/* Give the rows of a started query. */
static bool tell_rows(struct query *query, bool with_entities, store_each_change each,
                      void *argument, struct error *error)
{
    bool stop = false;
    enum query_step step = QUERY_DONE;
    while (!stop && (step = query_row(query, error)) == QUERY_ROW) {
        if (!tell_change(query, with_entities, each, argument, &stop, error)) {
            query_end(query);
            return false;
        }
    }
    if (stop) {
        query_end(query);
    }
    return step != QUERY_FAILED;
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
    return tell_rows(&query, with_entities, each, argument, error);
}

bool store_scan_back(struct store_reader *reader, uint32_t export_id, struct span key, int64_t from,
                     int64_t to, store_each_change each, void *argument, struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_CHANGE_SCAN_BACK, back_sql, error)) {
        return false;
    }
    query_integer(&query, from);
    query_integer(&query, to);
    query_integer(&query, export_id);
    query_text(&query, key);
    return tell_rows(&query, false, each, argument, error);
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

bool store_find_time(struct store_reader *reader, uint32_t export_id, int64_t at, int64_t from,
                     int64_t to, int64_t *id, struct error *error)
{
    struct query query;
    *id = 0;
    if (!query_start(&query, &reader->connection, STATEMENT_CHANGE_FIND_TIME, find_time_sql,
                     error)) {
        return false;
    }
    query_integer(&query, from);
    query_integer(&query, to);
    query_integer(&query, export_id);
    query_integer(&query, at);
    enum query_step step = query_row(&query, error);
    if (step == QUERY_ROW) {
        *id = query_column(&query, 0);
        query_end(&query);
    }
    return step != QUERY_FAILED;
}
