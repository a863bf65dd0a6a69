/*
 * net: HTTP/1 requests and WebSocket messages on sockets, with TLS or without. It knows how bytes
 * become requests and messages; their meaning is the handler's. All of it belongs to the thread of
 * one libuv loop.
 *
 * A connection is one request after the other until it becomes a WebSocket:
 *
 *   HEAD --request--> BODY --body_end--> ANSWER --net_request_done--> HEAD
 *     \-----------------(no body)----------^  |--net_upgrade--> FRAMES
 *                                              \--net_stream--> STREAM
 *   any --net_part--> PARTING --the client has seen all--> closed
 *
 * Invariants:
 *   1. A connection dies only in its `closed` call, which comes from the loop, never from inside
 *      another call. Before that, every function may be called; on an ended connection it does
 *      nothing.
 *   2. Nothing of the next request is read before the present one has its answer.
 *   3. The memory of a connection is bounded: a head by HTTP_HEAD_LIMIT and all unfinished heads by
 *      net_options.heads_bytes; bytes read ahead by one read; bytes to be written by what its
 * handler gave while it was not blocked, and a control frame.
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
    /* The head of a request has come (net_state). It needs an answer, now or later. */
    void (*request)(void *argument, struct net_connection *connection);
    /* A part of its body, and its end. */
    void (*body)(void *argument, struct net_connection *connection, struct span bytes);
    void (*body_end)(void *argument, struct net_connection *connection);
    /* The bytes are no request, or the body is damaged: send this error, and call net_part. An
     * unreadable head is absent, except for its readable part. */
    void (*bad_request)(void *argument, struct net_connection *connection,
                        const struct error *error);
    /* A piece of a message; `last` when it is complete. */
    void (*message)(void *argument, struct net_connection *connection, struct span bytes,
                    bool binary, bool last);
    /* A message is longer than the limit; nothing more is read. */
    void (*too_long)(void *argument, struct net_connection *connection);
    /* A sign of life that is no message. */
    void (*heard)(void *argument, struct net_connection *connection);
    /* The connection is gone; the last call. */
    void (*closed)(void *argument, struct net_connection *connection);
};

struct net_options {
    uv_loop_t *loop;
    const struct net_handler *handler;
    void *argument;
    struct certificate *const *certificate; /* for TLS; NULL: there is none */
    size_t heads_bytes;                     /* of all heads that have not ended */
    uint64_t head_ms;                       /* from the first byte of a head to its end */
    uint64_t idle_ms;                       /* between two requests */
    uint64_t part_ms;                       /* for the client to see the last answer */
    struct counter *tls_failed;             /* failed handshakes; borrowed */
};

/* NULL with an error. */
struct net *net_new(const struct net_options *options, struct error *error);
/* Close all connections at once and leave the loop; `left` is called when that is done, and the
 * net is freed. */
void net_leave(struct net *net, void (*left)(void *argument));

/* Take a connected socket over, in any case; `side` is the caller's word for it. false: there is no
 * memory for it; it was closed, without a call of `closed`. */
bool net_adopt(struct net *net, int socket, int side, bool tls);

/* ---- any connection ---- */

/* What a connection is now. */
struct net_state {
    void *argument;                  /* of its handler */
    void *data;                      /* the handler's own; NULL at first */
    int side;                        /* as net_adopt was told */
    uint64_t number;                 /* unique in this net; from 1 on */
    const struct http_head *request; /* the head that came, until net_request_done; or NULL */
    bool is_websocket, is_stream;
    bool is_blocked; /* the socket did not accept all written bytes; then wait for `writable` */
    size_t queued;   /* of those, the bytes that it has not accepted yet */
    /* Another request can follow the present one; else the answer should say "Connection: close".
     * It cannot while a body has not been read. */
    bool keeps;
};
struct net_state net_state(const struct net_connection *connection);
/* The handler's own data, and what gets it when the socket takes bytes, after net_want_write.
 * Without data nobody is told. */
void net_set_data(struct net_connection *connection, void *data, void (*writable)(void *data));
/* The numeric address of the peer; "" when it is not known. */
void net_peer(const struct net_connection *connection, char *text, size_t size);

/* Send bytes as they are; bytes that the socket does not accept are copied. false: nothing can
 * be sent any more, and `closed` will follow. */
bool net_write(struct net_connection *connection, struct span bytes);
/*
 * The same of several pieces by one call, as far as the socket takes them; nothing is copied,
 * unless by TLS, which takes pieces until one has to wait. *taken: bytes from the start of the
 * first on.
 */
enum { NET_PIECES = 8 /* at most */ };
bool net_write_pieces(struct net_connection *connection, const struct span *pieces, size_t count,
                      size_t *taken);
/* Have `writable` called, once, when the socket takes bytes; never from inside this call. */
void net_want_write(struct net_connection *connection);
/* Read nothing, until it is called with false. Idempotent. */
void net_pause(struct net_connection *connection, bool paused);
/* Close the connection after so long, unless another time is set before; 0: no time. */
void net_set_deadline(struct net_connection *connection, uint64_t ms);
/* Close the connection once the client has seen all written bytes, or after `part_ms`. Bytes
 * that it sends meanwhile are dropped. */
void net_part(struct net_connection *connection);
/* Close it at once. */
void net_close(struct net_connection *connection);

/* ---- requests ---- */

/* The value of one of its headers, by the name in lower case; absent: it is not there. */
struct span net_header(const struct net_connection *connection, const char *name);
/* The same; absent, too, if it is there twice. */
struct span net_header_alone(const struct net_connection *connection, const char *name);
/* No other request follows this one. */
void net_stop_keeping(struct net_connection *connection);
/* The answer takes long: a client that ends its side, or has, does not wait for it any more, and
 * the connection is closed. False: it is. May be called again. */
bool net_expect_client(struct net_connection *connection);
/* The answer was written: go on with the next request, or end the connection. */
void net_request_done(struct net_connection *connection);

/* The answer to the request at hand lasts as long as the connection: what the client sends is
 * dropped, and once it ends its side, the connection is closed. */
void net_stream(struct net_connection *connection);

/* ---- WebSocket ---- */

/* Whether the present request is a valid handshake. false with an error: ERROR_UPGRADE_REQUIRED
 * for another version. */
bool net_check_upgrade(const struct net_connection *connection, struct error *error);
/* Accept the upgrade; messages of at most `limit` bytes come. `subprotocol`: one that the client
 * offered, or NULL. false: out of memory, nothing was done. */
bool net_upgrade(struct net_connection *connection, size_t limit, const char *subprotocol);
/* Messages that begin from now on may have so many bytes. */
void net_set_limit(struct net_connection *connection, size_t limit);
/* Send a ping. */
bool net_ping(struct net_connection *connection);
/* Send the close frame; the reason is cut to fit. The client's close frame is then awaited, and
 * messages still come. Once. */
bool net_send_close(struct net_connection *connection, uint16_t status, struct span reason);

#endif
