/*
 * access: who a request comes from, what it may do, and how often. Loop thread, except making
 * rules.
 *
 *   access.c        identifies the sender of a request and checks its permission
 *   life.c          access itself: its parts, new rules, and the keys of a URL
 *   rules.c         the rules of the configuration; credentials.c reads the tokens and keys
 *   request.c       token and origin of a request; guard.c checks web pages
 *   revocations.c   revoked tokens
 *   limits.c        how much, and how often: of all clients; allowance.c of one connection
 *   shares.c        pools that many clients share
 *   audit.c         accepted and refused clients, with the reason
 *
 * Invariants:
 *   1. A principal has exactly one identity from access_enter until principal_fini.
 *   2. An accepted connection has one entry in the limits, and leaves it once.
 *   3. A revoked token is refused from the call of revocations_add on, also before it is on disk.
 */
#ifndef ACCESS_ACCESS_H
#define ACCESS_ACCESS_H

#include "access/audit.h"
#include "base/address.h"

struct access;
struct auth_static;
struct config;
struct engine;
struct limit_entry;
struct limits;
struct net_connection;
struct outbound;

enum { ACCESS_ORIGIN_BYTES = 512 };

/* The origin of a session or request. */
struct principal {
    struct auth_identity *identity; /* counted; NULL only in a zeroed principal */
    struct limit_entry *entry;      /* among the connections; NULL: it is not counted as one */
    char address[ADDRESS_TEXT];     /* of the client, numeric; "" if not known */
    bool is_anonymous;              /* there was no authentication when it came */
    uint64_t session;               /* the number of its session; 0: it has none */
};

/* Free the principal, and leave its place; a zeroed principal is fine. */
void principal_fini(struct principal *principal);
/* Move the principal, leaving the source zeroed. */
void principal_move(struct principal *to, struct principal *from);

/* ---- rules ---- */

/* The configuration's rules of access: tokens and keys, origins, scopes. Immutable, with one
 * owner. */
struct access_rules;

/* Reads the files that the configuration names, so any thread but the loop. NULL with an error that
 * names the setting. */
struct access_rules *access_rules_new(const struct config *config, struct error *error);
/* NULL is fine. */
void access_rules_free(struct access_rules *rules);

/* ---- life ---- */

/* The parts of the server that access needs. All of them outlive access. */
struct access_context {
    struct engine *engine;
    struct outbound *outbound;          /* NULL: no outgoing requests are possible */
    uint64_t (*now_ms)(void *argument); /* a clock that nobody sets */
    /* Other rules are in force: static tokens (NULL: none), and whether a token is needed. */
    void (*rules_changed)(void *argument, const struct auth_static *tokens, bool needed);
    /* A token was revoked: its sessions must end. */
    void (*revoked)(void *argument, struct span token_id);
    void *argument;
};

/* Reads the files that the configuration names, and the revoked tokens from the database. The
 * context is copied. NULL with an error that names the setting. */
struct access *access_new(const struct access_context *context, const struct config *config,
                          struct error *error);
/* After the engine and outgoing requests, which call back. NULL is fine. */
void access_free(struct access *access);
/* What access shows of itself, for the loop thread to read. Others write to the audit, by
 * audit_write, and ask the limits. */
struct access_shown {
    struct audit *audit;
    struct limits *limits;            /* of all clients */
    struct auth_revocations *revoked; /* tokens */
    bool names_origins;  /* all answers depend on the page that asks: "allowed_origins" is set */
    bool keys_are_stale; /* those of a URL are out of force, because it has failed for too long */
};
const struct access_shown *access_shown(const struct access *access);
/*
 * Put other rules into force, and take them over. Sessions without a token end if one is needed
 * now, and so do those whose static token is gone; others of static tokens get its new permissions.
 * Signed tokens hold until they run out or are revoked. false: the keys' URL is new and needs a
 * restart; all else is in force.
 */
bool access_apply(struct access *access, struct access_rules *rules, struct error *error);
/* To be called every second or so: fetches keys when it is time, and forgets revocations of
 * tokens that have run out. */
void access_tick(struct access *access);

/* ---- who may what ---- */

