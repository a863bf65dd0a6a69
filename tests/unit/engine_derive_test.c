/*
 * Derived views as the writer keeps them: random pipelines over random mutations, against a model
 * that sorts and filters everything anew; time by a clock of the test's own; builds that are cut
 * off; transactions that fail.
 */
#include "engine_fixture.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- the clock ---- */

static _Atomic int64_t clock_s;
/* Whoever holds it stops the writer before its next transaction. */
static pthread_mutex_t clock_held = PTHREAD_MUTEX_INITIALIZER;

static int64_t wall_ms(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&clock_held);
    pthread_mutex_unlock(&clock_held);
    return atomic_load(&clock_s) * 1000 + 17;
}

/* ---- the model: rows, and what a view shows of them ---- */

enum { KEYS = 24, VIEWS = 5, STEPS = 4, MISSING = 1000 };

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

struct row {
    bool alive;
    char key[16];
    int x, n;
    int64_t until;
    struct seq seq;
    int64_t change;
};

enum operation {
    FILTER_N,
    FILTER_X,
    FILTER_UNTIL,
    SORT_X,
    SORT_N,
    SKIP,
    TAKE,
    FIRST,
    LAST,
    MAX_BY,
    MIN_BY
};

struct step {
    enum operation operation;
    int argument;
    bool descending;
};

struct pipeline {
    int source; /* an earlier view; -1: the export */
    struct step steps[STEPS];
    int count;
};

struct model {
    struct row rows[KEYS];
    int64_t changes;
    struct seq head;
    int limit;
};

struct shown {
    const struct row *rows[KEYS];
    int count;
};

static uint64_t random_state, present_seed;

static int pick(int below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int)(random_state % (uint64_t)below);
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

static void evaluate(const struct model *model, const struct pipeline *pipelines, int view,
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

static void random_pipelines(struct pipeline *pipelines)
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

static struct view_set *make_views(const struct pipeline *pipelines, int count)
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

/* ---- a run: engine, views, model ---- */

struct run {
    struct fixture f;
    struct view_set *views;
    struct pipeline pipelines[VIEWS];
    int view_count;
    struct model model;
    struct engine_export_options limit;
    struct buffer told[16]; /* lowest place that commits told of, per stage; empty: none */
    struct buffer rows[16]; /* each stage's rows when they were last looked at */
    size_t touches;
    bool touched;
    void (*on_commit)(void *argument, struct engine_commit *commit);
};

static size_t stage_number(const struct run *run, const struct view_stage *stage)
{
    size_t i = 0;
    while (view_set_stage_at(run->views, i) != stage)
        assert_true(++i < 16);
    return i;
}

static void note_touches(void *argument, struct engine_commit *commit)
{
    /* The fixture is the first member. */
    struct run *run = argument;
    for (size_t i = 0; i < commit->touch_count; i++) {
        struct buffer *told = &run->told[stage_number(run, commit->touches[i].stage)];
        struct span place = commit->touches[i].place;
        assert_true(place.length > 0);
        if (told->length && span_compare(place, buffer_span(told)) >= 0)
            continue;
        buffer_clear(told);
        buffer_add_span(told, place);
    }
    run->touches += commit->touch_count;
    run->touched = run->touched || commit->touch_count > 0;
    run->on_commit(&run->f, commit);
}

static void run_init(struct run *run, const struct pipeline *pipelines, int count)
{
    *run = (struct run){.view_count = count};
    memcpy(run->pipelines, pipelines, (size_t)count * sizeof *pipelines);
    for (int i = 0; i < 16; i++) {
        buffer_init(&run->told[i], 1 << 20);
        buffer_init(&run->rows[i], 1 << 20);
    }
    for (int i = 0; i < KEYS; i++)
        snprintf(run->model.rows[i].key, sizeof run->model.rows[i].key, "k%d", i);
    fixture_init(&run->f);
    run->on_commit = run->f.options.on_commit;
    run->f.options.on_commit = note_touches;
    run->f.options.argument = run;
    run->f.options.wall_ms = wall_ms;
    run->f.options.store.synchronous = STORE_SYNCHRONOUS_OFF;
    run->views = make_views(pipelines, count);
    run->f.options.views = run->views;
}

static void run_close(struct run *run)
{
    fixture_close(&run->f);
    view_set_free(run->views);
    run->views = NULL;
}

static void run_open(struct run *run)
{
    if (!run->views)
        run->views = make_views(run->pipelines, run->view_count);
    run->f.options.views = run->views;
    fixture_open(&run->f);
    for (int i = 0; i < 16; i++) {
        buffer_clear(&run->told[i]);
        buffer_clear(&run->rows[i]);
    }
}

static void fail_on_finding(void *argument, const char *line)
{
    (void)argument;
    fail_msg("finding: %s", line);
}

static void run_fini(struct run *run)
{
    struct error error = {.code = ERROR_NONE};
    if (run->f.engine)
        fixture_close(&run->f);
    if (!engine_check(run->f.path, fail_on_finding, NULL, &error) ||
        !engine_check_views(run->f.path, run->views, fail_on_finding, NULL, &error))
        fail_msg("check: %s", error.message);
    fixture_fini(&run->f);
    view_set_free(run->views);
    for (int i = 0; i < 16; i++) {
        buffer_fini(&run->told[i]);
        buffer_fini(&run->rows[i]);
    }
}

/* ---- what is in the file ---- */

static sqlite3 *open_file(const struct run *run)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open_v2(run->f.path, &database, SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    return database;
}

static int64_t ask(const struct run *run, const char *sql)
{
    sqlite3 *database = open_file(run);
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(database));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return value;
}

