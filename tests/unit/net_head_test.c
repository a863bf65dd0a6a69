/* Heads of requests: each vector, and what no vector can hold. */
#include "net/http_head.h"
#include "test.h"

#include "net_fixture.h"

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

/* ---- vectors ---- */

static const char *const methods[] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",
    [HTTP_OPTIONS] = "OPTIONS", [HTTP_DELETE] = "DELETE", [HTTP_OTHER] = "other"};

static void check_read(const char *name, const struct tree *wanted)
{
    const struct tree *body = tree_member(wanted, "body");
    bool has_query = tree_member(wanted, "query") != NULL;
    struct span path = net_fixture_text(wanted, "path");
    struct span plain = tree_member(wanted, "plain") ? net_fixture_text(wanted, "plain") : path;
    bool good =
        span_equal(span_of(methods[head.method]), net_fixture_text(wanted, "method")) &&
        span_equal(head.path, path) && head.path_plain == plain.length &&
        (head.query.data != NULL) == has_query &&
        (!has_query || span_equal(head.query, net_fixture_text(wanted, "query"))) &&
        head.body_length == tree_integer(body, HTTP_CHUNKED) &&
        head.keep_alive == tree_boolean(tree_member(wanted, "keeps"), false) &&
        head.wants_websocket == tree_boolean(tree_member(wanted, "websocket"), false) &&
        head.expects_continue == tree_boolean(tree_member(wanted, "expects_continue"), false);
    if (!good)
        fail_msg("%s was read as something else", name);
}

static void check_vector(const struct tree *vector)
{
    struct buffer bytes;
    struct error error;
    char name[128];
    snprintf(name, sizeof name, "%s", net_fixture_text(vector, "name").data);
    buffer_init(&bytes, HTTP_HEAD_LIMIT);
    buffer_add_span(&bytes, net_fixture_text(vector, "text"));
    net_fixture_add_hex(&bytes, net_fixture_text(vector, "hex"));
    bool read = read_bytes(bytes.data, bytes.length, &error);
    const struct tree *wanted = tree_member(vector, "head");
    if (read != (wanted != NULL))
        fail_msg("%s: %s", name, read ? "it was read" : error.message);
    if (read)
        check_read(name, wanted);
    else if (!span_equal(span_of(error_kind(error.code)->wire), net_fixture_text(vector, "error")))
        fail_msg("%s: %s, %s", name, error_kind(error.code)->wire, error.message);
    else
        assert_true(error.message[0] != '\0');
    buffer_fini(&bytes);
}

TEST(test_vectors)
{
    assert_true(net_fixture_each("http/heads.jsonl", check_vector) > 80);
}

TEST(test_headers)
{
    struct error error;
    assert_true(read_text("POST /x HTTP/1.1\r\nHOST:a:1\r\nX-Many: 1\r\nx-many:\t2 \r\nEmpty:\r\n"
                          "Connection: x , Upgrade\r\n\r\nrest",
                          &error));
    assert_true(span_equal(http_head_value(&head, "x-many"), span_of("1")));
    assert_true(span_equal(http_head_value(&head, "empty"), span_of("")));
    assert_null(http_head_value(&head, "absent").data);
    assert_true(http_head_has_word(&head, "connection", "upgrade"));
    assert_false(http_head_has_word(&head, "connection", "upgrad"));
}

/* A target that names a host: that one is asked for, whatever the Host says. */
TEST(test_authority)
{
    struct error error;
    assert_true(read_text("GET http://b:1/x HTTP/1.1\r\nA: b\r\nHost: a\r\n\r\n", &error));
    assert_true(span_equal(http_head_value(&head, "host"), span_of("b:1")));
    assert_true(span_equal(head.path, span_of("/x")));
    assert_true(read_text("GET /x HTTP/1.1\r\nHost: a\r\n\r\n", &error));
    assert_true(span_equal(http_head_value(&head, "host"), span_of("a")));
    assert_false(read_text("GET http://b:x/ HTTP/1.1\r\nHost: a\r\n\r\n", &error));
}

/* A NUL anywhere in a head is refused, whatever stands around it. */
TEST(test_nul)
{
    static const char whole[] = "GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
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

/* The end is found at the same place however the bytes come. */
TEST(test_pieces)
{
    static const char whole[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET";
    for (size_t first = 0; first < sizeof whole; first++) {
        size_t seen = 0, end = http_head_length(span_make(whole, first), &seen);
        if (!end)
            end = http_head_length(span_make(whole, sizeof whole - 1), &seen);
        assert_int_equal(end, sizeof whole - 4);
    }
}

TEST(test_arguments)
{
    static const char *const expected[] = {"a=b c", "d", "=e", "f=&", NULL};
    struct span query = span_of("&a=b+c&&d&=e&f=%26&"), argument;
    char room[64];
    size_t at = 0;
    for (int i = 0; (argument = http_next_argument(query, &at, room)).data; i++)
        assert_true(expected[i] && span_equal(argument, span_of(expected[i])));
    assert_null(http_next_argument(span_make(NULL, 0), &(size_t){0}, room).data);
}
