/* The rows of a subscription as a table: the order, the frames, and what fits into the picture. */
#include "memory_fault.h"
#include "terminal/columns.h"
#include "terminal/table_scroll.h"
#include "test.h"

#include <locale.h>

static void take_utf8(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
}

TEST_ALL(take_utf8, NULL)

static void apply(struct table *table, const char *frame)
{
    struct error error = {.message = ""};
    if (!table_apply(table, span_of(frame), &error))
        fail_msg("%s: %s", frame, error.message);
}

static void expect_keys(const struct table *table, const char *keys)
{
    struct buffer found;
    buffer_init(&found, 4096);
    for (size_t i = 0; i < table->count; i++) {
        buffer_add_string(&found, i ? " " : "");
        buffer_add_span(&found, table->list[i]->key);
    }
    assert_string_equal(buffer_string(&found), keys);
    buffer_fini(&found);
}

static void expect_picture(const struct table *table, size_t width, size_t height,
                           const char *columns, const char *picture)
{
    struct buffer out;
    const struct table_look look = {
        .width = width, .height = height, .title = "T", .columns = {.names = columns}};
    buffer_init(&out, 65536);
    assert_true(table_print(table, &look, &out));
    assert_string_equal(buffer_string(&out), picture);
    buffer_fini(&out);
}

#define SUBSCRIBED(field, order)                                                                   \
    "{\"op\":\"subscribed\",\"view\":\"V\",\"mode\":\"list\",\"sort\":{\"field\":[" field          \
    "],\"order\":\"" order "\"}}"
#define UPSERT(key, data) "{\"op\":\"upsert\",\"key\":\"" key "\",\"data\":" data "}"

/* Keys in the order of their values; for one kind of value after the other. */
static const char *const ordered[] = {
    UPSERT("b0", "{\"v\":false}"),
    UPSERT("b1", "{\"v\":true}"),
    UPSERT("n0", "{\"v\":\"-9007199254740993\"}"),
    UPSERT("n1", "{\"v\":-1.5}"),
    UPSERT("n2", "{\"v\":0}"),
    UPSERT("n3", "{\"v\":2e0}"),
    UPSERT("n4", "{\"v\":\"10\"}"),
    UPSERT("n5", "{\"v\":\"9007199254740993\"}"),
    UPSERT("s0", "{\"v\":\"\"}"),
    UPSERT("s1", "{\"v\":\"010\"}"),
    UPSERT("s2", "{\"v\":\"09\"}"),
    UPSERT("s3", "{\"v\":\"\\u00e9\"}"),
    UPSERT("x0", "{\"v\":null}"),
    UPSERT("x1", "{}"),
};
enum { ORDERED = sizeof ordered / sizeof *ordered };

TEST(rows_stand_in_the_order_of_the_view)
{
    for (size_t step = 1; step < ORDERED; step += 2) { /* in several orders of arrival */
        struct table table;
        table_init(&table);
        apply(&table, SUBSCRIBED("\"v\"", "asc"));
        for (size_t i = 0; i < ORDERED; i++)
            apply(&table, ordered[(i * step + 5) % ORDERED]);
        if (step != 7) /* which has a divisor in common */
            expect_keys(&table, "b0 b1 n0 n1 n2 n3 n4 n5 s0 s1 s2 s3 x0 x1");
        table_fini(&table);
        table_init(&table);
        apply(&table, SUBSCRIBED("\"v\"", "desc"));
        for (size_t i = 0; i < ORDERED; i++)
            apply(&table, ordered[(i * step + 3) % ORDERED]);
        if (step != 7)
            expect_keys(&table, "s3 s2 s1 s0 n5 n4 n3 n2 n1 n0 b1 b0 x0 x1");
        table_fini(&table);
    }
}

