/*
 * Explanations of random rows in random pipelines, and of parts that queries make of them, against
 * the model of derived views: what is said of a row is what the view shows, its rank is where the
 * row stands, and the steps before the one that keeps it out let it pass.
 */
#include "derive_run.h"
#include "explain/explain.h"
#include "memory_fault.h"
#include "random.h"
#include "test.h"

#include <stdatomic.h>

enum { NO_SORT, SORT_UP, SORT_DOWN };

/* A query over a view, and what of the view it shows by the model. */
struct query {
    int view, least, sort; /* least: n >= it; negative: no condition */
    int take, skip;        /* take 0: no limit */
};

static void read_answer(struct run *run, const struct query *query, const char *key,
                        struct buffer *answer)
{
    static const struct explain_limits limits = {{16, 100}, INT64_MAX};
    char id[16], text[200] = "";
    struct error error = {.code = ERROR_NONE};
    struct view_query *made;
    snprintf(id, sizeof id, "Q/v%d", query->view);
    struct explain explain = {.view = view_set_find(run->views, span_of(id)),
                              .sight.all = true,
                              .sees_others = true,
                              .key = span_of(key),
                              .now = atomic_load(&clock_s)};
    size_t length = 0;
    if (query->least >= 0)
        length = (size_t)snprintf(text, sizeof text, "\"where\":{\"field\":\"n\",\"gte\":%d}",
                                  query->least);
    if (query->sort)
        snprintf(text + length, sizeof text - length,
                 "%s\"sort\":[{\"by\":\"n\",\"order\":\"%s\"}]", length ? "," : "",
                 query->sort == SORT_UP ? "asc" : "desc");
    char whole[220];
    snprintf(whole, sizeof whole, "{%s}", text);
    struct wire_subscribe wanted = {.take = query->take ? query->take : -1,
                                    .skip = query->skip ? query->skip : -1,
                                    .query = text[0] ? whole : NULL};
    if (!explain_ask(&explain, &wanted, &limits, &made, &error))
        fail_msg("%s", error.message);
    buffer_clear(answer);
    assert_true(store_read_begin(run->reader, &error));
    if (!explain_read(&explain, run->reader, answer, &error))
        fail_msg(SEED_FORMAT ": view %d: %s", random_seed, query->view, error.message);
    store_read_end(run->reader);
    view_query_unref(made);
}

static int compare_n(const void *a, const void *b)
{
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
    return x->n != y->n ? x->n - y->n : strcmp(x->key, y->key);
}

static int compare_n_down(const void *a, const void *b)
{
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
    return x->n != y->n ? y->n - x->n : strcmp(x->key, y->key);
}

static void evaluate_query(const struct run *run, const struct query *query, struct shown *shown)
{
    int kept = 0;
    evaluate(&run->model, run->pipelines, query->view, shown);
    for (int i = 0; i < shown->count; i++)
        if (shown->rows[i]->n >= query->least)
            shown->rows[kept++] = shown->rows[i];
    shown->count = kept;
    if (query->sort)
        qsort(shown->rows, (size_t)kept, sizeof *shown->rows,
              query->sort == SORT_UP ? compare_n : compare_n_down);
}

static int rank_of(const struct shown *shown, const char *key)
{
    for (int i = 0; i < shown->count; i++)
        if (strcmp(shown->rows[i]->key, key) == 0)
            return i;
    return -1;
}

/* The text of a row's step "part", which is the last one of a derived view. */
static int64_t told_rank(const struct tree *answer)
{
    const struct tree *steps = tree_member(answer, "steps");
    const struct tree *last = tree_element(steps, tree_count(steps) - 1);
    assert_true(span_equal(tree_string(tree_member(last, "step")), span_of("part")));
    return tree_integer(tree_member(last, "rank"), -1);
}

/* Nothing that is not true stands before the first step that keeps the row out, and nothing that
 * was decided behind it. */
