/* WebSocket frames of a client: each case whole and in every pair of pieces. */
#include "net/frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

enum { LIMIT = 100 * 1024, LIMIT_OF_CASES = 1000 };

/* What a run of frames says: pieces are joined until a message ends. */
static void note(struct buffer *out, const struct frame_event *event, bool *in_message)
{
    switch (event->kind) {
    case FRAME_NOTHING:
        break;
    case FRAME_MESSAGE:
        if (!*in_message)
            buffer_add_string(out, event->binary ? "B" : "T");
        buffer_add_span(out, event->bytes);
        *in_message = !event->last;
        if (event->last)
            buffer_add_string(out, ".");
        break;
    case FRAME_PING:
    case FRAME_PONG:
        buffer_printf(out, "<%s%.*s>", event->kind == FRAME_PING ? "ping" : "pong",
                      (int)event->bytes.length, event->bytes.data);
        break;
    case FRAME_CLOSE:
        buffer_printf(out, "<close %d>", event->status);
        break;
    case FRAME_TOO_LONG:
        buffer_add_string(out, "<long>");
        break;
    case FRAME_BROKEN:
        buffer_printf(out, "<%d>", event->status);
        break;
    }
}

static bool is_end(const struct frame_event *event)
{
    return event->kind >= FRAME_CLOSE;
}

static const char *read_pieces(struct span frames, size_t first, size_t limit, struct buffer *out)
{
    static char copy[4096];
    struct frame_reader reader;
    size_t ends[] = {first, frames.length}, at = 0;
    bool in_message = false, ended = false;
    memcpy(copy, frames.data, frames.length);
    frame_reader_init(&reader, limit);
    buffer_clear(out);
    for (int i = 0; i < 2; i++)
        while (at < ends[i] && !ended) {
            struct frame_event event;
            at += frame_read(&reader, copy + at, ends[i] - at, &event);
            note(out, &event, &in_message);
            ended = is_end(&event);
        }
    return buffer_string(out);
}

/* Frames whose mask is zero, but where it is written out. */
#define FRAMES(bytes) bytes, sizeof bytes - 1
#define M "\0\0\0\0"

