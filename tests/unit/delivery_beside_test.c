/* Several subscriptions of one view on one connection, on a real engine, without sockets. */
#include "delivery/hub_internal.h"
#include "delivery_client.h"
#include "delivery_fixture.h"
#include "memory_fault.h"
#include "test.h"

static struct hub_fixture fixture;

enum { WINDOWS = 4 };

static void set_up(void)
{
    struct error error;
    static const struct engine_export_options exports[] = {{.name = {"Q", 1}}, {.name = {"S", 1}}};
    struct view_set *set = view_set_new(false);
    struct tree *scope = tree_parse(span_of("\"w\""), &error);
    hub_fixture_init(&fixture);
    fixture.options.snapshot_cache_bytes = 1 << 20;
    fixture.options.max_windows = WINDOWS;
    fixture.base.options.readers = 1; /* so that questions are answered in their order */
    assert_true(view_set_add_export(set, span_of("Q"), &error));
    assert_true(view_set_add_export(set, span_of("S"), &error));
    assert_true(view_set_scope(set, span_of("S"), scope, &error));
    tree_free(scope);
    hub_fixture_start(&fixture, set, exports, 2);
    hub_fixture_feed(&fixture, "Q a patch {\"n\":1}\nQ b patch {\"n\":1}\nQ c patch {\"n\":2}\n");
}

static void tear_down(void)
{
    hub_fixture_fini(&fixture);
}

TEST_EACH(set_up, tear_down)

/* The first message makes the connection. */
static void tell(struct client *client, const char *type, const char *members)
{
    char message[512];
    client->complete = false;
    snprintf(message, sizeof message, "{\"type\":\"%s\",\"view\":\"Q/list\"%s}", type, members);
    if (client->subscriber)
        subscriber_message(client->subscriber, span_of(message));
    else
        assert_true(client_subscribe(client, fixture.hub, message));
}

static void show(struct client *client, const char *members)
{
    tell(client, "subscribe", members);
    hub_fixture_until(&fixture, client_is_complete, client);
}

/* Until nothing more is on its way: a refresh may lead to a second one, and that to a statement. */
static void settle(struct client *client)
{
    for (int i = 0; i < 8; i++) {
        client_pull(client, -1);
        hub_fixture_wait_for_readers(&fixture);
    }
    assert_false(client_pull(client, -1));
    assert_string_equal(client->problem, "");
}

/* ---- one that begins to show a row while another takes it away ---- */

struct overtaking {
    const char *held;   /* ended, and its rows are still with the client */
    const char *opens;  /* is to take them away, and waits for the refresh that says which */
    const char *begins; /* shows row b at once, from what was made for others */
};

static const struct overtaking overtakings[] = {
    {",\"key\":\"b\"", ",\"key\":\"a\",\"take\":1", ",\"key\":\"b\""},
    {",\"key\":\"b\"", ",\"key\":\"a\",\"filters\":{\"n\":1}", ",\"key\":\"b\""},
    {",\"take\":3", ",\"key\":\"a\",\"take\":1", ",\"key\":\"b\""},
    {",\"key\":\"b\"", ",\"key\":\"a\",\"take\":1,\"withSnapshot\":false", ",\"key\":\"b\""},
    {",\"key\":\"b\"", ",\"key\":\"a\",\"take\":1", ",\"key\":\"b\",\"take\":1"},
    {",\"key\":\"b\"", ",\"key\":\"a\",\"take\":1", ",\"key\":\"b\",\"filters\":{\"n\":1}"},
    {",\"key\":\"b\"", ",\"key\":\"a\",\"take\":1", ""},
    {",\"take\":3", ",\"key\":\"a\",\"take\":1", ""},
    {",\"key\":\"b\"", ",\"key\":\"a\",\"take\":1,\"withSnapshot\":false", ""},
    {",\"key\":\"b\"", ",\"key\":\"a\",\"take\":1", ",\"take\":3"},
    {",\"key\":\"b\"", ",\"key\":\"a\",\"take\":1", ",\"filters\":{\"n\":1}"},
};

