/* Sessions whose connection is a WebSocket: pulls are ready frames. */
#include "net/net.h"
#include "session/session.h"
#include "wire/wire.h"

enum { FINAL_FRAME = 0x80 }; /* in a frame's first byte: it ends its message */

static struct span within(struct span bytes, size_t most)
{
    size_t at = 0, end = 0;
    while (at < bytes.length) {
        bool final = (unsigned char)bytes.data[at] & FINAL_FRAME;
        size_t length = wire_frame_length(span_make(bytes.data + at, bytes.length - at));
        if (!length || length > most - at)
            break;
        at += length;
        if (final)
            end = at;
    }
    return span_make(bytes.data, end);
}

static void send_ping(struct session *session)
{
    net_ping(session_connection(session));
}

static void send_close(struct session *session, uint16_t status, struct span reason)
{
    net_send_close(session_connection(session), status, reason);
}

const struct session_carrier session_websocket = {
    .measure = wire_measure,
    .within = within,
    .ping = send_ping,
    .between = true,
    .close = send_close,
};
