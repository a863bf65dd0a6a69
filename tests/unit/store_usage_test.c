/* The spool of usage events: in order, each with an id of its own, bounded, and whole. */
#include "store/store_internal.h"
#include "store_fixture.h"

TEST_EACH(set_up, tear_down)

enum { MANY = 1000, LARGE = 1 << 20 };

static void add(int64_t at, const char *text)
{
    struct store_usage_event event = {.at = at, .event = span_of(text)};
    OK(store_usage_put(fixture.writer, &event, &fixture.error));
}

static bool tell(void *lines, const struct store_usage_event *event)
{
    assert_int_equal(event->event_id.length, 36);
    return add_line(lines, "%lld %lld %.*s\n", (long long)event->id, (long long)event->at,
                    (int)event->event.length, event->event.data);
}

static void expect(int64_t after, int64_t limit, const char *text)
{
    struct lines lines = {.left = 99};
    OK(store_read_usage(fixture.reader, after, limit, tell, &lines, &fixture.error));
    assert_string_equal(lines.text, text);
}

static void expect_state(int64_t rows, int64_t bytes, int64_t dropped)
{
    struct store_usage_state state;
    OK(store_read_usage_state(fixture.reader, &state, &fixture.error));
    assert_int_equal(state.rows, rows);
    assert_int_equal(state.bytes, bytes);
    assert_int_equal(state.dropped, dropped);
    assert_memory_equal(&state, store_writer_state(fixture.writer).usage, sizeof state);
    check_whole();
}

TEST(what_is_put_is_read_until_it_is_removed)
{
    begin();
    add(11, "{\"a\":1}");
    add(12, "{\"b\":\"\303\274\"}"); /* a letter of two bytes */
    add(13, "{}");
    commit();
    expect(0, 10, "1 11 {\"a\":1}\n2 12 {\"b\":\"\303\274\"}\n3 13 {}\n");
    expect(1, 1, "2 12 {\"b\":\"\303\274\"}\n");
    expect_state(3, 3 * 64 + 7 + 10 + 2, 0);
    begin();
    OK(store_usage_remove(fixture.writer, 1, 2, &fixture.error));
    commit();
    expect(0, 10, "3 13 {}\n");
    expect_state(1, 66, 0);
    begin();
    OK(store_usage_remove(fixture.writer, 1, 2, &fixture.error)); /* again: nothing */
    OK(store_usage_remove(fixture.writer, 3, 3, &fixture.error));
    commit();
    expect_state(0, 0, 0);
    close_store();
    open_store();
    begin();
    add(14, "{}");
    commit();
    expect(0, 10, "4 14 {}\n"); /* a number is never used twice */
    expect_state(1, 66, 0);
}

static bool keep_id(void *ids, const struct store_usage_event *event)
{
    memcpy(((char(*)[40])ids)[event->id - 1], event->event_id.data, 36);
    return true;
}

TEST(ids_are_unlike_and_stay)
{
    char before[100][40] = {{0}}, after[100][40] = {{0}};
    begin();
    for (int i = 0; i < 100; i++)
        add(i, "{}");
    commit();
    OK(store_read_usage(fixture.reader, 0, MANY, keep_id, before, &fixture.error));
    close_store();
    open_store();
    OK(store_read_usage(fixture.reader, 0, MANY, keep_id, after, &fixture.error));
    assert_memory_equal(before, after, sizeof before);
    for (int i = 0; i < 100; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(before[i], before[j]);
}

TEST(the_oldest_give_way)
{
    begin();
    for (int i = 1; i <= 10; i++)
        add(i, "{}");
    OK(store_usage_trim(fixture.writer, 8, LARGE, MANY, &fixture.error));
    commit();
    expect(0, 1, "3 3 {}\n");
    expect_state(8, 8 * 66, 2);
    begin();
    OK(store_usage_trim(fixture.writer, MANY, 6 * 66, MANY, &fixture.error)); /* by bytes */
    commit();
    expect(0, 1, "5 5 {}\n");
    expect_state(6, 6 * 66, 4);
    begin();
    OK(store_usage_trim(fixture.writer, 1, LARGE, 3, &fixture.error)); /* in steps */
    commit();
    expect(0, 1, "8 8 {}\n");
    begin();
    OK(store_usage_trim(fixture.writer, 1, 1, MANY, &fixture.error)); /* all, if need be */
    commit();
    expect_state(0, 0, 10);
}

TEST(a_rollback_takes_all_back)
{
    begin();
    add(1, "{}");
    commit();
    begin();
    add(2, "{}");
    OK(store_usage_trim(fixture.writer, 1, LARGE, MANY, &fixture.error));
    store_rollback(fixture.writer);
    expect(0, 10, "1 1 {}\n");
    expect_state(1, 66, 0);
}

TEST(wrong_counters_are_found)
{
    int findings = 0;
    begin();
    add(1, "{}");
    OK(connection_execute(&fixture.writer->connection, "DELETE FROM usage_event", &fixture.error));
    commit();
    OK(store_check(fixture.reader, count_finding, &findings, &fixture.error));
    assert_int_equal(findings, 1);
}
