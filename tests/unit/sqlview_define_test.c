/* The SQL views, read as a person would: over another connection. */
#include "sqlview/sqlview.h"
#include "store_fixture.h"

#include <sqlite3.h>

TEST_EACH(set_up, tear_down)

/* All columns and rows of a query, joined with | and a line end. */
static void expect_rows(const char *sql, const char *expected)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    struct lines lines = {.left = 0};
    assert_int_equal(sqlite3_open_v2(fixture.path, &database, SQLITE_OPEN_READONLY, NULL), 0);
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(database));
    }
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const char *text = (const char *)sqlite3_column_text(statement, i);
            add_line(&lines, "%s%s", i ? "|" : "", text ? text : "NULL");
        }
        add_line(&lines, "\n");
    }
    if (result != SQLITE_DONE) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(database));
    }
    sqlite3_finalize(statement);
    sqlite3_close(database);
    assert_string_equal(lines.text, expected);
}

TEST(the_three_standard_views)
{
    begin();
    put(fixture.quake, "b", 7, 1, "{\"n\":1.0}");
    put(fixture.quake, "a", 7, 12, "{\"n\":1e2}");
    put(fixture.quake, "c", 7, 13, "{}");
    take_away(fixture.quake, "c", 8, 0);
    commit();
    expect_rows("SELECT * FROM \"Quake/list\"", "a|7:000000000012|{\"n\":1e2}\n"
                                                "b|7:000000000001|{\"n\":1.0}\n");
    expect_rows("SELECT * FROM \"Quake/list\" WHERE key = 'b'", "b|7:000000000001|{\"n\":1.0}\n");
    expect_rows("SELECT key FROM \"Quake/state\"", "a\nb\n");
    expect_rows("SELECT * FROM \"Quake/append\"", "b|7:000000000001|{\"n\":1.0}|create|1000|1\n"
                                                  "a|7:000000000012|{\"n\":1e2}|create|2000|2\n"
                                                  "c|7:000000000013|{}|create|3000|3\n"
                                                  "c|8:000000000000|NULL|delete|4000|4\n");
}

/* Dotted paths, separated by spaces. */
static void define(const char *id, const char *dotted, const struct span *keys, size_t key_count)
{
    struct span paths[32];
    size_t path_count = 0;
    while (dotted && *dotted) {
        size_t length = strcspn(dotted, " ");
        paths[path_count++] = span_make(dotted, length);
        dotted += length + (dotted[length] != 0);
    }
    OK(sql_view_define(store_writer_state(fixture.writer).sql_views, span_of(id), fixture.quake,
                       paths, path_count, keys, key_count, &fixture.error));
}

static void expect_projection(const char *dotted, const char *data, const char *expected)
{
    struct store_entity entity;
    bool found = false;
    char line[1024];
    begin();
    OK(store_read_entity(store_writer_reader(fixture.writer), fixture.quake, SPAN("k"), &entity,
                         &found, &fixture.error));
    if (found) {
        OK(store_entity_delete(fixture.writer, fixture.quake, entity.id, &fixture.error));
    }
    entity = (struct store_entity){.key = SPAN("k"), .data = span_of(data)};
    OK(store_entity_insert(fixture.writer, fixture.quake, &entity, &fixture.error));
    define("Quake/some", dotted, NULL, 0);
    commit();
    snprintf(line, sizeof line, "%s\n", expected);
    expect_rows("SELECT data FROM \"Quake/some\"", line);
}