static const struct {
    const char *bytes;
    size_t length;
    const char *says;
} cases[] = {
    {FRAMES("\x81\x82" M "ab"), "Tab."},
    {FRAMES("\x82\x82\x01\x02\x03\x04"
            "``"),
     "Bab."},
    {FRAMES("\x81\x80" M), "T."},
    {FRAMES("\x01\x81" M "a\x89\x81" M "p\x80\x81" M "b"), "Ta<pingp>b."},
    {FRAMES("\x01\x80" M "\x00\x80" M "\x80\x80" M), "T."},
    {FRAMES("\x8a\x80" M "\x89\x80" M), "<pong><ping>"},
    {FRAMES("\x81\xc3" M), ""}, /* 67 bytes are to come */
    /* closes */
    {FRAMES("\x88\x80" M), "<close 1005>"},
    {FRAMES("\x88\x82" M "\x03\xe8"), "<close 1000>"},
    {FRAMES("\x88\x84" M "\x0f\xa0\xc3\xa9"), "<close 4000>"},
    {FRAMES("\x88\x81" M "\x03"), "<1002>"},
    {FRAMES("\x88\x82" M "\x03\xed"), "<1002>"}, /* 1005 */
    {FRAMES("\x88\x82" M "\x03\xee"), "<1002>"}, /* 1006 */
    {FRAMES("\x88\x82" M "\x03\xf7"), "<1002>"}, /* 1015 */
    {FRAMES("\x88\x82" M "\x00\x00"), "<1002>"},
    {FRAMES("\x88\x82" M "\x03\xe7"), "<1002>"}, /* 999 */
    {FRAMES("\x88\x82" M "\x13\x88"), "<1002>"}, /* 5000 */
    {FRAMES("\x88\x83" M "\x03\xe8\xff"), "<1007>"},
    {FRAMES("\x88\x83" M "\x03\xe8\xc3"), "<1007>"},
    /* what is forbidden */
    {FRAMES("\x81\x01"), "<1002>"}, /* not masked */
    {FRAMES("\x89\x00"), "<1002>"},
    {FRAMES("\xc1\x80"), "<1002>"}, /* reserved bits */
    {FRAMES("\xa1\x80"), "<1002>"},
    {FRAMES("\x91\x80"), "<1002>"},
    {FRAMES("\x83\x80"), "<1002>"}, /* unknown opcodes */
    {FRAMES("\x87\x80"), "<1002>"},
    {FRAMES("\x8b\x80"), "<1002>"},
    {FRAMES("\x8f\x80"), "<1002>"},
    {FRAMES("\x09\x80"), "<1002>"}, /* control frames in pieces, or long */
    {FRAMES("\x08\x80"), "<1002>"},
    {FRAMES("\x89\xfe"), "<1002>"},
    {FRAMES("\x88\xff"), "<1002>"},
    {FRAMES("\x80\x80"), "<1002>"}, /* goes on without a beginning */
    {FRAMES("\x00\x80"), "<1002>"},
    {FRAMES("\x01\x80" M "\x81\x80"), "T<1002>"}, /* begins within another */
    {FRAMES("\x81\x80" M "\x80\x80"), "T.<1002>"},
    {FRAMES("\x81\xfe\x00\x7d"), "<1002>"}, /* 125 written as 16 bits */
    {FRAMES("\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff"), "<1002>"},
    {FRAMES("\x81\xff\x80\x00\x00\x00\x00\x01\x00\x00"), "<1002>"},
    /* lengths, known before the bytes come */
    {FRAMES("\x81\xfe\x03\xe9" M), "<long>"}, /* 1,001 bytes */
    {FRAMES("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M), "<long>"},
    {FRAMES("\x01\x81" M "a\x80\xfe\x03\xe8" M), "Ta<long>"},
    /* text */
    {FRAMES("\x81\x82" M "\xc3\xa9"), "T\xc3\xa9."},
    {FRAMES("\x01\x81" M "\xc3\x80\x81" M "\xa9"), "T\xc3\xa9."},
    {FRAMES("\x81\x84" M "\xf4\x8f\xbf\xbf"), "T\xf4\x8f\xbf\xbf."},
    {FRAMES("\x82\x81" M "\xff"), "B\xff."},
};

static void test_cases(void **state)
{
    struct buffer out;
    (void)state;
    buffer_init(&out, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t first = 0; first <= cases[i].length; first++) {
            struct span frames = span_make(cases[i].bytes, cases[i].length);
            const char *says = read_pieces(frames, first, LIMIT_OF_CASES, &out);
            if (strcmp(says, cases[i].says) != 0)
                fail_msg("case %zu, cut at %zu: %s, not %s", i, first, says, cases[i].says);
        }
    buffer_fini(&out);
}

/* Bytes that are no UTF-8, each as a message, whole and byte by byte. */
static void test_not_utf8(void **state)
{
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc3",
        "\xc3(",
        "\xe0\x9f\xbf",
        "\xe0\xa0",
        "\xe2\x28\xa1",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80",
        "\xfe",
        "\xff",
        "a\xc3",
        "\xce\xba\xe1\xbd\xb9\xed\xa0\x80x",
    };
    struct buffer out;
    (void)state;
    buffer_init(&out, 4096);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char frame[64] = "\x81";
        size_t length = strlen(bad[i]);
        frame[1] = (char)(0x80 | length);
        memcpy(frame + 6, bad[i], length);
        for (size_t first = 0; first <= 6 + length; first++) {
            const char *says = read_pieces(span_make(frame, 6 + length), first, LIMIT, &out);
            assert_non_null(strstr(says, "<1007>"));
        }
    }
    buffer_fini(&out);
}

/* Every mask, at every offset, gives the text back. */
static void test_masks(void **state)
{
    static const char text[] = "The quick brown fox jumps over the lazy dog 0123456789";
    enum { LENGTH = sizeof text - 1 };
    struct buffer out;
    (void)state;
    buffer_init(&out, 4096);
    for (unsigned seed = 1; seed < 50; seed++) {
        unsigned char mask[4] = {(unsigned char)(seed * 7), (unsigned char)(seed * 31), 0xff,
                                 (unsigned char)seed};
        char frame[6 + LENGTH] = {(char)0x81, (char)(0x80 | LENGTH)};
        memcpy(frame + 2, mask, 4);
        for (size_t i = 0; i < LENGTH; i++)
            frame[6 + i] = (char)(text[i] ^ mask[i % 4]);
        for (size_t first = 0; first <= sizeof frame; first++) {
            const char *says = read_pieces(span_make(frame, sizeof frame), first, LIMIT, &out);
            assert_memory_equal(says + 1, text, LENGTH);
        }
    }
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases),
                                       cmocka_unit_test(test_not_utf8),
                                       cmocka_unit_test(test_masks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
