/*
 * transport: libwebsockets, as a guest on our loop. It turns sockets into sessions and exchanges,
 * and is besides sessions.c and exchange.c the only part that knows that library.
 */
#ifndef SERVER_TRANSPORT_H
#define SERVER_TRANSPORT_H

#include "server/server_internal.h"

enum { TRANSPORT_HEADER_BYTES = 16 * 1024 /* of a request; a token may make it long */ };

enum transport_side { TRANSPORT_MAIN, TRANSPORT_HEALTH };

/* Room for this many connections is made among the process's descriptors. */
struct transport *transport_open(struct server *server, struct error *error);
/* Get ready for connections. false: leave again. */
bool transport_start(struct transport *transport, struct error *error);
/* Take a connected socket over. */
void transport_adopt(struct transport *transport, enum transport_side side, int socket);
/* Close all connections at once and leave the loop; `left` is called (or was) when that is done,
 * and the transport is then freed. */
void transport_leave(struct transport *transport, void (*left)(struct server *server));

#endif
