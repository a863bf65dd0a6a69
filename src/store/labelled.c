/*
 * Rows of some labels among many (see view.h), in one order: sort keys of a stage that begin with
 * the label, changes, tombstones. The cost is that of the rows of these labels.
 *
 * Each label has an index of its rows in that order. They are merged in rounds: of each label the
 * next few are read, and given up to the horizon, which is the nearest of the last ones of those
 * labels that may have more. The next round goes on behind it.
 */
#include "store/stage.h"
#include "store/store_internal.h"

#include <stdlib.h>

enum { ROUND_FIRST = 32, ROUND_LEAST = 4, ROUND_ITEMS = 8192, NUMBER = 8 };

static const char rows_sql[] =
    "SELECT place, entity FROM derived_row "
    "WHERE stage = ?1 AND place > ?2 AND place < ?3 ORDER BY place LIMIT ?4";
static const char row_sql[] = "SELECT id, change, slot, idx, key, data FROM entity WHERE id = ?";
static const char *const changes_sql[] = {
    "SELECT id FROM change INDEXED BY change_scope "
    "WHERE export = ?1 AND scope = ?2 AND id > ?3 AND id <= ?4 ORDER BY id LIMIT ?5",
    "SELECT id FROM change INDEXED BY change_scope_left "
    "WHERE export = ?1 AND scope_left = ?2 AND id > ?3 AND id <= ?4 ORDER BY id LIMIT ?5",
};
static const char tombstones_sql[] = "SELECT change FROM tombstone INDEXED BY tombstone_scope "
                                     "WHERE export = ?1 AND scope = ?2 AND scope <> '' AND change "
                                     "< ?3 ORDER BY change DESC LIMIT ?4";

/* One row to tell: its sort key in the order, as bytes, and what it is found by. */
struct item {
    size_t source;
    int64_t id;
    size_t at, length; /* in `bytes` */
};

struct labelled {
    struct store_reader *reader;
    const struct store_labels *labels;
    size_t sources; /* one for each label, or two */
    bool (*load)(struct labelled *labelled, size_t source, int64_t limit, struct error *error);
    bool (*tell)(struct labelled *labelled, const struct item *item, bool *stop,
                 struct error *error);
    struct item *items;
    size_t count, capacity;
    struct buffer bytes;
    struct buffer behind; /* go on behind this sort key; empty: from the first */
    struct buffer horizon;
    bool bounded; /* there is a horizon */
    int64_t left; /* rows that may still be told; negative: all */
    /* of rows */
    int64_t stage;
    struct buffer low, high;
    store_each_row each_row;
    /* of changes and tombstones */
    uint32_t export_id;
    int64_t from, to;
    bool with_entities;
    store_each_change each_change;
    bool (*each_tombstone)(void *argument, const struct store_tombstone *tombstone);
    void *argument;
};

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while reading rows of a scope");
}

static struct span item_order(const struct labelled *labelled, const struct item *item)
{
    return span_make(labelled->bytes.data + item->at, item->length);
}

/* ---- rounds ---- */

static bool add_item(struct labelled *labelled, size_t source, int64_t id, struct span order,
                     struct error *error)
{
    if (labelled->count == labelled->capacity) {
        size_t capacity = labelled->capacity ? 2 * labelled->capacity : ROUND_FIRST;
        struct item *items = memory_resize(labelled->items, capacity * sizeof *items);
        if (!items) {
            return out_of_memory(error);
        }
        labelled->items = items;
        labelled->capacity = capacity;
    }
    labelled->items[labelled->count++] =
        (struct item){source, id, labelled->bytes.length, order.length};
    return buffer_add_span(&labelled->bytes, order) || out_of_memory(error);
}

/* Of numbers that grow: bytes that compare as they do. */
static bool add_number(struct labelled *labelled, size_t source, int64_t id, uint64_t order,
                       struct error *error)
{
    char bytes[NUMBER];
    for (int i = 0; i < NUMBER; i++) {
        bytes[i] = (char)(order >> (8 * (NUMBER - 1 - i)));
    }
    return add_item(labelled, source, id, span_make(bytes, sizeof bytes), error);
}

/* A label that gave as many as it was asked for may have more behind its last one. */
static bool lower_horizon(struct labelled *labelled, struct error *error)
{
    struct span last = item_order(labelled, &labelled->items[labelled->count - 1]);
    if (labelled->bounded && span_compare(last, buffer_span(&labelled->horizon)) >= 0) {
        return true;
    }
    labelled->bounded = true;
    buffer_clear(&labelled->horizon);
    return buffer_add_span(&labelled->horizon, last) || out_of_memory(error);
}

static bool load_round(struct labelled *labelled, int64_t limit, struct error *error)
{
    labelled->count = 0;
    labelled->bounded = false;
    buffer_clear(&labelled->bytes);
    for (size_t i = 0; i < labelled->sources; i++) {
        size_t before = labelled->count;
        if (!labelled->load(labelled, i, limit, error) ||
            ((int64_t)(labelled->count - before) == limit && !lower_horizon(labelled, error))) {
            return false;
        }
    }
    return true;
}

