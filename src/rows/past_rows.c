#include "rows/past_rows.h"

#include "base/invariant.h"

#include <stdlib.h>

enum { SPARE = 64 /* rows that may be kept too many, before they are sorted */ };

static void row_free(struct past_rows *rows, struct past_row *row)
{
    rows->bytes -= row->key.length + row->data.length;
    memory_free((void *)row->sort_key.data);
    memory_free(row);
}

static void truncate_to(struct past_rows *rows, size_t count)
{
    while (rows->count > count)
        row_free(rows, rows->list[--rows->count]);
}

void past_rows_fini(struct past_rows *rows)
{
    truncate_to(rows, 0);
    buffer_fini(&rows->behind_place);
    memory_free(rows->list);
}

static bool lacks_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while reading what a view was");
}

/* ---- the order ---- */

static const struct view_stage *first_stage(const struct view *view)
{
    const struct view_stage *stage = view->stage;
    while (stage && stage->source)
        stage = stage->source;
    return stage;
}

bool past_rows_are_cut(const struct view *view)
{
    return view->stage && (view->stage->source || view->stage->has_cut);
}

bool past_rows_hold(const struct view *view, struct span data)
{
    INVARIANT(!past_rows_are_cut(view));
    return !view->stage || view_stage_holds(view->stage, data, 0);
}

/* `stage` NULL: that of the export. `asked`: the query's, if it has one. */
static bool print_sort_key(const struct past_rows *rows, const struct view_stage *stage, bool asked,
                           struct span key, struct seq seq, struct span data, struct buffer *out)
{
    return asked && view_query_traits(rows->query).sorts
               ? view_query_sort_key(rows->query, key, data, out)
           : stage ? view_stage_sort_key(stage, key, data, seq, out)
                   : view_seq_sort_key(key, seq, out);
}

static bool set_sort_key(const struct past_rows *rows, struct past_row *row,
                         const struct view_stage *stage, bool asked, struct error *error)
{
    struct buffer out;
    buffer_init(&out, UINT32_MAX);
    bool done = print_sort_key(rows, stage, asked, row->key, row->seq, row->data, &out);
    size_t length = out.length;
    char *bytes = done ? buffer_take(&out, &length) : NULL;
    buffer_fini(&out);
    if (!bytes)
        return lacks_memory(error);
    memory_free((void *)row->sort_key.data);
    row->sort_key = span_make(bytes, length);
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct past_row *const *left = a, *const *right = b;
    return span_compare((*left)->sort_key, (*right)->sort_key);
}

static void sort(struct past_rows *rows)
{
    if (rows->count)
        qsort(rows->list, rows->count, sizeof *rows->list, compare);
}

static void drop_first(struct past_rows *rows, int64_t count)
{
    size_t gone = count < (int64_t)rows->count ? (size_t)count : rows->count;
    for (size_t i = 0; i < gone; i++)
        row_free(rows, rows->list[i]);
    rows->count -= gone;
    if (gone)
        memmove(rows->list, rows->list + gone, rows->count * sizeof *rows->list);
}

/* ---- how many are kept ---- */

/* The rows of the first order that matter; VIEW_ALL: each. */
static int64_t wanted(const struct past_rows *rows)
{
    const struct view_stage *stage = first_stage(rows->view);
    if (!past_rows_are_cut(rows->view))
        return rows->take == VIEW_ALL ? VIEW_ALL : rows->skip + rows->take + 1;
    if (stage->cut.last || stage->cut.take == VIEW_ALL)
        return VIEW_ALL;
    return stage->cut.skip + stage->cut.take;
}

static bool prune(struct past_rows *rows, struct error *error)
{
    const struct view_stage *stage = first_stage(rows->view);
    int64_t keep = wanted(rows);
    if (stage && stage->cut.last && past_rows_are_cut(rows->view) && rows->count > SPARE) {
        sort(rows);
        drop_first(rows, (int64_t)rows->count - 1);
    } else if (keep != VIEW_ALL && (int64_t)rows->count > 2 * keep + SPARE) {
        sort(rows);
        truncate_to(rows, (size_t)keep);
    }
    if (rows->bytes + rows->beside > PAST_ROWS_BYTES)
        return error_set(
            error, ERROR_TOO_LARGE,
            "the rows that view '%.128s' had then take more than %d MiB, which is what "
            "one request may keep",
            rows->view->id, PAST_ROWS_BYTES >> 20);
    return keep != VIEW_ALL || (int64_t)rows->count <= rows->most ||
           error_set(error, ERROR_TOO_LARGE,
                     "view '%.128s' had more than %lld rows then, which is what one request may "
                     "keep (max_window_rows)",
                     rows->view->id, (long long)rows->most);
}

bool past_rows_has_enough(const struct past_rows *rows)
{
    int64_t keep = wanted(rows);
    return !rows->view->stage && !view_query_traits(rows->query).sorts && keep != VIEW_ALL &&
           (int64_t)rows->count >= keep;
}

/* ---- one row ---- */

/* What the view shows of its last stage, and who asks of that. */
static bool is_shown(const struct past_rows *rows, struct span key, struct span data)
{
    return (!rows->key.data || span_equal(rows->key, key)) && view_shows(rows->view, key) &&
           row_scope_shows(rows->scope, rows->view, data) && view_query_holds(rows->query, data, 0);
}

