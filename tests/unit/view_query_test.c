/* Queries of a subscription, and looking up values in canonical text. */
#include "memory_fault.h"
#include "test.h"
#include "view_define.h"

enum { NOW = 1000 };

static const struct view_query_limits limits = {.depth = 4, .terms = 10};

/* {"<member>": text} */
static struct view_query *query_of(const struct view *view, const char *member, const char *text,
                                   struct error *error)
{
    char query[1000];
    snprintf(query, sizeof query, "{\"%s\":%s}", member, text);
    return view_query_new(view, span_of(query), &limits, error);
}

static struct view_query *filters_of(const struct view *view, const char *object,
                                     struct error *error)
{
    return query_of(view, "filters", object, error);
}

static bool query_passes(const char *member, const char *text, const char *entity)
{
    struct error error = {0};
    struct view_query *query = query_of(NULL, member, text, &error);
    if (!query)
        fail_msg("%s: %s", text, error.message);
    bool passed = view_query_holds(query, span_of(entity), NOW);
    view_query_unref(query);
    return passed;
}

static bool passes(const char *object, const char *entity)
{
    return query_passes("filters", object, entity);
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
    struct view_query *a = view_query_new(NULL, span_of(left), &limits, NULL);
    struct view_query *b = view_query_new(NULL, span_of(right), &limits, NULL);
    assert_non_null(a);
    assert_non_null(b);
    if (span_equal(view_query_traits(a).text, view_query_traits(b).text) != same)
        fail_msg("%s and %s: %s", left, right, same ? "differ" : "do not differ");
    view_query_unref(a);
    view_query_unref(b);
}

