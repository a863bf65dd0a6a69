/*
 * Whatever is fed and however clients are cut off, each ends with exactly what the database holds.
 *
 * Random mutations (patches with append, replacements, deletes, late and shared seqs) go through a
 * real engine on a real file; clients of every kind pull from the hub, are cut off in the middle
 * of what they pulled, and come back. The ring, the channels, the snapshot cache and the kept log
 * are made so small that everything that can fall behind does.
 *
 * STELE_SEED: the first seed. STELE_SEEDS: how many (default 20). A failure names its seed.
 */
#include "hub_fixture.h"
#include "server_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 20, KEYS = 7 };

struct world {
    struct hub_fixture fixture;
    struct client clients[CLIENTS];
    uint64_t random;
    long long slot, index;
    unsigned long seed;
};

/* ---- chance ---- */

static uint64_t next_random(struct world *world)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return world->random;
}

static int below(struct world *world, int limit)
{
    return (int)(next_random(world) % (uint64_t)limit);
}

/* ---- views, server ---- */

static struct view_set *make_views(void)
{
    struct error error;
    struct view_set *set = view_set_new(false);
    struct span slim[] = {span_of("n"), span_of("d.m")}, keys[] = {span_of("k1"), span_of("k4")};
    assert_true(view_set_add_export(set, span_of("Q"), &error));
    assert_true(view_set_add_export(set, span_of("R"), &error));
    assert_true(
        view_set_define(set, span_of("Q"), span_of("slim"), VIEW_LIST, slim, 2, NULL, 0, &error));
    assert_true(
        view_set_define(set, span_of("Q"), span_of("some"), VIEW_LIST, NULL, 0, keys, 2, &error));
    assert_true(view_set_define(set, span_of("Q"), span_of("events"), VIEW_APPEND, slim, 2, NULL, 0,
                                &error));
    return set;
}

static void start(struct world *world)
{
    static const struct engine_export_options exports[] = {{.name = {"Q", 1}}, {.name = {"R", 1}}};
    hub_fixture_start(&world->fixture, make_views(), exports, 2);
}

static void stop(struct world *world)
{
    for (int i = 0; i < CLIENTS; i++)
        client_cut(&world->clients[i]);
    hub_fixture_stop(&world->fixture);
}

static void make_clients(struct world *world)
{
    static const struct client kinds[CLIENTS] = {
        {.view = "Q/list", .resumes = true, .with_snapshot = true},
        {.view = "Q/list", .resumes = false, .with_snapshot = true},
        {.view = "Q/list", .resumes = true, .with_snapshot = true},
        {.view = "Q/list", .resumes = true, .with_snapshot = true, .key = "k2"},
        {.view = "Q/list", .resumes = false, .with_snapshot = true, .limit = 3},
        {.view = "Q/list", .resumes = true, .with_snapshot = true, .limit = 3},
        {.view = "Q/append", .resumes = false, .with_snapshot = false},
        {.view = "Q/append", .resumes = false, .with_snapshot = true, .limit = 2},
        {.view = "Q/some", .resumes = false, .with_snapshot = true, .limit = 1},
        {.view = "Q/list", .resumes = true, .with_snapshot = false},
        {.view = "Q/state", .resumes = false, .with_snapshot = true, .key = "k1"},
        {.view = "Q/state", .resumes = false, .with_snapshot = true, .key = "k5"},
        {.view = "Q/append", .resumes = true, .with_snapshot = true},
        {.view = "Q/append", .resumes = true, .with_snapshot = true, .key = "k3"},
        {.view = "Q/append", .resumes = false, .with_snapshot = true},
        {.view = "Q/slim", .resumes = true, .with_snapshot = true},
        {.view = "Q/some", .resumes = true, .with_snapshot = true},
        {.view = "Q/events", .resumes = true, .with_snapshot = true},
        {.view = "R/list", .resumes = true, .with_snapshot = true},
        {.view = "R/append", .resumes = true, .with_snapshot = true},
    };
    for (int i = 0; i < CLIENTS; i++) {
        world->clients[i] = kinds[i];
        client_init(&world->clients[i]);
    }
}

/* ---- feeding ---- */

