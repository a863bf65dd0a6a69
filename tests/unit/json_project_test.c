/* Projection by dotted paths. */
#include "json_support.h"

enum { MAX_PATHS = 3 };

static const char object[] =
    "{\"id\":{\"a\":1,\"b\":{\"c\":[1,2],\"d\":\"x\"}},\"_seq\":\"1:1\",\"n\":null,\"x.y\":{\"z\":"
    "7},"
    "\"l\":[{\"m\":1}],\"\":{\"e\":1},\"deep\":{\"_seq\":1,\"er\":{\"est\":true}}}";

struct project_case {
    const char *paths[MAX_PATHS];
    const char *projected;
};

static const struct project_case project_cases[] = {
    {{NULL}, "{\"_seq\":\"1:1\"}"},
    {{"id"}, "{\"id\":{\"a\":1,\"b\":{\"c\":[1,2],\"d\":\"x\"}},\"_seq\":\"1:1\"}"},
    {{"id.b.d", "n"}, "{\"id\":{\"b\":{\"d\":\"x\"}},\"_seq\":\"1:1\",\"n\":null}"},
    {{"id.b", "id.b.c"}, "{\"id\":{\"b\":{\"c\":[1,2],\"d\":\"x\"}},\"_seq\":\"1:1\"}"},
    {{"id.q", "id.b.q", "nope"}, "{\"id\":{\"b\":{}},\"_seq\":\"1:1\"}"},
    {{"l.m", "l.0", "n.o"}, "{\"_seq\":\"1:1\",\"n\":null,\"l\":[{\"m\":1}]}"},
    {{"x.y"}, "{\"_seq\":\"1:1\",\"x.y\":{\"z\":7}}"},
    {{"x.y.z"}, "{\"_seq\":\"1:1\",\"x.y\":{\"z\":7}}"},
    {{"e"}, "{\"_seq\":\"1:1\"}"},
    {{"deep.er.est", "id.a"},
     "{\"id\":{\"a\":1},\"_seq\":\"1:1\",\"deep\":{\"er\":{\"est\":true}}}"},
    {{"l.x"}, "{\"_seq\":\"1:1\",\"l\":[{}]}"},
    {{"id.a.x", "id.b.d.x"}, "{\"id\":{\"a\":null,\"b\":{\"d\":null}},\"_seq\":\"1:1\"}"},
    {{"id.b.c.x"}, "{\"id\":{\"b\":{\"c\":[null,null]}},\"_seq\":\"1:1\"}"},
    {{"i", "id.", ".id"}, "{\"id\":{},\"_seq\":\"1:1\"}"},
};

static size_t list_paths(const struct project_case *it, struct span *paths)
{
    size_t count = 0;
    for (; count < MAX_PATHS && it->paths[count]; count++)
        paths[count] = span_of(it->paths[count]);
    return count;
}

TEST(only_named_members_and_seq_stay)
{
    for (size_t i = 0; i < sizeof project_cases / sizeof *project_cases; i++) {
        struct span paths[MAX_PATHS];
        size_t count = list_paths(&project_cases[i], paths);
        struct buffer out;
        buffer_init(&out, 1000);
        buffer_add_char(&out, ' ');
        assert_true(doc_project(&out, span_of(object), paths, count));
        assert_span(span_make(out.data + 1, out.length - 1), project_cases[i].projected);
        buffer_fini(&out);
    }
}

TEST(the_limit_is_exact)
{
    for (size_t i = 0; i < sizeof project_cases / sizeof *project_cases; i++) {
        struct span paths[MAX_PATHS];
        size_t count = list_paths(&project_cases[i], paths);
        size_t length = strlen(project_cases[i].projected);
        for (size_t limit = 0; limit <= length; limit++) {
            struct buffer out;
            buffer_init(&out, limit);
            assert_int_equal(doc_project(&out, span_of(object), paths, count), limit == length);
            buffer_fini(&out);
        }
    }
}

TEST(a_damaged_object_projects_to_nothing)
{
    struct span paths[] = {span_of("id.b")};
    for (size_t length = 0; length < sizeof object - 1; length++) {
        struct buffer out;
        char *copy = memory_copy_string(object, length);
        buffer_init(&out, 1000);
        assert_false(doc_project(&out, span_make(copy, length), paths, 1));
        assert_int_equal(out.length, 0);
        buffer_fini(&out);
        memory_free(copy);
    }
}

TEST(a_path_is_shown_that_is_named_or_below_or_on_the_way)
{
    struct span paths[] = {span_of("a.b"), span_of("c")};
    static const char *const shown[] = {"a.b", "a.b.c", "a.b.", "c", "c.d.e", "a"};
    static const char *const hidden[] = {"a.bc", "ab", "cd", "d.c", ""};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        assert_true(doc_path_shown(span_of(shown[i]), paths, 2));
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        assert_false(doc_path_shown(span_of(hidden[i]), paths, 2));
    assert_false(doc_path_shown(span_of("a"), NULL, 0));
}
