/* What windows promise about work and about what they tell, on a real engine, without sockets. */
#include "delivery_client.h"
#include "delivery_fixture.h"
#include "test.h"
#include "window/window_internal.h"

#include <sqlite3.h>

static struct hub_fixture fixture;

static void set_up(void)
{
    hub_fixture_init(&fixture);
    fixture.base.options.readers = 1; /* so that questions are answered in their order */
}

static void start(void)
{
    hub_fixture_start_with(&fixture, "QR");
}

static void tear_down(void)
{
    hub_fixture_fini(&fixture);
}

TEST_EACH(set_up, tear_down)

static void subscribe(struct client *client, const char *members)
{
    char message[512];
    client->complete = false;
    snprintf(message, sizeof message, "{\"type\":\"subscribe\",%s}", members);
    assert_true(client_subscribe(client, fixture.hub, message));
}

/* ---- many that come back at once ---- */

enum { MANY = 50 };

static struct client many[MANY];

static bool are_complete(void *argument)
{
    size_t complete = 0;
    (void)argument;
    for (int i = 0; i < MANY; i++)
        complete += client_is_complete(&many[i]);
    return complete == MANY;
}

TEST(equal_resumes_are_served_once)
{
    struct client first = {.view = "Q/list", .with_snapshot = true};
    char members[256];
    start();
    client_init(&first);
    hub_fixture_feed_many(&fixture, 10, "patch {\"n\":1}");
    subscribe(&first, "\"view\":\"Q/list\",\"take\":5");
    hub_fixture_until(&fixture, client_is_complete, &first);
    client_cut(&first);
    hub_fixture_feed_many(&fixture, 3, "patch {\"n\":2}");
    snprintf(members, sizeof members,
             "\"view\":\"Q/list\",\"take\":5,\"after\":\"%s\",\"epoch\":\"%s\"", first.seq,
             first.epoch);
    for (int i = 0; i < MANY; i++) {
        many[i] = (struct client){.view = "Q/list", .with_snapshot = true};
        client_init(&many[i]);
        subscribe(&many[i], members);
    }
    hub_fixture_wait_for_readers(
        &fixture); /* their cursors are found; now all ask for what they lack */
    hub_fixture_until(&fixture, are_complete, NULL);
    for (int i = 0; i < MANY; i++) {
        assert_string_equal(many[i].problem, "");
        assert_int_equal(many[i].resumed, 1);
        assert_true(json_equal(many[i].rows, many[0].rows));
        assert_non_null(json_object_get(many[i].rows, "k2"));
    }
    /* The first one's look was on its way when the others asked. */
    assert_int_equal(counter_get(&hub_state(fixture.hub).metrics->resumes_shared), MANY - 2);
    for (int i = 0; i < MANY; i++) {
        client_cut(&many[i]);
        client_fini(&many[i]);
    }
    client_fini(&first);
}

/* ---- looks that are cut short ---- */

static bool have_changed(void *argument)
{
    (void)argument;
    size_t changed = 0;
    for (int i = 0; i < MANY; i++) {
        client_pull(&many[i], -1);
        changed += many[i].upserts > 0;
    }
    return changed == MANY;
}

