/* GET /v1/views and /v1/views/<id>: views read once, for curl, scripts and servers. */
#ifndef SERVER_HTTP_VIEWS_H
#define SERVER_HTTP_VIEWS_H

#include "server/exchange.h"

/* Whether the path is one of theirs. */
bool http_views_has(struct span path);
/* As http_ingest_request; *exchange is set when the answer comes later. */
int http_views_request(struct server *server, struct lws *wsi, struct span path,
                       struct exchange **exchange);

#endif
