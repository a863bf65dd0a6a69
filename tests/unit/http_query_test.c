/* The query of a view's URL, and the subscription that it stands for. */
#include "http/query.h"
#include "memory_fault.h"
#include "test.h"

static bool read_query(const char *const *arguments, struct wire_message *message,
                       struct error *error)
{
    struct http_query query;
    bool good = true;
    http_query_init(&query, span_of("E/list"));
    for (size_t i = 0; good && arguments[i]; i++)
        good = http_query_add(&query, span_of(arguments[i]), error);
    good = good && http_query_end(&query, message, error);
    http_query_fini(&query);
    return good;
}

TEST(nothing_given)
{
    struct wire_message message;
    struct error error;
    assert_true(read_query((const char *const[]){NULL}, &message, &error));
    assert_string_equal(message.subscribe.view, "E/list");
    assert_null(message.subscribe.key);
    assert_null(message.subscribe.after);
    assert_null(message.subscribe.query);
    assert_int_equal(message.subscribe.take, -1);
    assert_int_equal(message.subscribe.skip, -1);
    wire_message_fini(&message);
}

TEST(everything_given)
{
    static const char *const arguments[] = {"take=5",
                                            "skip=0",
                                            "key=7",
                                            "after=1:000000000002",
                                            "filter=a.b:1.0",
                                            "sort= [\"a\"]",
                                            "filter=c:\"",
                                            "epoch=",
                                            "where={\"field\": \"\\u0061\",\"gt\":1.0}",
                                            "filter=d:",
                                            NULL};
    struct wire_message message;
    struct error error;
    assert_true(read_query(arguments, &message, &error));
    assert_int_equal(message.subscribe.take, 5);
    assert_int_equal(message.subscribe.skip, 0);
    assert_string_equal(message.subscribe.key, "7");
    assert_string_equal(message.subscribe.after, "1:000000000002");
    assert_string_equal(message.subscribe.epoch, "");
    assert_string_equal(message.subscribe.query,
                        "{\"filters\":{\"a.b\":1.0,\"c\":\"\\\"\",\"d\":\"\"},"
                        "\"where\":{\"field\":\"a\",\"gt\":1.0},\"sort\":[\"a\"]}");
    wire_message_fini(&message);
}

TEST(what_is_wrong_is_named)
{
    static const struct {
        const char *arguments[3], *says;
    } cases[] = {
        {{"takes=1"}, "'takes'"},
        {{"take=1", "take=1"}, "'take' is given twice"},
        {{"filter"}, "path:value"},
        {{"filter=a:1", "filter=a:2"}, "'filter': "},
        {{"take={}"}, "\"take\" must"},
        {{"key=\xff"}, "UTF-8"},
        {{"=1"}, "no parameter ''"},
        {{""}, "no parameter ''"},
        {{"where={}}"}, "'where' is"},
        {{"where={},\"take\":1"}, "'where' is"},
        {{"where=1"}, "\"where\" must"},
        {{"sort=mag"}, "'sort' is"},
        {{"where={}", "where={}"}, "'where' is given twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire_message message;
        struct error error;
        assert_false(read_query(cases[i].arguments, &message, &error));
        assert_int_equal(error.code, ERROR_INVALID_PARAMETER);
        if (!strstr(error.message, cases[i].says))
            fail_msg("expected %s in: %s", cases[i].says, error.message);
    }
}

TEST(every_allocation_may_fail)
{
    static const char *const arguments[] = {"take=5", "filter=a:1", "key=k", "where={}", NULL};
    for (size_t n = 1;; n++) {
        struct wire_message message;
        struct error error;
        memory_fail_at(n, 0);
        bool good = read_query(arguments, &message, &error);
        bool hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_true(good != hit);
        if (good) {
            assert_true(n > 3);
            wire_message_fini(&message);
            return;
        }
        assert_int_equal(error.code, ERROR_MEMORY);
    }
}
