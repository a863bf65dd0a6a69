/* Merging, and what subscribers get of a patch: exact texts. */
#include "json_support.h"
#include "memory_fault.h"

enum { MAX_APPENDS = 4 };

struct merge_case {
    const char *name;
    const char *entity; /* NULL: there is none yet */
    const char *patch;
    const char *append[MAX_APPENDS];
    uint32_t most;   /* max_array */
    const char *seq; /* NULL: absent */
    const char *merged;
    const char *sent; /* what subscribers get; NULL: not looked at */
    uint32_t lengths[MAX_APPENDS];
    bool full[MAX_APPENDS];
};

static const struct merge_case merge_cases[] = {
    {.name = "members keep their places, new ones follow",
     .entity = "{\"a\":1,\"b\":\"x\",\"c\":[1]}",
     .patch = "{\"z\":0,\"b\":true,\"y\":{\"n\":null}}",
     .merged = "{\"a\":1,\"b\":true,\"c\":[1],\"z\":0,\"y\":{\"n\":null}}"},
    {.name = "an empty patch changes nothing",
     .entity = "{\"a\":{\"b\":[1,\"]}\\\"\"]}}",
     .patch = "{}",
     .merged = "{\"a\":{\"b\":[1,\"]}\\\"\"]}}"},
    {.name = "objects merge deeply",
     .entity = "{\"a\":{\"b\":{\"c\":1,\"d\":2},\"e\":3},\"f\":4}",
     .patch = "{\"a\":{\"b\":{\"d\":5,\"g\":6}}}",
     .merged = "{\"a\":{\"b\":{\"c\":1,\"d\":5,\"g\":6},\"e\":3},\"f\":4}"},
    {.name = "null overwrites",
     .entity = "{\"a\":{\"b\":1}}",
     .patch = "{\"a\":null}",
     .merged = "{\"a\":null}"},
    {.name = "an object over anything else is taken whole",
     .entity = "{\"a\":1,\"b\":[{\"c\":1}],\"d\":null}",
     .patch = "{\"a\":{\"x\":null},\"b\":{},\"d\":{\"e\":{}}}",
     .merged = "{\"a\":{\"x\":null},\"b\":{},\"d\":{\"e\":{}}}"},
    {.name = "anything over an object replaces it",
     .entity = "{\"a\":{\"b\":1},\"c\":{}}",
     .patch = "{\"a\":[],\"c\":\"\"}",
     .merged = "{\"a\":[],\"c\":\"\"}"},
    {.name = "no entity yet",
     .patch = "{\"a\":{\"b\":null}}",
     .seq = "1:2",
     .merged = "{\"a\":{\"b\":null},\"_seq\":\"1:2\"}",
     .sent = "{\"a\":{\"b\":null},\"_seq\":\"1:2\"}"},
    {.name = "no entity and an empty patch",
     .patch = "{}",
     .seq = "1:2",
     .merged = "{\"_seq\":\"1:2\"}",
     .sent = "{\"_seq\":\"1:2\"}"},
    {.name = "empty objects fill",
     .entity = "{\"a\":{}}",
     .patch = "{\"a\":{\"b\":1}}",
     .merged = "{\"a\":{\"b\":1}}"},
    {.name = "_seq keeps its place in the entity, and the patch's own is ignored",
     .entity = "{\"_seq\":\"1:1\",\"a\":{\"_seq\":5}}",
     .patch = "{\"a\":{\"_seq\":6},\"_seq\":[1],\"b\":2}",
     .append = {"_seq"},
     .seq = "1:2",
     .merged = "{\"_seq\":\"1:2\",\"a\":{\"_seq\":6},\"b\":2}",
     .sent = "{\"a\":{\"_seq\":6},\"_seq\":\"1:2\",\"b\":2}"},
    {.name = "a new _seq comes last",
     .entity = "{\"a\":1}",
     .patch = "{\"_seq\":\"9\",\"b\":2}",
     .seq = "1:2",
     .merged = "{\"a\":1,\"b\":2,\"_seq\":\"1:2\"}",
     .sent = "{\"_seq\":\"1:2\",\"b\":2}"},
    {.name = "without a seq, _seq is a member like others",
     .entity = "{\"_seq\":\"1\",\"a\":1}",
     .patch = "{\"_seq\":{\"x\":1}}",
     .merged = "{\"_seq\":{\"x\":1},\"a\":1}",
     .sent = "{\"_seq\":{\"x\":1}}"},
    {.name = "arrays are replaced unless listed",
     .entity = "{\"a\":[1,2],\"b\":[1,2]}",
     .patch = "{\"a\":[3],\"b\":[3]}",
     .append = {"b", "c"},
     .merged = "{\"a\":[3],\"b\":[1,2,3]}",
     .sent = "{\"a\":[3],\"b\":[3]}",
     .lengths = {3, 0}},
    {.name = "an extended array loses its oldest",
     .entity = "{\"a\":[1,[2,2],\"3\"]}",
     .patch = "{\"a\":[4,5]}",
     .append = {"a"},
     .most = 4,
     .merged = "{\"a\":[[2,2],\"3\",4,5]}",
     .sent = "{\"a\":[[2,2],\"3\",4,5]}",
     .lengths = {4},
     .full = {true}},
    {.name = "an array that just became full is sent whole",
     .entity = "{\"a\":[1]}",
     .patch = "{\"a\":[2]}",
     .append = {"a"},
     .most = 2,
     .merged = "{\"a\":[1,2]}",
     .sent = "{\"a\":[1,2]}",
     .lengths = {2},
     .full = {true}},
    {.name = "more new elements than there may be",
     .entity = "{\"a\":[1,2]}",
     .patch = "{\"a\":[3,4,5,6]}",
     .append = {"a"},
     .most = 3,
     .merged = "{\"a\":[4,5,6]}",
     .sent = "{\"a\":[4,5,6]}",
     .lengths = {3},
     .full = {true}},
    {.name = "empty arrays",
     .entity = "{\"a\":[],\"b\":[1],\"c\":[]}",
     .patch = "{\"a\":[],\"b\":[],\"c\":[2]}",
     .append = {"a", "b", "c"},
     .merged = "{\"a\":[],\"b\":[1],\"c\":[2]}",
     .lengths = {0, 1, 1}},
    {.name = "an old array that is too long now is cut when touched",
     .entity = "{\"a\":[1,2,3],\"b\":[1,2,3]}",
     .patch = "{\"a\":[]}",
     .append = {"a"},
     .most = 2,
     .merged = "{\"a\":[2,3],\"b\":[1,2,3]}",
     .lengths = {2},
     .full = {true}},
    {.name = "arrays inside what the patch sets are cut, the entity's own are not looked at",
     .entity = "{\"a\":[[1,2,3]],\"k\":[1,2,3]}",
     .patch = "{\"a\":[[4,5,6]],\"n\":{\"d\":[[7,8,9],1,2]},\"m\":[1,2,3]}",
     .append = {"a"},
     .most = 2,
     .merged = "{\"a\":[[1,2,3],[5,6]],\"k\":[1,2,3],\"n\":{\"d\":[1,2]},\"m\":[2,3]}",
     .sent = "{\"a\":[[1,2,3],[5,6]],\"n\":{\"d\":[1,2]},\"m\":[2,3]}",
     .lengths = {2},
     .full = {true}},
    {.name = "a listed path below a parent that is new or replaced",
     .entity = "{\"b\":7}",
     .patch = "{\"a\":{\"x\":{\"y\":[1,2]}},\"b\":{\"z\":[1,2,3]}}",
     .append = {"a.x.y", "b.z", "a.x"},
     .most = 3,
     .merged = "{\"b\":{\"z\":[1,2,3]},\"a\":{\"x\":{\"y\":[1,2]}}}",
     .sent = "{\"a\":{\"x\":{\"y\":[1,2]}},\"b\":{\"z\":[1,2,3]},\"_seq\":\"s\"}",
     .lengths = {2, 3, 0},
     .full = {false, true, false}},
    {.name = "a listed array over something else is set",
     .entity = "{\"a\":{\"b\":\"x\"}}",
     .patch = "{\"a\":{\"b\":[1,2,3,4]}}",
     .append = {"a.b"},
     .most = 3,
     .merged = "{\"a\":{\"b\":[2,3,4]}}",
     .sent = "{\"a\":{\"b\":[2,3,4]}}",
     .lengths = {3},
     .full = {true}},
    {.name = "no array sent at a listed path",
     .entity = "{\"a\":[1],\"b\":[1]}",
     .patch = "{\"a\":5,\"c\":1}",
     .append = {"a", "b", "c"},
     .merged = "{\"a\":5,\"b\":[1],\"c\":1}",
     .lengths = {0, 0, 0}},
    {.name = "a dot in a name is as good as a level",
     .entity = "{\"a\":{\"b\":[1]},\"a.b\":[2],\"c\":{\"d.e\":[3]}}",
     .patch = "{\"a\":{\"b\":[4]},\"a.b\":[5,6],\"c\":{\"d.e\":[7]}}",
     .append = {"a.b", "c.d.e", "c.d"},
     .merged = "{\"a\":{\"b\":[1,4]},\"a.b\":[2,5,6],\"c\":{\"d.e\":[3,7]}}",
     .lengths = {3, 2, 0}},
    {.name = "an empty name adds nothing to a path at the top, a dot below",
     .entity = "{\"\":{\"a\":[1],\"\":{\"b\":[1]}},\"c\":{\"\":[1]}}",
     .patch = "{\"\":{\"a\":[2],\"\":{\"b\":[2]}},\"c\":{\"\":[2]}}",
     .append = {"a", "b", "c."},
     .merged = "{\"\":{\"a\":[1,2],\"\":{\"b\":[1,2]}},\"c\":{\"\":[1,2]}}",
     .lengths = {2, 2, 2}},
    {.name = "elements are no members: an array is extended, not what is in it",
     .entity = "{\"a\":[{\"b\":[1]}]}",
     .patch = "{\"a\":[{\"b\":[2]}]}",
     .append = {"a.b", "a.0.b"},
     .merged = "{\"a\":[{\"b\":[2]}]}"},
    {.name = "names are compared in canonical form",
     .entity = "{\"a\\n\":[1],\"\xc3\xa9\":1,\"q\\\"\":{\"x\":1}}",
     .patch = "{\"\\u0061\\u000a\":[2],\"\\u00e9\":2,\"q\\u0022\":{\"y\":2}}",
     .append = {"a\\n"},
     .merged = "{\"a\\n\":[1,2],\"\xc3\xa9\":2,\"q\\\"\":{\"x\":1,\"y\":2}}",
     .lengths = {2}},
    {.name = "a path listed twice",
     .entity = "{\"a\":[1]}",
     .patch = "{\"a\":[2]}",
     .append = {"a", "a"},
     .most = 2,
     .merged = "{\"a\":[1,2]}",
     .sent = "{\"a\":[1,2]}",
     .lengths = {2, 2},
     .full = {true, true}},
    {.name = "of a full array deep down only that is taken from the entity",
     .entity = "{\"a\":{\"k\":[1],\"b\":{\"l\":[1,2],\"m\":1}}}",
     .patch = "{\"a\":{\"b\":{\"m\":2,\"l\":[3]}},\"_seq\":0}",
     .append = {"a.b.l"},
     .most = 2,
     .seq = "5:5",
     .merged = "{\"a\":{\"k\":[1],\"b\":{\"l\":[2,3],\"m\":2}},\"_seq\":\"5:5\"}",
     .sent = "{\"a\":{\"b\":{\"m\":2,\"l\":[2,3]}},\"_seq\":\"5:5\"}",
     .lengths = {1 + 1},
     .full = {true}},
};

