/*
 * Version 2 of the protocol: messages that clients of it sent, and what the server that they were
 * made for said to them (tests/vectors/protocol2); bodies, and how they become messages behind a
 * head, also where they are compressed and cut; every allocation failing once.
 */
#include "memory_fault.h"
#include "test.h"
#include "wire/wire.h"

enum { ROOM = 1 << 24 };

static const struct wire_encoding encoding = {.epoch = "0a1b2c3d"};

/* ---- messages ---- */

static void each_vector(void (*check)(const struct tree *vector))
{
    static char line[1 << 16];
    FILE *file = fopen(STELE_SOURCE_DIR "/tests/vectors/protocol2/messages.jsonl", "rb");
    size_t count = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        struct error error = {0};
        struct tree *vector = tree_parse(span_of(line), &error);
        if (!vector)
            fail_msg("%s: %s", line, error.message);
        check(vector);
        tree_free(vector);
        count++;
    }
    fclose(file);
    assert_true(count > 100);
}

/* What the refusal is called where it is told to a client of version 2. */
static struct span code_told(const struct wire_message *message, const struct error *error,
                             struct buffer *body)
{
    struct wire_problem problem = {.refusal =
                                       message->type == WIRE_UNSUBSCRIBE ? WIRE_REFUSED_UNSUBSCRIBE
                                       : message->type == WIRE_SUBSCRIBE ? WIRE_REFUSED_SUBSCRIBE
                                                                         : WIRE_REFUSED_MESSAGE,
                                   .error = error,
                                   .retry_after = -1};
    assert_true(wire_problem(body, &problem));
    assert_int_equal(wire_part_of(buffer_span(body)), WIRE_PROBLEM);
    struct span payload;
    bool final;
    assert_true(wire_frame_payload(buffer_span(body), &payload, &final));
    const char *start = strstr(payload.data, "\"error\":\"");
    assert_non_null(start);
    start += strlen("\"error\":\"");
    return span_make(start, strcspn(start, "\""));
}

static void check_message(const struct tree *vector)
{
    struct span text = tree_string(tree_member(vector, "message"));
    const struct tree *refused = tree_member(vector, "refused");
    struct wire_message message;
    struct error error = {0};
    struct buffer body;
    bool read = wire_message_read(text, &message, &error);
    if (tree_member(vector, "differs"))
        assert_true(read || message.version == 1);
    else if (read != !refused)
        fail_msg("%s: %s", text.data, read ? "taken" : error.message);
    if (!read && refused) {
        buffer_init(&body, ROOM);
        assert_int_equal(message.version, 2);
        struct span code = code_told(&message, &error, &body);
        if (!span_equal(code, tree_string(refused)))
            fail_msg("%s: %.*s: %s", text.data, (int)code.length, code.data, error.message);
        buffer_fini(&body);
    }
    if (read && message.version == 2 && message.type == WIRE_SUBSCRIBE) {
        assert_non_null(message.id);
        assert_non_null(message.subscribe.view);
        assert_non_null(message.query);
        assert_non_null(message.subscribe.parameters);
    }
    wire_message_fini(&message);
}

TEST(messages_are_taken_and_refused_as_they_were)
{
    each_vector(check_message);
}

static void check_message_with_faults(const struct tree *vector)
{
    struct span text = tree_string(tree_member(vector, "message"));
    struct wire_message message;
    struct error error = {0};
    bool good = wire_message_read(text, &message, &error);
    wire_message_fini(&message);
    for (uint64_t nth = 1; good; nth++) {
        memory_fail_at(nth, 0);
        bool read = wire_message_read(text, &message, &error);
        bool hit = memory_fault_hit();
        memory_fail_at(0, 0);
        wire_message_fini(&message);
        if (read == hit)
            fail_msg("fault %d: %s: %s", (int)nth, text.data, error.message);
        if (!hit)
            return;
        assert_int_equal(error.code, ERROR_MEMORY);
    }
}