static void expect_view(struct run *run, sqlite3 *database, int view)
{
    struct shown shown;
    char sql[64];
    sqlite3_stmt *statement;
    evaluate(&run->model, run->pipelines, view, &shown);
    snprintf(sql, sizeof sql, "SELECT rank, key FROM \"Q/v%d\"", view);
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(database));
    int count = 0, result;
    for (; (result = sqlite3_step(statement)) == SQLITE_ROW; count++) {
        const char *key = (const char *)sqlite3_column_text(statement, 1);
        if (count >= shown.count || strcmp(key, shown.rows[count]->key) != 0)
            fail_msg("seed %llu: view %d has %s at %d, not %s", (unsigned long long)present_seed,
                     view, key, count, count < shown.count ? shown.rows[count]->key : "nothing");
        assert_int_equal(sqlite3_column_int(statement, 0), count + 1);
    }
    if (result != SQLITE_DONE)
        fail_msg("%s", sqlite3_errmsg(database));
    if (count != shown.count)
        fail_msg("seed %llu: view %d has %d rows, not %d", (unsigned long long)present_seed, view,
                 count, shown.count);
    sqlite3_finalize(statement);
}

/* All rows of a stage, place and change, one after the other. */
static bool add_row(void *argument, struct span place, const struct store_entity *entity)
{
    uint32_t length = (uint32_t)place.length;
    buffer_add(argument, &length, sizeof length);
    buffer_add_span(argument, place);
    return buffer_add(argument, &entity->change, sizeof entity->change);
}

static struct span row_place(const struct buffer *rows, size_t at)
{
    uint32_t length = 0;
    if (at >= rows->length)
        return span_make(NULL, 0);
    memcpy(&length, rows->data + at, sizeof length);
    return span_make(rows->data + at + sizeof length, length);
}

/* The first place at which two states of a stage differ; absent when they are the same. */
static struct span first_difference(const struct buffer *was, const struct buffer *is)
{
    size_t at = 0;
    for (;;) {
        struct span p = row_place(was, at), q = row_place(is, at);
        if (!p.data || !q.data)
            return p.data ? p : q;
        if (!span_equal(p, q))
            return span_compare(p, q) < 0 ? p : q;
        size_t end = at + sizeof(uint32_t) + p.length;
        if (memcmp(was->data + end, is->data + end, sizeof(int64_t)) != 0)
            return p;
        at = end + sizeof(int64_t);
    }
}

/* What changed in a stage was told, from its first place on. */
static void expect_told(struct run *run, struct store_reader *reader, size_t number)
{
    const struct view_stage *stage = view_set_stage_at(run->views, number);
    struct error error = {.code = ERROR_NONE};
    struct buffer rows;
    int64_t id, built;
    bool found;
    buffer_init(&rows, 1 << 20);
    assert_true(store_read_stage(reader, span_of(stage->definition), &id, &built, &found, &error));
    assert_true(found);
    assert_true(store_scan_stage(reader, id, span_make(NULL, 0), 0, -1, false, false, add_row,
                                 &rows, &error));
    struct span difference = first_difference(&run->rows[number], &rows);
    const struct buffer *told = &run->told[number];
    if (difference.data && run->rows[number].length &&
        (!told->length || span_compare(buffer_span(told), difference) > 0))
        fail_msg("seed %llu: stage %zu changed and no commit told of it",
                 (unsigned long long)present_seed, number);
    buffer_fini(&run->rows[number]);
    run->rows[number] = rows;
    buffer_clear(&run->told[number]);
}