static size_t list_appends(const struct merge_case *it, struct merge_append *appends)
{
    size_t count = 0;
    while (count < MAX_APPENDS && it->append[count]) {
        /* What was there before must not matter. */
        appends[count] =
            (struct merge_append){.path = span_of(it->append[count]), .length = 1234, .full = true};
        count++;
    }
    return count;
}

static void check_sent(const struct merge_case *it, const struct doc *doc, uint32_t patch,
                       const struct merge_append *appends, size_t count, struct span merged)
{
    struct buffer out;
    struct error error;
    buffer_init(&out, 10000);
    const char *seq = it->seq ? it->seq : strstr(it->sent, "\"s\"}") ? "s" : NULL;
    assert_true(merge_print_patch(&out, doc, patch, appends, count, it->most, span_of(seq), merged,
                                  &error));
    assert_span(buffer_span(&out), it->sent);
    buffer_fini(&out);
}

TEST(merges_give_these_texts)
{
    for (size_t i = 0; i < sizeof merge_cases / sizeof *merge_cases; i++) {
        const struct merge_case *it = &merge_cases[i];
        struct merge_append appends[MAX_APPENDS];
        size_t count = list_appends(it, appends);
        struct doc doc;
        struct buffer out;
        struct error error = {0};
        doc_init(&doc, 10000, 1000);
        buffer_init(&out, 10000);
        buffer_add_string(&out, "before");
        uint32_t patch = parse_good(&doc, span_of(it->patch));
        if (!merge_object(&out, span_of(it->entity), &doc, patch, appends, count, it->most,
                          span_of(it->seq), &error))
            fail_msg("%s: %s", it->name, error.message);
        struct span merged = span_make(out.data + 6, out.length - 6);
        assert_span(merged, it->merged);
        for (size_t n = 0; n < count; n++) {
            if (appends[n].length != it->lengths[n] || appends[n].full != it->full[n])
                fail_msg("%s: path %s: length %u, full %d", it->name, it->append[n],
                         appends[n].length, appends[n].full);
        }
        if (it->sent)
            check_sent(it, &doc, patch, appends, count, merged);
        buffer_fini(&out);
        doc_fini(&doc);
    }
}

