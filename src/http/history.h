/* GET /v1/history: what happened to one row, and what it was. */
#ifndef HTTP_HISTORY_H
#define HTTP_HISTORY_H

#include "http/request.h"

/* Answer a request for this path, now or when it was read. False if the path is another one. */
bool http_history_request(struct http *http, struct net_connection *connection, struct span path);

#endif