/* In no time at all a refresh does one thing only; still each window comes to its turn. */
TEST(a_refresh_whose_time_is_up_goes_on_in_the_next)
{
    char members[256];
    fixture.options.refresh_us = 1;
    start();
    hub_fixture_feed_many(&fixture, 10, "patch {\"n\":1}");
    for (int i = 0; i < MANY; i++) {
        many[i] = (struct client){.view = "Q/list", .with_snapshot = true};
        client_init(&many[i]);
        snprintf(members, sizeof members, "\"view\":\"Q/list\",\"take\":%d", i + 1);
        subscribe(&many[i], members);
    }
    hub_fixture_until(&fixture, are_complete, NULL);
    hub_fixture_feed(&fixture, "Q k3 patch {\"n\":2}\n");
    hub_fixture_until(&fixture, have_changed, NULL);
    for (int i = 0; i < MANY; i++)
        client_cut(&many[i]);
    hub_fixture_feed(&fixture, "Q k4 patch {\"n\":3}\n");
    for (int i = 0; i < MANY; i++) {
        snprintf(members, sizeof members, "\"view\":\"Q/list\",\"take\":%d,\"after\":\"%s\"", i + 1,
                 many[i].seq);
        subscribe(&many[i], members);
    }
    hub_fixture_until(&fixture, are_complete, NULL);
    for (int i = 0; i < MANY; i++) {
        assert_string_equal(many[i].problem, "");
        assert_int_equal(many[i].resumed, 1);
        assert_int_equal(json_object_size(many[i].rows), i < 10 ? i + 1 : 10);
        assert_non_null(json_object_get(many[i].rows, "k4"));
        client_cut(&many[i]);
        client_fini(&many[i]);
    }
}

/* ---- without a snapshot ---- */

static bool has_row(void *argument)
{
    struct client *client = argument;
    client_pull(client, -1);
    return client->upserts > 0 || client->problem[0];
}

/* From `subscribed` on, though the window is looked at, and its filter filled, only later. */
TEST(who_wants_no_snapshot_misses_nothing)
{
    static const char *const members[] = {
        "\"view\":\"Q/list\",\"take\":5", "\"view\":\"Q/list\",\"filters\":{\"n\":1}",
        "\"view\":\"Q/append\",\"filters\":{\"n\":1}",
        "\"view\":\"Q/state\",\"key\":\"k7\",\"filters\":{\"n\":1}"};
    fixture.options.max_window_rows = 20000;
    start();
    hub_fixture_feed_many(&fixture, 12000, "patch {\"n\":1}");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char text[256];
        struct client client = {.view = "Q/list"};
        client_init(&client);
        snprintf(text, sizeof text, "%s,\"withSnapshot\":false", members[i]);
        subscribe(&client, text);
        hub_fixture_feed(&fixture, "Q k7 patch {\"x\":1}\n");
        hub_fixture_until(&fixture, has_row, &client);
        /* Of a window that ends somewhere, a row that may have come in by that is told too. */
        assert_int_equal(json_object_size(client.rows), i == 0 ? 2 : 1);
        assert_non_null(json_object_get(client.rows, "k7"));
        assert_string_equal(client.problem, "");
        client_cut(&client);
        client_fini(&client);
    }
}

/* ---- deletes with a snapshot ---- */

TEST(only_what_can_have_been_in_a_window_is_told_as_gone)
{
    struct client never = {.view = "Q/list", .with_snapshot = true}, keeps = never;
    start();
    hub_fixture_feed_many(&fixture, 100, "patch {\"n\":1}");
    hub_fixture_feed(&fixture, "Q a patch {\"n\":2}\nQ b patch {\"n\":2}\n");
    client_init(&keeps);
    subscribe(&keeps, "\"view\":\"Q/list\",\"filters\":{\"n\":2}");
    hub_fixture_until(&fixture, client_is_complete, &keeps);
    assert_int_equal(json_object_size(keeps.rows), 2);
    client_cut(&keeps);
    hub_fixture_feed(&fixture, "Q k1 delete\nQ k2 delete\nQ a delete\nQ b patch {\"n\":3}\n");
    /* A window that nobody had before: nobody can hold rows of it. */
    client_init(&never);
    subscribe(&never, "\"view\":\"Q/list\",\"filters\":{\"n\":1}");
    hub_fixture_until(&fixture, client_is_complete, &never);
    assert_int_equal(never.deletes, 0);
    assert_int_equal(json_object_size(never.rows), 98);
    subscribe(&keeps, "\"view\":\"Q/list\",\"filters\":{\"n\":2}");
    hub_fixture_until(&fixture, client_is_complete, &keeps);
    assert_int_equal(keeps.deletes, 2);
    assert_int_equal(json_object_size(keeps.rows), 0);
    client_cut(&keeps);
    client_cut(&never);
    client_fini(&keeps);
    client_fini(&never);
}

