/*
 * Usage events with the clock in the test's hand, a real engine and database, and an endpoint that
 * answers as it is told: when attempts are made, what is told when, and that an hour without the
 * endpoint and a crash in the middle cost no event that was in the spool.
 */
#include "memory_fault.h"
#include "test.h"
#include "usage_fixture.h"

TEST_EACH(set_up, tear_down)

/* ---- sums ---- */

TEST(updates_are_summed_over_their_interval)
{
    struct usage_client *client = come();
    struct usage_meter *a = usage_subscribed(client, "Q/list");
    struct usage_meter *b = usage_subscribed(client, "Q/append");
    assert_ptr_equal(usage_subscribed(client, "Q/list"), a); /* one for both */
    pass(1000);
    usage_sent(a, USAGE_UPDATE, 0, 2, 100, false);
    usage_sent(a, USAGE_SNAPSHOT, 7, 1, 1000, true); /* told at once */
    for (int i = 1; i <= 9; i++) {
        pass(1000);
        usage_sent(a, USAGE_UPDATE, 0, 1, 10, false);
        if (i == 5)
            usage_sent(b, USAGE_UPDATE, 0, 1, 77, false);
    }
    assert_int_equal(times("snapshot_sent"), 1);
    assert_int_equal(times("\"view_id\":\"Q/list\",\"rows\":7,\"messages\":1,\"bytes\":1000}"), 1);
    assert_int_equal(times("update_sent"), 0);
    pass(1000);
    pass(3000); /* by way of the spool */
    assert_int_equal(times("\"view_id\":\"Q/list\",\"messages\":11,\"bytes\":190}"), 1);
    assert_int_equal(times("update_sent"), 1); /* that of the other is not over */
    pass(10000);
    pass(3000);
    assert_int_equal(times("\"view_id\":\"Q/append\",\"messages\":1,\"bytes\":77}"), 1);
    pass(60000);
    assert_int_equal(times("update_sent"), 2); /* nothing is nothing to tell */
    usage_sent(a, USAGE_UPDATE, 0, 1, 5, false);
    usage_unsubscribed(a);
    pass(3000);
    assert_int_equal(times("update_sent"), 2); /* the other subscription goes on */
    usage_unsubscribed(a);
    usage_unsubscribed(b);
    usage_client_free(client, 3);
    pass(3000);
    assert_int_equal(times("\"messages\":1,\"bytes\":5}"), 1);
    assert_int_equal(times("subscription_created"), 3);
    assert_int_equal(times("subscription_removed"), 3);
    assert_int_equal(times("\"duration_secs\":90.000,\"subscription_count\":3}"), 1);
}

TEST(answers_count_when_they_are_sent)
{
    struct usage_client *client = come();
    struct usage_meter *meter = usage_subscribed(client, "Q/list");
    usage_announced(meter, 50);
    usage_announced(meter, 60);
    usage_unsubscribed(meter); /* the message is still on its way */
    usage_answers_settled(client, true);
    come_through();
    assert_int_equal(times("\"messages\":2,\"bytes\":110}"), 1);
    meter = usage_subscribed(client, "Q/list");
    usage_announced(meter, 50);
    usage_unsubscribed(meter);
    usage_client_free(client, 0); /* it never was */
    come_through();
    assert_int_equal(times("update_sent"), 1);
}

/* A view of an export that was never fed may go right after the subscription to it. */
TEST(a_meter_outlives_its_view)
{
    char view[] = "Q/list";
    struct usage_client *client = come();
    struct usage_meter *meter = usage_subscribed(client, view);
    memset(view, '?', sizeof view - 1);
    usage_sent(meter, USAGE_UPDATE, 0, 1, 7, false);
    assert_ptr_equal(usage_subscribed(client, "Q/list"), meter);
    usage_unsubscribed(meter);
    usage_unsubscribed(meter);
    usage_client_free(client, 0);
    come_through();
    assert_int_equal(times("\"subscription_created\""), 2);
    assert_int_equal(times("\"view_id\":\"Q/list\""), 5);
    assert_int_equal(times("?"), 0);
}

TEST(a_refreshed_token_tells_from_then_on)
{
    struct usage_client *client = come();
    struct auth_identity *other = auth_identity_anonymous();
    memory_free(other->metering_key);
    other->metering_key = memory_copy_string("a\"b", 3);
    other->key_class = AUTH_KEY_PUBLISHABLE;
    char id[40];
    snprintf(id, sizeof id, "%.38s", client->identity + 13);
    assert_true(usage_client_identify(client, other));
    assert_memory_equal(client->identity + 13, id, 38);
    auth_identity_release(other);
    usage_client_free(client, 0);
    come_through();
    assert_int_equal(times("\"metering_key\":\"dev\",\"subject\":\"anonymous\",\"key_class\":null"),
                     1);
    assert_int_equal(times("\"metering_key\":\"a\\\"b\",\"subject\":\"anonymous\","
                           "\"key_class\":\"publishable\""),
                     1);
    assert_int_equal(times(id), 2);
}

