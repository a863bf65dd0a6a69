/* HTTP on the main address, for the scope write: GET /v1/producers, GET and DELETE
 * /v1/producers/NAME. */
#ifndef SERVER_HTTP_PRODUCERS_H
#define SERVER_HTTP_PRODUCERS_H

#include "server/exchange.h"

/* Whether the path is one of these. */
bool http_producers_has(struct span path);
/* A request's headers are there: it is answered, now or later. */
void http_producers_request(struct server *server, struct net_connection *connection,
                            struct span path);

#endif
