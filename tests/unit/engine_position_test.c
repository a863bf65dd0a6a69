/* Messages of a log: their position is on disk with what they did; one that could not be written
 * holds all behind it, and one that is refused for what it holds does not. */
#include "engine_fixture.h"
#include "memory_fault.h"
#include "test.h"

static struct fixture the_fixture, *const f = &the_fixture;

struct message {
    struct outcome outcome;
    bool taken;
};

static void set_up(void)
{
    fixture_init(f);
    f->options.max_entity_bytes = 100;
    fixture_open(f);
}

static void tear_down(void)
{
    fixture_fini(f);
}

TEST_EACH(set_up, tear_down)

static void deliver(struct engine_event *event)
{
    struct submission *submission = (struct submission *)event;
    struct message *message = submission->context;
    message->taken = submission->message_taken;
    message->outcome.error = submission->error;
    message->outcome.applied = submission->applied;
    message->outcome.duplicate = submission->duplicate;
    message->outcome.done = true;
    submission_free(submission);
}

static struct submission *make(struct message *message, int64_t previous, int64_t sequence,
                               const char *text)
{
    struct submission *submission = fixture_submission(text, &message->outcome);
    submission->message = (struct submission_message){
        .sequence = sequence, .previous = previous, .at = 1000 + sequence};
    submission->context = message;
    submission->event.deliver = deliver;
    return submission;
}

static void submit(struct submission *submission)
{
    struct error error;
    assert_true(engine_submit(f->engine, submission, &error));
}

static struct message follow(int64_t previous, int64_t sequence, const char *text)
{
    struct message message;
    submit(make(&message, previous, sequence, text));
    fixture_wait(f, &message.outcome.done);
    return message;
}

static int64_t stored_position(void)
{
    fixture_close(f);
    fixture_open(f);
    return engine_facts(f->engine)->log_position;
}

/* Whether its n is that. */
static void assert_n(const char *key, int n)
{
    char start[32], *found = fixture_entity(f, "Q", key);
    snprintf(start, sizeof start, "{\"n\":%d,", n);
    assert_non_null(found);
    assert_memory_equal(found, start, strlen(start));
    free(found);
}

TEST(is_stored_with_what_the_messages_did)
{
    assert_int_equal(engine_facts(f->engine)->log_position, -1);
    assert_true(follow(-1, 3, "Q a patch {\"n\":1}").taken);
    assert_true(follow(3, 4, "@p 1\nQ b patch {\"n\":2}").taken);
    assert_int_equal(stored_position(), 4);
    struct message again = follow(4, 9, "@p 1\nQ b patch {\"n\":5}");
    assert_true(again.taken);
    assert_int_equal(again.outcome.duplicate, 1);
    assert_int_equal(stored_position(), 9);
    assert_n("a", 1);
    assert_n("b", 2);
}

TEST(only_directly_behind_the_last_one)
{
    assert_true(follow(-1, 1, "Q a patch {\"n\":1}").taken);
    struct message wrong[] = {follow(2, 3, "Q a patch {\"n\":3}"),
                              follow(-1, 1, "Q a patch {\"n\":1}"),
                              follow(0, 5, "Q a patch {\"n\":5}")};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(wrong[i].outcome.error.code, ERROR_OUT_OF_ORDER);
        assert_false(wrong[i].taken);
    }
    assert_n("a", 1);
    assert_int_equal(stored_position(), 1);
}

TEST(one_refused_for_what_it_holds_is_used_up)
{
    char text[256];
    struct message message;
    assert_true(follow(-1, 1, "Q a patch {\"n\":1}").taken);
    /* Its first mutation is good, and taken back with the second. */
    snprintf(text, sizeof text, "Q a patch {\"n\":2}\n@p 1\nQ b patch {\"n\":\"%0*d\"}", 100, 0);
    message = follow(1, 2, text);
    assert_int_equal(message.outcome.error.code, ERROR_TOO_LARGE);
    assert_true(message.taken);
    struct submission *unread = make(&message, 2, 3, "Q a patch {\"n\":3}");
    error_set(&unread->error, ERROR_INVALID_MESSAGE, "no JSON");
    submit(unread);
    fixture_wait(f, &message.outcome.done);
    assert_true(message.taken);
    assert_int_equal(message.outcome.error.code, ERROR_INVALID_MESSAGE);
    assert_n("a", 1);
    assert_int_equal(stored_position(), 3);
    assert_true(follow(3, 4, "Q a patch {\"n\":4}").taken);
    assert_n("a", 4);
}

/* ---- a transaction that fails ---- */

/* In some rounds the job and messages are of one transaction: as many as it takes. */
TEST(one_that_was_not_written_holds_all_behind_it)
{
    enum { ROUNDS = 40, MOST = 100000, MESSAGES = 5 };
    int failed = 0;
    int64_t last = -1;
    for (int round = 0; round < ROUNDS || (!failed && round < MOST); round++) {
        struct spoiler spoiler;
        struct message messages[MESSAGES];
        int64_t previous = last, first = round * MESSAGES + 1;
        assert_true(fixture_spoil(f, &spoiler));
        for (int i = 0; i < MESSAGES; i++) {
            submit(make(&messages[i], previous, first + i, "Q a patch {\"n\":[1]} n"));
            previous = first + i;
        }
        fixture_wait(f, &spoiler.done);
        for (int i = 0; i < MESSAGES; i++) {
            fixture_wait(f, &messages[i].outcome.done);
            /* Behind the first that was not, none is. */
            assert_true(!messages[i].taken || i == 0 || messages[i - 1].taken);
            if (messages[i].taken)
                last = first + i;
            failed += !messages[i].taken;
        }
    }
    assert_true(failed > 0);
    assert_int_equal(stored_position(), last);
}

/* ---- without memory ---- */

/* Each allocation of a message fails once: the message must come again, and does all it holds. */
TEST(one_that_found_no_memory_is_not_used_up)
{
    enum { ALLOCATIONS = 60 };
    int failed = 0, applied = 0;
    int64_t last = -1;
    for (int nth = 1; nth <= ALLOCATIONS; nth++) {
        char text[96];
        struct message message = {.taken = false};
        snprintf(text, sizeof text, "@p%d 1\nQ key%d patch {\"n\":%d}", nth, nth, nth);
        for (int64_t sequence = last + 1 + (last < 0); !message.taken;) {
            struct submission *submission = make(&message, last, sequence, text);
            memory_fail_at(failed == applied ? (uint64_t)nth : 0, 0);
            submit(submission);
            fixture_wait(f, &message.outcome.done);
            memory_fail_at(0, 0);
            failed += !message.taken;
            assert_true(message.taken || message.outcome.error.code != ERROR_NONE);
            assert_true(!message.taken || message.outcome.error.code == ERROR_NONE);
            if (message.taken)
                last = sequence;
        }
        applied = failed;
        snprintf(text, sizeof text, "key%d", nth);
        assert_n(text, nth);
    }
    assert_true(failed > 3);
    assert_int_equal(stored_position(), last);
}
