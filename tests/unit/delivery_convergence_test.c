/*
 * Whatever is fed and however clients are cut off, each ends with exactly what the database holds.
 *
 * Random mutations (patches with append, replacements, deletes, late and shared seqs) go through a
 * real engine on a real file; clients of every kind pull from the hub, are cut off in the middle
 * of what they pulled, and come back. The backlog, the frame logs, the snapshot cache and the kept
 * log are made so small that everything that can fall behind does.
 *
 * What a client that asked for all rows holds when it is told that they are complete is one of the
 * states that were committed, and none older than the newest one when it asked.
 *
 * In every second seed the rows of Q are scoped by a field: clients have tokens, some of them
 * change to others, and none may ever be shown a row, or told a key, that its token does not see.
 *
 * Clients speak version 1 or 2 of the protocol, as the seed has it. In version 2 append views are
 * tapes, of whole views and of keys: who heard all events ends with all rows, and who did not with
 * those rows that were told whole.
 *
 * STELE_SEED: the first seed. STELE_SEEDS: how many (default 20, or 6 with a sanitizer). A failure
 * names its seed.
 */
#include "delivery_client.h"
#include "delivery_fixture.h"
#include "random.h"
#include "test.h"
#include "view_define.h"

enum { CLIENTS = 25, KEYS = 7, TOKENS = 4, SCOPES = 8, EXPORTS = 2, MOST_PAGES = 10000 };

/* What may stand in the field, and which of the tokens see it: 1 the first, 2 the second, … */
static const struct {
    const char *json; /* NULL: it is not there */
    unsigned tokens;
} scopes[SCOPES] = {{NULL, 15},       {"null", 15},     {"\"\"", 15}, {"\"a\"", 2 | 4},
                    {"\"b\"", 4 | 8}, {"\"c\\\"\"", 8}, {"7", 0},     {"[\"a\"]", 0}};
/* The row scopes that each lists. */
static const char *const listed[TOKENS] = {NULL, "a", "b a", "c\" b "};

/* What an export held after a commit. */
struct past {
    size_t count;
    struct past_row {
        char key[8];
        struct seq seq;
        char *data;
    } rows[KEYS];
};

struct world {
    struct hub_fixture fixture;
    struct store_reader *reader;
    struct past (*past)[EXPORTS]; /* of every commit, the oldest first */
    size_t past_count;
    size_t began[CLIENTS]; /* the newest of them when the client asked */
    struct client clients[CLIENTS];
    long long slot, index;
    bool scoped;
    struct auth_identity *tokens[TOKENS];
    int scope[KEYS];     /* of each key of Q now; -1: it is not there */
    unsigned seen[KEYS]; /* by which tokens it was, at some time */
    /* Of each client: its token, those that it had on this connection, and whether it was given the
     * rows of its token since it changed. */
    int token[CLIENTS];
    unsigned had[CLIENTS];
    bool moving[CLIENTS];
};

/* ---- chance ---- */

static int below(int limit)
{
    return (int)random_below((uint32_t)limit);
}

/* ---- views, server ---- */

static struct view_set *make_views(bool scoped)
{
    struct error error;
    struct view_set *set = view_set_new(false);
    struct span slim[] = {span_of("n"), span_of("d.m")}, keys[] = {span_of("k1"), span_of("k4")};
    assert_true(view_set_add_export(set, span_of("Q"), &error));
    assert_true(view_set_add_export(set, span_of("R"), &error));
    struct tree *path = tree_parse(span_of("\"w\""), &error);
    assert_true(!scoped || view_set_scope(set, span_of("Q"), path, &error));
    tree_free(path);
    assert_true(
        view_set_define(set, span_of("Q"), span_of("slim"), VIEW_LIST, slim, 2, NULL, 0, &error));
    assert_true(
        view_set_define(set, span_of("Q"), span_of("some"), VIEW_LIST, NULL, 0, keys, 2, &error));
    assert_true(view_set_define(set, span_of("Q"), span_of("events"), VIEW_APPEND, slim, 2, NULL, 0,
                                &error));
    return set;
}

static const struct engine_export_options exports[EXPORTS] = {{.name = {"Q", 1}},
                                                              {.name = {"R", 1}}};

static bool note_row(void *argument, const struct store_entity *entity)
{
    struct past *past = argument;
    struct past_row *row = &past->rows[past->count++];
    snprintf(row->key, sizeof row->key, "%.*s", (int)entity->key.length, entity->key.data);
    row->seq = entity->seq;
    row->data = strndup(entity->data.data, entity->data.length);
    return true;
}