/* The items of the round, each put behind its order's bytes so that they can be sorted alone. */
struct sorted {
    struct span order;
    const struct item *item;
};

static int compare_sorted(const void *a, const void *b)
{
    const struct sorted *left = a, *right = b;
    return span_compare(left->order, right->order);
}

/* A row that two labels have comes once. */
static bool tell_sorted(struct labelled *labelled, const struct sorted *sorted, bool *stop,
                        struct error *error)
{
    struct span horizon = buffer_span(&labelled->horizon);
    for (size_t i = 0; i < labelled->count && !*stop; i++) {
        if (labelled->bounded && span_compare(sorted[i].order, horizon) > 0) {
            break;
        }
        if (i > 0 && sorted[i].item->id == sorted[i - 1].item->id) {
            continue;
        }
        if (!labelled->tell(labelled, sorted[i].item, stop, error)) {
            return false;
        }
        *stop = *stop || (labelled->left > 0 && --labelled->left == 0);
    }
    buffer_clear(&labelled->behind);
    return buffer_add_span(&labelled->behind, horizon) || out_of_memory(error);
}

static bool tell_round(struct labelled *labelled, bool *stop, struct error *error)
{
    struct sorted *sorted = memory_new((labelled->count + 1) * sizeof *sorted);
    if (!sorted) {
        return out_of_memory(error);
    }
    for (size_t i = 0; i < labelled->count; i++) {
        sorted[i].item = &labelled->items[i];
        sorted[i].order = item_order(labelled, &labelled->items[i]);
    }
    qsort(sorted, labelled->count, sizeof *sorted, compare_sorted);
    bool done = tell_sorted(labelled, sorted, stop, error);
    memory_free(sorted);
    return done;
}

static bool run(struct labelled *labelled, struct error *error)
{
    bool done = true, stop = labelled->left == 0 || labelled->sources == 0;
    int64_t limit = ROUND_FIRST, most = ROUND_ITEMS / (int64_t)(labelled->sources + 1);
    buffer_init(&labelled->bytes, SIZE_MAX / 2);
    buffer_init(&labelled->horizon, SIZE_MAX / 2);
    while (done && !stop) {
        if (limit > most) {
            limit = most > ROUND_LEAST ? most : ROUND_LEAST;
        }
        done = load_round(labelled, limit, error) && tell_round(labelled, &stop, error);
        stop = stop || !labelled->bounded;
        limit *= 4;
    }
    buffer_fini(&labelled->bytes);
    buffer_fini(&labelled->horizon);
    buffer_fini(&labelled->behind);
    memory_free(labelled->items);
    return done;
}

/* ---- rows of a stage ---- */

/* Places begin with the label and a byte 0, which no label has. */
static bool set_range(struct labelled *labelled, struct span label, struct error *error)
{
    buffer_clear(&labelled->low);
    buffer_clear(&labelled->high);
    buffer_add_span(&labelled->low, label);
    buffer_add_char(&labelled->low, '\0');
    buffer_add_span(&labelled->low, buffer_span(&labelled->behind));
    buffer_add_span(&labelled->high, label);
    buffer_add_char(&labelled->high, '\1');
    return (!labelled->low.failed && !labelled->high.failed) || out_of_memory(error);
}

static bool load_rows(struct labelled *labelled, size_t source, int64_t limit, struct error *error)
{
    struct span label = labelled->labels->list[source];
    struct query query;
    if (!set_range(labelled, label, error) ||
        !query_start(&query, &labelled->reader->connection, STATEMENT_LABELLED_ROWS, rows_sql,
                     error)) {
        return false;
    }
    query_integer(&query, labelled->stage);
    query_bytes(&query, buffer_span(&labelled->low));
    query_bytes(&query, buffer_span(&labelled->high));
    query_integer(&query, limit);
    enum query_step step;
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct span sort_key = query_column_bytes(&query, 0);
        sort_key.data += label.length + 1;
        sort_key.length -= label.length + 1;
        if (!add_item(labelled, source, query_column(&query, 1), sort_key, error)) {
            query_end(&query);
            return false;
        }
    }
    return step == QUERY_DONE;
}

static bool tell_row(struct labelled *labelled, const struct item *item, bool *stop,
                     struct error *error)
{
    struct query query;
    struct store_entity entity;
    if (!query_start(&query, &labelled->reader->connection, STATEMENT_LABELLED_ROW, row_sql,
                     error)) {
        return false;
    }
    query_integer(&query, item->id);
    enum query_step step = query_row(&query, error);
    if (step != QUERY_ROW) {
        return step == QUERY_DONE;
    }
    bool done = entity_read_row(&query, 0, true, &entity, error);
    *stop = done && !labelled->each_row(labelled->argument, item_order(labelled, item), &entity);
    query_end(&query);
    return done;
}