static void play(const struct overtaking *of)
{
    struct client client = {.view = "Q/list"}, other = {.view = "Q/list"};
    client_init(&client);
    client_init(&other);
    show(&other, of->begins); /* and stays, so that there is something to share */
    settle(&other);
    show(&client, of->held);
    settle(&client);
    tell(&client, "unsubscribe", of->held);
    tell(&client, "subscribe", of->opens);
    client_pull(&client, -1); /* it asks */
    tell(&client, "subscribe", of->begins);
    client_pull(&client, -1); /* nothing that readers bring is delivered yet */
    if (!client.complete || !json_object_get(client.rows, "b"))
        fail_msg("'%s' is to be served at once", of->begins);
    settle(&client);
    if (!json_object_get(client.rows, "b"))
        fail_msg("'%s' took row b away from '%s'", of->opens, of->begins);
    hub_fixture_feed(&fixture, "Q b patch {\"m\":1}\n");
    settle(&client);
    assert_int_equal(json_object_size(json_object_get(client.rows, "b")), 3); /* _seq, n, m */
    client_fini(&client);
    client_fini(&other);
    hub_fixture_feed(&fixture, "Q b delete\nQ b patch {\"n\":1}\n");
}

TEST(a_row_stays_with_one_that_came_while_another_opened)
{
    for (size_t i = 0; i < sizeof overtakings / sizeof *overtakings; i++)
        play(&overtakings[i]);
}

/* ---- an owner that states what the other has not sent ---- */

/* Keeps the one reader busy until it is let go. */
struct hold {
    struct read_job read;
    atomic_bool release;
    bool back;
};

static void run_hold(struct read_job *job, struct store_reader *reader)
{
    struct hold *hold = (struct hold *)job;
    (void)reader;
    while (!atomic_load(&hold->release))
        usleep(50);
}

static void note_back(struct engine_event *event)
{
    ((struct hold *)event)->back = true;
}

/*
 * Row a leaves the window, and is back when the owner states it: the refresh that serves the owner
 * is the one that shows the window. The client ends both before it was sent the window's own frame.
 */
TEST(a_row_that_was_stated_for_another_goes_with_it)
{
    struct client client = {.view = "Q/list"}, busy = {.view = "Q/list"};
    struct hold hold = {.read = {.event.deliver = note_back, .run = run_hold}};
    client_init(&client);
    client_init(&busy);
    hub_fixture_feed(&fixture, "Q a patch {\"n\":2}\n");
    tell(&client, "subscribe", ",\"take\":2");
    settle(&client);
    tell(&client, "subscribe", ",\"key\":\"a\",\"filters\":{\"n\":7}");
    settle(&client);
    assert_non_null(json_object_get(client.rows, "a"));
    hub_fixture_feed(&fixture, "Q b patch {\"n\":2}\nQ c patch {\"n\":3}\n");
    hub_fixture_wait_for_readers(&fixture);
    assert_true(engine_read(fixture.base.engine, &hold.read));
    tell(&busy, "subscribe", ",\"take\":3");
    client_pull(&busy, -1); /* a refresh is on its way, */
    hub_fixture_feed(&fixture, "Q a patch {\"n\":3}\n");
    client_pull(&client, -1); /* so what the owner asks is for the next, which sees this */
    atomic_store(&hold.release, true);
    while (!hold.back)
        hub_fixture_wait_for_readers(&fixture);
    for (int i = 0; i < 3; i++)
        hub_fixture_wait_for_readers(&fixture);
    client_pull(&client, 1);
    tell(&client, "unsubscribe", "");
    tell(&client, "unsubscribe", ",\"key\":\"a\"");
    tell(&client, "subscribe", ",\"filters\":{\"n\":99}");
    settle(&client);
    assert_int_equal(json_object_size(client.rows), 0);
    client_fini(&client);
    client_fini(&busy);
}

/* ---- an owner that fails ---- */

/* What shows row a beside a subscription to its key, at first and when n of it became 5. */
struct beside {
    const char *other;
    bool is_window;
    bool has_row; /* in the end */
};

static const struct beside besides[] = {
    {"", false, true},
    {",\"withSnapshot\":false", false, true},
    {",\"snapshotLimit\":1", false, true},
    {",\"take\":3", true, true},
    {",\"filters\":{\"n\":5}", true, true},
    {",\"filters\":{\"n\":1}", true, false},
};

/* Its frame about the row is passed over, because an owner of the key opens; then that one has to
 * go, for another client needs one of the few windows. */
