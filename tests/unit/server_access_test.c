/*
 * Access when memory is short: each allocation of a handshake, of a request and of a refresh
 * fails in turn. The client gets in, or is refused, or is cut off; the server lives on and nothing
 * leaks (the sanitizer tells).
 */
#include "memory_fault.h"
#include "server_fixture.h"

#include <stdio.h>
#include <unistd.h>

#define TOKEN "0123456789abcdef"

static struct live live;

static void setup(void)
{
    static const char *const settings[] = {"auth",
                                           "{\"mode\":\"static\",\"tokens\":[{\"token\":\"" TOKEN
                                           "\",\"scope\":\"read write\"}]}",
                                           "allowed_origins", "[\"https://a.example\"]", NULL};
    live_start(&live, settings);
}

static void teardown(void)
{
    live_stop(&live);
}

TEST_ALL(setup, teardown)

static const char handshake[] =
    "GET /?token=" TOKEN " HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
static const char list[] =
    "GET /v1/views HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n"
    "Authorization: Bearer " TOKEN "\r\nConnection: close\r\n\r\n";
static const char refused[] =
    "GET /v1/views HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n"
    "Connection: close\r\n\r\n";

/* The first line of the answer, or "" when there was none. */
static void first_line(int fd, char line[64])
{
    size_t length = 0;
    while (length < 63 && peer_hear(fd, line + length, 1) && line[length] != '\r')
        length++;
    line[length] = '\0';
}

static void ask(const char *request, char line[64])
{
    int fd = peer_dial(server_parts(live.server).address);
    peer_say(fd, span_of(request));
    first_line(fd, line);
    close(fd);
}

/* Until nothing failed any more. */
static void with_each_allocation_failing(const char *request, const char *wanted)
{
    char line[64];
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        memory_fail_at(nth, 0);
        ask(request, line);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        if (!hit)
            assert_string_equal(line, wanted);
        else if (*line && strcmp(line, wanted) != 0)
            assert_string_equal(line, "HTTP/1.1 503 Service Unavailable");
        assert_true(nth < 1000);
    }
    ask(list, line);
    assert_string_equal(line, "HTTP/1.1 200 OK");
}

TEST(handshakes)
{
    with_each_allocation_failing(handshake, "HTTP/1.1 101 Switching Protocols");
}

TEST(requests)
{
    with_each_allocation_failing(list, "HTTP/1.1 200 OK");
    with_each_allocation_failing(refused, "HTTP/1.1 401 Unauthorized");
}

/* It is answered, or the connection ends. The peer's own frames take no memory that may fail. */
TEST(refreshes)
{
    static const char ask[] = "{\"type\":\"refresh_auth\",\"token\":\"" TOKEN "\"}";
    static const char good[] = "\x81\x10{\"success\":true}";
    char frame[sizeof ask + 6], line[64], answer[sizeof good - 1];
    int length = snprintf(frame, sizeof frame, "\x81%c%c%c%c%c%s", (char)(0x80 | (sizeof ask - 1)),
                          0, 0, 0, 0, ask);
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        int fd = peer_dial(server_parts(live.server).address);
        peer_say(fd, span_of(handshake));
        first_line(fd, line);
        assert_string_equal(line, "HTTP/1.1 101 Switching Protocols");
        for (char last[4] = ""; memcmp(last, "\r\n\r\n", 4) != 0;) {
            memmove(last, last + 1, 3);
            assert_true(peer_hear(fd, last + 3, 1));
        }
        memory_fail_at(nth, 0);
        peer_say(fd, span_make(frame, (size_t)length));
        bool answered = peer_hear(fd, answer, sizeof answer);
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        if (!hit)
            assert_true(answered && memcmp(answer, good, sizeof answer) == 0);
        close(fd);
    }
}
