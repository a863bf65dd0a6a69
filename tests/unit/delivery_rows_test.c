/* Row scoping in the hub, where it depends on what happens between two reads. */
#include "delivery_client.h"
#include "delivery_fixture.h"
#include "test.h"

enum { SIGHTED = 12 };

static struct hub_fixture fixture;
static struct auth_identity *ann, *bob;
static struct client client;
static bool short_log;

static void set_up(void)
{
    struct error error;
    static const struct engine_export_options exports[] = {{.name = {"Q", 1}}};
    struct view_set *set = view_set_new(false);
    struct tree *path = tree_parse(span_of("\"w\""), &error);
    assert_true(view_set_scope(set, span_of("Q"), path, &error));
    tree_free(path);
    hub_fixture_init(&fixture);
    fixture.options.snapshot_cache_bytes = 1 << 20;
    fixture.options.snapshot_rows = 1;
    fixture.options.sighted_changes = SIGHTED;
    fixture.base.options.retention.rows = short_log ? 1 : 0;
    hub_fixture_start(&fixture, set, exports, 1);
    ann = client_token("ann");
    bob = client_token("bob");
    client = (struct client){.view = "Q/list", .with_snapshot = true, .identity = ann};
    client_init(&client);
}

static void tear_down(void)
{
    client_fini(&client);
    auth_identity_release(ann);
    auth_identity_release(bob);
    hub_fixture_fini(&fixture);
}

TEST_EACH(set_up, tear_down)

static bool is_complete(void *argument)
{
    (void)argument;
    client_pull(&client, -1);
    assert_string_equal(client.problem, "");
    return client.complete;
}

static bool has_lost_a(void *argument)
{
    struct client *other = argument;
    client_pull(other, -1);
    return !json_object_get(other->rows, "a");
}

/* Pulls no more than so many frames: nothing is read beyond. */
static bool has_frames(void *argument)
{
    size_t wanted = *(size_t *)argument;
    client_pull(&client, (long)(wanted - client.frames));
    return client.frames == wanted;
}

static void expect_rows(const char *keys)
{
    const char *key;
    json_t *row;
    size_t length = 0;
    json_object_foreach(client.rows, key, row)
    {
        length += strlen(key) + 1;
        if (!strstr(keys, key))
            fail_msg("'%s' is not among %s", key, keys);
    }
    assert_int_equal(length, strlen(keys));
}

/* A client that keeps its rows loses those of its old token, also one that goes out of everybody's
 * sight after the new snapshot has begun and before it comes to it. */
TEST(what_moves_during_the_snapshot_of_a_new_token_is_lost)
{
    hub_fixture_feed(&fixture, "Q old patch {\"w\":\"ann\"}\nQ other patch {\"w\":\"ann\"}\n"
                               "Q a patch {\"n\":1}\nQ b patch {\"n\":2}\nQ c patch {\"n\":3}\n");
    client_connect(&client, fixture.hub);
    hub_fixture_until(&fixture, is_complete, NULL);
    expect_rows("a b c old other ");
    client.complete = false;
    client.keeps = true;
    client.identity = bob;
    assert_true(subscriber_set_identity(client.subscriber, bob));
    size_t wanted = client.frames + 2; /* subscribed, and the first row */
    hub_fixture_until(&fixture, has_frames, &wanted);
    hub_fixture_feed(&fixture, "Q old patch {\"w\":\"carl\"}\nQ new patch {\"w\":\"carl\"}\n");
    hub_fixture_until(&fixture, is_complete, NULL);
    expect_rows("a b c ");
    assert_int_equal(client.deletes, 2);
}

static bool is_announced(void *argument)
{
    size_t frames = client.frames;
    (void)argument;
    client_pull(&client, 1);
    return client.frames > frames;
}

/* It comes back with rows of a window, and has another token before they are told it anew. What was
 * there when it left, and what left meanwhile, it loses; of what came since it is told nothing. */
TEST(who_came_back_and_moves_at_once_loses_what_it_kept)
{
    struct client other = {.view = "Q/list", .take = 9, .with_snapshot = true, .identity = ann};
    client.take = 9;
    hub_fixture_feed(&fixture, "Q a patch {\"w\":\"ann\"}\nQ b patch {\"w\":\"ann\"}\n"
                               "Q c patch {}\n");
    client_connect(&client, fixture.hub);
    hub_fixture_until(&fixture, is_complete, NULL);
    expect_rows("a b c ");
    client_init(&other);
    client_connect(&other, fixture.hub);
    hub_fixture_until(&fixture, client_is_complete, &other);
    client_cut(&client);
    hub_fixture_feed(&fixture, "Q a patch {\"w\":\"carl\"}\n");
    hub_fixture_until(&fixture, has_lost_a, &other);
    client_connect(&client, fixture.hub);
    hub_fixture_until(&fixture, is_announced, NULL);
    expect_rows("a b c ");
    client.keeps = true;
    client.identity = bob;
    assert_true(subscriber_set_identity(client.subscriber, bob));
    size_t deletes = client.deletes;
    hub_fixture_feed(&fixture, "Q d patch {\"w\":\"ann\"}\n");
    hub_fixture_until(&fixture, is_complete, NULL);
    expect_rows("c ");
    assert_int_equal(client.deletes - deletes, 2);
    client_fini(&other);
}

