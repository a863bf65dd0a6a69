/* Who may come in. Authentication joins the limits here. */
#include "server/server_internal.h"

bool server_admit(struct server *server, enum server_purpose purpose, struct error *error)
{
    if (server->state != SERVER_RUNNING)
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    if (purpose == SERVER_WEBSOCKET && server->sessions.count >= server->max_connections)
        return error_set(error, ERROR_CONNECTION_LIMIT,
                         "all %zu connections are taken; raise max_connections on the server",
                         server->max_connections);
    return true;
}