TEST(every_allocation_of_a_message_may_fail)
{
    each_vector(check_message_with_faults);
}

static void check_query(const char *query, const char *echo, const char *filters)
{
    struct wire_message message;
    struct error error = {0};
    char text[512];
    snprintf(text, sizeof text,
             "{\"type\":\"subscribe\",\"protocolVersion\":2,\"subscriptionId\":\"s\",\"query\":%s}",
             query);
    if (!wire_message_parse(span_of(text), &message, &error))
        fail_msg("%s: %s", text, error.message);
    assert_string_equal(message.query, echo);
    if (filters)
        assert_string_equal(message.subscribe.query, filters);
    else
        assert_null(message.subscribe.query);
    assert_true(message.subscribe.unlimited && message.subscribe.with_snapshot);
    wire_message_fini(&message);
}

/* The clients refuse to hear of members that they did not ask for. */
TEST(the_query_is_echoed_as_it_was_asked)
{
    check_query("{\"view\":\"Q/list\"}", "{\"view\":\"Q/list\"}", NULL);
    check_query("{\"take\":2,\"view\":\"Q/list\",\"key\":null,\"skip\":0,\"filters\":{}}",
                "{\"view\":\"Q/list\",\"take\":2,\"skip\":0}", NULL);
    check_query("{\"view\":\"Q/list\",\"filters\":{\"a.b\":null,\"c\":[1]},\"partition\":\"p\"}",
                "{\"view\":\"Q/list\",\"partition\":\"p\",\"filters\":{\"a.b\":null,\"c\":[1]}}",
                "{\"filters\":{\"a.b\":null,\"c\":[1],\"_partition\":\"p\"}}");
    check_query("{\"view\":\"Q/list\",\"take\":2,\"sort\":[\"a\"],\"where\":{\"exists\":\"a\"}}",
                "{\"view\":\"Q/list\",\"where\":{\"exists\":\"a\"},\"sort\":[\"a\"],\"take\":2}",
                "{\"where\":{\"exists\":\"a\"},\"sort\":[\"a\"]}");
    check_query("{\"view\":\"Q/list\",\"take\":9007199254740993}",
                "{\"view\":\"Q/list\",\"take\":9007199254740993}", NULL);
}

/* ---- bodies and heads ---- */

static struct span head_of(struct buffer *head)
{
    buffer_clear(head);
    assert_true(wire_head(head, span_of("a\"b")));
    return buffer_span(head);
}

/* With room for a head, and the head in it, it is the same message. */
static void check_room(struct span body, struct span head, struct span wanted)
{
    struct buffer out;
    buffer_init(&out, ROOM);
    assert_true(wire_live_with_room(&out, body, head.length));
    assert_int_equal(out.length, wanted.length);
    if (out.length) {
        struct span payload;
        bool final;
        assert_true(wire_frame_payload(buffer_span(&out), &payload, &final));
        memcpy(out.data + (payload.data - out.data), head.data, head.length);
        assert_memory_equal(out.data, wanted.data, wanted.length);
    }
    buffer_fini(&out);
}

/* Live frames may be joined many at a time. */
static void check_live(struct span body, struct span head, struct span wanted)
{
    struct buffer out, twice;
    size_t joined;
    buffer_init(&out, ROOM);
    buffer_init(&twice, ROOM);
    buffer_add_span(&twice, body);
    buffer_add_span(&twice, body);
    bool is_live = wire_part_of(body) == WIRE_LIVE && wire_frame_length(body) == body.length;
    assert_true(wire_live_behind_head(&out, buffer_span(&twice), head, &joined));
    assert_int_equal(joined, is_live ? twice.length : 0);
    assert_int_equal(out.length, is_live ? 2 * wanted.length : 0);
    for (size_t at = 0; at < out.length; at += wanted.length)
        assert_memory_equal(out.data + at, wanted.data, wanted.length);
    check_room(body, head, is_live ? wanted : span_make(NULL, 0));
    check_room(buffer_span(&twice), head, span_make(NULL, 0));
    buffer_fini(&out);
    buffer_fini(&twice);
}