TEST(values_keep_their_exact_text)
{
    expect_projection("a b c d e f",
                      "{\"a\":0.1,\"b\":1e2,\"c\":1.0,\"d\":\"12345678901234567\",\"e\":-0,"
                      "\"f\":1E+05,\"g\":0}",
                      "{\"a\":0.1,\"b\":1e2,\"c\":1.0,\"d\":\"12345678901234567\",\"e\":-0,"
                      "\"f\":1E+05}");
    expect_projection(
        "a b c", "{\"a\":\"\\u0001\\n\\\"\\\\ü€😀/\",\"b\":[1.0,{\"x\":1e2}],\"c\":{\"y\":1.50}}",
        "{\"a\":\"\\u0001\\n\\\"\\\\ü€😀/\",\"b\":[1.0,{\"x\":1e2}],\"c\":{\"y\":1.50}}");
    expect_projection("", "{\"any\":1.00}", "{\"any\":1.00}");
}

TEST(what_is_missing_is_absent_and_null_is_null)
{
    expect_projection("a b c", "{\"b\":null,\"x\":1}", "{\"b\":null}");
    expect_projection("a b", "{\"x\":1}", "{}");
    expect_projection("a", "{\"x\":1,\"_seq\":\"1:000000000001\"}",
                      "{\"_seq\":\"1:000000000001\"}");
    expect_projection("_seq a", "{\"a\":1,\"_seq\":\"1\"}", "{\"a\":1,\"_seq\":\"1\"}");
    expect_projection("a.b", "{\"a\":null}", "{\"a\":null}");
}

TEST(what_is_in_the_way_hides_what_it_holds)
{
    expect_projection("a.b", "{\"a\":[1,{\"b\":1.0,\"c\":2},[],[[{\"b\":\"x\"}],\"y\"]]}",
                      "{\"a\":[null,{\"b\":1.0},[],[[{\"b\":\"x\"}],null]]}");
    expect_projection("a.b", "{\"a\":\"secret\",\"c\":1}", "{\"a\":null}");
    expect_projection("a.b", "{\"a\":[]}", "{\"a\":[]}");
    expect_projection("a.b.c", "{\"a\":[{\"b\":[{\"c\":1,\"d\":2}]}]}",
                      "{\"a\":[{\"b\":[{\"c\":1}]}]}");
    expect_projection("a", "{\"\":{\"a\":1},\"a\":2}", "{\"a\":2}");
    expect_projection("a.b", "{\"\":{\"a\":{\"b\":1}}}", "{}");
}

TEST(a_path_is_the_names_joined_with_dots)
{
    expect_projection("a.b", "{\"a.b\":1,\"a\":{\"b\":2,\"c\":3},\"a.c\":4}",
                      "{\"a.b\":1,\"a\":{\"b\":2}}");
    expect_projection("a.b.c", "{\"a.b\":{\"c\":1,\"x\":0},\"a\":{\"b.c\":2,\"b\":5}}",
                      "{\"a.b\":{\"c\":1},\"a\":{\"b.c\":2,\"b\":null}}");
    expect_projection("a a.b.c", "{\"a\":{\"z\":1},\"a.b\":{\"c\":2,\"d\":3},\"a.d\":4}",
                      "{\"a\":{\"z\":1},\"a.b\":{\"c\":2}}");
    expect_projection("a", "{\"a.b\":1}", "{}");
}

TEST(nested_paths_rebuild_their_objects)
{
    expect_projection("a.b.c a.b.d e a.f", "{\"a\":{\"b\":{\"c\":1.0,\"x\":2},\"f\":3},\"e\":{}}",
                      "{\"a\":{\"b\":{\"c\":1.0},\"f\":3},\"e\":{}}");
    expect_projection("a.b.c a.f", "{\"a\":{\"b\":{\"x\":2}}}", "{\"a\":{\"b\":{}}}");
    expect_projection("a.b a", "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1,\"c\":2}}");
    expect_projection("a a.b a", "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1,\"c\":2}}");
}

