/*
 * The part of a view that a query takes: the rows that it lets pass, in its order, and the rank of
 * the row among them. Rows are counted by the index where all pass, else looked at. And in a view
 * that is keyed by a field: the first row with the value.
 */
#include "explain/explain_internal.h"

#include <stdlib.h>

/* ---- a view keyed by a field ---- */

struct key_search {
    struct explaining *explaining;
    struct buffer wanted, text;
    int64_t looked;
    bool ended; /* found, or that there is none */
};

static bool sees(const struct explaining *explaining, const struct store_entity *entity)
{
    const struct explain *asked = explaining->asked;
    return view_shows(asked->view, entity->key) &&
           row_scope_shows(asked->scope, asked->view, entity->data);
}

static bool is_spent(const struct explaining *explaining, int64_t looked)
{
    int64_t most = explaining->asked->max_rows;
    return most > 0 && looked > most;
}

static bool each_keyed(void *argument, struct span sort_key, const struct store_entity *entity)
{
    struct key_search *search = argument;
    struct explaining *explaining = search->explaining;
    (void)sort_key;
    if (is_spent(explaining, ++search->looked)) {
        search->ended = false;
        return false;
    }
    if (!sees(explaining, entity) ||
        !view_key_text(explaining->asked->view, entity->data, &search->text) ||
        !span_equal(buffer_span(&search->text), buffer_span(&search->wanted)))
        return !search->text.failed;
    if (!buffer_add_span(&explaining->first_key, entity->key))
        explain_lacks_memory(explaining);
    return false;
}

bool explain_find_key(struct explaining *explaining)
{
    struct key_search search = {.explaining = explaining, .ended = true};
    explaining->keyed = explaining->asked->view->output == VIEW_KEYED;
    explaining->key_known = true;
    if (!explaining->keyed || !explaining->in_view)
        return true;
    buffer_init(&search.wanted, UINT32_MAX);
    buffer_init(&search.text, UINT32_MAX);
    bool done = true;
    if (view_key_text(explaining->asked->view, buffer_span(&explaining->data), &search.wanted)) {
        done = explain_scan_view(explaining, true, each_keyed, &search);
        explaining->key_known = search.ended;
        explaining->key_first =
            done && span_equal(buffer_span(&explaining->first_key), explaining->asked->key);
    }
    done = done &&
           ((!search.wanted.failed && !search.text.failed) || explain_lacks_memory(explaining));
    buffer_fini(&search.wanted);
    buffer_fini(&search.text);
    return done;
}

/* ---- the rows of a query ---- */

/* A row that passes; its texts lie in `bytes` of the scan. */
struct passed {
    size_t at, key_length, sort_length;
};

struct part_scan {
    struct explaining *explaining;
    bool sorted;
    int64_t end; /* without an order of its own: rows that matter; VIEW_ALL: all */
    struct passed *rows;
    size_t count, capacity;
    struct buffer bytes;
    int64_t looked;
    bool spent;   /* it ended before the last row that matters */
    int64_t rank; /* -1: not met */
};

static struct span row_key(const struct part_scan *scan, const struct passed *row)
{
    return span_make(scan->bytes.data + row->at, row->key_length);
}

static struct span row_sort_key(const struct part_scan *scan, const struct passed *row)
{
    return span_make(scan->bytes.data + row->at + row->key_length, row->sort_length);
}

static bool note_row(struct part_scan *scan, const struct store_entity *entity)
{
    if (!array_reserve((void **)&scan->rows, scan->count, &scan->capacity, sizeof *scan->rows))
        return explain_lacks_memory(scan->explaining);
    struct passed *row = &scan->rows[scan->count++];
    *row = (struct passed){.at = scan->bytes.length, .key_length = entity->key.length};
    buffer_add_span(&scan->bytes, entity->key);
    if (scan->sorted) {
        size_t before = scan->bytes.length;
        view_query_sort_key(scan->explaining->asked->query, entity->key, entity->data,
                            &scan->bytes);
        row->sort_length = scan->bytes.length - before;
    }
    return !scan->bytes.failed || explain_lacks_memory(scan->explaining);
}

static bool each_row(void *argument, struct span sort_key, const struct store_entity *entity)
{
    struct part_scan *scan = argument;
    const struct explain *asked = scan->explaining->asked;
    (void)sort_key;
    scan->spent = is_spent(scan->explaining, ++scan->looked);
    if (scan->spent)
        return false;
    if (!sees(scan->explaining, entity) ||
        !view_query_holds(asked->query, entity->data, asked->now))
        return true;
    if (!note_row(scan, entity))
        return false;
    if (span_equal(entity->key, asked->key))
        scan->rank = (int64_t)scan->count - 1;
    return scan->sorted || scan->end == VIEW_ALL || (int64_t)scan->count < scan->end ||
           (scan->rank < 0 && scan->explaining->in);
}

static int compare_rows(const void *left, const void *right, void *argument)
{
    const struct part_scan *scan = argument;
    return span_compare(row_sort_key(scan, left), row_sort_key(scan, right));
}

