/*
 * Rates against the same algorithm in its other form and against what docs/limits.md promises, and
 * the table of them against the promise that nobody gets rid of its own level.
 */
#include "access/rate.h"
#include "base/memory.h"
#include "memory_fault.h"
#include "random.h"
#include "test.h"

TEST_ALL(random_start_anew, NULL)

static int64_t below(int64_t limit)
{
    return (int64_t)(random_next() % (uint64_t)limit);
}

/* ---- the model ---- */

/*
 * The algorithm in its other form, virtual scheduling: the time at which all that was let through
 * is forgotten, in fractions of 1 / most of a millisecond so that it is exact. A clock that goes
 * back stands still.
 */
__extension__ typedef __int128 wide;
struct model {
    wide rests_at;
    int64_t latest;
};

static bool model_admits(struct model *model, const struct rate *rate, int64_t now, int64_t amount,
                         int64_t *wait)
{
    now = model->latest = now > model->latest ? now : model->latest;
    wide present = (wide)now * rate->most, room = (wide)(rate->most + rate->burst);
    wide start = model->rests_at > present ? model->rests_at : present;
    wide end = start + (wide)amount * rate->window_ms;
    wide early = end - room * rate->window_ms - present;
    if (early <= 0) {
        model->rests_at = end;
        return true;
    }
    *wait = amount > room ? rate->window_ms : (int64_t)((early + rate->most - 1) / rate->most);
    return false;
}

/* How the clock goes on: it stands, goes, jumps, and sometimes goes back. */
static int64_t next_time(int64_t now, int64_t window)
{
    switch (below(12)) {
    case 0:
    case 1:
    case 2:
        return now;
    case 3:
        return now + window;
    case 4:
        return now + window - 1;
    case 5:
        return now + below(4 * window);
    case 6:
        return now > 20 ? now - below(20) : now;
    default:
        return now + below(window / 4 + 2);
    }
}

static void run_against_model(int steps)
{
    struct model model = {0};
    struct rate_level level = {0};
    struct rate rate = {
        .most = 1 + below(40), .burst = below(2) * below(30), .window_ms = 1 + below(200)};
    bool weighted = below(2);
    int64_t now = below(3) ? below(1000) : INT64_C(0xfffffff0);
    if (below(4) == 0) { /* bytes: as many as can be, and by the day */
        rate.most = (INT64_C(1) << 53) - below(1000);
        rate.window_ms = 86400000;
    }
    for (int i = 0; i < steps; i++) {
        int64_t amount = weighted ? 1 + below(rate.most + 2) : 1, wait = 0, expected = 0;
        int64_t left = rate_left(&level, &rate, now);
        bool good = model_admits(&model, &rate, now, amount, &expected);
        assert_int_equal(good, amount <= left);
        if (rate_admit(&level, &rate, now, amount, &wait) != good || wait != expected)
            fail_msg(SEED_FORMAT " step %d: %s, wait %lld instead of %lld", random_seed, i,
                     good ? "refused" : "let through", (long long)wait, (long long)expected);
        now = next_time(now, rate.window_ms);
    }
}

TEST(test_against_model)
{
    for (int i = 0; i < 3000; i++)
        run_against_model(300);
}

/* What docs/limits.md promises of any span and of the long run, whatever the steps. The greediest
 * client comes as near to the bound as can be. */
TEST(test_promises)
{
    enum { STEPS = 200000 };
    static int64_t times[STEPS];
    const struct rate rate = {.most = 60, .burst = 10, .window_ms = 60000};
    for (int64_t pace = 1; pace < 3000; pace = pace * 3 + 1) {
        struct rate_level level = {0};
        int64_t now = 0, most_seen = 0;
        size_t count = 0, first = 0;
        for (int i = 0; i < STEPS; i++) {
            if (rate_admit(&level, &rate, now, 1, NULL))
                times[count++] = now;
            while (first < count && times[first] <= now - rate.window_ms)
                first++;
            if ((int64_t)(count - first) > most_seen)
                most_seen = (int64_t)(count - first);
            now += pace == 1 ? 1 : below(pace);
        }
        assert_true(most_seen < 2 * 60 + 10);
        assert_true((int64_t)count <= 70 + now / 1000);
        if (pace == 1) {
            assert_int_equal(most_seen, 129);
            assert_int_equal(count, 70 + (now - 1) / 1000);
        }
    }
}

