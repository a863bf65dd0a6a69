#include "server_fixture.h"
#include "folder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 60 }; /* only a fault can take that long */

/* ---- the server ---- */

static void *live_main(void *argument)
{
    struct live *live = argument;
    struct error error;
    return server_run(live->server, &error) ? live : NULL;
}

void live_open(struct live *live, const char *const *settings)
{
    struct error error = {0};
    char path[96];
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, NULL);
    folder_make(live->folder);
    snprintf(path, sizeof path, "%s/test.db", live->folder);
    assert_true(config_init(&live->config, &error));
    assert_true(config_set(&live->config, "database", path, &error));
    assert_true(config_set(&live->config, "listen", "127.0.0.1:0", &error));
    assert_true(config_set(&live->config, "health", "127.0.0.1:0", &error));
    for (; settings && *settings; settings += 2)
        if (!config_set(&live->config, settings[0], settings[1], &error))
            fail_msg("%s", error.message);
    live->server = server_open(&live->config, NULL, &error);
    if (!live->server)
        fail_msg("%s", error.message);
}

void live_run(struct live *live)
{
    assert_int_equal(pthread_create(&live->thread, NULL, live_main, live), 0);
}

void live_start(struct live *live, const char *const *settings)
{
    live_open(live, settings);
    live_run(live);
}

void live_wait(struct live *live)
{
    void *clean;
    pthread_join(live->thread, &clean);
    assert_non_null(clean);
}

void live_close(struct live *live)
{
    server_close(live->server);
    config_fini(&live->config);
    folder_remove(live->folder);
}

void live_stop(struct live *live)
{
    server_stop(live->server);
    live_wait(live);
    live_close(live);
}

/* ---- sockets ---- */

int peer_dial(const char *address)
{
    struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    struct sockaddr_in to = {.sin_family = AF_INET};
    const char *colon = strrchr(address, ':');
    to.sin_port = htons((uint16_t)atoi(colon + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

void peer_say(int fd, struct span bytes)
{
    while (bytes.length) {
        ssize_t sent = send(fd, bytes.data, bytes.length, MSG_NOSIGNAL);
        assert_true(sent > 0);
        bytes = span_make(bytes.data + sent, bytes.length - (size_t)sent);
    }
}

bool peer_hear(int fd, char *out, size_t length)
{
    while (length) {
        ssize_t got = recv(fd, out, length, 0);
        if (got < 0 && errno == EAGAIN)
            fail_msg("nothing came, and no end, in %d s", PATIENCE_SECONDS);
        if (got <= 0)
            return false;
        out += got;
        length -= (size_t)got;
    }
    return true;
}

/* Up to and with the empty line behind the header. */
static void peer_hear_header(int fd, struct buffer *out)
{
    while (out->length < 4 || memcmp(out->data + out->length - 4, "\r\n\r\n", 4) != 0) {
        char byte;
        if (!peer_hear(fd, &byte, 1))
            fail_msg("no answer but: %s", buffer_string(out));
        buffer_add_char(out, byte);
    }
    buffer_string(out);
}

void peer_hear_response(int fd, struct buffer *out)
{
    peer_hear_header(fd, out);
    const char *field = strstr(out->data, "Content-Length: ");
    size_t length = field ? strtoul(field + 16, NULL, 10) : 0;
    char *body = buffer_reserve(out, length + 1);
    assert_true(peer_hear(fd, body, length));
    out->length += length;
    buffer_string(out);
}

void peer_ask(const char *address, const char *request, struct buffer *out)
{
    int fd = peer_dial(address);
    buffer_clear(out);
    peer_say(fd, span_of(request));
    peer_hear_response(fd, out);
    close(fd);
}

/* ---- WebSocket ---- */

static int ask_upgrade(const char *address, const char *path, const char *headers)
{
    char request[16 * 1024];
    int fd = peer_dial(address);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n",
                          path, headers);
    peer_say(fd, span_make(request, (size_t)length));
    return fd;
}

int peer_upgrade(const char *address, const char *path, struct buffer *header)
{
    int fd = ask_upgrade(address, path, "");
    buffer_clear(header);
    peer_hear_header(fd, header);
    return fd;
}

int peer_upgrade_with(const char *address, const char *path, const char *headers,
                      struct buffer *answer)
{
    int fd = ask_upgrade(address, path, headers);
    buffer_clear(answer);
    peer_hear_response(fd, answer);
    return fd;
}

void peer_say_frame(int fd, unsigned first, struct span payload)
{
    struct buffer frame;
    buffer_init(&frame, payload.length + 16);
    buffer_add_char(&frame, (char)first);
    if (payload.length < 126) {
        buffer_add_char(&frame, (char)(0x80 | payload.length));
    } else {
        bool is_short = payload.length <= 0xffff; /* a length is written as short as it can be */
        buffer_add_char(&frame, (char)(0x80 | (is_short ? 126 : 127)));
        for (int shift = is_short ? 8 : 56; shift >= 0; shift -= 8)
            buffer_add_char(&frame, (char)(payload.length >> shift & 0xff));
    }
    buffer_add(&frame, "\0\0\0\0", 4);
    buffer_add_span(&frame, payload);
    peer_say(fd, buffer_span(&frame));
    buffer_fini(&frame);
}

void peer_say_text(int fd, const char *text)
{
    peer_say_frame(fd, 0x81, span_of(text));
}

bool peer_hear_frame(int fd, struct buffer *out)
{
    char head[4];
    if (!peer_hear(fd, head, 2))
        return false;
    size_t length = (unsigned char)head[1], extra = length == 126 ? 2 : 0;
    assert_true(length <= 126 && peer_hear(fd, head + 2, extra));
    if (extra)
        length = (size_t)(unsigned char)head[2] << 8 | (unsigned char)head[3];
    buffer_add(out, head, 2 + extra);
    char *payload = buffer_reserve(out, length + 1);
    if (!peer_hear(fd, payload, length))
        return false;
    out->length += length;
    return buffer_string(out) != NULL;
}

void peer_expect(int fd, unsigned first, const char *part)
{
    struct buffer frame;
    buffer_init(&frame, 1 << 20);
    do {
        buffer_clear(&frame);
        assert_true(peer_hear_frame(fd, &frame));
    } while ((unsigned char)frame.data[0] == 0x89);
    assert_int_equal((unsigned char)frame.data[0], first);
    if (!memmem(frame.data, frame.length, part, strlen(part)))
        fail_msg("expected \"%s\" in: %s", part, frame.data + 4);
    buffer_fini(&frame);
}

void peer_expect_close(int fd, unsigned status, const char *reason)
{
    struct buffer frame;
    buffer_init(&frame, 256);
    assert_true(peer_hear_frame(fd, &frame));
    assert_int_equal((unsigned char)frame.data[0], 0x88);
    assert_int_equal((unsigned char)frame.data[2] << 8 | (unsigned char)frame.data[3], status);
    assert_string_equal(frame.data + 4, reason);
    buffer_fini(&frame);
}
