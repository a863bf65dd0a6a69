/*
 * One view of two sides: first its sum, then those of its parts, then the keys of the parts that
 * differ. Between two questions either side may move on. So a key that differs counts at once only
 * if both answers were of one seq; else the side that is ahead is asked for its row as of the seq
 * of the other.
 */
#include "cli/drift.h"

#include <stdlib.h>

enum {
    PARTS = 256,
    PART_BYTES = 3,            /* "3f," */
    ROWS_AT_ONCE = 20 * 1000,  /* whose keys one answer has, about */
    FEWER = 4,                 /* of these each time that an answer would be too large */
    ORDERED_ROWS = 100 * 1000, /* likewise, in an order that is compared */
    ROWS_AS_OF = 500           /* rows of a view that are asked for as of a seq */
};

struct part {
    int64_t rows;
    char sum[SUM_DIGITS];
};

struct comparing {
    struct drift_side *sides;
    const char *view;
    struct drift_found *found;
    struct drift_sums sums[2];
    struct part parts[2][PARTS];
    char names[PARTS * PART_BYTES + 1]; /* of parts that differ, for one question */
    int as_of;                          /* rows that were asked for so */
    bool too_large;                     /* the last answer would have been */
    struct error error;
};

void drift_found_clear(struct drift_found *found)
{
    for (size_t i = 0; i < found->count; i++)
        text_unref(found->keys[i].key);
    memory_free(found->keys);
    *found = (struct drift_found){.verdict = DRIFT_UNKNOWN};
}

static const char no_memory[] = "out of memory while comparing keys";

static struct span key_name(const void *key)
{
    return text_span(((const struct drift_key *)key)->key);
}

static bool index_keys(const struct drift_found *found, struct map *map)
{
    map_init(map, key_name);
    for (size_t i = 0; i < found->count; i++)
        if (!map_get(map, key_name(&found->keys[i])) && !map_add(map, &found->keys[i]))
            return false;
    return true;
}

static void keep_confirmed(struct drift_found *found, const struct map *before)
{
    size_t count = 0;
    for (size_t i = 0; i < found->count; i++) {
        if (map_get(before, key_name(&found->keys[i])))
            found->keys[count++] = found->keys[i];
        else
            text_unref(found->keys[i].key);
    }
    found->count = count;
}

void drift_found_confirm(struct drift_found *found, const struct drift_found *before)
{
    struct map map;
    if (found->verdict != DRIFT_DIFFERENT)
        return;
    bool indexed = index_keys(before, &map);
    if (indexed)
        keep_confirmed(found, &map);
    map_fini(&map);
    found->order_differs = found->order_differs && before->order_differs;
    if (indexed && (found->count || found->order_differs))
        return;
    found->verdict = DRIFT_UNKNOWN;
    found->again = indexed;
    snprintf(found->why, sizeof found->why, "%s",
             indexed ? "the rows move; each time others differ" : no_memory);
}

/* It cannot be told; the reason of before stays. Always false. */
static bool give_up(struct comparing *it, bool again, const char *why)
{
    if (!it->found->why[0])
        snprintf(it->found->why, sizeof it->found->why, "%s", why);
    it->found->again = again;
    return false;
}

/* ---- questions ---- */

static bool ask_side(struct comparing *it, int side, bool parts, const char *keys)
{
    struct drift_side *asked = &it->sides[side];
    struct drift_sums *sums = &it->sums[side];
    bool done = drift_side_ask(asked, it->view, parts, keys, sums, &it->error);
    it->too_large = !done && drift_side_status(asked) == DRIFT_TOO_LARGE;
    if (!done)
        return give_up(it, !asked->is_file && drift_side_status(asked) != DRIFT_WRONG,
                       it->error.message);
    it->found->rows[side] = sums->rows;
    snprintf(it->found->seqs[side], SEQ_SIZE, "%.*s", (int)sums->seq_text.length,
             sums->seq_text.data);
    if (!sums->scoped || !it->sides[!side].is_file)
        return true;
    return give_up(it, false,
                   "the server shows this token the rows of its scope alone, and a file shows all");
}

static bool ask_both(struct comparing *it, bool parts, const char *keys)
{
    return ask_side(it, 0, parts, keys) && ask_side(it, 1, parts, keys);
}

static bool at_one_seq(const struct comparing *it)
{
    return seq_compare(it->sums[0].seq, it->sums[1].seq) == 0;
}

/* ---- keys ---- */

