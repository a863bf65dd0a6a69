#include "derive_model.h"
#include "random.h"
#include "test.h"

enum { MISSING = 1000 };

/* Values in the order in which they must come; equal ranks are ties. */
static const struct {
    const char *text;
    int rank;
} palette[] = {
    {"false", 0},
    {"true", 1},
    {"-18446744073709551615", 2},
    {"-5", 3},
    {"0.5", 4},
    {"1", 5},
    {"1.0", 5},
    {"10e-1", 5},
    {"2", 6},
    {"9007199254740993", 7},
    {"18446744073709551615", 8},
    {"\"\"", 9},
    {"\"a\"", 10},
    {"\"a\\u0000\"", 11},
    {"\"ab\"", 12},
    {"\"\xc3\xa9\"", 13},
    {"[1]", 14},
    {"{}", 15},
    {"null", MISSING},
    {NULL, MISSING},
};
enum { PALETTE = sizeof palette / sizeof *palette };

_Atomic int64_t clock_s;

int pick(int below)
{
    return (int)random_below((uint32_t)below);
}

static int compare_seq(const void *a, const void *b)
{
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
    int order = seq_compare(y->seq, x->seq);
    return order ? order : strcmp(x->key, y->key);
}

static bool sort_by_x, sort_descending;

static int compare_value(const void *a, const void *b)
{
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
    int p = sort_by_x ? palette[x->x].rank : x->n, q = sort_by_x ? palette[y->x].rank : y->n;
    if (p != q && (p == MISSING || q == MISSING))
        return p == MISSING ? 1 : -1;
    int order = (p > q) - (p < q);
    order = sort_descending ? -order : order;
    return order ? order : strcmp(x->key, y->key);
}

static void sort(struct shown *shown, bool by_x, bool descending)
{
    sort_by_x = by_x;
    sort_descending = descending;
    qsort(shown->rows, (size_t)shown->count, sizeof *shown->rows, compare_value);
}

static void keep(struct shown *shown, int from, int count)
{
    from = from < shown->count ? from : shown->count;
    count = count < shown->count - from ? count : shown->count - from;
    memmove(shown->rows, shown->rows + from, (size_t)count * sizeof *shown->rows);
    shown->count = count;
}

static bool passes(const struct row *row, const struct step *step)
{
    switch (step->operation) {
    case FILTER_N:
        return row->n >= step->argument;
    case FILTER_X:
        return palette[row->x].text != NULL;
    default:
        return step->descending != (row->until > atomic_load(&clock_s));
    }
}

static void run_step(struct shown *shown, const struct step *step)
{
    int kept = 0;
    switch (step->operation) {
    case FILTER_N:
    case FILTER_X:
    case FILTER_UNTIL:
        for (int i = 0; i < shown->count; i++)
            if (passes(shown->rows[i], step))
                shown->rows[kept++] = shown->rows[i];
        shown->count = kept;
        break;
    case SORT_X:
    case SORT_N:
        sort(shown, step->operation == SORT_X, step->descending);
        break;
    case SKIP:
        keep(shown, step->argument, KEYS);
        break;
    case TAKE:
        keep(shown, 0, step->argument);
        break;
    case FIRST:
        keep(shown, 0, 1);
        break;
    case LAST:
        keep(shown, shown->count ? shown->count - 1 : 0, 1);
        break;
    case MAX_BY:
    case MIN_BY:
        sort(shown, true, step->operation == MAX_BY);
        keep(shown, 0, 1);
        break;
    }
}

void evaluate(const struct model *model, const struct pipeline *pipelines, int view,
              struct shown *shown)
{
    if (view < 0) {
        shown->count = 0;
        for (int i = 0; i < KEYS; i++)
            if (model->rows[i].alive)
                shown->rows[shown->count++] = &model->rows[i];
        qsort(shown->rows, (size_t)shown->count, sizeof *shown->rows, compare_seq);
        return;
    }
    evaluate(model, pipelines, pipelines[view].source, shown);
    for (int i = 0; i < pipelines[view].count; i++)
        run_step(shown, &pipelines[view].steps[i]);
}

/* ---- pipelines as a stack file ---- */

void random_pipelines(struct pipeline *pipelines)
{
    for (int i = 0; i < VIEWS; i++) {
        pipelines[i].source = pick(i + 1) - 1;
        pipelines[i].count = 1 + pick(STEPS);
        for (int j = 0; j < pipelines[i].count; j++)
            pipelines[i].steps[j] = (struct step){.operation = (enum operation)pick(MIN_BY + 1),
                                                  .argument = pick(8),
                                                  .descending = pick(2)};
    }
}

