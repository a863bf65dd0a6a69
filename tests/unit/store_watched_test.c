/* Windows that are watched: their rows over a restart, and what goes when there are many. */
#include "store/store_internal.h"
#include "store/watched.h"
#include "store_fixture.h"

TEST_EACH(set_up, tear_down)

static int64_t grown; /* in this transaction */

static int64_t put_window(const char *name, int64_t change, int64_t at)
{
    int64_t id = 0;
    bool kept;
    struct store_watched window = {.name = span_of(name), .change = change, .at = at};
    OK(store_watched_put(fixture.writer, &window, &id, &kept, &fixture.error));
    assert_int_equal(kept, change >= 0);
    return id;
}

static bool renew(const char *name, int64_t change, int64_t at)
{
    int64_t id;
    bool kept;
    struct store_watched window = {
        .name = span_of(name), .change = change, .at = at, .renewed = true};
    OK(store_watched_put(fixture.writer, &window, &id, &kept, &fixture.error));
    return kept;
}

static void row(int64_t id, const char *key, int64_t left_at)
{
    OK(store_watched_row(fixture.writer, id, span_of(key), left_at, &grown, &fixture.error));
}

static void trim(int64_t id, int64_t before, int64_t keep)
{
    OK(store_watched_trim(fixture.writer, id, before, keep, &grown, &fixture.error));
}

static struct store_watched_state forget(struct store_watched_limits limits)
{
    struct store_watched_state state;
    limits.now = 1000;
    OK(store_watched_forget(fixture.writer, &limits, grown, &state, &fixture.error));
    grown = 0;
    return state;
}

/* What the tables have, as the next transaction finds it. */
static void expect_state(int64_t windows, int64_t rows, int64_t oldest_at)
{
    begin();
    struct store_watched_state state =
        forget((struct store_watched_limits){.rows = 1000, .windows = 1000});
    commit();
    assert_int_equal(state.windows, windows);
    assert_int_equal(state.rows, rows);
    assert_int_equal(state.oldest_at, oldest_at);
    assert_false(state.more);
}

static bool tell(void *lines, struct span key, int64_t left_at)
{
    return add_line(lines, "%.*s %lld\n", (int)key.length, key.data, (long long)left_at);
}

static void expect(const char *name, int64_t change, const char *text)
{
    struct lines lines = {.left = 99};
    int64_t id, as_of;
    bool found;
    OK(store_read_watched(fixture.reader, span_of(name), &id, &as_of, &found, &fixture.error));
    assert_int_equal(found, text != NULL);
    if (!text)
        return;
    assert_int_equal(as_of, change);
    OK(store_scan_watched(fixture.reader, id, tell, &lines, &fixture.error));
    assert_string_equal(lines.text, text);
}

TEST(rows_come_and_leave)
{
    begin();
    int64_t id = put_window("w", 5, 100);
    row(id, "b", 0);
    row(id, "a", 0);
    row(id, "\303\274 '\"", 0);
    row(id, "a", 100);
    commit();
    begin();
    assert_int_equal(put_window("w", 7, 200), id);
    assert_int_not_equal(put_window("v", -1, 200), id);
    row(id, "b", 200);
    row(id, "a", 0);
    commit();
    close_store();
    open_store();
    expect("w", 7, "a 0\nb 200\n\303\274 '\" 0\n");
    expect("v", -1, "");
    expect("u", 0, NULL);
    check_whole();
}

TEST(what_left_is_forgotten_by_age_and_number)
{
    char key[8];
    begin();
    int64_t id = put_window("w", 1, 100), other = put_window("v", 1, 100);
    row(other, "k1", 1);
    row(id, "stays", 0);
    for (int i = 1; i <= 9; i++) {
        snprintf(key, sizeof key, "k%d", i);
        row(id, key, i * 10);
    }
    trim(id, 30, 100);
    commit();
    expect("w", 1, "k3 30\nk4 40\nk5 50\nk6 60\nk7 70\nk8 80\nk9 90\nstays 0\n");
    begin();
    trim(id, 30, 2);
    commit();
    expect("w", 1, "k8 80\nk9 90\nstays 0\n");
    expect("v", 1, "k1 1\n");
    expect_state(2, 4, 100);
}

