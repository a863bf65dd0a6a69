/* What changed behind what is noted of windows: kept where the log loses it, pinned at a start. */
#include "store/stage.h"
#include "store/store_internal.h"
#include "store/watched.h"
#include "store_fixture.h"

TEST_EACH(set_up, tear_down)

static void change_of(const char *key, const char *scope, const char *left)
{
    struct store_change change = {.id = last_change() + 1,
                                  .export_id = fixture.quake,
                                  .operation = ROW_PATCH,
                                  .seq = {last_change() + 1, 0},
                                  .at = 1,
                                  .key = span_of(key),
                                  .patch = SPAN("{}"),
                                  .scope = scope ? span_of(scope) : span_make(NULL, 0),
                                  .scope_left = left ? span_of(left) : span_make(NULL, 0)};
    OK(store_change_append(fixture.writer, &change, &fixture.error));
}

/* Changes of the keys that these letters are. */
static void changes(const char *keys)
{
    for (; *keys; keys++) {
        char key[2] = {*keys, 0};
        change_of(key, NULL, NULL);
    }
}

static void many_changes(int count, const char *prefix)
{
    for (int i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s%d", prefix, i);
        change_of(key, NULL, NULL);
    }
}

static void trim_to(int64_t rows, int64_t watched)
{
    struct store_retention retention = {.rows = rows};
    bool more = true;
    while (more) {
        OK(store_trim(fixture.writer, &retention, 0, 100000, watched, &more, &fixture.error));
    }
}

static void start(bool keep, bool expect_anew)
{
    bool anew;
    OK(store_watched_keys_start(fixture.writer, keep, &anew, &fixture.error));
    assert_int_equal(anew, expect_anew);
}

static void pin(int64_t from, int64_t to)
{
    OK(store_watched_keys_pin(fixture.writer, from, to, &fixture.error));
}

static bool tell(void *lines, struct span key, struct span label, int64_t change)
{
    return add_line(lines, "%.*s%.*s%lld ", (int)key.length, key.data, (int)label.length,
                    label.data, (long long)change);
}

static void expect(bool pinned, int64_t from, int64_t to, const char *text)
{
    struct lines lines = {.left = 99};
    OK(store_scan_watched_keys(fixture.reader, pinned, fixture.quake, from, to, tell, &lines,
                               &fixture.error));
    assert_string_equal(lines.text, text);
}

static int64_t count(bool pinned)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(fixture.reader->connection.sqlite,
                                        "SELECT count(*) FROM watched_key WHERE pinned = ?", -1,
                                        &statement, NULL),
                     SQLITE_OK);
    sqlite3_bind_int(statement, 1, pinned);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t rows = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rows;
}

static void expect_floor(int64_t expected)
{
    int64_t floor;
    OK(store_read_watched_floor(fixture.reader, &floor, &fixture.error));
    assert_int_equal(floor, expected);
}

/* ---- the cases ---- */

TEST(what_is_trimmed_stays_known_behind_a_change)
{
    uint32_t other;
    expect_floor(-1);
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("Other"), &other, &fixture.error));
    start(true, true);
    changes("abcab");
    change_of("d", "\"x\"", NULL);
    change_of("d", "*", "\"x\"");
    OK(try_append(other, "foreign", ROW_PATCH, (struct seq){8, 0}, 1, "{}"));
    changes("z");
    trim_to(1, 2);
    commit();
    expect_floor(0);
    expect(false, 0, INT64_MAX, "c3 a4 b5 d\"x\"6 d\"x\"7 d*7 ");
    expect(false, 4, 6, "a4 b5 d\"x\"6 ");
    begin();
    changes("yx");
    trim_to(1, INT64_MAX); /* nobody asks any more */
    commit();
    expect(false, 0, INT64_MAX, "");
    check_whole();
}

