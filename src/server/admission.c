/* Who may come in: here the door and the limits meet. */
#include "server/client_address.h"
#include "server/door_internal.h"
#include "server/server_internal.h"

enum { MOST_READS = 256 /* that wait for a reader, or have one; but one for each owner */ };

/* An owner's share is what there is by how many there are. */
static bool may_read(const struct server *server, const struct visitor *visitor,
                     struct error *error)
{
    size_t own = shares_amount(&server->reads, shares_owner_of(visitor));
    size_t owners = shares_owners(&server->reads) + !own;
    return own < (owners < MOST_READS ? MOST_READS / owners : 1) ||
           error_set(error, ERROR_QUEUE_FULL,
                     "%zu requests for views wait already, the most that one client may have now; "
                     "try again later, with fewer at a time",
                     own);
}

bool server_admit(const struct server *server, const struct visitor *visitor,
                  enum server_purpose purpose, struct error *error)
{
    if (server->state != SERVER_RUNNING)
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    return purpose != SERVER_READ || may_read(server, visitor, error);
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
    if (!server_admit(server, NULL, SERVER_WEBSOCKET, error) ||
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
