/* HTTP on the health address: /health, /ready, /status and /metrics. */
#ifndef SERVER_HEALTH_H
#define SERVER_HEALTH_H

#include "server/exchange.h"

/* Whether it is one of the paths of the health address. */
bool health_has(struct span path);
/* Answer a request, now or when the facts for it are there. */
void health_request(struct server *server, struct net_connection *connection, struct span path);

#endif
