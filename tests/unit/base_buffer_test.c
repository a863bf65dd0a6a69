#include "base/base.h"
#include "memory_fault.h"
#include "test.h"

TEST(empty_buffer_owns_nothing)
{
    struct buffer buffer;
    buffer_init(&buffer, 10);
    assert_null(buffer.data);
    assert_non_null(buffer_span(&buffer).data);
    assert_int_equal(buffer_span(&buffer).length, 0);
    buffer_fini(&buffer);
}

TEST(appends_in_order)
{
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    assert_true(buffer_add(&buffer, "a\0b", 3));
    assert_true(buffer_add(&buffer, NULL, 0));
    assert_true(buffer_add_span(&buffer, span_make(NULL, 0)));
    assert_true(buffer_add_span(&buffer, span_of("cd")));
    assert_true(buffer_add_string(&buffer, "ef"));
    assert_true(buffer_add_char(&buffer, 'g'));
    assert_true(buffer_printf(&buffer, "%d-%s", 42, "h"));
    assert_true(span_equal(buffer_span(&buffer), span_make("a\0bcdefg42-h", 12)));
    assert_string_equal(buffer_string(&buffer) + 3, "cdefg42-h");
    assert_int_equal(buffer.length, 12);
    buffer_fini(&buffer);
}

TEST(grows_through_many_small_appends)
{
    struct buffer buffer;
    buffer_init(&buffer, SIZE_MAX);
    for (int i = 0; i < 100000; i++)
        assert_true(buffer_add_char(&buffer, (char)(i % 251)));
    assert_int_equal(buffer.length, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buffer.data[i], (char)(i % 251));
    buffer_fini(&buffer);
}

TEST(limit_is_exact_and_failure_sticks)
{
    struct buffer buffer;
    buffer_init(&buffer, 100);
    for (int i = 0; i < 100; i++)
        assert_true(buffer_add_char(&buffer, 'x'));
    assert_int_equal(strlen(buffer_string(&buffer)), 100); /* the NUL does not count */
    assert_false(buffer_add_char(&buffer, 'y'));
    assert_true(buffer.failed);
    assert_false(buffer_add(&buffer, "", 0));
    assert_false(buffer_printf(&buffer, "%s", "z"));
    assert_null(buffer_reserve(&buffer, 0));
    assert_null(buffer_string(&buffer));
    assert_null(buffer_take(&buffer, NULL));
    assert_int_equal(buffer.length, 100);
    buffer_clear(&buffer);
    assert_false(buffer.failed);
    assert_true(buffer_add_string(&buffer, "again"));
    assert_string_equal(buffer_string(&buffer), "again");
    buffer_fini(&buffer);
}

TEST(huge_requests_do_not_overflow)
{
    struct buffer buffer;
    buffer_init(&buffer, SIZE_MAX);
    assert_true(buffer_add_string(&buffer, "abc"));
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
    assert_true(buffer.failed);
    buffer_fini(&buffer);
    buffer_init(&buffer, 0);
    assert_string_equal(buffer_string(&buffer), "");
    assert_false(buffer_add_char(&buffer, 'a'));
    buffer_fini(&buffer);
}

TEST(printf_grows_and_fills_exactly)
{
    struct buffer buffer;
    for (int width = 0; width < 200; width++) {
        buffer_init(&buffer, 150);
        assert_int_equal(buffer_printf(&buffer, "%*s", width, ""), width <= 150);
        assert_int_equal(buffer.length, width <= 150 ? width : 0);
        buffer_fini(&buffer);
    }
}

TEST(reserve_leaves_the_length)
{
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    char *room = buffer_reserve(&buffer, 500);
    assert_non_null(room);
    assert_int_equal(buffer.length, 0);
    memset(room, 'r', 500);
    buffer.length += 500;
    assert_ptr_equal(buffer_reserve(&buffer, 0), buffer.data + 500);
    buffer_fini(&buffer);
}

TEST(take_hands_the_memory_over)
{
    struct buffer buffer;
    size_t length = 99;
    buffer_init(&buffer, 1000);
    char *empty = buffer_take(&buffer, &length);
    assert_string_equal(empty, "");
    assert_int_equal(length, 0);
    memory_free(empty);
    buffer_add_string(&buffer, "given");
    char *data = buffer_take(&buffer, &length);
    assert_string_equal(data, "given");
    assert_int_equal(length, 5);
    assert_null(buffer.data);
    assert_int_equal(buffer.limit, 1000);
    buffer_add_string(&buffer, "next");
    assert_string_equal(buffer_string(&buffer), "next");
    memory_free(data);
    buffer_fini(&buffer);
}

TEST(out_of_memory_keeps_what_was_there)
{
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    buffer_add_string(&buffer, "kept");
    memory_fail_at(1, 0);
    assert_null(buffer_reserve(&buffer, 500));
    memory_fail_at(0, 0);
    assert_true(buffer.failed);
    assert_true(span_equal(buffer_span(&buffer), span_of("kept")));
    buffer_fini(&buffer);
}

TEST(spans_compare_by_bytes)
{
    assert_true(span_compare(span_of("a"), span_of("b")) < 0);
    assert_true(span_compare(span_of("ab"), span_of("a")) > 0);
    assert_true(span_compare(span_of("a"), span_of("ab")) < 0);
    assert_int_equal(span_compare(span_of("ab"), span_of("ab")), 0);
    assert_true(span_compare(span_of("\x7F"), span_of("\x80")) < 0);
    assert_true(span_equal(span_of(NULL), span_of("")));
    assert_false(span_equal(span_of("a"), span_of("b")));
    assert_null(span_of(NULL).data);
}