/* The paths as documents spell them. */
TEST(names_may_be_of_any_kind)
{
    expect_projection(
        "it's sp[0] back\\\\slash tab\\there é",
        "{\"it's\":1,\"sp[0]\":2,\"back\\\\slash\":3,\"tab\\there\":4,\"é\":5,\"x\":6}",
        "{\"it's\":1,\"sp[0]\":2,\"back\\\\slash\":3,\"tab\\there\":4,\"é\":5}");
    expect_projection("q\\\"uote.in\\\"side", "{\"q\\\"uote\":{\"in\\\"side\":1.0,\"x\":2}}",
                      "{\"q\\\"uote\":{\"in\\\"side\":1.0}}");
    expect_projection("$ @ 0 #", "{\"$\":1,\"@\":2,\"0\":3,\"#\":4}",
                      "{\"$\":1,\"@\":2,\"0\":3,\"#\":4}");
    expect_projection("\\u0001\\u001f a", "{\"\\u0001\\u001f\":1,\"a\\u0000b\":2}",
                      "{\"\\u0001\\u001f\":1}");
    expect_projection("q\\\".x q\\\"[",
                      "{\"q\\\"\":{\"x\":5},\"q\\\".x\":-0.50,\"q\\\"[\":\"t\\n\"}",
                      "{\"q\\\"\":{\"x\":5},\"q\\\".x\":-0.50,\"q\\\"[\":\"t\\n\"}");
}

/* Nor is one of its name further in taken for it, or of a name that ends like it. */
TEST(a_member_with_a_quote_in_its_name_is_its_own)
{
    expect_projection("q\\\".b",
                      "{\"c\":[{\"q\\\".b\":{\"q\\\"\":\"x,]\"}}],\"q\\\".b\":-0,\"x\":1}",
                      "{\"q\\\".b\":-0}");
    expect_projection("q\\\".b",
                      "{\"x\\\"q\\\".b\":1,\"q\\\"\":{\"b\":2},\"q\\\".b\":\"\\\"q\\\".b\\\":7\"}",
                      "{\"q\\\"\":{\"b\":2},\"q\\\".b\":\"\\\"q\\\".b\\\":7\"}");
}

TEST(a_thousand_paths_are_not_too_deep)
{
    enum { COUNT = 1000 };
    static char names[COUNT][8];
    static struct span paths[COUNT];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        paths[i] = span_of(names[i]);
    }
    begin();
    put(fixture.quake, "k", 1, 1, "{\"m7\":1.0,\"m999\":2,\"x\":3}");
    OK(sql_view_define(store_writer_state(fixture.writer).sql_views, SPAN("Quake/wide"),
                       fixture.quake, paths, COUNT, NULL, 0, &fixture.error));
    commit();
    expect_rows("SELECT data FROM \"Quake/wide\"", "{\"m7\":1.0,\"m999\":2}\n");
}

TEST(a_view_shows_only_its_keys)
{
    const struct span keys[] = {SPAN("o'clock"), SPAN("n\0l"), SPAN("b")};
    begin();
    put(fixture.quake, "a", 1, 1, "{}");
    put(fixture.quake, "b", 1, 2, "{}");
    put(fixture.quake, "o'clock", 1, 3, "{}");
    struct store_entity entity = {.key = SPAN("n\0l"), .data = SPAN("{}"), .seq = {1, 4}};
    OK(store_entity_insert(fixture.writer, fixture.quake, &entity, &fixture.error));
    define("Quake/few", NULL, keys, 3);
    commit();
    expect_rows("SELECT hex(key) FROM \"Quake/few\"", "6E006C\n6F27636C6F636B\n62\n");
    begin();
    define("Quake/few", NULL, keys, 1); /* again: replaced */
    commit();
    expect_rows("SELECT key FROM \"Quake/few\"", "o'clock\n");
}

static int64_t schema_version(void)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(fixture.path, &database, SQLITE_OPEN_READONLY, NULL), 0);
    assert_int_equal(sqlite3_prepare_v2(database, "PRAGMA schema_version", -1, &statement, NULL),
                     0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t version = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return version;
}

