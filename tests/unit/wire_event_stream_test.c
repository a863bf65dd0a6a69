/*
 * Ready frames as server-sent events: what a client reads is what a WebSocket's client reads,
 * however the frames come in pieces, compressed or not.
 */
#include "test.h"
#include "wire/event_stream.h"

static const char subscribed[] = "{\"op\":\"subscribed\",\"view\":\"a\\\"op\\\":\\\"b/"
                                 "list\",\"mode\":\"list\",\"epoch\":\"e1.x\"}";

/* All that the stream gives for these frames, and that no step gives too much. */
static void tell(struct wire_events *events, struct span frames, struct buffer *told)
{
    struct span bytes;
    assert_true(wire_events_take(events, frames));
    while (wire_events_wait(events)) {
        assert_true(wire_events_next(events, &bytes));
        assert_true(bytes.length <= 2 * WIRE_FRAGMENT + 512);
        buffer_add_span(told, bytes);
    }
}

/* Frame by frame, as pulls of a long message come. */
static void tell_each(struct wire_events *events, struct span frames, struct buffer *told)
{
    while (frames.length) {
        size_t length = wire_frame_length(frames);
        assert_true(length && length <= frames.length);
        tell(events, span_make(frames.data, length), told);
        frames = span_make(frames.data + length, frames.length - length);
    }
}

static void expect(const char *message, const char *event)
{
    struct wire_events *events = wire_events_new();
    struct buffer frames, told;
    buffer_init(&frames, 1 << 20);
    buffer_init(&told, 1 << 20);
    wire_binary(&frames, span_of(subscribed), WIRE_WHOLE);
    tell(events, buffer_span(&frames), &told);
    buffer_clear(&frames);
    buffer_clear(&told);
    wire_binary(&frames, span_of(message), WIRE_WHOLE);
    tell(events, buffer_span(&frames), &told);
    assert_string_equal(buffer_string(&told), event);
    buffer_fini(&frames);
    buffer_fini(&told);
    wire_events_free(events);
}

#define LIVE "{\"mode\":\"list\",\"entity\":\"a/list\",\"op\":"

