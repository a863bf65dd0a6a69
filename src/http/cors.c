#include "http/cors.h"

#include "access/access.h"
#include "http/http_internal.h"
#include "http/request.h"

void cors_print(struct net_connection *connection, char lines[CORS_LINES])
{
    const struct access *access = frontend_of(connection)->access;
    char room[ACCESS_ORIGIN_BYTES];
    *lines = '\0';
    if (!access_names_origins(access))
        return;
    /* Also where it is not allowed, the answer would be another one for another page. */
    bool allowed = access_allowed_page(access, connection, room);
    snprintf(lines, CORS_LINES, "%s%s%sVary: Origin\r\n",
             allowed ? "Access-Control-Allow-Origin: " : "", allowed ? room : "",
             allowed ? "\r\nAccess-Control-Expose-Headers: ETag, Retry-After, X-Error-Code\r\n"
                     : "");
}

bool cors_is_preflight(struct net_connection *connection)
{
    return net_request(connection)->method == HTTP_OPTIONS && net_header(connection, "origin").data;
}

/* It carries no token, so nobody is let in by it: the request that follows is asked for one. */
void cors_reply(struct net_connection *connection)
{
    struct http_content content = {
        .status = 204,
        .headers = "Access-Control-Allow-Methods: GET, HEAD, POST, DELETE\r\n"
                   "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, "
                   "If-None-Match\r\n"
                   "Access-Control-Max-Age: 600\r\n"};
    http_respond(connection, &content);
}