/* The payload of the message that a body becomes, and what is left of the reserved bits. */
static void join(struct span body, struct span head, struct buffer *message)
{
    struct wire_joint joint = {0};
    struct buffer out;
    buffer_init(&out, ROOM);
    buffer_clear(message);
    for (size_t at = 0; at < body.length;) {
        struct span rest = span_make(body.data + at, body.length - at);
        rest.length = wire_frame_length(rest);
        assert_true(wire_behind_head(&out, rest, head, &joint));
        at += rest.length;
    }
    assert_false(joint.inside);
    check_live(body, head, buffer_span(&out));
    for (size_t at = 0; at < out.length;) {
        struct span frame = span_make(out.data + at, out.length - at), payload;
        bool final;
        assert_true(wire_frame_payload(frame, &payload, &final));
        assert_int_equal((unsigned char)frame.data[0] & 0x70, 0);
        assert_int_equal((unsigned char)frame.data[0] & 0x0f, at ? 0 : 2);
        buffer_add_span(message, payload);
        at += wire_frame_length(frame);
        assert_int_equal(final, at == out.length);
    }
    buffer_fini(&out);
}

static void check_change(const struct wire_change *change, const char *wanted)
{
    struct buffer out, head, message;
    buffer_init(&out, ROOM);
    buffer_init(&head, ROOM);
    buffer_init(&message, ROOM);
    assert_true(wire_change(&out, change));
    assert_int_equal(wire_part_of(buffer_span(&out)), WIRE_LIVE);
    join(buffer_span(&out), head_of(&head), &message);
    assert_string_equal(buffer_string(&message), wanted);
    buffer_fini(&out);
    buffer_fini(&head);
    buffer_fini(&message);
}

TEST(live_frames_have_all_members)
{
    struct wire_change change = {.encoding = &encoding,
                                 .change = 42,
                                 .mode = WIRE_LIST,
                                 .view = span_of("Q/list"),
                                 .operation = ROW_PATCH,
                                 .key = span_of("k\n"),
                                 .data = span_of("{\"tags\":[1]}"),
                                 .append = span_of("[\"tags\"]"),
                                 .seq = span_of("7:000000000001")};
#define START "{\"protocolVersion\":2,\"subscriptionId\":\"a\\\"b\",\"op\":"
    check_change(&change,
                 START "\"patch\",\"mode\":\"list\",\"entity\":\"Q/list\",\"key\":\"k\\n\","
                       "\"data\":{\"tags\":[1],\"_version\":\"0a1b2c3d:42\"},"
                       "\"append\":[\"tags\"],\"seq\":\"7:000000000001\"}");
    change.append = span_make(NULL, 0);
    change.operation = ROW_UPSERT;
    change.data = span_of("{}");
    change.mode = WIRE_APPEND;
    change.on_tape = true;
    check_change(&change, START "\"upsert\",\"mode\":\"append\",\"entity\":\"Q/list\","
                                "\"key\":\"k\\n\",\"data\":{\"_version\":\"0a1b2c3d:42\"},"
                                "\"seq\":\"7:000000000001\",\"offset\":42}");
    change.on_tape = false;
    change.mode = WIRE_STATE;
    change.operation = ROW_REMOVE;
    change.data = change.seq = span_make(NULL, 0);
    check_change(&change, START "\"remove\",\"mode\":\"state\",\"entity\":\"Q/list\","
                                "\"key\":\"k\\n\",\"data\":null}");
    change.operation = ROW_DELETE;
    check_change(&change, START "\"delete\",\"mode\":\"state\",\"entity\":\"Q/list\","
                                "\"key\":\"k\\n\",\"data\":null}");
}