static int64_t batches_built(void)
{
    return (int64_t)counter_get(&hub_state(fixture.hub).metrics->snapshot_batches_built);
}

static bool has_built(void *argument)
{
    return batches_built() > *(int64_t *)argument;
}

/* ---- a log that forgets ---- */

struct floor_job {
    struct read_job read;
    bool asked, back;
    int64_t floor, wanted;
};

static void read_floor(struct read_job *read, struct store_reader *reader)
{
    struct floor_job *job = (struct floor_job *)read;
    struct store_log_state log;
    struct error error;
    if (store_read_begin(reader, &error) && store_read_log(reader, &log, &error))
        job->floor = log.floor_change;
    store_read_end(reader);
}

static void note_back(struct engine_event *event)
{
    ((struct floor_job *)event)->back = true;
}

static bool is_forgotten(void *argument)
{
    struct floor_job *job = argument;
    if (job->asked && !job->back)
        return false;
    if (job->asked && job->floor >= job->wanted)
        return true;
    job->asked = true;
    job->back = false;
    job->read.event.deliver = note_back;
    job->read.run = read_floor;
    assert_true(engine_read(fixture.base.engine, &job->read));
    return false;
}

static void set_up_short_log(void)
{
    short_log = true;
    set_up();
    short_log = false;
}

/* All that a new token tells a client without a snapshot are deletes. They come also when the log
 * forgets what changed while they were looked for. */
TEST_WITH(a_log_that_forgets_does_not_spare_who_wants_no_snapshot, set_up_short_log, tear_down)
{
    enum { OTHERS = 15 }; /* more than one job looks at */
    struct floor_job job = {.wanted = 1 + OTHERS + 1};
    int64_t built = batches_built();
    client.with_snapshot = false;
    client_connect(&client, fixture.hub);
    client_pull(&client, -1);
    hub_fixture_feed(&fixture, "Q old patch {\"w\":\"ann\"}\n");
    for (int i = 0; i < OTHERS; i++) {
        char text[64];
        snprintf(text, sizeof text, "Q k%d patch {\"w\":\"carl\"}\n", i);
        hub_fixture_feed(&fixture, text);
    }
    client_pull(&client, -1);
    expect_rows("old ");
    client.keeps = true;
    client.identity = bob;
    assert_true(subscriber_set_identity(client.subscriber, bob));
    client_pull(&client, -1);
    hub_fixture_until(&fixture, has_built, &built);
    /* It goes to where the next job does not look. */
    hub_fixture_feed(&fixture, "Q old patch {\"w\":\"carl\"}\nQ k0 patch {}\nQ k1 patch {}\n");
    hub_fixture_until(&fixture, is_forgotten, &job);
    client.complete = false;
    hub_fixture_until(&fixture, is_complete, NULL);
    expect_rows("");
}

static void read_once(struct auth_identity *identity, const char *keys)
{
    json_object_clear(client.rows);
    client.identity = identity;
    client_connect(&client, fixture.hub);
    hub_fixture_until(&fixture, is_complete, NULL);
    expect_rows(keys);
    assert_int_equal(hub_view_counts(fixture.hub, span_of("Q/list")).subscriptions, 1);
    client_cut(&client);
    assert_int_equal(hub_view_counts(fixture.hub, span_of("Q/list")).subscriptions, 0);
}

TEST(equal_tokens_share_what_is_made_for_one)
{
    struct auth_identity *again = client_token("ann");
    hub_fixture_feed(&fixture, "Q a patch {\"w\":\"ann\"}\nQ b patch {\"w\":\"bob\"}\n");
    read_once(ann, "a ");
    int64_t built = batches_built();
    read_once(again, "a ");
    assert_int_equal(batches_built(), built);
    read_once(bob, "b ");
    assert_true(batches_built() > built);
    auth_identity_release(again);
}

/* ---- a window after a list that was ended, under another token ---- */

/* What the old token saw goes, and what came to its scope later is not named. What happened since
 * is read from the log, up to a bound; beyond it, rows of which nothing is known stay unnamed. */

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
    expect_rows("a1 a2 a3 p ");
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
