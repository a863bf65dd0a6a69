/*
 * The inspector over real sockets: its files with what protects them, what it may read on the
 * health address, and what that address does not answer. The server has no authentication.
 */
#include "http/inspector.h"
#include "server_fixture.h"

#include <stdio.h>
#include <unistd.h>

enum { MOST_BYTES = 60 * 1000 };

static struct live live;
static struct buffer answer;

static void setup(void)
{
    static const char *const settings[] = {"usage_url", "http://127.0.0.1:1/in?key=HIDE-ME",
                                           "base_path", "/under/here", NULL};
    buffer_init(&answer, 8 << 20);
    live_start(&live, settings);
}

static void teardown(void)
{
    live_stop(&live);
    buffer_fini(&answer);
}

TEST_ALL(setup, teardown)

static void ask(const char *request)
{
    buffer_clear(&answer);
    peer_ask(server_parts(live.server).health_address, request, &answer);
    buffer_string(&answer);
}

static void expect(const char *request, const char *status, const char *part)
{
    if (strncmp(answer.data, status, strlen(status)) != 0 || !strstr(answer.data, part))
        fail_msg("for: %s\nexpected: %s … %s\ncame: %s", request, status, part, answer.data);
}

#define HOST " HTTP/1.1\r\nHost: localhost\r\n"

/* What the page is made of fits, and asks nobody else. */
TEST(test_size_and_addresses)
{
    static const char name[] = "xmlns=\"http://www.w3.org/2000/svg\""; /* no address, but a name */
    size_t sum = 0;
    assert_true(inspector_file_count >= 4);
    for (size_t i = 0; i < inspector_file_count; i++) {
        const struct inspector_file *file = &inspector_files[i];
        sum += file->length;
        for (const char *at = file->bytes; (at = strstr(at, "//")); at += 2)
            if (at > file->bytes && at[-1] == ':' &&
                (at - file->bytes < 12 || memcmp(at - 12, name, 12) != 0))
                fail_msg("%s names an address: %.60s", file->name, at - 6);
        assert_null(strstr(file->bytes, "innerHTML"));
        assert_null(strstr(file->bytes, "eval("));
    }
    print_message("%zu files, %zu bytes\n", inspector_file_count, sum);
    assert_true(sum <= MOST_BYTES);
}

TEST(test_each_file)
{
    for (size_t i = 0; i < inspector_file_count; i++) {
        const struct inspector_file *file = &inspector_files[i];
        char request[256], line[128];
        snprintf(request, sizeof request, "GET /inspector/%s" HOST "\r\n", file->name);
        snprintf(line, sizeof line, "Content-Length: %zu\r\nETag: %s\r\n", file->length, file->tag);
        ask(request);
        expect(request, "HTTP/1.1 200 ", line);
        assert_memory_equal(strstr(answer.data, "\r\n\r\n") + 4, file->bytes, file->length);
        expect(request, "HTTP/1.1 200 ", "Content-Security-Policy: default-src 'none'; ");
        expect(request, "HTTP/1.1 200 ", "frame-ancestors 'none'");
        expect(request, "HTTP/1.1 200 ", "X-Content-Type-Options: nosniff\r\n");
        expect(request, "HTTP/1.1 200 ", "Referrer-Policy: no-referrer\r\n");
        expect(request, "HTTP/1.1 200 ", "Cross-Origin-Resource-Policy: same-origin\r\n");
        assert_null(strstr(answer.data, "unsafe"));
        snprintf(request, sizeof request,
                 "GET /inspector/%s" HOST "If-None-Match: \"x\", W/%s\r\n\r\n", file->name,
                 file->tag);
        ask(request);
        expect(request, "HTTP/1.1 304 ", file->tag);
    }
}

