/* HTTP on the main address: POST /v1/mutations, and clear answers to everything else. */
#ifndef HTTP_INGEST_H
#define HTTP_INGEST_H

#include "http/request.h"
#include "ingest/ingest.h"

/* Answer a request that has a body, of at most `limit` bytes, and was accepted for its permission.
 * `take` is called when the body is complete and the permission still holds. It must call
 * http_respond, and copy the parts of the body that it needs for longer. The principal is moved. */
void http_take_body(struct http *http, struct net_connection *connection, size_t limit,
                    enum permission permission, struct principal *principal,
                    void (*take)(struct http_request *request));
/* A part of the body, and its end. The first may free the request. */
void http_ingest_body(struct http_request *request, struct span bytes);
void http_ingest_complete(struct http_request *request);

#endif
