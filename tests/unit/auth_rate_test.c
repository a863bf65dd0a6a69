/*
 * Rate windows against a model that remembers every time, and the table of them against the
 * promise that nobody gets rid of its own window. Every random run prints its seed.
 */
#include "auth/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* ---- random ---- */

static uint64_t seed_of_run(void)
{
    const char *given = getenv("STELE_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed ? seed : 1;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int64_t below(uint64_t *state, int64_t limit)
{
    return (int64_t)(next_random(state) % (uint64_t)limit);
}

/* ---- the model ---- */

enum { MODEL_MOST = 1 << 16 };

/* Every time that was let through, and how much. A clock that goes back stands still. */
struct model {
    int64_t times[MODEL_MOST], amounts[MODEL_MOST];
    size_t count;
    int64_t latest;
};

static int64_t model_used(const struct model *model, const struct auth_rate *rate, int64_t now)
{
    int64_t used = 0;
    for (size_t i = 0; i < model->count; i++)
        if (model->times[i] + rate->window_ms > now)
            used += model->amounts[i];
    return used;
}

static bool model_admits(struct model *model, const struct auth_rate *rate, int64_t now,
                         int64_t amount, int64_t *wait)
{
    int64_t step = rate->grain_ms;
    now = model->latest = now > model->latest ? now : model->latest;
    if (model_used(model, rate, now) + amount <= rate->most) {
        int64_t at = (now + step - 1) / step * step;
        assert_true(model->count < MODEL_MOST);
        model->times[model->count] = at;
        model->amounts[model->count++] = amount;
        return true;
    }
    *wait = rate->window_ms;
    if (amount > rate->most)
        return false;
    for (*wait = 1; model_used(model, rate, now + *wait) + amount > rate->most;)
        ++*wait;
    return false;
}

/* How the clock goes on: it stands, goes, jumps, and sometimes goes back. */
static int64_t next_time(uint64_t *state, int64_t now, int64_t window)
{
    switch (below(state, 12)) {
    case 0:
    case 1:
    case 2:
        return now;
    case 3:
        return now + window;
    case 4:
        return now + window - 1;
    case 5:
        return now + below(state, 4 * window);
    case 6:
        return now > 20 ? now - below(state, 20) : now;
    default:
        return now + below(state, window / 4 + 2);
    }
}

static void run_against_model(uint64_t seed, int steps)
{
    static struct model model;
    uint64_t state = seed;
    struct auth_window window = {0};
    struct auth_rate rate = {.most = 1 + below(&state, 40),
                             .window_ms = 1 + below(&state, 200),
                             .grain_ms = below(&state, 3) ? 1 : 1 + below(&state, 20)};
    bool weighted = below(&state, 2);
    int64_t now = below(&state, 3) ? below(&state, 1000) : INT64_C(0xfffffff0);
    model.count = 0;
    model.latest = 0;
    for (int i = 0; i < steps; i++) {
        int64_t amount = weighted ? 1 + below(&state, rate.most + 2) : 1, wait = 0, expected = 0;
        int64_t left = auth_window_left(&window, &rate, now);
        bool good = model_admits(&model, &rate, now, amount, &expected);
        assert_int_equal(good, amount <= left);
        if (auth_window_admit(&window, &rate, now, amount, &wait) != good || wait != expected)
            fail_msg("seed %llu step %d: %s, wait %lld instead of %lld", (unsigned long long)seed,
                     i, good ? "refused" : "let through", (long long)wait, (long long)expected);
        assert_true(window.count <= rate.window_ms / rate.grain_ms + 2);
        now = next_time(&state, now, rate.window_ms);
    }
    auth_window_fini(&window);
}

static void test_against_model(void **unused)
{
    uint64_t seed = seed_of_run();
    (void)unused;
    for (uint64_t i = 0; i < 3000; i++)
        run_against_model(seed * 6364136223846793005u + i * 2 + 1, 300);
}

/* What no span of the window's length ever holds too much of, whatever the steps. */
static void test_never_more_in_any_span(void **unused)
{
    uint64_t state = seed_of_run() | 1;
    static int64_t times[20000];
    size_t count = 0, first = 0;
    struct auth_window window = {0};
    const struct auth_rate rate = {.most = 70, .window_ms = 60000, .grain_ms = 1};
    int64_t now = 0;
    (void)unused;
    for (int i = 0; i < 20000; i++) {
        now += below(&state, 700);
        if (auth_window_admit(&window, &rate, now, 1, NULL))
            times[count++] = now;
        while (times[first] <= now - rate.window_ms)
            first++;
        assert_true(count - first <= 70);
    }
    assert_true(count > 5000); /* and it does let through */
    auth_window_fini(&window);
}

/* ---- edges ---- */

static void test_exact_edge(void **unused)
{
    struct auth_window window = {0};
    const struct auth_rate rate = {.most = 70, .window_ms = 60000, .grain_ms = 1};
    int64_t wait = 0;
    (void)unused;
    for (int64_t i = 0; i < 70; i++)
        assert_true(auth_window_admit(&window, &rate, 1000 + i, 1, &wait));
    assert_false(auth_window_admit(&window, &rate, 1070, 1, &wait));
    assert_int_equal(wait, 59930);
    assert_false(auth_window_allows(&window, &rate, 60999, 1, &wait));
    assert_int_equal(wait, 1);
    assert_true(auth_window_allows(&window, &rate, 61000, 1, &wait));
    assert_true(auth_window_admit(&window, &rate, 61000, 1, &wait));
    assert_false(auth_window_admit(&window, &rate, 61000, 1, &wait)); /* only the first one left */
    assert_int_equal(wait, 1);
    auth_window_fini(&window);
    assert_int_equal(window.count, 0);
}

/* Hammering does not keep the way shut. */
static void test_refusals_do_not_count(void **unused)
{
    struct auth_window window = {0};
    const struct auth_rate rate = {.most = 1, .window_ms = 1000, .grain_ms = 1};
    (void)unused;
    assert_true(auth_window_admit(&window, &rate, 0, 1, NULL));
    for (int64_t now = 0; now < 1000; now++)
        assert_false(auth_window_admit(&window, &rate, now, 1, NULL));
    assert_true(auth_window_admit(&window, &rate, 1000, 1, NULL));
    auth_window_fini(&window);
}

/* The clock has more than 32 bits, and the window may lie across their end. */
static void test_large_times(void **unused)
{
    struct auth_window window = {0};
    const struct auth_rate rate = {.most = 2, .window_ms = 86400000, .grain_ms = 1};
    int64_t wait = 0, start = INT64_C(0x1ffffffff);
    (void)unused;
    assert_true(auth_window_admit(&window, &rate, start, 1, NULL));
    assert_true(auth_window_admit(&window, &rate, start + 5, 1, NULL));
    assert_false(auth_window_admit(&window, &rate, start + 86399999, 1, &wait));
    assert_int_equal(wait, 1);
    assert_true(auth_window_admit(&window, &rate, start + 86400000, 1, NULL));
    assert_true(auth_window_admit(&window, &rate, start + INT64_C(0x300000000), 1, NULL));
    assert_true(auth_window_admit(&window, &rate, start + INT64_C(0x300000000), 1, NULL));
    assert_false(auth_window_admit(&window, &rate, start + INT64_C(0x300000000), 1, NULL));
    auth_window_fini(&window);
}

static void test_amounts(void **unused)
{
    struct auth_window window = {0};
    const struct auth_rate rate = {.most = INT64_C(1) << 40, .window_ms = 60000, .grain_ms = 1000};
    int64_t wait = 0, most = INT64_C(1) << 40;
    (void)unused;
    assert_false(auth_window_admit(&window, &rate, 0, most + 1, &wait));
    assert_int_equal(wait, 60000);
    for (int64_t i = 0; i < 1024; i++)
        assert_true(auth_window_admit(&window, &rate, i * 10 + 1, INT64_C(1) << 30, &wait));
    assert_true(window.count < 350); /* by seconds, and by 4 GiB */
    assert_false(auth_window_admit(&window, &rate, 10240, 1, &wait));
    assert_int_equal(wait, 61000 - 10240);
    assert_false(auth_window_allows(&window, &rate, 60999, 1, &wait));
    assert_true(auth_window_allows(&window, &rate, 61000, 1, &wait));
    auth_window_fini(&window);
}

/* Without memory a window is stricter, never laxer, and is as before when it is over. */
static void test_no_memory(void **unused)
{
    struct auth_window window = {0};
    const struct auth_rate rate = {.most = 10, .window_ms = 1000, .grain_ms = 1};
    int admitted = 0;
    (void)unused;
    memory_fail_at(1, 1);
    for (int64_t now = 0; now < 1000; now += 50)
        admitted += auth_window_admit(&window, &rate, now, 1, NULL);
    assert_int_equal(admitted, 10);
    assert_false(auth_window_admit(&window, &rate, 1100, 1, NULL));
    assert_true(auth_window_admit(&window, &rate, 1450, 1, NULL));
    memory_fail_at(0, 0);
    auth_window_fini(&window);
}

/* A rate that was changed holds from the next call on. */
static void test_changed_rate(void **unused)
{
    struct auth_window window = {0};
    struct auth_rate rate = {.most = 5, .window_ms = 1000, .grain_ms = 1};
    int64_t wait = 0;
    (void)unused;
    for (int i = 0; i < 5; i++)
        assert_true(auth_window_admit(&window, &rate, i, 1, NULL));
    rate.most = 2;
    assert_false(auth_window_admit(&window, &rate, 1000, 1, &wait));
    assert_int_equal(wait, 3);
    rate.most = 6;
    assert_true(auth_window_admit(&window, &rate, 1000, 1, NULL));
    rate.window_ms = 5;
    assert_true(auth_window_admit(&window, &rate, 1005, 6, NULL));
    auth_window_fini(&window);
}

/* ---- the table ---- */

static struct span name_of(char *room, size_t size, uint64_t number)
{
    int length = snprintf(room, size, "key %llu", (unsigned long long)number);
    return span_make(room, (size_t)length);
}

static void test_table_against_model(void **unused)
{
    enum { KEYS = 50 };
    static struct model models[KEYS];
    uint64_t state = seed_of_run() | 1;
    struct auth_rate_table *table = auth_rate_table_new(KEYS);
    const struct auth_rate rate = {.most = 5, .window_ms = 100, .grain_ms = 1};
    int64_t now = 0;
    char room[32];
    (void)unused;
    assert_non_null(table);
    for (int i = 0; i < KEYS; i++)
        models[i] = (struct model){.count = 0};
    for (int i = 0; i < 100000; i++) {
        int64_t which = below(&state, KEYS), wait = 0, expected = 0;
        struct span key = name_of(room, sizeof room, (uint64_t)which);
        bool allowed = auth_rate_table_allows(table, &rate, key, now, NULL);
        bool good = model_admits(&models[which], &rate, now, 1, &expected);
        assert_int_equal(allowed, good);
        assert_int_equal(auth_rate_table_admit(table, &rate, key, now, &wait), good);
        assert_int_equal(wait, expected);
        if (models[which].count > 60000)
            break;
        now += below(&state, 3) ? 0 : below(&state, 5);
    }
    auth_rate_table_free(table);
}

/* An attacker with more keys than there is room for: its own stay limited, whoever has a window
 * keeps it, all newcomers together get what the shared windows give, and memory stays bounded. */
static void test_full_table(void **unused)
{
    enum { ROOM = 100, ATTACKERS = 100000 };
    struct auth_rate_table *table = auth_rate_table_new(ROOM);
    const struct auth_rate rate = {.most = 3, .window_ms = 60000, .grain_ms = 1};
    char room[32];
    int64_t through = 0, wait = 0;
    (void)unused;
    for (int i = 0; i < 3; i++)
        assert_true(auth_rate_table_admit(table, &rate, span_of("mine"), 0, NULL));
    for (uint64_t i = 0; i < ATTACKERS; i++)
        through += auth_rate_table_admit(table, &rate, name_of(room, sizeof room, i), 10, NULL);
    assert_int_equal(auth_rate_table_keys(table), ROOM);
    assert_int_equal(through, ROOM - 1 + 3 * AUTH_SHARED_WINDOWS);
    assert_false(auth_rate_table_admit(table, &rate, span_of("mine"), 59999, &wait));
    assert_int_equal(wait, 1);
    assert_true(auth_rate_table_admit(table, &rate, name_of(room, sizeof room, 5), 20, NULL));
    assert_false(auth_rate_table_allows(table, &rate, span_of("new"), 20, &wait));
    assert_int_equal(wait, 59990);
    /* It is over when the windows are: the places go to others. */
    for (int i = 0; i < 3; i++)
        assert_true(auth_rate_table_admit(table, &rate, span_of("new"), 60010, NULL));
    for (int i = 0; i < 3; i++)
        assert_true(auth_rate_table_admit(table, &rate, span_of("mine"), 60011, NULL));
    for (int i = 0; i < ROOM; i++)
        auth_rate_table_allows(table, &rate, span_of("mine"), 60011, NULL);
    assert_true(auth_rate_table_keys(table) <= 4);
    auth_rate_table_free(table);
}

/* Long keys are told apart in full. */
static void test_long_keys(void **unused)
{
    struct auth_rate_table *table = auth_rate_table_new(10);
    const struct auth_rate rate = {.most = 1, .window_ms = 1000, .grain_ms = 1};
    char one[5000], other[5000];
    (void)unused;
    memset(one, 'x', sizeof one);
    memset(other, 'x', sizeof other);
    other[4999] = 'y';
    assert_true(auth_rate_table_admit(table, &rate, span_make(one, 5000), 0, NULL));
    assert_false(auth_rate_table_admit(table, &rate, span_make(one, 5000), 0, NULL));
    assert_true(auth_rate_table_admit(table, &rate, span_make(one, 4999), 0, NULL));
    assert_true(auth_rate_table_admit(table, &rate, span_make(other, 5000), 0, NULL));
    assert_true(auth_rate_table_admit(table, &rate, span_make(one, 64), 0, NULL));
    assert_false(auth_rate_table_admit(table, &rate, span_make(other, 64), 0, NULL));
    auth_rate_table_free(table);
}

/* Where no window can be made, the shared ones serve. */
static void test_table_without_memory(void **unused)
{
    struct auth_rate_table *table = auth_rate_table_new(10);
    const struct auth_rate rate = {.most = 2, .window_ms = 1000, .grain_ms = 1};
    (void)unused;
    memory_fail_at(1, 1);
    assert_true(auth_rate_table_admit(table, &rate, span_of("a"), 0, NULL));
    assert_true(auth_rate_table_admit(table, &rate, span_of("a"), 0, NULL));
    assert_false(auth_rate_table_admit(table, &rate, span_of("a"), 0, NULL));
    memory_fail_at(0, 0);
    assert_int_equal(auth_rate_table_keys(table), 0);
    auth_rate_table_free(table);
}

/* ---- counts ---- */

static void test_tally(void **unused)
{
    struct auth_tally tally;
    (void)unused;
    auth_tally_init(&tally);
    assert_int_equal(auth_tally_of(&tally, span_of("a")), 0);
    struct auth_count *first = auth_tally_enter(&tally, span_of("a"));
    struct auth_count *second = auth_tally_enter(&tally, span_of("a"));
    struct auth_count *other = auth_tally_enter(&tally, span_of("b"));
    struct auth_count *empty = auth_tally_enter(&tally, span_of(""));
    assert_int_equal(auth_tally_of(&tally, span_of("a")), 2);
    auth_tally_leave(&tally, first);
    assert_int_equal(auth_tally_of(&tally, span_of("a")), 1);
    auth_tally_leave(&tally, second);
    assert_int_equal(auth_tally_of(&tally, span_of("a")), 0);
    assert_int_equal(auth_tally_of(&tally, span_of("")), 1);
    assert_int_equal(tally.counts.count, 2);
    auth_tally_leave(&tally, other);
    auth_tally_leave(&tally, empty);
    auth_tally_leave(&tally, NULL);
    assert_int_equal(tally.counts.count, 0);
    memory_fail_at(1, 1);
    assert_null(auth_tally_enter(&tally, span_of("c")));
    memory_fail_at(0, 0);
    assert_non_null(auth_tally_enter(&tally, span_of("c")));
    auth_tally_fini(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_never_more_in_any_span),
        cmocka_unit_test(test_exact_edge),
        cmocka_unit_test(test_refusals_do_not_count),
        cmocka_unit_test(test_large_times),
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_changed_rate),
        cmocka_unit_test(test_table_against_model),
        cmocka_unit_test(test_full_table),
        cmocka_unit_test(test_long_keys),
        cmocka_unit_test(test_table_without_memory),
        cmocka_unit_test(test_tally),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