static void note_past(struct world *world)
{
    struct error error;
    struct store_export export;
    bool found;
    world->past = realloc(world->past, (world->past_count + 1) * sizeof *world->past);
    struct past *past = world->past[world->past_count++];
    memset(past, 0, sizeof *world->past);
    assert_true(store_read_begin(world->reader, &error));
    for (size_t i = 0; i < EXPORTS; i++) {
        assert_true(store_read_export(world->reader, exports[i].name, &export, &found, &error) &&
                    found);
        assert_true(
            store_scan_entities(world->reader, export.id, NULL, -1, note_row, &past[i], &error));
    }
    store_read_end(world->reader);
}

static void forget_past(struct world *world)
{
    for (size_t i = 0; i < world->past_count * EXPORTS; i++) {
        struct past *past = &world->past[i / EXPORTS][i % EXPORTS];
        while (past->count)
            free(past->rows[--past->count].data);
    }
    free(world->past);
}

static void start(struct world *world)
{
    struct error error;
    hub_fixture_start(&world->fixture, make_views(world->scoped), exports, EXPORTS);
    world->reader = store_reader_open(engine_facts(world->fixture.base.engine)->database, &error);
    assert_non_null(world->reader);
    if (!world->past_count)
        note_past(world);
}

static void stop(struct world *world)
{
    store_reader_close(world->reader);
    for (int i = 0; i < CLIENTS; i++)
        client_cut(&world->clients[i]);
    hub_fixture_stop(&world->fixture);
}

/* ---- tokens ---- */

static bool is_seen(json_t *row, unsigned tokens)
{
    json_t *value = json_object_get(row, "w");
    for (int i = 0; i < SCOPES; i++) {
        json_t *scope = scopes[i].json ? json_loads(scopes[i].json, JSON_DECODE_ANY, NULL) : NULL;
        bool same = scope ? json_equal(scope, value) : !value;
        json_decref(scope);
        if (same)
            return (scopes[i].tokens & tokens) != 0;
    }
    return false;
}

static void judge(struct client *client, const char *key, json_t *row)
{
    const struct world *world = client->judge_argument;
    ptrdiff_t number = client - world->clients;
    unsigned token = 1u << world->token[number];
    if (client->view[0] != 'Q')
        return;
    bool named = client->key || (world->seen[key[1] - '0'] & world->had[number]);
    if (named && (!row || is_seen(row, token)))
        return;
    char *text = row ? json_dumps(row, JSON_COMPACT) : strdup("a delete");
    snprintf(client->problem, sizeof client->problem, "token %d was shown %s: %.200s",
             world->token[number], key, text);
    free(text);
}

/* ---- states ---- */

/* As the client's view shows it to its token; NULL: it does not. */
static json_t *shown(const struct world *world, const struct client *client,
                     const struct past_row *row)
{
    const struct view *view = view_set_find(hub_state(client->hub).views, span_of(client->view));
    struct buffer text;
    if (!view_shows(view, span_of(row->key)) || (client->key && strcmp(client->key, row->key) != 0))
        return NULL;
    json_t *whole = json_loads(row->data, 0, NULL);
    bool seen = !world->scoped || client->view[0] != 'Q' ||
                is_seen(whole, 1u << world->token[client - world->clients]);
    json_decref(whole);
    if (!seen)
        return NULL;
    buffer_init(&text, 1 << 20);
    view_project(view, span_of(row->data), &text);
    json_t *object = json_loadb(text.data, text.length, 0, NULL);
    buffer_fini(&text);
    return object;
}

/* The rows of one state that the client asks for; they lie in it newest first. */
static json_t *rows_of(const struct world *world, const struct client *client,
                       const struct past *past)
{
    json_t *rows = json_object();
    for (size_t i = 0; i < past->count; i++) {
        json_t *row = shown(world, client, &past->rows[i]);
        if (row && (!client->limit || json_object_size(rows) < (size_t)client->limit))
            json_object_set(rows, past->rows[i].key, row);
        json_decref(row);
    }
    return rows;
}

