#include "server/door.h"

#include "server/server_internal.h"

#include <libwebsockets.h>

struct door {
    struct auth_identity *anonymous; /* everybody without authentication */
};

void visitor_fini(struct visitor *visitor)
{
    auth_identity_release(visitor->identity);
    *visitor = (struct visitor){.identity = NULL};
}

void visitor_move(struct visitor *to, struct visitor *from)
{
    *to = *from;
    *from = (struct visitor){.identity = NULL};
}

struct door *door_new(void)
{
    struct door *door = memory_new(sizeof *door);
    if (!door)
        return NULL;
    door->anonymous = auth_identity_anonymous();
    if (door->anonymous)
        return door;
    door_free(door);
    return NULL;
}

void door_free(struct door *door)
{
    if (!door)
        return;
    auth_identity_release(door->anonymous);
    memory_free(door);
}

static bool check_scope(const struct auth_identity *identity, unsigned scope, struct error *error)
{
    static const struct {
        unsigned scope;
        const char *name, *use;
    } scopes[] = {{AUTH_READ, "read", "to subscribe and to read views"},
                  {AUTH_WRITE, "write", "to feed"},
                  {AUTH_ADMIN, "admin", "for this"}};
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
        if ((scope & scopes[i].scope) && !(identity->scopes & scopes[i].scope))
            return error_set(error, ERROR_SCOPE_MISSING,
                             "the token lacks the scope '%s', which is needed %s", scopes[i].name,
                             scopes[i].use);
    return true;
}

bool door_enter(struct server *server, struct lws *wsi, unsigned scope, struct visitor *visitor,
                struct error *error)
{
    struct door *door = server->door;
    *visitor = (struct visitor){.identity = auth_identity_retain(door->anonymous)};
    lws_get_peer_simple(wsi, visitor->address, sizeof visitor->address);
    if (check_scope(visitor->identity, scope, error))
        return true;
    visitor_fini(visitor);
    return false;
}
