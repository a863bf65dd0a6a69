/*
 * Numbers and names as people type them.
 */
#include "base/typed.h"
#include "test.h"

static void expect_number(const char *text, int64_t expected)
{
    int64_t number = 0;
    assert_true(typed_number(span_of(text), &number));
    assert_int_equal(number, expected);
}

TEST(whole_numbers_are_read)
{
    expect_number("0", 0);
    expect_number("007", 7);
    expect_number("-12", -12);
    expect_number("9223372036854775807", INT64_MAX);
    expect_number("-9223372036854775807", -INT64_MAX);
}

TEST(anything_else_is_refused)
{
    const char *const wrong[] = {"",     "-",    "+1", " 1",  "1 ",
                                 "1.0",  "1e3",  "a",  "--1", "9223372036854775808",
                                 "0x10", "1,000"};
    int64_t number;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(typed_number(span_of(wrong[i]), &number));
    assert_false(typed_number(span_make("1\0", 2), &number));
}

static const char *meant(const char *given)
{
    struct nearest nearest = {.given = given};
    nearest_offer(&nearest, "listen");
    nearest_offer(&nearest, "readers");
    nearest_offer(&nearest, "max_depth");
    nearest_offer(&nearest, "E/list");
    nearest_offer(&nearest, "Quake/list");
    nearest_offer(&nearest, "Quake/strongest");
    return nearest.name;
}

TEST(a_misspelt_name_is_guessed)
{
    assert_string_equal(meant("lisen"), "listen");
    assert_string_equal(meant("listen"), "listen");
    assert_string_equal(meant("Readers"), "readers");
    assert_string_equal(meant("maxdepth"), "max_depth");
    assert_null(meant("something"));
    assert_string_equal(meant("Quuke/strongst"), "Quake/strongest");
    assert_string_equal(meant("Quak/lits"), "Quake/list");
    assert_null(meant("None/list"));
    assert_null(meant(""));
    assert_null(meant("a_name_that_is_longer_than_any_of_those_that_the_program_could_ever_know"));
}