static void expect_all(struct run *run)
{
    struct error error = {.code = ERROR_NONE};
    sqlite3 *database = open_file(run);
    for (int i = 0; i < run->view_count; i++)
        expect_view(run, database, i);
    sqlite3_close(database);
    struct store_reader *reader = store_reader_open(engine_store(run->f.engine), &error);
    assert_true(store_read_begin(reader, &error));
    for (size_t i = 0; view_set_stage_at(run->views, i); i++)
        expect_told(run, reader, i);
    store_read_end(reader);
    store_reader_close(reader);
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

static void mutate(struct model *model, struct buffer *text)
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

static void evict(struct model *model)
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

/* Several mutations in one transaction; `fault`: with the Nth allocation failing. */
static void apply_some(struct run *run, int most, int fault)
{
    struct model before = run->model;
    struct outcome outcome;
    struct error error;
    struct buffer text;
    buffer_init(&text, 1 << 20);
    for (int i = pick(most) + 1; i > 0 || !text.length; i--)
        mutate(&run->model, &text);
    evict(&run->model);
    if (text.length) {
        struct submission *submission = fixture_submission(buffer_string(&text), &outcome);
        memory_fail_at((uint64_t)fault, 0);
        bool put = engine_submit(run->f.engine, submission, &error);
        assert_true(put);
        fixture_wait(&run->f, &outcome.done);
        memory_fail_at(0, 0);
        if (outcome.error.code != ERROR_NONE)
            run->model = before;
        if (!fault && outcome.error.code != ERROR_NONE)
            fail_msg("%s", outcome.error.message);
    }
    buffer_fini(&text);
}

/* ---- tests ---- */

static void follow(uint64_t seed, bool limited)
{
    struct pipeline pipelines[VIEWS];
    struct run run;
    present_seed = seed;
    random_state = 0x9e3779b97f4a7c15u * (seed + 1);
    for (int i = 0; i < 10; i++)
        pick(2);
    atomic_store(&clock_s, 1000);
    random_pipelines(pipelines);
    run_init(&run, pipelines, VIEWS);
    if (limited) {
        run.model.limit = 10;
        run.limit = (struct engine_export_options){.name = {"Q", 1}, .max_entities = 10};
        run.f.options.exports = &run.limit;
        run.f.options.export_count = 1;
    }
    run_open(&run);
    for (int i = 0; i < 40; i++) {
        if (pick(3) == 0)
            atomic_fetch_add(&clock_s, pick(5));
        apply_some(&run, i % 5 ? 3 : 20, pick(4) ? 0 : 1 + pick(60));
        /* A transaction that failed did not bring the time along. */
        apply_some(&run, 1, 0);
        if (pick(12) == 0) {
            run_close(&run);
            if (pick(2))
                random_pipelines(run.pipelines);
            run_open(&run);
            apply_some(&run, 1, 0);
        }
        run.f.options.exports = limited ? &run.limit : NULL;
        expect_all(&run);
    }
    run_fini(&run);
}

static void follows_random_mutations(void **state)
{
    (void)state;
    /* STELE_DERIVE_SEEDS=1000 tries more of them, STELE_DERIVE_FIRST=189 begins with that one. */
    const char *wanted = getenv("STELE_DERIVE_SEEDS"), *first = getenv("STELE_DERIVE_FIRST");
    uint64_t seeds = wanted ? strtoull(wanted, NULL, 10) : 60;
    for (uint64_t seed = first ? strtoull(first, NULL, 10) : 0; seed < seeds; seed++)
        follow(seed, seed % 3 == 2);
}

static void expect_applied(struct run *run, const char *text)
{
    struct outcome outcome = fixture_apply(&run->f, text);
    if (outcome.error.code != ERROR_NONE)
        fail_msg("%s", outcome.error.message);
}

static const struct pipeline still_valid[] = {
    {.source = -1, .steps = {{.operation = FILTER_UNTIL}}, .count = 1},
    {.source = 0, .steps = {{.operation = SORT_N}, {.operation = TAKE, .argument = 2}}, .count = 2},
    {.source = 1, .steps = {{.operation = LAST}}, .count = 1},
};

static void time_alone_changes_a_view(void **state)
{
    (void)state;
    struct run run;
    atomic_store(&clock_s, 1000);
    run_init(&run, still_valid, 3);
    run_open(&run);
    expect_applied(&run,
                   "Q a upsert {\"until\":1010,\"n\":1}\nQ b upsert {\"until\":1020,\"n\":2}\n"
                   "Q c upsert {\"until\":1030,\"n\":3}");
    assert_int_equal(ask(&run, "SELECT group_concat(key) = 'a,b' FROM \"Q/v1\""), 1);
    run.touched = false;
    atomic_store(&clock_s, 1010);
    fixture_wait(&run.f, &run.touched);
    assert_int_equal(ask(&run, "SELECT count(*) FROM \"Q/v0\""), 2);
    assert_int_equal(ask(&run, "SELECT group_concat(key) = 'b,c' FROM \"Q/v1\""), 1);
    assert_int_equal(ask(&run, "SELECT key = 'c' FROM \"Q/v2\""), 1);
    /* a left by time alone; c came into a stage over the first two by that. */
    assert_int_equal(ask(&run, "SELECT group_concat(key) = 'a,c' FROM "
                               "(SELECT key FROM derived_flip WHERE change = 3 ORDER BY key)"),
                     1);
    /* What came while nothing ran is made up for. */
    run_close(&run);
    atomic_store(&clock_s, 1025);
    run_open(&run);
    run.touched = false;
    fixture_wait(&run.f, &run.touched);
    assert_int_equal(ask(&run, "SELECT group_concat(key) = 'c' FROM \"Q/v1\""), 1);
    /* Back in time is no time. */
    atomic_store(&clock_s, 1);
    expect_applied(&run, "Q a patch {\"n\":5}");
    assert_int_equal(ask(&run, "SELECT group_concat(key) = 'c' FROM \"Q/v1\""), 1);
    run_fini(&run);
}

enum { MANY = 12000, BUILT = 50000 };

static void feed_many(struct run *run, int count)
{
    struct buffer text;
    buffer_init(&text, 1 << 24);
    for (int i = 0; i < count; i++)
        buffer_printf(&text, "Q k%05d upsert {\"until\":1010,\"n\":%d}\n", i, i % 7);
    expect_applied(run, buffer_string(&text));
    buffer_fini(&text);
}

/* Of each kind, some whose turn came and some that wait, wherever the border is. */
static struct submission *mutate_many(int from, struct outcome *outcome)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    for (int i = from; i < MANY; i += 500)
        buffer_printf(&text,
                      "Q k%05d delete\nQ k%05d patch {\"n\":1}\nQ k%05d patch {\"until\":2000}\n"
                      "Q k%05d upsert {\"until\":1700}\nQ k%05d upsert {}\n",
                      i, i + 1, i + 2, i + 3, i + 4);
    struct submission *submission = fixture_submission(buffer_string(&text), outcome);
    buffer_fini(&text);
    return submission;
}

