/* Files of the first version, as it left them: what an engine makes of them. */
#include "engine/engine.h"
#include "test.h"

#include "engine_fixture.h"

#include <sqlite3.h>

static sqlite3 *open_file(const struct fixture *fixture)
{
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 60 * 1000);
    return database;
}

static void execute(sqlite3 *database, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(database, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

/* The rows of a question in a buffer of the test: values with a space behind, rows with a newline.
 * In place of them SQLite's words where it refuses. */
static const char *ask(const struct fixture *fixture, const char *sql)
{
    static char text[4096];
    size_t at = 0;
    sqlite3 *database = open_file(fixture);
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
        at = (size_t)snprintf(text, sizeof text, "%s", sqlite3_errmsg(database));
    while (statement && sqlite3_step(statement) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s ",
                                   (const char *)sqlite3_column_text(statement, i));
        at += (size_t)snprintf(text + at, sizeof text - at, "\n");
    }
    text[at] = '\0';
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return text;
}

static void run_first_migration(sqlite3 *database)
{
    FILE *file = fopen(STELE_SOURCE_DIR "/migrations/0001_initial.sql", "r");
    char *text = calloc(1, 1 << 16);
    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    execute(database, text);
    free(text);
}

#define SEQ "printf('%d:%012d', slot, idx) AS seq, "
#define ENTITIES(id, number)                                                                       \
    "CREATE VIEW \"" id "/list\" AS\n-- The entities, newest first.\n"                             \
    "SELECT key, " SEQ "data\nFROM entity WHERE export = " number                                  \
    " ORDER BY slot DESC, idx DESC, id DESC;"                                                      \
    "CREATE VIEW \"" id "/state\" AS\n-- The entities in order of key.\n"                          \
    "SELECT key, " SEQ "data\nFROM entity WHERE export = " number " ORDER BY key;"
#define LOG(id, number)                                                                            \
    "CREATE VIEW \"" id "/append\" AS\n-- The log as it is kept, oldest first. data: the patch "   \
    "as it came; at: milliseconds since 1970 UTC.\n"                                               \
    "SELECT key, " SEQ "patch AS data,\n    CASE op WHEN 0 THEN 'create' WHEN 1 THEN 'patch' "     \
    "WHEN 2 THEN 'upsert' WHEN 3 THEN 'delete' ELSE 'evict' END AS op,\n"                          \
    "    at, id AS change\nFROM change WHERE export = " number " ORDER BY id;"
#define EXPORT(number, name)                                                                       \
    "INSERT INTO export VALUES (" number ", '" name "', 1, 0, " number ", " number                 \
    ", 0, 0, " number ", 0, 0, 0, 0);"                                                             \
    "INSERT INTO entity VALUES (" number ", " number ", 'k', " number ", 0, " number               \
    ", NULL, '{\"of\":\"" name "\"}');"                                                            \
    "INSERT INTO change VALUES (" number ", " number ", 'k', 0, " number                           \
    ", 0, 1000, 0, '{\"of\":\"" name "\"}', NULL, NULL, NULL);"                                    \
    "UPDATE log_state SET last_change = " number ", head_slot = " number ", rows = " number        \
    ", bytes = bytes + 64 + 1 + length('{\"of\":\"" name "\"}');"

/* Two exports, the views of the first version with one that the configuration no longer names, and
 * an operator's own. */
static const char first_file[] =
    "INSERT INTO meta VALUES ('epoch', '11111111-2222-4333-8444-555555555555');" EXPORT("1", "X")
        EXPORT("2", "Y \"q\"") ENTITIES("X", "1") LOG("X", "1") ENTITIES("Y \"\"q\"\"", "2") LOG(
            "Y \"\"q\"\"",
            "2") "CREATE VIEW \"X/slim\" AS\n-- The entities that this view shows, newest first.\n"
                 "SELECT key, " SEQ "json_object() AS data\nFROM entity WHERE export = 1 "
                 "ORDER BY slot DESC, idx DESC, id DESC;"
                 "CREATE VIEW \"X/best\" AS\n-- The rows of this view, in its order.\n"
                 "SELECT row_number() OVER (ORDER BY place) AS rank, key, " SEQ "data AS data\n"
                 "FROM (SELECT place, entity FROM derived_row WHERE stage = 1 ORDER BY place LIMIT "
                 "-1 OFFSET 0) "
                 "AS shown JOIN entity ON entity.id = shown.entity ORDER BY place;";
static const char own_views[] =
    "CREATE VIEW \"ops/report\" AS\n-- What we send on Mondays.\nSELECT count(*) AS n FROM entity;"
    "CREATE VIEW \"ops/copy\" AS SELECT key FROM \"X/list\" -- The entities, newest first.\n;"
    "CREATE VIEW \"ops/quoted\" AS\n-- \" AS\n-- The entities, newest first.\nSELECT 1 AS n;"
    "CREATE VIEW plain AS\n-- The entities, newest first.\nSELECT 1 AS n;";

/* Of runs of the first version's ingest, a day and longer ago and just now, and what only looks
 * like one. */
static const char producers[] =
    "INSERT INTO producer SELECT 'ingest-' || lower(hex(randomblob(16))), 5, 1000 "
    "FROM (WITH n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i FROM n);"
    "INSERT INTO producer VALUES ('ingest-00112233445566778899aabbccddeeff', 7, "
    "strftime('%s', 'now') * 1000), ('ingest-00112233445566778899AABBCCDDEEFF', 8, 1000), "
    "('ingest-nightly', 9, 1000), ('p', 10, 1000)";

static void make_file(struct fixture *fixture)
{
    fixture_init(fixture);
    sqlite3 *database = open_file(fixture);
    execute(database, "PRAGMA journal_mode = WAL");
    run_first_migration(database);
    execute(database, first_file);
    execute(database, own_views);
    sqlite3_close(database);
}

/* Made and filled by the fixture's own file: the rows are as the first version wrote them. */
static void expect_standard_views(const struct fixture *fixture, const char *when)
{
    static const char *const questions[][2] = {
        {"SELECT key, data FROM \"X/list\"", "k {\"of\":\"X\"} \n"},
        {"SELECT key, data FROM \"X/state\"", "k {\"of\":\"X\"} \n"},
        {"SELECT key, op, data FROM \"X/append\"", "k create {\"of\":\"X\"} \n"},
        {"SELECT key FROM \"Y \"\"q\"\"/list\"", "k \n"},
        {"SELECT key FROM \"Y \"\"q\"\"/state\"", "k \n"},
        {"SELECT change FROM \"Y \"\"q\"\"/append\"", "2 \n"},
        {"SELECT * FROM \"ops/report\"", "2 \n"},
        {"SELECT * FROM \"ops/copy\"", "k \n"},
        {"SELECT * FROM \"ops/quoted\"", "1 \n"},
        {"SELECT * FROM plain", "1 \n"},
        {"SELECT * FROM \"X/slim\"", "no such table: X/slim"},
        {"SELECT * FROM \"X/best\"", "no such table: X/best"},
        {"SELECT count(*) FROM sql_view", "6 \n"},
    };
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        const char *answer = ask(fixture, questions[i][0]);
        if (strcmp(answer, questions[i][1]) != 0)
            fail_msg("%s: %s: %s", when, questions[i][0], answer);
    }
}

