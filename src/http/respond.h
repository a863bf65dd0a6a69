/* The bytes of HTTP answers. request.h has what answers a request. */
#ifndef HTTP_RESPOND_H
#define HTTP_RESPOND_H

#include "http/http_internal.h"

enum {
    HTTP_CORS_LINES = 1024,
    HTTP_REPLY_LIMIT = 16 * 1024 * 1024 /* of an answer that is made in one piece */
};

/* CORS: pages that may read answers by HTTP. Only those of allowed_origins; if that is empty, none,
 * because pages use a WebSocket. The lines for the header of an answer, each with its CRLF; "" for
 * none. */
void http_print_cors(struct net_connection *connection, char lines[HTTP_CORS_LINES]);
/* The head of an answer, up to its empty line; `cors`: lines from http_print_cors. False when out
 * of memory, as are the next two. */
bool http_print_head(struct buffer *out, const struct net_connection *connection,
                     const struct http_content *content, const char *cors);
/* The same with the body, unless only the head is asked for. */
bool http_print(struct buffer *out, const struct net_connection *connection,
                const struct http_content *content, const char *cors);
/* An error as an answer; `more`: further lines of its head, or NULL. */
bool http_print_error(struct buffer *out, const struct net_connection *connection,
                      const struct error *error, const char *more, const char *cors);

#endif
