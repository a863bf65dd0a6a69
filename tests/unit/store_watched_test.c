/* Windows that are watched: their rows over a restart, and what goes when there are many. */
#include "store/store_internal.h"
#include "store_fixture.h"

static int64_t put_window(const char *name, int64_t change, int64_t at)
{
    int64_t id = 0;
    struct store_watched window = {.name = span_of(name), .change = change, .at = at};
    OK(store_watched_put(fixture.writer, &window, &id, &fixture.error));
    return id;
}

static void row(int64_t id, const char *key, int64_t left_at)
{
    OK(store_watched_row(fixture.writer, id, span_of(key), left_at, &fixture.error));
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

static void rows_come_and_leave(void **state)
{
    (void)state;
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

static void what_left_is_forgotten_by_age_and_number(void **state)
{
    (void)state;
    char key[8];
    begin();
    int64_t id = put_window("w", 1, 100), other = put_window("v", 1, 100);
    row(other, "k1", 1);
    row(id, "stays", 0);
    for (int i = 1; i <= 9; i++) {
        snprintf(key, sizeof key, "k%d", i);
        row(id, key, i * 10);
    }
    OK(store_watched_trim(fixture.writer, id, 30, 100, &fixture.error));
    commit();
    expect("w", 1, "k3 30\nk4 40\nk5 50\nk6 60\nk7 70\nk8 80\nk9 90\nstays 0\n");
    begin();
    OK(store_watched_trim(fixture.writer, id, 30, 2, &fixture.error));
    commit();
    expect("w", 1, "k8 80\nk9 90\nstays 0\n");
    expect("v", 1, "k1 1\n");
}

static void a_window_that_nobody_watches_goes_in_steps(void **state)
{
    (void)state;
    begin();
    int64_t old = put_window("old", 1, 100);
    put_window("young", 1, 300);
    for (int i = 0; i < 5; i++)
        row(old, (const char *[]){"a", "b", "c", "d", "e"}[i], 0);
    commit();
    static const char *const left[] = {"c 0\nd 0\ne 0\n", "e 0\n", NULL, NULL};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        begin();
        OK(store_watched_forget(fixture.writer, 200, 2, &fixture.error));
        commit();
        expect("old", 1, left[i]);
    }
    expect("young", 1, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_come_and_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_left_is_forgotten_by_age_and_number, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_window_that_nobody_watches_goes_in_steps, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