static void expect_order(const struct tree *answer, const char *text)
{
    const struct tree *steps = tree_member(answer, "steps");
    bool in = tree_boolean(tree_member(answer, "in"), false), out = false;
    for (size_t i = 0; i < tree_count(steps); i++) {
        const struct tree *holds = tree_member(tree_element(steps, i), "holds");
        if (!holds)
            continue;
        bool passed = tree_boolean(holds, false), decided = tree_type(holds) == TREE_BOOLEAN;
        if (out && decided && passed &&
            !span_equal(tree_string(tree_member(tree_element(steps, i), "step")), span_of("row")))
            fail_msg(SEED_FORMAT ": a step behind the one that keeps it out passed: %s",
                     random_seed, text);
        out = out || !passed;
    }
    if (in == out)
        fail_msg(SEED_FORMAT ": the steps do not lead to the answer: %s", random_seed, text);
}

static void expect_one(struct run *run, const struct query *query, const char *key)
{
    struct buffer answer;
    struct error error = {.code = ERROR_NONE};
    struct shown shown;
    buffer_init(&answer, 1 << 20);
    read_answer(run, query, key, &answer);
    evaluate_query(run, query, &shown);
    int rank = rank_of(&shown, key);
    bool in = rank >= query->skip && (!query->take || rank < query->skip + query->take);
    struct tree *tree = tree_parse(buffer_span(&answer), &error);
    if (!tree)
        fail_msg("%s: %s", error.message, buffer_string(&answer));
    const struct tree *told = tree_member(tree, "in");
    if (!told || tree_type(told) != TREE_BOOLEAN || tree_boolean(told, !in) != in)
        fail_msg(SEED_FORMAT ": the view %s it: %s", random_seed, in ? "has" : "does not have",
                 buffer_string(&answer));
    if ((query->take || query->skip) && rank >= 0 && told_rank(tree) != rank)
        fail_msg(SEED_FORMAT ": its rank is %d: %s", random_seed, rank, buffer_string(&answer));
    expect_order(tree, buffer_string(&answer));
    tree_free(tree);
    buffer_fini(&answer);
}

/* The engine refuses to sort what is in an order, or cut. */
static bool may_sort(const struct run *run, int view)
{
    char id[16];
    snprintf(id, sizeof id, "Q/v%d", view);
    const struct view_stage *stage = view_set_find(run->views, span_of(id))->stage;
    return !stage->sort_path_count && !stage->has_cut;
}

static void expect_explained(struct run *run)
{
    for (int view = 0; view < run->view_count; view++) {
        const struct query whole = {.view = view, .least = -1};
        struct query part = {.view = view,
                             .least = pick(8) - 1,
                             .take = pick(3) ? 1 + pick(8) : 0,
                             .skip = pick(2) ? pick(5) : 0};
        if (may_sort(run, view))
            part.sort = pick(3);
        for (int i = 0; i < KEYS; i++) {
            expect_one(run, &whole, run->model.rows[i].key);
            expect_one(run, &part, run->model.rows[i].key);
        }
    }
}

/* Those of random_pipelines mostly show one row, or none: these leave more. */
static struct step random_step(void)
{
    static const enum operation usual[] = {FILTER_N, FILTER_X, FILTER_UNTIL, SORT_X, SORT_N,
                                           SKIP,     TAKE,     SKIP,         TAKE};
    struct step step = {.operation = usual[pick(9)], .descending = pick(2)};
    if (pick(12) == 0)
        step.operation = (enum operation)(FIRST + pick(4));
    step.argument = step.operation == TAKE ? 3 + pick(14) : pick(4);
    return step;
}

static void wide_pipelines(struct pipeline *pipelines)
{
    for (int i = 0; i < VIEWS; i++) {
        pipelines[i].source = pick(3) ? -1 : pick(i + 1) - 1;
        pipelines[i].count = 1 + pick(STEPS);
        for (int j = 0; j < pipelines[i].count; j++)
            pipelines[i].steps[j] = random_step();
    }
}

static void follow(uint64_t seed, bool limited)
{
    struct pipeline pipelines[VIEWS];
    struct run run;
    random_start(seed);
    atomic_store(&clock_s, 1000 * 1000);
    wide_pipelines(pipelines);
    run_init(&run, pipelines, VIEWS);
    if (limited)
        run_limit(&run, 10);
    run_open(&run);
    for (int i = 0; i < 12; i++) {
        if (pick(3) == 0)
            atomic_fetch_add(&clock_s, pick(5));
        apply_some(&run, i % 5 ? 3 : 20, 0);
        /* The time comes along with a transaction that looks at it. */
        apply_some(&run, 1, 0);
        run.f.options.exports = limited ? &run.limit : NULL;
        expect_all(&run);
        expect_explained(&run);
    }
    run_fini(&run);
}

