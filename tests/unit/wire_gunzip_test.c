/*
 * Compressed messages read back, and refused when they are damaged or too large.
 */
#include "test.h"
#include "wire/wire.h"

/* A member that holds `length` bytes. */
static void compress(struct buffer *member, struct buffer *plain, size_t length)
{
    struct wire_gzip *gzip = wire_gzip_new();
    assert_non_null(gzip);
    buffer_init(member, 1 << 24);
    buffer_init(plain, 1 << 24);
    for (size_t i = 0; i < length; i++)
        buffer_add_char(plain, (char)('a' + (i * i / 7) % 23));
    assert_true(wire_gzip_member(gzip, buffer_span(plain), member));
    wire_gzip_free(gzip);
}

TEST(what_was_compressed_comes_back)
{
    const size_t lengths[] = {0, 1, 65535, 65536, 65537, 1 << 20};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct buffer member, plain, back;
        struct error error;
        compress(&member, &plain, lengths[i]);
        /* Exactly enough room must do; there is always one more byte for the end to be seen. */
        buffer_init(&back, lengths[i] + 1);
        assert_true(wire_is_gzip(buffer_span(&member)));
        assert_true(wire_gunzip(buffer_span(&member), &back, &error));
        assert_true(span_equal(buffer_span(&back), buffer_span(&plain)));
        buffer_fini(&member);
        buffer_fini(&plain);
        buffer_fini(&back);
    }
}

static void expect_refused(struct span member, size_t limit, enum error_code code)
{
    struct buffer back;
    struct error error = {0};
    buffer_init(&back, limit);
    assert_false(wire_gunzip(member, &back, &error));
    assert_int_equal(error.code, code);
    buffer_fini(&back);
}

TEST(what_is_too_large_or_damaged_is_refused)
{
    struct buffer member, plain;
    compress(&member, &plain, 100000);
    struct span whole = buffer_span(&member);
    expect_refused(whole, 99999, ERROR_TOO_LARGE);
    for (size_t length = 0; length < whole.length; length += whole.length / 50 + 1)
        expect_refused(span_make(whole.data, length), 1 << 20, ERROR_INVALID_MESSAGE);
    buffer_add_char(&member, 'x');
    expect_refused(buffer_span(&member), 1 << 20, ERROR_INVALID_MESSAGE);
    member.data[member.length / 2] ^= 0x40;
    expect_refused(span_make(member.data, member.length - 1), 1 << 20, ERROR_INVALID_MESSAGE);
    assert_false(wire_is_gzip(span_of("{}")));
    assert_false(wire_is_gzip(span_of("\x1f")));
    buffer_fini(&member);
    buffer_fini(&plain);
}

TEST(several_members_are_one_message)
{
    struct buffer first, second, plain, more, back;
    struct error error;
    compress(&first, &plain, 70000);
    compress(&second, &more, 3);
    buffer_add_span(&first, buffer_span(&second));
    buffer_add_span(&plain, buffer_span(&more));
    struct span both = buffer_span(&first);
    buffer_init(&back, plain.length + 1);
    assert_true(wire_gunzip(both, &back, &error));
    assert_true(span_equal(buffer_span(&back), buffer_span(&plain)));
    expect_refused(both, plain.length - 1, ERROR_TOO_LARGE);
    expect_refused(span_make(both.data, both.length - 1), 1 << 20, ERROR_INVALID_MESSAGE);
    expect_refused(span_make(both.data, both.length - second.length + 1), 1 << 20,
                   ERROR_INVALID_MESSAGE);
    struct buffer *buffers[] = {&first, &second, &plain, &more, &back};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
        buffer_fini(buffers[i]);
}