static void put_seq(struct world *world, char *text, size_t size)
{
    int choice = below(world, 10);
    size_t used = strlen(text);
    if (choice < 5)
        return; /* the server's own */
    if (choice < 8)
        world->index += below(world, 3); /* often shared with the one before */
    if (choice == 7)
        world->slot++, world->index = 0;
    long long slot = choice >= 8 ? world->slot - below(world, 3) : world->slot;
    long long index = choice >= 8 ? below(world, 5) : world->index;
    snprintf(text + used, size - used, "=%lld:%lld\n", slot < 0 ? 0 : slot, index);
}

static void put_mutation(struct world *world, char *text, size_t size)
{
    put_seq(world, text, size);
    size_t used = strlen(text);
    const char *export = below(world, 4) ? "Q" : "R";
    int key = below(world, KEYS), n = below(world, 1000);
    switch (below(world, 9)) {
    case 0:
        snprintf(text + used, size - used, "%s k%d delete\n", export, key);
        break;
    case 1:
        snprintf(text + used, size - used, "%s k%d upsert {\"n\":%d,\"l\":[%d]}\n", export, key, n,
                 n);
        break;
    case 2:
        snprintf(text + used, size - used, "%s k%d patch {\"d\":null,\"s\":\"v%d\"}\n", export, key,
                 n);
        break;
    case 3:
    case 4:
        snprintf(text + used, size - used,
                 "%s k%d patch {\"d\":{\"m\":[%d],\"o\":{\"n%d\":%d}}} d.m l\n", export, key, n,
                 n % 4, n);
        break;
    case 5:
        snprintf(text + used, size - used, "%s k%d patch {\"l\":[%d,%d],\"n\":%d}\n", export, key,
                 n, n, n);
        break;
    default:
        snprintf(text + used, size - used, "%s k%d patch {\"l\":[%d],\"n\":%d} l\n", export, key, n,
                 n);
    }
}

static void feed(struct world *world)
{
    char text[8192] = "";
    int count = 1 + below(world, 12);
    for (int i = 0; i < count; i++)
        put_mutation(world, text, sizeof text);
    struct outcome outcome = fixture_apply(&world->fixture.base, text);
    if (outcome.error.code != ERROR_NONE)
        fail_msg("seed %lu: %s", world->seed, outcome.error.message);
}

/* ---- what the database holds, as the view shows it ---- */

struct expected {
    const struct view *view;
    const char *key;
    json_t *rows;
};

static bool add_expected(void *argument, const struct store_entity *entity)
{
    struct expected *expected = argument;
    struct buffer shown;
    if (!view_shows(expected->view, entity->key) ||
        (expected->key && !span_equal(entity->key, span_of(expected->key))))
        return true;
    buffer_init(&shown, 1 << 20);
    view_project(expected->view, entity->data, &shown);
    json_object_setn_new(expected->rows, entity->key.data, entity->key.length,
                         json_loadb(shown.data, shown.length, 0, NULL));
    buffer_fini(&shown);
    return true;
}

static json_t *expect(struct world *world, const struct client *client)
{
    struct error error;
    struct store_export export;
    bool found;
    struct expected expected = {
        .view = view_set_find(hub_views(world->fixture.hub), span_of(client->view)),
        .key = client->key,
        .rows = json_object()};
    struct store_reader *reader =
        store_reader_open(engine_store(world->fixture.base.engine), &error);
    assert_true(store_read_begin(reader, &error));
    assert_true(
        store_read_export(reader, span_of(expected.view->export_name), &export, &found, &error));
    assert_true(store_scan_entities(reader, export.id, NULL, -1, add_expected, &expected, &error));
    store_read_end(reader);
    store_reader_close(reader);
    return expected.rows;
}

/* Who was told only a part holds only rows that are right; the others hold all of them. A resume
 * that is cut at a limit leaves rows as they were before: of it nothing can be said. */
static bool agrees(const struct client *client, json_t *expected)
{
    if (client->limit && client->resumes)
        return client->complete;
    if (!client->limit && client->with_snapshot)
        return client->complete && json_equal(client->rows, expected);
    const char *key;
    json_t *row;
    json_object_foreach(client->rows, key, row)
    {
        if (!json_equal(row, json_object_get(expected, key)))
            return false;
    }
    return true;
}

static void print_difference(json_t *have, json_t *want, const char *key)
{
    json_t *one = json_object_get(have, key), *other = json_object_get(want, key);
    if (json_equal(one, other))
        return;
    char *a = one ? json_dumps(one, JSON_SORT_KEYS) : strdup("nothing");
    char *b = other ? json_dumps(other, JSON_SORT_KEYS) : strdup("nothing");
    print_error("  %s: the client has %s, the database %s\n", key, a, b);
    free(a);
    free(b);
}