static void fail_beside(const struct beside *beside)
{
    struct client client = {.view = "Q/list"}, sharer = {.view = "Q/list"},
                  needy = {.view = "Q/list"};
    client_init(&client);
    client_init(&sharer);
    client_init(&needy);
    tell(&sharer, "subscribe", beside->other); /* so that its window is nobody's alone */
    settle(&sharer);
    tell(&client, "subscribe", beside->other);
    settle(&client);
    hub_fixture_feed(&fixture, "Q a patch {\"n\":5}\n");
    hub_fixture_wait_for_readers(&fixture);
    tell(&client, "subscribe", ",\"key\":\"a\",\"filters\":{\"n\":7}");
    tell(&client, "subscribe", ",\"key\":\"c\",\"take\":1");
    tell(&client, "subscribe", ",\"key\":\"d\",\"take\":1");
    if (!beside->is_window)
        tell(&client, "subscribe", ",\"key\":\"e\",\"take\":1");
    client_pull(&client, -1);
    char another[64]; /* that nobody had before */
    snprintf(another, sizeof another, ",\"take\":2,\"skip\":%zu", (size_t)(beside - besides));
    tell(&needy, "subscribe", another);
    client_pull(&client, -1);
    if (!strstr(client.problem, "max_windows"))
        fail_msg("beside '%s' nothing was given up", beside->other);
    client.problem[0] = 0;
    settle(&client);
    const json_t *row = json_object_get(client.rows, "a");
    if (beside->has_row != (row && json_integer_value(json_object_get(row, "n")) == 5))
        fail_msg("beside '%s' row a is not what it is", beside->other);
    hub_fixture_feed(&fixture, "Q a patch {\"m\":1}\n");
    settle(&client); /* the other goes on with the row */
    row = json_object_get(client.rows, "a");
    assert_int_equal(json_object_size(row), beside->has_row ? 3 : 0);
    client_fini(&client);
    client_fini(&sharer);
    client_fini(&needy);
    hub_fixture_feed(&fixture, "Q a delete\nQ a patch {\"n\":1}\n");
}

TEST(a_row_is_right_when_the_owner_of_its_key_fails)
{
    for (size_t i = 0; i < sizeof besides / sizeof *besides; i++)
        fail_beside(&besides[i]);
}

/* ---- another token without memory ---- */

/* What is subscribed to besides the list: the owner of a key fails in another way as a window. */
static const char *const keyed[] = {",\"key\":\"a\"", ",\"key\":\"a\",\"take\":1"};

static void tell_scoped(struct client *client, const char *members)
{
    char message[128];
    client->complete = false;
    snprintf(message, sizeof message, "{\"type\":\"subscribe\",\"view\":\"S/list\"%s}", members);
    if (client->subscriber)
        subscriber_message(client->subscriber, span_of(message));
    else
        assert_true(client_subscribe(client, fixture.hub, message));
    hub_fixture_until(&fixture, client_is_complete, client);
}

/* Nobody goes on with what the old token showed, and who goes on is served. */
static void expect_moved(struct client *client)
{
    const struct link *all = &client->subscriber->subscriptions;
    for (const struct link *link = all->next; link != all; link = link->next)
        assert_ptr_equal(LINK_OWNER(struct subscription, in_subscriber, link)->topic->scope,
                         client->subscriber->scope);
    for (int i = 0; i < 8; i++) {
        client_pull(client, -1);
        hub_fixture_wait_for_readers(&fixture);
    }
}

/* The tokens change when the nth allocation fails, and maybe all after it. Whether one did. */
static bool change_token(const char *first, const char *second, uint64_t nth, int sticky)
{
    struct auth_identity *wide = client_token("a b"), *narrow = client_token("b");
    struct client client = {.view = "S/list", .identity = wide};
    client_init(&client);
    tell_scoped(&client, first);
    tell_scoped(&client, second);
    settle(&client);
    assert_int_equal(subscriber_state(client.subscriber).subscriptions, 2);
    memory_fail_at(nth, sticky);
    bool changed = subscriber_set_identity(client.subscriber, narrow);
    bool hit = memory_fault_hit();
    memory_fail_at(0, 0);
    assert_true(changed || hit);
    if (changed && !subscriber_state(client.subscriber).is_broken)
        expect_moved(&client);
    client_fini(&client);
    auth_identity_release(wide);
    auth_identity_release(narrow);
    return hit;
}

TEST(another_token_without_memory_ends_two_of_a_view)
{
    hub_fixture_feed(&fixture, "S a patch {\"w\":\"a\"}\nS b patch {\"w\":\"b\"}\n");
    for (size_t i = 0; i < sizeof keyed / sizeof *keyed; i++)
        for (int turn = 0; turn < 4; turn++) {
            const char *first = turn & 1 ? "" : keyed[i], *second = turn & 1 ? keyed[i] : "";
            uint64_t nth = 1;
            while (change_token(first, second, nth, turn & 2))
                nth++;
            assert_true(nth > 5);
        }
}
