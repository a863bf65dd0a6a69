/* HTTP on both addresses: each request with the beginning of its answer and a part of it. */
#include "server_fixture.h"

#include <stdio.h>
#include <unistd.h>

static struct live live;
static struct buffer answer;

static void setup(void)
{
    static const char *const settings[] = {"max_request_bytes", "4096", NULL};
    buffer_init(&answer, 1 << 20);
    live_start(&live, settings);
}

static void teardown(void)
{
    live_stop(&live);
    buffer_fini(&answer);
}

TEST_ALL(setup, teardown)

static void expect(const char *request, const char *status, const char *part)
{
    if (strncmp(answer.data, status, strlen(status)) != 0 || !strstr(answer.data, part))
        fail_msg("for: %s\nexpected: %s … %s\ncame: %s", request, status, part, answer.data);
}

#define HOST " HTTP/1.1\r\nHost: localhost\r\n"
#define POST "POST /v1/mutations" HOST
#define MUTATION "{\"export\":\"Q\",\"key\":1,\"patch\":{}}" /* 33 bytes */

static const struct {
    bool health;
    const char *request, *status, *part;
} cases[] = {
    {true, "GET /health" HOST "\r\n", "HTTP/1.1 200 ", "\r\n\r\nOK"},
    {true, "GET /healthz" HOST "\r\n", "HTTP/1.1 200 ", "\r\n\r\nOK"},
    {true, "GET /ready" HOST "\r\n", "HTTP/1.1 200 ", "\r\n\r\nREADY"},
    {true, "GET /readiness" HOST "\r\n", "HTTP/1.1 200 ", "\r\n\r\nREADY"},
    {true, "GET /status" HOST "\r\n", "HTTP/1.1 200 ", "{\"healthy\":true,"},
    {true, "GET /metrics" HOST "\r\n", "HTTP/1.1 200 ", "\nstele_connections_active 0\n"},
    {true, "GET /nothing" HOST "\r\n", "HTTP/1.1 404 ", "X-Error-Code: not-found\r\n"},
    {true, "POST /health" HOST "Content-Length: 0\r\n\r\n", "HTTP/1.1 405 ",
     "Allow: GET, HEAD\r\n"},
    {false, "GET /" HOST "\r\n", "HTTP/1.1 404 ", "\"code\":\"not-found\""},
    {false, "GET /v1/mutations" HOST "\r\n", "HTTP/1.1 405 ", "Allow: POST\r\n"},
    {false, POST "Content-Length: 33\r\n\r\n" MUTATION, "HTTP/1.1 200 ", "{\"applied\":1,"},
    {false, POST "Content-Length: 0\r\n\r\n", "HTTP/1.1 200 ", "{\"applied\":0,"},
    {false, POST "Content-Length: 2\r\n\r\n{}", "HTTP/1.1 400 ", "line 1: export is missing"},
    {false, POST "Content-Length: 4097\r\n\r\n", "HTTP/1.1 413 ", "at most 4096 are taken"},
    {false, POST "Content-Length: 1, 1\r\n\r\n", "HTTP/1.1 400 ", "Content-Length is no number"},
    {false, POST "\r\n", "HTTP/1.1 411 ", "X-Error-Code: length-required\r\n"},
    {false, POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 ", "{\"applied\":0,"},
    {false,
     POST "Transfer-Encoding: "
          "chunked\r\n\r\n1\r\n{\r\n20;x=y\r\n\"export\":\"Q\",\"key\":1,\"patch\":{}}"
          "\r\n0\r\nTrailer: x\r\n\r\n",
     "HTTP/1.1 200 ", "{\"applied\":1,"},
    {false, POST "Transfer-Encoding: chunked\r\n\r\nx\r\n", "HTTP/1.1 400 ",
     "Connection: close\r\n"},
    {false, POST "Transfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 ", "Connection: close\r\n"},
    {false, POST "Expect: cake\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 417 ", "cake"},
    {true, "GET /health HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ", "Connection: close\r\n"},
    {true, "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 ",
     "Connection: keep-alive\r\n"},
    {true, "GET /health HTTP/2.0\r\n\r\n", "HTTP/1.1 505 ", "version-not-supported"},
    {false,
     "GET /v1/views" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
     "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
     "HTTP/1.1 200 ", "{\"epoch\":"},
    /* A body where none is taken. */
    {true, "GET /status" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400 ",
     "has no body"},
    {true, "GET /status" HOST "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 400 ",
     "Connection: close\r\n"},
    {true, "GET /metrics" HOST "Transfer-Encoding: chunked\r\n\r\nx\r\n", "HTTP/1.1 400 ",
     "has no body"},
    {true, "GET /health" HOST "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 400 ", "has no body"},
    {false, "GET /v1/views" HOST "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 400 ", "has no body"},
    {false, "GET /v1/revocations" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "HTTP/1.1 400 ", "has no body"},
    {false, "GET /v1/producers" HOST "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 400 ",
     "has no body"},
    {false,
     "OPTIONS /v1/mutations" HOST "Origin: http://localhost\r\nContent-Length: 5\r\n\r\nhello",
     "HTTP/1.1 400 ", "has no body"},
    {false, "GET /v1/views" HOST "Content-Length: 0\r\n\r\n", "HTTP/1.1 200 ", "{\"epoch\":"},
    {false, POST "Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 415 ",
     "X-Error-Code: unsupported-encoding\r\n"},
    {false, POST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 100 ", "Continue"},
};

TEST(test_answers)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        peer_ask(cases[i].health ? server_parts(live.server).health_address
                                 : server_parts(live.server).address,
                 cases[i].request, &answer);
        expect(cases[i].request, cases[i].status, cases[i].part);
    }
}

TEST(test_one_after_the_other)
{
    static const char request[] = POST "Content-Length: 33\r\n\r\n" MUTATION;
    int fd = peer_dial(server_parts(live.server).address);
    for (int i = 0; i < 3; i++) {
        buffer_clear(&answer);
        peer_say(fd, span_of(request));
        peer_hear_response(fd, &answer);
        expect(request, "HTTP/1.1 200 ", "{\"applied\":1,");
    }
    close(fd);
}

/* Sent without waiting for the answers: they come in order. */
TEST(test_pipelined)
{
    static const char requests[] =
        POST "Content-Length: 33\r\n\r\n" MUTATION POST "Content-Length: 33\r\n\r\n" MUTATION;
    int fd = peer_dial(server_parts(live.server).address);
    peer_say(fd, span_of(requests));
    buffer_clear(&answer);
    peer_hear_response(fd, &answer);
    expect(requests, "HTTP/1.1 200 ", "{\"applied\":1,");
    buffer_clear(&answer);
    peer_hear_response(fd, &answer);
    expect(requests, "HTTP/1.1 200 ", "{\"applied\":1,");
    close(fd);
    peer_ask(server_parts(live.server).health_address, "GET /health" HOST "\r\n", &answer);
    expect("GET /health", "HTTP/1.1 200 ", "OK");
}

/* Clients that go away before their answer, with half a body or with all of it. */
TEST(test_gone)
{
    static const char request[] = POST "Content-Length: 33\r\n\r\n" MUTATION;
    for (size_t i = 0; i < 40; i++) {
        int fd = peer_dial(server_parts(live.server).address);
        peer_say(fd, span_make(request, sizeof request - 1 - i));
        close(fd);
    }
    peer_ask(server_parts(live.server).address, request, &answer);
    expect(request, "HTTP/1.1 200 ", "{\"applied\":1,");
}