TEST(ties_go_by_key_and_deep_paths_are_found)
{
    struct table table;
    table_init(&table);
    apply(&table, SUBSCRIBED("\"a\",\"b \\\"c\\\"\"", "desc"));
    apply(&table, UPSERT("z", "{\"a\":{\"b \\\"c\\\"\":1}}"));
    apply(&table, UPSERT("a", "{\"a\":{\"b \\\"c\\\"\":1.0}}"));
    apply(&table, UPSERT("m", "{\"a\":{\"b \\\"c\\\"\":2}}"));
    apply(&table, UPSERT("none", "{\"a\":7}"));
    expect_keys(&table, "m a z none");
    table_fini(&table);
}

TEST(without_another_order_the_newest_comes_first)
{
    struct table table;
    table_init(&table);
    apply(&table, SUBSCRIBED("\"_seq\"", "desc"));
    apply(&table, UPSERT("old", "{\"_seq\":\"9:000000000001\"}"));
    apply(&table, UPSERT("new", "{\"_seq\":\"10:000000000000\"}"));
    apply(&table, UPSERT("a", "{\"_seq\":\"9:000000000001\"}"));
    expect_keys(&table, "new a old");
    apply(&table, "{\"op\":\"patch\",\"key\":\"old\",\"data\":{\"_seq\":\"10:000000000001\"}}");
    expect_keys(&table, "old new a");
    table_fini(&table);
}

TEST(rows_stand_in_the_order_of_all_keys)
{
    struct table table;
    table_init(&table);
    apply(&table,
          "{\"op\":\"subscribed\",\"sort\":{\"field\":[\"g\"],\"order\":\"desc\"},\"sorts\":[{"
          "\"field\":[\"g\"],\"order\":\"desc\"},{\"field\":[\"o\",\"n\"],\"order\":\"asc\"}]}");
    apply(&table, UPSERT("a", "{\"g\":1,\"o\":{\"n\":1}}"));
    apply(&table, UPSERT("b", "{\"g\":2,\"o\":{\"n\":2}}"));
    apply(&table, UPSERT("c", "{\"g\":2,\"o\":{\"n\":1}}"));
    apply(&table, UPSERT("d", "{\"g\":2,\"o\":{\"n\":1.0}}"));
    expect_keys(&table, "c d b a");
    table_fini(&table);
}

TEST(frames_are_applied_as_by_any_client)
{
    struct table table;
    table_init(&table);
    apply(&table, SUBSCRIBED("\"n\"", "asc"));
    apply(&table, "{\"op\":\"snapshot\",\"data\":[{\"key\":\"a\",\"data\":{\"n\":1,\"o\":{\"x\":1,"
                  "\"l\":[1]}}},{\"key\":\"b\",\"data\":{\"n\":2}}],\"complete\":true}");
    apply(&table,
          "{\"op\":\"patch\",\"key\":\"a\",\"data\":{\"n\":3,\"o\":{\"l\":[2],\"y\":true},\"_seq\":"
          "\"1:000000000001\"},\"append\":[\"o.l\"]}");
    expect_keys(&table, "b a");
    struct span data = table.list[1]->data;
    assert_true(span_equal(data, span_of("{\"n\":3,\"o\":{\"x\":1,\"l\":[1,2],\"y\":true},"
                                         "\"_seq\":\"1:000000000001\"}")));
    apply(&table, "{\"op\":\"delete\",\"key\":\"b\",\"data\":null}");
    apply(&table, "{\"op\":\"delete\",\"key\":\"nobody\",\"data\":null}");
    apply(&table, "{\"op\":\"patch\",\"key\":\"c\",\"data\":{\"n\":0}}");
    apply(&table, "{\"op\":\"something new\"}");
    expect_keys(&table, "c a");
    apply(&table, "{\"op\":\"subscribed\",\"resumed\":true}");
    expect_keys(&table, "c a");
    apply(&table, "{\"op\":\"subscribed\",\"resumed\":false}");
    expect_keys(&table, "");
    table_fini(&table);
}

