/* HTTP on the health address: /health, /ready, /status and /metrics; inspector.h has the rest. */
#ifndef HTTP_HEALTH_H
#define HTTP_HEALTH_H

#include "http/request.h"

/* Whether it is one of the paths of the health address. */
bool health_has(struct span path);
/* Answer a request, now or when its facts are there. */
void health_request(struct http *http, struct net_connection *connection, struct span path);

#endif
