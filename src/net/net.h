/*
 * net: HTTP/1 requests and WebSocket messages on sockets, with TLS or without. It knows how bytes
 * become requests and messages, and nothing of what they mean: that is the handler's matter. All of
 * it belongs to the thread of one libuv loop.
 *
 * A connection is a request after the other until it becomes a WebSocket:
 *
 *   HEAD --request--> BODY --body_end--> ANSWER --net_request_done--> HEAD
 *     \-----------------(no body)----------^  |--net_upgrade--> FRAMES
 *                                              \--net_stream--> STREAM
 *   any --net_part--> PARTING --the client has seen all--> closed
 *
 * Invariants:
 *   1. A connection dies only in its `closed` call, which comes from the loop, never from inside
 *      another call; before it, everything may be called, and does nothing on one that ended.
 *   2. Nothing of the next request is read before the answer of this one was given.
 *   3. What a connection holds is bounded: a head by HTTP_HEAD_LIMIT and all unfinished heads by
 *      net_options.heads_bytes, what was read and not taken by one read, what waits to be written
 *      by what its handler gave while net_is_blocked was false, and a control frame.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/base.h"
#include "net/http_head.h"

#include <uv.h>

struct certificate;
struct net;
struct net_connection;

struct net_handler {
    /* The head of a request is there (net_request). An answer is owed, now or later. */
    void (*request)(void *argument, struct net_connection *connection);
    /* A part of its body, and its end. */
    void (*body)(void *argument, struct net_connection *connection, struct span bytes);
    void (*body_end)(void *argument, struct net_connection *connection);
    /* What came is no request, or its body is damaged: this is to be told, and net_part called. A
     * head that could not be read is not there, but for what was read of it. */
    void (*bad_request)(void *argument, struct net_connection *connection,
                        const struct error *error);
    /* A piece of a message; `last` when it is complete. */
    void (*message)(void *argument, struct net_connection *connection, struct span bytes,
                    bool binary, bool last);
    /* A message is longer than the limit; nothing more is read. */
    void (*too_long)(void *argument, struct net_connection *connection);
    /* A sign of life that is no message. */
    void (*heard)(void *argument, struct net_connection *connection);
    /* The socket takes bytes, after net_want_write. */
    void (*writable)(void *argument, struct net_connection *connection);
    /* It is gone; the last call. */
    void (*closed)(void *argument, struct net_connection *connection);
};

struct net_options {
    uv_loop_t *loop;
    const struct net_handler *handler;
    void *argument;
    struct certificate *const *certificate; /* shown under TLS; NULL: there is none */
    size_t heads_bytes;                     /* of all heads that have not ended */
    uint64_t head_ms;                       /* from the first byte of a head to its end */
    uint64_t idle_ms;                       /* between two requests */
    uint64_t part_ms;                       /* for the client to see the last answer */
    struct counter *tls_failed;             /* handshakes that came to nothing; borrowed */
};

/* NULL with an error. */
struct net *net_new(const struct net_options *options, struct error *error);
/* Close all connections at once and leave the loop; `left` is called when that is done, and the
 * net is freed. */
void net_leave(struct net *net, void (*left)(void *argument));

/* The argument of its handler. */
void *net_argument(const struct net_connection *connection);

/* Take a connected socket over, in any case. `side` is what net_side gives. false: there is no
 * memory for it; it was closed, and `closed` does not tell. */
bool net_adopt(struct net *net, int socket, int side, bool tls);

/* ---- any connection ---- */

int net_side(const struct net_connection *connection);
bool net_is_websocket(const struct net_connection *connection);
/* The handler's own; NULL at first. */
void *net_data(const struct net_connection *connection);
void net_set_data(struct net_connection *connection, void *data);
/* The numeric address of the peer; "" when it is not known. */
void net_peer(const struct net_connection *connection, char *text, size_t size);

/* Send bytes as they are; what the socket does not take is copied. false: nothing can be sent any
 * more, and `closed` will tell. */
bool net_write(struct net_connection *connection, struct span bytes);
/* Whether the socket did not take all that was written; writing should wait for `writable`. */
bool net_is_blocked(const struct net_connection *connection);
/* Have `writable` called, once, when the socket takes bytes; never from inside this call. */
void net_want_write(struct net_connection *connection);
/* Read nothing until net_resume. Idempotent, both. */
void net_pause(struct net_connection *connection);
void net_resume(struct net_connection *connection);
/* Close it after so long, unless another time is set before; 0: no time. */
void net_set_deadline(struct net_connection *connection, uint64_t ms);
/* Close it once the client has seen all that was written, or after `part_ms`. What it sends
 * meanwhile is dropped. */
void net_part(struct net_connection *connection);
/* Close it at once. */
void net_close(struct net_connection *connection);
/* The connection's number, which no other of this net ever has; from 1 on. */
uint64_t net_number(const struct net_connection *connection);

/* ---- requests ---- */

/* The request at hand, until it is done or the connection was upgraded. */
const struct http_head *net_request(const struct net_connection *connection);
/* The value of one of its headers, by the name in lower case; absent: it is not there. */
struct span net_header(const struct net_connection *connection, const char *name);
/* Whether another request can follow; else the answer should say "Connection: close". It cannot
 * while a body has not been read. */
bool net_keeps(const struct net_connection *connection);
/* No other request follows this one. */
void net_stop_keeping(struct net_connection *connection);
/* The answer was written: go on with the next request, or part. */
void net_request_done(struct net_connection *connection);

/* The answer to the request at hand lasts as long as the connection: what the client sends is
 * dropped, and once it ends its side, the connection is closed. */
void net_stream(struct net_connection *connection);
bool net_is_stream(const struct net_connection *connection);

/* ---- WebSocket ---- */

/* Whether the request at hand is a handshake in order. false with an error: ERROR_UPGRADE_REQUIRED
 * when the version is another one. */
bool net_check_upgrade(const struct net_connection *connection, struct error *error);
/* Agree to it; messages of at most `limit` bytes come. `subprotocol`: one that the client offered,
 * or NULL. false: out of memory, nothing was done. */
bool net_upgrade(struct net_connection *connection, size_t limit, const char *subprotocol);
/* Send a ping. */
bool net_ping(struct net_connection *connection);
/* Send the close frame; the reason is cut to what fits. The client's is then awaited, and messages
 * still come. Once. */
bool net_send_close(struct net_connection *connection, uint16_t status, struct span reason);

#endif