#ifdef TEST_IS_WATCHED
enum { USUAL_SEEDS = 4 };
#else
enum { USUAL_SEEDS = 20 };
#endif

TEST(explains_random_rows)
{
    /* STELE_SEEDS=1000 tries more of them, STELE_FIRST=189 begins with that one. */
    uint64_t first = random_setting("STELE_FIRST", 0);
    uint64_t seeds = random_setting("STELE_SEEDS", USUAL_SEEDS);
    print_message("seeds %" PRIu64 " to %" PRIu64 "\n", first, first + seeds - 1);
    for (uint64_t seed = first; seed < first + seeds; seed++)
        follow(seed, seed % 3 == 2);
}

/* ---- since when ---- */

/* The last move of each row into a view or out of it, as the model saw it. */
struct moved {
    bool ever, by_time, by_another;
    int64_t at; /* the change, or the second */
};

static bool inside[VIEWS][KEYS];
static struct moved moves[VIEWS][KEYS];
static size_t told_moves, untold_moves;

/* Note which rows moved; `key`: whose change it was, number `change`; NULL: time. */
static void note_moves(const struct run *run, const char *key)
{
    for (int view = 0; view < run->view_count; view++) {
        struct shown shown;
        evaluate(&run->model, run->pipelines, view, &shown);
        for (int i = 0; i < KEYS; i++) {
            const char *own = run->model.rows[i].key;
            bool in = rank_of(&shown, own) >= 0;
            if (in == inside[view][i])
                continue;
            inside[view][i] = in;
            moves[view][i] = (struct moved){.ever = true,
                                            .by_time = !key,
                                            .by_another = key && strcmp(key, own) != 0,
                                            .at = key ? run->model.changes : atomic_load(&clock_s)};
        }
    }
}

static void change_one(struct run *run)
{
    int64_t before[KEYS];
    const char *key = NULL;
    for (int i = 0; i < KEYS; i++)
        before[i] = run->model.rows[i].change;
    apply_some(run, 1, 0);
    for (int i = 0; i < KEYS; i++)
        if (run->model.rows[i].change != before[i])
            key = run->model.rows[i].key;
    note_moves(run, key);
}

/* Whether the view is of the kind that is told about, as long as the log has everything. */
static bool must_be_told(const struct run *run, int view)
{
    char id[16];
    int cuts = 0;
    bool timed = false;
    snprintf(id, sizeof id, "Q/v%d", view);
    for (const struct view_stage *stage = view_set_find(run->views, span_of(id))->stage; stage;
         stage = stage->source) {
        cuts += stage->has_cut;
        timed |= stage->timed;
    }
    return cuts == 0 || (cuts == 1 && !timed);
}

static void expect_since(struct run *run, int view, int row, bool whole_log)
{
    const struct query query = {.view = view, .least = -1};
    const struct moved *moved = &moves[view][row];
    struct buffer answer;
    struct error error = {.code = ERROR_NONE};
    buffer_init(&answer, 1 << 20);
    read_answer(run, &query, run->model.rows[row].key, &answer);
    struct tree *tree = tree_parse(buffer_span(&answer), &error);
    const struct tree *since = tree_member(tree, "since");
    bool known = tree_boolean(tree_member(since, "known"), false);
    struct span by = tree_string(tree_member(since, "by"));
    if (!known && whole_log && moved->ever && must_be_told(run, view))
        fail_msg(SEED_FORMAT ": it is not told: %s", random_seed, buffer_string(&answer));
    if (known) {
        const char *wanted = moved->by_time ? "time" : moved->by_another ? "another" : "change";
        int64_t at = moved->by_time ? tree_integer(tree_member(since, "time"), -1) / 1000
                                    : tree_integer(tree_member(since, "change"), -1);
        if (!moved->ever || !span_equal(by, span_of(wanted)) || at != moved->at)
            fail_msg(SEED_FORMAT ": the last move was %s at %lld: %s", random_seed,
                     moved->ever ? wanted : "none", (long long)moved->at, buffer_string(&answer));
    }
    *(known ? &told_moves : &untold_moves) += moved->ever;
    tree_free(tree);
    buffer_fini(&answer);
}

