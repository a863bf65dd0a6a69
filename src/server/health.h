/* HTTP on the health address: /health, /ready, /status and /metrics. */
#ifndef SERVER_HEALTH_H
#define SERVER_HEALTH_H

#include "server/exchange.h"

/* As http_ingest_request; *exchange is set when the answer comes later. */
int health_request(struct server *server, struct lws *wsi, struct span path,
                   struct exchange **exchange);

#endif