/* A replay has the length of each array from the log, and no limit. */
TEST(an_extended_array_keeps_as_many_elements_as_its_path_says)
{
    static const struct {
        uint32_t most, max_array;
        const char *merged;
    } cases[] = {
        {0, 0, "{\"a\":[1,2,3,4,5],\"b\":[1,2,3,4,5]}"},
        {4, 0, "{\"a\":[2,3,4,5],\"b\":[1,2,3,4,5]}"},
        {2, 0, "{\"a\":[4,5],\"b\":[1,2,3,4,5]}"},
        {1, 0, "{\"a\":[5],\"b\":[1,2,3,4,5]}"},
        {9, 0, "{\"a\":[1,2,3,4,5],\"b\":[1,2,3,4,5]}"},
        {4, 3, "{\"a\":[2,3,4,5],\"b\":[3,4,5]}"},
    };
    struct doc doc;
    doc_init(&doc, 1000, 100);
    uint32_t patch = parse_good(&doc, span_of("{\"a\":[4,5],\"b\":[4,5]}"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct merge_append appends[] = {{.path = span_of("a"), .most = cases[i].most},
                                         {.path = span_of("b")}};
        struct buffer out;
        struct error error;
        buffer_init(&out, 1000);
        assert_true(merge_object(&out, span_of("{\"a\":[1,2,3],\"b\":[1,2,3]}"), &doc, patch,
                                 appends, 2, cases[i].max_array, span_make(NULL, 0), &error));
        assert_span(buffer_span(&out), cases[i].merged);
        buffer_fini(&out);
    }
    doc_fini(&doc);
}

/* The patch is printed from the log when the entity has long gone on, or is gone. */
TEST(a_full_array_is_taken_from_a_later_entity)
{
    static const struct {
        const char *later, *sent;
    } cases[] = {
        {"{\"a\":{\"b\":[1,[2],3,4,5]}}", "{\"a\":{\"b\":[1,[2],3]}}"},
        {"{\"a\":{\"b\":[1]}}", "{\"a\":{\"b\":[1]}}"},
        {"{\"a\":{\"b\":[]}}", "{\"a\":{\"b\":[]}}"},
        {"{\"a\":{\"b\":7}}", "{\"a\":{\"b\":[3]}}"},
        {"{\"a\":[1,2,3,4]}", "{\"a\":{\"b\":[3]}}"},
        {"{}", "{\"a\":{\"b\":[3]}}"},
        {NULL, "{\"a\":{\"b\":[3]}}"},
    };
    struct doc doc;
    doc_init(&doc, 1000, 100);
    uint32_t patch = parse_good(&doc, span_of("{\"a\":{\"b\":[3]}}"));
    struct merge_append append = {.path = span_of("a.b"), .length = 3, .full = true};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer out;
        struct error error;
        buffer_init(&out, 1000);
        assert_true(merge_print_patch(&out, &doc, patch, &append, 1, 3, span_make(NULL, 0),
                                      span_of(cases[i].later), &error));
        assert_span(buffer_span(&out), cases[i].sent);
        buffer_fini(&out);
    }
    doc_fini(&doc);
}

