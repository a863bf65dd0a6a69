/* Keys of a terminal, and times as people read them. */
#include "terminal/terminal.h"
#include "test.h"

#include <stdlib.h>
#include <time.h>

static const struct {
    const char *bytes;
    enum key key;
    size_t used;
} sequences[] = {
    {"", KEY_NONE, 0},
    {"q", KEY_LEAVE, 1},
    {"Qx", KEY_LEAVE, 1},
    {"x", KEY_OTHER, 1},
    {"\x03", KEY_OTHER, 1},
    {"\x1a", KEY_SUSPEND, 1},
    {"\033[A", KEY_UP, 3},
    {"\033[B\033[A", KEY_DOWN, 3},
    {"\033OC", KEY_RIGHT, 3},
    {"\033[D", KEY_LEFT, 3},
    {"\033[H", KEY_HOME, 3},
    {"\033OF", KEY_END, 3},
    {"\033[1~", KEY_HOME, 4},
    {"\033[4~", KEY_END, 4},
    {"\033[5~q", KEY_PAGE_UP, 4},
    {"\033[6~", KEY_PAGE_DOWN, 4},
    {"\033[1;5B", KEY_DOWN, 6},
    {"\033[15~", KEY_OTHER, 5},
    {"\033[200~", KEY_OTHER, 6},
    {"\033[99;99Z", KEY_OTHER, 8},
    {"\033", KEY_NONE, 0},
    {"\033[", KEY_NONE, 0},
    {"\033[1;", KEY_NONE, 0},
    {"\033q", KEY_ESCAPE, 1},
    {"\033\033[A", KEY_ESCAPE, 1},
};

TEST(a_key_is_as_many_bytes_as_it_has)
{
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        size_t used, length = strlen(sequences[i].bytes);
        enum key key = keys_take(sequences[i].bytes, length, false, &used);
        if (key != sequences[i].key || used != sequences[i].used)
            fail_msg("%zu: key %d of %zu bytes", i, (int)key, used);
        key = keys_take(sequences[i].bytes, length, true, &used);
        if (length && (key == KEY_NONE || !used))
            fail_msg("%zu: nothing comes, and nothing is taken", i);
    }
}

TEST(whatever_comes_is_taken_in_the_end)
{
    uint32_t state = 1;
    for (int round = 0; round < 100000; round++) {
        char bytes[KEYS_BYTES];
        size_t used, count = 1 + (size_t)(round % KEYS_BYTES);
        for (size_t i = 0; i < count; i++) {
            static const char some[] = "\033[O;15~AqZ\x80";
            state = state * 1664525 + 1013904223;
            bytes[i] = some[(state >> 16) % (sizeof some - 1)];
        }
        enum key key = keys_take(bytes, count, false, &used);
        assert_true(used <= count);
        assert_true((key == KEY_NONE) == (used == 0));
        assert_true(used || count < KEYS_BYTES);
        keys_take(bytes, count, true, &used);
        assert_true(used > 0 && used <= count);
    }
}

static const struct {
    const char *value, *text; /* NULL: it is no time */
} times[] = {
    {"0", "1970-01-01 02:00:00"},
    {"1517939100", "2018-02-06 19:45:00"},
    {"1517939100.25", "2018-02-06 19:45:00.250"},
    {"1517939100250", "2018-02-06 19:45:00.250"},
    {"\"1517939100\"", "2018-02-06 19:45:00"},
    {"-0.001", "1970-01-01 01:59:59.999"},
    {"1517939099.9999", "2018-02-06 19:45:00"},
    {"99999999999", "5138-11-16 11:46:39"},
    {"100000000000", "1973-03-03 11:46:40"},
    {"\"2018-02-06T17:45:00Z\"", "2018-02-06 19:45:00"},
    {"\"2018-02-06t17:45z\"", "2018-02-06 19:45:00"},
    {"\"2018-02-06 20:45:00.5+03:00\"", "2018-02-06 19:45:00.500"},
    {"\"2018-02-06T12:15:00-0530\"", "2018-02-06 19:45:00"},
    {"\"2018-02-06T18:45:00,123456+01\"", "2018-02-06 19:45:00.123"},
    {"1e300", NULL},
    {"-1e15", NULL},
    {"null", NULL},
    {"true", NULL},
    {"\"\"", NULL},
    {"\"soon\"", NULL},
    {"\"nan\"", NULL},
    {"\"inf\"", NULL},
    {"\"0x10\"", NULL},
    {"\"2018-02-06\"", NULL},
    {"\"2018-02-06T17:45:00\"", NULL},
    {"\"2018-02-31T17:45:00Z\"", NULL},
    {"\"2018-13-06T17:45:00Z\"", NULL},
    {"\"2018-02-06T24:45:00Z\"", NULL},
    {"\"2018-02-06T17:45:00Z \"", NULL},
    {"\"2018-02-06T17:45:00+99:00\"", NULL},
    {"{\"a\":1}", NULL},
    {"[1]", NULL},
    {"", NULL},
};

TEST(a_time_is_of_this_zone_or_none)
{
    setenv("TZ", "XXX-2", 1);
    tzset();
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct buffer out;
        buffer_init(&out, 100);
        bool is_time = local_time_print(&out, span_of(times[i].value));
        if (is_time != (times[i].text != NULL))
            fail_msg("%s: %s", times[i].value, is_time ? buffer_string(&out) : "no time");
        if (is_time)
            assert_string_equal(buffer_string(&out), times[i].text);
        else
            assert_int_equal(out.length, 0);
        buffer_fini(&out);
    }
}
