/* Who may come in: here the door and the limits meet. */
#include "server/client_address.h"
#include "server/door_internal.h"
#include "server/server_internal.h"

enum {
    MOST_VIEW_READS = 256,      /* that wait for a reader */
    MOST_LARGE_BYTES = 64 << 20 /* of answers that clients have not taken yet; and one more */
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

/* Handshakes are counted by where they come from once the token is good: those with bad tokens are
 * counted apart, and must not use up what others there have. */
bool server_let_in(struct server *server, struct net_connection *connection, enum door_wish wish,
                   struct visitor *visitor, struct error *error)
{
    char address[ADDRESS_TEXT], origin[DOOR_ORIGIN_BYTES];
    struct audit_client client = {.address = address,
                                  .kind = wish == DOOR_FEED ? "ingest" : "subscriber"};
    struct span given;
    if (door_read_origin(connection, origin, &given, error) && given.length)
        client.origin = origin;
    client_address(&server->limits->rules, connection, address);
    if (!server_admit(server, SERVER_WEBSOCKET, error) ||
        !door_enter(server, connection, wish, visitor, error))
        return false;
    client.identity = visitor->identity;
    if (limits_handshake(server->limits, &client, error))
        visitor->place = limits_enter(server->limits, &client, error);
    if (visitor->place)
        return true;
    visitor_fini(visitor);
    return false;
}