TEST(the_same_definition_changes_nothing)
{
    uint32_t id = 0;
    begin();
    define("Quake/some", "a b.c", NULL, 0);
    commit();
    int64_t before = schema_version();
    begin();
    define("Quake/some", "a b.c", NULL, 0);
    OK(store_export_ensure(fixture.writer, SPAN("Quake"), &id, &fixture.error));
    OK(sql_views_drop_others(store_writer_state(fixture.writer).sql_views,
                             (struct span[]){SPAN("Quake/some")}, 1, &fixture.error));
    commit();
    assert_int_equal(schema_version(), before);
}

TEST(old_views_go_and_standard_ones_come_back)
{
    static const char names[] =
        "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE type = 'view' "
        "ORDER BY name)";
    sqlite3 *database = NULL;
    begin();
    put(fixture.quake, "k", 1, 1, "{\"a\":1,\"b\":2}");
    define("Quake/one", "a", NULL, 0);
    define("Quake/two", "b", NULL, 0);
    define("Quake/list", "a", NULL, 0);
    commit();
    assert_int_equal(sqlite3_open(fixture.path, &database), 0);
    assert_int_equal(sqlite3_exec(database,
                                  "CREATE VIEW \"my/own\" AS SELECT 1; CREATE VIEW mine "
                                  "AS SELECT 2",
                                  NULL, NULL, NULL),
                     0);
    sqlite3_close(database);
    expect_rows("SELECT data FROM \"Quake/list\"", "{\"a\":1}\n");
    begin();
    OK(sql_views_drop_others(store_writer_state(fixture.writer).sql_views,
                             (struct span[]){SPAN("Quake/two"), SPAN("Quake/list")}, 2,
                             &fixture.error));
    commit();
    expect_rows(names, "Quake/append,Quake/list,Quake/state,Quake/two,mine,my/own\n");
    expect_rows("SELECT data FROM \"Quake/list\"", "{\"a\":1}\n");
    begin();
    OK(sql_views_drop_others(store_writer_state(fixture.writer).sql_views, NULL, 0,
                             &fixture.error));
    commit();
    expect_rows(names, "Quake/append,Quake/list,Quake/state,mine,my/own\n");
    expect_rows("SELECT data FROM \"Quake/list\"", "{\"a\":1,\"b\":2}\n");
}

#define NAMES                                                                                      \
    "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE type = 'view' "          \
    "AND name LIKE '%list' ORDER BY name)"

/* Neither of two views has the plain name, which SQLite would take for either. */
TEST(names_that_differ_by_case_alone_are_spelt)
{
    uint32_t small = 0, third = 0;
    begin();
    put(fixture.quake, "capital", 1, 1, "{}");
    commit();
    expect_rows(NAMES, "Quake/list\n");
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("quake"), &small, &fixture.error));
    assert_int_not_equal(small, fixture.quake);
    put(small, "small", 1, 1, "{}");
    commit();
    expect_rows(NAMES, "=^Quake/list,=quake/list\n");
    expect_rows("SELECT key FROM \"=^Quake/list\"", "capital\n");
    expect_rows("SELECT key FROM \"=quake/list\"", "small\n");
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("QUAKE^"), &third, &fixture.error));
    OK(store_export_ensure(fixture.writer, SPAN("quake^"), &third, &fixture.error));
    OK(store_export_ensure(fixture.writer, SPAN("=x"), &third, &fixture.error));
    commit();
    expect_rows(NAMES, "==x/list,=^Q^U^A^K^E^^/list,=^Quake/list,=quake/list,=quake^^/list\n");
    /* Nothing is written a second time. */
    int64_t before = schema_version();
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("quake"), &small, &fixture.error));
    OK(sql_views_drop_others(store_writer_state(fixture.writer).sql_views, NULL, 0,
                             &fixture.error));
    commit();
    assert_int_equal(schema_version(), before);
    check_whole();
}