TEST(windows_that_nobody_watches_go_in_steps)
{
    begin();
    int64_t old = put_window("old", 1, 100), other = put_window("other", 1, 150);
    for (int i = 0; i < 5; i++)
        row(old, (const char *[]){"a", "b", "c", "d", "e"}[i], 0);
    for (int i = 0; i < 2; i++)
        row(other, (const char *[]){"a", "b"}[i], 0);
    put_window("none", -1, 160);
    put_window("young", 1, 300);
    commit();
    static const struct {
        const char *old, *other, *none;
        int64_t rows;
        bool more;
    } left[] = {{"d 0\ne 0\n", "a 0\nb 0\n", "", 4, true},
                {NULL, "b 0\n", "", 1, true},
                {NULL, NULL, NULL, 0, false},
                {NULL, NULL, NULL, 0, false}};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        begin();
        struct store_watched_state after = forget((struct store_watched_limits){
            .before = 200, .rows = 99, .windows = 99, .row_step = 3, .window_step = 9});
        commit();
        expect("old", 1, left[i].old);
        expect("other", 1, left[i].other);
        expect("none", -1, left[i].none);
        assert_int_equal(after.rows, left[i].rows);
        assert_int_equal(after.more, left[i].more);
    }
    expect("young", 1, "");
    expect_state(1, 0, 300);
}

/* Windows without rows cost a job too. */
TEST(windows_go_so_many_at_a_time)
{
    char name[8];
    begin();
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "w%d", i);
        put_window(name, -1, i);
    }
    commit();
    static const int64_t left[] = {13, 6, 0};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        begin();
        struct store_watched_state after = forget((struct store_watched_limits){
            .before = 200, .rows = 99, .windows = 99, .row_step = 3, .window_step = 7});
        commit();
        assert_int_equal(after.windows, left[i]);
        assert_int_equal(after.more, left[i] > 0);
        assert_int_equal(after.oldest_at, left[i] ? 20 - left[i] : INT64_MAX);
    }
}

static bool was_forgotten(void)
{
    struct buffer text;
    bool found;
    buffer_init(&text, 64);
    OK(store_read_meta(fixture.reader, STORE_WATCHED_FORGOTTEN, &text, &found, &fixture.error));
    assert_true(!found || strcmp(buffer_string(&text), "1000") == 0);
    buffer_fini(&text);
    return found;
}

/* The oldest go before their time; a window that went is not taken for one that was kept. */
TEST(tables_are_bounded)
{
    const struct store_watched_limits few_rows = {
        .rows = 5, .windows = 99, .row_step = 4, .window_step = 9};
    begin();
    int64_t first = put_window("first", 1, 100), second = put_window("second", 1, 200);
    for (int i = 0; i < 5; i++) {
        row(first, (const char *[]){"a", "b", "c", "d", "e"}[i], 0);
        row(second, (const char *[]){"a", "b", "c", "d", "e"}[i], 0);
    }
    commit();
    expect_state(2, 10, 100);
    assert_false(was_forgotten());
    begin();
    assert_true(forget(few_rows).more);
    commit();
    assert_true(was_forgotten());
    expect("first", -1, "e 0\n");
    begin();
    assert_false(renew("first", 7, 150)); /* it has not all its rows */
    assert_true(renew("second", 7, 250));
    assert_false(forget(few_rows).more);
    commit();
    expect("first", 0, NULL);
    expect("second", 7, "a 0\nb 0\nc 0\nd 0\ne 0\n");
    begin();
    assert_false(renew("first", 8, 300));
    put_window("third", 8, 400);
    assert_int_equal(forget((struct store_watched_limits){
                                .rows = 99, .windows = 1, .row_step = 9, .window_step = 9})
                         .windows,
                     1);
    commit();
    expect("third", 8, "");
    expect_state(1, 0, 400);
    begin();
    put_window("first", 9, 500); /* it is watched anew, and tells all its rows */
    commit();
    expect("first", 9, "");
}

/* A file of an earlier version does not know how many rows it has. */
TEST(rows_are_counted_once)
{
    begin();
    int64_t id = put_window("w", 1, 100);
    for (int i = 0; i < 3; i++)
        row(id, (const char *[]){"a", "b", "c"}[i], 0);
    commit();
    expect_state(1, 3, 100);
    begin();
    row(id, "a", 50);
    row(id, "d", 0);
    commit();
    expect_state(1, 4, 100);
    begin();
    trim(id, 60, 9);
    commit();
    expect_state(1, 3, 100);
}
