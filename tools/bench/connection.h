/*
 * One non-blocking client connection on the loop: the WebSocket handshake, frames in, bytes out.
 * Pings are answered here. A connection that the server closes is a failure of the loop, with the
 * reason that the server gave: no scenario expects one.
 */
#ifndef BENCH_CONNECTION_H
#define BENCH_CONNECTION_H

#include "bench/loop.h"
#include "bench/websocket.h"

#include <netinet/in.h>

struct connection;

struct connection_events {
    /* The handshake is done. */
    void (*opened)(struct connection *connection);
    /* A data frame, whole. */
    void (*frame)(struct connection *connection, const struct frame *frame);
    /* Everything that was added has been written; NULL when nobody cares. */
    void (*drained)(struct connection *connection);
};

enum connection_state {
    CONNECTION_NONE,
    CONNECTION_CONNECTING,
    CONNECTION_ANSWER,
    CONNECTION_OPEN
};

struct connection {
    struct loop_source source; /* first: the loop calls back with it */
    struct loop *loop;
    const struct connection_events *events;
    int socket;
    uint8_t state; /* enum connection_state */
    bool deaf;     /* nothing is read from it */
    uint32_t watched;
    struct buffer output; /* add to it, then call connection_flush */
    size_t written;       /* of output */
    char *rest;           /* the start of a frame of which the end has not come yet */
    size_t rest_length, rest_capacity;
};

struct connection_target {
    struct sockaddr_in address;
    const char *path;   /* NULL: no WebSocket handshake, it is open as soon as it connects */
    unsigned source;    /* the source address is 127.0.0.(1 + source) */
    int receive_buffer; /* bytes the kernel may hold for us; 0: as it likes */
    int segment;        /* longest TCP segment we ask for; 0: as loopback has it */
};

/* A connection in state NONE, which connection_close accepts. */
void connection_init(struct connection *connection, struct loop *loop,
                     const struct connection_events *events);
/* Start to connect. False, with the loop failed, when there is no socket to be had. */
bool connection_start(struct connection *connection, const struct connection_target *target);
/* Close at once, whatever is on its way. Idempotent. */
void connection_close(struct connection *connection);

/* Write what `output` holds, as far as the socket takes it now; the rest follows by itself. */
void connection_flush(struct connection *connection);
static inline bool connection_pending(const struct connection *connection)
{
    return connection->written < connection->output.length;
}
/* Add one text message and write it. */
void connection_say(struct connection *connection, struct span text);
/* Stop or go on reading. */
void connection_set_deaf(struct connection *connection, bool deaf);

#endif