TEST(a_view_beside_a_standard_one_is_told_from_it)
{
    begin();
    put(fixture.quake, "k", 1, 1, "{\"a\":1,\"b\":2}");
    define("Quake/List", "a", NULL, 0);
    commit();
    expect_rows(NAMES, "=^Quake/^List,=^Quake/list\n");
    expect_rows("SELECT data FROM \"=^Quake/^List\"", "{\"a\":1}\n");
    expect_rows("SELECT data FROM \"=^Quake/list\"", "{\"a\":1,\"b\":2}\n");
    /* When one goes, the other has its plain name again. */
    begin();
    OK(sql_views_drop_others(store_writer_state(fixture.writer).sql_views, NULL, 0,
                             &fixture.error));
    commit();
    expect_rows(NAMES, "Quake/list\n");
    expect_rows("SELECT data FROM \"quake/LIST\"", "{\"a\":1,\"b\":2}\n");
    check_whole();
}

TEST(names_that_sqlite_keeps_for_itself_are_spelt)
{
    uint32_t id = 0;
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("sqlite_x"), &id, &fixture.error));
    put(id, "reserved", 1, 1, "{}");
    OK(store_export_ensure(fixture.writer, SPAN("it's \"odd\""), &id, &fixture.error));
    put(id, "odd", 1, 1, "{}");
    commit();
    expect_rows("SELECT key FROM \"=sqlite_x/list\"", "reserved\n");
    expect_rows("SELECT key FROM \"it's \"\"odd\"\"/list\"", "odd\n");
    check_whole();
}

static void execute(const char *sql)
{
    sqlite3 *database = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(fixture.path, &database), 0);
    if (sqlite3_exec(database, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    sqlite3_close(database);
}

static void note_finding(void *argument, const char *line)
{
    buffer_printf(argument, "%s\n", line);
}

/* Whatever it is named: the check is content with it, and no start drops it. */
TEST(an_own_view_of_the_operator_is_left_alone)
{
    execute("CREATE VIEW \"ops/report\" AS\n-- Of Mondays.\nSELECT 1 AS n;"
            "CREATE VIEW \"ops/in front\" AS SELECT '\" AS\n-- The entities, newest first.' AS n");
    check_whole();
    begin();
    OK(sql_views_drop_others(store_writer_state(fixture.writer).sql_views, NULL, 0,
                             &fixture.error));
    commit();
    check_whole();
    expect_rows("SELECT n FROM \"ops/report\"", "1\n");
    expect_rows("SELECT n FROM \"ops/in front\"", "\" AS\n-- The entities, newest first.\n");
}

/* What somebody did to the views by hand is found, and made good at the next start. */
TEST(views_that_lie_are_found_and_made_anew)
{
    static const char *const lies[][2] = {
        {"DROP VIEW \"Quake/list\"; CREATE VIEW \"Quake/list\" AS SELECT 'x' AS key", "Quake/list"},
        {"DROP VIEW \"Quake/some\"", "Quake/some"},
        {"CREATE VIEW \"Quake/gone\" AS\n-- The entities, newest first.\nSELECT 1", "Quake/gone"},
        {"DELETE FROM sql_view WHERE view = 'Quake/state'", "Quake/state"},
    };
    begin();
    put(fixture.quake, "k", 1, 1, "{\"a\":1}");
    define("Quake/some", "a", NULL, 0);
    commit();
    check_whole();
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct buffer findings;
        uint32_t id;
        buffer_init(&findings, 1 << 16);
        execute(lies[i][0]);
        OK(store_check(fixture.reader, note_finding, &findings, &fixture.error));
        if (!buffer_string(&findings) || !strstr(findings.data, lies[i][1]))
            fail_msg("\"%s\" does not name %s", findings.data, lies[i][1]);
        buffer_fini(&findings);
        begin();
        OK(store_export_ensure(fixture.writer, SPAN("Quake"), &id, &fixture.error));
        define("Quake/some", "a", NULL, 0);
        OK(sql_views_drop_others(store_writer_state(fixture.writer).sql_views,
                                 (struct span[]){SPAN("Quake/some")}, 1, &fixture.error));
        commit();
        check_whole();
        expect_rows("SELECT data FROM \"Quake/some\"", "{\"a\":1}\n");
        expect_rows("SELECT key FROM \"Quake/list\"", "k\n");
    }
}