/* ---- a quiet export beside a busy one ---- */

static uint64_t jobs_so_far(void)
{
    return counter_get(&engine_facts(fixture.base.engine)->metrics->read_jobs);
}

TEST(a_busy_export_costs_the_windows_of_a_quiet_one_nothing)
{
    static const char members[] = "\"view\":\"R/list\",\"filters\":{\"n\":1}";
    char again[256];
    struct client client = {.view = "R/list", .with_snapshot = true};
    fixture.options.max_window_rows = 100; /* at most 100 entities changed, among 10,000 changes */
    start();
    client_init(&client);
    hub_fixture_feed(&fixture, "R a patch {\"n\":1}\nR b patch {\"n\":1}\n");
    subscribe(&client, members);
    hub_fixture_until(&fixture, client_is_complete, &client);
    hub_fixture_feed_many(&fixture, 9000, "patch {\"n\":1}");
    uint64_t before = jobs_so_far();
    client.upserts = 0;
    hub_fixture_feed(&fixture, "R b patch {\"n\":1,\"x\":1}\n");
    hub_fixture_until(&fixture, has_row, &client);
    hub_fixture_wait_for_readers(&fixture);
    assert_true(jobs_so_far() - before <= 2); /* what passed its filter was not looked for anew */
    client_cut(&client);
    hub_fixture_feed(&fixture, "R a patch {\"n\":2}\n");
    snprintf(again, sizeof again, "%s,\"after\":\"%s\"", members, client.seq);
    hub_fixture_feed_many(&fixture, 9000, "patch {\"n\":2}");
    subscribe(&client, again);
    hub_fixture_until(&fixture, client_is_complete, &client);
    assert_int_equal(client.resumed, 1);
    assert_int_equal(json_object_size(client.rows), 1);
    client_cut(&client);
    hub_fixture_feed_many(&fixture, 11000, "patch {\"n\":3}");
    hub_fixture_feed(&fixture, "R a patch {\"n\":1}\n");
    snprintf(again, sizeof again, "%s,\"after\":\"%s\"", members, client.seq);
    subscribe(&client, again);
    hub_fixture_until(&fixture, client_is_complete, &client);
    assert_int_equal(client.refused, 1);
    assert_int_equal(json_object_size(client.rows), 2);
    assert_string_equal(client.problem, "");
    client_cut(&client);
    client_fini(&client);
}

/* ---- what a cursor costs ---- */

/* The reads until the client has its rows. */
static uint64_t reads_of(struct client *client, const char *part, const char *after)
{
    char members[256];
    snprintf(members, sizeof members, "\"view\":\"Q/list\",%s%s%s%s", part,
             after ? ",\"after\":\"" : "", after ? after : "", after ? "\"" : "");
    client_cut(client);
    hub_fixture_wait_for_readers(&fixture);
    uint64_t before = jobs_so_far();
    subscribe(client, members);
    hub_fixture_until(&fixture, client_is_complete, client);
    return jobs_so_far() - before;
}

/* A client with a cursor behind so many changes takes no more reads than one without before it. */
static void compare_reads(const char *part, int changes, int resumes)
{
    struct client keeps = {.view = "Q/list", .with_snapshot = true}, fresh = keeps;
    char after[sizeof keeps.seq];
    client_init(&keeps);
    client_init(&fresh);
    reads_of(&keeps, part, NULL);
    memcpy(after, keeps.seq, sizeof after);
    hub_fixture_feed_many(&fixture, changes, "patch {\"n\":2}");
    uint64_t without = reads_of(&fresh, part, NULL);
    client_cut(&fresh);
    assert_true(reads_of(&keeps, part, after) <= without);
    assert_int_equal(keeps.resumed, resumes);
    assert_int_equal(keeps.refused, !resumes);
    assert_string_equal(keeps.problem, "");
    assert_true(json_equal(keeps.rows, fresh.rows));
    client_cut(&keeps);
    client_fini(&keeps);
    client_fini(&fresh);
}

