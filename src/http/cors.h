/*
 * CORS: pages that may read answers by HTTP. Only those of allowed_origins; if that is empty, none,
 * because pages use a WebSocket. Loop thread.
 */
#ifndef HTTP_CORS_H
#define HTTP_CORS_H

#include <stdbool.h>

struct net_connection;

enum { CORS_LINES = 1024 };

/* The lines for the header of an answer to this request, each with its CRLF; "" for none. */
void cors_print(struct net_connection *connection, char lines[CORS_LINES]);

#endif
