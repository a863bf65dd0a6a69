/*
 * transport: between the connections of net and their meaning. It turns requests into answers and
 * WebSockets into sessions.
 */
#ifndef SERVER_TRANSPORT_H
#define SERVER_TRANSPORT_H

#include "server/server_internal.h"

enum transport_side { TRANSPORT_MAIN, TRANSPORT_HEALTH };

/* Make room for the server's connections among the process's descriptors, and open the net. */
struct transport *transport_open(struct server *server, struct error *error);
/* Take a connected socket over. */
void transport_adopt(struct transport *transport, enum transport_side side, int socket);
/* Close all connections at once and leave the loop; `left` is called when that is done, and the
 * transport is then freed. */
void transport_leave(struct transport *transport, void (*left)(struct server *server));

#endif
