/* What one tenant costs, however many others there are: counted, not timed. */
#include "delivery_client.h"
#include "delivery_fixture.h"
#include "test.h"

enum { FEW = 20, MANY = 400 };

static struct hub_fixture fixture;

/* A tenant watches the list, the list as a window, and the rows of a derived view. */
enum { VIEWS = 3 };
struct tenant {
    struct auth_identity *identity;
    struct client clients[VIEWS];
};
static struct tenant *tenants;
static size_t tenant_count;

static struct view_set *make_views(void)
{
    struct view_set *set = view_set_new(false);
    struct error error;
    struct tree *path = tree_parse(span_of("\"w\""), &error);
    struct tree *pipeline = tree_parse(span_of("{\"pipeline\":[{\"sort\":\"n\"}]}"), &error);
    bool done = path && pipeline && view_set_scope(set, span_of("Q"), path, &error) &&
                view_set_derive(set, span_of("Q"), span_of("ranked"), pipeline, &error) &&
                view_set_resolve(set, &error);
    if (!done)
        fail_msg("%s", error.message);
    tree_free(pipeline);
    tree_free(path);
    return set;
}

static void start(size_t count)
{
    static const struct engine_export_options exports[] = {{.name = {"Q", 1}}};
    static const char *const views[VIEWS] = {"Q/list", "Q/list", "Q/ranked"};
    hub_fixture_init(&fixture);
    fixture.base.options.readers = 1;
    fixture.options.channel_bytes = 64 << 20;
    fixture.options.max_windows = 10000;
    fixture.options.snapshot_cache_bytes = 1 << 20;
    hub_fixture_start(&fixture, make_views(), exports, 1);
    tenant_count = count;
    tenants = memory_new(count * sizeof *tenants);
    for (size_t i = 0; i < count; i++) {
        char scope[32];
        snprintf(scope, sizeof scope, "t%zu", i);
        tenants[i].identity = client_token(scope);
        for (size_t view = 0; view < VIEWS; view++) {
            struct client *client = &tenants[i].clients[view];
            *client = (struct client){.view = views[view],
                                      .take = view == 0 ? 0 : 5,
                                      .with_snapshot = true,
                                      .identity = tenants[i].identity};
            client_init(client);
        }
    }
}

static void stop(void)
{
    for (size_t i = 0; i < tenant_count; i++) {
        for (size_t view = 0; view < VIEWS; view++)
            client_fini(&tenants[i].clients[view]);
        auth_identity_release(tenants[i].identity);
    }
    memory_free(tenants);
    hub_fixture_fini(&fixture);
}

static bool all_complete(void *argument)
{
    bool complete = true;
    (void)argument;
    for (size_t i = 0; i < tenant_count; i++)
        for (size_t view = 0; view < VIEWS; view++) {
            struct client *client = &tenants[i].clients[view];
            client_pull(client, -1);
            assert_string_equal(client->problem, "");
            complete = complete && client->complete;
        }
    return complete;
}

static void connect_all(void)
{
    for (size_t i = 0; i < tenant_count; i++)
        for (size_t view = 0; view < VIEWS; view++)
            client_connect(&tenants[i].clients[view], fixture.hub);
    hub_fixture_until(&fixture, all_complete, NULL);
}

/* A row that a tenant must show in each of its views, or in none. */
struct wanted {
    size_t tenant;
    const char *key;
    bool there;
};

static bool is_shown(void *argument)
{
    const struct wanted *wanted = argument;
    bool shown = true;
    for (size_t view = 0; view < VIEWS; view++) {
        struct client *client = &tenants[wanted->tenant].clients[view];
        client_pull(client, -1);
        assert_string_equal(client->problem, "");
        shown = shown && wanted->there == (json_object_get(client->rows, wanted->key) != NULL);
    }
    return shown;
}

static void expect(size_t tenant, const char *key, bool there)
{
    struct wanted wanted = {tenant, key, there};
    hub_fixture_until(&fixture, is_shown, &wanted);
}

/* ---- a change ---- */

static uint64_t offered(void)
{
    return counter_get(&hub_state(fixture.hub).metrics->topics_offered);
}