/* More than two transactions take. The first has mutations, the second is made for the turns
 * alone, the third has mutations while some are still left. */
static void many_turns_of_one_second(void **state)
{
    (void)state;
    struct run run;
    struct error error;
    struct outcome first, second;
    int64_t kept = (int64_t)(MANY / 500 * 2) * 2, left;
    atomic_store(&clock_s, 1000);
    run_init(&run, still_valid, 3);
    run.f.options.commit_mutations = 150;
    run_open(&run);
    feed_many(&run, MANY);
    assert_int_equal(ask(&run, "SELECT count(*) FROM \"Q/v0\""), MANY);
    pthread_mutex_lock(&clock_held);
    atomic_store(&clock_s, 1500);
    assert_true(engine_submit(run.f.engine, mutate_many(0, &first), &error));
    assert_true(engine_submit(run.f.engine, mutate_many(10, &second), &error));
    pthread_mutex_unlock(&clock_held);
    fixture_wait(&run.f, &first.done);
    fixture_wait(&run.f, &second.done);
    assert_int_equal(first.error.code, ERROR_NONE);
    assert_int_equal(second.error.code, ERROR_NONE);
    while ((left = ask(&run, "SELECT count(*) FROM \"Q/v0\"")) > kept) {
        run.touched = false;
        fixture_wait(&run.f, &run.touched);
    }
    assert_int_equal(left, kept);
    /* Two stages ask for now(). */
    assert_int_equal(ask(&run, "SELECT count(*) FROM derived_turn"), kept * 2);
    run_fini(&run);
}

