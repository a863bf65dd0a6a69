/* WebSocket frames of a client: each vector whole, byte by byte, and in every pair of pieces. */
#include "net/frames.h"
#include "test.h"

#include "net_fixture.h"

enum { LIMIT = 1024, TOO_LONG = 1009 };

/* What a run of frames says, in the words of a vector: a line for each event, a message where it
 * ends. */
struct heard {
    struct buffer says, message;
    bool ended; /* nothing more may be read */
};

static void say(struct heard *heard, const char *what, struct span bytes)
{
    buffer_printf(&heard->says, "%s%s", what, bytes.length ? " " : "");
    for (size_t i = 0; i < bytes.length; i++)
        buffer_printf(&heard->says, "%02x", (unsigned char)bytes.data[i]);
    buffer_add_string(&heard->says, "\n");
}

static void end(struct heard *heard, const char *how, int status)
{
    buffer_printf(&heard->says, "%s %d\n", how, status);
    heard->ended = true;
}

static void note(struct heard *heard, const struct frame_event *event)
{
    switch (event->kind) {
    case FRAME_NOTHING:
        break;
    case FRAME_MESSAGE:
        buffer_add_span(&heard->message, event->bytes);
        if (!event->last)
            break;
        say(heard, event->binary ? "binary" : "text", buffer_span(&heard->message));
        buffer_clear(&heard->message);
        break;
    case FRAME_PING:
        say(heard, "ping", event->bytes);
        break;
    case FRAME_PONG:
        say(heard, "pong", event->bytes);
        break;
    case FRAME_CLOSE:
        end(heard, "close", event->status);
        break;
    case FRAME_TOO_LONG:
        end(heard, "fail", TOO_LONG);
        break;
    case FRAME_BROKEN:
        end(heard, "fail", event->status);
        break;
    }
}

/* The frames come in pieces: the first of one length, the others of another. */
static void read_pieces(struct span frames, size_t first, size_t others, struct heard *heard)
{
    static char copy[8192];
    struct frame_reader reader = {.limit = LIMIT};
    buffer_clear(&heard->says);
    buffer_clear(&heard->message);
    heard->ended = false;
    assert_true(frames.length <= sizeof copy);
    memcpy(copy, frames.data, frames.length);
    for (size_t at = 0, piece = first; at < frames.length && !heard->ended; piece = others) {
        size_t stop = frames.length - at < piece ? frames.length : at + piece;
        while (at < stop && !heard->ended) {
            struct frame_event event;
            at += frame_read(&reader, copy + at, stop - at, &event);
            note(heard, &event);
        }
    }
}

static void init(struct heard *heard)
{
    buffer_init(&heard->says, 65536);
    buffer_init(&heard->message, 65536);
}

static void fini(struct heard *heard)
{
    buffer_fini(&heard->says);
    buffer_fini(&heard->message);
}

/* What a vector says should be heard. */
static void expect(const struct tree *vector, struct buffer *out)
{
    const struct tree *events = tree_member(vector, "events");
    for (size_t i = 0; i < tree_count(events); i++) {
        buffer_add_span(out, tree_string(tree_element(events, i)));
        buffer_add_string(out, "\n");
    }
    struct span how = net_fixture_text(vector, "end");
    if (!span_equal(how, span_of("open")) && !span_equal(how, span_of("waiting"))) {
        buffer_add_span(out, how);
        buffer_add_string(out, "\n");
    }
}

static void check_vector(const struct tree *vector)
{
    struct heard heard;
    struct buffer frames, expected;
    init(&heard);
    buffer_init(&frames, 8192);
    buffer_init(&expected, 65536);
    net_fixture_add_hex(&frames, net_fixture_text(vector, "bytes"));
    expect(vector, &expected);
    for (size_t first = 0; first <= frames.length + 1; first++) {
        size_t others = first == 0 ? 1 : frames.length; /* at first byte by byte */
        read_pieces(buffer_span(&frames), first ? first : 1, others, &heard);
        if (!span_equal(buffer_span(&heard.says), buffer_span(&expected)))
            fail_msg("%s, cut at %zu: %s, not %s", net_fixture_text(vector, "name").data, first,
                     buffer_string(&heard.says), buffer_string(&expected));
    }
    fini(&heard);
    buffer_fini(&frames);
    buffer_fini(&expected);
}

TEST(test_vectors)
{
    assert_true(net_fixture_each("websocket/frames.jsonl", check_vector) > 100);
}

/* A long text, whose characters are read many at a time, with these bytes at each place of it. */
static void check_at_each_place(const char *bytes, const char *says)
{
    enum { LENGTH = 200, HEAD = 8 };
    size_t count = strlen(bytes);
    struct heard heard;
    init(&heard);
    for (size_t at = 0; at + count <= LENGTH; at++) {
        char frame[HEAD + LENGTH] = {(char)0x81, (char)0xfe, 0, (char)LENGTH};
        memset(frame + HEAD, 'a', LENGTH);
        memcpy(frame + HEAD + at, bytes, count);
        for (size_t first = HEAD; first < sizeof frame; first += 33) {
            read_pieces(span_make(frame, sizeof frame), first, sizeof frame, &heard);
            assert_int_equal(strncmp(buffer_string(&heard.says), says, strlen(says)), 0);
        }
    }
    fini(&heard);
}

TEST(what_is_not_utf8_is_found_anywhere)
{
    check_at_each_place("\xff", "fail 1007");
    check_at_each_place("\xc3z", "fail 1007");
    check_at_each_place("\xed\xa0\x80", "fail 1007");
    check_at_each_place("\xc3\xa9", "text ");
    check_at_each_place("\xf0\x9f\x98\x80", "text ");
    check_at_each_place("\xc3\xa9xx\xe2\x82\xac", "text ");
}

/* Every mask, at every offset, gives the text back. */
TEST(test_masks)
{
    static const char text[] = "The quick brown fox jumps over the lazy dog 0123456789";
    enum { LENGTH = sizeof text - 1 };
    struct heard heard;
    init(&heard);
    for (unsigned seed = 1; seed < 50; seed++) {
        unsigned char mask[4] = {(unsigned char)(seed * 7), (unsigned char)(seed * 31), 0xff,
                                 (unsigned char)seed};
        char frame[6 + LENGTH] = {(char)0x82, (char)(0x80 | LENGTH)};
        memcpy(frame + 2, mask, 4);
        for (size_t i = 0; i < LENGTH; i++)
            frame[6 + i] = (char)(text[i] ^ mask[i % 4]);
        for (size_t first = 1; first <= sizeof frame; first++) {
            read_pieces(span_make(frame, sizeof frame), first, sizeof frame, &heard);
            struct buffer back;
            buffer_init(&back, sizeof text);
            net_fixture_add_hex(&back, span_of(buffer_string(&heard.says) + strlen("binary ")));
            assert_true(span_equal(buffer_span(&back), span_of(text)));
            buffer_fini(&back);
        }
    }
    fini(&heard);
}
