/* HTTP on the main address, for the scope write: GET /v1/producers, GET and DELETE
 * /v1/producers/NAME. */
#ifndef HTTP_PRODUCERS_H
#define HTTP_PRODUCERS_H

#include "http/request.h"

/* Whether the path is one of these. */
bool http_producers_has(struct span path);
/* A request's headers have come: it is answered, now or later. */
void http_producers_request(struct http *http, struct net_connection *connection, struct span path);

#endif
