/* Filters of a subscription, and looking up values in canonical text. */
#include "test.h"
#include "view/view.h"

static bool passes(const char *object, const char *entity)
{
    struct error error = {0};
    struct view_filter *filter = view_filter_new(NULL, span_of(object), &error);
    if (!filter)
        fail_msg("%s: %s", object, error.message);
    bool passed = view_filter_passes(filter, span_of(entity));
    view_filter_free(filter);
    return passed;
}

TEST(values_must_be_equal_in_type_and_value)
{
    static const struct {
        const char *filter, *entity;
        bool passes;
    } cases[] = {
        {"{}", "{}", true},
        {"{\"a\":1}", "{\"a\":1}", true},
        {"{\"a\":1}", "{\"a\":1.0}", true},
        {"{\"a\":10e-1}", "{\"x\":\"a\",\"a\":1}", true},
        {"{\"a\":1}", "{\"a\":\"1\"}", false},
        {"{\"a\":\"1\"}", "{\"a\":1}", false},
        {"{\"a\":18446744073709551615}", "{\"a\":\"18446744073709551615\"}", true},
        {"{\"a\":1e19}", "{\"a\":\"10000000000000000000\"}", true},
        {"{\"a\":true}", "{\"a\":true}", true},
        {"{\"a\":true}", "{\"a\":false}", false},
        {"{\"a\":null}", "{\"a\":null}", true},
        {"{\"a\":null}", "{}", false},
        {"{\"a\":null}", "{\"a\":0}", false},
        {"{\"a.b\":\"x\"}", "{\"a\":{\"c\":{},\"b\":\"x\"}}", true},
        {"{\"a.b\":\"x\"}", "{\"a\":[{\"b\":\"x\"}]}", false},
        {"{\"a.b\":\"x\"}", "{\"a\":\"x\"}", false},
        {"{\"a.b\":\"x\"}", "{\"a.b\":\"x\"}", true},
        {"{\"a.b\":1}", "{\"a.b\":2,\"a\":{\"b\":1}}", true},
        {"{\"a.b\":2}", "{\"a.b\":2,\"a\":{\"b\":1}}", false},
        {"{\"a.b\":2}", "{\"a\":{\"c\":1},\"a.b\":2}", true},
        {"{\"a.b.c\":1}", "{\"a\":{\"b.c\":1},\"a.b\":{\"c\":2}}", true},
        {"{\"a.b.c\":2}", "{\"a\":{\"b\":3},\"a.b\":{\"c\":2}}", true},
        {"{\"a\":1}", "{\"\":{\"a\":1}}", false},
        {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true},
        {"{\"a\":1,\"b\":2}", "{\"b\":3,\"a\":1}", false},
        {"{\"\\n.\\\"q\":\"\\t\"}", "{\"\\n\":{\"\\\"q\":\"\\t\"}}", true},
        {"{\"a\":[1,{\"x\":1,\"y\":[]}]}", "{\"a\":[1.0,{\"y\":[],\"x\":1e0}]}", true},
        {"{\"a\":[1,2]}", "{\"a\":[2,1]}", false},
        {"{\"a\":[1,2]}", "{\"a\":[1,2,3]}", false},
        {"{\"a\":[1,2,3]}", "{\"a\":[1,2]}", false},
        {"{\"a\":{\"x\":1}}", "{\"a\":{\"x\":1,\"y\":2}}", false},
        {"{\"a\":{\"x\":1,\"y\":null}}", "{\"a\":{\"x\":1,\"z\":null}}", false},
        {"{\"a\":[]}", "{\"a\":{}}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (passes(cases[i].filter, cases[i].entity) != cases[i].passes)
            fail_msg("%s on %s is not %d", cases[i].filter, cases[i].entity, cases[i].passes);
}

static void expect_same_text(const char *left, const char *right, bool same)
{
    struct view_filter *a = view_filter_new(NULL, span_of(left), NULL);
    struct view_filter *b = view_filter_new(NULL, span_of(right), NULL);
    assert_non_null(a);
    assert_non_null(b);
    if (span_equal(view_filter_text(a), view_filter_text(b)) != same)
        fail_msg("%s and %s: %s", left, right, same ? "differ" : "do not differ");
    view_filter_free(a);
    view_filter_free(b);
}

TEST(one_meaning_has_one_text)
{
    expect_same_text("{\"a\":1,\"b\":\"x\"}", "{\"b\":\"x\",\"a\":1.0}", true);
    expect_same_text("{\"a\":{\"y\":1200,\"x\":[0,-0]}}", "{\"a\":{\"x\":[0,0],\"y\":1.2e3}}",
                     true);
    expect_same_text("{\"a\":12}", "{\"a\":1.2}", false);
    expect_same_text("{\"a\":1}", "{\"a\":\"1\"}", false);
    expect_same_text("{\"a\":1}", "{\"a\":-1}", false);
    expect_same_text("{\"a\":9007199254740993}", "{\"a\":9007199254740992}", false);
    expect_same_text("{\"a\":[1,2]}", "{\"a\":[12]}", false);
}

TEST(bad_filters_are_refused_with_the_reason)
{
    static const char *const bad[][2] = {{"[]", "object"},
                                         {"1", "object"},
                                         {"{\"\":1}", "segment"},
                                         {"{\"a..b\":1}", "segment"},
                                         {"{\".a\":1}", "segment"},
                                         {"{\"a.\":1}", "segment"},
                                         {"{", "byte"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {0};
        assert_null(view_filter_new(NULL, span_of(bad[i][0]), &error));
        assert_int_equal(error.code, ERROR_INVALID_PARAMETER);
        if (!strstr(error.message, bad[i][1]))
            fail_msg("\"%s\" does not say %s", error.message, bad[i][1]);
    }
}

TEST(paths_lead_through_objects_only)
{
    struct span path[] = {span_of("a"), span_of("b\\n")};
    struct span object =
        span_of("{\"b\":{\"a\":1},\"a\":{\"b\":0,\"b\\n\":[1,{\"x\":\"}\"}]},\"c\":2}");
    struct span found = doc_value_at(object, path, 2);
    assert_true(span_equal(found, span_of("[1,{\"x\":\"}\"}]")));
    assert_true(span_equal(doc_value_at(object, path, 0), object));
    assert_null(doc_value_at(span_of("{\"a\":[]}"), path, 2).data);
    assert_null(doc_value_at(span_of("{}"), path, 1).data);
    assert_null(doc_value_at(span_make(NULL, 0), path, 1).data);
    /* Damaged text: no answer, and no step outside. */
    for (size_t length = 0; length < object.length; length++) {
        char *copy = memory_copy_string(object.data, length);
        doc_value_at(span_make(copy, length), path, 2);
        memory_free(copy);
    }
}

TEST(every_allocation_may_fail)
{
    for (uint64_t nth = 1;; nth++) {
        struct error error = {0};
        memory_fail_at(nth, 1);
        struct view_filter *filter =
            view_filter_new(NULL, span_of("{\"a.b\":{\"y\":1,\"x\":[2]},\"c\":\"d\"}"), &error);
        int hit = memory_fault_hit();
        memory_fail_at(0, 0);
        view_filter_free(filter);
        if (!hit)
            break;
        assert_null(filter);
        assert_int_equal(error.code, ERROR_MEMORY);
    }
}

/* View Q/v with these fields. */
static struct view_set *set_with(const char *const fields[])
{
    struct span paths[8];
    size_t count = 0;
    for (; fields[count]; count++)
        paths[count] = span_of(fields[count]);
    struct view_set *set = view_set_new(false);
    assert_true(
        view_set_define(set, span_of("Q"), span_of("v"), VIEW_LIST, paths, count, NULL, 0, NULL));
    return set;
}

TEST(what_a_view_hides_cannot_be_asked_about)
{
    static const char *const fields[] = {"users.name", "a.b", "o", NULL};
    static const char *const shown[] = {
        "users.name", "users.name.first", "a.b", "a.b.c", "o", "o.p.q", "_seq"};
    static const char *const hidden[] = {
        "users", "users.password", "users.nam", "users.name2", "a", "a.bc",
        "p",     "_seq.a",         "o2",        "name"};
    struct view_set *set = set_with(fields);
    const struct view *view = view_set_find(set, span_of("Q/v"));
    char text[100];
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        snprintf(text, sizeof text, "{\"%s\":1}", shown[i]);
        struct view_filter *filter = view_filter_new(view, span_of(text), NULL);
        assert_non_null(filter);
        view_filter_free(filter);
    }
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        struct error error = {0};
        snprintf(text, sizeof text, "{\"o\":1,\"%s\":1}", hidden[i]);
        assert_null(view_filter_new(view, span_of(text), &error));
        assert_int_equal(error.code, ERROR_INVALID_PARAMETER);
        assert_non_null(strstr(error.message, hidden[i]));
        assert_non_null(strstr(error.message, "Q/v"));
    }
    view_set_free(set);
}

/* A member may have a path that begins with a named one and still be hidden. */
TEST(a_filter_finds_only_what_the_view_shows)
{
    static const char *const fields[] = {"a.b", NULL};
    static const struct {
        const char *entity;
        bool passes;
    } cases[] = {
        {"{\"a\":{\"b\":{\"c\":1}}}", true},
        {"{\"a.b\":{\"c\":1}}", true},
        {"{\"a\":{\"b.c\":1}}", false},
        {"{\"a.b.c\":1}", false},
        {"{\"a\":{\"b.c\":1,\"b\":{\"c\":2}}}", false},
        {"{\"a\":{\"b.c\":2},\"a.b\":{\"c\":1}}", true},
    };
    struct view_set *set = set_with(fields);
    const struct view *view = view_set_find(set, span_of("Q/v"));
    struct view_filter *filter = view_filter_new(view, span_of("{\"a.b.c\":1}"), NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer shown;
        buffer_init(&shown, 1000);
        if (view_filter_passes(filter, span_of(cases[i].entity)) != cases[i].passes)
            fail_msg("%s does not give %d", cases[i].entity, cases[i].passes);
        /* The same is found in what the client sees. */
        assert_true(view_project(view, span_of(cases[i].entity), &shown));
        assert_int_equal(view_filter_passes(filter, buffer_span(&shown)), cases[i].passes);
        buffer_fini(&shown);
    }
    view_filter_free(filter);
    view_set_free(set);
}
