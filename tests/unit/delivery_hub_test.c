/* What the hub promises about memory and about what it tells, on a real engine, without sockets. */
#include "delivery_client.h"
#include "delivery_fixture.h"
#include "memory_fault.h"
#include "test.h"

static struct hub_fixture fixture;

static void start(void)
{
    hub_fixture_start_with(&fixture, "QR");
}

static void set_up(void)
{
    hub_fixture_init(&fixture);
    start();
}

static void tear_down(void)
{
    hub_fixture_fini(&fixture);
}

TEST_EACH(set_up, tear_down)

/* ---- a client with many subscriptions ---- */

enum { MANY = 300 };

struct reader {
    struct subscriber *subscriber;
    size_t complete; /* complete batches it was sent */
};

static void ignore_wake(void *argument)
{
    (void)argument;
}

static size_t occurrences(struct span bytes, const char *word)
{
    size_t count = 0, length = strlen(word);
    const char *at = bytes.data, *end = bytes.data + bytes.length;
    while ((at = memmem(at, (size_t)(end - at), word, length))) {
        count++;
        at += length;
    }
    return count;
}

/* Everything that is there now. */
static void read_all(struct reader *reader)
{
    struct span bytes;
    while ((bytes = subscriber_pull(reader->subscriber)).length)
        reader->complete += occurrences(bytes, "\"complete\":true");
}

static bool has_all(void *argument)
{
    read_all(argument);
    return ((struct reader *)argument)->complete == MANY;
}

static uint64_t jobs_so_far(void)
{
    return counter_get(&engine_facts(fixture.base.engine)->metrics->read_jobs);
}

/* There are several readers, so each lookup is waited for. */
static bool cursors_are_looked_up(void *before)
{
    return jobs_so_far() - *(uint64_t *)before >= MANY;
}

/* Jobs that run while the client takes nothing more. */
static uint64_t jobs_for_a_stalled_client(struct reader *reader)
{
    uint64_t before = jobs_so_far();
    read_all(reader); /* all its subscriptions have their chance to ask */
    hub_fixture_wait_for_readers(&fixture);
    return jobs_so_far() - before;
}

static void subscribe_many(struct reader *reader, const char *more)
{
    reader->subscriber = subscriber_new(
        fixture.hub, &(struct subscriber_options){.wake = ignore_wake, .argument = NULL});
    for (int i = 0; i < MANY; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"type\":\"subscribe\",\"view\":\"Q/list\",\"key\":\"k%d\"%s}", i, more);
        subscriber_message(reader->subscriber, span_of(text));
    }
}

/* Four are served at once, the barrier is a fifth; the others wait, and none is forgotten. */
TEST(a_stalled_client_holds_few_pages_of_catching_up)
{
    struct reader reader = {0};
    hub_fixture_feed(&fixture, "=5:0\nQ first patch {}\n");
    hub_fixture_feed_many(&fixture, MANY, "patch {\"n\":1}");
    hub_fixture_wait_for_readers(&fixture);
    uint64_t before = jobs_so_far();
    subscribe_many(&reader, ",\"after\":\"5:000000000000\"");
    hub_fixture_until(&fixture, cursors_are_looked_up, &before);
    assert_true(jobs_for_a_stalled_client(&reader) <= 5);
    hub_fixture_until(&fixture, has_all, &reader);
    subscriber_free(reader.subscriber);
}

TEST(a_stalled_client_holds_few_snapshots)
{
    struct reader reader = {0};
    hub_fixture_feed_many(&fixture, MANY, "patch {\"n\":1}");
    subscribe_many(&reader, "");
    assert_true(jobs_for_a_stalled_client(&reader) <= 5);
    hub_fixture_until(&fixture, has_all, &reader);
    subscriber_free(reader.subscriber);
}