/* ---- the spool ---- */

TEST(events_wait_a_second_or_for_many)
{
    settle();
    usage_client_free(come(), 0);
    pass(900);
    assert_int_equal(in_spool(), 0);
    it.status = 0;
    pass(100);
    assert_int_equal(in_spool(), 2);
    for (int i = 0; i < USAGE_BATCH_EVENTS / 2; i++)
        usage_client_free(come(), 0);
    settle(); /* no time has passed */
    assert_int_equal(in_spool(), 2 + USAGE_BATCH_EVENTS);
}

TEST(memory_is_bounded)
{
    for (int i = 0; i < USAGE_PENDING_EVENTS; i++) /* twice as many events; the writer gets none */
        usage_client_free(come(), 0);
    const struct usage_metrics *metrics = usage_metrics(it.usage);
    assert_true(counter_get(&metrics->dropped) > 0);
    uint64_t made = 2 * USAGE_PENDING_EVENTS;
    it.status = 0;
    pass(1000);
    settle();
    assert_int_equal(counter_get(&metrics->spooled) + counter_get(&metrics->dropped), made);
    assert_int_equal(metrics->spool_rows, counter_get(&metrics->spooled));
}

/* ---- delivery ---- */

TEST(full_packets_go_at_once_and_others_soon)
{
    settle();
    for (int i = 0; i < 500; i++)
        usage_client_free(come(), 0);
    settle();
    assert_int_equal(taken(), 1000);
    assert_int_equal(it.attempts, 20);
    assert_int_equal(in_spool(), 0);
    usage_client_free(come(), 0);
    pass(1000);
    assert_int_equal(it.attempts, 20);
    pass(1000);
    assert_int_equal(it.attempts, 21);
    assert_int_equal(it.repeated, 0);
}

TEST(a_refused_event_is_passed_and_tried_again)
{
    struct usage_client *clients[40];
    it.poison = "Q/bad";
    for (int i = 0; i < 40; i++) {
        clients[i] = come();
        usage_unsubscribed(usage_subscribed(clients[i], i == 17 ? "Q/bad" : "Q/good"));
    }
    for (int i = 0; i < 600; i++)
        pass(1000);
    assert_int_equal(taken(), 118);
    assert_int_equal(in_spool(), 2);
    assert_int_equal(counter_get(&it.usage->metrics.refused), 2);
    uint64_t attempts = it.attempts;
    pass(USAGE_REFUSED_MS / 2);
    assert_int_equal(it.attempts, attempts);
    it.poison = NULL;
    pass(USAGE_REFUSED_MS / 2);
    assert_int_equal(taken(), 120);
    assert_int_equal(in_spool(), 0);
    assert_int_equal(it.repeated, 0);
    for (int i = 0; i < 40; i++)
        usage_client_free(clients[i], 0);
}

TEST(what_cannot_be_begun_is_tried_again)
{
    it.full = true;
    usage_client_free(come(), 0);
    for (int i = 0; i < 10; i++)
        pass(1000);
    assert_int_equal(it.attempts, 0);
    it.full = false;
    pass(USAGE_BACK_OFF_MOST_MS);
    assert_int_equal(taken(), 2);
}

TEST(a_stop_delivers_what_it_can)
{
    settle();
    for (int i = 0; i < 70; i++)
        usage_client_free(come(), 0);
    assert_false(usage_finish(it.usage));
    settle(); /* without a second passing */
    assert_true(usage_finish(it.usage));
    assert_int_equal(taken(), 140);
    usage_client_free(come(), 0); /* one that was left behind until now */
    usage_flush(it.usage);
    fixture_close(&it.base);
    usage_free(it.usage);
    open_usage(1000);
    settle();
    assert_int_equal(taken(), 142);
}

TEST(a_stop_does_not_wait_for_a_dead_endpoint)
{
    it.status = 0;
    usage_client_free(come(), 0);
    pass(1000);
    pass(2000);
    assert_true(it.attempts > 0);
    usage_client_free(come(), 0);
    usage_finish(it.usage);
    settle();
    assert_true(usage_finish(it.usage));
    assert_int_equal(in_spool(), 4);
}

/* ---- an hour ---- */

static bool note_id(void *argument, const struct store_usage_event *event)
{
    struct map *ids = argument;
    if (map_get(ids, event->event_id))
        return true;
    struct taken *id = memory_new(sizeof *id);
    memcpy(id->id, event->event_id.data, 36);
    return map_add(ids, id);
}

