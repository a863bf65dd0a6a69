/*
 * auth: who a client is and what it may. Static tokens, signed sessions (JWT by Ed25519, nothing
 * else), the keys that sign them, limits and rate windows. Pure: no files, no sockets, no clock of
 * its own (time is always an argument) and no threads.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/base.h"

#include <stdatomic.h>

/* ---- who a client is ---- */

/* What a token allows, as bits. */
enum auth_scope { AUTH_READ = 1, AUTH_WRITE = 2, AUTH_ADMIN = 4 };

/* What kind of key the token was issued for; it bears on nothing but usage events. */
enum auth_key_class { AUTH_KEY_NONE, AUTH_KEY_SECRET, AUTH_KEY_PUBLISHABLE };

enum { AUTH_NOT_SET = -1 };

/* AUTH_NOT_SET: the token says nothing, the server's default holds. */
struct auth_limits {
    int64_t max_connections;         /* of the subject, at a time */
    int64_t max_subscriptions;       /* of the connection */
    int64_t max_snapshot_rows;       /* of one request */
    int64_t max_messages_per_minute; /* inbound, of the connection */
    int64_t max_bytes_per_minute;    /* outbound, of the connection */
};

struct auth_texts {
    char **items;
    size_t count;
};

/*
 * Everything that a token (or its absence) says about a client. Immutable once made, counted: it
 * may be held by a session, its subscriptions and jobs of reader threads at a time. Texts are never
 * NULL: "" where the token has none. The token itself is not kept.
 */
struct auth_identity {
    _Atomic uint32_t references;
    char *subject;
    char *metering_key;
    char *issuer;
    char *token_id; /* jti */
    char *deployment_id;
    char *origin;    /* that it is bound to */
    char *client_ip; /* likewise */
    char *plan;
    enum auth_key_class key_class;
    unsigned scopes;    /* enum auth_scope */
    int64_t expires_at; /* unix seconds; 0: never */
    struct auth_limits limits;
    bool has_views;               /* false: all views */
    struct auth_texts views;      /* patterns; '*' stands for any text */
    struct auth_texts row_scopes; /* values that it may see in an export's scope field */
};

/* Everybody's without authentication: anonymous, metering key "dev", read and write. NULL when out
 * of memory. */
struct auth_identity *auth_identity_anonymous(void);
struct auth_identity *auth_identity_retain(struct auth_identity *identity);
/* NULL is fine. */
void auth_identity_release(struct auth_identity *identity);

static inline bool auth_may(const struct auth_identity *identity, enum auth_scope scope)
{
    return (identity->scopes & (unsigned)scope) != 0;
}

/* Whether it may see this view at all (its `views` claim; the scope is asked apart). */
bool auth_may_view(const struct auth_identity *identity, struct span view_id);
/* Whether rows with this value in their export's scope field are visible to it. */
bool auth_sees_scope(const struct auth_identity *identity, struct span value);

#endif
