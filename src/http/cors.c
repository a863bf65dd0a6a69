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