TEST(a_cursor_takes_no_more_reads_than_none)
{
    start();
    hub_fixture_feed_many(&fixture, 100, "patch {\"n\":1}");
    compare_reads("\"take\":10", 1, 1);
    compare_reads("\"take\":10", 3, 1);
    compare_reads("\"take\":10", 4, 0);
    compare_reads("\"take\":10", 50, 0);
    compare_reads("\"take\":10,\"skip\":10", 1, 1);
    compare_reads("\"take\":10,\"skip\":10", 3, 0); /* which only a refresh finds out */
}

/* An export Q with a view that sorts by `n`, and R. */
static void start_sorted(void)
{
    static const struct engine_export_options exports[] = {{.name = {"Q", 1}}, {.name = {"R", 1}}};
    struct error error;
    struct view_set *set = view_set_new(false);
    struct tree *sorted = tree_parse(span_of("{\"pipeline\":[{\"sort\":\"n\"}]}"), &error);
    assert_true(view_set_add_export(set, span_of("Q"), &error));
    assert_true(view_set_derive(set, span_of("Q"), span_of("up"), sorted, &error));
    assert_true(view_set_add_export(set, span_of("R"), &error));
    assert_true(view_set_resolve(set, &error));
    tree_free(sorted);
    hub_fixture_start(&fixture, set, exports, 2);
}

/* One that watches has the window's snapshot made. Another comes back to it behind two rows that
 * changed outside: the reads that this takes. */
static uint64_t reads_behind_two(size_t length, size_t *resumed)
{
    struct client watches = {.view = "Q/up", .with_snapshot = true}, keeps = watches;
    char text[512], members[256];
    snprintf(text, sizeof text, "patch {\"n\":1,\"t\":\"%0*d\"}", (int)length, 0);
    hub_fixture_feed_many(&fixture, 100, text);
    client_init(&watches);
    client_init(&keeps);
    subscribe(&keeps, "\"view\":\"Q/up\",\"take\":10");
    hub_fixture_until(&fixture, client_is_complete, &keeps);
    client_cut(&keeps);
    hub_fixture_feed(&fixture, "Q k98 patch {\"m\":2}\nQ k99 patch {\"m\":2}\n");
    subscribe(&watches, "\"view\":\"Q/up\",\"take\":10");
    hub_fixture_until(&fixture, client_is_complete, &watches);
    hub_fixture_wait_for_readers(&fixture);
    uint64_t before = jobs_so_far();
    snprintf(members, sizeof members, "\"view\":\"Q/up\",\"take\":10,\"after\":\"%s\"", keeps.seq);
    subscribe(&keeps, members);
    hub_fixture_until(&fixture, client_is_complete, &keeps);
    assert_true(json_equal(keeps.rows, watches.rows));
    *resumed = keeps.resumed;
    uint64_t reads = jobs_so_far() - before;
    client_cut(&watches);
    client_cut(&keeps);
    client_fini(&watches);
    client_fini(&keeps);
    return reads;
}

/* What it lacks is made where it is short; where the snapshot is shorter, it takes the one that is
 * there, and nothing is read to find that out. */
TEST(a_snapshot_that_is_shorter_is_chosen_without_a_read)
{
    size_t resumed;
    start_sorted();
    assert_int_equal(reads_behind_two(350, &resumed), 0);
    assert_int_equal(resumed, 0);
    assert_true(reads_behind_two(1, &resumed) > 0);
    assert_int_equal(resumed, 1);
}

static void change_some(const char *export, int changes)
{
    char text[64];
    for (int i = 0; i < changes; i++) {
        snprintf(text, sizeof text, "%s k%d patch {\"n\":2}\n", export, i);
        hub_fixture_feed(&fixture, text);
    }
}

