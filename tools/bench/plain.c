#include "bench/plain.h"

#include "bench/websocket.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_BYTES = 64 << 20, PIECE = 64 * 1024, HEAD_BYTES = 1024 };

int plain_connect(const struct sockaddr_in *server, int receive_buffer, int seconds)
{
    struct timeval patience = {.tv_sec = seconds};
    int one = 1, it = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (it < 0)
        return -1;
    setsockopt(it, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(it, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(it, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (receive_buffer)
        setsockopt(it, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    if (connect(it, (const struct sockaddr *)server, sizeof *server) == 0)
        return it;
    close(it);
    return -1;
}

bool plain_write(int socket, struct span bytes)
{
    while (bytes.length) {
        ssize_t written = send(socket, bytes.data, bytes.length, MSG_NOSIGNAL);
        if (written <= 0)
            return false;
        bytes = span_make(bytes.data + written, bytes.length - (size_t)written);
    }
    return true;
}

static bool read_more(int socket, struct buffer *in)
{
    char *room = buffer_reserve(in, PIECE);
    ssize_t length = room ? recv(socket, room, PIECE, 0) : 0;
    if (length <= 0)
        return false;
    in->length += (size_t)length;
    return true;
}

/* Where the head ends, or NULL. */
static const char *head_end(const struct buffer *in)
{
    return in->length ? memmem(in->data, in->length, "\r\n\r\n", 4) : NULL;
}

/* Bytes of the whole answer; SIZE_MAX while its head has not come. */
static size_t answer_length(const struct buffer *in)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *end = head_end(in);
    if (!end)
        return SIZE_MAX;
    size_t head = (size_t)(end - in->data);
    const char *length = memmem(in->data, head, name, sizeof name - 1);
    return head + 4 + (length ? strtoul(length + sizeof name - 1, NULL, 10) : 0);
}

static int read_status(int socket)
{
    struct buffer in;
    int status = 0;
    buffer_init(&in, ANSWER_BYTES);
    while (in.length < answer_length(&in) && read_more(socket, &in))
        ;
    if (in.length > 12 && in.length >= answer_length(&in))
        status = atoi(in.data + 9);
    buffer_fini(&in);
    return status;
}

int plain_request(const struct sockaddr_in *server, const char *path, struct span body, int seconds)
{
    char head[HEAD_BYTES];
    int status = 0, it = plain_connect(server, 0, seconds);
    if (it < 0)
        return 0;
    int length =
        snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
                 body.data ? "POST" : "GET", path);
    if (body.data)
        length +=
            snprintf(head + length, sizeof head - (size_t)length,
                     "Content-Type: application/x-ndjson\r\nContent-Length: %zu\r\n", body.length);
    length += snprintf(head + length, sizeof head - (size_t)length, "\r\n");
    plain_write(it, span_make(head, (size_t)length));
    if (body.data)
        plain_write(it, body);
    status = read_status(it);
    close(it);
    return status;
}

int plain_websocket(const struct sockaddr_in *server, const char *path, int seconds)
{
    char head[HEAD_BYTES];
    char c;
    size_t matched = 0;
    int it = plain_connect(server, 0, seconds);
    int length = snprintf(head, sizeof head,
                          "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n",
                          path);
    if (it >= 0)
        plain_write(it, span_make(head, (size_t)length));
    /* Not a byte more: what follows is frames. */
    while (it >= 0 && matched < 4) {
        if (recv(it, &c, 1, 0) != 1) {
            close(it);
            return -1;
        }
        matched = c == "\r\n\r\n"[matched] ? matched + 1 : c == '\r';
    }
    return it;
}

bool plain_say(int socket, struct span text)
{
    struct buffer out;
    buffer_init(&out, text.length + FRAME_HEADER_MOST);
    bool said =
        frame_add(&out, FRAME_TEXT, text) != SIZE_MAX && plain_write(socket, buffer_span(&out));
    buffer_fini(&out);
    return said;
}

bool plain_hear(int socket, int binary)
{
    struct buffer in;
    size_t at = 0;
    bool going = true;
    buffer_init(&in, ANSWER_BYTES);
    while (going && binary) {
        struct frame frame;
        enum frame_found found = in.length
                                     ? frame_find(span_make(in.data + at, in.length - at), &frame)
                                     : FRAME_INCOMPLETE;
        if (found == FRAME_INCOMPLETE) {
            going = read_more(socket, &in);
            continue;
        }
        going = found == FRAME_FOUND && frame.opcode != FRAME_TEXT && frame.opcode != FRAME_CLOSE;
        if (going) {
            at += frame.whole.length;
            binary -= frame.opcode == FRAME_BINARY && frame.final;
        }
    }
    buffer_fini(&in);
    return going;
}