static void print_step(struct buffer *out, const struct step *step)
{
    static const char filter[] = "{\"Filter\":{\"predicate\":";
    static const char field[] = "{\"segments\":[\"%s\"]}";
    const char *order = step->descending ? "desc" : "asc";
    switch (step->operation) {
    case FILTER_N:
        buffer_printf(out,
                      "%s{\"Compare\":{\"field\":{\"segments\":[\"n\"]},\"op\":\"Gte\",\"value\":"
                      "{\"Literal\":%d}}}}}",
                      filter, step->argument);
        break;
    case FILTER_X:
        buffer_printf(out, "%s{\"Exists\":{\"field\":{\"segments\":[\"x\"]}}}}}", filter);
        break;
    case FILTER_UNTIL:
        buffer_printf(out,
                      "%s{\"Compare\":{\"field\":{\"segments\":[\"until\"]},\"op\":\"%s\","
                      "\"value\":{\"Dynamic\":\"now()\"}}}}}",
                      filter, step->descending ? "Lte" : "Gt");
        break;
    case SORT_X:
    case SORT_N:
        buffer_add_string(out, "{\"Sort\":{\"key\":");
        buffer_printf(out, field, step->operation == SORT_X ? "x" : "n");
        buffer_printf(out, ",\"order\":\"%s\"}}", order);
        break;
    case SKIP:
    case TAKE:
        buffer_printf(out, "{\"%s\":{\"count\":%d}}", step->operation == SKIP ? "Skip" : "Take",
                      step->argument);
        break;
    case FIRST:
    case LAST:
        buffer_add_string(out, step->operation == FIRST ? "\"First\"" : "\"Last\"");
        break;
    case MAX_BY:
    case MIN_BY:
        buffer_printf(out, "{\"%s\":{\"key\":", step->operation == MAX_BY ? "MaxBy" : "MinBy");
        buffer_printf(out, field, "x");
        buffer_add_string(out, "}}");
        break;
    }
}

static void print_stack(struct buffer *out, const struct pipeline *pipelines, int count)
{
    buffer_add_string(out, "{\"entities\":[{\"state_name\":\"Q\",\"views\":[");
    for (int i = 0; i < count; i++) {
        buffer_printf(out, "%s{\"id\":\"Q/v%d\",\"source\":", i ? "," : "", i);
        if (pipelines[i].source < 0)
            buffer_add_string(out, "{\"Entity\":{\"name\":\"Q\"}}");
        else
            buffer_printf(out, "{\"View\":{\"id\":\"Q/v%d\"}}", pipelines[i].source);
        buffer_add_string(out, ",\"pipeline\":[");
        for (int j = 0; j < pipelines[i].count; j++) {
            buffer_add_string(out, j ? "," : "");
            print_step(out, &pipelines[i].steps[j]);
        }
        buffer_add_string(out, "],\"output\":\"Collection\"}");
    }
    buffer_add_string(out, "]}]}");
}

struct view_set *make_views(const struct pipeline *pipelines, int count)
{
    struct error error = {.code = ERROR_NONE};
    struct buffer text;
    buffer_init(&text, 1 << 20);
    print_stack(&text, pipelines, count);
    struct view_set *set = view_set_new(true);
    struct tree *stack = tree_parse(buffer_span(&text), &error);
    if (!stack || !view_set_add_export(set, span_of("Q"), &error) ||
        !view_set_add_stack(set, stack, &error) || !view_set_resolve(set, &error))
        fail_msg("%s: %.*s", error.message, (int)text.length, text.data);
    tree_free(stack);
    buffer_fini(&text);
    return set;
}

/* ---- mutations ---- */

static void note_change(struct model *model, struct row *row, struct buffer *text)
{
    if (pick(4) == 0) { /* a seq of before, or a shared one */
        row->seq = (struct seq){0, 1 + pick((int)model->head.index + 2)};
        buffer_printf(text, "=0:%d\n", (int)row->seq.index);
    } else {
        row->seq = (struct seq){0, model->head.index + 1};
    }
    if (seq_compare(row->seq, model->head) > 0)
        model->head = row->seq;
    row->change = ++model->changes;
}

void mutate(struct model *model, struct buffer *text)
{
    struct row *row = &model->rows[pick(KEYS)];
    int what = pick(10);
    if (what < 2 && !row->alive)
        return;
    note_change(model, row, text);
    if (what < 2) {
        row->alive = false;
        buffer_printf(text, "Q %s delete\n", row->key);
        return;
    }
    row->n = pick(8);
    if (what < 5 && row->alive) {
        buffer_printf(text, "Q %s patch {\"n\":%d}\n", row->key, row->n);
        return;
    }
    row->alive = true;
    row->x = pick(PALETTE);
    row->until = atomic_load(&clock_s) - 3 + pick(12);
    buffer_printf(text, "Q %s upsert {\"n\":%d,\"until\":%d", row->key, row->n, (int)row->until);
    if (palette[row->x].text)
        buffer_printf(text, ",\"x\":%s", palette[row->x].text);
    buffer_add_string(text, "}\n");
}

void evict(struct model *model)
{
    for (;;) {
        struct row *oldest = NULL;
        int alive = 0;
        for (int i = 0; i < KEYS; i++) {
            struct row *row = &model->rows[i];
            alive += row->alive;
            if (row->alive && (!oldest || row->change < oldest->change))
                oldest = row;
        }
        if (!model->limit || alive <= model->limit)
            return;
        oldest->alive = false;
        model->changes++;
    }
}