TEST(one_that_ends_passes_its_turn_on)
{
    struct reader reader = {0};
    hub_fixture_feed_many(&fixture, MANY, "patch {\"n\":1}");
    subscribe_many(&reader, "");
    read_all(&reader);
    for (int i = 0; i < 100; i++) { /* those that are served, and many that wait */
        char text[128];
        snprintf(text, sizeof text,
                 "{\"type\":\"unsubscribe\",\"view\":\"Q/list\",\"key\":\"k%d\"}", i);
        subscriber_message(reader.subscriber, span_of(text));
    }
    reader.complete = 100;
    hub_fixture_until(&fixture, has_all, &reader);
    subscriber_free(reader.subscriber);
}

/* Its snapshots are being read, and live frames are ready: none of it is sent any more. */
TEST(one_that_is_silenced_gets_answers_only)
{
    struct reader reader = {0}, other = {0};
    struct error error;
    hub_fixture_feed_many(&fixture, MANY, "patch {\"n\":1}");
    subscribe_many(&reader, "");
    read_all(&reader);
    subscribe_many(&other, "");
    subscriber_supply.silence(reader.subscriber);
    hub_fixture_feed_many(&fixture, MANY, "patch {\"n\":2}");
    error_set(&error, ERROR_TOKEN_EXPIRED, "the token has expired");
    subscriber_error(reader.subscriber, &error, NULL, true);
    hub_fixture_until(&fixture, has_all, &other);
    struct span bytes = subscriber_pull(reader.subscriber);
    assert_int_equal(occurrences(bytes, "token-expired"), 2);
    assert_int_equal(occurrences(bytes, "\"op\""), 0);
    assert_int_equal(subscriber_pull(reader.subscriber).length, 0);
    assert_int_equal(hub_state(fixture.hub).subscriptions, MANY);
    subscriber_free(reader.subscriber);
    subscriber_free(other.subscriber);
}

/* ---- a client that hangs up ---- */

static void expect_nobody_gone(void *argument)
{
    bool *hung_up = argument;
    assert_false(*hung_up);
}

/* All that a subscription may be at: each of them many times, more than are served at once. */
static const char *const kinds[] = {
    "\"view\":\"Q/list\"",
    "\"view\":\"Q/list\",\"key\":\"k%d\"",
    "\"view\":\"Q/state\",\"key\":\"k%d\"",
    "\"view\":\"Q/append\",\"key\":\"k%d\"",
    "\"view\":\"Q/list\",\"key\":\"k%d\",\"after\":\"5:000000000000\"",
    "\"view\":\"Q/append\",\"key\":\"k%d\",\"after\":\"5:000000000000\"",
    "\"view\":\"Q/list\",\"key\":\"k%d\",\"after\":\"9999:000000000000\"",
    "\"view\":\"Q/list\",\"key\":\"k%d\",\"take\":3",
    "\"view\":\"Q/list\",\"key\":\"k%d\",\"filters\":{\"n\":%d}",
    "\"view\":\"Q/list\",\"key\":\"k%d\",\"withSnapshot\":false",
};

/* It ends after so many steps of serving it, while some of its subscriptions wait in line. */
static void hang_up_after(const char *kind, int steps)
{
    enum { TOGETHER = 24 };
    bool hung_up = false;
    struct subscriber *subscriber =
        subscriber_new(fixture.hub, &(struct subscriber_options){.wake = expect_nobody_gone,
                                                                 .argument = &hung_up});
    assert_non_null(subscriber);
    for (int i = 0; i < TOGETHER; i++) {
        char member[200], text[256];
        snprintf(member, sizeof member, kind, i, i);
        snprintf(text, sizeof text, "{\"type\":\"subscribe\",%s}", member);
        subscriber_message(subscriber, span_of(text));
    }
    for (int i = 0; i < steps; i++) {
        if (!subscriber_pull(subscriber).length)
            hub_fixture_wait_for_readers(&fixture);
    }
    assert_true(hub_state(fixture.hub).subscriptions > 0);
    hung_up = true;
    subscriber_free(subscriber);
    assert_int_equal(hub_state(fixture.hub).subscriptions, 0);
}

TEST(one_that_hangs_up_is_not_woken_any_more)
{
    hub_fixture_feed(&fixture, "=5:0\nQ first patch {}\n");
    hub_fixture_feed_many(&fixture, MANY, "patch {\"n\":1}");
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        for (int steps = 0; steps < 40; steps += 1 + steps / 8)
            hang_up_after(kinds[kind], steps);
    hub_fixture_wait_for_readers(&fixture);
}