TEST(strange_frames_are_refused)
{
    static const char *const frames[] = {
        "{\"op\":\"upsert\",\"key\":\"a\",\"data\":[]}",
        "{\"op\":\"upsert\",\"data\":{}}",
        "{\"op\":\"upsert\",\"key\":7,\"data\":{}}",
        "{\"op\":\"snapshot\",\"data\":{}}",
        "{\"op\":\"snapshot\",\"data\":[1]}",
        "{\"op\":\"delete\"}",
        "{\"op\":\"patch\",\"key\":\"a\"}",
        "{\"op\":\"subscribed\",\"sort\":{\"field\":[\"a\"]},\"sorts\":[1]}",
        "{\"op\":\"subscribed\",\"sort\":{\"field\":[]}}",
        "no JSON",
    };
    struct table table;
    table_init(&table);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct error error = {.code = ERROR_NONE};
        if (table_apply(&table, span_of(frames[i]), &error) || error.code == ERROR_NONE)
            fail_msg("taken: %s", frames[i]);
    }
    assert_int_equal(table.count, 0);
    table_fini(&table);
}

static void fill(struct table *table)
{
    table_init(table);
    apply(table, SUBSCRIBED("\"mag\"", "desc"));
    apply(table, UPSERT("k1", "{\"place\":\"Hualian, Taiwan\",\"mag\":6.4,\"deep\":{\"x\":1},"
                              "\"ok\":true,\"_seq\":\"0:1\"}"));
    apply(table, UPSERT("k2", "{\"place\":\"Köln\",\"mag\":10,\"list\":[1],\"ok\":null}"));
    apply(table, UPSERT("k3", "{\"mag\":-1,\"place\":\"a\\u001b[2Jb\\nc\",\"more\":\"日本\"}"));
}

TEST(the_picture_has_what_the_rows_hold)
{
    struct table table;
    fill(&table);
    expect_picture(&table, 80, 24, NULL,
                   "T  3 rows\n"
                   "key  mag  place            ok    more\n"
                   "k2    10  Köln\n"
                   "k1   6.4  Hualian, Taiwan  true\n"
                   "k3    -1  a [2Jb c               日本\n");
    expect_picture(&table, 80, 24, "place,deep.x,nothing,mag",
                   "T  3 rows\n"
                   "key  place            deep.x  nothing  mag\n"
                   "k2   Köln                               10\n"
                   "k1   Hualian, Taiwan       1           6.4\n"
                   "k3   a [2Jb c                           -1\n");
    table_fini(&table);
}

TEST(the_picture_fits)
{
    struct table table;
    fill(&table);
    expect_picture(&table, 20, 4, NULL,
                   "T  the first 2 of 3…\n"
                   "key  mag  place\n"
                   "k2    10  Köln\n"
                   "k1   6.4  Hualian, …\n");
    expect_picture(&table, 9, 3, "more",
                   "T  the f…\n"
                   "key  more\n"
                   "k2\n");
    expect_picture(&table, 8, 3, "more",
                   "T  the …\n"
                   "key\n"
                   "k2\n");
    expect_picture(&table, 1, 1, NULL, "…\n");
    for (size_t width = 1; width < 60; width++) {
        for (size_t height = 1; height < 8; height++) {
            struct buffer out;
            const struct table_look look = {
                .width = width, .height = height, .title = "a long title"};
            buffer_init(&out, 65536);
            assert_true(table_print(&table, &look, &out));
            size_t lines = 0, wide = 0;
            for (size_t i = 0; i < out.length; i++) {
                /* "日本" is as wide as four letters, and three bytes long for two of them. */
                bool first = ((unsigned char)out.data[i] & 0xc0) != 0x80;
                wide += first && out.data[i] != '\n';
                wide += first && (unsigned char)out.data[i] == 0xe6;
                assert_true(wide <= width);
                lines += out.data[i] == '\n';
                wide = out.data[i] == '\n' ? 0 : wide;
            }
            assert_true(lines <= height);
            buffer_fini(&out);
        }
    }
    table_fini(&table);
}

