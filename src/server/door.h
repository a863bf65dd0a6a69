/*
 * The door: who a request comes from, and whether it may come in. Loop thread.
 */
#ifndef SERVER_DOOR_H
#define SERVER_DOOR_H

#include "auth/auth.h"

struct lws;
struct server;

enum { VISITOR_ADDRESS = 46 /* of the longest numeric address, with its NUL */ };

/* Who is there; in every session and every exchange. */
struct visitor {
    struct auth_identity *identity; /* counted; NULL only in a zeroed visitor */
    char address[VISITOR_ADDRESS];  /* of the client, numeric; "" when it is not known */
};

/* Forget it; a zeroed visitor is fine. */
void visitor_fini(struct visitor *visitor);
/* Move it, leaving the source zeroed. */
void visitor_move(struct visitor *to, struct visitor *from);

/* NULL when out of memory. */
struct door *door_new(void);
void door_free(struct door *door);
/* Let the sender of this request in, who needs the scope (enum auth_scope; 0: none). false with the
 * error to answer with, which quotes nothing secret; else visitor_fini is due. */
bool door_enter(struct server *server, struct lws *wsi, unsigned scope, struct visitor *visitor,
                struct error *error);

#endif