/* Whether its cursor was taken; the first time it has none. */
static bool comes_back(struct client *client)
{
    char members[256];
    size_t resumed = client->resumed;
    snprintf(members, sizeof members, "\"view\":\"%s\",\"take\":10%s%s%s", client->view,
             client->seq[0] ? ",\"after\":\"" : "", client->seq, client->seq[0] ? "\"" : "");
    subscribe(client, members);
    hub_fixture_until(&fixture, client_is_complete, client);
    client_cut(client);
    return client->resumed > resumed;
}

/* A cursor in each of two exports, of which one is behind one change, and the other behind many. */
TEST(cursors_are_judged_by_their_own_export_and_the_newest_commit)
{
    struct client q = {.view = "Q/list", .with_snapshot = true}, r = q;
    r.view = "R/list";
    start();
    client_init(&q);
    client_init(&r);
    change_some("Q", 50);
    change_some("R", 50);
    comes_back(&q);
    comes_back(&r);
    for (int turn = 0; turn < 4; turn++) {
        change_some("Q", turn % 2 ? 20 : 1);
        change_some("R", turn % 2 ? 1 : 20);
        assert_int_equal(comes_back(&q), turn % 2 == 0);
        assert_int_equal(comes_back(&r), turn % 2);
    }
    client_fini(&q);
    client_fini(&r);
}

/* ---- windows in the database ---- */

