/* Heads of requests: what is read of good ones, and how each bad one is refused. */
#include "net/http_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

static struct http_head head;
static char text[HTTP_HEAD_LIMIT];

static bool read_bytes(const char *bytes, size_t length, struct error *error)
{
    size_t seen = 0;
    *error = (struct error){.code = ERROR_NONE};
    memcpy(text, bytes, length);
    size_t end = http_head_length(span_make(text, length), &seen);
    assert_true(end > 0);
    return http_head_read(text, end, &head, error);
}

static bool read_text(const char *bytes, struct error *error)
{
    return read_bytes(bytes, strlen(bytes), error);
}

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"

/* ---- good ones ---- */

static const struct {
    const char *target, *path, *query, *plain; /* plain: of the path, before an escaped '/' */
} targets[] = {
    {"/", "/", NULL, "/"},
    {"/a/b", "/a/b", NULL, "/a/b"},
    {"/a/", "/a/", NULL, "/a/"},
    {"/a?", "/a", "", "/a"},
    {"/a?b=c&d", "/a", "b=c&d", "/a"},
    {"/v1/views/a%2Fb", "/v1/views/a/b", NULL, "/v1/views/a"},
    {"/v1%2fviews/a%2Fb/c", "/v1/views/a/b/c", NULL, "/v1"},
    {"/%2F", "//", NULL, "/"},
    {"/%C3%A9?%20", "/\xc3\xa9", "%20", "/\xc3\xa9"},
    {"/a.b/..c/...", "/a.b/..c/...", NULL, "/a.b/..c/..."},
    {"http://host:80/a?b", "/a", "b", "/a"},
    {"HTTPS://[::1]/", "/", NULL, "/"},
};

static void test_targets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        char request[256];
        struct error error;
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" HOST "\r\n", targets[i].target);
        if (!read_text(request, &error))
            fail_msg("%s: %s", targets[i].target, error.message);
        assert_true(span_equal(head.path, span_of(targets[i].path)));
        assert_int_equal(head.path_plain, strlen(targets[i].plain));
        assert_int_equal(head.query.data != NULL, targets[i].query != NULL);
        if (targets[i].query)
            assert_true(span_equal(head.query, span_of(targets[i].query)));
    }
}

static void test_headers(void **state)
{
    struct error error;
    (void)state;
    assert_true(read_text("POST /x HTTP/1.1\r\nHOST:a:1\r\nX-Many: 1\r\nx-many:\t2 \r\nEmpty:\r\n"
                          "Content-Length: 0012\r\nExpect: 100-Continue\r\n\r\nrest",
                          &error));
    assert_int_equal(head.method, HTTP_POST);
    assert_int_equal(head.body_length, 12);
    assert_true(head.expects_continue && head.keep_alive && !head.wants_websocket);
    assert_true(span_equal(http_head_value(&head, "x-many"), span_of("1")));
    assert_true(span_equal(http_head_value(&head, "empty"), span_of("")));
    assert_null(http_head_value(&head, "absent").data);
    assert_true(read_text("GET / HTTP/1.1\r\n" HOST "Upgrade: h2c, WebSocket\r\n"
                          "Connection: keep-alive\r\nConnection: x , Upgrade\r\n\r\n",
                          &error));
    assert_true(head.wants_websocket && http_head_has_word(&head, "connection", "upgrade"));
    assert_false(http_head_has_word(&head, "connection", "upgrad"));
    assert_true(read_text("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", &error));
    assert_int_equal(head.body_length, HTTP_CHUNKED);
}

static const struct {
    const char *lines;
    bool keeps;
} keeping[] = {
    {"HTTP/1.1\r\n" HOST, true},
    {"HTTP/1.1\r\n" HOST "Connection: close\r\n", false},
    {"HTTP/1.1\r\n" HOST "Connection: keep-alive, Close\r\n", false},
    {"HTTP/1.0\r\n", false},
    {"HTTP/1.0\r\nConnection: Keep-Alive\r\n", true},
};

static void test_keeping(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof keeping / sizeof *keeping; i++) {
        char request[256];
        struct error error;
        snprintf(request, sizeof request, "GET / %s\r\n", keeping[i].lines);
        assert_true(read_text(request, &error));
        assert_int_equal(head.keep_alive, keeping[i].keeps);
    }
}

/* ---- bad ones ---- */