static const struct {
    const char *request, *status, *part;
} cases[] = {
    {"GET /" HOST "\r\n", "HTTP/1.1 301 ", "Location: ./inspector/\r\n"},
    {"GET /inspector" HOST "\r\n", "HTTP/1.1 301 ", "Location: ./inspector/\r\n"},
    {"GET /inspector/" HOST "\r\n", "HTTP/1.1 200 ", "Content-Type: text/html; charset=utf-8\r\n"},
    {"GET /under/here/inspector/app.js" HOST "\r\n", "HTTP/1.1 200 ", "text/javascript"},
    {"GET /inspector/../status" HOST "\r\n", "HTTP/1.1 400 ", "dot segment"},
    {"GET /inspector/%2e%2e/status" HOST "\r\n", "HTTP/1.1 400 ", "dot segment"},
    {"GET /inspector/index.html/" HOST "\r\n", "HTTP/1.1 404 ", "no such file"},
    {"GET /inspector/none.js" HOST "\r\n", "HTTP/1.1 404 ", "no such file"},
    {"POST /inspector/" HOST "Content-Length: 0\r\n\r\n", "HTTP/1.1 405 ", "Allow: GET, HEAD\r\n"},
    {"GET /config" HOST "\r\n", "HTTP/1.1 200 ", "\"usage_url\": \"http://127.0.0.1:1/in?(hidden)"},
    {"GET /config" HOST "\r\n", "HTTP/1.1 200 ", "Cache-Control: no-store\r\n"},
    {"DELETE /config" HOST "\r\n", "HTTP/1.1 405 ", "Allow: GET, HEAD\r\n"},
    /* What the page reads: nothing changes, and nothing lasts. */
    {"GET /v1/views" HOST "\r\n", "HTTP/1.1 200 ", "{\"epoch\":"},
    {"GET /v1/views/Q/list" HOST "\r\n", "HTTP/1.1 200 ", "{\"view\":\"Q/list\","},
    {"GET /v1/views/none" HOST "\r\n", "HTTP/1.1 404 ", "view-not-found"},
    {"GET /v1/producers" HOST "\r\n", "HTTP/1.1 200 ", "{\"producers\":["},
    {"GET /v1/views/Q/list/live" HOST "\r\n", "HTTP/1.1 400 ", "neither waits"},
    {"GET /v1/views/Q/list" HOST "Accept: text/event-stream\r\n\r\n", "HTTP/1.1 400 ",
     "neither waits"},
    {"GET /v1/views/Q/list?wait=5&after=0%3A000000000000" HOST "\r\n", "HTTP/1.1 400 ",
     "neither waits"},
    {"GET /v1/history?export=Q&key=k" HOST "\r\n", "HTTP/1.1 200 ", "\"events\":["},
    {"GET /v1/explain?view=Q/list&key=k" HOST "\r\n", "HTTP/1.1 200 ", "\"in\":false"},
    {"GET /v1/history?export=Q&key=k&wait=5" HOST "\r\n", "HTTP/1.1 400 ", "neither waits"},
    {"DELETE /v1/producers/p" HOST "\r\n", "HTTP/1.1 404 ", "the API is on port"},
    {"POST /v1/mutations" HOST "Content-Length: 0\r\n\r\n", "HTTP/1.1 404 ", "the API is on port"},
    {"GET /v1/revocations" HOST "\r\n", "HTTP/1.1 404 ", "the API is on port"},
    {"GET /v1/nothing" HOST "\r\n", "HTTP/1.1 404 ", "the API is on port"},
    /* A proxy, or a page of another site, gets none of it. */
    {"GET /v1/views" HOST "X-Forwarded-For: 203.0.113.9\r\n\r\n", "HTTP/1.1 403 ",
     "or a proxy, gives"},
    {"GET /v1/views" HOST "Forwarded: for=203.0.113.9\r\n\r\n", "HTTP/1.1 403 ",
     "or a proxy, gives"},
    {"GET /v1/producers" HOST "Via: 1.1 x\r\n\r\n", "HTTP/1.1 403 ", "or a proxy, gives"},
    {"GET /config" HOST "X-Real-IP: 203.0.113.9\r\n\r\n", "HTTP/1.1 403 ", "or a proxy, gives"},
    {"GET /config" HOST "CF-Connecting-IP: 203.0.113.9\r\n\r\n", "HTTP/1.1 403 ",
     "or a proxy, gives"},
    {"GET /v1/clients" HOST "X-Forwarded-Proto: https\r\n\r\n", "HTTP/1.1 403 ",
     "or a proxy, gives"},
    {"GET /v1/history?export=Q&key=k HTTP/1.0\r\nHost: localhost\r\n\r\n", "HTTP/1.1 403 ",
     "or a proxy, gives"},
    {"GET /config" HOST "Origin: http://evil.example\r\n\r\n", "HTTP/1.1 403 ", "origin-mismatch"},
    {"GET /v1/views HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 403 ", "host-not-allowed"},
    {"GET /status" HOST "X-Forwarded-For: 203.0.113.9\r\n\r\n", "HTTP/1.1 200 ", "\"views\":["},
};

TEST(test_answers)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ask(cases[i].request);
        expect(cases[i].request, cases[i].status, cases[i].part);
        assert_null(strstr(answer.data, "HIDE-ME"));
    }
}

/* The main address has no inspector: its paths are those of static_files. */
TEST(test_main_address)
{
    static const char *const paths[] = {"/inspector/", "/config", "/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char request[128];
        snprintf(request, sizeof request, "GET %s" HOST "\r\n", paths[i]);
        buffer_clear(&answer);
        peer_ask(server_parts(live.server).address, request, &answer);
        buffer_string(&answer);
        expect(request, "HTTP/1.1 404 ", "not-found");
    }
}

/* A head alone, and no connection that a browser would keep: those of the health address are few.
 */
TEST(test_head)
{
    static const char request[] = "HEAD /inspector/" HOST "\r\n";
    int fd = peer_dial(server_parts(live.server).health_address);
    char bytes[4096] = "";
    size_t length = 0;
    peer_say(fd, span_of(request));
    while (length + 1 < sizeof bytes && peer_hear(fd, bytes + length, 1))
        length++;
    close(fd);
    assert_non_null(strstr(bytes, "Content-Security-Policy: "));
    assert_non_null(strstr(bytes, "Connection: close\r\n"));
    assert_ptr_equal(strstr(bytes, "\r\n\r\n") + 4, bytes + length);
}