static void note_spool(struct map *ids)
{
    struct error error;
    struct store_reader *reader = store_reader_open(engine_facts(it.base.engine)->database, &error);
    assert_non_null(reader);
    assert_true(store_read_usage(reader, 0, -1, note_id, ids, &error));
    store_reader_close(reader);
}

/* Somebody comes, somebody goes, and a client is sent something every second. */
static void live_for(int seconds)
{
    struct usage_client *client = come();
    struct usage_meter *meter = usage_subscribed(client, "Q/list");
    for (int i = 0; i < seconds; i++) {
        usage_sent(meter, USAGE_UPDATE, 0, 3, 300, false);
        if (i % 5 == 0)
            usage_client_free(come(), 0);
        pass(1000);
    }
    usage_unsubscribed(meter);
    usage_client_free(client, 1);
}

TEST(an_hour_without_the_endpoint_and_a_crash)
{
    struct map ids;
    size_t position = 0, missing = 0;
    struct taken *id;
    map_init(&ids, taken_key);
    longest_us = 0;
    it.status = 0;
    live_for(1800);
    note_spool(&ids);
    size_t before = ids.count;
    crash();
    open_usage(1000 * 1000);
    live_for(1800);
    pass(1000);
    note_spool(&ids);
    assert_true(before > 700 && ids.count > 1400);
    assert_int_equal(taken(), 0);
    /* Once a minute at least, twice at most; a few more at the two beginnings. */
    assert_in_range(it.attempts, 60, 140);
    assert_true(usage_metrics(it.usage)->oldest_ms > 3000 * 1000);
    it.status = 200;
    for (int i = 0; i < USAGE_BACK_OFF_MOST_MS / 1000 + 5; i++)
        pass(1000);
    taken();
    while ((id = map_next(&ids, &position))) {
        missing += !map_get(&it.taken, taken_key(id));
        memory_free(id);
    }
    assert_int_equal(missing, 0);
    assert_int_equal(taken(), ids.count);
    assert_int_equal(in_spool(), 0);
    assert_int_equal(it.repeated, 0);
    assert_true(it.most_at_once <= USAGE_AT_ONCE);
    assert_int_equal(usage_metrics(it.usage)->oldest_ms, 0);
    map_fini(&ids);
    print_message("the longest turn took %llu us\n", (unsigned long long)longest_us);
    assert_true(longest_us < 100 * 1000);
}

/* All of many connections were sent something at the same moment: their sums are due together. */
TEST(many_sums_at_once_are_told_in_turns)
{
    enum { CLIENTS = 10000 };
    static struct usage_client *clients[CLIENTS];
    static struct usage_meter *meters[CLIENTS];
    it.status = 0;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = come();
        meters[i] = usage_subscribed(clients[i], "Q/list");
    }
    pass(1000);
    for (int i = 0; i < CLIENTS; i++)
        usage_sent(meters[i], USAGE_UPDATE, 0, 1, 100, false);
    longest_us = 0;
    it.now += USAGE_SUM_MS;
    uint64_t spooled = counter_get(&it.usage->metrics.spooled);
    turn();
    assert_true(it.turn_wanted); /* more are due */
    assert_true(it.usage->spool.events <= USAGE_SUMS_PER_TURN);
    settle();
    pass(1000);
    assert_int_equal(counter_get(&it.usage->metrics.spooled) - spooled, CLIENTS);
    print_message("the longest turn took %llu us\n", (unsigned long long)longest_us);
    for (int i = 0; i < CLIENTS; i++) {
        usage_unsubscribed(meters[i]);
        usage_client_free(clients[i], 1);
    }
}

/* ---- when there is no memory ---- */

/* What one client makes; returns how many events that should be. */
static uint64_t one_client(void)
{
    uint64_t events = 0;
    struct usage_client *client = usage_client_new(it.usage, it.identity, "10.0.0.1");
    if (!client)
        return 0;
    struct usage_meter *meter = usage_subscribed(client, "Q/list");
    events += meter ? 2 : 1; /* one that is not metered is counted as dropped */
    if (meter) {
        usage_announced(meter, 10);
        usage_answers_settled(client, true);
        events++;
    }
    usage_unsubscribed(meter);
    usage_client_free(client, 0);
    return events + 2;
}

/* Each allocation on the way fails in turn: every event is delivered or counted, and what waits
 * goes on when there is memory again. */
TEST(an_allocation_fails)
{
    uint64_t made = 0;
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        memory_fail_at(nth, 0);
        made += one_client();
        come_through();
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
    }
    for (int i = 0; i < 10; i++)
        come_through();
    assert_int_equal(in_spool(), 0);
    assert_int_equal(taken() + counter_get(&it.usage->metrics.dropped), made);
    assert_int_equal(it.repeated, 0);
    made = taken() + one_client();
    come_through();
    assert_int_equal(taken(), made);
}