/* Of version 2: the events that a condition chooses. It hangs up while a reader asks for it. */
static void hang_up_while_events_are_chosen(unsigned after_us)
{
    static const char text[] =
        "{\"type\":\"subscribe\",\"protocolVersion\":2,\"subscriptionId\":\"s\",\"query\":{"
        "\"view\":\"Q/append\",\"where\":{\"any\":[{\"field\":\"n\",\"gte\":2},"
        "{\"field\":\"m\",\"eq\":7}]}}}";
    struct wire_message message;
    struct error error;
    bool hung_up = false;
    struct subscriber *subscriber =
        subscriber_new(fixture.hub, &(struct subscriber_options){.wake = expect_nobody_gone,
                                                                 .argument = &hung_up});
    assert_non_null(subscriber);
    assert_true(wire_message_parse(span_of(text), &message, &error));
    subscriber_write_bodies(subscriber, span_of("head"));
    assert_true(subscriber_subscribe(subscriber, &message.subscribe, &error));
    wire_message_fini(&message);
    for (int i = 0; i < 2; i++) { /* where the events begin, then events */
        hub_fixture_wait_for_readers(&fixture);
        subscriber_pull(subscriber);
    }
    usleep(after_us);
    hung_up = true;
    subscriber_free(subscriber);
    assert_int_equal(hub_state(fixture.hub).subscriptions, 0);
}

/* A reader has no part of a subscription that may end before the read does. */
TEST(one_that_hangs_up_may_leave_a_reader_with_its_condition)
{
    for (int i = 0; i < 20; i++)
        hub_fixture_feed_many(&fixture, MANY, "patch {\"n\":1}");
    for (unsigned after_us = 0; after_us < 2000; after_us += 25)
        hang_up_while_events_are_chosen(after_us);
    hub_fixture_wait_for_readers(&fixture);
}

/* ---- deletes with a fresh snapshot ---- */

enum { DELETED = 12 * 1000 };

/* However many were deleted, who comes back without a cursor and with its rows loses them. */
TEST(all_deletes_are_told_with_a_fresh_snapshot)
{
    struct client client = {.view = "Q/list", .with_snapshot = true};
    client_init(&client);
    hub_fixture_feed_many(&fixture, DELETED, "patch {\"n\":1}");
    hub_fixture_feed(&fixture, "Q stays patch {}\n");
    client_connect(&client, fixture.hub);
    hub_fixture_until(&fixture, client_is_complete, &client);
    assert_int_equal(json_object_size(client.rows), DELETED + 1);
    client_cut(&client);
    hub_fixture_feed_many(&fixture, DELETED, "delete");
    client_connect(&client, fixture.hub);
    hub_fixture_until(&fixture, client_is_complete, &client);
    assert_int_equal(client.deletes, DELETED);
    assert_int_equal(json_object_size(client.rows), 1);
    assert_string_equal(client.problem, "");
    client_fini(&client);
}

/* ---- what a resume reads ---- */

static uint64_t jobs_of_a_resume(struct client *client)
{
    uint64_t before = jobs_so_far();
    client_connect(client, fixture.hub);
    hub_fixture_until(&fixture, client_is_complete, client);
    assert_string_equal(client->problem, "");
    client_cut(client);
    return jobs_so_far() - before;
}

/* Read a fresh snapshot; how often, and behind how many deletes, there is to be a rest. */
struct resting {
    struct reader reader;
    size_t rests, rows, deletes, deletes_before;
};

static bool has_rested(void *argument)
{
    struct resting *resting = argument;
    struct span bytes;
    while ((bytes = subscriber_pull(resting->reader.subscriber)).length) {
        resting->rows += occurrences(bytes, "\"data\":[{");
        resting->deletes += occurrences(bytes, "\"op\":\"delete\"");
        resting->reader.complete += occurrences(bytes, "\"complete\":true");
        if (!subscriber_state(resting->reader.subscriber).rests)
            continue;
        resting->rests++;
        resting->deletes_before += resting->deletes;
        assert_int_equal(resting->rows, 1);
    }
    return resting->reader.complete == 1;
}

