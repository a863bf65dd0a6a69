/* When the SQL views of exports that an open engine is fed are made. */
#include "engine/engine.h"
#include "test.h"

#include "engine_fixture.h"

#include <sqlite3.h>

enum { FIRST = 200, ALL = 1200, PATIENCE_US = 60 * 1000 * 1000 };

/* By a connection that has just come, as a person's is. */
static int64_t ask(const struct fixture *fixture, const char *sql)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(fixture->path, &database, SQLITE_OPEN_READONLY, NULL), 0);
    sqlite3_busy_timeout(database, 60 * 1000);
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return value;
}

static int64_t count_views(const struct fixture *fixture)
{
    return ask(fixture, "SELECT count(*) FROM sqlite_schema WHERE type = 'view'");
}

static void open_fixture(struct fixture *fixture)
{
    fixture_init(fixture);
    fixture->options.open_exports = true;
    fixture->options.max_exports = 10000;
    fixture_open(fixture);
}

static void feed(struct fixture *fixture, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[64];
        snprintf(text, sizeof text, "X%d k patch {\"n\":%d}\n", i, i);
        assert_int_equal(fixture_apply(fixture, text).error.code, ERROR_NONE);
    }
}

static void wait_views(const struct fixture *fixture, int64_t count)
{
    uint64_t until = clock_monotonic_us() + PATIENCE_US;
    while (count_views(fixture) < count && clock_monotonic_us() < until)
        usleep(10 * 1000);
    assert_int_equal(count_views(fixture), count);
}

TEST(an_export_alone_has_its_views_at_once)
{
    struct fixture fixture;
    open_fixture(&fixture);
    feed(&fixture, 0, 1);
    assert_int_equal(count_views(&fixture), 3);
    feed(&fixture, 1, 50);
    assert_int_equal(count_views(&fixture), 3 * 50);
    fixture_fini(&fixture);
}

/* Each change of the schema makes every connection read all of it. So there may be one whenever a
 * quarter more exports came, or a millisecond for each that there is has passed. */
TEST(new_exports_change_the_schema_seldom)
{
    struct fixture fixture;
    open_fixture(&fixture);
    feed(&fixture, 0, FIRST);
    wait_views(&fixture, 3 * FIRST);
    uint64_t begun = clock_monotonic_us();
    int64_t before = ask(&fixture, "PRAGMA schema_version");
    feed(&fixture, FIRST, ALL);
    wait_views(&fixture, 3 * ALL); /* also when nothing more comes */
    uint64_t passed = clock_monotonic_us() - begun;
    int64_t changes = ask(&fixture, "PRAGMA schema_version") - before;
    assert_in_range(changes, 1, 20 + passed / (FIRST * 1000));
    fixture_fini(&fixture);
}

/* A request of many does not make others wait for their SQL views: these come in parts. */
TEST(many_at_once_get_their_views_in_parts)
{
    struct fixture fixture;
    struct buffer text;
    open_fixture(&fixture);
    buffer_init(&text, 1 << 20);
    for (int i = 0; i < ALL; i++)
        buffer_printf(&text, "X%d k patch {\"n\":%d}\n", i, i);
    int64_t before = ask(&fixture, "PRAGMA schema_version");
    assert_int_equal(fixture_apply(&fixture, buffer_string(&text)).error.code, ERROR_NONE);
    buffer_fini(&text);
    wait_views(&fixture, 3 * ALL);
    assert_in_range(ask(&fixture, "PRAGMA schema_version") - before, 4, 20);
    fixture_fini(&fixture);
}

TEST(a_stop_and_a_start_leave_none_due)
{
    struct fixture fixture;
    open_fixture(&fixture);
    feed(&fixture, 0, 300);
    fixture_close(&fixture);
    assert_int_equal(count_views(&fixture), 3 * 300);
    fixture_open(&fixture);
    feed(&fixture, 300, 310);
    wait_views(&fixture, 3 * 310);
    fixture_fini(&fixture);
}