/* Members with and without a match, above and below the number from which names are hashed. */
TEST(large_objects_merge_like_small_ones)
{
    static const int sizes[] = {15, 16, 17, 33, 3000};
    struct buffer entity, patch, expected, out;
    struct doc doc;
    buffer_init(&entity, 1 << 20);
    buffer_init(&patch, 1 << 20);
    buffer_init(&expected, 1 << 20);
    buffer_init(&out, 1 << 20);
    doc_init(&doc, 1 << 20, 100000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int size = sizes[i];
        buffer_clear(&entity), buffer_clear(&patch), buffer_clear(&expected), buffer_clear(&out);
        /* The entity has the even numbers twice as far, the patch all in reverse. */
        for (int n = 0; n < size; n++) {
            buffer_printf(&entity, "%c\"n%d\":{\"v\":0}", n ? ',' : '{', 2 * n);
            buffer_printf(&patch, "%c\"n%d\":{\"w\":1}", n ? ',' : '{', size - 1 - n);
            buffer_printf(&expected, "%c\"n%d\":{\"v\":0%s}", n ? ',' : '{', 2 * n,
                          2 * n < size ? ",\"w\":1" : "");
        }
        for (int n = size - 1; n >= 0; n--)
            if (n % 2)
                buffer_printf(&expected, ",\"n%d\":{\"w\":1}", n);
        buffer_add_char(&entity, '}'), buffer_add_char(&patch, '}'),
            buffer_add_char(&expected, '}');
        doc_clear(&doc);
        struct error error;
        uint32_t root = parse_good(&doc, buffer_span(&patch));
        assert_true(merge_object(&out, buffer_span(&entity), &doc, root, NULL, 0, 100,
                                 span_make(NULL, 0), &error));
        assert_true(span_equal(buffer_span(&out), buffer_span(&expected)));
    }
    doc_fini(&doc);
    buffer_fini(&entity), buffer_fini(&patch), buffer_fini(&expected), buffer_fini(&out);
}