static void ensure_many(int count)
{
    for (int i = 0; i < count; i++) {
        char name[32];
        uint32_t id;
        snprintf(name, sizeof name, i % 2 ? "it's \"%d" : "Many%d", i / 4 * 4);
        OK(store_export_ensure(fixture.writer, span_of(name), &id, &fixture.error));
    }
}

/* Of many that come in one transaction all but one are written as rows of the schema. */
TEST(many_exports_at_once_have_their_views)
{
    begin();
    ensure_many(200);
    store_rollback(fixture.writer);
    expect_rows("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'Many%'", "0\n");
    begin();
    ensure_many(200);
    commit();
    expect_rows("SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name LIKE 'Many%'",
                "150\n");
    expect_rows("SELECT count(*) FROM sql_view AS v JOIN sqlite_schema AS s ON s.name = v.name "
                "AND s.tbl_name = v.name AND s.rootpage = 0 AND s.sql = 'CREATE VIEW \"' || "
                "replace(v.name, '\"', '\"\"') || '\" AS' || char(10) || v.body",
                "303\n");
    expect_rows("SELECT count(*) FROM \"Many196/list\"", "0\n");
    expect_rows("SELECT count(*) FROM \"it's \"\"196/append\"", "0\n");
    expect_rows("PRAGMA integrity_check", "ok\n");
    /* The writer goes on with what it prepared before, and makes a few one by one. */
    begin();
    uint32_t id;
    OK(store_export_ensure(fixture.writer, SPAN("One"), &id, &fixture.error));
    put(id, "k", 1, 0, "{}");
    commit();
    expect_rows("SELECT key FROM \"One/list\"", "k\n");
    /* It drops one that it wrote as a row. */
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("many196"), &id, &fixture.error));
    put(id, "small", 1, 1, "{}");
    commit();
    expect_rows("SELECT name FROM sqlite_schema WHERE name LIKE '%many196/list' ORDER BY name",
                "=^Many196/list\n=many196/list\n");
    expect_rows("SELECT key FROM \"=many196/list\"", "small\n");
    expect_rows("PRAGMA integrity_check", "ok\n");
    check_whole();
}

TEST(a_view_that_is_defined_twice_is_made_once)
{
    begin();
    put(fixture.quake, "k", 1, 1, "{\"a\":1,\"b\":2}");
    for (int i = 0; i < 2; i++) {
        define("Quake/some", i ? "b" : "a", NULL, 0);
        define("Quake/other", i ? "a" : "b", NULL, 0);
    }
    commit();
    expect_rows("SELECT name FROM sqlite_schema WHERE name IN ('Quake/some', 'Quake/other')",
                "Quake/other\nQuake/some\n");
    expect_rows("SELECT data FROM \"Quake/some\"", "{\"b\":2}\n");
    check_whole();
}

/* ---- exports whose SQL views come later ---- */

#define VIEWS_OF(name) "SELECT count(*) FROM sqlite_schema WHERE name LIKE '" name "/%'"

static void add_exports(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t id;
        OK(store_export_add(fixture.writer, span_of(names[i]), &id, &fixture.error));
    }
}

