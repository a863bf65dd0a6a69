/*
 * When there is no memory: each allocation of hub, writer, readers and store in flight fails in
 * turn, once or from then on, while subscribers come, go on from cursors, fall behind and are fed,
 * rows move from scope to scope, and those who stay get other tokens.
 *
 * What is asked: the request and every subscription get what is right, or an error, or the end of
 * the connection; nobody waits for ever. With memory again all clients, which keep their rows and
 * cursors through all of it, end with what the database holds. The database is whole, and nothing
 * leaks (the sanitizer tells).
 */
#include "delivery/hub_internal.h"
#include "delivery_client.h"
#include "delivery_fixture.h"
#include "fault_sweep.h"
#include "test.h"
#include "view_define.h"

enum { CLIENTS = 7, TAKEN = 256 * 1024, QUIET_ROUNDS = 3 };

/* What a client was sent while memory was short: applied when there is some again. */
struct part {
    struct client client;
    char *message;
    char taken[TAKEN];
    size_t length;
    bool stays; /* connected from round to round, so that it goes on from where it is */
};

static struct hub_fixture fixture;
static struct part parts[CLIENTS];
static struct auth_identity *narrow, *wide; /* see scope "a" / "a" and "b" */
static int rounds;

/* ---- set-up ---- */

static struct view_set *make_views(void)
{
    struct error error;
    struct view_set *set = view_set_new(false);
    struct span slim[] = {span_of("n"), span_of("l")};
    struct tree *scope = tree_parse(span_of("\"w\""), &error);
    assert_true(view_set_add_export(set, span_of("Q"), &error));
    assert_true(view_set_scope(set, span_of("Q"), scope, &error));
    tree_free(scope);
    assert_true(
        view_set_define(set, span_of("Q"), span_of("slim"), VIEW_LIST, slim, 2, NULL, 0, &error));
    return set;
}

static void make_clients(void)
{
    static const struct part kinds[CLIENTS] = {
        {.client = {.view = "Q/list", .with_snapshot = true, .resumes = true}},
        {.client = {.view = "Q/list", .with_snapshot = true}},
        {.client = {.view = "Q/list", .with_snapshot = true, .resumes = true}, .stays = true},
        {.client = {.view = "Q/slim", .with_snapshot = true, .resumes = true}, .stays = true},
        {.client = {.view = "Q/append", .with_snapshot = true, .resumes = true}},
        {.client = {.view = "Q/list", .with_snapshot = true, .key = "k1"}, .stays = true},
        {.client = {.view = "Q/state", .with_snapshot = true, .key = "k2"}},
    };
    for (int i = 0; i < CLIENTS; i++) {
        parts[i] = kinds[i];
        client_init(&parts[i].client);
        parts[i].client.identity = i % 2 ? narrow : wide;
    }
}

static void set_up(void)
{
    static const struct engine_export_options exports[] = {{.name = {"Q", 1}, .max_entities = 6}};
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, NULL);
    fixture_init(&fixture.base);
    fixture.options = (struct hub_options){.ring_bytes = 1500,
                                           .channel_bytes = 1000,
                                           .snapshot_cache_bytes = 2000,
                                           .max_subscriptions = 10,
                                           .snapshot_rows = 3,
                                           .page_bytes = 300,
                                           .tombstone_ms = 600 * 1000};
    fixture.base.options.store.synchronous = DATABASE_SYNCHRONOUS_OFF;
    fixture.base.options.cache_bytes = 500;
    fixture.base.options.max_array_length = 4;
    fixture.base.options.retention = (struct store_retention){
        .rows = 200, .tombstone_age_ms = 600 * 1000, .tombstone_rows = 100};
    hub_fixture_start(&fixture, make_views(), exports, 1);
    narrow = client_token("a");
    wide = client_token("a b");
    make_clients();
    rounds = 0;
}

static void fail_on_finding(void *argument, const char *line)
{
    (void)argument;
    fail_msg("%s", line);
}

static void tear_down(void)
{
    struct error error;
    for (int i = 0; i < CLIENTS; i++)
        client_fini(&parts[i].client);
    hub_fixture_stop(&fixture);
    auth_identity_release(narrow);
    auth_identity_release(wide);
    assert_true(engine_check(fixture.base.path, fail_on_finding, NULL, &error));
    fixture_fini(&fixture.base);
}

