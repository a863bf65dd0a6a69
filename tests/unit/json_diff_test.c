/* The difference of two rows: exact texts. */
#include "json_support.h"

static const struct {
    const char *before, *after, *diff;
} cases[] = {
    {"{}", "{}", "[]"},
    {"{\"a\":1,\"_seq\":\"1:1\"}", "{\"a\":1,\"_seq\":\"1:2\"}", "[]"},
    {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "[]"},
    {NULL, "{\"a\":1}", "[{\"path\":[],\"to\":{\"a\":1}}]"},
    {"{\"a\":1}", NULL, "[{\"path\":[],\"from\":{\"a\":1}}]"},
    {NULL, NULL, "[]"},
    {"{\"a\":1,\"c\":3}", "{\"b\":{\"x\":[]},\"a\":2}",
     "[{\"path\":[\"b\"],\"to\":{\"x\":[]}},{\"path\":[\"a\"],\"from\":1,\"to\":2},"
     "{\"path\":[\"c\"],\"from\":3}]"},
    {"{\"a\":{\"b\":{\"c\":1,\"d\":2},\"_seq\":1},\"x.y\":null}",
     "{\"a\":{\"b\":{\"c\":1,\"d\":\"2\"},\"_seq\":2},\"x.y\":{}}",
     "[{\"path\":[\"a\",\"b\",\"d\"],\"from\":2,\"to\":\"2\"},"
     "{\"path\":[\"a\",\"_seq\"],\"from\":1,\"to\":2},{\"path\":[\"x.y\"],\"from\":null,\"to\":{}}"
     "]"},
    {"{\"a\":1}", "{\"a\":1.0}", "[{\"path\":[\"a\"],\"from\":1,\"to\":1.0}]"},
    /* arrays */
    {"{\"l\":[1,[2]]}", "{\"l\":[1,[2],\"x\",{}]}", "[{\"path\":[\"l\"],\"added\":[\"x\",{}]}]"},
    {"{\"l\":[1,2,3]}", "{\"l\":[2,3,4]}", "[{\"path\":[\"l\"],\"dropped\":1,\"added\":[4]}]"},
    {"{\"l\":[1,1,1,2]}", "{\"l\":[1,2,1]}", "[{\"path\":[\"l\"],\"dropped\":2,\"added\":[1]}]"},
    {"{\"l\":[1,2,3]}", "{\"l\":[4,5]}", "[{\"path\":[\"l\"],\"from\":[1,2,3],\"to\":[4,5]}]"},
    {"{\"l\":[1,2,3]}", "{\"l\":[2,3]}", "[{\"path\":[\"l\"],\"from\":[1,2,3],\"to\":[2,3]}]"},
    {"{\"l\":[]}", "{\"l\":[1]}", "[{\"path\":[\"l\"],\"from\":[],\"to\":[1]}]"},
    {"{\"l\":[1]}", "{\"l\":[]}", "[{\"path\":[\"l\"],\"from\":[1],\"to\":[]}]"},
    {"{\"l\":[1]}", "{\"l\":{}}", "[{\"path\":[\"l\"],\"from\":[1],\"to\":{}}]"},
};

TEST(differences_have_these_texts)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer out;
        struct error error = {0};
        buffer_init(&out, 10000);
        assert_true(doc_diff(&out, span_of(cases[i].before), span_of(cases[i].after), &error));
        assert_span(buffer_span(&out), cases[i].diff);
        buffer_fini(&out);
    }
}

/* Above the number from which names are hashed. */
TEST(many_members_are_found_by_name)
{
    struct buffer before, after, expected, out;
    struct error error = {0};
    buffer_init(&before, 1 << 20), buffer_init(&after, 1 << 20);
    buffer_init(&expected, 1 << 20), buffer_init(&out, 1 << 20);
    buffer_add_string(&expected, "[");
    for (int i = 0; i < 5000; i++) {
        buffer_printf(&before, "%c\"m%d\":%d", i ? ',' : '{', i, i);
        buffer_printf(&after, "%c\"m%d\":%d", i ? ',' : '{', 4999 - i, 4999 - i + (i == 7));
    }
    buffer_add_char(&before, '}'), buffer_add_char(&after, '}');
    buffer_add_string(&expected, "{\"path\":[\"m4992\"],\"from\":4992,\"to\":4993}]");
    assert_true(doc_diff(&out, buffer_span(&before), buffer_span(&after), &error));
    assert_true(span_equal(buffer_span(&out), buffer_span(&expected)));
    buffer_fini(&before), buffer_fini(&after), buffer_fini(&expected), buffer_fini(&out);
}

/* Each element repeats the names that lead to it. */
TEST(a_long_name_above_many_members_is_not_repeated_for_each)
{
    enum { NAME = 100 * 1000, MEMBERS = 3000 };
    struct buffer rows[2], expected, out;
    struct error error = {0};
    buffer_init(&expected, 1 << 20), buffer_init(&out, 1 << 20);
    for (int i = 0; i < 2; i++) {
        buffer_init(&rows[i], 1 << 20);
        buffer_add_string(&rows[i], "{\"");
        for (int j = 0; j < NAME; j++)
            buffer_add_char(&rows[i], 'N');
        buffer_add_string(&rows[i], "\":");
        for (int j = 0; j < MEMBERS; j++)
            buffer_printf(&rows[i], "%c\"m%d\":%d", j ? ',' : '{', j, i);
        buffer_add_string(&rows[i], "}}");
    }
    buffer_printf(&expected, "[{\"path\":[],\"from\":%s,", buffer_string(&rows[0]));
    buffer_printf(&expected, "\"to\":%s}]", buffer_string(&rows[1]));
    assert_true(doc_diff(&out, buffer_span(&rows[0]), buffer_span(&rows[1]), &error));
    assert_true(span_equal(buffer_span(&out), buffer_span(&expected)));
    buffer_fini(&rows[0]), buffer_fini(&rows[1]), buffer_fini(&expected), buffer_fini(&out);
}

/* Equal elements could be compared with each other for ever. */
TEST(long_arrays_of_equal_elements_end)
{
    enum { ELEMENTS = 200 * 1000 };
    struct buffer before, after, out;
    struct error error = {0};
    buffer_init(&before, 1 << 20), buffer_init(&after, 1 << 20), buffer_init(&out, 1 << 24);
    buffer_add_string(&before, "{\"l\":[2"), buffer_add_string(&after, "{\"l\":[1");
    for (int i = 0; i < ELEMENTS; i++)
        buffer_add_string(&before, ",1"), buffer_add_string(&after, ",1");
    buffer_add_string(&before, ",3]}"), buffer_add_string(&after, ",1,1,1]}");
    assert_true(doc_diff(&out, buffer_span(&before), buffer_span(&after), &error));
    assert_non_null(strstr(buffer_string(&out), "\"from\":[2,1,1"));
    buffer_fini(&before), buffer_fini(&after), buffer_fini(&out);
}

TEST(damaged_texts_are_named)
{
    static const char *const damaged[] = {"", "[]", "{\"a\"", "5"};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        struct buffer out;
        struct error error = {0};
        buffer_init(&out, 1000);
        assert_false(doc_diff(&out, span_of(damaged[i]), span_of("{}"), &error));
        assert_int_equal(error.code, ERROR_DATABASE);
        buffer_fini(&out);
    }
}