TEST(what_nobody_asks_for_any_more_is_not_claimed)
{
    begin();
    start(true, true);
    changes("abcdef");
    trim_to(1, 0);
    commit();
    expect(false, 0, INT64_MAX, "a1 b2 c3 d4 e5 ");
    begin();
    changes("g");
    trim_to(1, 3);
    commit();
    expect(false, 0, INT64_MAX, "c3 d4 e5 f6 ");
    expect_floor(3);
    begin();
    start(true, false);
    start(false, false); /* a setting says that none are kept */
    commit();
    expect_floor(-1);
    expect(false, 0, INT64_MAX, "");
    begin();
    start(true, true);
    commit();
    expect_floor(6);
}

TEST(what_time_moved_is_known_too)
{
    begin();
    start(true, true);
    changes("abcd");
    for (int64_t change = 1; change <= 3; change++) {
        OK(store_membership_put(fixture.writer, change, fixture.quake, SPAN("m"), &fixture.error));
    }
    trim_to(1, 2);
    commit();
    expect(false, 0, INT64_MAX, "m~2 c3 ");
    begin();
    pin(2, 4); /* of both, also what the log still has */
    commit();
    expect(true, 0, INT64_MAX, "c3 m~3 d4 ");
}

TEST(a_rollback_takes_it_back)
{
    begin();
    start(true, true);
    changes("abcd");
    commit();
    begin();
    trim_to(1, 0);
    store_rollback(fixture.writer);
    expect(false, 0, INT64_MAX, "");
    assert_int_equal(fixture.writer->now.watched_keys, 0);
    begin();
    trim_to(2, 0);
    commit();
    expect(false, 0, INT64_MAX, "a1 b2 ");
    close_store();
    open_store();
    assert_int_equal(fixture.writer->now.watched_keys, 2);
}

TEST(the_oldest_of_too_many_go)
{
    begin();
    start(true, true);
    many_changes(STORE_WATCHED_CHANGES + 2, "k");
    trim_to(1, 0);
    commit();
    expect_floor(2);
    assert_int_equal(count(false), STORE_WATCHED_CHANGES);
    expect(false, 0, 3, "k12 k23 ");
}

TEST(what_is_pinned_outlives_the_log_and_goes_by_its_change)
{
    begin();
    start(true, true);
    changes("abaXc");
    trim_to(2, 1); /* some of it is trimmed before the start, some after */
    pin(1, 5);
    commit();
    expect(true, 0, INT64_MAX, "b2 a3 X4 c5 ");
    begin();
    many_changes(50, "late");
    trim_to(1, 1);
    changes("Xd");
    pin(55, 57);
    commit();
    expect(true, 0, INT64_MAX, "b2 a3 X4 c5 X56 d57 ");
    expect(true, 2, 5, "b2 a3 X4 c5 ");
    begin();
    OK(store_watched_keys_unpin(fixture.writer, 4, 1, &fixture.error));
    commit();
    expect(true, 0, 10, "a3 X4 c5 ");
    begin();
    OK(store_watched_keys_unpin(fixture.writer, 55, 100, &fixture.error));
    commit();
    expect(true, 0, INT64_MAX, "X56 d57 ");
    check_whole();
}

TEST(the_newest_of_too_many_are_pinned)
{
    begin();
    start(true, true);
    changes("ab");
    pin(0, 2);
    many_changes(STORE_WATCHED_PINNED + 5, "k");
    pin(2, last_change());
    commit();
    assert_int_equal(count(true), STORE_WATCHED_PINNED);
    expect(true, 0, 9, "k58 k69 ");
}

/* What time moved is noted behind a log's trimming, and may be older than what was dropped there.
 */
TEST(the_floor_never_falls)
{
    int64_t floor, later;
    begin();
    start(true, true);
    many_changes(STORE_WATCHED_CHANGES + 22, "k");
    OK(store_membership_put(fixture.writer, 10, fixture.quake, SPAN("m"), &fixture.error));
    trim_to(1, 5);
    commit();
    OK(store_read_watched_floor(fixture.reader, &floor, &fixture.error));
    assert_true(floor >= 22);
    begin();
    OK(store_membership_put(fixture.writer, 11, fixture.quake, SPAN("n"), &fixture.error));
    trim_to(1, 5);
    commit();
    OK(store_read_watched_floor(fixture.reader, &later, &fixture.error));
    assert_true(later >= floor);
}
