/* HTTP on the main address: POST /v1/mutations, and clear answers to everything else. */
#ifndef HTTP_INGEST_H
#define HTTP_INGEST_H

#include "http/request.h"
#include "source/source.h"

/* A request's head is there. */
void http_ingest_request(struct http *http, struct net_connection *connection, struct span path);
/* The same for another request that was let in for its permission and has a body, of at most
 * `limit` bytes: `take` is called when it is there and may still do that; it owes
 * http_request_respond, and must copy what it needs of the body for longer. The principal is moved.
 */
void http_take_body(struct http *http, struct net_connection *connection, size_t limit,
                    enum permission permission, struct principal *principal,
                    void (*take)(struct http_request *request));
/* A part of the body, and its end. The first may free the request. */
void http_ingest_body(struct http_request *request, struct span bytes);
void http_ingest_complete(struct http_request *request);

#endif