/* The client was told that it has all it asked for. */
static void judge_state(struct client *client)
{
    const struct world *world = client->judge_argument;
    size_t began = world->began[client - world->clients];
    bool found = !client->with_snapshot || (client->limit && client->resumes);
    for (size_t i = world->past_count; !found && i-- > began;) {
        json_t *rows = rows_of(world, client, &world->past[i][client->view[0] == 'R']);
        found = json_equal(rows, client->rows);
        json_decref(rows);
    }
    if (found)
        return;
    char *held = json_dumps(client->rows, JSON_COMPACT | JSON_SORT_KEYS);
    snprintf(client->problem, sizeof client->problem,
             "none of the states %zu to %zu is what it holds (limit %d, resumes %d): %.900s", began,
             world->past_count - 1, client->limit, client->resumes, held);
    free(held);
}

/* The client has this token from now on; its rows are those of another until it is told. */
static void take_token(struct world *world, int number, int token)
{
    struct client *client = &world->clients[number];
    world->moving[number] = client->identity != NULL;
    world->token[number] = token;
    world->had[number] = 1u << token;
    client->identity = world->tokens[token];
}

static void connect(struct world *world, int number)
{
    struct client *client = &world->clients[number];
    bool whole = !client->limit && client->with_snapshot;
    if (world->scoped && client->resumes && whole && below(3) == 0)
        take_token(world, number, below(TOKENS));
    /* Without a cursor nobody can tell what another token saw, where that was not told in time. */
    if (world->moving[number] && (!client->resumes || !client->seq[0]))
        json_object_clear(client->rows);
    world->moving[number] = false;
    world->had[number] = 1u << world->token[number];
    world->began[number] = world->past_count - 1;
    client_connect(client, world->fixture.hub);
}

/* In band. What was pulled before is the old token's, so all of it is taken first. */
static void change_token(struct world *world, int number)
{
    struct client *client = &world->clients[number];
    unsigned had = world->had[number];
    int token = below(TOKENS);
    client_pull(client, -1);
    /* The session begins a subscription of version 2 anew. */
    if (token == world->token[number] || client->v2)
        return;
    take_token(world, number, token);
    world->had[number] |= had;
    client->complete = false;
    client->keeps = !client->resumes; /* as clients that know of no cursors */
    world->began[number] = world->past_count - 1;
    assert_true(subscriber_set_identity(client->subscriber, client->identity));
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
        {.view = "Q/list", .resumes = true, .with_snapshot = true, .limit = 1, .pages = true},
        {.view = "Q/append", .resumes = true, .with_snapshot = true, .limit = 2, .pages = true},
        {.view = "Q/some", .resumes = true, .with_snapshot = true, .limit = 2, .pages = true},
        {.view = "R/append", .resumes = true, .with_snapshot = true, .limit = 1, .pages = true},
        {.view = "R/list", .resumes = true, .with_snapshot = true, .limit = 3, .pages = true},
    };
    for (int i = 0; i < CLIENTS; i++) {
        world->clients[i] = kinds[i];
        const char *view = kinds[i].view;
        bool append = strstr(view, "append") || strstr(view, "events");
        world->clients[i].v2 = below(2) && !(append && kinds[i].limit);
        world->clients[i].tape = append && world->clients[i].v2;
        client_init(&world->clients[i]);
        world->clients[i].completed = judge_state;
        world->clients[i].judge_argument = world;
        if (!world->scoped)
            continue;
        world->clients[i].judge = judge;
        take_token(world, i, below(TOKENS));
    }
}

/* ---- feeding ---- */

static void put_seq(struct world *world, char *text, size_t size)
{
    int choice = below(10);
    size_t used = strlen(text);
    if (choice < 5)
        return; /* the server's own */
    if (choice < 8)
        world->index += below(3); /* often shared with the one before */
    if (choice == 7)
        world->slot++, world->index = 0;
    long long slot = choice >= 8 ? world->slot - below(3) : world->slot;
    long long index = choice >= 8 ? below(5) : world->index;
    snprintf(text + used, size - used, "=%lld:%lld\n", slot < 0 ? 0 : slot, index);
}

static void note_scope(struct world *world, int key, int scope)
{
    world->scope[key] = scope;
    if (scope >= 0)
        world->seen[key] |= scopes[scope].tokens;
}

/* A patch, or a replacement, with a scope. Some keys are never for some tokens. */
static void put_scoped(struct world *world, char *text, size_t size)
{
    size_t used = strlen(text);
    int key = below(KEYS), n = below(1000);
    int scope = key < 2 ? below(SCOPES) : 3 + below(SCOPES - 3);
    if (!scopes[scope].json)
        scope = 1;
    bool replaces = below(4) == 0;
    snprintf(text + used, size - used, "Q k%d %s {\"w\":%s,\"l\":[%d],\"n\":%d}%s\n", key,
             replaces ? "upsert" : "patch", scopes[scope].json, n, n, replaces ? "" : " l");
    note_scope(world, key, scope);
}