/* Never more than 60 in any span of a window: never refused, however they are spread. */
TEST(test_who_keeps_to_it_is_never_refused)
{
    int64_t times[60] = {0}, now = 60000;
    const struct rate rate = {.most = 60, .burst = 0, .window_ms = 60000};
    struct rate_level level = {0};
    for (int i = 0; i < 100000; i++) {
        int64_t *sixtieth_before = &times[i % 60];
        now += below(3) ? 0 : below(5000);
        if (now < *sixtieth_before + rate.window_ms)
            now = *sixtieth_before + rate.window_ms;
        assert_true(rate_admit(&level, &rate, now, 1, NULL));
        *sixtieth_before = now;
    }
}

/* ---- edges ---- */

TEST(test_exact_edge)
{
    struct rate_level level = {0};
    const struct rate rate = {.most = 60, .burst = 10, .window_ms = 60000};
    int64_t wait = 0;
    for (int64_t i = 0; i < 70; i++)
        assert_true(rate_admit(&level, &rate, 1000 + i, 1, &wait));
    assert_false(rate_admit(&level, &rate, 1070, 1, &wait));
    assert_int_equal(wait, 930);
    assert_false(rate_admit(&level, &rate, 1999, 1, &wait));
    assert_int_equal(wait, 1);
    assert_true(rate_admit(&level, &rate, 2000, 1, &wait));
    assert_false(rate_admit(&level, &rate, 2000, 1, &wait)); /* only one was forgotten */
    assert_int_equal(wait, 1000);
    assert_false(rate_admit(&level, &rate, 2000, 70, &wait));
    assert_int_equal(wait, 70000);
    assert_true(rate_admit(&level, &rate, 72000, 70, &wait));
}

/* Hammering does not keep the way shut. */
TEST(test_refusals_do_not_count)
{
    struct rate_level level = {0};
    const struct rate rate = {.most = 1, .window_ms = 1000};
    assert_true(rate_admit(&level, &rate, 0, 1, NULL));
    for (int64_t now = 0; now < 1000; now++)
        assert_false(rate_admit(&level, &rate, now, 1, NULL));
    assert_true(rate_admit(&level, &rate, 1000, 1, NULL));
}

/* The largest numbers that a configuration or a token can have. */
TEST(test_large_numbers)
{
    struct rate_level level = {0};
    const int64_t largest = (INT64_C(1) << 53) - 1, start = INT64_C(1) << 41;
    struct rate rate = {.most = largest, .window_ms = 86400000};
    int64_t wait = 0;
    assert_false(rate_admit(&level, &rate, start, largest + 1, &wait));
    assert_int_equal(wait, 86400000);
    assert_true(rate_admit(&level, &rate, start, largest, &wait));
    assert_false(rate_admit(&level, &rate, start, 1, &wait));
    assert_int_equal(wait, 1);
    assert_int_equal(rate_left(&level, &rate, start + 1), largest / 86400000);
    rate = (struct rate){.most = 1, .burst = 1000000000, .window_ms = 86400000};
    assert_false(rate_admit(&level, &rate, start + 1, 1, &wait));
    assert_int_equal(wait, INT64_MAX); /* longer than can be said */
    level = (struct rate_level){0};
    assert_true(rate_admit(&level, &rate, start, 1000000001, &wait));
    assert_false(rate_admit(&level, &rate, start, 1000000001, &wait));
    assert_int_equal(wait, INT64_C(1000000001) * 86400000);
    rate.most = 0;
    assert_false(rate_admit(&level, &rate, start, 1, &wait));
    assert_int_equal(wait, 86400000);
}

/* A rate that was changed holds from the next call on, and for all that counts. */
TEST(test_changed_rate)
{
    struct rate_level level = {0};
    struct rate rate = {.most = 5, .window_ms = 1000};
    int64_t wait = 0;
    for (int i = 0; i < 5; i++)
        assert_true(rate_admit(&level, &rate, 0, 1, NULL));
    rate.most = 2;
    assert_false(rate_admit(&level, &rate, 0, 1, &wait));
    assert_int_equal(wait, 2000); /* until four of the five are forgotten */
    rate.burst = 4;
    assert_true(rate_admit(&level, &rate, 0, 1, NULL));
    assert_false(rate_admit(&level, &rate, 0, 1, &wait));
    assert_int_equal(wait, 500);
    /* Of another window, half of one is no more than one. */
    rate.window_ms = 86400000;
    assert_false(rate_admit(&level, &rate, 43199999, 1, &wait));
    rate.window_ms = 10;
    assert_false(rate_admit(&level, &rate, 43199999, 1, &wait));
    assert_int_equal(wait, 1);
    assert_int_equal(rate_left(&level, &rate, 43200000), 1);
}

/* ---- the table ---- */

