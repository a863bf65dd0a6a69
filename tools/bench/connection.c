#include "bench/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { OUTPUT_LIMIT = 64 * 1024 * 1024 };

static void on_ready(struct loop_source *source, uint32_t events);

void connection_init(struct connection *connection, struct loop *loop,
                     const struct connection_events *events)
{
    *connection =
        (struct connection){.source.ready = on_ready, .loop = loop, .events = events, .socket = -1};
    buffer_init(&connection->output, OUTPUT_LIMIT);
}

void connection_close(struct connection *connection)
{
    if (connection->socket >= 0)
        close(connection->socket);
    connection->socket = -1;
    connection->state = CONNECTION_NONE;
    buffer_fini(&connection->output);
    buffer_init(&connection->output, OUTPUT_LIMIT);
    memory_free(connection->rest);
    connection->rest = NULL;
    connection->rest_length = connection->rest_capacity = 0;
    connection->written = 0;
}

static void watch(struct connection *connection)
{
    bool connecting = connection->state == CONNECTION_CONNECTING;
    uint32_t events = (connection->deaf ? 0 : (uint32_t)EPOLLIN) |
                      (connecting || connection_pending(connection) ? (uint32_t)EPOLLOUT : 0);
    if (events == connection->watched)
        return;
    connection->watched = events;
    loop_watch(connection->loop, EPOLL_CTL_MOD, connection->socket, events, &connection->source);
}

/* ---- connecting ---- */

static bool set_option(const struct connection *connection, int level, int name, int value)
{
    return setsockopt(connection->socket, level, name, &value, sizeof value) == 0;
}

static bool set_up_socket(const struct connection *connection,
                          const struct connection_target *target)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK + target->source)};
    /* Small messages must go out when they are made: the bench measures time. */
    if (!set_option(connection, IPPROTO_TCP, TCP_NODELAY, 1))
        return false;
    if (target->receive_buffer &&
        !set_option(connection, SOL_SOCKET, SO_RCVBUF, target->receive_buffer))
        return false;
    if (target->segment && !set_option(connection, IPPROTO_TCP, TCP_MAXSEG, target->segment))
        return false;
    if (target->source == 0)
        return true;
    /* The port is chosen when the destination is known, so that addresses can share ports. */
    return set_option(connection, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) &&
           bind(connection->socket, (const struct sockaddr *)&from, sizeof from) == 0;
}

static void add_handshake(struct connection *connection, const struct connection_target *target)
{
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &target->address.sin_addr, host, sizeof host);
    /* Any 16 bytes in base64 will do: the key only guards against confused proxies. */
    buffer_printf(&connection->output,
                  "GET %s HTTP/1.1\r\nHost: %s:%u\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: c3RlbGUtYmVuY2gta2V5IQ==\r\n\r\n",
                  target->path, host, ntohs(target->address.sin_port));
}

bool connection_start(struct connection *connection, const struct connection_target *target)
{
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->socket < 0 || !set_up_socket(connection, target)) {
        loop_fail(connection->loop, "no socket: %s", strerror(errno));
        return false;
    }
    if (connect(connection->socket, (const struct sockaddr *)&target->address,
                sizeof target->address) < 0 &&
        errno != EINPROGRESS) {
        loop_fail(connection->loop, "cannot connect: %s", strerror(errno));
        return false;
    }
    connection->state = CONNECTION_CONNECTING;
    if (target->path)
        add_handshake(connection, target);
    connection->watched = EPOLLIN | EPOLLOUT;
    return loop_watch(connection->loop, EPOLL_CTL_ADD, connection->socket, connection->watched,
                      &connection->source);
}

static void on_connected(struct connection *connection)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->socket, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        loop_fail(connection->loop, "cannot connect: %s", strerror(error));
        return;
    }
    bool handshake = connection_pending(connection);
    connection->state = handshake ? CONNECTION_ANSWER : CONNECTION_OPEN;
    if (!handshake)
        connection->events->opened(connection);
    connection_flush(connection);
    watch(connection);
}

/* ---- writing ---- */

void connection_flush(struct connection *connection)
{
    struct buffer *output = &connection->output;
    if (output->failed)
        loop_fail(connection->loop, "more is waiting to be written than fits in memory");
    while (connection_pending(connection) && connection->state >= CONNECTION_ANSWER) {
        ssize_t count = send(connection->socket, output->data + connection->written,
                             output->length - connection->written, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno != EAGAIN && errno != EINTR)
                loop_fail(connection->loop, "cannot write: %s", strerror(errno));
            break;
        }
        connection->written += (size_t)count;
    }
    if (!connection_pending(connection)) {
        buffer_clear(output);
        connection->written = 0;
    }
    watch(connection);
}