static void follow_moves(uint64_t seed, bool whole_log)
{
    struct pipeline pipelines[VIEWS];
    struct run run;
    random_start(seed);
    atomic_store(&clock_s, 1000 * 1000);
    wide_pipelines(pipelines);
    run_init(&run, pipelines, VIEWS);
    if (!whole_log)
        run.f.options.retention.rows = 10 + pick(30);
    run_open(&run);
    memset(inside, 0, sizeof inside);
    memset(moves, 0, sizeof moves);
    for (int i = 0; i < 60; i++) {
        for (int seconds = pick(3) ? 0 : 1 + pick(3); seconds > 0; seconds--) {
            atomic_fetch_add(&clock_s, 1);
            note_moves(&run, NULL);
        }
        change_one(&run);
        if (i % 10 != 9)
            continue;
        expect_all(&run);
        for (int view = 0; view < VIEWS; view++)
            for (int row = 0; row < KEYS; row++)
                expect_since(&run, view, row, whole_log);
    }
    run_fini(&run);
}

TEST(tells_the_last_move_of_random_rows)
{
    uint64_t first = random_setting("STELE_FIRST", 0);
    uint64_t seeds = random_setting("STELE_SEEDS", USUAL_SEEDS);
    told_moves = untold_moves = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++)
        follow_moves(seed, seed % 3 != 2);
    print_message("seeds %" PRIu64 " to %" PRIu64 ": %zu moves told, %zu not\n", first,
                  first + seeds - 1, told_moves, untold_moves);
    assert_true(told_moves > untold_moves);
}

/* ---- without memory ---- */

static const struct pipeline small[] = {
    {.source = -1,
     .steps = {{.operation = FILTER_X},
               {.operation = SORT_N},
               {.operation = SKIP, .argument = 1},
               {.operation = TAKE, .argument = 3}},
     .count = 4},
    {.source = 0, .steps = {{.operation = FILTER_UNTIL}, {.operation = SORT_X}}, .count = 2},
};

static bool read_whole(struct run *run, const char *view, struct buffer *out, struct error *error)
{
    const struct explain explain = {.view = view_set_find(run->views, span_of(view)),
                                    .sight.all = true,
                                    .sees_others = true,
                                    .key = span_of("k3"),
                                    .take = view[3] == '1' ? 2 : VIEW_ALL,
                                    .now = atomic_load(&clock_s)};
    assert_true(store_read_begin(run->reader, error));
    bool done = explain_read(&explain, run->reader, out, error);
    store_read_end(run->reader);
    return done;
}

/* It fails, or says the same. */
static void fail_at_each(struct run *run, const char *view)
{
    struct error error = {.code = ERROR_NONE};
    struct buffer whole, out;
    bool hit = true;
    uint64_t n = 0;
    buffer_init(&whole, 1 << 20);
    assert_true(read_whole(run, view, &whole, &error));
    while (hit) {
        buffer_init(&out, 1 << 20);
        memory_fail_at(++n, 0);
        bool done = read_whole(run, view, &out, &error);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_true(done || (hit && error.code == ERROR_MEMORY));
        if (done)
            assert_true(span_equal(buffer_span(&out), buffer_span(&whole)));
        buffer_fini(&out);
    }
    assert_true(n > 10);
    buffer_fini(&whole);
}

TEST(every_allocation_may_fail)
{
    struct run run;
    struct error error = {.code = ERROR_NONE};
    random_start(7);
    atomic_store(&clock_s, 1000 * 1000);
    run_init(&run, small, 2);
    run_open(&run);
    for (int i = 0; i < 12; i++)
        apply_some(&run, 5, 0);
    struct outcome outcome = fixture_apply(
        &run.f, "Q k3 upsert {\"n\":2,\"x\":1,\"until\":2000000}\nQ k3 patch {\"n\":3}");
    assert_int_equal(outcome.error.code, ERROR_NONE);
    run.reader = store_reader_open(engine_facts(run.f.engine)->database, &error);
    assert_non_null(run.reader);
    fail_at_each(&run, "Q/v0");
    fail_at_each(&run, "Q/v1");
    run_fini(&run);
}