TEST(name_and_cursor_are_those_of_the_message)
{
    static const struct {
        const char *message, *name, *id;
    } rows[] = {
        {LIVE "\"patch\",\"key\":\"k\",\"data\":{},\"seq\":\"5:000000000001\"}", "patch",
         "5:000000000001@e1.x"},
        {LIVE "\"upsert\",\"key\":\"k\",\"data\":{\"seq\":\"5:1\"}}", "upsert", NULL},
        {LIVE "\"delete\",\"key\":\"k\",\"data\":null}", "delete", NULL},
        {LIVE "\"snapshot\",\"data\":[],\"complete\":true,\"seq\":\"1:2\",\"more\":false}",
         "snapshot", "1:2@e1.x"},
        {LIVE "\"snapshot\",\"data\":[],\"complete\":true,\"seq\":\"1:2\",\"more\":true}",
         "snapshot", "1:2@e1.x"},
        {LIVE
         "\"snapshot\",\"data\":[{\"key\":\"k\",\"data\":{\"seq\":\"1:2\"}}],\"complete\":false}",
         "snapshot", NULL},
        {LIVE "\"patch\",\"key\":\"\\\",\\\"seq\\\":\\\"9:9\",\"data\":{},\"append\":[\"seq\"]}",
         "patch", NULL},
        {"{\"type\":\"error\",\"error\":\"x\",\"message\":\"\\\"op\\\":\\\"patch\\\"\",\"seq\":"
         "\"\"}",
         "error", NULL},
        {"{\"op\":\"subscribed\",\"view\":\"a\",\"epoch\":\"e2\"}", "subscribed", ""},
        {"{\"op\":\"subscribed\",\"view\":\",\\\"resumed\\\":true\",\"resumed\":false}",
         "subscribed", ""},
        {"{\"op\":\"subscribed\",\"view\":\"a\",\"epoch\":\"e2\",\"resumed\":true}", "subscribed",
         NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char event[1024];
        snprintf(event, sizeof event, "event: %s\ndata: %s%s%s\n\n", rows[i].name, rows[i].message,
                 !rows[i].id   ? ""
                 : *rows[i].id ? "\nid: "
                               : "\nid:",
                 rows[i].id ? rows[i].id : "");
        expect(rows[i].message, event);
    }
}

/* A batch of so many bytes of data, that compress or do not. */
static void add_batch(struct buffer *frames, struct buffer *plain, size_t length, bool compressible)
{
    struct wire_gzip *gzip = wire_gzip_new();
    struct wire_batch batch;
    struct buffer row;
    uint64_t state = length + 1;
    buffer_init(&row, SIZE_MAX);
    buffer_add_string(&row, "{\"t\":\"");
    for (size_t i = 0; i < length; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        buffer_add_char(&row, compressible ? 'x' : (char)('0' + (state >> 40) % 64));
    }
    for (size_t i = 6; i < row.length; i++)
        row.data[i] = row.data[i] == '\\' ? '/' : row.data[i];
    buffer_add_string(&row, "\"}");
    wire_batch_init(&batch, NULL, SIZE_MAX);
    wire_batch_start(&batch, WIRE_LIST, span_of("a/list"));
    wire_batch_row(&batch, span_of("k"), buffer_span(&row), 1);
    buffer_printf(plain,
                  "event: snapshot\ndata: %s],\"complete\":true,\"seq\":\"7:1\"}\nid: 7:1@e1.x\n\n",
                  buffer_string(&batch.json));
    assert_true(wire_batch_end(&batch, true, span_of("7:1"), gzip, frames));
    wire_batch_fini(&batch);
    buffer_fini(&row);
    wire_gzip_free(gzip);
}

TEST(batches_of_any_size_come_whole_in_bounded_pieces)
{
    static const size_t lengths[] = {0, 10, 1000, 1100, 32700, 32768, 65536, 300000, 3000000};
    for (size_t i = 0; i < 2 * sizeof lengths / sizeof *lengths; i++) {
        struct wire_events *events = wire_events_new();
        struct buffer frames, told, expected;
        buffer_init(&frames, SIZE_MAX);
        buffer_init(&told, SIZE_MAX);
        buffer_init(&expected, SIZE_MAX);
        wire_binary(&frames, span_of(subscribed), WIRE_WHOLE);
        buffer_printf(&expected, "event: subscribed\ndata: %s\nid:\n\n", subscribed);
        for (int round = 0; round < 2; round++)
            add_batch(&frames, &expected, lengths[i / 2], i % 2);
        if (lengths[i / 2] > WIRE_FRAGMENT)
            tell_each(events, buffer_span(&frames), &told);
        else
            tell(events, buffer_span(&frames), &told);
        assert_int_equal(told.length, expected.length);
        assert_memory_equal(told.data, expected.data, told.length);
        assert_int_equal(wire_events_measure(buffer_span(&told)).messages, 3);
        buffer_fini(&frames);
        buffer_fini(&told);
        buffer_fini(&expected);
        wire_events_free(events);
    }
}

TEST(a_message_that_was_dropped_in_the_middle_leaves_nothing_behind)
{
    struct wire_events *events = wire_events_new();
    struct buffer frames, ignored, told, expected;
    struct span bytes;
    buffer_init(&frames, SIZE_MAX);
    buffer_init(&ignored, SIZE_MAX);
    buffer_init(&told, SIZE_MAX);
    buffer_init(&expected, SIZE_MAX);
    add_batch(&frames, &ignored, 3000000, true);
    assert_true(wire_events_take(events, buffer_span(&frames)));
    assert_true(wire_events_next(events, &bytes) && bytes.length && wire_events_wait(events));
    wire_events_drop(events);
    assert_false(wire_events_wait(events));
    buffer_clear(&frames);
    wire_binary(&frames, span_of(subscribed), WIRE_WHOLE);
    add_batch(&frames, &expected, 5000, true);
    tell(events, buffer_span(&frames), &told);
    assert_true(told.length > expected.length);
    assert_memory_equal(told.data + told.length - expected.length, expected.data, expected.length);
    buffer_fini(&frames);
    buffer_fini(&ignored);
    buffer_fini(&told);
    buffer_fini(&expected);
    wire_events_free(events);
}

TEST(damaged_bytes_end_the_stream)
{
    struct wire_events *events = wire_events_new();
    struct buffer frames, plain;
    struct span bytes;
    bool good = true;
    buffer_init(&frames, SIZE_MAX);
    buffer_init(&plain, SIZE_MAX);
    add_batch(&frames, &plain, 5000, true);
    frames.data[frames.length / 2] ^= 0x55;
    assert_true(wire_events_take(events, buffer_span(&frames)));
    while (good && wire_events_wait(events))
        good = wire_events_next(events, &bytes);
    assert_false(good);
    assert_false(wire_events_next(events, &bytes));
    buffer_fini(&frames);
    buffer_fini(&plain);
    wire_events_free(events);
}

TEST(ends_of_events_are_found)
{
    struct span bytes = span_of("event: a\ndata: 1\n\n:\n\nevent: b\nda");
    struct wire_run run = wire_events_measure(bytes);
    assert_int_equal(run.messages, 2);
    assert_true(run.unfinished);
    assert_false(wire_events_measure(span_make(bytes.data, 21)).unfinished);
    assert_false(wire_events_measure(span_make("", 0)).unfinished);
    for (size_t most = 0; most <= bytes.length; most++)
        assert_int_equal(wire_events_within(bytes, most).length, most < 18   ? 0
                                                                 : most < 21 ? 18
                                                                             : 21);
}

TEST(ids_are_cut_in_two)
{
    struct span seq, epoch;
    assert_true(wire_event_id(span_of("5:1@e@f"), &seq, &epoch));
    assert_true(span_equal(seq, span_of("5:1")) && span_equal(epoch, span_of("e@f")));
    static const char *const bad[] = {"", "5:1", "@e", "5:1@"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(wire_event_id(span_of(bad[i]), &seq, &epoch));
}
