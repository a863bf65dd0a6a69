/* What is written beside mutations: on disk when it is answered, also after a drain, or an error.
 */
#include "engine_fixture.h"
#include "test.h"

struct note {
    struct write_job job;
    const char *name, *value;
    bool fails;
    bool done;
    struct error error;
};

static bool run(struct write_job *job, struct store_writer *store, struct error *error)
{
    struct note *note = (struct note *)job;
    return store_meta_put(store, note->name, span_of(note->value), error) &&
           (!note->fails || error_set(error, ERROR_DATABASE, "as the test wants"));
}

static void deliver(struct engine_event *event)
{
    struct note *note = (struct note *)event;
    note->done = true;
    note->error = note->job.error;
}

static void put(struct fixture *f, struct note *note, const char *name, const char *value)
{
    *note = (struct note){.job = {.event.deliver = deliver, .run = run},
                          .name = name,
                          .value = value,
                          .fails = note->fails};
    assert_true(engine_write(f->engine, &note->job));
}

/* By a reader of its own, which sees what is committed. */
static bool is_there(struct fixture *f, const char *name, const char *value)
{
    struct error error;
    struct buffer found_value;
    bool found = false;
    struct store_reader *reader = store_reader_open(engine_facts(f->engine)->database, &error);
    assert_non_null(reader);
    buffer_init(&found_value, 100);
    assert_true(store_read_begin(reader, &error));
    assert_true(store_read_meta(reader, name, &found_value, &found, &error));
    bool same = found && span_equal(buffer_span(&found_value), span_of(value));
    store_read_end(reader);
    store_reader_close(reader);
    buffer_fini(&found_value);
    return same;
}

static struct fixture the_fixture, *const f = &the_fixture;

static void set_up(void)
{
    fixture_init(f);
    fixture_open(f);
}

static void tear_down(void)
{
    fixture_fini(f);
}

TEST_EACH(set_up, tear_down)

TEST(alone_and_among_mutations)
{
    struct note notes[50] = {0};
    char name[16];
    put(f, &notes[0], "n", "alone");
    fixture_wait(f, &notes[0].done);
    assert_int_equal(notes[0].error.code, ERROR_NONE);
    assert_true(is_there(f, "n", "alone"));
    for (int i = 0; i < 50; i++) {
        struct outcome outcome;
        struct error error;
        snprintf(name, sizeof name, "Q %d patch {}", i);
        assert_true(engine_submit(f->engine, fixture_submission(name, &outcome), &error));
        put(f, &notes[i], "n", i == 49 ? "last" : "some");
        fixture_wait(f, &outcome.done); /* the job may be in its transaction or in the next */
    }
    fixture_wait(f, &notes[49].done);
    assert_true(is_there(f, "n", "last"));
}

TEST(one_that_fails_leaves_nothing)
{
    struct note note = {.fails = true};
    put(f, &note, "m", "never");
    fixture_wait(f, &note.done);
    assert_int_equal(note.error.code, ERROR_DATABASE);
    assert_false(is_there(f, "m", "never"));
    assert_int_equal(fixture_apply(f, "Q a patch {}").error.code, ERROR_NONE);
    note.fails = false;
    put(f, &note, "m", "now");
    fixture_wait(f, &note.done);
    assert_int_equal(note.error.code, ERROR_NONE);
    assert_true(is_there(f, "m", "now"));
}

TEST(after_a_drain_until_the_end)
{
    struct note note = {0}, last = {0};
    struct error error;
    struct outcome outcome;
    engine_drain(f->engine);
    fixture_wait(f, &f->drained);
    struct submission *late = fixture_submission("Q a patch {}", &outcome);
    assert_false(engine_submit(f->engine, late, &error));
    submission_free(late);
    put(f, &note, "after", "drain");
    fixture_wait(f, &note.done);
    assert_int_equal(note.error.code, ERROR_NONE);
    assert_true(is_there(f, "after", "drain"));
    put(f, &last, "after", "close"); /* closing runs and answers what waits */
    fixture_close(f);
    assert_true(last.done);
    assert_int_equal(last.error.code, ERROR_NONE);
    fixture_open(f);
    assert_true(is_there(f, "after", "close"));
}

/* ---- the order among mutations ---- */

static bool limit_is_lifted_for_the_next_mutation(int round)
{
    struct fixture own;
    struct error error;
    struct outcome outcome = {0};
    struct engine_export_options limited = {.name = {"Q", 1}, .max_entities = 1};
    fixture_init(&own);
    own.options.exports = &limited;
    own.options.export_count = 1;
    fixture_open(&own);
    assert_int_equal(fixture_apply(&own, "Q a patch {}").applied, 1);
    usleep((useconds_t)round * 10); /* the writer is somewhere between that and its rest */
    limited.max_entities = 0;
    assert_true(engine_limit(own.engine, &limited, 1, &error));
    assert_true(engine_submit(own.engine, fixture_submission("Q b patch {}", &outcome), &error));
    fixture_wait(&own, &outcome.done);
    assert_int_equal(outcome.error.code, ERROR_NONE);
    char *oldest = fixture_entity(&own, "Q", "a");
    bool is_there = oldest != NULL;
    free(oldest);
    fixture_fini(&own);
    return is_there;
}

/* The writer takes mutations and jobs one after the other: in most rounds both come into one
 * transaction. */
TEST_WITH(limit_holds_for_what_is_fed_after_it, NULL, NULL)
{
    enum { ROUNDS = 30 };
    for (int round = 0; round < ROUNDS; round++)
        if (!limit_is_lifted_for_the_next_mutation(round))
            fail_msg("round %d: the old limit evicted an entity", round);
}