static const struct {
    const char *text;
    enum error_code code;
} bad[] = {
    {"GET / HTTP/1.1\nHost: a\n\n", ERROR_INVALID_MESSAGE},
    {GET "Host: a\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "a\rb: c\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "a: b\rc\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "no colon\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST ": no name\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "space : before\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "a: b\r\n folded\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET "\tHost: a\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "a: \x01\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "a: \x7f\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET "\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST HOST "\r\n", ERROR_INVALID_MESSAGE},
    {GET "Host: a b\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET "Host: a/b\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "Authorization: a\r\nauthorization: b\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "Content-Length: 1, 1\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "Content-Length: +1\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "Content-Length: 0x1\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "Content-Length:\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "Content-Length: 9999999999999999999\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", ERROR_INVALID_MESSAGE},
    {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ERROR_INVALID_MESSAGE},
    {GET HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", ERROR_NOT_IMPLEMENTED},
    {GET HOST "Transfer-Encoding: identity\r\n\r\n", ERROR_NOT_IMPLEMENTED},
    {GET HOST "Transfer-Encoding:\r\n\r\n", ERROR_NOT_IMPLEMENTED},
    {GET HOST "Expect: more\r\n\r\n", ERROR_EXPECTATION},
    {"GET / HTTP/1.2\r\n" HOST "\r\n", ERROR_HTTP_VERSION},
    {"PRI * HTTP/2.0\r\n\r\n", ERROR_HTTP_VERSION},
    {"GET / http/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET / HTTP/1.1 \r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET /\r\n\r\n", ERROR_INVALID_MESSAGE},
    {"GET\r\n\r\n", ERROR_INVALID_MESSAGE},
    {"G(T / HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET a HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET * HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET //a HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET /a//b HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET /./a HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET /a/.. HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET /a/%2e%2E/b HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET /a%0 HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET /a%zz HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET /a%00 HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET /a#b HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET /?a=%4 HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET http://a HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
    {"GET http://a b/ HTTP/1.1\r\n" HOST "\r\n", ERROR_INVALID_MESSAGE},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error;
        if (read_text(bad[i].text, &error) || error.code != bad[i].code)
            fail_msg("case %zu, %s: %s", i, bad[i].text, error_wire_code(error.code));
        assert_true(error.message[0] != '\0');
    }
}

/* A NUL anywhere in a head is refused, whatever stands around it. */
static void test_nul(void **state)
{
    static const char whole[] = "GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    (void)state;
    for (size_t at = 0; at < sizeof whole - 5; at++) {
        char bytes[sizeof whole];
        struct error error;
        memcpy(bytes, whole, sizeof whole);
        bytes[at] = '\0';
        if (whole[at] == '\n' || whole[at] == '\r')
            continue; /* then the line does not end */
        assert_false(read_bytes(bytes, sizeof whole - 1, &error));
    }
}

static void test_too_much(void **state)
{
    struct error error;
    char many[HTTP_HEAD_LIMIT];
    size_t length = (size_t)snprintf(many, sizeof many, GET HOST);
    (void)state;
    for (int i = 0; i < HTTP_HEADERS; i++)
        length += (size_t)snprintf(many + length, sizeof many - length, "a: b\r\n");
    snprintf(many + length, sizeof many - length, "\r\n");
    assert_false(read_text(many, &error));
    assert_int_equal(error.code, ERROR_HEAD_TOO_LARGE);
    snprintf(many, sizeof many, "GET /%0*d HTTP/1.1\r\n\r\n", HTTP_TARGET_LIMIT, 0);
    assert_false(read_text(many, &error));
    assert_int_equal(error.code, ERROR_TARGET_TOO_LONG);
}

/* The end is found at the same place however the bytes come. */
static void test_pieces(void **state)
{
    static const char whole[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET";
    (void)state;
    for (size_t first = 0; first < sizeof whole; first++) {
        size_t seen = 0, end = http_head_length(span_make(whole, first), &seen);
        if (!end)
            end = http_head_length(span_make(whole, sizeof whole - 1), &seen);
        assert_int_equal(end, sizeof whole - 4);
    }
}

static void test_arguments(void **state)
{
    static const char *const expected[] = {"a=b c", "d", "=e", "f=&", NULL};
    struct span query = span_of("&a=b+c&&d&=e&f=%26&"), argument;
    char room[64];
    size_t at = 0;
    (void)state;
    for (int i = 0; (argument = http_next_argument(query, &at, room)).data; i++)
        assert_true(expected[i] && span_equal(argument, span_of(expected[i])));
    assert_null(http_next_argument(span_make(NULL, 0), &(size_t){0}, room).data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets), cmocka_unit_test(test_headers),
        cmocka_unit_test(test_keeping), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_nul),     cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_pieces),  cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