/* A build that ends in the middle, at many places, is gone on with and comes to the same. */
static void a_build_goes_on(void **state)
{
    (void)state;
    struct run run;
    struct error error;
    bool went_on = false;
    atomic_store(&clock_s, 1000);
    run_init(&run, still_valid, 0);
    run.f.options.commit_mutations = 2 * BUILT;
    run_open(&run);
    feed_many(&run, BUILT);
    run_close(&run);
    memcpy(run.pipelines, still_valid, sizeof still_valid);
    run.view_count = 3;
    run.views = make_views(run.pipelines, 3);
    run.f.options.views = run.views;
    for (uint64_t nth = 1000;; nth += nth / 8) {
        memory_fail_at(nth, 1);
        run.f.engine = engine_open(&run.f.options, &error);
        bool hit = memory_fault_hit();
        memory_fail_at(0, 0);
        if (run.f.engine && !hit)
            break;
        if (run.f.engine)
            fixture_close(&run.f);
        went_on = went_on || ask(&run, "SELECT count(progress) FROM stage") > 0;
    }
    assert_true(went_on);
    assert_int_equal(ask(&run, "SELECT count(*) FROM \"Q/v0\""), BUILT);
    assert_int_equal(ask(&run, "SELECT count(*) FROM \"Q/v1\" WHERE json_extract(data, '$.n') = 0"),
                     2);
    assert_int_equal(ask(&run, "SELECT count(*) FROM stage WHERE built_change = 50000"), 3);
    run_fini(&run);
}

static void count_finding(void *argument, const char *line)
{
    (void)line;
    ++*(int *)argument;
}

static int findings_after(struct run *run, const char *sql)
{
    struct error error = {.code = ERROR_NONE};
    sqlite3 *database;
    int findings = 0;
    assert_int_equal(sqlite3_open(run->f.path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(database), 1);
    sqlite3_close(database);
    if (!engine_check(run->f.path, count_finding, &findings, &error) ||
        !engine_check_views(run->f.path, run->views, count_finding, &findings, &error))
        fail_msg("check: %s", error.message);
    return findings;
}

static void the_check_finds_wrong_rows(void **state)
{
    (void)state;
    struct run run;
    atomic_store(&clock_s, 1000);
    run_init(&run, still_valid, 3);
    run_open(&run);
    expect_applied(&run,
                   "Q a upsert {\"until\":1010,\"n\":1}\nQ b upsert {\"until\":1010,\"n\":2}\n"
                   "Q c upsert {\"until\":1010,\"n\":3}\nQ d upsert {\"until\":2,\"n\":4}");
    fixture_close(&run.f);
    static const char *const wrong[][2] = {
        /* one is missing */
        {"DELETE FROM derived_row WHERE stage = 1 AND entity = 2",
         "INSERT INTO derived_row SELECT 1, place, entity FROM kept WHERE stage = 1 AND entity = "
         "2"},
        /* the filter does not hold */
        {"INSERT INTO derived_row SELECT 1, x'00', id FROM entity WHERE key = 'd'",
         "DELETE FROM derived_row WHERE place = x'00'"},
        /* another's place */
        {"UPDATE derived_row SET entity = 1 WHERE stage = 2 AND entity = 4",
         "UPDATE derived_row SET entity = 4 WHERE stage = 2 AND entity = 1"},
        /* of the export, but not of the source's first two */
        {"INSERT INTO derived_row SELECT 3, place, entity FROM kept WHERE stage = 2 AND entity = 2",
         "DELETE FROM derived_row WHERE stage = 3 AND entity = 2"},
        /* of no entity */
        {"UPDATE derived_row SET entity = 99 WHERE stage = 2 AND entity = 4",
         "UPDATE derived_row SET entity = 4 WHERE stage = 2 AND entity = 99"},
    };
    /* Rows are written last first: d is entity 1, a is 4. */
    assert_int_equal(findings_after(&run, "CREATE TABLE kept AS SELECT * FROM derived_row; "
                                          "UPDATE meta SET value = value WHERE name = 'epoch'"),
                     0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (findings_after(&run, wrong[i][0]) == 0)
            fail_msg("not found: %s", wrong[i][0]);
        assert_int_equal(findings_after(&run, wrong[i][1]), 0);
    }
    run_fini(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_finds_wrong_rows), cmocka_unit_test(time_alone_changes_a_view),
        cmocka_unit_test(many_turns_of_one_second),   cmocka_unit_test(a_build_goes_on),
        cmocka_unit_test(follows_random_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
