/* GET /v1/views and /v1/views/<id>: views read once, for curl, scripts and servers. */
#ifndef HTTP_VIEWS_H
#define HTTP_VIEWS_H

#include "http/request.h"
#include "wire/wire.h"

/* Whether the answer to this request would be a stream of a view as it changes. */
bool http_views_streams(const struct http *http, const struct net_connection *connection,
                        struct span path);

/* For other requests that read a view: whether the request has the method of one; else it is
 * answered. */
bool http_views_check(struct net_connection *connection);
/* Answer with what the query asks of this view, by its raw id. `by_row`: with the history of a row.
 */
void http_views_answer(struct http *http, struct net_connection *connection, struct span view,
                       bool by_row);
/* If the rows of an answer were more than its asker may have, the audit gets it. */
void http_views_note_limited(const struct http_request *request, const struct error *error);
/* Whether an argument, "name=value", names a view where the path does not: its name with the sign;
 * else absent. */
struct span http_views_names(struct span argument);

#endif
