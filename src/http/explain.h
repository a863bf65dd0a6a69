/* GET /v1/explain: why a row is in a view or not, and since when (docs/explain.md). */
#ifndef HTTP_EXPLAIN_H
#define HTTP_EXPLAIN_H

#include "http/request.h"

/* Answer a request for this path, later. False if the path is another one. */
bool http_explain_request(struct http *http, struct net_connection *connection, struct span path);

#endif
