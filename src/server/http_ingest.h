/* HTTP on the main address: POST /v1/mutations, and clear answers to everything else. */
#ifndef SERVER_HTTP_INGEST_H
#define SERVER_HTTP_INGEST_H

#include "server/exchange.h"
#include "source/source.h"

/* A request's headers are there. Sets *exchange when a body is to come. The returned value is that
 * of the callback. */
int http_ingest_request(struct server *server, struct lws *wsi, struct span path,
                        struct exchange **exchange);
/* Whose producers a visitor may move. Borrowed from it. */
struct source_sender visitor_as_sender(const struct visitor *visitor);
/* The same for another request that was let in for its wish and has a body, of at most `limit`
 * bytes: `take` is called when it is there and may still do that; it owes exchange_answer, and must
 * copy what it needs of the body for longer. The visitor is moved. */
int http_take_body(struct server *server, struct lws *wsi, size_t limit, enum door_wish wish,
                   struct visitor *visitor, void (*take)(struct exchange *exchange),
                   struct exchange **exchange);
/* A part of the body, and its end; false: close the connection. */
bool http_ingest_body(struct exchange *exchange, struct span bytes);
bool http_ingest_complete(struct exchange *exchange);

#endif
