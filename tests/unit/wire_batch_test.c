/* Snapshot batches and their compression. */
#include "memory_fault.h"
#include "test.h"
#include "wire/wire.h"

#include <zlib.h>

enum { ROOM = 8 << 20 };

static struct wire_gzip *gzip;

/* The payload of the one binary message in `bytes`. */
static void join(struct span bytes, struct buffer *message)
{
    bool final = false;
    buffer_init(message, ROOM);
    assert_int_equal(bytes.data[0] & 0x0f, 2);
    while (!final) {
        struct span payload;
        size_t length = wire_frame_length(bytes);
        assert_true(wire_frame_payload(bytes, &payload, &final));
        buffer_add_span(message, payload);
        bytes = span_make(bytes.data + length, bytes.length - length);
    }
    assert_int_equal(bytes.length, 0);
}

static bool is_gzip(struct span bytes)
{
    return bytes.length > 2 && memcmp(bytes.data, "\x1f\x8b", 2) == 0;
}

static void gunzip(struct span packed, struct buffer *out)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)packed.data, .avail_in = (uInt)packed.length};
    assert_int_equal(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
    buffer_init(out, ROOM);
    stream.next_out = (Bytef *)buffer_reserve(out, ROOM);
    stream.avail_out = ROOM;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    out->length = stream.total_out;
    inflateEnd(&stream);
}

/* A batch of rows with `size` bytes of data each, in which nothing or much repeats. */
static bool build(struct wire_batch *batch, struct wire_gzip *with, size_t rows, size_t size,
                  bool random, struct buffer *out)
{
    static char data[200000];
    uint32_t noise = 1;
    wire_batch_start(batch, WIRE_LIST, span_of("Quake/list"));
    for (size_t i = 0; i < rows; i++) {
        char key[32];
        snprintf(key, sizeof key, "key %zu", i);
        for (size_t j = 0; j < size; j++) {
            noise = noise * 1664525 + 1013904223;
            data[j] = random ? (char)(noise >> 24) : 'x';
        }
        wire_batch_row(batch, span_of(key), span_make(data, size), 0);
    }
    return wire_batch_end(batch, true, span_of("5:000000000001"), with, out);
}

TEST(small_batches_are_plain_json)
{
    struct wire_batch batch;
    struct buffer out, message;
    wire_batch_init(&batch, NULL, ROOM);
    buffer_init(&out, ROOM);
    assert_true(wire_batch_start(&batch, WIRE_APPEND, span_of("Qu\"ake/append")));
    assert_true(wire_batch_row(&batch, span_of("a\n"), span_of("{\"x\":1}"), 0));
    assert_true(wire_batch_row(&batch, span_of("b"), span_of("{}"), 0));
    assert_int_equal(batch.rows, 2);
    assert_true(wire_batch_end(&batch, false, span_make(NULL, 0), gzip, &out));
    join(buffer_span(&out), &message);
    assert_string_equal(buffer_string(&message),
                        "{\"mode\":\"append\",\"entity\":\"Qu\\\"ake/append\",\"op\":\"snapshot\","
                        "\"data\":[{\"key\":\"a\\n\",\"data\":{\"x\":1}},{\"key\":\"b\","
                        "\"data\":{}}],\"complete\":false}");
    buffer_fini(&message);
    buffer_fini(&out);
    wire_batch_fini(&batch);
}

TEST(an_empty_view_is_one_complete_batch)
{
    struct wire_batch batch;
    struct buffer out, message;
    wire_batch_init(&batch, NULL, ROOM);
    buffer_init(&out, ROOM);
    assert_true(wire_batch_start(&batch, WIRE_LIST, span_of("Quake/list")));
    assert_true(wire_batch_end(&batch, true, span_of("0:000000000000"), gzip, &out));
    join(buffer_span(&out), &message);
    assert_string_equal(buffer_string(&message),
                        "{\"mode\":\"list\",\"entity\":\"Quake/list\",\"op\":\"snapshot\","
                        "\"data\":[],\"complete\":true,\"seq\":\"0:000000000000\"}");
    buffer_fini(&message);
    buffer_fini(&out);
    wire_batch_fini(&batch);
}

