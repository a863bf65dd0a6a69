/* Trees: jansson's values through our functions. */
#include "json_support.h"
#include "memory_fault.h"

TEST(values_are_read_by_type)
{
    struct error error;
    struct tree *root = tree_parse(span_of(" {\"s\":\"a\\u0000b\",\"i\":-9223372036854775808,\"r\":"
                                           "0.5,\"t\":true,\"f\":false,\"n\":null,"
                                           "\"l\":[1,\"x\"],\"o\":{}} "),
                                   &error);
    assert_non_null(root);
    assert_int_equal(tree_type(root), TREE_OBJECT);
    assert_int_equal(tree_count(root), 8);
    const struct tree *s = tree_member(root, "s"), *i = tree_member(root, "i"),
                      *r = tree_member(root, "r"), *l = tree_member(root, "l");
    assert_true(span_equal(tree_string(s), span_make("a\0b", 3)));
    assert_int_equal(tree_type(s), TREE_STRING);
    assert_true(tree_integer(i, 1) == INT64_MIN);
    assert_int_equal(tree_type(i), TREE_INTEGER);
    assert_true(tree_real(r, 1) == 0.5);
    assert_int_equal(tree_type(r), TREE_REAL);
    assert_true(tree_boolean(tree_member(root, "t"), false));
    assert_false(tree_boolean(tree_member(root, "f"), true));
    assert_int_equal(tree_type(tree_member(root, "f")), TREE_BOOLEAN);
    assert_int_equal(tree_type(tree_member(root, "n")), TREE_NULL);
    assert_int_equal(tree_type(tree_member(root, "o")), TREE_OBJECT);
    assert_int_equal(tree_type(l), TREE_ARRAY);
    assert_int_equal(tree_count(l), 2);
    assert_span(tree_string(tree_element(l, 1)), "x");
    assert_null(tree_element(l, 2));
    assert_null(tree_member(root, "none"));
    assert_null(tree_member(l, "s"));
    assert_null(tree_element(root, 0));
    tree_free(root);
}

TEST(integers_of_any_size_are_read)
{
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {"18446744073709551615", "\"18446744073709551615\""},
        {"[9223372036854775807,9223372036854775808]",
         "[\"9223372036854775807\",\"9223372036854775808\"]"},
        {"[-9223372036854775808,-9223372036854775809]",
         "[\"-9223372036854775808\",\"-9223372036854775809\"]"},
        {"{\"99999999999999999999\":\"9\\\"99999999999999999999\",\"n\":99999999999999999999}",
         "{\"99999999999999999999\":\"9\\\"99999999999999999999\",\"n\":\"99999999999999999999\"}"},
        {"[99999999999999999999.5,1e20,99999999999999999999]",
         "[1e+20,1e+20,\"99999999999999999999\"]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        struct buffer out;
        struct tree *tree = tree_parse(span_of(cases[i].text), &error);
        if (!tree)
            fail_msg("%s: %s", cases[i].text, error.message);
        buffer_init(&out, 1000);
        assert_true(tree_print_canonical(tree, &out));
        assert_span(buffer_span(&out), cases[i].printed);
        buffer_fini(&out);
        tree_free(tree);
    }
    static const char *const bad[] = {"099999999999999999999",
                                      "99999999999999999999x",
                                      "[99999999999999999999",
                                      "-",
                                      "1e999",
                                      "[99999999999999999999,1e999]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(tree_parse(span_of(bad[i]), NULL));
}

TEST(another_type_gives_the_default)
{
    struct error error;
    struct tree *root = tree_parse(span_of("[\"1\", 2]"), &error);
    const struct tree *string = tree_element(root, 0), *two = tree_element(root, 1);
    assert_int_equal(tree_integer(string, 7), 7);
    assert_true(tree_real(string, 7.5) == 7.5);
    assert_true(tree_real(two, 7.5) == 2);
    assert_true(tree_boolean(two, true));
    assert_null(tree_string(two).data);
    assert_int_equal(tree_count(two), 0);
    /* What is not there has no value either. */
    assert_int_equal(tree_integer(NULL, 7), 7);
    assert_null(tree_string(NULL).data);
    assert_null(tree_member(NULL, "a"));
    tree_free(root);
    tree_free(NULL);
}

TEST(members_come_in_order)
{
    struct error error;
    struct tree *root = tree_parse(span_of("{\"z\":1,\"a\":2,\"m\":3}"), &error);
    void *position = NULL;
    const char *name;
    const struct tree *value;
    struct buffer out;
    buffer_init(&out, 100);
    while (tree_next(root, &position, &name, &value))
        buffer_printf(&out, "%s%d", name, (int)tree_integer(value, 0));
    assert_span(buffer_span(&out), "z1a2m3");
    position = NULL;
    assert_false(tree_next(tree_member(root, "z"), &position, &name, &value));
    buffer_fini(&out);
    tree_free(root);
}

TEST(bad_text_is_refused_with_its_place)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "line 1, column 0: "},
        {"{\n \"a\": 1,\n \"a\": 2}", "line 3, column "},
        {"[1,]", "line 1, column 4: "},
        {"[1] 2", "end of file expected"},
        {"[\"\xff\"]", "unable to decode byte 0xff"},
        {"[NaN]", "line 1, column 4: invalid token"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        assert_null(tree_parse(span_of(cases[i].text), &error));
        assert_int_equal(error.code, ERROR_INVALID_MESSAGE);
        if (!strstr(error.message, cases[i].message))
            fail_msg("%s", error.message);
    }
    struct buffer deep;
    struct error error;
    assert_null(tree_parse(span_make("{}\0", 3), &error));
    assert_non_null(strstr(error.message, "byte 3 is NUL"));
    buffer_init(&deep, 1 << 20);
    for (int i = 0; i < 100000; i++)
        buffer_add_char(&deep, '[');
    assert_null(tree_parse(buffer_span(&deep), &error));
    assert_null(tree_parse(span_make(NULL, 0), &error));
    buffer_fini(&deep);
}

TEST(trees_print_compactly)
{
    struct error error;
    struct buffer out;
    buffer_init(&out, 100);
    struct tree *root =
        tree_parse(span_of("{ \"b\" : [1, 0.5, \"\\u00e9\\n\", null], \"a\": {} }"), &error);
    assert_true(tree_print(root, &out));
    assert_span(buffer_span(&out), "{\"b\":[1,0.5,\"\xc3\xa9\\n\",null],\"a\":{}}");
    buffer_clear(&out);
    assert_true(tree_print(tree_element(tree_member(root, "b"), 2), &out));
    assert_span(buffer_span(&out), "\"\xc3\xa9\\n\"");
    buffer_fini(&out);
    buffer_init(&out, 10);
    assert_false(tree_print(root, &out));
    buffer_fini(&out);
    tree_free(root);
}

/* Also holds jansson to our allocator: otherwise no fault would ever be hit. */
TEST(parsing_survives_any_failed_allocation)
{
    bool hit = true;
    uint64_t nth = 1;
    for (; hit; nth++) {
        struct error error = {0};
        memory_fail_at(nth, 0);
        struct tree *root =
            tree_parse(span_of("{\"a\":[1,2,{\"b\":\"text\"}],\"c\":0.25}"), &error);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_int_equal(root == NULL, hit);
        if (hit)
            assert_int_equal(error.code, ERROR_MEMORY);
        tree_free(root);
        assert_true(nth < 100);
    }
    assert_true(nth > 5);
}