static void check_upgrade(bool open_exports, const char *configured)
{
    struct fixture fixture;
    struct engine_export_options export = {.name = span_of(configured ? configured : "")};
    make_file(&fixture);
    fixture.options.open_exports = open_exports;
    fixture.options.exports = &export;
    fixture.options.export_count = configured != NULL;
    fixture_open(&fixture);
    expect_standard_views(&fixture, "first start");
    fixture_close(&fixture);
    expect_standard_views(&fixture, "stopped");
    fixture_open(&fixture);
    expect_standard_views(&fixture, "second start");
    fixture_fini(&fixture);
}

TEST(an_open_server_keeps_the_views)
{
    check_upgrade(true, NULL);
}

TEST(an_export_that_is_configured_does_too)
{
    check_upgrade(false, "X");
}

TEST(no_export_is_configured_any_more)
{
    check_upgrade(false, NULL);
}

/* A file whose SQL views an upgrade took away gets them back. */
TEST(lost_views_come_back)
{
    struct fixture fixture;
    make_file(&fixture);
    fixture_open(&fixture);
    fixture_close(&fixture);
    sqlite3 *database = open_file(&fixture);
    execute(database, "DELETE FROM sql_view; DROP VIEW \"X/list\"; DROP VIEW \"X/state\"; "
                      "DROP VIEW \"X/append\"; DROP VIEW \"Y \"\"q\"\"/list\"; "
                      "DROP VIEW \"Y \"\"q\"\"/state\"; DROP VIEW \"Y \"\"q\"\"/append\"");
    sqlite3_close(database);
    fixture_open(&fixture);
    expect_standard_views(&fixture, "afterwards");
    fixture_fini(&fixture);
}