/* The aim of a request. */
enum permission {
    PERMISSION_SUBSCRIBE, /* a connection; each subscription checks the scope */
    PERMISSION_STREAM,    /* a connection for one subscription */
    PERMISSION_READ,      /* views by HTTP */
    PERMISSION_FEED,
    PERMISSION_STATUS, /* needs no token: without one the answer has less */
    PERMISSION_METRICS,
    PERMISSION_WATCH,         /* who is connected, by the health address */
    PERMISSION_CONFIGURATION, /* to see it */
    PERMISSION_PRODUCERS,     /* to see those of everybody */
    PERMISSION_CHANGES,       /* its log, of who may read all; of the rest http decides */
    PERMISSION_LOG,           /* all that the database holds: its log, and copies of it */
    PERMISSION_ADMIN          /* changes the server */
};

/* Whether the page that sent a browser here may do so. To be called first, for every request;
 * `listening`: the address that the request came to. false with the error to answer with. */
bool access_guard(struct access *access, const struct net_connection *connection,
                  const char *listening, struct error *error);
/*
 * Whether the health address, `listening`, may answer a read of the main address, or one that shows
 * as much. Where nobody needs a token, only to programs of this machine, which reach the main
 * address too: another network may reach the one and not the other. false with the error to answer
 * with.
 */
bool access_guard_reads(struct access *access, const struct net_connection *connection,
                        const char *listening, struct error *error);
/* Accept the sender of this request. false with the error to answer with, which quotes nothing
 * secret; else principal_fini is due. */
bool access_enter(struct access *access, struct net_connection *connection,
                  enum permission permission, struct principal *principal, struct error *error);
/* The sender of a request for what is public: nobody, at its address. It may bring what it likes;
 * principal_fini is due. */
void access_enter_public(struct access *access, const struct net_connection *connection,
                         struct principal *principal);
/* The same as access_enter for a handshake, with the limits: the principal gets a place among the
 * connections. */
bool access_let_in(struct access *access, struct net_connection *connection,
                   enum permission permission, struct principal *principal, struct error *error);
/*
 * A client may say who it is in its first message (access_is_awaited): browsers cannot set a
 * header, and see nothing of a refused handshake. Whether it may come so far: the principal is
 * nobody's, and has an entry among those who wait; `origin` gets the page's, or "". false with the
 * error to answer the handshake with.
 */
bool access_meet(struct access *access, struct net_connection *connection,
                 enum permission permission, struct principal *principal,
                 char origin[ACCESS_ORIGIN_BYTES], struct error *error);
/* Whether the request asks for that, and brings no token itself. */
bool access_is_awaited(const struct net_connection *connection);
/* The first message has named the client: as access_let_in and access_entered. */
bool access_admit(struct access *access, const struct principal *newcomer, const char *origin,
                  enum permission permission, struct span token, struct principal *principal,
                  struct error *error);
/* The first message did not come, or was another one: report it to the audit, and count it as a
 * wrong token. Beyond the rate of these the error becomes ERROR_RATE_LIMIT. */
void access_turn_away(struct access *access, const struct principal *newcomer, const char *origin,
                      enum permission permission, struct error *error);
/* Whether a principal may still do what a later part of its request wants: the token has not run
 * out, been revoked or removed from the configuration since, and no token is needed if there was
 * none. */
bool access_still_holds(struct access *access, const struct principal *principal,
                        enum permission permission, struct error *error);
/* The same; the identity by the rules in force, which may allow less than that it came by: one
 * reference, or NULL with the error. */
struct auth_identity *access_hold(struct access *access, const struct principal *principal,
                                  enum permission permission, struct error *error);
/* Whether the identity has the scope that this needs; nobody is told if it has not. */
bool access_permits(const struct access *access, const struct auth_identity *identity,
                    enum permission permission);
/* The identity of a token in the middle of a session: one reference, or NULL with an error. */
struct auth_identity *access_refresh(struct access *access, const struct principal *principal,
                                     const char *token, struct error *error);
/* Whether an argument of a query (name=value) is a token; an empty one leaves *token as it was. */
bool access_is_token(struct span argument, struct span *token);
/* The origin of the requesting page, copied with a NUL. false: there is none, or it is not
 * allowed. */
bool access_allowed_page(const struct access *access, const struct net_connection *connection,
                         char room[ACCESS_ORIGIN_BYTES]);
/* Whether the identity may see all of /status. */
bool access_shows_status(const struct access *access, const struct auth_identity *identity);
/* Log and count an accepted connection: one that access_let_in gave a place. */
void access_entered(struct access *access, struct net_connection *connection,
                    const struct principal *principal, enum permission permission);
/* A producer's request was refused (not its sender): count it and report it to the audit. */
void access_note_refused(struct access *access, const struct principal *principal, const char *kind,
                         const struct error *error);

#endif
