/* The message by which a client says who it is: what is one, and what each other is refused with.
 */
#include "memory_fault.h"
#include "test.h"
#include "wire/wire.h"

TEST(the_token_of_a_first_message)
{
    static const struct {
        const char *text, *token;
        int version;
    } table[] = {
        {"{\"type\":\"auth\",\"token\":\"abc\"}", "abc", 1},
        {" { \"token\" : \"a\\u0062\\/c\" , \"type\":\"auth\", \"more\": [1, {\"a\": 2}] } ",
         "ab/c", 1},
        {"{\"type\":\"auth\",\"protocolVersion\":1,\"token\":\"\"}", "", 1},
        {"{\"type\":\"auth\",\"protocolVersion\":2,\"token\":\"\"}", "", 2},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct error error = {.code = ERROR_NONE};
        int version;
        char *token = wire_auth_read(span_of(table[i].text), &version, &error);
        if (!token)
            fail_msg("%s: %s", table[i].text, error.message);
        assert_int_equal(version, table[i].version);
        assert_string_equal(token, table[i].token);
        memory_free(token);
    }
}

TEST(what_is_no_first_message)
{
    static const struct {
        const char *text;
        enum error_code code;
    } table[] = {
        {"", ERROR_INVALID_MESSAGE},
        {"{", ERROR_INVALID_MESSAGE},
        {"[]", ERROR_INVALID_MESSAGE},
        {"\"auth\"", ERROR_INVALID_MESSAGE},
        {"{\"type\":\"auth\",\"token\":\"a\"} x", ERROR_INVALID_MESSAGE},
        {"{\"type\":\"auth\",\"token\":\"\xff\"}", ERROR_INVALID_MESSAGE},
        {"{\"type\":\"auth\",\"token\":\"a\",\"x\":[[[[[1]]]]]}", ERROR_INVALID_MESSAGE},
        {"{}", ERROR_TOKEN_MISSING},
        {"{\"token\":\"a\"}", ERROR_TOKEN_MISSING},
        {"{\"type\":\"Auth\",\"token\":\"a\"}", ERROR_TOKEN_MISSING},
        {"{\"type\":[\"auth\"],\"token\":\"a\"}", ERROR_TOKEN_MISSING},
        {"{\"type\":\"refresh_auth\",\"token\":\"a\"}", ERROR_TOKEN_MISSING},
        {"{\"type\":\"auth\"}", ERROR_TOKEN_MISSING},
        {"{\"type\":\"auth\",\"token\":null}", ERROR_TOKEN_MISSING},
        {"{\"type\":\"auth\",\"token\":[\"secretsecret\"]}", ERROR_TOKEN_MISSING},
        {"{\"type\":\"auth\",\"token\":\"secret\\u0000secret\"}", ERROR_TOKEN_FORMAT},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct error error = {.code = ERROR_NONE};
        int version;
        if (wire_auth_read(span_of(table[i].text), &version, &error))
            fail_msg("%s was taken", table[i].text);
        assert_int_equal(version, 1);
        if (error.code != table[i].code)
            fail_msg("%s: %s", table[i].text, error_kind(error.code)->wire);
        assert_null(strstr(error.message, "secret"));
    }
}

/* The refusal has the form that the client knows. */
TEST(the_version_of_what_is_no_first_message)
{
    static const struct {
        const char *text;
        int version;
    } table[] = {
        {"{\"type\":\"subscribe\",\"view\":\"a\"}", 1},
        {"{\"type\":\"subscribe\",\"subscriptionId\":\"a\"}", 2},
        {"{\"type\":\"auth\",\"protocolVersion\":2}", 2},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct error error = {.code = ERROR_NONE};
        int version;
        assert_null(wire_auth_read(span_of(table[i].text), &version, &error));
        assert_int_equal(error.code, ERROR_TOKEN_MISSING);
        assert_int_equal(version, table[i].version);
    }
}

/* A stranger's message does not cost much, whatever is in it. */
TEST(many_values_are_not_read)
{
    struct buffer text;
    struct error error = {.code = ERROR_NONE};
    buffer_init(&text, 1 << 16);
    buffer_add_string(&text, "{\"type\":\"auth\",\"token\":\"a\",\"x\":[0");
    for (int i = 0; i < 1000; i++)
        buffer_add_string(&text, ",0");
    buffer_add_string(&text, "]}");
    int version;
    assert_null(wire_auth_read(buffer_span(&text), &version, &error));
    assert_int_equal(error.code, ERROR_INVALID_MESSAGE);
    buffer_fini(&text);
}

TEST(running_out_of_memory_is_an_error)
{
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        struct error error = {.code = ERROR_NONE};
        memory_fail_at(nth, 0);
        int version;
        char *token =
            wire_auth_read(span_of("{\"type\":\"auth\",\"token\":\"a\\u0062\"}"), &version, &error);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_true(token ? !hit : error.code == ERROR_MEMORY);
        memory_free(token);
    }
}
