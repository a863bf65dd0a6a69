#include "base/utf8.h"
#include "test.h"

static size_t first_of(const char *text)
{
    return utf8_character(text, strlen(text));
}

TEST(well_formed_characters)
{
    assert_int_equal(first_of("a"), 1);
    assert_int_equal(first_of("\xC2\x80"), 2);
    assert_int_equal(first_of("\xDF\xBF!"), 2);
    assert_int_equal(first_of("\xE0\xA0\x80"), 3);
    assert_int_equal(first_of("\xED\x9F\xBF"), 3);
    assert_int_equal(first_of("\xEE\x80\x80"), 3);
    assert_int_equal(first_of("\xF0\x90\x80\x80"), 4);
    assert_int_equal(first_of("\xF4\x8F\xBF\xBF"), 4);
    assert_int_equal(utf8_character("", 1), 1); /* NUL is a character */
}

TEST(malformed_bytes)
{
    const char *const bad[] = {"",
                               "\x80",
                               "\xC0\x80",
                               "\xC1\xBF",
                               "\xC3",
                               "\xC3z",
                               "\xE0\x9F\xBF",
                               "\xED\xA0\x80",
                               "\xE2\x82",
                               "\xF0\x8F\xBF\xBF",
                               "\xF4\x90\x80\x80",
                               "\xF5\x80\x80\x80",
                               "\xFF"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(first_of(bad[i]), 0);
}

TEST(whole_drops_only_a_cut_character)
{
    const char *text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t length = 0; length <= 10; length++)
        assert_int_equal(utf8_whole(text, length), expected[length]);
    assert_int_equal(utf8_whole("\x80\x80\x80\x80\x80", 5), 5);
    assert_int_equal(utf8_whole("\x80", 1), 1);
}
