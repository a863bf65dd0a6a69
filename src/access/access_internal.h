/* Shared by the files of access. */
#ifndef ACCESS_ACCESS_INTERNAL_H
#define ACCESS_ACCESS_INTERNAL_H

#include "access/access.h"
#include "access/audit.h"
#include "access/credentials.h"
#include "access/jwks.h"
#include "access/limits.h"
#include "access/revocations.h"
#include "config/config.h"
#include "net/net.h"

enum { ACCESS_TOKEN_BYTES = HTTP_HEAD_LIMIT };

struct access_rules {
    struct config_auth auth; /* its texts jwks_url, issuer and audience are copies, others NULL */
    struct auth_claim_names claims; /* copies */
    struct credentials credentials;
    char *hosts; /* allowed_hosts; NULL: not set */
    char **origins;
    size_t origin_count;
};

struct access {
    struct access_context context;
    struct audit audit;
    struct access_shown shown;
    struct access_rules *rules;
    struct auth_identity *anonymous; /* everybody without authentication */
    struct auth_identity *nobody; /* a client without a token if one is needed: no scope at all */
    struct auth_keys *keys;       /* those of the rules and of the URL */
    struct revocations *revocations; /* revoked tokens in the database */
    struct jwks jwks;
};

/* Loop time, in ms. */
static inline uint64_t access_now(const struct access *access)
{
    return access->context.now_ms(access->context.argument);
}
/* Whether a browser's page of this origin is allowed. */
bool access_allows_origin(const struct access_rules *rules, struct span origin);
/* Whether it is a page that this machine serves. */
bool access_is_local_origin(struct span origin);

/* request.c: the token of a request; absent if it has none. The token may be read into `room`. */
struct span access_read_token(const struct net_connection *connection,
                              char room[ACCESS_TOKEN_BYTES]);
/* Its origin, copied with a NUL. */
bool access_read_origin(const struct net_connection *connection, char room[ACCESS_ORIGIN_BYTES],
                        struct span *origin, struct error *error);

#endif