static struct span name_of(char *room, size_t size, uint64_t number)
{
    int length = snprintf(room, size, "key %llu", (unsigned long long)number);
    return span_make(room, (size_t)length);
}

TEST(test_table_against_model)
{
    enum { KEYS = 50 };
    static struct model models[KEYS];
    struct rate_table *table = rate_table_new(KEYS);
    const struct rate rate = {.most = 5, .window_ms = 100};
    int64_t now = 0;
    char room[32];
    assert_non_null(table);
    for (int i = 0; i < KEYS; i++)
        models[i] = (struct model){0};
    for (int i = 0; i < 100000; i++) {
        int64_t which = below(KEYS), wait = 0, expected = 0;
        struct span key = name_of(room, sizeof room, (uint64_t)which);
        bool allowed = rate_table_admit(table, &rate, key, now, false, NULL);
        bool good = model_admits(&models[which], &rate, now, 1, &expected);
        assert_int_equal(allowed, good);
        assert_int_equal(rate_table_admit(table, &rate, key, now, true, &wait), good);
        assert_int_equal(wait, expected);
        now += below(3) ? 0 : below(5);
    }
    rate_table_free(table);
}

/* An attacker with more keys than there is room for: its own stay limited, whoever has a level
 * keeps it, all newcomers together get what the shared ones give, and memory stays bounded. */
TEST(test_full_table)
{
    enum { ROOM = 100, ATTACKERS = 100000 };
    struct rate_table *table = rate_table_new(ROOM);
    const struct rate rate = {.most = 3, .window_ms = 60000};
    char room[32];
    int64_t through = 0, wait = 0;
    for (int i = 0; i < 3; i++)
        assert_true(rate_table_admit(table, &rate, span_of("mine"), 0, true, NULL));
    for (uint64_t i = 0; i < ATTACKERS; i++)
        through += rate_table_admit(table, &rate, name_of(room, sizeof room, i), 10, true, NULL);
    assert_int_equal(table->entries.count, ROOM);
    assert_int_equal(through, ROOM - 1 + 3 * RATE_SHARED_LEVELS);
    assert_false(rate_table_admit(table, &rate, span_of("mine"), 19999, true, &wait));
    assert_int_equal(wait, 1);
    assert_true(rate_table_admit(table, &rate, name_of(room, sizeof room, 5), 20, true, NULL));
    assert_false(rate_table_admit(table, &rate, span_of("new"), 20, false, &wait));
    assert_int_equal(wait, 19990);
    /* When nothing counts any more, the places go to others. */
    for (int i = 0; i < 3; i++)
        assert_true(rate_table_admit(table, &rate, span_of("new"), 60010, true, NULL));
    for (int i = 0; i < 3; i++)
        assert_true(rate_table_admit(table, &rate, span_of("mine"), 60011, true, NULL));
    for (int i = 0; i < ROOM; i++)
        rate_table_admit(table, &rate, span_of("mine"), 60011, false, NULL);
    assert_true(table->entries.count <= 4);
    rate_table_free(table);
}

/* Long keys are told apart in full. */
TEST(test_long_keys)
{
    struct rate_table *table = rate_table_new(10);
    const struct rate rate = {.most = 1, .window_ms = 1000};
    char one[5000], other[5000];
    memset(one, 'x', sizeof one);
    memset(other, 'x', sizeof other);
    other[4999] = 'y';
    assert_true(rate_table_admit(table, &rate, span_make(one, 5000), 0, true, NULL));
    assert_false(rate_table_admit(table, &rate, span_make(one, 5000), 0, true, NULL));
    assert_true(rate_table_admit(table, &rate, span_make(one, 4999), 0, true, NULL));
    assert_true(rate_table_admit(table, &rate, span_make(other, 5000), 0, true, NULL));
    assert_true(rate_table_admit(table, &rate, span_make(one, 64), 0, true, NULL));
    assert_false(rate_table_admit(table, &rate, span_make(other, 64), 0, true, NULL));
    rate_table_free(table);
}

/* Where no level can be made, the shared ones serve. */
TEST(test_table_without_memory)
{
    struct rate_table *table = rate_table_new(10);
    const struct rate rate = {.most = 2, .window_ms = 1000};
    memory_fail_at(1, 1);
    assert_true(rate_table_admit(table, &rate, span_of("a"), 0, true, NULL));
    assert_true(rate_table_admit(table, &rate, span_of("a"), 0, true, NULL));
    assert_false(rate_table_admit(table, &rate, span_of("a"), 0, true, NULL));
    memory_fail_at(0, 0);
    assert_int_equal(table->entries.count, 0);
    rate_table_free(table);
}
