/* Framing, and the frames of a live subscription. */
#include "memory_fault.h"
#include "test.h"
#include "wire/wire.h"

enum { TEXT = 1, BINARY = 2, ROOM = 1 << 20 };

/* Put the fragments of the one message in `bytes` together, checking every header on the way. */
static void join(struct span bytes, unsigned opcode, struct buffer *message)
{
    bool final = false;
    buffer_init(message, ROOM);
    for (size_t at = 0; at < bytes.length;) {
        struct span rest = span_make(bytes.data + at, bytes.length - at), payload;
        unsigned first = (unsigned char)rest.data[0];
        size_t length = wire_frame_length(rest);
        assert_false(final);
        assert_true(length >= 2 && length <= rest.length);
        assert_true(wire_frame_payload(rest, &payload, &final));
        assert_int_equal(payload.data + payload.length - rest.data, length);
        assert_true(payload.length <= WIRE_FRAGMENT);
        assert_true(final || payload.length == WIRE_FRAGMENT);
        assert_int_equal(first, (at == 0 ? opcode : 0) | (final ? 0x80u : 0));
        /* RFC 6455 wants the shortest form of a length. */
        assert_int_equal(length - payload.length, payload.length <= 125 ? 2 : 4);
        buffer_add_span(message, payload);
        at += length;
    }
    assert_true(final);
    assert_false(message->failed);
}

static void expect_message(struct buffer *out, unsigned opcode, const char *expected)
{
    struct buffer message;
    join(buffer_span(out), opcode, &message);
    assert_string_equal(buffer_string(&message), expected);
    buffer_fini(&message);
    buffer_clear(out);
}

/* ---- framing ---- */

static const size_t lengths[] = {0,     1,     124,   125,   126,   127,   32767, 32768,
                                 32769, 32893, 32894, 65535, 65536, 65537, 100000};

TEST(messages_of_every_length_come_out_whole)
{
    static char payload[100000];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct span whole = span_make(payload, lengths[i]);
        struct buffer out, message;
        buffer_init(&out, ROOM);
        assert_true(i % 2 ? wire_text(&out, whole) : wire_binary(&out, whole, WIRE_WHOLE));
        join(buffer_span(&out), i % 2 ? TEXT : BINARY, &message);
        assert_true(span_equal(buffer_span(&message), whole));
        buffer_fini(&message);
        buffer_fini(&out);
    }
}

TEST(headers_are_exact)
{
    static char payload[300];
    struct buffer out;
    buffer_init(&out, ROOM);
    assert_true(wire_text(&out, span_make(payload, 125)));
    assert_memory_equal(out.data, "\x81\x7d", 2);
    buffer_clear(&out);
    assert_true(wire_binary(&out, span_make(payload, 126), WIRE_WHOLE));
    assert_memory_equal(out.data, "\x82\x7e\x00\x7e", 4);
    buffer_clear(&out);
    assert_true(wire_binary(&out, span_make(payload, 300), WIRE_WHOLE));
    assert_memory_equal(out.data, "\x82\x7e\x01\x2c", 4);
    buffer_clear(&out);
    assert_true(wire_text(&out, span_make(NULL, 0)));
    assert_int_equal(out.length, 2);
    assert_memory_equal(out.data, "\x81\x00", 2);
    buffer_fini(&out);
}

TEST(a_frame_is_measured_before_it_is_whole)
{
    struct span payload;
    bool final;
    assert_int_equal(wire_frame_length(span_make(NULL, 0)), 0);
    assert_int_equal(wire_frame_length(span_make("\x82", 1)), 0);
    assert_int_equal(wire_frame_length(span_make("\x82\x05", 2)), 7);
    assert_int_equal(wire_frame_length(span_make("\x82\x7e\x01", 3)), 0);
    assert_int_equal(wire_frame_length(span_make("\x82\x7e\x01\x00", 4)), 260);
    assert_int_equal(wire_frame_length(span_make("\x82\x7f\0\0\0\0\0\1\0\0", 10)), 65546);
    assert_int_equal(wire_frame_length(span_make("\x82\x7f\0\0\0\0\0\1\0", 9)), 0);
    assert_false(wire_frame_payload(span_make("\x82\x05"
                                              "abcd",
                                              6),
                                    &payload, &final));
    assert_true(wire_frame_payload(span_make("\x02\x05"
                                             "abcdef",
                                             8),
                                   &payload, &final));
    assert_true(span_equal(payload, span_of("abcde")));
    assert_false(final);
}

