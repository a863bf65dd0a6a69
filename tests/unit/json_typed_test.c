/* Values as people type them, each with the JSON that they stand for. */
#include "json_support.h"

static const struct {
    const char *typed, *json;
} cases[] = {
    {"6.4", "6.4"},
    {"-0", "-0"},
    {"1e3", "1e3"},
    {" 7 ", "7"},
    {"true", "true"},
    {"null", "null"},
    {"", "\"\""},
    {"earthquake", "\"earthquake\""},
    {"\"7\"", "\"7\""},
    {"\"\\u0061\"", "\"a\""},
    {"say \"so\"", "\"say \\\"so\\\"\""},
    {"True", "\"True\""},
    {"1e999", "\"1e999\""},
    {"9007199254740993", "\"9007199254740993\""},
    {"[]", "\"[]\""},
    {"[1,2]", "\"[1,2]\""},
    {"{\"a\":1}", "\"{\\\"a\\\":1}\""},
    {"{}", "\"{}\""},
    {"07", "\"07\""},
    {"müde", "\"müde\""},
};

TEST(each_is_what_it_stands_for)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer out;
        buffer_init(&out, 1024);
        assert_true(doc_typed_value(&out, span_of(cases[i].typed)));
        assert_string_equal(buffer_string(&out), cases[i].json);
        buffer_fini(&out);
    }
}

TEST(members_make_an_object)
{
    struct buffer out;
    buffer_init(&out, 1024);
    assert_true(doc_typed_member(&out, span_of("geo.lat"), span_of("1.50")));
    assert_true(doc_typed_member(&out, span_of("a\"b"), span_of("x")));
    assert_string_equal(buffer_string(&out), "{\"geo.lat\":1.50,\"a\\\"b\":\"x\"");
    buffer_fini(&out);
}

TEST(a_full_buffer_is_told)
{
    struct buffer out;
    buffer_init(&out, 4);
    assert_false(doc_typed_value(&out, span_of("long")));
    buffer_fini(&out);
}
