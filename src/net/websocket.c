/* Connections that have become WebSockets. */
#include "net/net_internal.h"

enum { FINAL_CLOSE = 0x88, FINAL_PING = 0x89, STATUS_NONE = 1005 };

/* ---- the handshake ---- */

static bool bad_handshake(struct error *error, const char *what)
{
    return error_set(error, ERROR_INVALID_MESSAGE, "the WebSocket handshake is not in order: %s",
                     what);
}

bool net_check_upgrade(const struct net_connection *connection, struct error *error)
{
    const struct http_head *head = net_state(connection).request;
    char accept[HANDSHAKE_ACCEPT];
    if (head->method != HTTP_GET || head->minor == 0 || head->body_length)
        return bad_handshake(error, "it is a GET by HTTP/1.1 without a body");
    if (!http_head_has_word(head, "connection", "upgrade"))
        return bad_handshake(error, "there is no 'Connection: Upgrade'; does a proxy take it out?");
    if (!span_equal(http_head_value(head, "sec-websocket-version"), span_of("13")))
        return error_set(error, ERROR_UPGRADE_REQUIRED,
                         "only version 13 of WebSocket is spoken here");
    return handshake_accept(http_head_value(head, "sec-websocket-key"), accept) ||
           bad_handshake(error, "Sec-WebSocket-Key is not 16 bytes in base64");
}

bool net_upgrade(struct net_connection *connection, size_t limit, const char *subprotocol)
{
    const struct http_head *head = net_state(connection).request;
    char accept[HANDSHAKE_ACCEPT], answer[320];
    connection->frames = memory_new(sizeof *connection->frames);
    if (!connection->frames ||
        !handshake_accept(http_head_value(head, "sec-websocket-key"), accept))
        return false;
    *connection->frames = (struct frame_reader){.limit = limit};
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s%s%s\r\n",
                          accept, subprotocol ? "Sec-WebSocket-Protocol: " : "",
                          subprotocol ? subprotocol : "", subprotocol ? "\r\n" : "");
    request_forget(connection);
    connection->mode = MODE_FRAMES;
    net_set_deadline(connection, 0);
    net_write(connection, span_make(answer, (size_t)length));
    net_schedule(connection);
    return true;
}

void net_set_limit(struct net_connection *connection, size_t limit)
{
    connection->frames->limit = limit;
}

/* ---- control frames, out ---- */

bool net_ping(struct net_connection *connection)
{
    return output_control(connection, FINAL_PING, span_of("?"));
}

bool net_send_close(struct net_connection *connection, uint16_t status, struct span reason)
{
    char bytes[FRAME_CONTROL_LIMIT];
    if (connection->close_sent)
        return false;
    size_t length = reason.length < sizeof bytes - 2 ? reason.length : sizeof bytes - 2;
    bytes[0] = (char)(status >> 8);
    bytes[1] = (char)(status & 0xff);
    memcpy(bytes + 2, reason.data, length);
    connection->close_sent = true;
    bool written = output_control(connection, FINAL_CLOSE, span_make(bytes, 2 + length));
    if (connection->mode == MODE_PARTING) /* the client's would not be heard */
        net_part(connection);
    return written;
}

/* ---- control frames, in ---- */

/* While the client does not read, only the newest ping is kept for an answer: a sender of pings
 * costs no memory, and one answer is enough for all of them. */
static void on_ping(struct net_connection *connection, struct span bytes)
{
    if (connection->close_sent)
        return;
    if (!net_state(connection).is_blocked) {
        output_control(connection, OUTPUT_PONG, bytes);
        return;
    }
    if (!connection->pong)
        connection->pong = memory_alloc(1 + FRAME_CONTROL_LIMIT);
    if (!connection->pong)
        return;
    connection->pong[0] = (char)bytes.length;
    memcpy(connection->pong + 1, bytes.data, bytes.length);
}

static void on_close(struct net_connection *connection, const struct frame_event *event)
{
    char status[2] = {(char)(event->status >> 8), (char)(event->status & 0xff)};
    bool has_status = event->status != STATUS_NONE;
    if (!connection->close_sent)
        output_control(connection, FINAL_CLOSE, span_make(status, has_status ? 2 : 0));
    connection->close_sent = true;
    net_part(connection);
}

static void on_broken(struct net_connection *connection, const struct frame_event *event)
{
    log_debug("net", "websocket-broken", log_number("status", event->status),
              log_text("cause", event->what));
    net_send_close(connection, event->status, span_of(event->what));
    net_part(connection);
}

/* ---- messages ---- */

static void handle(struct net_connection *connection, const struct frame_event *event)
{
    const struct net_handler *handler = connection->net->options.handler;
    void *argument = connection->net->options.argument;
    switch (event->kind) {
    case FRAME_NOTHING:
        break;
    case FRAME_MESSAGE:
        handler->message(argument, connection, event->bytes, event->binary, event->last);
        break;
    case FRAME_PING:
        on_ping(connection, event->bytes);
        handler->heard(argument, connection);
        break;
    case FRAME_PONG:
        handler->heard(argument, connection);
        break;
    case FRAME_CLOSE:
        on_close(connection, event);
        break;
    case FRAME_TOO_LONG:
        connection->mode = MODE_PARTING;
        handler->too_long(argument, connection);
        break;
    case FRAME_BROKEN:
        on_broken(connection, event);
        break;
    }
}

size_t websocket_take(struct net_connection *connection, char *bytes, size_t length)
{
    struct frame_event event;
    size_t taken = frame_read(connection->frames, bytes, length, &event);
    handle(connection, &event);
    return taken;
}
