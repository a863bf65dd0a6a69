/* Messages of a log: their position is on disk with what they did; one that could not be written
 * holds all behind it, and one that is refused for what it holds does not. */
#include "engine_fixture.h"
#include "memory_fault.h"
#include "store/producer.h"
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

/* ---- what nodes publish ---- */

/* As a node published it behind batch `after` of its connection. */
TEST(a_batch_comes_behind_that_of_its_connection)
{
    struct message message;
    assert_true(follow(-1, 1, "@p 4\nQ a patch {\"n\":4}").taken);
    struct submission *submission = make(&message, 1, 2, "@p 7\nQ a patch {\"n\":7}");
    submission->batches[1].has_after = true;
    submission->batches[1].after = 5;
    submit(submission);
    fixture_wait(f, &message.outcome.done);
    assert_int_equal(message.outcome.error.code, ERROR_OUT_OF_ORDER);
    assert_true(message.taken); /* by every node */
    assert_n("a", 4);
    for (int64_t after = 3; after <= 4; after++) {
        submission = make(&message, after - 1, after, "@p 7\nQ a patch {\"n\":7}");
        submission->batches[1].has_after = true;
        submission->batches[1].after = after;
        submit(submission);
        fixture_wait(f, &message.outcome.done);
        assert_int_equal(message.outcome.error.code, ERROR_NONE);
        assert_int_equal(message.outcome.duplicate, after - 3);
    }
    assert_n("a", 7);
}

static bool print_nothing(const struct submission *submission, struct buffer *out)
{
    (void)submission;
    return buffer_add_char(out, '-');
}

static struct message with_key(int64_t sequence, const char *key, int64_t at)
{
    struct message message;
    struct submission *submission = make(&message, sequence - 1, sequence, "Q a patch {}");
    submission->message.at = at;
    submission->message.previous = sequence == 1 ? -1 : sequence - 1;
    submission->key.text = submission_keep(submission, span_of(key));
    submission->key.print = print_nothing;
    submit(submission);
    fixture_wait(f, &message.outcome.done);
    return message;
}

/* Keys are as old as the log says, whatever the clock of the node. */
TEST(keys_are_kept_by_the_time_of_the_messages)
{
    enum { HOUR_MS = 3600 * 1000 };
    const int64_t begin = 1000;
    fixture_close(f);
    f->options.max_idempotency_keys = 1;
    fixture_open(f);
    assert_int_equal(with_key(1, "one", begin).outcome.error.code, ERROR_NONE);
    struct message message = with_key(2, "two", begin + 23 * HOUR_MS);
    assert_int_equal(message.outcome.error.code, ERROR_RATE_LIMIT);
    assert_true(message.taken);
    assert_int_equal(with_key(3, "two", begin + 25 * HOUR_MS).outcome.error.code, ERROR_NONE);
    assert_int_equal(stored_position(), 3);
}

struct command {
    struct message message;
    bool done;
    int64_t batch; /* of the producer that was forgotten; -1: none */
};

static void deliver_command(struct engine_event *event)
{
    struct submission *submission = (struct submission *)event;
    struct command *command = submission->context;
    command->done = submission->command.done;
    command->batch = submission->command.producer ? submission->command.producer->batch : -1;
    deliver(event);
}

static struct command order(int64_t sequence, int kind, const char *name, const char *owner)
{
    struct command command;
    struct submission *submission =
        make(&command.message, sequence == 1 ? -1 : sequence - 1, sequence, "");
    submission->context = &command;
    submission->event.deliver = deliver_command;
    submission->command.kind = kind;
    submission->command.name = submission_keep(submission, span_of(name));
    submission->command.expires_at = 77;
    if (owner)
        submission->owner = submission_keep(submission, span_of(owner));
    submit(submission);
    fixture_wait(f, &command.message.outcome.done);
    assert_true(command.message.taken);
    assert_int_equal(command.message.outcome.error.code, ERROR_NONE);
    return command;
}

static bool is_revocation(void *argument, const struct store_revocation *row)
{
    int *count = argument;
    ++*count;
    assert_true(span_equal(row->token_id, span_of("jti")));
    assert_int_equal(row->expires_at, 77);
    assert_int_equal(row->at, 1001); /* of the message */
    return true;
}

TEST(a_revocation_is_on_disk_with_its_position)
{
    struct error error;
    int count = 0;
    assert_true(order(1, COMMAND_REVOKE, "jti", NULL).done);
    assert_int_equal(stored_position(), 1);
    struct store_reader *reader = store_reader_open(engine_facts(f->engine)->database, &error);
    assert_true(store_read_begin(reader, &error));
    assert_true(store_read_revocations(reader, is_revocation, &count, &error));
    assert_int_equal(count, 1);
    store_read_end(reader);
    store_reader_close(reader);
}

TEST(a_producer_is_forgotten_by_its_own_subject)
{
    struct message message;
    struct submission *submission = make(&message, -1, 1, "@p 5\nQ a patch {\"n\":5}");
    submission->owner = submission_keep(submission, span_of("ada"));
    submit(submission);
    fixture_wait(f, &message.outcome.done);
    assert_false(order(2, COMMAND_FORGET, "p", "bob").done);
    assert_false(order(3, COMMAND_FORGET, "nosuch", "ada").done);
    struct command command = order(4, COMMAND_FORGET, "p", "ada");
    assert_true(command.done);
    assert_int_equal(command.batch, 5);
    assert_false(order(5, COMMAND_FORGET, "p", "ada").done);
    assert_int_equal(follow(5, 6, "@p 5\nQ a patch {\"n\":6}").outcome.applied, 1);
    assert_true(order(7, COMMAND_FORGET, "p", NULL).done); /* without authentication */
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
