/* Places: bytes that compare as docs/views.md wants, against a slow comparison by other means. */
#include "test.h"
#include "view/view_internal.h"

static struct buffer place_of(const char *value, bool descending)
{
    struct buffer place;
    buffer_init(&place, SIZE_MAX);
    assert_true(sort_key_value(&place, span_of(value), descending));
    return place;
}

static int sign_of(int order)
{
    return (order > 0) - (order < 0);
}

static int compare_places(const char *left, const char *right, bool descending)
{
    struct buffer a = place_of(left, descending), b = place_of(right, descending);
    int order = sign_of(span_compare(buffer_span(&a), buffer_span(&b)));
    /* The key follows, so no value may be the beginning of another. */
    size_t common = a.length < b.length ? a.length : b.length;
    if (order != 0 && memcmp(a.data, b.data, common) == 0)
        fail_msg("%s and %s: one place begins the other", left, right);
    buffer_fini(&a);
    buffer_fini(&b);
    return order;
}

static void expect_order(const char *left, const char *right, int order)
{
    if (compare_places(left, right, false) != order || compare_places(right, left, false) != -order)
        fail_msg("%s and %s are not %d", left, right, order);
    if (compare_places(left, right, true) != -order)
        fail_msg("%s and %s are not %d, descending", left, right, -order);
}

TEST(values_stand_in_their_order)
{
    static const char *const rising[] = {"false",
                                         "true",
                                         "\"-18446744073709551616\"",
                                         "\"-9007199254740992\"",
                                         "-9007199254740991",
                                         "\"-1001\"",
                                         "-1e3",
                                         "-10.5",
                                         "-10.05",
                                         "-10",
                                         "-1",
                                         "-0.1",
                                         "-1e-130",
                                         "-1e-2000",
                                         "0",
                                         "1e-2000",
                                         "1e-130",
                                         "0.1",
                                         "0.10000000000000000001",
                                         "1",
                                         "1.5",
                                         "9.99",
                                         "10",
                                         "1e3",
                                         "\"1001\"",
                                         "9007199254740991",
                                         "\"9007199254740992\"",
                                         "\"9007199254740993\"",
                                         "1e16",
                                         "\"18446744073709551615\"",
                                         "\"10000000000000000000000000000000000000000\"",
                                         "1e300",
                                         "\"\"",
                                         "\"\\u0000\"",
                                         "\"\\u0000a\"",
                                         "\"\\u0001\"",
                                         "\"+1\"",
                                         "\"-\"",
                                         "\"-0\"",
                                         "\"-01\"",
                                         "\"00\"",
                                         "\"009007199254740993\"",
                                         "\"1 \"",
                                         "\"1.0\"",
                                         "\"1e2\"",
                                         "\"A\"",
                                         "\"A\\u0000\"",
                                         "\"A\\u0000B\"",
                                         "\"A\\n\"",
                                         "\"A B\"",
                                         "\"A\\\"\"",
                                         "\"AB\"",
                                         "\"A\\\\\"",
                                         "\"a\"",
                                         "\"ab\"",
                                         "\"ä\"",
                                         "\"😀\"",
                                         "[1,2]",
                                         "[1]",
                                         "[]",
                                         "{\"a\":1}",
                                         "{}"};
    size_t count = sizeof rising / sizeof *rising;
    for (size_t i = 0; i < count; i++)
        for (size_t j = i; j < count; j++)
            expect_order(rising[i], rising[j], i < j ? -1 : 0);
}

TEST(numbers_are_equal_by_value)
{
    static const char *const equal[][2] = {{"1", "1.0"},
                                           {"1", "10e-1"},
                                           {"0", "-0"},
                                           {"0", "0.000e999"},
                                           {"100", "1E+2"},
                                           {"0.5", "5e-1"},
                                           {"-20", "-0.2e2"},
                                           {"12.30", "1.23e1"},
                                           {"\"10000000000000000000\"", "1e19"},
                                           {"1", "\"1\""},
                                           {"-20", "\"-20\""},
                                           {"\"0\"", "-0.0"},
                                           {"1e-2000", "0.1e-1999"}};
    for (size_t i = 0; i < sizeof equal / sizeof *equal; i++)
        expect_order(equal[i][0], equal[i][1], 0);
}

/* Integers in texts, of up to so many digits: in order, and none the beginning of another. */
TEST(amounts_of_any_length_stand_in_their_order)
{
    enum { MOST = 400 };
    static char lower[MOST + 8], higher[MOST + 8];
    for (int digits = 1; digits <= MOST; digits++) {
        /* 99…9 and 100…0; 100…0 and 100…1; the same below zero. */
        snprintf(lower, sizeof lower, "\"%0*d\"", digits, 0);
        memset(lower + 1, '9', (size_t)digits);
        snprintf(higher, sizeof higher, "\"1%0*d\"", digits, 0);
        expect_order(lower, higher, -1);
        snprintf(lower, sizeof lower, "\"1%0*d\"", digits, 1);
        expect_order(lower, higher, 1);
        snprintf(lower, sizeof lower, "\"-1%0*d\"", digits, 1);
        snprintf(higher, sizeof higher, "\"-1%0*d\"", digits, 0);
        expect_order(lower, higher, -1);
        expect_order(lower, "\"-9\"", -1);
        expect_order(higher, "\"x\"", -1);
    }
}

TEST(nothing_comes_last_in_both_directions)
{
    static const char *const others[] = {"false", "-1", "0", "1", "\"\"", "\"z\"", "[]", "{}"};
    assert_int_equal(compare_places("null", "", false), 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(compare_places(others[i], "null", false), -1);
        assert_int_equal(compare_places(others[i], "null", true), -1);
    }
}

