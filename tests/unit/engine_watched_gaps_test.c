/* What subscribers may have been shown unnoted before an end, over many starts. */
#include "engine_fixture.h"
#include "store/watched.h"
#include "test.h"

#include <stdatomic.h>

enum { AGE_MS = 3600 * 1000 };

static struct fixture fixture;
static _Atomic int64_t clock_ms;

static int64_t wall_ms(void *argument)
{
    (void)argument;
    return atomic_load(&clock_ms);
}

static void set_up(void)
{
    atomic_store(&clock_ms, INT64_C(1000) * AGE_MS);
    fixture_init(&fixture);
    fixture.options.wall_ms = wall_ms;
    fixture.options.store.synchronous = DATABASE_SYNCHRONOUS_OFF;
    fixture.options.retention = (struct store_retention){.tombstone_age_ms = AGE_MS};
    fixture_open(&fixture);
}

static void tear_down(void)
{
    fixture_fini(&fixture);
}

TEST_EACH(set_up, tear_down)

static void feed(int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(fixture_apply(&fixture, "Q a patch {\"n\":1}").error.code, ERROR_NONE);
}

/* ---- what is noted ---- */

struct note {
    struct write_job job;
    const char *name, *text;
    bool done;
};

static bool run_note(struct write_job *job, struct store_writer *store, struct error *error)
{
    const struct note *note = (struct note *)job;
    return store_meta_put(store, note->name, span_of(note->text), error);
}

static void deliver_note(struct engine_event *event)
{
    ((struct note *)event)->done = true;
}

static void note_as(const char *name, const char *text)
{
    struct note note = {
        .job = {.event.deliver = deliver_note, .run = run_note}, .name = name, .text = text};
    assert_true(engine_write(fixture.engine, &note.job));
    fixture_wait(&fixture, &note.done);
    assert_int_equal(note.job.error.code, ERROR_NONE);
}

static void note(const char *text)
{
    note_as(ENGINE_WATCHED_CHANGE, text);
}

static void note_all(void)
{
    note(ENGINE_WATCHED_ALL);
    note_as(ENGINE_WATCHED_COALESCED, ENGINE_WATCHED_ALL);
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
    struct store_reader *reader = store_reader_open(engine_facts(fixture.engine)->database, &error);
    assert_true(store_read_begin(reader, &error));
    assert_true(engine_watched_gaps(reader, false, since, gaps, &count, &error));
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

TEST(a_new_file_has_none)
{
    struct engine_watched_gap gaps[ENGINE_WATCHED_GAPS];
    assert_int_equal(gaps_of(gaps), 0);
}

TEST(an_end_that_noted_all_leaves_none_and_keeps_those_before)
{
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

TEST(they_go_by_age)
{
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

TEST(the_oldest_of_too_many_become_one)
{
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

TEST(lives_without_a_change_add_none)
{
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

/* ---- what changed in them ---- */

static bool count_key(void *argument, struct span key, struct span label, int64_t change)
{
    (void)label;
    (void)change;
    assert_true(span_equal(key, span_of("a")));
    ++*(int *)argument;
    return true;
}

static int keys(bool pinned, int64_t from, int64_t to)
{
    struct error error;
    int count = 0;
    struct store_reader *reader = store_reader_open(engine_facts(fixture.engine)->database, &error);
    assert_true(store_read_begin(reader, &error));
    assert_true(store_scan_watched_keys(reader, pinned, 1, from, to, count_key, &count, &error));
    store_read_end(reader);
    store_reader_close(reader);
    return count;
}

TEST(what_changed_in_them_outlives_a_short_log)
{
    note_all();
    fixture.options.retention.rows = 2;
    start_again();
    feed(10);
    assert_int_equal(keys(false, 1, 8), 8); /* nobody has noted what was shown of them */
    note_as(ENGINE_WATCHED_COALESCED, "3");
    note("7");
    feed(1);
    assert_int_equal(keys(false, 1, 9), 7); /* 3 to 9 */
    start_again();
    assert_int_equal(keys(true, 1, 11), 1);
    assert_int_equal(keys(true, 11, 11), 1); /* once, with its newest change */
    feed(40);
    note_all();
    start_again();
    feed(40);
    assert_int_equal(keys(true, 1, 11), 1);
    assert_int_equal(keys(false, 12, 80), 69); /* since the gap */
    atomic_fetch_add(&clock_ms, AGE_MS + 1);
    note_all();
    feed(1);
    assert_int_equal(keys(true, 1, 11), 0);
    assert_int_equal(keys(false, 1, 100), 0);
}