TEST_EACH(set_up, tear_down)

/* ---- with little memory ---- */

/* Everything the client can be sent now. Nothing here allocates but what is tested. */
static void take(struct part *part)
{
    struct span bytes;
    while (part->client.subscriber && !subscriber_state(part->client.subscriber).is_broken &&
           (bytes = subscriber_pull(part->client.subscriber)).length) {
        assert_true(part->length + bytes.length <= TAKEN);
        memcpy(part->taken + part->length, bytes.data, bytes.length);
        part->length += bytes.length;
    }
}

/* Connection lost, subscription ended, or with everything there is. */
static bool is_at_rest(const struct part *part)
{
    const struct subscriber *subscriber = part->client.subscriber;
    if (!subscriber || subscriber_state(subscriber).is_broken ||
        link_alone(&subscriber->subscriptions))
        return true;
    const struct subscription *subscription =
        LINK_OWNER(struct subscription, in_subscriber, subscriber->subscriptions.next);
    return subscription->reading == READER_LIVE && !link_alone(&subscription->in_rest);
}

static bool all_at_rest(void *argument)
{
    const struct outcome *outcome = argument;
    bool rest = outcome->done;
    for (int i = 0; i < CLIENTS; i++) {
        take(&parts[i]);
        rest = rest && is_at_rest(&parts[i]);
    }
    return rest;
}

/* Creations, patches with append, replacements, deletes and, with six entities at most, evictions;
 * one of the seqs is shared, and one key too long for the ways that need no memory. */
static struct submission *make_request(struct outcome *outcome)
{
    char text[4096];
    int n = rounds;
    snprintf(text, sizeof text,
             "=%d:0\nQ k%d patch {\"n\":%d,\"l\":[%d],\"s\":\"%0150d\"} l\n"
             "=%d:0\nQ k1 patch {\"n\":%d,\"l\":[%d]} l\n"
             "Q k%d delete\n"
             "Q k2 upsert {\"n\":%d}\n"
             "Q k%d patch {\"d\":{\"m\":%d},\"w\":\"%c\"}\n"
             "Q long%0300d patch {\"l\":[%d]} l\n"
             "Q long%0300d patch {\"l\":[%d]} l\n",
             n + 1, n % 9, n, n, n, n + 1, n, n, (n + 3) % 9, n, (n + 5) % 9, n, "abc"[n % 3], 0, n,
             0, -n);
    return fixture_submission(text, outcome);
}

/* The connection ends when there is no memory for it. */
static void change_token(struct part *part)
{
    struct client *client = &part->client;
    client->identity = client->identity == wide ? narrow : wide;
    client->complete = false;
    if (!subscriber_set_identity(client->subscriber, client->identity))
        client_cut(client);
}

/* Whether an allocation failed. */
static bool run_short(void)
{
    struct outcome outcome;
    struct error error;
    struct submission *request = make_request(&outcome);
    for (int i = 0; i < CLIENTS; i++) {
        parts[i].message = parts[i].client.subscriber ? NULL : client_prepare(&parts[i].client);
        parts[i].length = 0;
    }
    sweep_arm();
    for (int i = 0; i < CLIENTS; i++)
        if (parts[i].message)
            client_subscribe(&parts[i].client, fixture.hub, parts[i].message);
        else if (parts[i].client.subscriber && rounds % 2)
            change_token(&parts[i]);
    bool taken = engine_submit(fixture.base.engine, request, &error);
    if (!taken)
        outcome = (struct outcome){.done = true, .error = error};
    hub_fixture_until(&fixture, all_at_rest, &outcome);
    bool hit = sweep_disarm();
    if (!taken)
        submission_free(request);
    /* Without memory a commit that failed late cannot always be taken back; intake stops then. */
    bool fine = outcome.error.code == ERROR_MEMORY || outcome.error.code == ERROR_OUTCOME_UNKNOWN;
    if (outcome.error.code != ERROR_NONE && !(hit && fine))
        fail_msg("run %d: code %d: %s", sweep_run(), outcome.error.code, outcome.error.message);
    return hit;
}

/* ---- with memory again ---- */

