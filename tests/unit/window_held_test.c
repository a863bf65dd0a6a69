/*
 * A window for a client that had a list under another token, which was ended: what the old token
 * saw goes, and what came to its scope later is not named. What happened since is read from the
 * log, up to a bound; beyond it, rows of which nothing is known stay unnamed.
 */
#include "delivery_client.h"
#include "delivery_fixture.h"
#include "test.h"

enum { SIGHTED = 12 };

static struct hub_fixture fixture;
static struct auth_identity *ann, *bob;
static struct client client;

static void set_up(void)
{
    static const struct engine_export_options exports[] = {{.name = {"Q", 1}}};
    struct error error;
    struct view_set *set = view_set_new(false);
    struct tree *path = tree_parse(span_of("\"w\""), &error);
    assert_true(view_set_scope(set, span_of("Q"), path, &error));
    tree_free(path);
    fixture_init(&fixture.base);
    fixture.options = (struct hub_options){.ring_bytes = 1 << 20,
                                           .channel_bytes = 1 << 20,
                                           .max_subscriptions = 10,
                                           .tombstone_ms = 600 * 1000,
                                           .sighted_changes = SIGHTED};
    fixture.base.options.retention =
        (struct store_retention){.tombstone_age_ms = 600 * 1000, .tombstone_rows = 1000};
    hub_fixture_start(&fixture, set, exports, 1);
    ann = client_token("ann");
    bob = client_token("bob");
    client = (struct client){.view = "Q/list", .with_snapshot = true, .identity = ann};
    client_init(&client);
}

static void tear_down(void)
{
    client_cut(&client);
    client_fini(&client);
    auth_identity_release(ann);
    auth_identity_release(bob);
    hub_fixture_stop(&fixture);
    fixture_fini(&fixture.base);
}

TEST_EACH(set_up, tear_down)

static bool is_complete(void *argument)
{
    (void)argument;
    client_pull(&client, -1);
    assert_string_equal(client.problem, "");
    return client.complete;
}

static void name_deleted(struct client *it, const char *key, json_t *row)
{
    if (!row)
        buffer_printf(it->judge_argument, "%s ", key);
}

/* Ann's list is ended, then Bob's token comes, then `changes` changes, of which a2's is the last.
 * What is named when Bob asks for a window goes to `named`. */
static void move_behind(int changes, struct buffer *named)
{
    hub_fixture_feed(&fixture, "Q a1 patch {\"w\":\"ann\"}\nQ a2 patch {\"w\":\"ann\"}\n"
                               "Q a3 patch {\"w\":\"ann\"}\nQ p patch {}\n");
    client_connect(&client, fixture.hub);
    hub_fixture_until(&fixture, is_complete, NULL);
    assert_int_equal(json_object_size(client.rows), 4);
    subscriber_message(client.subscriber,
                       span_of("{\"type\":\"unsubscribe\",\"view\":\"Q/list\"}"));
    client.identity = bob;
    assert_true(subscriber_set_identity(client.subscriber, bob));
    hub_fixture_feed(&fixture, "Q a1 patch {\"n\":1}\nQ born patch {\"w\":\"ann\"}\n");
    for (int i = 3; i < changes; i++)
        hub_fixture_feed(&fixture, "Q p patch {\"n\":1}\n");
    hub_fixture_feed(&fixture, "Q a2 patch {\"n\":1}\n");
    client.complete = false;
    client.keeps = true;
    client.judge = name_deleted;
    client.judge_argument = named;
    subscriber_message(client.subscriber,
                       span_of("{\"type\":\"subscribe\",\"view\":\"Q/list\",\"take\":5}"));
    hub_fixture_until(&fixture, is_complete, NULL);
}

static void expect_named(int changes, bool with_last)
{
    struct buffer named;
    buffer_init(&named, 4096);
    move_behind(changes, &named);
    const char *text = buffer_string(&named);
    if (!strstr(text, "a1 ") || !strstr(text, "a3 ") || !strstr(text, "a2 ") != !with_last ||
        strstr(text, "born"))
        fail_msg("after %d changes: %s", changes, text);
    assert_int_equal(json_object_size(client.rows), with_last ? 1 : 2);
    buffer_fini(&named);
}

TEST(as_many_changes_as_are_read_are_told_apart)
{
    expect_named(SIGHTED, true);
}

/* The last change is not read, so a2 might have come to the scope only then. */
TEST(of_one_more_nothing_is_named_that_is_not_known)
{
    expect_named(SIGHTED + 1, false);
}