/* What changes of one tenant's rows are held against, until all is told. */
static uint64_t count_offers(size_t count)
{
    start(count);
    hub_fixture_feed(&fixture, "Q first patch {\"w\":\"t0\",\"n\":1}\n");
    connect_all();
    uint64_t before = offered();
    hub_fixture_feed(&fixture, "Q a patch {\"w\":\"t0\",\"n\":2}\n");
    expect(0, "a", true);
    hub_fixture_feed(&fixture, "Q a patch {\"w\":\"t1\"}\n"); /* moves: both are told */
    expect(0, "a", false);
    expect(1, "a", true);
    hub_fixture_feed(&fixture, "Q a delete\n");
    expect(1, "a", false);
    uint64_t offers = offered() - before;
    /* A public row is for all, and a row for nobody for none of them. */
    hub_fixture_feed(&fixture, "Q all patch {\"n\":3}\nQ none patch {\"w\":7}\n");
    for (size_t i = 0; i < count; i++) {
        expect(i, "all", true);
        expect(i, "none", false);
    }
    hub_fixture_feed(&fixture, "Q all patch {\"w\":\"t1\"}\n");
    for (size_t i = 0; i < count; i++)
        expect(i, "all", i == 1);
    stop();
    return offers;
}

TEST(a_change_costs_those_who_see_it)
{
    uint64_t few = count_offers(FEW);
    assert_in_range(few, 1, 100);
    assert_int_equal(count_offers(MANY), few);
}

/* ---- reading ---- */

/* So many rows, deletes and patches of somebody else. */
static void feed_others(int count, const char *patch)
{
    hub_fixture_feed_many(&fixture, count, patch);
}

enum { READS = 6 };
static const char *const read_names[READS] = {"list",         "window",   "derived view",
                                              "limited list", "catch-up", "window that resumes"};

static bool has_come(void *argument)
{
    struct client *client = argument;
    client_pull(client, -1);
    assert_string_equal(client->problem, "");
    return client->complete;
}

static int64_t count_read(struct client *client)
{
    int64_t before = hub_fixture_steps(&fixture);
    client->complete = false;
    client_connect(client, fixture.hub);
    hub_fixture_until(&fixture, has_come, client);
    return hub_fixture_steps(&fixture) - before;
}

static void expect_own_rows(const struct client *client, size_t count)
{
    assert_int_equal(json_object_size(client->rows), count);
}

/* A tenant of ten rows reads all that there is to read. */
static void count_reads(int others, int64_t steps[READS])
{
    enum { OWN = 10 };
    char text[64];
    start(1);
    for (int i = 0; i < OWN; i++) {
        snprintf(text, sizeof text, "Q own%d patch {\"w\":\"t0\",\"n\":%d}\n", i, i);
        hub_fixture_feed(&fixture, text);
        if (i == OWN - 2) {
            feed_others(others, "patch {\"w\":\"other\"}");
            feed_others(others, "delete");
            feed_others(others, "patch {\"w\":\"other\",\"n\":3}");
        }
    }
    hub_fixture_feed(&fixture, "Q gone patch {\"w\":\"t0\"}\nQ gone delete\n");
    struct client *clients = tenants[0].clients;
    for (int view = 0; view < VIEWS; view++)
        steps[view] = count_read(&clients[view]);
    expect_own_rows(&clients[0], OWN);
    expect_own_rows(&clients[1], 5);
    expect_own_rows(&clients[2], 5);
    for (int view = 0; view < VIEWS; view++)
        client_cut(&clients[view]);
    struct client limited = {
        .view = "Q/list", .limit = 3, .with_snapshot = true, .identity = tenants[0].identity};
    client_init(&limited);
    steps[3] = count_read(&limited);
    expect_own_rows(&limited, 3);
    client_fini(&limited);
    /* What changed since, most of it of others. */
    feed_others(others, "patch {\"n\":4}");
    hub_fixture_feed(&fixture, "Q own1 patch {\"n\":100}\nQ own2 delete\n");
    for (int i = 0; i < 2; i++) {
        clients[i].resumes = true;
        steps[4 + i] = count_read(&clients[i]);
    }
    expect_own_rows(&clients[0], OWN - 1);
    stop();
}

TEST(a_tenant_pays_for_its_own_rows)
{
    int64_t few[READS], many[READS];
    count_reads(50, few);
    count_reads(2000, many);
    for (int i = 0; i < READS; i++)
        if (few[i] <= 0 || many[i] > few[i] + few[i] / 4)
            fail_msg("%s: %lld steps beside 50 rows of others, %lld beside 2,000", read_names[i],
                     (long long)few[i], (long long)many[i]);
}