TEST(the_limit_of_the_result_is_exact)
{
    const struct merge_case *it = &merge_cases[2];
    size_t length = strlen(it->merged);
    struct doc doc;
    struct error error;
    doc_init(&doc, 10000, 1000);
    uint32_t patch = parse_good(&doc, span_of(it->patch));
    for (size_t limit = 0; limit <= length; limit++) {
        struct buffer out;
        buffer_init(&out, limit);
        bool good = merge_object(&out, span_of(it->entity), &doc, patch, NULL, 0, 0,
                                 span_make(NULL, 0), &error);
        assert_int_equal(good, limit == length);
        if (!good)
            assert_int_equal(error.code, ERROR_TOO_LARGE);
        buffer_fini(&out);
        buffer_init(&out, limit);
        good = merge_print_patch(&out, &doc, patch, NULL, 0, 0, span_make(NULL, 0),
                                 span_of(it->merged), &error);
        assert_int_equal(good, limit >= strlen(it->patch));
        buffer_fini(&out);
    }
    doc_fini(&doc);
}

TEST(a_damaged_entity_is_told)
{
    static const char *const damaged[] = {"",
                                          "[]",
                                          "{",
                                          "{\"a\"",
                                          "{\"a\":",
                                          "{\"a\":1",
                                          "{\"a\":{\"b\":1}",
                                          "{\"a\":\"x}",
                                          "{\"a\":[1}",
                                          "{}x",
                                          "{\"a\":{}}}",
                                          "{\"a\":1,}",
                                          "{a:1}"};
    struct doc doc;
    doc_init(&doc, 10000, 1000);
    uint32_t patch = parse_good(&doc, span_of("{\"a\":[1],\"b\":{\"c\":1}}"));
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        struct buffer out;
        struct error error = {0};
        struct merge_append append = {.path = span_of("a")};
        buffer_init(&out, 1000);
        /* On the heap, so that a step outside is seen. */
        char *copy = memory_copy_string(damaged[i], strlen(damaged[i]));
        assert_false(merge_object(&out, span_make(copy, strlen(copy)), &doc, patch, &append, 1, 2,
                                  span_of("1:1"), &error));
        assert_int_equal(error.code, ERROR_DATABASE);
        memory_free(copy);
        buffer_fini(&out);
    }
    doc_fini(&doc);
}

TEST(merging_survives_any_failed_allocation)
{
    struct buffer patch;
    struct doc doc;
    buffer_init(&patch, 10000);
    doc_init(&doc, 10000, 1000);
    for (int n = 0; n < 40; n++)
        buffer_printf(&patch, "%s\"n%d\":%d", n ? "," : "{\"deep\":{", n, n);
    buffer_add_string(&patch, "}}");
    uint32_t root = parse_good(&doc, buffer_span(&patch));
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        struct error error = {0};
        struct buffer out;
        buffer_init(&out, 10000);
        memory_fail_at(nth, 0);
        bool good = merge_object(&out, span_of("{\"deep\":{\"n7\":0}}"), &doc, root, NULL, 0, 0,
                                 span_of("1:1"), &error) &&
                    merge_print_patch(&out, &doc, root, NULL, 0, 0, span_of("1:1"),
                                      span_make(NULL, 0), &error);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_int_equal(good, !hit);
        if (hit)
            assert_int_equal(error.code, ERROR_MEMORY);
        buffer_fini(&out);
        assert_true(nth < 100);
    }
    buffer_fini(&patch);
    doc_fini(&doc);
}
