/* GET /v1/views and /v1/views/<id>: views read once, for curl, scripts and servers. */
#ifndef HTTP_VIEWS_H
#define HTTP_VIEWS_H

#include "http/request.h"
#include "wire/wire.h"

/* Whether the path is one of theirs. */
bool http_views_has(struct span path);
/* The query of a request as the message that subscribes to this view. `last_id`: what the client of
 * an event stream had last, in place of a cursor; absent: it says nothing. `apart`: the parameters
 * that are no part of the message (wait, events, until) may be there, and are read by others.
 * wire_message_fini is due when true. */
bool http_views_read_query(const struct net_connection *connection, struct span view,
                           struct span last_id, bool apart, struct wire_message *message,
                           struct error *error);
/* Answer a request for this path, now or when it was read. */
void http_views_request(struct http *http, struct net_connection *connection, struct span path);

#endif
