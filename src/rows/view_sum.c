#include "rows/view_sum.h"

#include "rows/scoped_scan.h"
#include "rows/show.h"
#include "store/stage.h"
#include "wire/wire.h"

#include <stdlib.h>

enum { ROWS_PER_LOOK = 64 /* at the clock */ };

/* A row whose place shows when all are there. */
struct sorted_row {
    struct row_sum sum;
    size_t sort_key_length, key_length;
    char bytes[]; /* the sort key, then the key */
};

void view_sum_init(struct view_sum *sum)
{
    *sum = (struct view_sum){.take = VIEW_ALL, .most_rows = VIEW_ALL};
    buffer_init(&sum->at, UINT32_MAX);
    buffer_init(&sum->from, UINT32_MAX);
    buffer_init(&sum->shown, UINT32_MAX);
    buffer_init(&sum->text, UINT32_MAX);
    buffer_init(&sum->sort_key, UINT32_MAX);
    buffer_init(&sum->keys, UINT32_MAX);
}

static void forget_sorted(struct view_sum *sum, size_t first)
{
    for (size_t i = first; i < sum->sorted_count; i++)
        memory_free(sum->sorted[i]);
    sum->sorted_count = first < sum->sorted_count ? first : sum->sorted_count;
}

void view_sum_fini(struct view_sum *sum)
{
    forget_sorted(sum, 0);
    memory_free(sum->sorted);
    buffer_fini(&sum->at);
    buffer_fini(&sum->from);
    buffer_fini(&sum->shown);
    buffer_fini(&sum->text);
    buffer_fini(&sum->sort_key);
    buffer_fini(&sum->keys);
}

static bool lacks_memory(struct view_sum *sum)
{
    return error_set(sum->error, ERROR_MEMORY, "out of memory while summing a view");
}

static bool is_sorted(const struct view_sum *sum)
{
    return view_query_traits(sum->query).sorts > 0;
}

/* ---- a row that counts ---- */

static bool list_key(struct view_sum *sum, const struct row_sum *row, struct span key)
{
    struct buffer *keys = &sum->keys;
    if (!sum->with_keys || !sum->wanted[row->key.bytes[0]])
        return true;
    buffer_add_string(keys, keys->length ? ",\n[" : "[");
    doc_escape(keys, key);
    buffer_add_string(keys, ",\"");
    sum_print(keys, &row->row);
    if (!buffer_add_string(keys, "\"]"))
        return lacks_memory(sum);
    return keys->length <= sum->most_bytes ||
           error_set(sum->error, ERROR_TOO_LARGE,
                     "the keys would have more than %zu bytes; ask for those of fewer parts (keys)",
                     sum->most_bytes);
}

static bool count_row(struct view_sum *sum, const struct row_sum *row, struct span key)
{
    struct sum_part *part = &sum->parts[row->key.bytes[0]];
    if (sum->rows == sum->most_rows)
        return error_set(sum->error, ERROR_SNAPSHOT_LIMIT,
                         "the sum would be of more than the %lld rows that it may be of; ask for "
                         "fewer (take)",
                         (long long)sum->most_rows);
    sum->rows++;
    part->rows++;
    sum_add(&sum->sum, &row->row);
    sum_add(&part->sum, &row->row);
    return (sum_chain(&sum->order, &row->key) || lacks_memory(sum)) && list_key(sum, row, key);
}

/* The row behind skip and take. */
static bool pass_row(struct view_sum *sum, const struct row_sum *row, struct span key)
{
    if (sum->skip > 0) {
        sum->skip--;
        return true;
    }
    sum->take -= sum->take > 0;
    return count_row(sum, row, key);
}

/* ---- an order of the query's own ---- */

static int compare_sorted(const void *a, const void *b)
{
    const struct sorted_row *left = *(struct sorted_row *const *)a;
    const struct sorted_row *right = *(struct sorted_row *const *)b;
    return span_compare(span_make(left->bytes, left->sort_key_length),
                        span_make(right->bytes, right->sort_key_length));
}

/* No row behind those is wanted; once in a while, so that it costs little. */
static bool drop_unwanted(struct view_sum *sum)
{
    enum { FEW = 1024 };
    int64_t wanted = sum->skip + sum->take, count = (int64_t)sum->sorted_count;
    if (sum->take == VIEW_ALL || wanted > sum->most_sorted)
        return count <= sum->most_sorted ||
               error_set(sum->error, ERROR_TOO_LARGE,
                         "there are more than %lld rows to sort; ask for fewer (take, where, "
                         "filter), or raise max_window_rows",
                         (long long)sum->most_sorted);
    if (count < 2 * wanted + FEW)
        return true;
    qsort(sum->sorted, sum->sorted_count, sizeof *sum->sorted, compare_sorted);
    forget_sorted(sum, (size_t)wanted);
    return true;
}

