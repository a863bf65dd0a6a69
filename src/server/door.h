/*
 * The door: who a request comes from, and whether it may come in. Loop thread, but for the making
 * of rules.
 */
#ifndef SERVER_DOOR_H
#define SERVER_DOOR_H

#include "auth/auth.h"
#include "base/address.h"

struct config;
struct door;
struct server;

struct limit_place;
struct listener;
struct net_connection;

/* Who is there; in every session and every exchange. */
struct visitor {
    struct auth_identity *identity; /* counted; NULL only in a zeroed visitor */
    struct limit_place *place;      /* among the connections; NULL: it is not counted as one */
    char address[ADDRESS_TEXT];     /* of the client, numeric; "" when it is not known */
    bool is_anonymous;              /* there was no authentication when it came */
};

/* Forget it, and leave its place; a zeroed visitor is fine. */
void visitor_fini(struct visitor *visitor);
/* Move it, leaving the source zeroed. */
void visitor_move(struct visitor *to, struct visitor *from);

/* ---- rules ---- */

/* What the configuration says of who may come in: tokens and keys, origins, scopes. Immutable, with
 * one owner. */
struct door_rules;

/* Reads the files that the configuration names, so any thread but the loop. NULL with an error that
 * names the setting. */
struct door_rules *door_rules_new(const struct config *config, struct error *error);
/* NULL is fine. */
void door_rules_free(struct door_rules *rules);

/* ---- the door ---- */

/* Makes server->door. */
bool door_open(struct server *server, const struct config *config, struct error *error);
/* NULL is fine. Outgoing requests must have ended. */
void door_close(struct door *door);
/*
 * Put other rules, which are taken over, into force. Sessions without a token end where one is
 * needed now, and those whose static token is gone; the others of static tokens may what it says
 * now. Signed tokens hold until they run out or are revoked. false: the keys' URL is new and needs
 * a restart; all else is in force.
 */
bool door_apply(struct server *server, struct door_rules *rules, struct error *error);
/* To be called every second or so: fetches keys when it is time. */
void door_tick(struct server *server);

/* What a request wants. */
enum door_wish {
    DOOR_SUBSCRIBE, /* a connection; the scope is asked with each subscription */
    DOOR_READ,      /* views by HTTP */
    DOOR_FEED,
    DOOR_STATUS, /* nobody is turned away for having no token: they see less */
    DOOR_METRICS,
    DOOR_ADMIN /* what changes the server */
};

/* Whether a browser may have been sent here by a page that has no business here; to be asked first,
 * of every request. false with the error to answer with. */
bool door_guard(struct server *server, const struct net_connection *connection,
                const struct listener *listener, struct error *error);
/* Let the sender of this request in. false with the error to answer with, which quotes nothing
 * secret; else visitor_fini is due. */
bool door_enter(struct server *server, struct net_connection *connection, enum door_wish wish,
                struct visitor *visitor, struct error *error);
/* Whether somebody who was let in may still do what came later: the token has not run out, been
 * revoked or taken out of the configuration since, and none is needed where there was none. */
bool door_still_holds(struct server *server, const struct visitor *visitor, enum door_wish wish,
                      struct error *error);
/* Who brings this token in the middle of a session: one reference, or NULL with an error. */
struct auth_identity *door_refresh(struct server *server, const struct visitor *visitor,
                                   const char *token, struct error *error);
/* Whether an argument of a query (name=value) brings a token; it is left as it was when empty. */
bool door_is_token(struct span argument, struct span *token);
/* Whether the keys of a URL are in force no more, because it has failed for too long. */
bool door_keys_are_stale(const struct server *server);
/* Whether it is shown all of /status. */
bool door_shows_status(const struct server *server, const struct auth_identity *identity);
/* Tell the log and the counters of a WebSocket connection that was let in. */
void door_entered(struct server *server, struct net_connection *connection,
                  const struct visitor *visitor, enum door_wish wish);

#endif