static void sort_rows(struct part_scan *scan)
{
    if (!scan->sorted || scan->spent)
        return;
    scan->rank = -1;
    if (scan->count)
        qsort_r(scan->rows, scan->count, sizeof *scan->rows, compare_rows, scan);
    for (size_t i = 0; i < scan->count && scan->rank < 0; i++)
        if (span_equal(row_key(scan, &scan->rows[i]), scan->explaining->asked->key))
            scan->rank = (int64_t)i;
}

static bool fetch_edge(struct part_scan *scan, int64_t rank, struct explain_edge *edge)
{
    struct explaining *explaining = scan->explaining;
    struct store_entity entity;
    bool found;
    if (rank < 0 || rank >= (int64_t)scan->count)
        return true;
    struct span key = row_key(scan, &scan->rows[rank]);
    if (!store_read_entity(explaining->reader, explaining->state.export.id, key, &entity, &found,
                           explaining->error))
        return false;
    return !found || explain_edge_set(edge, key, entity.data) || explain_lacks_memory(explaining);
}

/* Rows beyond the ones that were looked at may be missing at the end of the part. */
static bool take_part(struct part_scan *scan)
{
    struct explaining *explaining = scan->explaining;
    const struct explain *asked = explaining->asked;
    struct explain_part *part = &explaining->part;
    int64_t count = (int64_t)scan->count;
    int64_t end = asked->take == VIEW_ALL ? INT64_MAX : asked->skip + asked->take;
    bool usable = !scan->spent || !scan->sorted;
    part->ranked = usable && scan->rank >= 0;
    part->rank = scan->rank;
    /* A row that was not met among so many is behind them. */
    part->known = part->ranked || (usable && count >= end);
    part->holds = part->ranked && part->rank >= asked->skip && part->rank < end;
    if (!usable)
        return true;
    bool whole = !scan->spent || count >= end;
    int64_t last = (count < end ? count : end) - 1;
    return fetch_edge(scan, asked->skip, &part->first) &&
           (!whole || last < asked->skip || fetch_edge(scan, last, &part->last));
}

static bool find_by_scan(struct explaining *explaining, const struct view_query_traits *traits)
{
    const struct explain *asked = explaining->asked;
    struct part_scan scan = {.explaining = explaining,
                             .sorted = traits->sorts > 0,
                             .end = asked->take == VIEW_ALL ? VIEW_ALL : asked->skip + asked->take,
                             .rank = -1};
    buffer_init(&scan.bytes, UINT32_MAX);
    bool with_data = scan.sorted || traits->filters || asked->scope;
    bool done = explain_scan_view(explaining, with_data, each_row, &scan);
    if (done) {
        sort_rows(&scan);
        done = take_part(&scan);
    }
    memory_free(scan.rows);
    buffer_fini(&scan.bytes);
    return done;
}

/* ---- all rows of a stage ---- */

/* The part that the view and the query leave of the stage. */
static struct view_cut cut_twice(const struct view_cut *cut, const struct explain *asked)
{
    struct view_cut both = {.skip = cut->skip + asked->skip, .take = asked->take};
    int64_t left = cut->take > asked->skip ? cut->take - asked->skip : 0;
    if (cut->take != VIEW_ALL && (both.take == VIEW_ALL || left < both.take))
        both.take = left;
    return both;
}

/* Every row of the view passes, so the stage's index has the rank and the ends. */
static bool find_by_stage(struct explaining *explaining)
{
    const struct explain_stage *last = &explaining->stages[explaining->stage_count - 1];
    const struct view_cut *cut = &last->stage->cut, both = cut_twice(cut, explaining->asked);
    struct explain_part *part = &explaining->part;
    part->known = true;
    part->ranked = explaining->in_view;
    if (part->ranked &&
        !store_count_rows(explaining->reader, last->id, buffer_span(&last->sort_key), &part->rank,
                          explaining->error))
        return false;
    part->holds = part->ranked && part->rank >= both.skip &&
                  (both.take == VIEW_ALL || part->rank - both.skip < both.take);
    part->rank -= cut->skip;
    if (both.take == 0 || !explain_find_rank(explaining, last, both.skip, &part->first))
        return both.take == 0;
    if (!part->first.found)
        return true;
    if (both.take != VIEW_ALL &&
        !explain_find_rank(explaining, last, both.skip + both.take - 1, &part->last))
        return false;
    return part->last.found || explain_find_rank(explaining, last, -1, &part->last);
}

bool explain_find_part(struct explaining *explaining)
{
    const struct explain *asked = explaining->asked;
    struct view_query_traits traits = view_query_traits(asked->query);
    explaining->part.wanted = asked->take != VIEW_ALL || asked->skip > 0;
    if (!explaining->part.wanted)
        return true;
    bool all = explaining->stage_count && !traits.sorts && !traits.filters && !asked->scope &&
               !asked->view->key_count &&
               !explaining->stages[explaining->stage_count - 1].stage->cut.last;
    return all ? find_by_stage(explaining) : find_by_scan(explaining, &traits);
}
