/* GET /v1/views and /v1/views/<id>: views read once, for curl, scripts and servers. */
#ifndef HTTP_VIEWS_H
#define HTTP_VIEWS_H

#include "http/request.h"
#include "wire/wire.h"

/* Answer a request for this path, now or when it was read. False if the path is another one. */
bool http_views_request(struct http *http, struct net_connection *connection, struct span path);

#endif
