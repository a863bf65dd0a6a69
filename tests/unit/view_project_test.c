/* What a view shows of keys, entities and append paths. */
#include "memory_fault.h"
#include "test.h"
#include "view_define.h"

enum { ROOM = 1 << 16 };

static struct view_set *set;

/* Views of one export: "list" shows all, "some" two paths, "two" two keys. */
static void set_up(void)
{
    static const struct span paths[] = {{"place", 5}, {"seen.at", 7}, {"od\"d", 4}};
    static const struct span keys[] = {{"zz", 2}, {"b\0c", 3}, {"", 0}, {"a", 1}};
    set = view_set_new(false);
    assert_true(
        set && view_set_add_export(set, span_of("Quake"), NULL) &&
        view_set_define(set, span_of("Quake"), span_of("some"), VIEW_LIST, paths, 3, NULL, 0,
                        NULL) &&
        view_set_define(set, span_of("Quake"), span_of("two"), VIEW_LIST, NULL, 0, keys, 4, NULL));
}

static void tear_down(void)
{
    view_set_free(set);
}

TEST_ALL(set_up, tear_down)

static const struct view *view_of(const char *id)
{
    const struct view *view = view_set_find(set, span_of(id));
    assert_non_null(view);
    return view;
}

TEST(a_key_filter_shows_exactly_its_keys)
{
    const struct view *view = view_of("Quake/two");
    assert_true(view_shows(view, span_of("a")));
    assert_true(view_shows(view, span_of("zz")));
    assert_true(view_shows(view, span_of("")));
    assert_true(view_shows(view, span_make("b\0c", 3)));
    assert_false(view_shows(view, span_of("b")));
    assert_false(view_shows(view, span_of("aa")));
    assert_false(view_shows(view, span_of("z")));
    assert_false(view_shows(view, span_of("zzz")));
    assert_true(view_shows(view_of("Quake/list"), span_of("anything")));
}

static void expect_projection(const struct view *view, const char *object, const char *expected)
{
    struct buffer out;
    buffer_init(&out, ROOM);
    assert_true(view_project(view, span_of(object), &out));
    assert_string_equal(buffer_string(&out), expected);
    buffer_fini(&out);
}

TEST(entities_are_cut_to_the_paths)
{
    static const char object[] = "{\"place\":\"x\",\"seen\":{\"at\":[1,2],\"by\":3},\"od\\\"d\":4,"
                                 "\"other\":5,\"_seq\":\"1:000000000002\"}";
    expect_projection(view_of("Quake/list"), object, object);
    expect_projection(view_of("Quake/some"), object,
                      "{\"place\":\"x\",\"seen\":{\"at\":[1,2]},\"od\\\"d\":4,"
                      "\"_seq\":\"1:000000000002\"}");
}

static void expect_append(const struct view *view, const char *append, const char *expected)
{
    struct buffer out;
    buffer_init(&out, ROOM);
    assert_true(view_append_paths(view, span_of(append), &out));
    assert_int_equal(out.length, strlen(expected));
    assert_memory_equal(buffer_span(&out).data, expected, out.length);
    buffer_fini(&out);
}

TEST(append_paths_that_are_hidden_are_left_out)
{
    const struct view *all = view_of("Quake/list"), *some = view_of("Quake/some");
    expect_append(all, "[\"place\",\"other\"]", "[\"place\",\"other\"]");
    expect_append(some, "[\"place\",\"other\"]", "[\"place\"]");
    expect_append(some, "[\"other\",\"seen.at\",\"od\\\"d\"]", "[\"seen.at\",\"od\\\"d\"]");
    expect_append(some, "[\"other\"]", "");
    expect_append(some, "[\"\\\\\",\"a\\\",\\\"place\",\"place\"]", "[\"place\"]");
    expect_append(some, "[]", "");
    expect_append(all, "[]", "");
    expect_append(all, NULL, "");
    expect_append(some, NULL, "");
}

/* The text is trusted, but a reader that ran past its end would be a hole all the same. */
TEST(a_cut_array_is_not_read_past_its_end)
{
    static const char append[] = "[\"place\",\"a\\\\\"]";
    for (size_t length = 0; length < sizeof append; length++) {
        struct buffer out;
        char *copy = memory_copy_string(append, length);
        buffer_init(&out, ROOM);
        assert_true(view_append_paths(view_of("Quake/list"), span_make(copy, length), &out));
        buffer_fini(&out);
        memory_free(copy);
    }
}

TEST(a_full_buffer_is_told)
{
    struct buffer out;
    buffer_init(&out, 4);
    assert_false(view_append_paths(view_of("Quake/list"), span_of("[\"place\"]"), &out));
    buffer_clear(&out);
    assert_false(view_project(view_of("Quake/list"), span_of("{\"a\":1}"), &out));
    buffer_clear(&out);
    assert_false(view_project(view_of("Quake/some"), span_of("{\"place\":1}"), &out));
    buffer_fini(&out);
}

TEST(every_allocation_may_fail)
{
    const struct view *view = view_of("Quake/some");
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        struct buffer object, append;
        buffer_init(&object, ROOM);
        buffer_init(&append, ROOM);
        memory_fail_at(nth, 0);
        bool projected = view_project(view, span_of("{\"place\":1,\"_seq\":\"0:1\"}"), &object);
        bool listed = view_append_paths(view, span_of("[\"place\"]"), &append);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_int_equal(projected && listed, !hit);
        buffer_fini(&object);
        buffer_fini(&append);
    }
}
