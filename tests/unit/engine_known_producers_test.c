/*
 * The producers that the writer remembers: what their rows say after each commit, and what it must
 * forget, because the rows are not what they would have been.
 */
#include "engine_fixture.h"
#include "memory_fault.h"
#include "random.h"
#include "store/producer.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static struct fixture fixture;

static void set_up(void)
{
    fixture_init(&fixture);
    fixture_open(&fixture);
}

static void tear_down(void)
{
    fixture_fini(&fixture);
}

TEST_EACH(set_up, tear_down)

/* Its last batch, by a reader of its own, -1: there is no row; and "=" with its mark, or "". */
static int64_t stored(const char *name, char *mark, size_t size)
{
    struct error error = {.code = ERROR_NONE};
    struct store_producer row;
    bool found;
    struct store_reader *reader = store_reader_open(engine_facts(fixture.engine)->database, &error);
    assert_non_null(reader);
    assert_true(store_read_begin(reader, &error));
    assert_true(store_read_producer(reader, span_of(name), &row, &found, &error));
    int64_t batch = found ? row.batch : -1;
    mark[0] = '\0';
    if (found && row.mark.data)
        snprintf(mark, size, "=%.*s", (int)row.mark.length, row.mark.data);
    store_read_end(reader);
    store_reader_close(reader);
    return batch;
}

static int64_t stored_batch(const char *name)
{
    char mark[300];
    return stored(name, mark, sizeof mark);
}

static struct outcome send(const char *producer, int64_t batch)
{
    char text[128];
    snprintf(text, sizeof text, "@%s %lld\nQuake k patch {\"n\":%lld}", producer, (long long)batch,
             (long long)batch);
    struct outcome outcome = fixture_apply(&fixture, text);
    assert_int_equal(outcome.error.code, ERROR_NONE);
    return outcome;
}

static void expect_applied(const char *producer, int64_t batch)
{
    assert_int_equal(send(producer, batch).applied, 1);
    assert_int_equal(stored_batch(producer), batch);
}

static void expect_repeated(const char *producer, int64_t batch)
{
    struct outcome outcome = send(producer, batch);
    assert_int_equal(outcome.applied, 0);
    assert_int_equal(outcome.duplicate, 1);
}

/* ---- a write beside them ---- */

struct removal {
    struct write_job job;
    const char *name;
    bool done;
};

static bool run_removal(struct write_job *job, struct store_writer *store, struct error *error)
{
    const struct removal *removal = (const struct removal *)job;
    return store_producer_remove(store, span_of(removal->name), error);
}

static void removed(struct engine_event *event)
{
    ((struct removal *)event)->done = true;
}

static void remove_row(const char *name, bool first)
{
    struct removal removal = {.job = {.event.deliver = removed, .run = run_removal, .first = first},
                              .name = name};
    assert_true(engine_write(fixture.engine, &removal.job));
    fixture_wait(&fixture, &removal.done);
    assert_int_equal(removal.job.error.code, ERROR_NONE);
}

/* ---- tests ---- */

TEST(a_producer_moves_on_over_many_transactions)
{
    for (int64_t batch = 1; batch <= 20; batch++) {
        expect_applied("a", batch);
        expect_applied("b", batch * 2);
        expect_repeated("a", batch);
        expect_repeated("b", batch * 2 - 1);
    }
}

/* The last of them is in the file, and a restart knows no other. */
TEST(many_requests_of_one_transaction_leave_the_last_batch)
{
    enum { COUNT = 300 };
    static struct outcome outcomes[COUNT];
    struct error error;
    for (int i = 0; i < COUNT; i++) {
        char text[128];
        snprintf(text, sizeof text, "@p%d %d\nQuake k patch {\"n\":%d}", i % 3, i, i);
        assert_true(engine_submit(fixture.engine, fixture_submission(text, &outcomes[i]), &error));
    }
    for (int i = 0; i < COUNT; i++) {
        fixture_wait(&fixture, &outcomes[i].done);
        assert_int_equal(outcomes[i].applied, 1);
    }
    fixture_close(&fixture);
    fixture_open(&fixture);
    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", i);
        assert_int_equal(stored_batch(name), COUNT - 3 + i);
        expect_repeated(name, COUNT - 3 + i);
    }
}