static bool note_key(struct comparing *it, const struct drift_entry *entry)
{
    struct drift_found *found = it->found;
    struct text *key = text_new(entry->key.data, entry->key.length);
    if (key &&
        array_reserve((void **)&found->keys, found->count, &found->capacity, sizeof *found->keys)) {
        found->keys[found->count++] = (struct drift_key){key, entry->is};
        return true;
    }
    text_unref(key);
    return give_up(it, false, no_memory);
}

static bool decode_key(struct span json, struct buffer *key)
{
    struct span bare = doc_bare(json);
    const char *at = bare.data, *end = at + bare.length;
    while (at < end)
        buffer_add_char(key, (char)doc_bare_next(&at, end));
    return !key->failed;
}

/* Whether the row of the side that is ahead was, at the seq of the other, what that has. */
static bool row_was_same(struct comparing *it, const struct drift_entry *entry, bool *same)
{
    int ahead = seq_compare(it->sums[0].seq, it->sums[1].seq) < 0;
    struct span other = entry->sums[!ahead];
    struct buffer key, text;
    struct sum sum;
    bool there = false;
    buffer_init(&key, UINT32_MAX);
    buffer_init(&text, SUM_DIGITS);
    bool done = (decode_key(entry->key, &key) ||
                 error_set(&it->error, ERROR_MEMORY, "out of memory while comparing keys")) &&
                drift_side_row_at(&it->sides[ahead], it->view, buffer_span(&key),
                                  it->sums[!ahead].seq_text, &sum, &there, &it->error);
    if (done && there)
        sum_print(&text, &sum);
    *same = done && (there ? other.data && span_equal(buffer_span(&text), other) : !other.data);
    buffer_fini(&key);
    buffer_fini(&text);
    return done;
}

static bool take_entry(struct comparing *it, const struct drift_entry *entry)
{
    bool same;
    if (entry->is == DRIFT_SAME)
        return true;
    if (at_one_seq(it))
        return note_key(it, entry);
    if (it->as_of++ < ROWS_AS_OF && row_was_same(it, entry, &same))
        return same || note_key(it, entry);
    give_up(it, true, it->error.message[0] ? it->error.message : "too many rows moved meanwhile");
    it->found->untold++;
    return true;
}

static bool compare_keys(struct comparing *it)
{
    struct drift_entries entries;
    if (!ask_both(it, false, it->names))
        return false;
    if (!drift_entries_make(&entries, it->sums, &it->error))
        return give_up(it, false, it->error.message);
    bool done = true;
    for (size_t i = 0; done && i < entries.count; i++)
        done = take_entry(it, &entries.list[i]);
    drift_entries_fini(&entries);
    return done;
}

/* ---- parts ---- */

/* [part, rows, sum] */
static bool read_part(const struct doc *doc, uint32_t each, struct part parts[PARTS])
{
    enum { MEMBERS = 3, HEX = 16 };
    char *behind, digits[PART_BYTES] = "";
    if (doc->nodes[each].type != DOC_ARRAY || doc->nodes[each].count != MEMBERS)
        return false;
    uint32_t name = doc_first(doc, each), rows = doc->nodes[name].end;
    struct span text = doc_bare(doc_text(doc, name));
    struct span sum = doc_bare(doc_text(doc, doc->nodes[rows].end));
    memcpy(digits, text.data, text.length == PART_BYTES - 1 ? text.length : 0);
    unsigned long number = strtoul(digits, &behind, HEX);
    if (behind != digits + PART_BYTES - 1 || number >= PARTS || sum.length != SUM_DIGITS)
        return false;
    memcpy(parts[number].sum, sum.data, sum.length);
    return doc_integer(doc, rows, &parts[number].rows);
}

static bool read_parts(struct comparing *it, int side)
{
    const struct doc *doc = &it->sums[side].doc;
    uint32_t list = it->sums[side].parts;
    bool good = list != DOC_NONE && doc->nodes[list].type == DOC_ARRAY;
    uint32_t end = good ? doc->nodes[list].end : 0;
    for (uint32_t each = list + 1; good && each < end; each = doc->nodes[each].end)
        good = read_part(doc, each, it->parts[side]);
    return good || give_up(it, false, "the server answered with parts of another form");
}

/* The parts that differ from *next on, as many as fit into a question; false: there are none. */
static bool gather_parts(struct comparing *it, int64_t most_rows, int *next)
{
    int64_t rows = 0;
    size_t length = 0;
    for (; *next < PARTS && rows < most_rows; ++*next) {
        const struct part *one = &it->parts[0][*next], *other = &it->parts[1][*next];
        if (one->rows == other->rows && memcmp(one->sum, other->sum, SUM_DIGITS) == 0)
            continue;
        length += (size_t)snprintf(it->names + length, PART_BYTES + 1, "%s%02x", length ? "," : "",
                                   (unsigned)*next);
        rows += one->rows + other->rows;
    }
    return length > 0;
}

