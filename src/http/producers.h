/* HTTP on the main address, for the scope write: GET /v1/producers, GET and DELETE
 * /v1/producers/NAME. */
#ifndef HTTP_PRODUCERS_H
#define HTTP_PRODUCERS_H

#include "http/request.h"

/* A request's headers have come: it is answered, now or later. False if the path is another one. */
bool http_producers_request(struct http *http, struct net_connection *connection, struct span path);

#endif
