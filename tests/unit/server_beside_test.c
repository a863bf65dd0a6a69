/* Several subscriptions of one view on one connection, on a real engine, without sockets. */
#include "hub_fixture.h"
#include "server_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct hub_fixture fixture;

static int set_up(void **state)
{
    struct error error;
    static const struct engine_export_options exports[] = {{.name = {"Q", 1}}};
    struct view_set *set = view_set_new(false);
    (void)state;
    fixture_init(&fixture.base);
    fixture.options = (struct hub_options){.ring_bytes = 1 << 20,
                                           .channel_bytes = 1 << 20,
                                           .snapshot_cache_bytes = 1 << 20,
                                           .max_subscriptions = 1000,
                                           .tombstone_ms = 600 * 1000};
    fixture.base.options.readers = 1; /* so that questions are answered in their order */
    assert_true(view_set_add_export(set, span_of("Q"), &error));
    hub_fixture_start(&fixture, set, exports, 1);
    hub_fixture_feed(&fixture, "Q a patch {\"n\":1}\nQ b patch {\"n\":1}\nQ c patch {\"n\":2}\n");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hub_fixture_stop(&fixture);
    fixture_fini(&fixture.base);
    return 0;
}

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

static bool is_complete(void *argument)
{
    client_pull(argument, -1);
    return ((struct client *)argument)->complete;
}

static void show(struct client *client, const char *members)
{
    tell(client, "subscribe", members);
    hub_fixture_until(&fixture, is_complete, client);
}

/* Until nothing more is on its way: a look may lead to a second one, and that to a statement. */
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
    const char *opens;  /* is to take them away, and waits for the look that says which */
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

static void a_row_stays_with_one_that_came_while_another_opened(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof overtakings / sizeof *overtakings; i++)
        play(&overtakings[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_row_stays_with_one_that_came_while_another_opened, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