static void put_mutation(struct world *world, char *text, size_t size)
{
    put_seq(world, text, size);
    size_t used = strlen(text);
    const char *export = below(4) ? "Q" : "R";
    int key = below(KEYS), n = below(1000), kind = below(9);
    if (world->scoped && below(3) == 0) {
        put_scoped(world, text, size);
        return;
    }
    bool is_scoped = world->scoped && *export == 'Q';
    /* Those that are not for everybody are not made without a scope. */
    if (is_scoped && key >= 2 && (kind == 1 || (kind > 1 && world->scope[key] < 0)))
        kind = 0;
    if (is_scoped)
        note_scope(world, key,
                   kind == 0                            ? -1
                   : kind == 1 || world->scope[key] < 0 ? 0
                                                        : world->scope[key]);
    switch (kind) {
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
    int count = 1 + below(12);
    for (int i = 0; i < count; i++)
        put_mutation(world, text, sizeof text);
    struct outcome outcome = fixture_apply(&world->fixture.base, text);
    if (outcome.error.code != ERROR_NONE)
        fail_msg(SEED_FORMAT ": %s", random_seed, outcome.error.message);
    note_past(world);
}

/* ---- what the database holds, as the view shows it ---- */

struct expected {
    const struct view *view;
    const char *key;
    json_t *rows;
    unsigned tokens; /* whose; 0: rows are not scoped */
};

static bool add_expected(void *argument, const struct store_entity *entity)
{
    struct expected *expected = argument;
    if (!view_shows(expected->view, entity->key) ||
        (expected->key && !span_equal(entity->key, span_of(expected->key))))
        return true;
    json_t *whole = json_loadb(entity->data.data, entity->data.length, 0, NULL);
    bool seen = !expected->tokens || is_seen(whole, expected->tokens);
    json_decref(whole);
    if (seen)
        client_expect(expected->rows, expected->view, entity);
    return true;
}

static json_t *expect(struct world *world, const struct client *client)
{
    struct error error;
    struct store_export export;
    bool found;
    struct expected expected = {
        .view = view_set_find(hub_state(world->fixture.hub).views, span_of(client->view)),
        .key = client->key,
        .rows = json_object(),
        .tokens = world->scoped && client->view[0] == 'Q'
                      ? 1u << world->token[client - world->clients]
                      : 0};
    struct store_reader *reader =
        store_reader_open(engine_facts(world->fixture.base.engine)->database, &error);
    assert_true(store_read_begin(reader, &error));
    assert_true(
        store_read_export(reader, span_of(expected.view->export_name), &export, &found, &error));
    assert_true(store_scan_entities(reader, export.id, NULL, -1, add_expected, &expected, &error));
    store_read_end(reader);
    store_reader_close(reader);
    return expected.rows;
}

static bool tape_agrees(const struct client *client, json_t *expected)
{
    const char *key;
    json_t *is_whole;
    if (client->of_tape.from_start)
        return client->complete && json_equal(client->rows, expected);
    json_object_foreach(client->of_tape.whole, key, is_whole)
    {
        json_t *row = json_object_get(client->rows, key), *want = json_object_get(expected, key);
        if (row || want ? !json_equal(row, want) : false)
            return false;
    }
    return client->complete;
}

/* Who was told only a part holds only rows that are right; the others hold all of them, and so does
 * who came to the last page. A resume that is cut at a limit otherwise leaves rows as they were
 * before: of it nothing can be said. */
static bool agrees(const struct client *client, json_t *expected)
{
    if (client->tape)
        return tape_agrees(client, expected);
    if (client->limit && client->resumes && !client->pages)
        return client->complete;
    bool all = client->pages ? !client->refused : !client->limit;
    if (all && client->with_snapshot)
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

static void explain(const struct client *client, json_t *expected)
{
    const char *key;
    json_t *row;
    json_object_foreach(client->rows, key, row) print_difference(client->rows, expected, key);
    json_object_foreach(expected, key, row) if (!json_object_get(client->rows, key))
        print_difference(client->rows, expected, key);
    fail_msg(
        SEED_FORMAT
        ": %s key %s (version %d, snapshot %d, limit %d, resumes %d; complete %d, seq %s, resumed "
        "%zu, refused %zu) differs",
        random_seed, client->view, client->key ? client->key : "-", 1 + client->v2,
        client->with_snapshot, client->limit, client->resumes, client->complete, client->seq,
        client->resumed, client->refused);
}

/* Pull until the client agrees; what takes a minute will never. */
static void settle(struct world *world, struct client *client)
{
    json_t *expected = expect(world, client);
    uint64_t until = clock_monotonic_us() + 60 * 1000 * 1000;
    int pages = 0;
    if (client->pages)
        client_cut(client); /* its page may be of long ago */
    if (!client->subscriber) {
        connect(world, (int)(client - world->clients));
        json_decref(expected);
        expected = expect(world, client);
    }
    for (;;) {
        engine_deliver(world->fixture.base.engine);
        if (client_pull(client, -1))
            continue;
        if (client->problem[0])
            fail_msg(SEED_FORMAT ": %s: %s", random_seed, client->view, client->problem);
        if (client->pages && client->complete && strcmp(client->asked, client->seq) != 0) {
            assert_true(++pages < MOST_PAGES);
            client_cut(client);
            connect(world, (int)(client - world->clients));
            continue;
        }
        if (!client->subscriber) { /* its tape ended */
            connect(world, (int)(client - world->clients));
            json_decref(expected);
            expected = expect(world, client);
            continue;
        }
        if (agrees(client, expected))
            break;
        if (clock_monotonic_us() > until)
            explain(client, expected);
        usleep(50);
    }
    json_decref(expected);
}

/* ---- one seed ---- */

static void disturb(struct world *world)
{
    int number = below(CLIENTS);
    struct client *client = &world->clients[number];
    if (!client->subscriber) {
        connect(world, number);
        return;
    }
    if (world->scoped && !client->limit && client->view[0] == 'Q' && below(6) == 0) {
        change_token(world, number);
        return;
    }
    if (below(3)) {
        client_pull(client, -1);
        if (client->pages && client->complete)
            client_cut(client);
        return;
    }
    client_pull(client, below(6));
    client_cut(client);
}

static void shape(struct world *world)
{
    bool tight = below(2);
    world->fixture.options = (struct hub_options){.ring_bytes = tight ? 2000 : 1 << 20,
                                                  .channel_bytes = tight ? 1000 : 1 << 20,
                                                  .snapshot_cache_bytes = below(2) ? 2000 : 1 << 20,
                                                  .max_subscriptions = 10,
                                                  .snapshot_rows = below(2) ? 2 : 0,
                                                  .scan_rows = below(2) ? 3 : 0,
                                                  .page_bytes = below(2) ? 300 : 0,
                                                  .tombstone_ms = 600 * 1000};
    world->fixture.base.options.max_array_length = below(2) ? 5 : 100;
    world->fixture.base.options.cache_bytes = below(2) ? 500 : 1 << 20;
    world->fixture.base.options.retention = (struct store_retention){
        .rows = below(3) ? 0 : 60, .tombstone_age_ms = 600 * 1000, .tombstone_rows = 1000};
}

static void run_seed(uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);
    random_start(seed);
    world->scoped = seed % 2 == 0;
    for (int i = 0; i < TOKENS; i++)
        world->tokens[i] = client_token(listed[i]);
    for (int i = 0; i < KEYS; i++)
        world->scope[i] = -1;
    fixture_init(&world->fixture.base);
    shape(world);
    make_clients(world);
    start(world);
    int rounds = 4 + below(4);
    for (int round = 0; round < rounds; round++) {
        int steps = 20 + below(60);
        for (int step = 0; step < steps; step++) {
            if (below(3) == 0)
                feed(world);
            else
                disturb(world);
            engine_deliver(world->fixture.base.engine);
        }
        if (below(3) == 0) {
            stop(world);
            start(world);
        }
        for (int i = 0; i < CLIENTS; i++)
            settle(world, &world->clients[i]);
    }
    stop(world);
    for (int i = 0; i < CLIENTS; i++)
        client_fini(&world->clients[i]);
    for (int i = 0; i < TOKENS; i++)
        auth_identity_release(world->tokens[i]);
    fixture_fini(&world->fixture.base);
    forget_past(world);
    free(world);
}

/* A sanitizer sees in few what it sees in many; what is right is asked where a seed takes less. */
#ifdef TEST_IS_WATCHED
enum { USUAL_SEEDS = 6 };
#else
enum { USUAL_SEEDS = 20 };
#endif

TEST(every_client_converges)
{
    uint64_t first = random_setting("STELE_SEED", 1);
    uint64_t count = random_setting("STELE_SEEDS", USUAL_SEEDS);
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed);
}
