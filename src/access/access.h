/*
 * access: who a request comes from, what it may do, and how often. Loop thread, but for the making
 * of rules.
 *
 *   access.c        identifies the sender of a request and checks its permission
 *   rules.c         what the configuration says of that; credentials.c reads the tokens and keys
 *   request.c       what a request says of its sender; guard.c which web pages may ask at all
 *   keys.c, jwks.c  keys in force, and those of a URL
 *   revocations.c   revoked tokens
 *   limits.c        how much, and how often: of all clients; allowance.c of one connection
 *   shares.c        pools that many clients share
 *   audit.c         who came in, who was turned away, and why
 *
 * Invariants:
 *   1. A principal has exactly one identity from access_enter until principal_fini.
 *   2. A connection that was let in has one place in the limits, and leaves it once.
 *   3. A revoked token is refused from the call of revocations_add on, also before it is on disk.
 */
#ifndef ACCESS_ACCESS_H
#define ACCESS_ACCESS_H

#include "auth/auth.h"
#include "base/address.h"

struct access;
struct audit;
struct auth_static;
struct config;
struct engine;
struct limit_place;
struct limits;
struct net_connection;
struct outbound;

enum { ACCESS_ORIGIN_BYTES = 512 };

/* Who is there; of every session and every request. */
struct principal {
    struct auth_identity *identity; /* counted; NULL only in a zeroed principal */
    struct limit_place *place;      /* among the connections; NULL: it is not counted as one */
    char address[ADDRESS_TEXT];     /* of the client, numeric; "" when it is not known */
    bool is_anonymous;              /* there was no authentication when it came */
};

/* Forget it, and leave its place; a zeroed principal is fine. */
void principal_fini(struct principal *principal);
/* Move it, leaving the source zeroed. */
void principal_move(struct principal *to, struct principal *from);

/* ---- rules ---- */

/* What the configuration says of who may come in: tokens and keys, origins, scopes. Immutable, with
 * one owner. */
struct access_rules;

/* Reads the files that the configuration names, so any thread but the loop. NULL with an error that
 * names the setting. */
struct access_rules *access_rules_new(const struct config *config, struct error *error);
/* NULL is fine. */
void access_rules_free(struct access_rules *rules);

/* ---- life ---- */

/* What access needs of the server. All of it outlives access. */
struct access_context {
    struct engine *engine;
    struct outbound *outbound;          /* NULL: nothing can be asked for */
    uint64_t (*now_ms)(void *argument); /* a clock that nobody sets */
    /* Other rules are in force: static tokens (NULL: none), and whether a token is needed. */
    void (*rules_changed)(void *argument, const struct auth_static *tokens, bool needed);
    /* A token was revoked: the sessions that it opened are to end. */
    void (*revoked)(void *argument, struct span token_id);
    void *argument;
};

/* Reads the files that the configuration names, and the revoked tokens from the database. The
 * context is copied. NULL with an error that names the setting. */
struct access *access_new(const struct access_context *context, const struct config *config,
                          struct error *error);
/* After the engine and outgoing requests, which call back. NULL is fine. */
void access_free(struct access *access);
/* Of all clients; borrowed. */
struct limits *access_limits(struct access *access);
struct audit *access_audit(struct access *access);
/*
 * Put other rules, which are taken over, into force. Sessions without a token end where one is
 * needed now, and those whose static token is gone; the others of static tokens may what it says
 * now. Signed tokens hold until they run out or are revoked. false: the keys' URL is new and needs
 * a restart; all else is in force.
 */
bool access_apply(struct access *access, struct access_rules *rules, struct error *error);
/* To be called every second or so: fetches keys when it is time, and forgets revoked tokens that
 * have run out. */
void access_tick(struct access *access);

/* ---- who may what ---- */

/* What a request wants. */
enum permission {
    PERMISSION_SUBSCRIBE, /* a connection; the scope is asked with each subscription */
    PERMISSION_READ,      /* views by HTTP */
    PERMISSION_FEED,
    PERMISSION_STATUS, /* nobody is turned away for having no token: they see less */
    PERMISSION_METRICS,
    PERMISSION_ADMIN /* what changes the server */
};

/* Whether a browser may have been sent here by a page that has no business here; to be asked first,
 * of every request; `listening`: the address that it came to. false with the error to answer
 * with. */
bool access_guard(struct access *access, const struct net_connection *connection,
                  const char *listening, struct error *error);
/* Let the sender of this request in. false with the error to answer with, which quotes nothing
 * secret; else principal_fini is due. */
bool access_enter(struct access *access, struct net_connection *connection,
                  enum permission permission, struct principal *principal, struct error *error);
/* The same for a handshake, by the limits, too: the principal has a place among the connections. */
bool access_let_in(struct access *access, struct net_connection *connection,
                   enum permission permission, struct principal *principal, struct error *error);
/* Whether somebody who was let in may still do what came later: the token has not run out, been
 * revoked or taken out of the configuration since, and none is needed where there was none. */
bool access_still_holds(struct access *access, const struct principal *principal,
                        enum permission permission, struct error *error);
/* Who brings this token in the middle of a session: one reference, or NULL with an error. */
struct auth_identity *access_refresh(struct access *access, const struct principal *principal,
                                     const char *token, struct error *error);
/* Whether an argument of a query (name=value) brings a token; it is left as it was when empty. */
bool access_is_token(struct span argument, struct span *token);
/* Whether answers depend on the page that asks: "allowed_origins" is set. */
bool access_names_origins(const struct access *access);
/* The origin of the page that asks, copied with a NUL. false: there is none, or it may not. */
bool access_allowed_page(const struct access *access, const struct net_connection *connection,
                         char room[ACCESS_ORIGIN_BYTES]);
/* Whether the keys of a URL are in force no more, because it has failed for too long. */
bool access_keys_are_stale(const struct access *access);
/* Whether it is shown all of /status. */
bool access_shows_status(const struct access *access, const struct auth_identity *identity);
/* Tell the log and the counters of a WebSocket connection that was let in. */
void access_entered(struct access *access, struct net_connection *connection,
                    const struct principal *principal, enum permission permission);
/* A producer's request was refused (not its sender): count it and tell the audit. */
void access_note_refused(struct access *access, const struct principal *principal, const char *kind,
                         const struct error *error);

#endif