void connection_say(struct connection *connection, struct span text)
{
    frame_add(&connection->output, FRAME_TEXT, text);
    connection_flush(connection);
}

void connection_set_deaf(struct connection *connection, bool deaf)
{
    connection->deaf = deaf;
    watch(connection);
}

/* ---- reading ---- */

static void on_control_frame(struct connection *connection, const struct frame *frame)
{
    if (frame->opcode == FRAME_PING) {
        frame_add(&connection->output, FRAME_PONG, frame->payload);
        connection_flush(connection);
    } else if (frame->opcode == FRAME_CLOSE) {
        size_t skip = frame->payload.length < 2 ? frame->payload.length : 2;
        loop_fail(connection->loop, "the server closed a connection: %.*s",
                  (int)(frame->payload.length - skip), frame->payload.data + skip);
    }
}

/* Bytes of the answer to the handshake, or 0 when it is not all there. */
static size_t take_answer(struct connection *connection, struct span bytes)
{
    const char *end = memmem(bytes.data, bytes.length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    /* That the server knows the protocol is proven by the frames that follow. */
    if (bytes.length < 12 || memcmp(bytes.data, "HTTP/1.1 101", 12) != 0) {
        loop_fail(connection->loop, "the server refused a connection: %.*s",
                  (int)(bytes.length < 300 ? bytes.length : 300), bytes.data);
        return 0;
    }
    connection->state = CONNECTION_OPEN;
    connection->events->opened(connection);
    return (size_t)(end - bytes.data) + 4;
}

static size_t take_frames(struct connection *connection, struct span bytes)
{
    size_t used = 0;
    struct frame frame;
    while (!connection->loop->failed) {
        struct span left = span_make(bytes.data + used, bytes.length - used);
        enum frame_found found = frame_find(left, &frame);
        if (found == FRAME_BROKEN)
            loop_fail(connection->loop, "the server sent what is no frame of a server");
        if (found != FRAME_FOUND)
            break;
        used += frame.whole.length;
        if (frame.opcode < FRAME_CLOSE)
            connection->events->frame(connection, &frame);
        else
            on_control_frame(connection, &frame);
    }
    return used;
}

static void keep_rest(struct connection *connection, struct span rest)
{
    if (rest.length > connection->rest_capacity) {
        char *grown = memory_resize(connection->rest, rest.length);
        if (!grown) {
            loop_fail(connection->loop, "out of memory");
            return;
        }
        connection->rest = grown;
        connection->rest_capacity = rest.length;
    }
    if (rest.length)
        memcpy(connection->rest, rest.data, rest.length);
    connection->rest_length = rest.length;
}

static void on_readable(struct connection *connection)
{
    char *input = connection->loop->input;
    size_t before = connection->rest_length;
    if (before == LOOP_INPUT_SIZE) {
        loop_fail(connection->loop, "the server sent a frame longer than %d bytes",
                  LOOP_INPUT_SIZE);
        return;
    }
    ssize_t count = recv(connection->socket, input + before, LOOP_INPUT_SIZE - before, 0);
    if (count <= 0) {
        if (count == 0)
            loop_fail(connection->loop, "the other side ended a connection without a word");
        else if (errno != EAGAIN && errno != EINTR)
            loop_fail(connection->loop, "cannot read: %s", strerror(errno));
        return;
    }
    if (before)
        memcpy(input, connection->rest, before);
    struct span bytes = span_make(input, before + (size_t)count);
    size_t used = 0;
    if (connection->state == CONNECTION_ANSWER)
        used = take_answer(connection, bytes);
    if (connection->state == CONNECTION_OPEN)
        used += take_frames(connection, span_make(input + used, bytes.length - used));
    keep_rest(connection, span_make(input + used, bytes.length - used));
}

static void on_ready(struct loop_source *source, uint32_t events)
{
    struct connection *connection = (struct connection *)source;
    if (connection->state == CONNECTION_CONNECTING) {
        on_connected(connection);
        return;
    }
    /* Errors show themselves when reading; a deaf connection must hear of them too. */
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        on_readable(connection);
    if (!(events & EPOLLOUT) || connection->loop->failed || connection->state < CONNECTION_ANSWER)
        return;
    bool was_pending = connection_pending(connection);
    connection_flush(connection);
    if (was_pending && !connection_pending(connection) && connection->events->drained)
        connection->events->drained(connection);
}