/* The first version gave the SQL view to one of two ids that differ by case alone. */
TEST(names_that_differ_by_case_are_spelt_after_it)
{
    struct fixture fixture;
    struct engine_export_options export = {.name = span_of("x")};
    make_file(&fixture);
    fixture.options.exports = &export;
    fixture.options.export_count = 1;
    fixture_open(&fixture);
    assert_string_equal(ask(&fixture, "SELECT key FROM \"=^X/list\""), "k \n");
    assert_string_equal(ask(&fixture, "SELECT key FROM \"=x/list\""), "");
    assert_string_equal(ask(&fixture, "SELECT key FROM \"X/list\""), "no such table: X/list");
    fixture_fini(&fixture);
}

TEST(names_of_runs_that_ended_are_left_out)
{
    struct fixture fixture;
    make_file(&fixture);
    sqlite3 *database = open_file(&fixture);
    execute(database, producers);
    sqlite3_close(database);
    fixture_open(&fixture);
    assert_string_equal(ask(&fixture, "SELECT name, batch FROM producer ORDER BY batch"),
                        "ingest-00112233445566778899aabbccddeeff 7 \n"
                        "ingest-00112233445566778899AABBCCDDEEFF 8 \n"
                        "ingest-nightly 9 \np 10 \n");
    fixture_fini(&fixture);
}

/* An operator's view of what is gone, which SQLite shows nothing of, is no reason not to start. */
TEST(a_view_that_does_not_resolve_hinders_nothing)
{
    struct fixture fixture;
    make_file(&fixture);
    sqlite3 *database = open_file(&fixture);
    execute(database, "CREATE VIEW broken AS SELECT * FROM \"of former times\"");
    execute(database, "CREATE VIEW \"ops/broken\" AS SELECT absent FROM producer");
    sqlite3_close(database);
    fixture_open(&fixture);
    expect_standard_views(&fixture, "with a broken view");
    fixture_fini(&fixture);
}

/* What killed runs left does not count for ever: a day later it makes room. */
TEST(names_of_killed_runs_make_room)
{
    struct fixture fixture;
    make_file(&fixture);
    fixture.options.max_producers = 3;
    fixture_open(&fixture);
    fixture_close(&fixture);
    sqlite3 *database = open_file(&fixture);
    execute(database, "INSERT INTO producer (name, batch, at) VALUES "
                      "('ingest-00112233445566778899aabbccddee01', 1, 1000), "
                      "('ingest-00112233445566778899aabbccddee02', 1, "
                      "(strftime('%s', 'now') - 80000) * 1000), ('ingest-nightly', 1, 1000)");
    sqlite3_close(database);
    fixture_open(&fixture);
    struct outcome outcome = fixture_apply(&fixture, "@new 1\nX k upsert {}\n");
    assert_int_equal(outcome.error.code, ERROR_NONE);
    assert_int_equal(outcome.applied, 1);
    outcome = fixture_apply(&fixture, "@newer 1\nX k upsert {}\n");
    assert_int_equal(outcome.error.code, ERROR_PRODUCER_LIMIT);
    assert_string_equal(ask(&fixture, "SELECT name FROM producer ORDER BY name"),
                        "ingest-00112233445566778899aabbccddee02 \ningest-nightly \nnew \n");
    fixture_fini(&fixture);
}
