/* What the files of the door share. */
#ifndef SERVER_DOOR_INTERNAL_H
#define SERVER_DOOR_INTERNAL_H

#include "config/config.h"
#include "net/net.h"
#include "server/credentials.h"
#include "server/door.h"
#include "server/jwks.h"
#include "server/server_internal.h"

enum { DOOR_TOKEN_BYTES = HTTP_HEAD_LIMIT, DOOR_ORIGIN_BYTES = 512 };

struct door_rules {
    struct config_auth auth; /* its texts, but for the lists, are copies */
    struct credentials credentials;
    char *hosts; /* allowed_hosts; NULL: not set */
    char **origins;
    size_t origin_count;
};

struct door {
    struct door_rules *rules;
    struct auth_identity *anonymous; /* everybody without authentication */
    struct auth_identity *nobody;    /* who has no token where one is needed: no scope at all */
    struct auth_keys *keys;          /* those of the rules and of the URL */
    struct auth_revocations *revocations;
    struct jwks jwks;
};

/* Join the keys of the rules and those fetched; the old ones stay when that is not possible. */
bool door_join_keys(struct door *door, const struct auth_keys *fetched, struct error *error);
bool door_same_keys(const struct auth_keys *a, const struct auth_keys *b);
/* Tell the log which keys came into force from there, or those of the rules unless they are as in
 * `old` (NULL: none were in force). */
void door_tell_keys(struct server *server, const char *source, const struct auth_keys *keys);
void door_tell_rules(struct server *server, const struct door_rules *old);
/* Whether a browser's page of this origin may come in. */
bool door_allows_origin(const struct door_rules *rules, struct span origin);

/* door_request.c: what a request says of its sender; absent when it does not. The token may be read
 * into `room`. */
struct span door_read_token(const struct net_connection *connection, char room[DOOR_TOKEN_BYTES]);
/* Its origin, copied with a NUL. */
bool door_read_origin(const struct net_connection *connection, char room[DOOR_ORIGIN_BYTES],
                      struct span *origin, struct error *error);

#endif
