/* HTTP on the main address, for the scope admin: POST and GET /v1/revocations. */
#ifndef HTTP_REVOCATIONS_H
#define HTTP_REVOCATIONS_H

#include "http/request.h"

/* A request's headers have come: it is answered, now or later. False if the path is another one. */
bool http_revocations_request(struct http *http, struct net_connection *connection,
                              struct span path);

#endif
