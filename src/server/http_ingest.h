/* HTTP on the main address: POST /v1/mutations, and clear answers to everything else. */
#ifndef SERVER_HTTP_INGEST_H
#define SERVER_HTTP_INGEST_H

#include "server/exchange.h"
#include "source/source.h"

/* A request's head is there. */
void http_ingest_request(struct server *server, struct net_connection *connection,
                         struct span path);
/* Whose producers a principal may move. Borrowed from it. */
struct source_sender principal_as_sender(const struct principal *principal);
/* The same for another request that was let in for its wish and has a body, of at most `limit`
 * bytes: `take` is called when it is there and may still do that; it owes exchange_answer, and must
 * copy what it needs of the body for longer. The principal is moved. */
void http_take_body(struct server *server, struct net_connection *connection, size_t limit,
                    enum permission permission, struct principal *principal,
                    void (*take)(struct exchange *exchange));
/* A part of the body, and its end. The first may free the exchange. */
void http_ingest_body(struct exchange *exchange, struct span bytes);
void http_ingest_complete(struct exchange *exchange);

#endif
