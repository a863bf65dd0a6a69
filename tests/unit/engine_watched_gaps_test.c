/* What subscribers may have been shown unnoted before an end, over many starts. */
#include "engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { AGE_MS = 3600 * 1000 };

static struct fixture fixture;
static _Atomic int64_t clock_ms;

static int64_t wall_ms(void *argument)
{
    (void)argument;
    return atomic_load(&clock_ms);
}

static int set_up(void **state)
{
    (void)state;
    atomic_store(&clock_ms, INT64_C(1000) * AGE_MS);
    fixture_init(&fixture);
    fixture.options.wall_ms = wall_ms;
    fixture.options.store.synchronous = STORE_SYNCHRONOUS_OFF;
    fixture.options.retention = (struct store_retention){.tombstone_age_ms = AGE_MS};
    fixture_open(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&fixture);
    return 0;
}

static void feed(int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(fixture_apply(&fixture, "Q a patch {\"n\":1}").error.code, ERROR_NONE);
}

/* ---- what is noted ---- */

struct note {
    struct write_job job;
    const char *text;
    bool done;
};

static bool run_note(struct write_job *job, struct store_writer *store, struct error *error)
{
    return store_meta_put(store, ENGINE_WATCHED_CHANGE, span_of(((struct note *)job)->text), error);
}

static void deliver_note(struct engine_event *event)
{
    ((struct note *)event)->done = true;
}

static void note(const char *text)
{
    struct note note = {.job = {.event.deliver = deliver_note, .run = run_note}, .text = text};
    assert_true(engine_write(fixture.engine, &note.job));
    fixture_wait(&fixture, &note.done);
    assert_int_equal(note.job.error.code, ERROR_NONE);
}

static void start_again(void)
{
    fixture_close(&fixture);
    fixture_open(&fixture);
}

static size_t gaps_since(int64_t since, struct engine_watched_gap *gaps)
{
    struct error error;
    size_t count;
    struct store_reader *reader = store_reader_open(engine_store(fixture.engine), &error);
    assert_true(store_read_begin(reader, &error));
    assert_true(engine_watched_gaps(reader, since, gaps, &count, &error));
    store_read_end(reader);
    store_reader_close(reader);
    return count;
}

static size_t gaps_of(struct engine_watched_gap *gaps)
{
    return gaps_since(INT64_MIN, gaps);
}

static void expect(const struct engine_watched_gap *gap, int64_t from, int64_t to)
{
    assert_int_equal(gap->from, from);
    assert_int_equal(gap->to, to);
}

/* ---- the cases ---- */

static void a_new_file_has_none(void **state)
{
    (void)state;
    struct engine_watched_gap gaps[ENGINE_WATCHED_GAPS];
    assert_int_equal(gaps_of(gaps), 0);
}

static void an_end_that_noted_all_leaves_none_and_keeps_those_before(void **state)
{
    (void)state;
    struct engine_watched_gap gaps[ENGINE_WATCHED_GAPS];
    feed(10);
    note("7");
    start_again();
    assert_int_equal(gaps_of(gaps), 1);
    expect(&gaps[0], 7, 10);
    for (int i = 0; i < 3; i++) {
        feed(5);
        note(ENGINE_WATCHED_ALL);
        start_again();
        assert_int_equal(gaps_of(gaps), 1);
        expect(&gaps[0], 7, 10);
    }
    feed(5); /* nothing is noted: as of the start */
    start_again();
    assert_int_equal(gaps_of(gaps), 2);
    expect(&gaps[0], 7, 10);
    expect(&gaps[1], 25, 30);
}

static void they_go_by_age(void **state)
{
    (void)state;
    struct engine_watched_gap gaps[ENGINE_WATCHED_GAPS];
    feed(10);
    start_again();
    feed(1);
    atomic_fetch_add(&clock_ms, AGE_MS / 2);
    start_again();
    assert_int_equal(gaps_of(gaps), 2);
    assert_int_equal(gaps_since(atomic_load(&clock_ms), gaps), 1);
    expect(&gaps[0], 10, 11);
    atomic_fetch_add(&clock_ms, AGE_MS / 2 + 1);
    note(ENGINE_WATCHED_ALL);
    start_again();
    assert_int_equal(gaps_of(gaps), 1);
    expect(&gaps[0], 10, 11);
    atomic_fetch_add(&clock_ms, AGE_MS);
    note(ENGINE_WATCHED_ALL);
    start_again();
    assert_int_equal(gaps_of(gaps), 0);
}

static void the_oldest_of_too_many_become_one(void **state)
{
    (void)state;
    struct engine_watched_gap gaps[ENGINE_WATCHED_GAPS];
    enum { STARTS = ENGINE_WATCHED_GAPS + 9 };
    for (int i = 0; i < STARTS; i++) {
        feed(2);
        atomic_fetch_add(&clock_ms, 1000);
        start_again();
    }
    assert_int_equal(gaps_of(gaps), ENGINE_WATCHED_GAPS);
    expect(&gaps[0], 0, 2 * (STARTS - ENGINE_WATCHED_GAPS + 1));
    for (int i = 1; i < ENGINE_WATCHED_GAPS; i++) {
        expect(&gaps[i], gaps[i - 1].to, gaps[i - 1].to + 2);
        assert_int_equal(gaps[i].at, gaps[i - 1].at + 1000);
    }
    assert_int_equal(gaps[ENGINE_WATCHED_GAPS - 1].at, atomic_load(&clock_ms));
}

static void lives_without_a_change_add_none(void **state)
{
    (void)state;
    struct engine_watched_gap gaps[ENGINE_WATCHED_GAPS];
    feed(4);
    note("3");
    for (int i = 0; i < 40; i++) {
        atomic_fetch_add(&clock_ms, 1000);
        start_again();
    }
    assert_int_equal(gaps_of(gaps), 1);
    expect(&gaps[0], 3, 4);
    assert_int_equal(gaps[0].at, atomic_load(&clock_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_file_has_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_end_that_noted_all_leaves_none_and_keeps_those_before,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(they_go_by_age, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_of_too_many_become_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lives_without_a_change_add_none, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