TEST(a_run_of_frames_is_measured)
{
    static const size_t sizes[] = {
        0, 125, 126, WIRE_FRAGMENT, WIRE_FRAGMENT + 1, 3 * WIRE_FRAGMENT};
    static char text[3 * WIRE_FRAGMENT];
    struct buffer out;
    size_t messages = 0, payload = 0;
    buffer_init(&out, 1 << 20);
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_true(wire_binary(&out, span_make(text, sizes[i]), WIRE_WHOLE));
        messages++;
        payload += sizes[i];
        struct wire_run run = wire_measure(buffer_span(&out));
        assert_int_equal(run.messages, messages);
        assert_int_equal(run.payload, payload);
        assert_false(run.unfinished);
    }
    /* Without its last fragment the last message has not ended. */
    size_t fragment = WIRE_FRAGMENT + 4;
    struct wire_run run = wire_measure(span_make(out.data, out.length - fragment));
    assert_int_equal(run.messages, messages - 1);
    assert_int_equal(run.payload, payload - WIRE_FRAGMENT);
    assert_true(run.unfinished);
    run = wire_measure(span_make("", 0));
    assert_int_equal(run.messages + run.payload, 0);
    assert_false(run.unfinished);
    buffer_fini(&out);
}

TEST(what_no_server_sends_is_no_frame)
{
    struct span payload;
    bool final;
    assert_int_equal(wire_frame_length(span_make("\x82\x85"
                                                 "....abcde",
                                                 11)),
                     0);
    struct span endless = span_make("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10);
    assert_int_equal(wire_frame_length(endless), 0);
    assert_false(wire_frame_payload(endless, &payload, &final));
}

/* ---- live frames ---- */

static const struct wire_change patch = {.mode = WIRE_LIST,
                                         .view = {"Quake/list", 10},
                                         .operation = ROW_PATCH,
                                         .key = {"k", 1},
                                         .data = {"{\"a\":0.1}", 9},
                                         .append = {"[\"recent\"]", 10},
                                         .seq = {"5:000000000001", 14}};

TEST(changes_have_the_protocols_fields_in_its_order)
{
    struct buffer out;
    buffer_init(&out, ROOM);
    struct wire_change change = patch;
    assert_true(wire_change(&out, &change));
    expect_message(&out, BINARY,
                   "{\"mode\":\"list\",\"entity\":\"Quake/list\",\"op\":\"patch\",\"key\":\"k\","
                   "\"data\":{\"a\":0.1},\"append\":[\"recent\"],\"seq\":\"5:000000000001\"}");
    change.mode = WIRE_STATE;
    change.operation = ROW_UPSERT;
    change.append = span_make(NULL, 0);
    assert_true(wire_change(&out, &change));
    expect_message(&out, BINARY,
                   "{\"mode\":\"state\",\"entity\":\"Quake/list\",\"op\":\"upsert\",\"key\":\"k\","
                   "\"data\":{\"a\":0.1},\"seq\":\"5:000000000001\"}");
    change.mode = WIRE_APPEND;
    change.operation = ROW_DELETE;
    change.data = change.seq = span_make(NULL, 0);
    assert_true(wire_change(&out, &change));
    expect_message(&out, BINARY,
                   "{\"mode\":\"append\",\"entity\":\"Quake/list\",\"op\":\"delete\",\"key\":\"k\","
                   "\"data\":null}");
    buffer_fini(&out);
}

TEST(views_and_keys_are_escaped)
{
    struct buffer out;
    buffer_init(&out, ROOM);
    struct wire_change change = patch;
    change.view = span_of("Qu\\ä/list");
    change.key = span_make("a\"b\n\0\x1f", 6);
    change.append = span_make(NULL, 0);
    assert_true(wire_change(&out, &change));
    expect_message(&out, BINARY,
                   "{\"mode\":\"list\",\"entity\":\"Qu\\\\ä/list\",\"op\":\"patch\","
                   "\"key\":\"a\\\"b\\n\\u0000\\u001f\",\"data\":{\"a\":0.1},"
                   "\"seq\":\"5:000000000001\"}");
    buffer_fini(&out);
}

/* Escaping makes the payload up to six times longer than was guessed when its header's room was
 * kept, so every way in which a header or fragments must be moved is passed here. */
static void check_moved(char filler, size_t from, size_t to)
{
    static char key[40000];
    memset(key, filler, sizeof key);
    struct buffer out, expected, message;
    buffer_init(&out, ROOM);
    buffer_init(&expected, ROOM);
    for (size_t length = from; length <= to; length++) {
        struct wire_change change = patch;
        change.key = span_make(key, length);
        buffer_clear(&out);
        buffer_clear(&expected);
        buffer_add_string(&out, "before");
        assert_true(wire_change(&out, &change));
        assert_memory_equal(out.data, "before", 6);
        buffer_add_string(&expected,
                          "{\"mode\":\"list\",\"entity\":\"Quake/list\",\"op\":\"patch\","
                          "\"key\":");
        doc_escape(&expected, change.key);
        buffer_add_string(&expected, ",\"data\":{\"a\":0.1},\"append\":[\"recent\"],"
                                     "\"seq\":\"5:000000000001\"}");
        join(span_make(out.data + 6, out.length - 6), BINARY, &message);
        assert_true(span_equal(buffer_span(&message), buffer_span(&expected)));
        buffer_fini(&message);
    }
    buffer_fini(&out);
    buffer_fini(&expected);
}

TEST(frames_built_in_place_are_whole_at_every_length)
{
    check_moved('x', 0, 40);
    check_moved('\x01', 0, 40);
    check_moved('x', WIRE_FRAGMENT - 200, WIRE_FRAGMENT + 60);
    check_moved('\x01', 5400, 5500);
    check_moved('\x01', 10860, 10960);
    check_moved('"', 39990, 40000);
}

TEST(acknowledgements_say_what_the_view_is)
{
    struct buffer out;
    buffer_init(&out, ROOM);
    struct wire_subscribed subscribed = {.view = span_of("Quake/list"),
                                         .mode = WIRE_LIST,
                                         .sorted_by_seq = true,
                                         .epoch = span_of("e1"),
                                         .resumed = 0};
    assert_true(wire_subscribed(&out, &subscribed));
    expect_message(&out, BINARY,
                   "{\"op\":\"subscribed\",\"view\":\"Quake/list\",\"mode\":\"list\","
                   "\"sort\":{\"field\":[\"_seq\"],\"order\":\"desc\"},\"epoch\":\"e1\","
                   "\"resumed\":false}");
    subscribed = (struct wire_subscribed){
        .view = span_of("a\"/state"), .mode = WIRE_STATE, .epoch = span_of("e"), .resumed = -1};
    assert_true(wire_subscribed(&out, &subscribed));
    expect_message(
        &out, BINARY,
        "{\"op\":\"subscribed\",\"view\":\"a\\\"/state\",\"mode\":\"state\",\"epoch\":\"e\"}");
    subscribed.has_take = true;
    subscribed.take = 10;
    assert_true(wire_subscribed(&out, &subscribed));
    expect_message(&out, BINARY,
                   "{\"op\":\"subscribed\",\"view\":\"a\\\"/state\",\"mode\":\"state\","
                   "\"take\":10,\"skip\":0,\"epoch\":\"e\"}");
    subscribed.has_take = false;
    const struct span path[] = {span_of("id"), span_of("a.\"b")};
    struct wire_sort sorts[] = {{path, 2, false}, {path + 1, 1, true}};
    subscribed.sorts = sorts;
    subscribed.sort_count = 1;
    assert_true(wire_subscribed(&out, &subscribed));
    expect_message(&out, BINARY,
                   "{\"op\":\"subscribed\",\"view\":\"a\\\"/state\",\"mode\":\"state\","
                   "\"sort\":{\"field\":[\"id\",\"a.\\\"b\"],\"order\":\"asc\"},\"epoch\":\"e\"}");
    subscribed.sort_count = 2;
    assert_true(wire_subscribed(&out, &subscribed));
    expect_message(&out, BINARY,
                   "{\"op\":\"subscribed\",\"view\":\"a\\\"/state\",\"mode\":\"state\","
                   "\"sort\":{\"field\":[\"id\",\"a.\\\"b\"],\"order\":\"asc\"},"
                   "\"sorts\":[{\"field\":[\"id\",\"a.\\\"b\"],\"order\":\"asc\"},"
                   "{\"field\":[\"a.\\\"b\"],\"order\":\"desc\"}],\"epoch\":\"e\"}");
    sorts[0].descending = true;
    sorts[0].count = 1;
    subscribed.sort_count = 1;
    assert_true(wire_subscribed(&out, &subscribed));
    expect_message(&out, BINARY,
                   "{\"op\":\"subscribed\",\"view\":\"a\\\"/state\",\"mode\":\"state\","
                   "\"sort\":{\"field\":[\"id\"],\"order\":\"desc\"},\"epoch\":\"e\"}");
    subscribed.sort_count = 0;
    subscribed.mode = WIRE_APPEND;
    subscribed.resumed = 1;
    subscribed.epoch = span_make(NULL, 0);
    assert_true(wire_subscribed(&out, &subscribed));
    expect_message(&out, BINARY,
                   "{\"op\":\"subscribed\",\"view\":\"a\\\"/state\",\"mode\":\"append\","
                   "\"resumed\":true}");
    buffer_fini(&out);
}

TEST(modes_have_names)
{
    assert_string_equal(wire_mode_names[WIRE_STATE], "state");
    assert_string_equal(wire_mode_names[WIRE_LIST], "list");
    assert_string_equal(wire_mode_names[WIRE_APPEND], "append");
}

/* ---- failing ---- */

/* Build one message of each kind; what comes out must be whole messages, however it ends. */
static void build_all(struct buffer *out)
{
    static char key[12000];
    memset(key, '\x02', sizeof key);
    struct wire_change change = patch;
    change.key = span_make(key, sizeof key);
    struct wire_subscribed subscribed = {
        .view = span_make(key, 100), .mode = WIRE_LIST, .epoch = span_of("e"), .resumed = -1};
    wire_change(out, &patch);
    wire_subscribed(out, &subscribed);
    wire_change(out, &change);
    wire_text(out, span_of("text"));
}

static void check_whole_frames(struct span bytes)
{
    for (size_t at = 0; at < bytes.length;) {
        size_t length = wire_frame_length(span_make(bytes.data + at, bytes.length - at));
        assert_true(length > 0 && length <= bytes.length - at);
        at += length;
    }
}

TEST(a_full_buffer_holds_whole_messages_only)
{
    struct buffer all, out;
    buffer_init(&all, ROOM);
    build_all(&all);
    assert_false(all.failed);
    for (size_t limit = 0; limit < all.length; limit += limit < 600 ? 1 : 977) {
        buffer_init(&out, limit);
        build_all(&out);
        assert_true(out.failed);
        assert_true(out.length <= limit);
        check_whole_frames(buffer_span(&out));
        buffer_fini(&out);
    }
    buffer_fini(&all);
}

TEST(every_allocation_may_fail)
{
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        struct buffer out;
        buffer_init(&out, ROOM);
        memory_fail_at(nth, 0);
        build_all(&out);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_int_equal(out.failed, hit);
        check_whole_frames(buffer_span(&out));
        buffer_fini(&out);
    }
}