static void expect_rests(size_t deletes, size_t rests)
{
    struct resting resting = {.rests = 0};
    resting.reader.subscriber = subscriber_new(
        fixture.hub, &(struct subscriber_options){.wake = ignore_wake, .argument = NULL});
    subscriber_message(resting.reader.subscriber,
                       span_of("{\"type\":\"subscribe\",\"view\":\"Q/list\"}"));
    hub_fixture_until(&fixture, has_rested, &resting);
    assert_int_equal(resting.deletes, deletes);
    assert_int_equal(resting.rests, rests);
    assert_int_equal(resting.deletes_before, 0);
    subscriber_free(resting.reader.subscriber);
}

TEST(the_sender_rests_between_rows_and_many_deletes)
{
    hub_fixture_feed(&fixture, "Q stays patch {}\n");
    hub_fixture_feed_many(&fixture, 20, "patch {\"n\":1}");
    hub_fixture_feed_many(&fixture, 20, "delete");
    expect_rests(20, 0);
    hub_fixture_feed_many(&fixture, MANY, "patch {\"n\":1}");
    hub_fixture_feed_many(&fixture, MANY, "delete");
    expect_rests(MANY, 1);
}

/* A log full of other exports' changes costs the resume of one that rests nothing. */
TEST(a_quiet_export_resumes_at_once)
{
    struct client client = {.view = "R/list", .with_snapshot = true, .resumes = true};
    client_init(&client);
    hub_fixture_feed(&fixture, "R a patch {}\n");
    jobs_of_a_resume(&client);
    hub_fixture_feed_many(&fixture, 50 * 1000, "patch {}"); /* more than one page looks at */
    assert_int_equal(jobs_of_a_resume(&client), 2);
    assert_int_equal(client.resumed, 1);
    hub_fixture_feed(&fixture, "R b patch {}\n");
    jobs_of_a_resume(&client);
    assert_int_equal(json_object_size(client.rows), 2);
    client_fini(&client);
}

struct listener {
    struct subscriber *subscriber;
    const char *word; /* to be heard */
};

/* One pull at a time, and none more behind the word. */
static bool hears(void *argument)
{
    struct listener *listener = argument;
    struct span bytes;
    while ((bytes = subscriber_pull(listener->subscriber)).length)
        if (occurrences(bytes, listener->word))
            return true;
    return false;
}

/* A client that gets bodies is told the rows of a resume first, and what is gone by another read.
 */
TEST(a_change_between_the_rows_and_the_deletes_of_a_resume_is_told)
{
    struct listener listener = {
        subscriber_new(fixture.hub,
                       &(struct subscriber_options){.wake = ignore_wake, .argument = NULL}),
        "\"complete\":true"};
    static const char message[] =
        "{\"type\":\"subscribe\",\"view\":\"Q/list\",\"after\":\"5:000000000001\"}";
    subscriber_write_bodies(listener.subscriber, span_make(NULL, 0));
    hub_fixture_feed(&fixture, "=5:1\nQ a patch {}\n");
    subscriber_message(listener.subscriber, span_of(message));
    hub_fixture_until(&fixture, hears, &listener);
    hub_fixture_feed(&fixture, "Q between patch {}\n");
    listener.word = "\"key\":\"between\"";
    hub_fixture_until(&fixture, hears, &listener);
    subscriber_free(listener.subscriber);
}

/* ---- a change that finds no memory ---- */

static _Thread_local uint64_t allocations_left; /* on this thread, until one fails; 0: none will */

static int is_last_allocation(void)
{
    return allocations_left && --allocations_left == 0;
}

/* More than the backlog keeps, all of another entity. */
static void push_out_of_memory(void)
{
    struct buffer text;
    buffer_init(&text, 4 << 20);
    buffer_add_string(&text, "Q large patch {\"x\":\"");
    for (int i = 0; i < 400 * 1024; i++)
        buffer_add_char(&text, 'x');
    buffer_add_string(&text, "\"}\n");
    for (int i = 0; i < 4; i++)
        hub_fixture_feed(&fixture, buffer_string(&text));
    buffer_fini(&text);
}