/* ---- at random ---- */

enum { PLACES = 64, BEFORE_POINT = 32 };

/* A number spelt at random, and its digits set out around a fixed point. */
struct sample {
    char text[80];
    int sign;
    char digits[PLACES];
};

static void make_sample(struct sample *sample)
{
    memset(sample, 0, sizeof *sample);
    memset(sample->digits, '0', PLACES);
    int length = 1 + rand() % (rand() % 4 ? 3 : 18), power = rand() % 9 - 4, zeros = rand() % 3;
    char number[24] = {0};
    for (int i = 0; i < length; i++)
        number[i] = (char)('0' + (rand() % 3 ? rand() % 10 : 0));
    number[0] = (char)('1' + rand() % 9);
    /* number × 10^power; the digit at i weighs 10^(length - 1 - i + power) */
    for (int i = 0; i < length; i++)
        sample->digits[BEFORE_POINT - (length - 1 - i + power)] = number[i];
    sample->sign = rand() % 3 ? 1 : -1;
    const char *minus = sample->sign < 0 ? "-" : "";
    if (rand() % 2)
        snprintf(sample->text, sizeof sample->text, "%s%c.%s%.*se%d", minus, number[0],
                 length > 1 ? number + 1 : "0", zeros, "00", length - 1 + power);
    else if (power >= 0 && length + power < 16)
        snprintf(sample->text, sizeof sample->text, "%s%s%.*s%s", minus, number, power, "0000",
                 zeros ? ".0" : "");
    else
        snprintf(sample->text, sizeof sample->text, "%s%s%.*sE%+d", minus, number, zeros, "00",
                 power - zeros);
}

static int compare_samples(const struct sample *a, const struct sample *b)
{
    if (a->sign != b->sign)
        return a->sign < b->sign ? -1 : 1;
    return a->sign * sign_of(memcmp(a->digits, b->digits, PLACES));
}

TEST(random_numbers_agree_with_long_hand)
{
    srand(7);
    for (int i = 0; i < 100000; i++) {
        struct sample a, b;
        make_sample(&a);
        make_sample(&b);
        int wanted = compare_samples(&a, &b);
        if (compare_places(a.text, b.text, false) != wanted ||
            compare_places(a.text, b.text, true) != -wanted)
            fail_msg("%s and %s are not %d", a.text, b.text, wanted);
        struct span left = span_of(a.text), right = span_of(b.text);
        assert_int_equal(sign_of(doc_kind_compare(DOC_KIND_NUMBER, left, right)), wanted);
        assert_int_equal(doc_value_equal(left, right), wanted == 0);
    }
}

static void make_string(struct buffer *raw, struct buffer *text)
{
    static const char letters[] = {0, 1, '\n', '"', '\\', 'a', 'b', '+', '_', '\xc3'};
    buffer_clear(raw);
    for (int i = rand() % 5; i > 0; i--) {
        char letter = letters[rand() % (int)sizeof letters];
        buffer_add_char(raw, letter);
        if (letter == '\xc3')
            buffer_add_char(raw, (char)(0xa0 + rand() % 3));
    }
    buffer_clear(text);
    doc_escape(text, buffer_span(raw));
    assert_non_null(buffer_string(text));
}

TEST(random_strings_agree_with_their_bytes)
{
    struct buffer buffers[4];
    for (int i = 0; i < 4; i++)
        buffer_init(&buffers[i], SIZE_MAX);
    srand(8);
    for (int i = 0; i < 50000; i++) {
        make_string(&buffers[0], &buffers[1]);
        make_string(&buffers[2], &buffers[3]);
        int wanted = sign_of(span_compare(buffer_span(&buffers[0]), buffer_span(&buffers[2])));
        assert_int_equal(compare_places(buffers[1].data, buffers[3].data, false), wanted);
        assert_int_equal(compare_places(buffers[1].data, buffers[3].data, true), -wanted);
        assert_int_equal(sign_of(doc_kind_compare(DOC_KIND_STRING, buffer_span(&buffers[1]),
                                                  buffer_span(&buffers[3]))),
                         wanted);
    }
    for (int i = 0; i < 4; i++)
        buffer_fini(&buffers[i]);
}

/* ---- places of entities ---- */

static struct buffer seq_place(const char *key, int64_t slot, int64_t index)
{
    struct buffer place;
    buffer_init(&place, SIZE_MAX);
    assert_true(view_seq_sort_key(span_of(key), (struct seq){slot, index}, &place));
    return place;
}

TEST(the_newest_seq_comes_first_and_keys_rise)
{
    static const struct {
        const char *key;
        int64_t slot, index;
    } rows[] = {{"a", INT64_MAX, INT64_MAX},
                {"a", INT64_MAX, 0},
                {"a", 256, 1},
                {"a", 255, 256},
                {"b", 255, 256},
                {"b", 255, 255},
                {"", 255, 0},
                {"a", 255, 0},
                {"aa", 255, 0},
                {"z", 0, 1},
                {"y", 0, 0}};
    for (size_t i = 0; i + 1 < sizeof rows / sizeof *rows; i++) {
        struct buffer a = seq_place(rows[i].key, rows[i].slot, rows[i].index);
        struct buffer b = seq_place(rows[i + 1].key, rows[i + 1].slot, rows[i + 1].index);
        if (span_compare(buffer_span(&a), buffer_span(&b)) >= 0)
            fail_msg("row %zu does not come before the next", i);
        buffer_fini(&a);
        buffer_fini(&b);
    }
}
