/*
 * Derived views as the writer keeps them: random pipelines over random mutations, against a model
 * that sorts and filters everything anew; time by a clock of the test's own; builds that are cut
 * off; transactions that fail.
 */
#include "derive_run.h"
#include "memory_fault.h"
#include "random.h"
#include "test.h"

#include <sqlite3.h>
#include <stdatomic.h>

static void follow(uint64_t seed, bool limited)
{
    struct pipeline pipelines[VIEWS];
    struct run run;
    random_start(seed);
    /* So far from 1970 that no excursion comes before it: no clock of a machine does. */
    atomic_store(&clock_s, 1000 * 1000);
    random_pipelines(pipelines);
    run_init(&run, pipelines, VIEWS);
    if (limited)
        run_limit(&run, 10);
    run_open(&run);
    for (int i = 0, off = 0; i < 40; i++) {
        if (pick(3) == 0)
            atomic_fetch_add(&clock_s, pick(5));
        /* The clock is wrong for a while: what counts is what it says, there and back. */
        if (off || pick(8) == 0) {
            off = off ? -off : (pick(2) ? 1 : -1) * (20 + (int)pick(300));
            atomic_fetch_add(&clock_s, off);
            off = off && pick(3) ? off : 0;
        }
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

/* A sanitizer sees in few what it sees in many; what is right is asked where a seed takes less. */
#ifdef TEST_IS_WATCHED
enum { USUAL_SEEDS = 15 };
#else
enum { USUAL_SEEDS = 60 };
#endif

TEST(follows_random_mutations)
{
    /* STELE_DERIVE_SEEDS=1000 tries more of them, STELE_DERIVE_FIRST=189 begins with that one. */
    uint64_t seeds = random_setting("STELE_DERIVE_SEEDS", USUAL_SEEDS);
    for (uint64_t seed = random_setting("STELE_DERIVE_FIRST", 0); seed < seeds; seed++)
        follow(seed, seed % 3 == 2);
}

static const struct pipeline still_valid[] = {
    {.source = -1, .steps = {{.operation = FILTER_UNTIL}}, .count = 1},
    {.source = 0, .steps = {{.operation = SORT_N}, {.operation = TAKE, .argument = 2}}, .count = 2},
    {.source = 1, .steps = {{.operation = LAST}}, .count = 1},
};

/* At second 1000, with these mutations. */
static void open_still_valid(struct run *run, const char *mutations)
{
    atomic_store(&clock_s, 1000);
    run_init(run, still_valid, 3);
    run_open(run);
    expect_applied(run, mutations);
}

/* Until a commit has touched a stage, at the time that the clock has now. */
static void wait_for_touch(struct run *run)
{
    run->touched = false;
    fixture_wait(&run->f, &run->touched);
}

TEST(time_alone_changes_a_view)
{
    struct run run;
    open_still_valid(&run,
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
    wait_for_touch(&run);
    assert_int_equal(ask(&run, "SELECT group_concat(key) = 'c' FROM \"Q/v1\""), 1);
    /* Some seconds back are waited for. */
    atomic_store(&clock_s, 1016);
    expect_applied(&run, "Q a patch {\"n\":5}");
    assert_int_equal(ask(&run, "SELECT group_concat(key) = 'c' FROM \"Q/v1\""), 1);
    run_fini(&run);
}

/* A clock that was ahead shows when it goes back: rows return, by time alone and over a restart. */
TEST(time_that_was_ahead_is_taken_back)
{
    struct run run;
    open_still_valid(&run,
                     "Q a upsert {\"until\":1010,\"n\":1}\nQ b upsert {\"until\":1020,\"n\":2}\n"
                     "Q c upsert {\"until\":5000,\"n\":3}");
    for (int restarts = 0; restarts < 2; restarts++) {
        run.touched = false;
        atomic_store(&clock_s, 3000);
        fixture_wait(&run.f, &run.touched);
        assert_int_equal(ask(&run, "SELECT group_concat(key) = 'c' FROM \"Q/v1\""), 1);
        if (restarts)
            run_close(&run);
        atomic_store(&clock_s, 1015);
        if (restarts)
            run_open(&run);
        wait_for_touch(&run);
        assert_int_equal(ask(&run, "SELECT group_concat(key) = 'b,c' FROM \"Q/v1\""), 1);
        assert_int_equal(ask(&run, "SELECT value FROM meta WHERE name = 'derived_now'"), 1015);
        assert_int_equal(ask(&run, "SELECT count(*) FROM derived_turn"), 4);
    }
    run_fini(&run);
}

/* A transaction takes 5,000 turns, and builds or takes back AT_ONCE rows where a test says so. */
enum { MANY = 12000, AT_ONCE = 500, BUILT = 5 * AT_ONCE };

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
TEST(many_turns_of_one_second)
{
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
        wait_for_touch(&run);
    }
    assert_int_equal(left, kept);
    /* Two stages ask for now(). */
    assert_int_equal(ask(&run, "SELECT count(*) FROM derived_turn"), kept * 2);
    run_fini(&run);
}

/* More than one transaction takes back. */
TEST(many_turns_are_taken_back_in_steps)
{
    struct run run;
    struct buffer text;
    atomic_store(&clock_s, 1000);
    run_init(&run, still_valid, 3);
    run.f.options.commit_mutations = 100000;
    run.f.options.derived_rows = AT_ONCE;
    run_open(&run);
    buffer_init(&text, 1 << 24);
    for (int i = 0; i < BUILT; i++)
        buffer_printf(&text, "Q k%05d upsert {\"until\":%d,\"n\":%d}\n", i, 1010 + i % 40, i % 7);
    expect_applied(&run, buffer_string(&text));
    buffer_fini(&text);
    atomic_store(&clock_s, 1500);
    while (ask(&run, "SELECT count(*) FROM \"Q/v0\"") > 0) {
        wait_for_touch(&run);
    }
    atomic_store(&clock_s, 1000);
    while (ask(&run, "SELECT count(*) FROM \"Q/v0\"") < BUILT) {
        wait_for_touch(&run);
    }
    assert_int_equal(ask(&run, "SELECT value FROM meta WHERE name = 'derived_now'"), 1000);
    run_fini(&run);
}

/* A build that ends in the middle, at many places, is gone on with and comes to the same. */
TEST(a_build_goes_on)
{
    struct run run;
    struct error error;
    int went_on = 0;
    atomic_store(&clock_s, 1000);
    run_init(&run, still_valid, 0);
    run.f.options.commit_mutations = 2 * BUILT;
    run.f.options.derived_rows = AT_ONCE;
    run_open(&run);
    feed_many(&run, BUILT);
    run_close(&run);
    memcpy(run.pipelines, still_valid, sizeof still_valid);
    run.view_count = 3;
    run.views = make_views(run.pipelines, 3);
    run.f.options.views = run.views;
    for (uint64_t nth = 1000;; nth += 1000) {
        memory_fail_at(nth, 1);
        run.f.engine = engine_open(&run.f.options, &error);
        bool hit = memory_fault_hit();
        memory_fail_at(0, 0);
        if (run.f.engine && !hit)
            break;
        if (run.f.engine)
            fixture_close(&run.f);
        went_on += ask(&run, "SELECT count(progress) FROM stage") > 0;
    }
    assert_true(went_on > 0);
    assert_int_equal(ask(&run, "SELECT count(*) FROM \"Q/v0\""), BUILT);
    assert_int_equal(ask(&run, "SELECT count(*) FROM \"Q/v1\" WHERE json_extract(data, '$.n') = 0"),
                     2);
    assert_int_equal(ask(&run, "SELECT count(*) FROM stage WHERE built_change = 2500"), 3);
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
        !derive_check(run->f.path, run->views, count_finding, &findings, &error))
        fail_msg("check: %s", error.message);
    return findings;
}

TEST(the_check_finds_wrong_rows)
{
    struct run run;
    open_still_valid(&run,
                     "Q a upsert {\"until\":1010,\"n\":1}\nQ b upsert {\"until\":1010,\"n\":2}\n"
                     "Q c upsert {\"until\":1010,\"n\":3}\nQ d upsert {\"until\":2,\"n\":4}");
    fixture_close(&run.f);
    static const char *const wrong[][2] = {
        /* one is missing */
        {"DELETE FROM derived_row WHERE stage = 1 AND entity = 3",
         "INSERT INTO derived_row SELECT 1, place, entity FROM kept WHERE stage = 1 AND entity = "
         "3"},
        /* the filter does not hold */
        {"INSERT INTO derived_row SELECT 1, x'00', id FROM entity WHERE key = 'd'",
         "DELETE FROM derived_row WHERE place = x'00'"},
        /* another's place */
        {"UPDATE derived_row SET entity = 4 WHERE stage = 2 AND entity = 1",
         "UPDATE derived_row SET entity = 1 WHERE stage = 2 AND entity = 4"},
        /* of the export, but not of the source's first two */
        {"INSERT INTO derived_row SELECT 3, place, entity FROM kept WHERE stage = 2 AND entity = 3",
         "DELETE FROM derived_row WHERE stage = 3 AND entity = 3"},
        /* of no entity */
        {"UPDATE derived_row SET entity = 99 WHERE stage = 2 AND entity = 1",
         "UPDATE derived_row SET entity = 1 WHERE stage = 2 AND entity = 99"},
    };
    /* New rows are written in the order of their changes: a is entity 1, d is 4. */
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