static bool keep_sorted(struct view_sum *sum, const struct store_entity *entity, struct span key,
                        const struct row_sum *row)
{
    buffer_clear(&sum->sort_key);
    if (!view_query_sort_key(sum->query, entity->key, entity->data, &sum->sort_key) ||
        !array_reserve((void **)&sum->sorted, sum->sorted_count, &sum->sorted_capacity,
                       sizeof *sum->sorted))
        return lacks_memory(sum);
    struct sorted_row *kept = memory_alloc(sizeof *kept + sum->sort_key.length + key.length);
    if (!kept)
        return lacks_memory(sum);
    *kept = (struct sorted_row){*row, sum->sort_key.length, key.length};
    memcpy(kept->bytes, sum->sort_key.data, sum->sort_key.length);
    memcpy(kept->bytes + kept->sort_key_length, key.data, key.length);
    sum->sorted[sum->sorted_count++] = kept;
    return drop_unwanted(sum);
}

static bool end_sorted(struct view_sum *sum)
{
    bool done = true;
    if (sum->sorted_count)
        qsort(sum->sorted, sum->sorted_count, sizeof *sum->sorted, compare_sorted);
    for (size_t i = 0; done && i < sum->sorted_count && sum->take != 0; i++) {
        const struct sorted_row *row = sum->sorted[i];
        done =
            pass_row(sum, &row->sum, span_make(row->bytes + row->sort_key_length, row->key_length));
    }
    return done;
}

/* ---- rows as they are read ---- */

static bool has_key(struct view_sum *sum, const struct store_entity *row)
{
    if (!sum->key.data)
        return true;
    if (sum->view->output != VIEW_KEYED)
        return span_equal(sum->key, row->key);
    return view_key_text(sum->view, row->data, &sum->text) &&
           span_equal(sum->key, buffer_span(&sum->text));
}

static bool shows(struct view_sum *sum, const struct store_entity *row)
{
    return view_shows(sum->view, row->key) && row_scope_shows(sum->scope, sum->view, row->data) &&
           has_key(sum, row) && view_query_holds(sum->query, row->data, sum->now);
}

/* Clients of a view that is keyed by a field have its row under the key that they asked for. */
static bool add_row(struct view_sum *sum, const struct store_entity *entity)
{
    struct span key = sum->view->output == VIEW_KEYED ? sum->key : entity->key, row;
    struct row_sum found;
    if (!shows(sum, entity))
        return true;
    if (!frame_show(sum->view, entity->data, &sum->shown, &row) ||
        !row_sum_make(&found, key, row, &sum->text))
        return lacks_memory(sum);
    return is_sorted(sum) ? keep_sorted(sum, entity, key, &found) : pass_row(sum, &found, key);
}

static bool has_all(const struct view_sum *sum)
{
    return sum->left == 0 || (sum->take == 0 && !is_sorted(sum));
}

/* The next step goes on behind this row. */
static bool stop_at(struct view_sum *sum, struct span sort_key, const struct store_entity *entity)
{
    sum->done = false;
    sum->moved = true;
    sum->seq = entity->seq;
    buffer_clear(&sum->at);
    if (!buffer_add_span(&sum->at, sort_key.data ? sort_key : entity->key))
        lacks_memory(sum);
    return false;
}

/* In its turn; false ends the scan: with an error, at the end, or where the next step begins. */
static bool take_row(struct view_sum *sum, struct span sort_key, const struct store_entity *entity)
{
    if (has_all(sum) || !add_row(sum, entity))
        return false;
    sum->left -= sum->left > 0;
    if (++sum->looked % ROWS_PER_LOOK || clock_monotonic_us() < sum->until_us)
        return true;
    return stop_at(sum, sort_key, entity);
}

static bool take_listed(void *argument, const struct store_entity *entity)
{
    return take_row(argument, span_make(NULL, 0), entity);
}

static bool take_placed(void *argument, struct span sort_key, const struct store_entity *entity)
{
    return take_row(argument, sort_key, entity);
}

/* ---- the scan ---- */

/* A part of a stage that is cut is not the same part by label. */
static bool find_stages(struct view_sum *sum, struct store_reader *reader)
{
    const struct view_stage *stage = sum->view->stage;
    const struct scoped scoped = {sum->scope, NULL};
    int64_t built;
    bool found = true;
    sum->left = stage ? stage->cut.take : VIEW_ALL;
    if (stage && !store_read_stage(reader, span_of(stage->definition), &sum->stage, &built, &found,
                                   sum->error))
        return false;
    if (!found)
        return error_set(sum->error, ERROR_INVALID_PARAMETER,
                         "the database has no rows of view '%.128s' as it is defined here",
                         sum->view->id);
    return (stage && stage->has_cut) ||
           scoped_find_rows(scoped, view_by_label(sum->view), reader, &sum->by_label, sum->error);
}

static bool scan_placed(struct view_sum *sum, struct store_reader *reader)
{
    const struct view_cut *cut = &sum->view->stage->cut;
    struct span at = sum->moved ? buffer_span(&sum->from) : span_make(NULL, 0);
    return store_scan_stage(reader, sum->stage, at, sum->moved ? 0 : cut->skip, sum->left,
                            cut->last, true, take_placed, sum, sum->error);
}