bool store_scan_labelled(struct store_reader *reader, int64_t stage,
                         const struct store_labels *labels, struct span after, int64_t limit,
                         store_each_row each, void *argument, struct error *error)
{
    struct labelled labelled = {.reader = reader,
                                .labels = labels,
                                .sources = labels->count,
                                .load = load_rows,
                                .tell = tell_row,
                                .left = limit,
                                .stage = stage,
                                .each_row = each,
                                .argument = argument};
    buffer_init(&labelled.behind, SIZE_MAX / 2);
    buffer_init(&labelled.low, SIZE_MAX / 2);
    buffer_init(&labelled.high, SIZE_MAX / 2);
    bool done =
        (!after.length || buffer_add_span(&labelled.behind, after) || out_of_memory(error)) &&
        run(&labelled, error);
    buffer_fini(&labelled.behind);
    buffer_fini(&labelled.low);
    buffer_fini(&labelled.high);
    return done;
}

/* ---- numbers ---- */

static uint64_t number_behind(const struct labelled *labelled)
{
    uint64_t number = 0;
    for (int i = 0; i < NUMBER; i++) {
        number = number << 8 | (unsigned char)labelled->behind.data[i];
    }
    return number;
}

static bool add_numbers(struct labelled *labelled, struct query *query, size_t source,
                        bool backwards, struct error *error)
{
    enum query_step step;
    while ((step = query_row(query, error)) == QUERY_ROW) {
        int64_t id = query_column(query, 0);
        if (!add_number(labelled, source, id, backwards ? ~(uint64_t)id : (uint64_t)id, error)) {
            query_end(query);
            return false;
        }
    }
    return step == QUERY_DONE;
}

/* ---- changes ---- */

/* A change has the label that its row has since, and may have the one that it had before. */
static bool load_changes(struct labelled *labelled, size_t source, int64_t limit,
                         struct error *error)
{
    struct query query;
    int which = (int)(source % 2);
    if (!query_start(&query, &labelled->reader->connection, STATEMENT_LABELLED_CHANGES + which,
                     changes_sql[which], error)) {
        return false;
    }
    query_integer(&query, labelled->export_id);
    query_text(&query, labelled->labels->list[source / 2]);
    query_integer(&query,
                  labelled->behind.length ? (int64_t)number_behind(labelled) : labelled->from);
    query_integer(&query, labelled->to);
    query_integer(&query, limit);
    return add_numbers(labelled, &query, source, false, error);
}

static bool tell_change(struct labelled *labelled, const struct item *item, bool *stop,
                        struct error *error)
{
    return change_tell(labelled->reader, item->id, labelled->with_entities, labelled->each_change,
                       labelled->argument, stop, error);
}

bool store_scan_labelled_changes(struct store_reader *reader, uint32_t export_id,
                                 const struct store_labels *labels, int64_t from, int64_t to,
                                 int64_t limit, bool with_entities, store_each_change each,
                                 void *argument, struct error *error)
{
    struct labelled labelled = {.reader = reader,
                                .labels = labels,
                                .sources = 2 * labels->count,
                                .load = load_changes,
                                .tell = tell_change,
                                .left = limit,
                                .export_id = export_id,
                                .from = from,
                                .to = to,
                                .with_entities = with_entities,
                                .each_change = each,
                                .argument = argument};
    buffer_init(&labelled.behind, SIZE_MAX / 2);
    return run(&labelled, error);
}

/* ---- tombstones ---- */

static bool load_tombstones(struct labelled *labelled, size_t source, int64_t limit,
                            struct error *error)
{
    struct query query;
    if (!query_start(&query, &labelled->reader->connection, STATEMENT_LABELLED_TOMBSTONES,
                     tombstones_sql, error)) {
        return false;
    }
    query_integer(&query, labelled->export_id);
    query_text(&query, labelled->labels->list[source]);
    query_integer(&query,
                  labelled->behind.length ? (int64_t)~number_behind(labelled) : labelled->to);
    query_integer(&query, limit);
    return add_numbers(labelled, &query, source, true, error);
}

static bool tell_tombstone(struct labelled *labelled, const struct item *item, bool *stop,
                           struct error *error)
{
    return tombstone_tell(labelled->reader, labelled->export_id,
                          labelled->labels->list[item->source], item->id, labelled->each_tombstone,
                          labelled->argument, stop, error);
}

bool store_scan_labelled_tombstones(struct store_reader *reader, uint32_t export_id,
                                    const struct store_labels *labels, int64_t before,
                                    int64_t limit,
                                    bool (*each)(void *argument,
                                                 const struct store_tombstone *tombstone),
                                    void *argument, struct error *error)
{
    struct labelled labelled = {.reader = reader,
                                .labels = labels,
                                .sources = labels->count,
                                .load = load_tombstones,
                                .tell = tell_tombstone,
                                .left = limit,
                                .export_id = export_id,
                                .to = before,
                                .each_tombstone = each,
                                .argument = argument};
    buffer_init(&labelled.behind, SIZE_MAX / 2);
    return run(&labelled, error);
}