TEST(one_meaning_has_one_text)
{
    static const struct {
        const char *left, *right;
        bool same;
    } cases[] = {
        {"{\"filters\":{\"a\":1,\"b\":\"x\"}}", "{\"filters\":{\"b\":\"x\",\"a\":1.0}}", true},
        {"{\"filters\":{\"a\":{\"y\":1200,\"x\":[0,-0]}}}",
         "{\"filters\":{\"a\":{\"x\":[0,0],\"y\":1.2e3}}}", true},
        {"{\"filters\":{\"a\":12}}", "{\"filters\":{\"a\":1.2}}", false},
        {"{\"filters\":{\"a\":1}}", "{\"filters\":{\"a\":\"1\"}}", false},
        {"{\"filters\":{\"a\":1}}", "{\"filters\":{\"a\":-1}}", false},
        {"{\"filters\":{\"a\":9007199254740993}}", "{\"filters\":{\"a\":9007199254740992}}", false},
        {"{\"filters\":{\"a\":[1,2]}}", "{\"filters\":{\"a\":[12]}}", false},
        {"{\"filters\":{\"a\":1}}", "{\"where\":{\"field\":\"a\",\"eq\":1.0}}", true},
        {"{\"filters\":{\"a.b\":1}}", "{\"where\":{\"field\":[\"a\",\"b\"],\"eq\":1}}", false},
        {"{\"filters\":{\"a\":null}}", "{\"where\":{\"field\":\"a\",\"eq\":null}}", false},
        {"{\"filters\":{\"a\":1},\"where\":{\"exists\":\"b\"}}",
         "{\"where\":{\"all\":[{\"exists\":\"b\"},{\"field\":\"a\",\"eq\":1},{\"exists\":\"b\"}]}}",
         true},
        {"{\"where\":{\"all\":[{\"all\":[{\"exists\":\"a\"}]},{\"exists\":\"b\"}]}}",
         "{\"where\":{\"all\":[{\"exists\":\"b\"},{\"exists\":\"a\"}]}}", true},
        {"{\"where\":{\"any\":[{\"exists\":\"a\"},{\"exists\":\"b\"}]}}",
         "{\"where\":{\"all\":[{\"exists\":\"b\"},{\"exists\":\"a\"}]}}", false},
        {"{\"where\":{\"field\":\"a\",\"in\":[3,\"x\",1,3.0]}}",
         "{\"where\":{\"field\":\"a\",\"in\":[1,3,\"x\"]}}", true},
        {"{\"where\":{\"field\":\"a\",\"in\":[1]}}", "{\"where\":{\"field\":\"a\",\"in\":[2]}}",
         false},
        {"{\"where\":{\"not\":{\"exists\":\"a\"}}}", "{\"where\":{\"exists\":\"a\"}}", false},
        {"{\"sort\":[\"a\"]}", "{\"sort\":[{\"order\":\"asc\",\"by\":\"a\"}]}", true},
        {"{\"sort\":[\"a\"]}", "{\"sort\":[{\"by\":\"a\",\"order\":\"desc\"}]}", false},
        {"{\"sort\":[\"a\",\"b\"]}", "{\"sort\":[\"b\",\"a\"]}", false},
        {"{\"sort\":[\"a\"]}", "{\"where\":{\"all\":[]},\"sort\":[\"a\"]}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_same_text(cases[i].left, cases[i].right, cases[i].same);
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
        assert_null(filters_of(NULL, bad[i][0], &error));
        assert_int_equal(error.code, ERROR_INVALID_PARAMETER);
        if (!strstr(error.message, bad[i][1]))
            fail_msg("\"%s\" does not say %s", error.message, bad[i][1]);
    }
}

TEST(bad_predicates_are_refused_with_the_reason)
{
    static const char *const bad[][3] = {
        {"where", "1", "a predicate is an object"},
        {"where", "{}", "a predicate is an object"},
        {"where", "{\"field\":\"a\"}", "needs one of eq"},
        {"where", "{\"field\":\"a\",\"eq\":1,\"gt\":2}", "both \"eq\" and \"gt\""},
        {"where", "{\"field\":\"a\",\"equals\":1}", "has no \"equals\""},
        {"where", "{\"every\":[]}", "has no \"every\""},
        {"where", "{\"field\":\"a..b\",\"eq\":1}", "empty segment"},
        {"where", "{\"field\":[],\"eq\":1}", "at least one name"},
        {"where", "{\"field\":[\"a\",1],\"eq\":1}", "not empty"},
        {"where", "{\"field\":1,\"eq\":1}", "a path is a text"},
        {"where", "{\"field\":\"a\",\"in\":1}", "\"in\": must be a list"},
        {"where", "{\"field\":\"a\",\"prefix\":1}", "\"prefix\": must be a text"},
        {"where", "{\"field\":\"a\",\"in\":{\"now\":true}}", "\"now\" is for"},
        {"where", "{\"field\":\"a\",\"gt\":{\"now\":false}}", "\"now\" must be true"},
        {"where", "{\"field\":\"a\",\"gt\":{\"b\":1}}", "the right side has no \"b\""},
        {"where", "{\"field\":\"a\",\"gt\":{\"field\":\"b\",\"now\":true}}", "must be a value"},
        {"where", "{\"all\":[{\"exists\":\"a\"},{\"all\":1}]}", "\"all\": [1]: \"all\": must be a"},
        {"where", "{\"not\":[]}", "\"not\": a predicate is an object"},
        {"where", "{\"not\":{\"not\":{\"not\":{\"not\":{\"not\":{\"exists\":\"a\"}}}}}}",
         "deeper than 4"},
        {"where", "{\"field\":\"a\",\"in\":[1,2,3,4,5,6,7,8,9,10]}", "more than 10"},
        {"where",
         "{\"any\":[{\"all\":[]},{\"all\":[]},{\"all\":[]},{\"all\":[]},{\"all\":[]},"
         "{\"all\":[]},{\"all\":[]},{\"all\":[]},{\"all\":[]},{\"all\":[]}]}",
         "more than 10"},
        {"filters",
         "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":"
         "1}",
         "more than 10"},
        {"sort", "\"a\"", "must be a list"},
        {"sort", "[]", "must be a list"},
        {"sort", "[\"a\",{\"by\":\"b\",\"order\":\"up\"}]", "[1]: \"order\" must be asc or desc"},
        {"sort", "[{\"order\":\"asc\"}]", "\"by\" is missing"},
        {"sort", "[{\"by\":\"a\",\"desc\":true}]", "\"by\" and \"order\" alone"},
        {"sort", "[\"a\",\"\"]", "empty segment"},
        {"sort", "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]", "more than 8 keys"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {0};
        char begin[20];
        snprintf(begin, sizeof begin, "\"%s\": ", bad[i][0]);
        assert_null(query_of(NULL, bad[i][0], bad[i][1], &error));
        assert_int_equal(error.code, ERROR_INVALID_PARAMETER);
        if (strncmp(error.message, begin, strlen(begin)) || !strstr(error.message, bad[i][2]))
            fail_msg("\"%s\" of %s does not say %s", error.message, bad[i][1], bad[i][2]);
    }
}

TEST(a_predicate_at_its_bounds_is_taken)
{
    assert_true(query_passes("where", "{\"not\":{\"not\":{\"not\":{\"not\":{\"exists\":\"a\"}}}}}",
                             "{\"a\":1}"));
    assert_true(query_passes("where", "{\"field\":\"a\",\"in\":[1,2,3,4,5,6,7,8,9]}", "{\"a\":9}"));
    assert_true(passes(
        "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":null}",
        "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":null}"));
}

/* Each change is held against both. */
TEST(filters_and_where_share_a_bound)
{
    static const char whole[] = "{\"filters\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1},"
                                "\"where\":{\"field\":\"e\",\"in\":[1,2,3,4,%s]}}";
    for (int over = 0; over < 2; over++) {
        struct error error = {0};
        char text[200];
        snprintf(text, sizeof text, whole, over ? "5,6" : "5");
        struct view_query *query = view_query_new(NULL, span_of(text), &limits, &error);
        assert_int_equal(query == NULL, over);
        assert_int_equal(strstr(error.message, "more than 10") != NULL, over);
        view_query_unref(query);
    }
}

TEST(predicates_hold_as_those_of_views)
{
    static const struct {
        const char *where, *entity;
        bool holds;
    } cases[] = {
        {"{\"field\":\"a\",\"eq\":null}", "{}", true},
        {"{\"field\":\"a.b\",\"gte\":5}", "{\"a\":{\"b\":5}}", true},
        {"{\"field\":\"a\",\"lt\":{\"field\":\"b\"}}", "{\"a\":1,\"b\":2}", true},
        {"{\"field\":\"a\",\"lte\":{\"now\":true}}", "{\"a\":1000}", true},
        {"{\"field\":\"a\",\"lt\":{\"now\":true}}", "{\"a\":1000}", false},
        {"{\"field\":\"a\",\"in\":[]}", "{\"a\":1}", false},
        {"{\"field\":\"a\",\"in\":[2,\"x\",[1]]}", "{\"a\":[1.0]}", true},
        {"{\"field\":\"a\",\"in\":[2,\"x\"]}", "{\"a\":\"2\"}", false},
        {"{\"field\":\"a\",\"in\":[null]}", "{}", true},
        {"{\"field\":\"a\",\"in\":[1]}", "{}", false},
        {"{\"field\":\"a\",\"in\":{\"field\":\"b\"}}", "{\"a\":2,\"b\":[1,2]}", true},
        {"{\"field\":\"a\",\"in\":{\"field\":\"b\"}}", "{\"a\":2,\"b\":2}", false},
        {"{\"field\":\"a\",\"in\":{\"literal\":[1]}}", "{\"a\":1}", true},
        {"{\"field\":\"a\",\"prefix\":\"\"}", "{\"a\":\"\"}", true},
        {"{\"field\":\"a\",\"prefix\":\"\"}", "{}", false},
        {"{\"field\":\"a\",\"prefix\":\"ab\"}", "{\"a\":\"abc\"}", true},
        {"{\"field\":\"a\",\"prefix\":\"ab\"}", "{\"a\":\"a\"}", false},
        {"{\"field\":\"a\",\"prefix\":\"\\\\\"}", "{\"a\":\"\\n\"}", false},
        {"{\"field\":\"a\",\"prefix\":\"\\u0041\"}", "{\"a\":\"ABC\"}", true},
        {"{\"field\":\"a\",\"prefix\":\"1\"}", "{\"a\":12}", false},
        {"{\"field\":\"a\",\"prefix\":{\"field\":\"b\"}}", "{\"a\":\"xy\",\"b\":\"x\"}", true},
        {"{\"field\":\"a\",\"prefix\":{\"field\":\"b\"}}", "{\"a\":\"xy\"}", false},
        {"{\"field\":\"a\",\"contains\":2}", "{\"a\":[1,2.0]}", true},
        {"{\"field\":\"a\",\"contains\":2}", "{\"a\":[[2]]}", false},
        {"{\"field\":\"a\",\"contains\":null}", "{\"a\":[]}", false},
        {"{\"field\":\"a\",\"contains\":null}", "{\"a\":[null]}", true},
        {"{\"field\":\"a\",\"contains\":\"x\"}", "{\"a\":{\"x\":null}}", true},
        {"{\"field\":\"a\",\"contains\":\"x\"}", "{\"a\":{\"y\":\"x\"}}", false},
        {"{\"field\":\"a\",\"contains\":1}", "{\"a\":{\"1\":1}}", false},
        {"{\"field\":\"a\",\"contains\":\"x\"}", "{\"a\":\"xyz\"}", false},
        {"{\"field\":\"a\",\"contains\":{\"literal\":{\"b\":1}}}", "{\"a\":[{\"b\":1}]}", true},
        {"{\"field\":\"a\",\"contains\":{\"field\":\"b\"}}", "{\"a\":{\"k\":1},\"b\":\"k\"}", true},
        {"{\"not\":{\"any\":[{\"exists\":\"a\"},{\"exists\":\"b\"}]}}", "{\"c\":1}", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (query_passes("where", cases[i].where, cases[i].entity) != cases[i].holds)
            fail_msg("%s on %s is not %d", cases[i].where, cases[i].entity, cases[i].holds);
}

static void expect_before(const char *sort, const char *first, const char *second)
{
    struct view_query *query = query_of(NULL, "sort", sort, NULL);
    struct buffer a, b;
    assert_non_null(query);
    buffer_init(&a, 1000);
    buffer_init(&b, 1000);
    assert_true(view_query_sort_key(query, span_of("k"), span_of(first), &a));
    assert_true(view_query_sort_key(query, span_of("l"), span_of(second), &b));
    if (span_compare(buffer_span(&a), buffer_span(&b)) >= 0)
        fail_msg("%s: %s is not before %s", sort, first, second);
    buffer_fini(&a);
    buffer_fini(&b);
    view_query_unref(query);
}

TEST(an_order_goes_by_its_keys_one_after_the_other)
{
    static const char both[] = "[{\"by\":\"a\",\"order\":\"desc\"},\"b.c\"]";
    expect_before(both, "{\"a\":2}", "{\"a\":1}");
    expect_before(both, "{\"a\":1,\"b\":{\"c\":1}}", "{\"a\":1.0,\"b\":{\"c\":\"2\"}}");
    expect_before(both, "{\"a\":1,\"b\":{\"c\":\"x\"}}", "{\"a\":1}");
    expect_before(both, "{\"b\":{\"c\":1}}", "{\"a\":null,\"b.c\":2}");
    expect_before(both, "{\"a\":1,\"b\":{\"c\":1}}", "{\"a\":1,\"b.c\":1}");
    expect_before("[\"a\",{\"by\":\"b\",\"order\":\"desc\"}]", "{\"a\":\"x\",\"b\":\"yz\"}",
                  "{\"a\":\"x\",\"b\":\"y\"}");
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
        struct view_query *filter = view_query_new(
            NULL,
            span_of("{\"filters\":{\"a.b\":{\"y\":1,\"x\":[2]},\"c\":null},"
                    "\"where\":{\"any\":[{\"not\":{\"exists\":[\"a\"]}},"
                    "{\"field\":\"b.c\",\"in\":[2,1,\"x\"]},{\"any\":[{\"field\":\"d\",\"eq\":{"
                    "\"field\":\"e\"}}]}]},\"sort\":[\"a\",{\"by\":\"b.c\",\"order\":\"desc\"}]}"),
            &limits, &error);
        int hit = memory_fault_hit();
        memory_fail_at(0, 0);
        view_query_unref(filter);
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

static void expect_hidden(const struct view *view, const char *member, const char *form,
                          const char *path)
{
    struct error error = {0};
    char text[200];
    snprintf(text, sizeof text, form, path);
    assert_null(query_of(view, member, text, &error));
    assert_int_equal(error.code, ERROR_INVALID_PARAMETER);
    if (!strstr(error.message, "does not show"))
        fail_msg("%s: \"%s\"", text, error.message);
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
        struct view_query *filter = filters_of(view, text, NULL);
        assert_non_null(filter);
        view_query_unref(filter);
    }
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        struct error error = {0};
        snprintf(text, sizeof text, "{\"o\":1,\"%s\":1}", hidden[i]);
        assert_null(filters_of(view, text, &error));
        assert_int_equal(error.code, ERROR_INVALID_PARAMETER);
        assert_non_null(strstr(error.message, hidden[i]));
        assert_non_null(strstr(error.message, "Q/v"));
        expect_hidden(view, "where", "{\"field\":\"%s\",\"eq\":1}", hidden[i]);
        expect_hidden(view, "where", "{\"not\":{\"exists\":\"%s\"}}", hidden[i]);
        expect_hidden(view, "where", "{\"field\":\"o\",\"eq\":{\"field\":\"%s\"}}", hidden[i]);
        expect_hidden(view, "sort", "[{\"by\":\"%s\"}]", hidden[i]);
    }
    expect_hidden(view, "where", "{\"exists\":[\"%s\",\"b.c\"]}", "a");
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
    struct view_query *filter = filters_of(view, "{\"a.b.c\":1}", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer shown;
        buffer_init(&shown, 1000);
        if (view_query_holds(filter, span_of(cases[i].entity), NOW) != cases[i].passes)
            fail_msg("%s does not give %d", cases[i].entity, cases[i].passes);
        /* The same is found in what the client sees. */
        assert_true(view_project(view, span_of(cases[i].entity), &shown));
        assert_int_equal(view_query_holds(filter, buffer_span(&shown), NOW), cases[i].passes);
        buffer_fini(&shown);
    }
    view_query_unref(filter);
    view_set_free(set);
}