/* Clients of version 1 know no other word for it. */
TEST(version_1_is_told_a_delete)
{
    struct buffer out;
    struct wire_change change = {
        .mode = WIRE_LIST, .view = span_of("Q/list"), .operation = ROW_REMOVE, .key = span_of("k")};
    buffer_init(&out, ROOM);
    assert_true(wire_change(&out, &change));
    assert_string_equal(buffer_string(&out) + 2, "{\"mode\":\"list\",\"entity\":\"Q/list\","
                                                 "\"op\":\"delete\",\"key\":\"k\",\"data\":null}");
    assert_int_equal(wire_part_of(buffer_span(&out)), WIRE_WHOLE);
    buffer_fini(&out);
}

TEST(acknowledgements_have_query_and_tape)
{
    const struct wire_tape tape = {.epoch = span_of("e1"), .earliest = 5, .next = 9};
    struct wire_subscribed subscribed = {.encoding = &encoding,
                                         .tape = &tape,
                                         .view = span_of("Q/append"),
                                         .mode = WIRE_APPEND,
                                         .resumed = -1};
    struct buffer out, head, message;
    buffer_init(&out, ROOM);
    buffer_init(&head, ROOM);
    buffer_init(&message, ROOM);
    assert_true(wire_subscribed(&out, &subscribed));
    assert_int_equal(wire_part_of(buffer_span(&out)), WIRE_ACCEPTED);
    assert_true(wire_head_accepted(&head, span_of("s"), span_of("{\"view\":\"Q/append\"}"), 0));
    join(buffer_span(&out), buffer_span(&head), &message);
    assert_string_equal(buffer_string(&message),
                        "{\"protocolVersion\":2,\"subscriptionId\":\"s\","
                        "\"query\":{\"view\":\"Q/append\"},\"op\":\"subscribed\","
                        "\"mode\":\"append\","
                        "\"replayWindow\":{\"epoch\":\"e1\",\"earliest\":5,\"next\":9},"
                        "\"wholeEntities\":true}");
    buffer_clear(&out);
    buffer_clear(&head);
    subscribed = (struct wire_subscribed){.encoding = &encoding,
                                          .view = span_of("Q/list"),
                                          .mode = WIRE_LIST,
                                          .sorted_by_seq = true,
                                          .epoch = span_of("e2"),
                                          .resumed = 1};
    assert_true(wire_subscribed(&out, &subscribed));
    assert_int_equal(wire_part_of(buffer_span(&out)), WIRE_RESUMED);
    assert_true(wire_head_accepted(&head, span_of("s"), span_of("{\"view\":\"Q/list\"}"), 3));
    join(buffer_span(&out), buffer_span(&head), &message);
    assert_string_equal(buffer_string(&message),
                        "{\"protocolVersion\":2,\"subscriptionId\":\"s\","
                        "\"query\":{\"view\":\"Q/list\",\"take\":3},\"op\":\"subscribed\","
                        "\"mode\":\"list\",\"sort\":{\"field\":[\"_seq\"],\"order\":\"desc\"},"
                        "\"epoch\":\"e2\",\"resumed\":true,\"wholeEntities\":true}");
    buffer_fini(&out);
    buffer_fini(&head);
    buffer_fini(&message);
}

/* ---- batches ---- */

/* `length` bytes that deflate makes little of, or much. */
static void fill(char *data, size_t length, bool noisy)
{
    static uint32_t noise = 1;
    for (size_t i = 0; i < length; i++) {
        noise = noise * 1103515245 + 12345;
        data[i] = noisy ? "0123456789abcdef"[noise >> 28] : 'x';
    }
}

static bool build(struct wire_batch *batch, struct wire_gzip *gzip, size_t rows, size_t bytes,
                  bool noisy, struct buffer *out)
{
    static char data[1 << 18];
    wire_batch_start(batch, WIRE_LIST, span_of("Q/list"));
    for (size_t i = 0; i < rows; i++) {
        int start = snprintf(data, sizeof data, "{\"t\":\"");
        fill(data + start, bytes, noisy);
        memcpy(data + start + bytes, "\"}", 2);
        wire_batch_row(batch, span_of("k"), span_make(data, (size_t)start + bytes + 2),
                       (int64_t)i + 1);
    }
    return wire_batch_end(batch, true, span_of("5:000000000001"), gzip, out);
}