/* A number, by SQL in the server's file. */
static int64_t number(const char *sql)
{
    sqlite3 *database;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(fixture.base.path, &database, SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    sqlite3_busy_timeout(database, 10000);
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t found = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return found;
}

/* As the server's loop does when windows_due says so; nothing is fed. */
static bool comes_to_be(void *sql)
{
    if (windows_due(fixture.hub) >= 0)
        windows_refresh(fixture.hub);
    usleep(1000);
    return number(sql) != 0;
}

static void wait_for(const char *sql)
{
    hub_fixture_until(&fixture, comes_to_be, (void *)(uintptr_t)sql);
}

/* A client looks at so many different windows, one after the other. */
static void refresh_many(struct client *client, int first, int count)
{
    char members[128];
    for (int i = first; i < first + count; i++) {
        snprintf(members, sizeof members, "\"view\":\"Q/list\",\"filters\":{\"n\":%d}", i);
        subscribe(client, members);
        hub_fixture_until(&fixture, client_is_complete, client);
        client_cut(client);
    }
}

TEST(many_windows_of_a_client_are_written_together)
{
    struct client client = {.view = "Q/list", .with_snapshot = true};
    start();
    client_init(&client);
    hub_fixture_feed_many(&fixture, 3, "patch {\"n\":1}");
    uint64_t begun = clock_monotonic_us();
    refresh_many(&client, 0, 100);
    wait_for("SELECT count(*) = 100 FROM watched_window");
    uint64_t most = (clock_monotonic_us() - begun) / (200 * 1000) + 2;
    assert_in_range(number("SELECT count(DISTINCT at) FROM watched_window"), 1, most);
    client_fini(&client);
}

/* Five rows, and a client that watches three of them for as long as it stays. */
static void start_with(struct client *client, struct client *stays)
{
    start();
    client_init(client);
    client_init(stays);
    hub_fixture_feed_many(&fixture, 5, "patch {\"n\":1}");
    subscribe(stays, "\"view\":\"Q/list\",\"take\":3");
    hub_fixture_until(&fixture, client_is_complete, stays);
}

TEST(windows_go_from_a_quiet_server)
{
    struct client client = {.view = "Q/list", .with_snapshot = true}, stays = client;
    fixture.options.tombstone_ms = 1500;
    start_with(&client, &stays);
    refresh_many(&client, 0, 300);
    wait_for("SELECT count(*) > 1 FROM watched_window");
    wait_for("SELECT count(*) = 1 FROM watched_window");
    assert_int_equal(number("SELECT count(*) FROM watched_row"), 3);
    client_cut(&stays);
    wait_for("SELECT count(*) = 0 FROM watched_window");
    assert_int_equal(number("SELECT count(*) FROM watched_row"), 0);
    client_fini(&client);
    client_fini(&stays);
}

/* Look at so many new windows and wait until the database has had `all`: a window that is forgotten
 * before it was written down is not. */
static void refresh_and_wait(struct client *client, int first, int count, int all)
{
    char sql[64];
    snprintf(sql, sizeof sql, "SELECT max(id) >= %d FROM watched_window", all);
    refresh_many(client, first, count);
    wait_for(sql);
}

/* What somebody watches is not crowded out by what others only looked at. A job finds that there
 * are too many when it has written its own, so these may be beyond the bound until the next. */
TEST(windows_in_the_database_are_bounded)
{
    enum { MOST = 1000, ROUND = 80, ROUNDS = 20 };
    struct client client = {.view = "Q/list", .with_snapshot = true}, stays = client;
    int64_t least = MOST; /* windows that there were after the most */
    bool reached = false;
    fixture.options.max_windows = 100;
    start_with(&client, &stays);
    for (int i = 0; i < ROUNDS; i++) {
        refresh_and_wait(&client, i * ROUND, ROUND, (i + 1) * ROUND + 1); /* and stays */
        int64_t count = number("SELECT count(*) FROM watched_window");
        assert_in_range(count, 1, MOST + ROUND);
        reached = reached || number("SELECT max(id) > 1000 FROM watched_window");
        least = reached && count < least ? count : least;
    }
    assert_true(least <= MOST / 4 * 3 + ROUND); /* a quarter went */
    wait_for("SELECT count(*) <= 1000 FROM watched_window");
    assert_int_equal(number("SELECT count(*) FROM watched_row AS r JOIN watched_window AS w "
                            "ON w.id = r.window WHERE w.change >= 0 AND w.name LIKE '%,3,%'"),
                     3);
    assert_int_equal(number("SELECT count(*) FROM meta WHERE name = 'watched_forgotten'"), 1);
    client_cut(&stays);
    client_fini(&client);
    client_fini(&stays);
}

/* ---- how much goes at once ---- */

/* The writer is told nothing of the windows. */
static void hold_back(bool previous)
{
    fixture.hub->windows->kept_us = previous ? UINT64_MAX / 2 : 0;
}

static bool is_told(void *argument)
{
    (void)argument;
    return !fixture.hub->windows->keeping;
}

/* One job, if one is due; how many windows the database has then. */
static int64_t windows_after_a_job(void)
{
    if (windows_due(fixture.hub) >= 0)
        windows_refresh(fixture.hub);
    usleep(1000);
    hub_fixture_until(&fixture, is_told, NULL);
    return number("SELECT count(*) FROM watched_window");
}

/* However many came, a transaction takes the writer no longer than 200 windows do. */
TEST(what_goes_at_once_is_bounded)
{
    enum { MOST = 1000, FIRST = 1100, MORE = 400, SLICE = 200 };
    struct client client = {.view = "Q/list", .with_snapshot = true};
    int64_t count = 0;
    fixture.options.max_windows = MOST / 2;
    start();
    client_init(&client);
    hub_fixture_feed_many(&fixture, 5, "patch {\"n\":1}");
    hold_back(true);
    refresh_many(&client, 0, FIRST);
    hold_back(false);
    while (count < FIRST)
        count = windows_after_a_job();
    hold_back(true);
    refresh_many(&client, FIRST, MORE);
    hold_back(false);
    while (count > MOST || !link_alone(&fixture.hub->windows->moved)) {
        int64_t before = count;
        count = windows_after_a_job();
        assert_true(before - count <= SLICE);
    }
    client_fini(&client);
}