static bool scan_key(struct view_sum *sum, struct store_reader *reader)
{
    struct store_entity entity;
    bool found;
    if (!store_read_entity(reader, sum->state.export.id, sum->key, &entity, &found, sum->error))
        return false;
    return !found || add_row(sum, &entity);
}

static bool scan(struct view_sum *sum, struct store_reader *reader)
{
    const struct store_position at = {sum->seq, buffer_span(&sum->from)};
    if (sum->key.data && !sum->view->stage)
        return scan_key(sum, reader);
    if (sum->by_label)
        return scoped_scan_rows((struct scoped){sum->scope, NULL}, reader, sum->by_label,
                                buffer_span(&sum->from), -1, take_placed, sum, sum->error);
    if (sum->stage)
        return scan_placed(sum, reader);
    return store_scan_entities(reader, sum->state.export.id, sum->moved ? &at : NULL, -1,
                               take_listed, sum, sum->error);
}

bool view_sum_run(struct view_sum *sum, struct store_reader *reader, uint64_t until_us,
                  struct error *error)
{
    sum->error = error;
    sum->until_us = until_us;
    error->code = ERROR_NONE;
    if (!sum->begun && !view_state_read(&sum->state, sum->view, reader, error))
        return false;
    sum->done = true; /* unless a row says otherwise */
    if (!sum->state.found)
        return true;
    if (!sum->begun && !find_stages(sum, reader))
        return false;
    sum->begun = true;
    buffer_clear(&sum->from); /* the scan holds on to where it begins */
    if (!buffer_add_span(&sum->from, buffer_span(&sum->at)))
        return lacks_memory(sum);
    if (!scan(sum, reader) || error->code != ERROR_NONE)
        return false;
    return !sum->done || !is_sorted(sum) || end_sorted(sum);
}

/* ---- what is asked, and what is answered ---- */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

bool view_sum_want(struct view_sum *sum, struct span keys, struct error *error)
{
    enum { DIGITS = 2, STEP = DIGITS + 1, HEX = 16 };
    bool all = span_equal(keys, span_of("all"));
    bool good = all || keys.length % STEP == DIGITS;
    sum->with_keys = true;
    for (size_t i = 0; i < SUM_PARTS; i++)
        sum->wanted[i] = all;
    for (size_t i = 0; good && !all && i < keys.length; i += STEP) {
        int high = hex_digit(keys.data[i]), low = hex_digit(keys.data[i + 1]);
        good = high >= 0 && low >= 0 && (i + DIGITS == keys.length || keys.data[i + DIGITS] == ',');
        if (good)
            sum->wanted[high * HEX + low] = true;
    }
    return good || error_set(error, ERROR_INVALID_PARAMETER,
                             "'keys' names no parts: give all, or parts such as 3f,a0");
}

/* As `subscribed` has it. */
static bool has_order(const struct view_sum *sum)
{
    const struct view *view = sum->view;
    return is_sorted(sum) || view->mode == VIEW_LIST ||
           (view->stage && view->stage->sort_path_count);
}

static void print_parts(const struct view_sum *sum, struct buffer *out)
{
    const char *between = "";
    buffer_add_string(out, ",\"parts\":[");
    for (unsigned i = 0; i < SUM_PARTS; i++) {
        if (!sum->parts[i].rows)
            continue;
        buffer_printf(out, "%s[\"%02x\",%lld,\"", between, i, (long long)sum->parts[i].rows);
        sum_print(out, &sum->parts[i].sum);
        buffer_add_string(out, "\"]");
        between = ",";
    }
    buffer_add_char(out, ']');
}

bool view_sum_print(const struct view_sum *sum, struct span epoch, struct buffer *out)
{
    char seq[SEQ_SIZE];
    seq_print(seq, view_state_cursor(&sum->state));
    buffer_add_string(out, "{\"view\":");
    doc_escape(out, span_of(sum->view->id));
    buffer_printf(out, ",\"mode\":\"%s\",\"epoch\":", wire_mode_names[sum->view->mode]);
    doc_escape(out, epoch);
    buffer_printf(out, ",\"seq\":\"%s\",\"scoped\":%s,\"rows\":%lld,\"sum\":\"", seq,
                  sum->scope && !sum->scope->all ? "true" : "false", (long long)sum->rows);
    sum_print(out, &sum->sum);
    if (has_order(sum)) {
        buffer_add_string(out, "\",\"order\":\"");
        sum_print(out, &sum->order);
    }
    buffer_add_char(out, '"');
    if (sum->with_parts)
        print_parts(sum, out);
    if (sum->with_keys) {
        buffer_add_string(out, ",\"keys\":[");
        buffer_add_span(out, buffer_span(&sum->keys));
        buffer_add_char(out, ']');
    }
    return buffer_add_string(out, "}\n");
}