static void expect_scrolled(const struct table *table, struct table_scroll *scroll, size_t width,
                            size_t height, const char *picture)
{
    struct buffer out;
    const struct table_look look = {.width = width,
                                    .height = height,
                                    .title = "T",
                                    .scroll = scroll,
                                    .state = "here",
                                    .colours = true};
    buffer_init(&out, 65536);
    assert_true(table_print(table, &look, &out));
    assert_string_equal(buffer_string(&out), picture);
    buffer_fini(&out);
}

TEST(a_selected_row_is_shown_and_stays_on_its_line)
{
    struct table table;
    struct table_scroll scroll;
    fill(&table);
    table_expire(&table, UINT64_MAX);
    table_scroll_init(&scroll);
    expect_scrolled(&table, &scroll, 40, 4,
                    "T  the first 2 of 3 rows  here\n"
                    "   key  mag  place            ok\n"
                    "   k2    10  Köln\n"
                    "   k1   6.4  Hualian, Taiwan  true\n");
    assert_true(table_scroll_move(&scroll, &table, KEY_END));
    expect_scrolled(&table, &scroll, 60, 4,
                    "T  rows 2-3 of 3  here\n"
                    "   key  mag  place            ok    more\n"
                    "   k1   6.4  Hualian, Taiwan  true\n"
                    ">  \033[7mk3 \033[0m  \033[7m -1\033[0m  \033[7ma [2Jb c       \033[0m  "
                    "\033[7m    \033[0m  \033[7m日本\033[0m\n");
    table.now_us = 100;
    apply(&table, "{\"op\":\"patch\",\"key\":\"k1\",\"data\":{\"mag\":7}}");
    apply(&table, UPSERT("k0", "{\"mag\":8}"));
    table_scroll_move(&scroll, &table, KEY_UP);
    table_scroll_move(&scroll, &table, KEY_RIGHT); /* all are shown */
    expect_scrolled(&table, &scroll, 60, 5,
                    "T  rows 2-4 of 4  here\n"
                    "   key  mag  place            ok    more\n"
                    " + \033[1m\033[32mk0 \033[0m  \033[1m\033[32m  8\033[0m  "
                    "\033[1m\033[32m               \033[0m  \033[1m\033[32m    \033[0m  "
                    "\033[1m\033[32m    \033[0m\n"
                    ">* \033[7mk1 \033[0m  \033[7m\033[1m\033[33m  7\033[0m  "
                    "\033[7mHualian, Taiwan\033[0m  \033[7mtrue\033[0m  \033[7m    \033[0m\n"
                    "   k3    -1  a [2Jb c               日本\n");
    assert_false(table_expire(&table, 100 + TABLE_MARK_US - 1));
    assert_true(table_expire(&table, 100 + TABLE_MARK_US));
    assert_false(table_expire(&table, UINT64_MAX));
    table_scroll_fini(&scroll);
    table_fini(&table);
}

TEST(marks_are_of_changes_not_of_snapshots)
{
    struct table table;
    table_init(&table);
    apply(&table, SUBSCRIBED("\"mag\"", "desc"));
    apply(&table, "{\"op\":\"snapshot\",\"data\":[{\"key\":\"a\",\"data\":{\"mag\":1}},"
                  "{\"key\":\"b\",\"data\":{\"mag\":0}}],\"complete\":true}");
    assert_true(link_alone(&table.marks));
    apply(&table, UPSERT("a", "{\"mag\":1}"));
    assert_true(link_alone(&table.marks));
    apply(&table, UPSERT("a", "{\"mag\":2}"));
    assert_false(table.list[0]->mark->came);
    apply(&table, UPSERT("a", "{\"mag\":2}")); /* the same again: what was marked stays so */
    assert_true(span_equal(table.list[0]->mark->before, span_of("{\"mag\":1}")));
    apply(&table, "{\"op\":\"delete\",\"key\":\"a\"}");
    assert_true(link_alone(&table.marks));
    apply(&table, UPSERT("c", "{\"mag\":5}"));
    assert_true(table.list[0]->mark->came);
    apply(&table, "{\"op\":\"subscribed\",\"resumed\":true}");
    apply(&table, "{\"op\":\"snapshot\",\"data\":[{\"key\":\"b\",\"data\":{\"mag\":9}}]}");
    assert_false(table.list[0]->mark->came);
    apply(&table, "{\"op\":\"subscribed\"}");
    assert_true(link_alone(&table.marks));
    table_fini(&table);
}

