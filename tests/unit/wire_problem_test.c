/* Errors in frames, HTTP bodies and close reasons. */
#include "memory_fault.h"
#include "test.h"
#include "wire/wire.h"

enum { ROOM = 1 << 16 };

TEST(errors_have_the_fields_that_clients_look_for)
{
    struct error error;
    struct buffer out;
    struct span payload;
    bool final;
    error_set(&error, ERROR_QUEUE_FULL, "the \"queue\" is full");
    buffer_init(&out, ROOM);
    assert_true(wire_error(&out, &error, NULL, false, 5));
    assert_int_equal((unsigned char)out.data[0], 0x81);
    assert_true(wire_frame_payload(buffer_span(&out), &payload, &final));
    assert_true(span_equal(
        payload,
        span_of("{\"type\":\"error\",\"error\":\"queue-full\",\"message\":\"the \\\"queue\\\" is "
                "full\",\"code\":\"queue-full\",\"retryable\":true,\"retry_after\":5,"
                "\"suggested_action\":\"Wait, then send the same request again.\","
                "\"fatal\":false}")));
    buffer_fini(&out);
}

TEST(an_http_body_has_no_type_and_no_fatal)
{
    struct error error;
    struct buffer out;
    error_set(&error, ERROR_NOT_FOUND, "nothing at /x");
    buffer_init(&out, ROOM);
    assert_true(wire_error_body(&out, &error, -1));
    assert_string_equal(buffer_string(&out),
                        "{\"error\":\"not-found\",\"message\":\"nothing at /x\","
                        "\"code\":\"not-found\",\"retryable\":false,"
                        "\"suggested_action\":\"Check the path of the request.\"}");
    buffer_fini(&out);
}

/* One past the last code stands for a code that this folder does not know. */
TEST(every_code_makes_a_good_message)
{
    for (unsigned code = 0; code <= ERROR_COUNT; code++) {
        struct error error = {.code = (enum error_code)code, .message = "m"};
        struct buffer out;
        struct span payload;
        bool final;
        buffer_init(&out, ROOM);
        assert_true(wire_error(&out, &error, NULL, true, -1));
        assert_true(wire_frame_payload(buffer_span(&out), &payload, &final));
        struct tree *tree = tree_parse(payload, &error);
        assert_non_null(tree);
        assert_true(tree_string(tree_member(tree, "suggested_action")).length > 0);
        assert_true(span_equal(tree_string(tree_member(tree, "error")),
                               tree_string(tree_member(tree, "code"))));
        assert_true(tree_boolean(tree_member(tree, "fatal"), false));
        assert_null(tree_member(tree, "retry_after"));
        assert_null(tree_member(tree, "docs_url"));
        tree_free(tree);
        buffer_fini(&out);
    }
}

static void check_close_reason(const struct error *error)
{
    char reason[WIRE_CLOSE_REASON + 1];
    size_t length = wire_close_reason(reason, error);
    const char *code = error_kind(error->code)->wire;
    size_t code_length = strlen(code), whole = code_length + 2 + strlen(error->message);
    assert_int_equal(strlen(reason), length);
    assert_true(length <= WIRE_CLOSE_REASON);
    assert_true(doc_valid_utf8(span_make(reason, length)));
    assert_memory_equal(reason, code, code_length);
    assert_memory_equal(reason + code_length, ": ", 2);
    assert_memory_equal(reason + code_length + 2, error->message, length - code_length - 2);
    if (whole <= WIRE_CLOSE_REASON)
        assert_int_equal(length, whole);
    else
        assert_true(length > WIRE_CLOSE_REASON - 4);
}

TEST(close_reasons_end_with_a_whole_character)
{
    static const char *const characters[] = {"x", "ä", "→", "😀"};
    for (unsigned code = 0; code < ERROR_COUNT; code++) {
        for (size_t i = 0; i < sizeof characters / sizeof *characters; i++) {
            for (size_t shift = 0; shift < 4; shift++) {
                struct error error = {.code = (enum error_code)code};
                char *message = error.message;
                memset(message, 'y', shift);
                for (size_t at = shift; at + 4 < 200; at += strlen(characters[i])) {
                    strcpy(message + at, characters[i]);
                    check_close_reason(&error);
                }
            }
        }
    }
}

TEST(every_allocation_may_fail)
{
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        struct error error;
        error_set(&error, ERROR_INTERNAL, "%0400d", 0);
        struct buffer frame, body;
        buffer_init(&frame, ROOM);
        buffer_init(&body, ROOM);
        memory_fail_at(nth, 0);
        bool framed = wire_error(&frame, &error, NULL, true, 1);
        bool printed = wire_error_body(&body, &error, 1);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_int_equal(framed && printed, !hit);
        assert_int_equal(frame.length > 0, framed);
        buffer_fini(&frame);
        buffer_fini(&body);
    }
}