/* The change is committed, and the loop hears of it while its nth allocation fails. */
static void feed_short_of_memory(const char *text, uint64_t nth)
{
    struct outcome outcome = {.done = false};
    struct error error;
    uint64_t before = counter_get(&engine_facts(fixture.base.engine)->metrics->commits);
    assert_true(engine_submit(fixture.base.engine, fixture_submission(text, &outcome), &error));
    while (counter_get(&engine_facts(fixture.base.engine)->metrics->commits) == before)
        usleep(50);
    usleep(1000); /* until the news is posted; a later one only misses what is tried */
    allocations_left = nth;
    memory_fail_if(is_last_allocation);
    engine_deliver(fixture.base.engine);
    memory_fail_if(NULL);
    fixture_wait(&fixture.base, &outcome.done);
}

/* A key's subscriber has fallen behind memory, and the log was read for it, when the change comes.
 * The database has that, and it is not to be passed over when the subscription goes live again. */
static void miss_a_change(int changes, uint64_t nth)
{
    struct listener listener = {
        subscriber_new(fixture.hub,
                       &(struct subscriber_options){.wake = ignore_wake, .argument = NULL}),
        "\"complete\":true"};
    char text[64], word[32];
    snprintf(word, sizeof word, "\"n\":%llu", 1000 * (unsigned long long)(changes + 1) + nth);
    snprintf(text, sizeof text, "Q key patch {%s}\n", word);
    hub_fixture_feed(&fixture, "Q key patch {\"n\":0}\n");
    subscriber_message(listener.subscriber,
                       span_of("{\"type\":\"subscribe\",\"view\":\"Q/list\",\"key\":\"key\"}"));
    hub_fixture_until(&fixture, hears, &listener);
    while (subscriber_pull(listener.subscriber).length)
        ;
    hub_fixture_feed(&fixture, "Q key patch {\"n\":1}\n");
    push_out_of_memory();
    for (int i = 0; i < changes; i++)
        hub_fixture_feed(&fixture, "Q key patch {\"n\":2}\n");
    uint64_t before = jobs_so_far();
    while (subscriber_pull(listener.subscriber).length)
        ;
    while (jobs_so_far() == before)
        usleep(50);
    hub_fixture_wait_for_readers(&fixture);
    feed_short_of_memory(text, nth);
    listener.word = word;
    hub_fixture_until(&fixture, hears, &listener);
    subscriber_free(listener.subscriber);
}

TEST(a_change_that_finds_no_memory_while_the_log_is_read_is_told)
{
    for (int changes = 0; changes <= 4; changes++)
        for (uint64_t nth = 1; nth <= 8; nth++)
            miss_a_change(changes, nth);
}

/* A cursor that stands nowhere in the log is looked up in steps. */
TEST(a_strange_cursor_is_looked_up_in_steps)
{
    struct client client = {.view = "R/list", .with_snapshot = true, .resumes = true};
    client_init(&client);
    hub_fixture_feed(&fixture, "=5:0\nR a patch {}\n=7:0\nR b patch {}\n=9:0\nQ x patch {}\n");
    hub_fixture_feed_many(&fixture, 50 * 1000, "patch {}");
    hub_fixture_feed(&fixture, "=6:1\nR c patch {}\n=20:0\nR d patch {}\n");
    jobs_of_a_resume(&client);
    snprintf(client.seq, sizeof client.seq, "6:000000000000");
    json_object_clear(client.rows);
    assert_true(jobs_of_a_resume(&client) >= 4);
    assert_int_equal(client.resumed, 1);
    assert_non_null(json_object_get(client.rows, "b"));
    assert_non_null(json_object_get(client.rows, "c"));
    assert_non_null(json_object_get(client.rows, "d"));
    assert_int_equal(json_object_size(client.rows), 3);
    client_fini(&client);
}