/* Against a list of keys: whatever happens, what is shown is a part of the table that has the
 * selected row on the line that it says. */
TEST(a_scroll_is_always_within_the_table)
{
    struct table table;
    struct table_scroll scroll;
    uint32_t state = 7;
    table_init(&table);
    table_scroll_init(&scroll);
    apply(&table, SUBSCRIBED("\"mag\"", "desc"));
    for (int round = 0; round < 20000; round++) {
        char frame[200];
        state = state * 1664525 + 1013904223;
        unsigned pick = (state >> 16) % 100, key = (state >> 8) % 12;
        size_t rows = (state >> 20) % 6;
        if (pick < 30)
            snprintf(frame, sizeof frame, UPSERT("k%u", "{\"mag\":%u}"), key, pick);
        else
            snprintf(frame, sizeof frame, "{\"op\":\"delete\",\"key\":\"k%u\"}", key);
        if (pick < 60)
            apply(&table, frame);
        else
            table_scroll_move(&scroll, &table,
                              (enum key)(KEY_UP + (int)((pick - 60) % (KEY_ESCAPE - KEY_UP + 1))));
        size_t top = table_scroll_top(&scroll, &table, rows);
        assert_true(top <= table.count);
        assert_true(top == 0 || top + rows <= table.count);
        if (!scroll.selects || !rows || !table.count)
            continue;
        assert_true(scroll.line < rows && top + scroll.line < table.count);
        assert_true(span_equal(table.list[top + scroll.line]->key, buffer_span(&scroll.key)));
    }
    table_scroll_fini(&scroll);
    table_fini(&table);
}

TEST(every_allocation_may_fail)
{
    int whole = 0;
    for (uint64_t n = 1;; n++) {
        struct table table;
        struct error error = {.code = ERROR_NONE};
        struct buffer out;
        struct table_scroll scroll;
        const char *const times[] = {"at"};
        const struct table_look look = {.width = 80,
                                        .height = 24,
                                        .title = "T",
                                        .columns = {n % 2 ? "mag,place" : NULL, times, 1},
                                        .scroll = &scroll};
        table_scroll_init(&scroll);
        table_init(&table);
        buffer_init(&out, 65536);
        memory_fail_at(n, 0);
        bool good = table_apply(&table, span_of(SUBSCRIBED("\"v\"", "asc")), &error) &&
                    table_apply(&table, span_of(ordered[3]), &error) &&
                    table_apply(&table, span_of(ordered[5]), &error) &&
                    table_apply(&table,
                                span_of("{\"op\":\"patch\",\"key\":\"n1\",\"data\":{\"l\":[1]},"
                                        "\"append\":[\"l\"]}"),
                                &error);
        assert_true(good || error.code == ERROR_MEMORY);
        if (good)
            table_scroll_move(&scroll, &table, KEY_END);
        good = good && table_print(&table, &look, &out);
        bool hit = memory_fault_hit();
        memory_fail_at(0, 0);
        table_scroll_fini(&scroll);
        table_fini(&table);
        buffer_fini(&out);
        assert_true(good || hit);
        if (!hit && ++whole == 2) /* with the one and the other columns */
            return;
    }
}
