/* Who may come in: here the door and the limits meet. */
#include "server/client_address.h"
#include "server/server_internal.h"

#include <libwebsockets.h>

enum {
    MOST_VIEW_READS = 256, /* that wait for a reader */
    MOST_LARGE_BYTES =
        64 << 20,      /* of answers that clients have not taken yet; and one answer more */
    ORIGIN_BYTES = 512 /* a longer one is refused at the door */
};

static bool may_answer(const struct server *server, struct error *error)
{
    return server->large_bytes < MOST_LARGE_BYTES ||
           error_set(error, ERROR_QUEUE_FULL,
                     "%zu bytes of answers wait for who asked for them; try again later",
                     server->large_bytes);
}

static bool may_read(const struct server *server, struct error *error)
{
    if (server->view_reads >= MOST_VIEW_READS)
        return error_set(error, ERROR_QUEUE_FULL,
                         "%zu requests for views wait already; try again later",
                         server->view_reads);
    return may_answer(server, error);
}

bool server_admit(struct server *server, enum server_purpose purpose, struct error *error)
{
    if (purpose == SERVER_ANSWER)
        return may_answer(server, error);
    if (server->state != SERVER_RUNNING)
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    return purpose != SERVER_READ || may_read(server, error);
}

/* Whoever the client says it is, it counts first by where it is, then as who it is. */
bool server_let_in(struct server *server, struct lws *wsi, enum door_wish wish,
                   struct visitor *visitor, struct error *error)
{
    char address[ADDRESS_TEXT], origin[ORIGIN_BYTES];
    struct audit_client client = {.address = address,
                                  .kind = wish == DOOR_FEED ? "ingest" : "subscriber"};
    if (lws_hdr_copy(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN) > 0)
        client.origin = origin;
    client_address(&server->limits->rules, wsi, address);
    if (!server_admit(server, SERVER_WEBSOCKET, error) ||
        !limits_handshake(server->limits, &client, error) ||
        !door_enter(server, wsi, wish, visitor, error))
        return false;
    client.identity = visitor->identity;
    visitor->place = limits_enter(server->limits, &client, error);
    if (visitor->place)
        return true;
    visitor_fini(visitor);
    return false;
}
