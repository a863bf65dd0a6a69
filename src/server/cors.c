#include "server/cors.h"

#include "server/door_internal.h"
#include "server/exchange.h"

#include <libwebsockets.h>

void cors_print(struct lws *wsi, char lines[CORS_LINES])
{
    const struct server *server = lws_context_user(lws_get_context(wsi));
    char room[DOOR_ORIGIN_BYTES];
    struct span origin;
    struct error error;
    *lines = '\0';
    if (!server->door->rules->origin_count)
        return;
    /* Also where it is not allowed, the answer would be another one for another page. */
    bool allowed = door_read_origin(wsi, room, &origin, &error) && origin.data &&
                   door_allows_origin(server->door->rules, origin);
    snprintf(lines, CORS_LINES, "%s%s%sVary: Origin\r\n",
             allowed ? "Access-Control-Allow-Origin: " : "", allowed ? room : "",
             allowed ? "\r\nAccess-Control-Expose-Headers: ETag, Retry-After, X-Error-Code\r\n"
                     : "");
}

bool cors_is_preflight(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_OPTIONS_URI) > 0 &&
           lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0;
}

/* It carries no token, so nobody is let in by it: the request that follows is asked for one. */
int cors_reply(struct lws *wsi)
{
    struct exchange_content content = {
        .status = 204,
        .headers = "Access-Control-Allow-Methods: GET, HEAD, POST\r\n"
                   "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, "
                   "If-None-Match\r\n"
                   "Access-Control-Max-Age: 600\r\n"};
    return exchange_reply(wsi, &content);
}
