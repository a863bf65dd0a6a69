/* GET /v1/views/<id>/live, or with Accept: text/event-stream: a view as it changes, for browsers
 * and curl without a library. */
#ifndef HTTP_LIVE_H
#define HTTP_LIVE_H

#include "http/request.h"

/* Whether a request for this view, of which the path tells, wants it so; then the name is cut to
 * the view's. */
bool http_live_wants(const struct http *http, const struct net_connection *connection,
                     struct span *view);
/* Answer it; the connection is the answer's from now on, or it is refused. */
void http_live_request(struct http *http, struct net_connection *connection, struct span view);

#endif
