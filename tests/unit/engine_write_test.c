/* What is written beside mutations: on disk when it is answered, also after a drain, or an error.
 */
#include "engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

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
    struct store_reader *reader = store_reader_open(engine_database(f->engine), &error);
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

static int set_up(void **state)
{
    static struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_fini(*state);
    return 0;
}

static void alone_and_among_mutations(void **state)
{
    struct fixture *f = *state;
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

static void one_that_fails_leaves_nothing(void **state)
{
    struct fixture *f = *state;
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

static void after_a_drain_until_the_end(void **state)
{
    struct fixture *f = *state;
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
    struct fixture f;
    struct error error;
    struct outcome outcome = {0};
    struct engine_export_options limited = {.name = {"Q", 1}, .max_entities = 1};
    fixture_init(&f);
    f.options.exports = &limited;
    f.options.export_count = 1;
    fixture_open(&f);
    assert_int_equal(fixture_apply(&f, "Q a patch {}").applied, 1);
    usleep((useconds_t)round * 10); /* the writer is somewhere between that and its rest */
    limited.max_entities = 0;
    assert_true(engine_limit(f.engine, &limited, 1, &error));
    assert_true(engine_submit(f.engine, fixture_submission("Q b patch {}", &outcome), &error));
    fixture_wait(&f, &outcome.done);
    assert_int_equal(outcome.error.code, ERROR_NONE);
    char *oldest = fixture_entity(&f, "Q", "a");
    bool is_there = oldest != NULL;
    free(oldest);
    fixture_fini(&f);
    return is_there;
}

/* The writer takes mutations and jobs one after the other: in most rounds both come into one
 * transaction. */
static void limit_holds_for_what_is_fed_after_it(void **state)
{
    enum { ROUNDS = 30 };
    (void)state;
    for (int round = 0; round < ROUNDS; round++)
        if (!limit_is_lifted_for_the_next_mutation(round))
            fail_msg("round %d: the old limit evicted an entity", round);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(alone_and_among_mutations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_fails_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(after_a_drain_until_the_end, set_up, tear_down),
        cmocka_unit_test(limit_holds_for_what_is_fed_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