static void check_batch(struct wire_gzip *gzip, size_t rows, size_t bytes, bool noisy)
{
    struct wire_batch batch;
    struct buffer out, head, message, json;
    struct error error = {0};
    wire_batch_init(&batch, &encoding, ROOM);
    buffer_init(&out, ROOM);
    buffer_init(&head, ROOM);
    buffer_init(&message, ROOM);
    buffer_init(&json, ROOM);
    assert_true(build(&batch, gzip, rows, bytes, noisy, &out));
    assert_int_equal(wire_part_of(buffer_span(&out)), WIRE_LAST_BATCH);
    assert_true(wire_head_batch(&head, &(struct wire_batch_head){.id = span_of("s"),
                                                                 .snapshot = span_of("id-1"),
                                                                 .key = span_of("the \"key\""),
                                                                 .epoch = span_of("e-1")}));
    join(buffer_span(&out), buffer_span(&head), &message);
    bool compressed = wire_is_gzip(buffer_span(&message));
    if (compressed)
        assert_true(wire_gunzip(buffer_span(&message), &json, &error));
    struct span got = compressed ? buffer_span(&json) : buffer_span(&message);
    struct span start =
        span_of("{\"protocolVersion\":2,\"subscriptionId\":\"s\",\"snapshotId\":"
                "\"id-1\",\"authoritative\":false,\"key\":\"the \\\"key\\\"\",\"epoch\":\"e-1\",");
    assert_memory_equal(got.data, start.data, start.length);
    assert_int_equal(got.length, start.length + batch.json.length);
    assert_memory_equal(got.data + start.length, batch.json.data, batch.json.length);
    wire_batch_fini(&batch);
    buffer_fini(&out);
    buffer_fini(&head);
    buffer_fini(&message);
    buffer_fini(&json);
}

/* The lengths in the loop put the end of what is compressed at every place of its last frame. */
TEST(a_head_joins_a_compressed_body)
{
    struct wire_gzip *gzip = wire_gzip_new();
    assert_non_null(gzip);
    check_batch(gzip, 0, 0, false);
    check_batch(gzip, 3, 20, false);
    for (size_t rows = 1; rows < 3000; rows = rows * 3 + 1)
        check_batch(gzip, rows, 200, false);
    for (size_t bytes = 65200; bytes < 65280; bytes++)
        check_batch(gzip, 1, bytes, true);
    for (size_t bytes = WIRE_FRAGMENT - 120; bytes < WIRE_FRAGMENT + 40; bytes++)
        check_batch(gzip, 1, bytes, true);
    wire_gzip_free(gzip);
}

TEST(an_empty_batch_completes_a_snapshot)
{
    struct buffer out;
    buffer_init(&out, ROOM);
    assert_true(wire_batch_nothing(&out, &encoding, WIRE_APPEND, span_of("Q/append")));
    assert_int_equal(wire_part_of(buffer_span(&out)), WIRE_LAST_BATCH);
    assert_string_equal(buffer_string(&out) + 2, "\"mode\":\"append\",\"entity\":\"Q/append\","
                                                 "\"op\":\"snapshot\",\"data\":[],"
                                                 "\"complete\":true}");
    buffer_fini(&out);
}

TEST(a_lack_of_memory_leaves_no_half_message)
{
    struct buffer body, out;
    struct wire_joint joint = {0};
    buffer_init(&body, ROOM);
    assert_true(wire_batch_nothing(&body, &encoding, WIRE_LIST, span_of("Q/list")));
    buffer_init(&out, 16);
    assert_false(
        wire_behind_head(&out, buffer_span(&body), span_of("{\"protocolVersion\":2,"), &joint));
    buffer_fini(&body);
    buffer_fini(&out);
}