TEST(views_that_are_due_are_no_damage)
{
    static const char *const names[] = {"A", "B", "C", "D"};
    begin();
    add_exports(names, 2);
    assert_int_equal(store_writer_state(fixture.writer).sql_views_due, 2);
    store_rollback(fixture.writer);
    assert_int_equal(store_writer_state(fixture.writer).sql_views_due, 0);
    begin();
    add_exports(names, 4);
    commit();
    assert_int_equal(store_writer_state(fixture.writer).sql_views_due, 4);
    expect_rows(VIEWS_OF("_"), "0\n");
    check_whole();
    begin();
    OK(store_sql_views_make(fixture.writer, 2, &fixture.error));
    store_rollback(fixture.writer);
    assert_int_equal(store_writer_state(fixture.writer).sql_views_due, 4);
    begin();
    OK(store_sql_views_make(fixture.writer, 2, &fixture.error));
    commit();
    assert_int_equal(store_writer_state(fixture.writer).sql_views_due, 2);
    expect_rows(VIEWS_OF("B"), "3\n");
    expect_rows(VIEWS_OF("C"), "0\n");
    check_whole();
    begin();
    OK(store_sql_views_make(fixture.writer, SIZE_MAX, &fixture.error));
    commit();
    assert_int_equal(store_writer_state(fixture.writer).sql_views_due, 0);
    expect_rows(VIEWS_OF("D"), "3\n");
    check_whole();
}

/* They come in the order of the exports, so one that is passed over was lost. */
TEST(a_view_that_is_not_due_is_missed)
{
    static const char *const names[] = {"A", "B"};
    struct buffer findings;
    begin();
    add_exports(names, 2);
    OK(store_sql_views_make(fixture.writer, SIZE_MAX, &fixture.error));
    commit();
    execute("DELETE FROM sql_view WHERE view LIKE 'A/%'; DROP VIEW \"A/list\"; "
            "DROP VIEW \"A/state\"; DROP VIEW \"A/append\"");
    buffer_init(&findings, 1 << 16);
    OK(store_check(fixture.reader, note_finding, &findings, &fixture.error));
    if (!buffer_string(&findings) || !strstr(findings.data, "view A/append has no SQL view"))
        fail_msg("\"%s\"", findings.data);
    buffer_fini(&findings);
}

/* A view of that name makes room; a table cannot be dropped unasked, and hinders nothing else. */
TEST(a_name_that_somebody_took)
{
    static const char *const names[] = {"A", "B", "C"};
    struct buffer findings;
    execute("CREATE VIEW \"a/List\" AS SELECT 1; CREATE TABLE \"B/list\" (x)");
    begin();
    add_exports(names, 3);
    OK(store_sql_views_make(fixture.writer, SIZE_MAX, &fixture.error));
    commit();
    expect_rows("SELECT type || ' ' || name FROM sqlite_schema WHERE name LIKE '_/list' ORDER BY "
                "upper(name)",
                "view A/list\ntable B/list\nview C/list\n");
    buffer_init(&findings, 1 << 16);
    OK(store_check(fixture.reader, note_finding, &findings, &fixture.error));
    if (!buffer_string(&findings) || !strstr(findings.data, "B/list"))
        fail_msg("\"%s\"", findings.data);
    buffer_fini(&findings);
}

/* ---- what the hash tables of SQLite get, see setup.c ---- */

static uint64_t next_table(void)
{
    void *table = sqlite3_malloc(1024), *other = sqlite3_malloc(8);
    assert_non_null(table);
    assert_non_null(other);
    uint64_t size = sqlite3_msize(table);
    sqlite3_free(table);
    sqlite3_free(other);
    return size;
}

/* 64 chains would make the reading of a schema cost the square of its views. */
TEST(the_table_of_names_grows_with_the_views)
{
    enum { MANY = 5000 };
    uint64_t before = next_table();
    assert_true(before >= 16 * 1024);
    assert_int_equal(next_table(), before);
    sqlite3 *database = NULL;
    char sql[64];
    assert_int_equal(sqlite3_open(":memory:", &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < MANY; i++) {
        snprintf(sql, sizeof sql, "CREATE TABLE t%d (x)", i);
        assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    }
    /* A chain is 16 bytes; there are two names for each at most. */
    assert_true(next_table() >= MANY / 2 * 16);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    uint64_t after = next_table();
    assert_int_equal(next_table(), after);
    assert_true(after <= 16 * MANY);
}