static bool compare_parts(struct comparing *it)
{
    int64_t most_rows = ROWS_AT_ONCE;
    int at = 0, next = 0;
    if (!ask_both(it, true, NULL) || !read_parts(it, 0) || !read_parts(it, 1))
        return false;
    while (next = at, gather_parts(it, most_rows, &next)) {
        bool had_reason = it->found->why[0] != '\0';
        if (compare_keys(it)) {
            at = next;
            continue;
        }
        if (!it->too_large || most_rows == 1)
            return false;
        most_rows = most_rows > FEWER ? most_rows / FEWER : 1; /* the keys are long */
        if (!had_reason)
            it->found->why[0] = '\0';
    }
    return true;
}

/* ---- order ---- */

static bool find_moves(struct comparing *it, struct drift_entries *entries)
{
    if (!drift_entries_find_moves(entries, &it->error))
        return give_up(it, false, it->error.message);
    bool done = true;
    for (size_t i = 0; done && i < entries->count; i++)
        if (entries->list[i].is == DRIFT_MOVED)
            done = note_key(it, &entries->list[i]);
    return done;
}

/* The rows that are the same on both sides, as the answers have them. Where rows differ, so may the
 * order by right. */
static bool compare_order(struct comparing *it)
{
    struct drift_entries entries;
    if (it->sums[0].rows > ORDERED_ROWS || it->sums[1].rows > ORDERED_ROWS)
        return true; /* that it differs is told, and not which rows */
    if (!ask_both(it, false, "all"))
        return false;
    if (!at_one_seq(it))
        return give_up(it, true, "the order was not compared, because the sides moved meanwhile");
    if (!drift_entries_make(&entries, it->sums, &it->error))
        return give_up(it, false, it->error.message);
    bool done = find_moves(it, &entries);
    drift_entries_fini(&entries);
    return done;
}

/* ---- the view ---- */

static bool same_order(const struct comparing *it)
{
    return span_equal(it->sums[0].order, it->sums[1].order);
}

static bool compare_same_rows(struct comparing *it)
{
    struct drift_found *found = it->found;
    found->order_differs = !same_order(it);
    if (!found->order_differs) {
        found->verdict = DRIFT_EQUAL;
        return true;
    }
    if (!at_one_seq(it))
        return give_up(it, true, "the rows are equal; their order is not, but it is of two seqs");
    found->verdict = DRIFT_DIFFERENT;
    return compare_order(it);
}

/* The order of the rows that are the same counts, too, if it can be had of one seq. */
static bool take_difference(struct comparing *it)
{
    struct drift_found *found = it->found;
    size_t differing = found->count;
    found->verdict = DRIFT_DIFFERENT;
    if (!same_order(it) && at_one_seq(it) && compare_order(it))
        found->order_differs = found->count > differing;
    found->why[0] = '\0';
    return true;
}

static bool same_rows(const struct comparing *it)
{
    return span_equal(it->sums[0].sum, it->sums[1].sum) && it->sums[0].rows == it->sums[1].rows;
}

/* What differed were changes that one side had first: the rows were equal at the seq of the other.
 * The order of rows is not told of a former seq. A file does not come nearer by waiting. */
static void tell_behind(struct comparing *it)
{
    struct drift_found *found = it->found;
    found->verdict = DRIFT_EQUAL;
    found->behind = seq_compare(it->sums[0].seq, it->sums[1].seq) < 0 ? DRIFT_FIRST : DRIFT_SECOND;
    found->order_untold = it->sums[0].order.data || it->sums[1].order.data;
    found->again = found->order_untold && !it->sides[0].is_file && !it->sides[1].is_file;
}

static bool compare(struct comparing *it)
{
    if (!ask_side(it, 0, false, NULL)) {
        it->found->wants_key = drift_side_wants_key(&it->sides[0]);
        return false;
    }
    if (!ask_side(it, 1, false, NULL))
        return false;
    if (same_rows(it))
        return compare_same_rows(it);
    if (!compare_parts(it))
        return false;
    if (it->found->count)
        return take_difference(it);
    if (it->found->untold)
        return false;
    if (same_rows(it))
        return compare_same_rows(it);
    tell_behind(it);
    return true;
}

void drift_compare(struct drift_side sides[2], const char *view, struct drift_found *found)
{
    struct comparing it = {.sides = sides, .view = view, .found = found};
    drift_found_clear(found);
    drift_sums_init(&it.sums[0]);
    drift_sums_init(&it.sums[1]);
    compare(&it);
    drift_sums_fini(&it.sums[0]);
    drift_sums_fini(&it.sums[1]);
}