TEST(one_that_was_removed_begins_again)
{
    for (int i = 0; i < 2; i++) {
        expect_applied("a", 7);
        expect_repeated("a", 7);
        remove_row("a", i == 1);
        assert_int_equal(stored_batch("a"), -1);
        expect_applied("a", 3);
        remove_row("a", i == 1);
    }
}

TEST(a_transaction_that_failed_moved_none)
{
    enum { ROUNDS = 20, MOST = 100000 };
    int failed = 0;
    expect_applied("a", 1);
    for (int64_t batch = 2; batch < ROUNDS || (!failed && batch < MOST); batch++) {
        struct spoiler spoiler;
        struct outcome outcome;
        struct error error;
        char text[128];
        snprintf(text, sizeof text, "@a %lld\nQuake k patch {\"n\":0}", (long long)batch);
        struct submission *submission = fixture_submission(text, &outcome);
        assert_true(engine_submit(fixture.engine, submission, &error));
        assert_true(fixture_spoil(&fixture, &spoiler));
        fixture_wait(&fixture, &outcome.done);
        fixture_wait(&fixture, &spoiler.done);
        /* They met in one transaction, or did not. */
        int64_t stored = stored_batch("a");
        assert_int_equal(stored, outcome.error.code == ERROR_NONE ? batch : batch - 1);
        failed += stored != batch;
        if (stored != batch)
            expect_applied("a", batch);
        expect_repeated("a", batch);
    }
    assert_true(failed > 0);
}

/* A mark is absent, empty or long; the row has that of the last batch that was acknowledged. */
TEST(without_memory_a_batch_is_noted_or_refused)
{
    enum { BATCHES = 600 };
    char expected[300] = "";
    int64_t last = -1;
    int refused = 0;
    random_start(5);
    for (int64_t batch = 1; batch <= BATCHES; batch++) {
        char text[64], mark[257];
        struct outcome outcome;
        struct error error;
        snprintf(text, sizeof text, "@a %lld\nQuake k patch {\"n\":1}", (long long)batch);
        struct submission *submission = fixture_submission(text, &outcome);
        size_t length = random_below(2) ? random_below(256) : 0;
        bool has_mark = length || random_below(2);
        memset(mark, 'a' + (int)random_below(26), length);
        mark[length] = '\0';
        if (has_mark)
            submission->batches[1].mark = submission_keep(submission, span_make(mark, length));
        memory_fail_at(1 + random_below(300), batch % 7 == 0);
        bool taken = engine_submit(fixture.engine, submission, &error);
        if (taken)
            fixture_wait(&fixture, &outcome.done);
        memory_fail_at(0, 0);
        if (!taken)
            submission_free(submission);
        if (taken && outcome.error.code == ERROR_NONE) {
            last = batch;
            snprintf(expected, sizeof expected, "%s%s", has_mark ? "=" : "", has_mark ? mark : "");
        } else {
            refused++;
        }
        assert_true(!taken || outcome.error.code == ERROR_NONE ||
                    outcome.error.code == ERROR_MEMORY);
        char found[300];
        assert_int_equal(stored("a", found, sizeof found), last);
        assert_string_equal(found, expected);
    }
    if (refused < 6 || last < 0)
        fail_msg("%d refused, last %lld", refused, (long long)last);
}

/* More names than it remembers. */
TEST(very_many_producers_are_told_apart)
{
    enum { NAMES = 2500, A_REQUEST = 50 };
    static char text[A_REQUEST * 64];
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < NAMES;) {
            size_t length = 0;
            for (int j = 0; j < A_REQUEST; j++, i++)
                length += (size_t)snprintf(text + length, sizeof text - length,
                                           "%s@name%d %d\nQuake k patch {\"n\":%d}", j ? "\n" : "",
                                           i, round * 10 + i % 7, i);
            struct outcome outcome = fixture_apply(&fixture, text);
            assert_int_equal(outcome.error.code, ERROR_NONE);
            assert_int_equal(outcome.applied, A_REQUEST);
        }
    }
    for (int i = 0; i < NAMES; i += 97) {
        char name[16];
        snprintf(name, sizeof name, "name%d", i);
        assert_int_equal(stored_batch(name), 20 + i % 7);
        expect_repeated(name, 20 + i % 7);
        expect_applied(name, 40);
    }
}