bool past_rows_have(const struct past_rows *rows, struct span key)
{
    for (size_t i = 0; i < rows->count; i++)
        if (span_equal(rows->list[i]->key, key))
            return true;
    return false;
}

static bool is_behind(const struct past_rows *rows, const struct past_row *row)
{
    return !rows->behind_place.length ||
           span_compare(row->sort_key, buffer_span(&rows->behind_place)) > 0;
}

static bool is_not_shown(const struct past_rows *rows, struct error *error)
{
    return error_set(error, ERROR_INVALID_PARAMETER,
                     "'behind' is '%.*s', and view '%.128s' did not show that row there",
                     rows->behind.length > 128 ? 128 : (int)rows->behind.length, rows->behind.data,
                     rows->view->id);
}

bool past_rows_begin_behind(struct past_rows *rows, struct seq seq, struct span data,
                            struct error *error)
{
    const struct view_stage *stage = first_stage(rows->view);
    INVARIANT(!past_rows_are_cut(rows->view) && !rows->count);
    if (!data.data || !is_shown(rows, rows->behind, data))
        return is_not_shown(rows, error);
    return print_sort_key(rows, stage, true, rows->behind, seq, data, &rows->behind_place) ||
           lacks_memory(error);
}

static struct past_row *row_new(struct span key, struct seq seq, struct span data)
{
    struct past_row *row = memory_alloc(sizeof *row + key.length + data.length);
    if (!row)
        return NULL;
    *row = (struct past_row){.key = span_make(row->text, key.length),
                             .data = span_make(row->text + key.length, data.length),
                             .seq = seq};
    memcpy(row->text, key.data, key.length);
    memcpy(row->text + key.length, data.data, data.length);
    return row;
}

bool past_rows_add(struct past_rows *rows, struct span key, struct seq seq, struct span data,
                   bool once, struct error *error)
{
    const struct view_stage *stage = first_stage(rows->view);
    bool is_last = !past_rows_are_cut(rows->view);
    if ((stage && !view_stage_holds(stage, data, 0)) || (is_last && !is_shown(rows, key, data)) ||
        (once && past_rows_have(rows, key)))
        return true;
    struct past_row *row = row_new(key, seq, data);
    if (!row)
        return lacks_memory(error);
    rows->bytes += key.length + data.length;
    if (!set_sort_key(rows, row, stage, is_last, error) ||
        !array_reserve((void **)&rows->list, rows->count, &rows->capacity, sizeof *rows->list)) {
        row_free(rows, row);
        return lacks_memory(error);
    }
    if (is_last && !is_behind(rows, row)) {
        row_free(rows, row);
        return true;
    }
    rows->list[rows->count++] = row;
    return prune(rows, error);
}

/* ---- the end ---- */

static void cut(struct past_rows *rows, const struct view_cut *part)
{
    if (part->last) {
        drop_first(rows, rows->count ? (int64_t)rows->count - 1 : 0);
        return;
    }
    drop_first(rows, part->skip);
    if (part->take != VIEW_ALL && (int64_t)rows->count > part->take)
        truncate_to(rows, (size_t)part->take);
}

/* Only rows for which it holds, in its order: of a stage, or (NULL) of who asks. */
static bool refine(struct past_rows *rows, const struct view_stage *stage, struct error *error)
{
    size_t kept = 0;
    bool done = true;
    for (size_t i = 0; i < rows->count; i++) {
        struct past_row *row = rows->list[i];
        bool holds =
            stage ? view_stage_holds(stage, row->data, 0) : is_shown(rows, row->key, row->data);
        if (holds && done)
            done = set_sort_key(rows, row, stage ? stage : rows->view->stage, !stage, error);
        if (holds)
            rows->list[kept++] = row;
        else
            row_free(rows, row);
    }
    rows->count = kept;
    sort(rows);
    return done;
}

/* The stages from the first on. */
static bool run_stages(struct past_rows *rows, const struct view_stage *stage, struct error *error)
{
    bool done =
        !stage->source || (run_stages(rows, stage->source, error) && refine(rows, stage, error));
    if (done)
        cut(rows, &stage->cut);
    return done;
}

/* Of a view that is cut all rows are here, also the one behind which those wanted are. */
static bool drop_before(struct past_rows *rows, struct error *error)
{
    for (size_t i = 0; i < rows->count; i++)
        if (span_equal(rows->list[i]->key, rows->behind)) {
            drop_first(rows, (int64_t)i + 1);
            return true;
        }
    return is_not_shown(rows, error);
}

bool past_rows_end(struct past_rows *rows, struct error *error)
{
    sort(rows);
    if (past_rows_are_cut(rows->view) &&
        (!run_stages(rows, rows->view->stage, error) || !refine(rows, NULL, error) ||
         (rows->behind.data && !drop_before(rows, error))))
        return false;
    drop_first(rows, rows->skip);
    rows->more = rows->take != VIEW_ALL && (int64_t)rows->count > rows->take;
    if (rows->more)
        truncate_to(rows, (size_t)rows->take);
    return true;
}