/* Where intake stopped, it goes on by itself within a second or two. */
static void feed_when_intake_goes_on(const char *text)
{
    uint64_t until = clock_monotonic_us() + 60 * 1000 * 1000;
    struct outcome outcome = fixture_apply(&fixture.base, text);
    while (outcome.error.code == ERROR_DISK_FAILED && clock_monotonic_us() < until) {
        usleep(10 * 1000);
        outcome = fixture_apply(&fixture.base, text);
    }
    if (outcome.error.code != ERROR_NONE)
        fail_msg("%s", outcome.error.message);
}

static bool is_error(const struct client *client)
{
    return strstr(client->problem, "an error: ") == client->problem;
}

/* Who got an error or lost its connection connects anew. */
static void recover(struct part *part, bool hit)
{
    struct client *client = &part->client;
    free(part->message);
    part->message = NULL;
    client_take(client, span_make(part->taken, part->length));
    bool gone = !client->subscriber || subscriber_state(client->subscriber).is_broken ||
                link_alone(&client->subscriber->subscriptions);
    if (gone && !hit)
        fail_msg("%s ended although memory was there: %s", client->view, client->problem);
    if (is_error(client) && hit)
        client->problem[0] = '\0';
    if (client->problem[0])
        fail_msg("%s: %s", client->view, client->problem);
    if (gone) {
        client_cut(client);
        client_connect(client, fixture.hub);
    }
}

struct expected {
    const struct view *view;
    const char *key;
    json_t *rows;
    bool sees_b;
};

static bool is_seen(struct span entity, bool sees_b)
{
    json_t *row = json_loadb(entity.data, entity.length, 0, NULL);
    const char *scope = json_string_value(json_object_get(row, "w"));
    bool seen = !scope || strcmp(scope, "a") == 0 || (strcmp(scope, "b") == 0 && sees_b);
    json_decref(row);
    return seen;
}

static bool add_expected(void *argument, const struct store_entity *entity)
{
    struct expected *expected = argument;
    if ((!expected->key || span_equal(entity->key, span_of(expected->key))) &&
        is_seen(entity->data, expected->sees_b))
        client_expect(expected->rows, expected->view, entity);
    return true;
}

static json_t *expect(struct store_reader *reader, const struct client *client)
{
    struct error error;
    struct store_export export;
    bool found;
    struct expected expected = {
        .view = view_set_find(hub_state(fixture.hub).views, span_of(client->view)),
        .key = client->key,
        .rows = json_object(),
        .sees_b = client->identity == wide};
    assert_true(store_read_begin(reader, &error));
    assert_true(store_read_export(reader, span_of("Q"), &export, &found, &error));
    assert_true(store_scan_entities(reader, export.id, NULL, -1, add_expected, &expected, &error));
    store_read_end(reader);
    return expected.rows;
}

struct wish {
    struct client *client;
    json_t *rows;
};

static bool agrees(void *argument)
{
    struct wish *wish = argument;
    client_pull(wish->client, -1);
    assert_string_equal(wish->client->problem, "");
    return wish->client->complete && json_equal(wish->client->rows, wish->rows);
}

static void expect_convergence(struct store_reader *reader)
{
    for (int i = 0; i < CLIENTS; i++) {
        struct wish wish = {&parts[i].client, expect(reader, &parts[i].client)};
        hub_fixture_until(&fixture, agrees, &wish);
        json_decref(wish.rows);
        if (!parts[i].stays)
            client_cut(&parts[i].client);
    }
}

static void sweep(int sticky)
{
    struct error error;
    struct store_reader *reader =
        store_reader_open(engine_facts(fixture.base.engine)->database, &error);
    int quiet = 0;
    sweep_begin(sticky);
    /* The threads allocate in another order each time, so one round without a hit is not the end.
     */
    while (quiet < QUIET_ROUNDS) {
        bool hit = run_short();
        quiet = sweep_goes_on() ? 0 : quiet + 1;
        for (int i = 0; i < CLIENTS; i++)
            recover(&parts[i], hit);
        feed_when_intake_goes_on("Q k4 patch {\"again\":true}\n");
        expect_convergence(reader);
        rounds++;
    }
    sweep_end();
    store_reader_close(reader);
    assert_true(rounds > 100);
}

TEST(each_allocation_fails_once)
{
    sweep(0);
}

TEST(all_allocations_fail_from_one_on)
{
    sweep(1);
}