static void explain(struct world *world, const struct client *client, json_t *expected)
{
    const char *key;
    json_t *row;
    json_object_foreach(client->rows, key, row) print_difference(client->rows, expected, key);
    json_object_foreach(expected, key, row) if (!json_object_get(client->rows, key))
        print_difference(client->rows, expected, key);
    fail_msg("seed %lu: %s key %s (snapshot %d, limit %d, resumes %d; complete %d, seq %s, resumed "
             "%zu, refused %zu) differs",
             world->seed, client->view, client->key ? client->key : "-", client->with_snapshot,
             client->limit, client->resumes, client->complete, client->seq, client->resumed,
             client->refused);
}

/* Pull until the client agrees; what takes ten seconds will never. */
static void settle(struct world *world, struct client *client)
{
    json_t *expected = expect(world, client);
    uint64_t until = clock_monotonic_us() + 10 * 1000 * 1000;
    if (!client->subscriber)
        client_connect(client, world->fixture.hub);
    for (;;) {
        engine_deliver(world->fixture.base.engine);
        if (client_pull(client, -1))
            continue;
        if (client->problem[0])
            fail_msg("seed %lu: %s: %s", world->seed, client->view, client->problem);
        if (agrees(client, expected))
            break;
        if (clock_monotonic_us() > until)
            explain(world, client, expected);
        usleep(50);
    }
    json_decref(expected);
}

/* ---- one seed ---- */

static void disturb(struct world *world)
{
    struct client *client = &world->clients[below(world, CLIENTS)];
    if (!client->subscriber) {
        client_connect(client, world->fixture.hub);
        return;
    }
    if (below(world, 3)) {
        client_pull(client, -1);
        return;
    }
    client_pull(client, below(world, 6));
    client_cut(client);
}

static void shape(struct world *world)
{
    bool tight = below(world, 2);
    world->fixture.options =
        (struct hub_options){.ring_bytes = tight ? 2000 : 1 << 20,
                             .channel_bytes = tight ? 1000 : 1 << 20,
                             .snapshot_cache_bytes = below(world, 2) ? 2000 : 1 << 20,
                             .max_subscriptions = 10,
                             .snapshot_rows = below(world, 2) ? 2 : 0,
                             .scan_rows = below(world, 2) ? 3 : 0,
                             .page_bytes = below(world, 2) ? 300 : 0,
                             .tombstone_ms = 600 * 1000};
    world->fixture.base.options.max_array_length = below(world, 2) ? 5 : 100;
    world->fixture.base.options.cache_bytes = below(world, 2) ? 500 : 1 << 20;
    world->fixture.base.options.retention = (struct store_retention){
        .rows = below(world, 3) ? 0 : 60, .tombstone_age_ms = 600 * 1000, .tombstone_rows = 1000};
}

static void run_seed(unsigned long seed)
{
    struct world *world = calloc(1, sizeof *world);
    world->seed = seed;
    world->random = seed * 0x9E3779B97F4A7C15u + 1;
    fixture_init(&world->fixture.base);
    shape(world);
    make_clients(world);
    start(world);
    int rounds = 4 + below(world, 4);
    for (int round = 0; round < rounds; round++) {
        int steps = 20 + below(world, 60);
        for (int step = 0; step < steps; step++) {
            if (below(world, 3) == 0)
                feed(world);
            else
                disturb(world);
            engine_deliver(world->fixture.base.engine);
        }
        if (below(world, 3) == 0) {
            stop(world);
            start(world);
        }
        for (int i = 0; i < CLIENTS; i++)
            settle(world, &world->clients[i]);
    }
    stop(world);
    for (int i = 0; i < CLIENTS; i++)
        client_fini(&world->clients[i]);
    fixture_fini(&world->fixture.base);
    free(world);
}

static unsigned long setting(const char *name, unsigned long otherwise)
{
    const char *value = getenv(name);
    return value ? strtoul(value, NULL, 10) : otherwise;
}

static void every_client_converges(void **state)
{
    (void)state;
    unsigned long first = setting("STELE_SEED", 1), count = setting("STELE_SEEDS", 20);
    for (unsigned long seed = first; seed < first + count; seed++)
        run_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_client_converges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
