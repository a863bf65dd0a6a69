/* HTTP on the main address, for the scope admin: POST and GET /v1/revocations. */
#ifndef HTTP_REVOCATIONS_H
#define HTTP_REVOCATIONS_H

#include "http/request.h"

/* Whether the path is one of these. */
bool http_revocations_has(struct span path);
/* A request's headers have come. Sets *request when a body will come, or the answer comes later.
 * The returned value is that of the callback. */
void http_revocations_request(struct http *http, struct net_connection *connection);

#endif
