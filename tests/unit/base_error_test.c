#include "base/base.h"
#include "test.h"

TEST(set_fills_code_and_message)
{
    struct error error;
    assert_false(error_set(&error, ERROR_TOO_LARGE, "%s has %d bytes", "key", 7));
    assert_int_equal(error.code, ERROR_TOO_LARGE);
    assert_string_equal(error.message, "key has 7 bytes");
    assert_false(error_set(NULL, ERROR_TOO_LARGE, "ignored"));
    assert_false(error_prefix(NULL, "ignored"));
}

TEST(message_may_quote_itself)
{
    struct error error;
    error_set(&error, ERROR_DATABASE, "locked");
    error_set(&error, ERROR_DISK_FULL, "again: %s", error.message);
    assert_string_equal(error.message, "again: locked");
}

TEST(prefix_comes_before)
{
    struct error error;
    error_set(&error, ERROR_CONFIGURATION, "not a number");
    assert_false(error_prefix(&error, "line %d", 3));
    assert_false(error_prefix(&error, "stele.json"));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    assert_string_equal(error.message, "stele.json: line 3: not a number");
}

TEST(long_messages_are_cut_at_a_character)
{
    struct error error;
    char text[4 * ERROR_MESSAGE_SIZE + 1];
    for (size_t offset = 0; offset < 4; offset++) {
        memset(text, 'a', sizeof text);
        for (size_t i = offset; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xF0\x9F\x98\x80", 4);
        text[sizeof text - 1] = '\0';
        error_set(&error, ERROR_INTERNAL, "%s", text);
        size_t length = strlen(error.message);
        assert_in_range(length, ERROR_MESSAGE_SIZE - 4, ERROR_MESSAGE_SIZE - 1);
        assert_int_equal((length - offset) % 4, 0);
        assert_null(strchr(error.message, '?'));
        error_prefix(&error, "%s", text);
        assert_true(strlen(error.message) <= ERROR_MESSAGE_SIZE - 1);
        assert_null(strchr(error.message, '?'));
        error_set(&error, ERROR_INTERNAL, "%.*s", (int)offset + 496, text);
        error_prefix(&error, "%s", "0123456789");
        assert_true(strlen(error.message) <= ERROR_MESSAGE_SIZE - 1);
    }
}

TEST(invalid_bytes_are_replaced)
{
    struct error error;
    error_set(&error, ERROR_INVALID_MESSAGE, "[%s]", "a\xFF\xC3\xA9\xC3");
    assert_string_equal(error.message, "[a?\xC3\xA9?]");
    error_set(&error, ERROR_INVALID_MESSAGE, "%s", "\xED\xA0\x80");
    assert_string_equal(error.message, "???");
}

TEST(every_code_has_its_policy)
{
    for (int code = 0; code < ERROR_COUNT; code++) {
        assert_non_null(error_kind((enum error_code)code)->wire);
        assert_in_range(error_kind((enum error_code)code)->http_status, 200, 599);
    }
    assert_string_equal(error_kind(ERROR_QUEUE_FULL)->wire, "queue-full");
    assert_int_equal(error_kind(ERROR_QUEUE_FULL)->http_status, 503);
    assert_int_equal(error_kind(ERROR_QUEUE_FULL)->retry, RETRY_LATER);
    assert_string_equal(error_kind((enum error_code)999)->wire, "internal-error");
}

TEST(what_is_known_of_the_time_wins)
{
    struct error error = {.retry_after = 99};
    error_set(&error, ERROR_QUEUE_FULL, "full");
    assert_int_equal(error_retry_after(&error), 1);
    error.retry_after = 7;
    assert_int_equal(error_retry_after(&error), 7);
    error_prefix(&error, "here");
    assert_int_equal(error_retry_after(&error), 7);
    error_set(&error, ERROR_TOKEN_KEY, "unknown");
    assert_int_equal(error_retry_after(&error), -1);
    error.retry_after = 2;
    assert_int_equal(error_retry_after(&error), 2);
}