/* Build it: whether its message is compressed. In any case that is the batch's JSON. */
static bool is_packed(struct wire_batch *batch, size_t rows, size_t size, bool random)
{
    struct buffer out, message, json;
    buffer_init(&out, ROOM);
    assert_true(build(batch, gzip, rows, size, random, &out));
    join(buffer_span(&out), &message);
    bool packed = is_gzip(buffer_span(&message));
    if (packed) {
        assert_true(message.length < batch->json.length);
        gunzip(buffer_span(&message), &json);
        assert_true(span_equal(buffer_span(&json), buffer_span(&batch->json)));
        buffer_fini(&json);
    } else {
        assert_true(span_equal(buffer_span(&message), buffer_span(&batch->json)));
    }
    buffer_fini(&message);
    buffer_fini(&out);
    return packed;
}

TEST(compressed_batches_unpack_to_the_same_json)
{
    struct wire_batch batch;
    wire_batch_init(&batch, NULL, ROOM);
    for (size_t rows = 1; rows <= 1000; rows = rows * 3 + 1) {
        bool packed = is_packed(&batch, rows, 300, false);
        assert_int_equal(packed, batch.json.length >= WIRE_GZIP_MINIMUM);
    }
    wire_batch_fini(&batch);
}

TEST(compression_starts_at_its_minimum)
{
    struct wire_batch batch;
    wire_batch_init(&batch, NULL, ROOM);
    for (size_t size = 800; size < 1000; size++) {
        bool packed = is_packed(&batch, 1, size, false);
        assert_int_equal(packed, batch.json.length >= WIRE_GZIP_MINIMUM);
    }
    wire_batch_fini(&batch);
}

TEST(what_does_not_get_smaller_stays_plain)
{
    struct wire_batch batch;
    wire_batch_init(&batch, NULL, ROOM);
    static const size_t sizes[] = {1024, 40000, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_false(is_packed(&batch, 1, sizes[i], true));
        /* A compressor that gave up half-way is as good as new. */
        assert_true(is_packed(&batch, 20, 300, false));
    }
    wire_batch_fini(&batch);
}

TEST(any_payload_is_one_gzip_member)
{
    static const char *const payloads[] = {"", "a", "some text, some text, some text"};
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct buffer out, plain;
        buffer_init(&out, ROOM);
        assert_true(wire_gzip_member(gzip, span_of(payloads[i]), &out));
        assert_true(is_gzip(buffer_span(&out)));
        gunzip(buffer_span(&out), &plain);
        assert_string_equal(buffer_string(&plain), payloads[i]);
        buffer_fini(&plain);
        buffer_fini(&out);
    }
}

TEST(a_batch_beyond_its_limit_fails_and_starts_anew)
{
    struct wire_batch batch;
    struct buffer out;
    wire_batch_init(&batch, NULL, 500);
    buffer_init(&out, ROOM);
    assert_false(build(&batch, gzip, 3, 200, false, &out));
    assert_int_equal(out.length, 0);
    assert_true(build(&batch, gzip, 1, 200, false, &out));
    buffer_fini(&out);
    buffer_init(&out, 10);
    assert_false(build(&batch, gzip, 1, 200, false, &out));
    assert_true(out.failed);
    assert_int_equal(out.length, 0);
    struct buffer tiny;
    buffer_init(&tiny, 5);
    assert_false(wire_gzip_member(gzip, span_of("text"), &tiny));
    assert_true(tiny.failed);
    buffer_fini(&tiny);
    buffer_fini(&out);
    wire_batch_fini(&batch);
}

TEST(every_allocation_may_fail)
{
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        struct wire_batch batch;
        struct buffer out;
        wire_batch_init(&batch, NULL, ROOM);
        buffer_init(&out, ROOM);
        memory_fail_at(nth, 0);
        struct wire_gzip *own = wire_gzip_new();
        bool built = own && build(&batch, own, 10, 300, false, &out);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        /* A batch that found no memory to be compressed in may go out plain. */
        assert_true(built || hit);
        assert_int_equal(out.length > 0, built);
        wire_gzip_free(own);
        wire_batch_fini(&batch);
        buffer_fini(&out);
    }
}

static void set_up(void)
{
    assert_non_null(gzip = wire_gzip_new());
}

static void tear_down(void)
{
    wire_gzip_free(gzip);
}

TEST_ALL(set_up, tear_down)
