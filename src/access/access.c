/* The sender of a request, and its permission: at a handshake, by a first message, later on. */
#include "access/access_internal.h"
#include "access/client_address.h"

/* ---- who it is ---- */

static struct auth_identity *no_token(struct error *error)
{
    error_set(error, ERROR_TOKEN_MISSING,
              "a token is needed; send it as 'Authorization: Bearer', or in the query");
    return NULL;
}

/* Whether the token, which no key in force has signed, is good but for its key, which grew
 * stale: then the client is told so. A token that only names such a key gets no such hint. */
static bool is_of_stale_key(const struct access *access, const struct auth_rules *rules,
                            const struct auth_request *request, struct span token,
                            struct error *error)
{
    const struct jwks *jwks = &access->jwks;
    struct error of_stale;
    struct auth_identity *identity = access->shown.keys_are_stale && jwks->keys
                                         ? auth_verify(jwks->keys, rules, request, token, &of_stale)
                                         : NULL;
    if (!identity)
        return false;
    auth_identity_release(identity);
    error_set(error, ERROR_TOKEN_KEY,
              "the key that signed the token is stale: the server's auth.jwks_url has not given "
              "its keys for %llu seconds",
              (unsigned long long)jwks->stale_seconds);
    error->by_clock = true;
    error->retry_after = jwks_wait(jwks);
    return true;
}

static struct auth_identity *verify(struct access *access, const struct auth_request *request,
                                    struct span token, struct error *error)
{
    const struct config_auth *auth = &access->rules->auth;
    const struct credentials *credentials = &access->rules->credentials;
    struct auth_rules rules = {.claims = &access->rules->claims,
                               .scopes = credentials->scopes,
                               .base_scopes = credentials->base_scopes,
                               .issuer = auth->issuer,
                               .audience = auth->audience,
                               .require_origin = auth->require_origin,
                               .require_client_ip = auth->require_client_ip,
                               .revocations = access->shown.revoked};
    struct auth_identity *identity = auth_verify(access->keys, &rules, request, token, error);
    if (identity || is_of_stale_key(access, &rules, request, token, error))
        return identity;
    if (error->code == ERROR_TOKEN_KEY)
        error->retry_after = jwks_want(&access->jwks);
    return NULL;
}

/* Static tokens are looked up first, where there are any, because that is cheap. */
static struct auth_identity *identify(struct access *access, const struct auth_request *request,
                                      struct span token, struct error *error)
{
    const struct access_rules *rules = access->rules;
    if (rules->auth.mode == CONFIG_AUTH_NONE)
        return auth_identity_retain(access->anonymous);
    if (!token.data)
        return no_token(error);
    if (rules->credentials.tokens) {
        struct auth_identity *identity =
            auth_static_find(rules->credentials.tokens, token, request->now, error);
        if (identity || rules->auth.mode == CONFIG_AUTH_STATIC || error->code != ERROR_STATIC_TOKEN)
            return identity;
    }
    return verify(access, request, token, error);
}

/* ---- what it wants ---- */

static const struct {
    unsigned scope;
    const char *name, *use, *kind;
} permissions[] = {
    [PERMISSION_SUBSCRIBE] = {0, "", "", "subscriber"},
    [PERMISSION_STREAM] = {AUTH_READ, "read", "to read views", "stream"},
    [PERMISSION_READ] = {AUTH_READ, "read", "to read views", "http"},
    [PERMISSION_FEED] = {AUTH_WRITE, "write", "to feed", "ingest"},
    [PERMISSION_STATUS] = {0, "", "", "health"},
    [PERMISSION_METRICS] = {AUTH_ADMIN, "admin", "to see the metrics", "health"},
    [PERMISSION_WATCH] = {AUTH_ADMIN, "admin", "to see clients", "health"},
    [PERMISSION_CONFIGURATION] = {AUTH_ADMIN, "admin", "to see the configuration", "health"},
    [PERMISSION_PRODUCERS] = {AUTH_ADMIN, "admin", "to see all producers", "http"},
    [PERMISSION_CHANGES] = {AUTH_READ | AUTH_ADMIN, "admin' or 'read", "to read the log", "http"},
    [PERMISSION_LOG] = {AUTH_ADMIN, "admin", "to copy the database", "http"},
    [PERMISSION_ADMIN] = {AUTH_ADMIN, "admin", "for this", "http"},
};

/* Without authentication, a client that reaches the server may read everything, but not change
 * the server; the server's own commands do that. */
static bool is_open(const struct access *access, enum permission permission)
{
    const struct config_auth *auth = &access->rules->auth;
    bool is_read = permission == PERMISSION_METRICS || permission == PERMISSION_WATCH ||
                   permission == PERMISSION_CONFIGURATION || permission == PERMISSION_PRODUCERS ||
                   permission == PERMISSION_CHANGES || permission == PERMISSION_LOG;
    return (is_read && auth->mode == CONFIG_AUTH_NONE) ||
           (permission == PERMISSION_METRICS && auth->metrics == CONFIG_FOR_ALL);
}

/* Of several scopes one is enough. */
bool access_permits(const struct access *access, const struct auth_identity *identity,
                    enum permission permission)
{
    unsigned scope = permissions[permission].scope;
    return !scope || (identity->scopes & scope) || is_open(access, permission);
}

static bool check_scope(const struct access *access, const struct auth_identity *identity,
                        enum permission permission, struct error *error)
{
    return access_permits(access, identity, permission) ||
           error_set(error, ERROR_SCOPE_MISSING,
                     "the token lacks the scope '%s', which is needed %s",
                     permissions[permission].name, permissions[permission].use);
}

bool access_shows_status(const struct access *access, const struct auth_identity *identity)
{
    const struct config_auth *auth = &access->rules->auth;
    return auth->mode == CONFIG_AUTH_NONE || auth->status == CONFIG_FOR_ALL ||
           auth_may(identity, AUTH_ADMIN);
}

/* ---- letting in ---- */

static bool check_origin(const struct access_rules *rules, struct span origin, struct error *error)
{
    return !origin.data || access_allows_origin(rules, origin) ||
           error_set(error, ERROR_ORIGIN_MISMATCH,
                     "origin '%.*s' is not among those that may connect; see allowed_origins",
                     (int)(origin.length < 128 ? origin.length : 128), origin.data);
}

/* The client, and the permission that it asks for. */
struct visit {
    enum permission permission;
    struct span origin, token; /* absent: it names none, it brings none */
};

static bool enter(struct access *access, const struct visit *visit, struct principal *principal,
                  struct error *error)
{
    struct auth_request request = {.origin = visit->origin,
                                   .client_ip = *principal->address ? span_of(principal->address)
                                                                    : span_make(NULL, 0),
                                   .now = clock_wall_ms() / 1000};
    bool open = visit->permission == PERMISSION_STATUS || is_open(access, visit->permission);
    if (!check_origin(access->rules, visit->origin, error))
        return false;
    if (!visit->token.data && open)
        principal->identity = auth_identity_retain(access->nobody);
    else
        principal->identity = identify(access, &request, visit->token, error);
    principal->is_anonymous = principal->identity == access->anonymous;
    return principal->identity &&
           check_scope(access, principal->identity, visit->permission, error);
}

static struct audit_client describe(const struct principal *principal, const char *origin,
                                    enum permission permission)
{
    return (struct audit_client){principal, origin, permissions[permission].kind};
}

/* Refused for a token that is nobody's, which may be a guess. A clock that is wrong makes none of
 * an honest one. */
static bool is_guess(const struct error *error)
{
    enum error_code code = error->code;
    if (error->by_clock)
        return false;
    return code == ERROR_STATIC_TOKEN || code == ERROR_TOKEN_SIGNATURE ||
           code == ERROR_TOKEN_FORMAT || code == ERROR_TOKEN_KEY;
}

static void write_denied(struct access *access, const struct audit_client *client,
                         const struct error *error)
{
    audit_write(&access->audit, AUDIT_DENIED,
                &(struct audit_details){.client = client, .error = error});
}

static void write_accepted(struct access *access, const struct audit_client *client)
{
    audit_write(&access->audit, AUDIT_ACCEPTED, &(struct audit_details){.client = client});
}

/* After a while a client that guesses, or keeps coming without the scope, learns nothing more. A
 * good token passes all the same: others at that address must not pay for it. */
static void deny(struct access *access, const struct audit_client *client,
                 enum permission permission, struct error *error)
{
    bool counts =
        is_guess(error) || permission == PERMISSION_SUBSCRIBE || permission == PERMISSION_STREAM;
    if (counts && !limits_guess(access->shown.limits, client, error))
        return; /* which has told the audit */
    write_denied(access, client, error);
}

/* The principal has its address. Origins are ended by a NUL. */
static bool enter_or_deny(struct access *access, const struct visit *visit,
                          struct principal *principal, struct error *error)
{
    struct audit_client client = describe(principal, visit->origin.data, visit->permission);
    if (enter(access, visit, principal, error))
        return true;
    deny(access, &client, visit->permission, error);
    principal_fini(principal);
    return false;
}

/* The sender of a request by its own words. `origin` and `token` are room for it. */
static bool read_visit(struct access *access, const struct net_connection *connection,
                       char origin[ACCESS_ORIGIN_BYTES], char token[ACCESS_TOKEN_BYTES],
                       struct visit *visit, struct principal *principal, struct error *error)
{
    *principal = (struct principal){.identity = NULL};
    client_address(&access->shown.limits->rules, connection, principal->address);
    if (access_read_origin(connection, origin, &visit->origin, error)) {
        visit->token = access_read_token(connection, token);
        return true;
    }
    struct audit_client client = describe(principal, NULL, visit->permission);
    deny(access, &client, visit->permission, error);
    principal_fini(principal);
    return false;
}

bool access_enter(struct access *access, struct net_connection *connection,
                  enum permission permission, struct principal *principal, struct error *error)
{
    char origin[ACCESS_ORIGIN_BYTES], token[ACCESS_TOKEN_BYTES];
    struct visit visit = {.permission = permission};
    return read_visit(access, connection, origin, token, &visit, principal, error) &&
           enter_or_deny(access, &visit, principal, error);
}

void access_enter_public(struct access *access, const struct net_connection *connection,
                         struct principal *principal)
{
    *principal = (struct principal){.identity = auth_identity_retain(access->nobody)};
    client_address(&access->shown.limits->rules, connection, principal->address);
}

/* Handshakes are counted by where they come from once the token is good: those with bad tokens are
 * counted apart, and must not use up what others there have. */
static bool let_in(struct access *access, const struct visit *visit, struct principal *principal,
                   struct error *error)
{
    if (!enter_or_deny(access, visit, principal, error))
        return false;
    struct audit_client client = describe(principal, visit->origin.data, visit->permission);
    if (limits_handshake(access->shown.limits, &client, error))
        principal->entry = limits_enter(access->shown.limits, &client, error);
    if (principal->entry)
        return true;
    principal_fini(principal);
    return false;
}

bool access_let_in(struct access *access, struct net_connection *connection,
                   enum permission permission, struct principal *principal, struct error *error)
{
    char origin[ACCESS_ORIGIN_BYTES], token[ACCESS_TOKEN_BYTES];
    struct visit visit = {.permission = permission};
    return read_visit(access, connection, origin, token, &visit, principal, error) &&
           let_in(access, &visit, principal, error);
}

/* ---- by the first message ---- */

bool access_meet(struct access *access, struct net_connection *connection,
                 enum permission permission, struct principal *principal,
                 char origin[ACCESS_ORIGIN_BYTES], struct error *error)
{
    char token[ACCESS_TOKEN_BYTES];
    struct visit visit = {.permission = permission};
    *origin = '\0';
    if (!read_visit(access, connection, origin, token, &visit, principal, error))
        return false;
    struct audit_client client = describe(principal, visit.origin.data, permission);
    if (!check_origin(access->rules, visit.origin, error))
        deny(access, &client, permission, error);
    else
        principal->entry = limits_arrive(access->shown.limits, &client, error);
    if (principal->entry)
        principal->identity = auth_identity_retain(access->nobody);
    return principal->entry != NULL;
}

static struct span origin_of(const char *origin)
{
    return *origin ? span_of(origin) : span_make(NULL, 0);
}

bool access_admit(struct access *access, const struct principal *newcomer, const char *origin,
                  enum permission permission, struct span token, struct principal *principal,
                  struct error *error)
{
    struct visit visit = {.permission = permission, .origin = origin_of(origin), .token = token};
    *principal = (struct principal){.identity = NULL};
    memcpy(principal->address, newcomer->address, sizeof principal->address);
    principal->session = newcomer->session;
    if (!let_in(access, &visit, principal, error))
        return false;
    struct audit_client client = describe(principal, visit.origin.data, permission);
    write_accepted(access, &client);
    return true;
}

void access_turn_away(struct access *access, const struct principal *newcomer, const char *origin,
                      enum permission permission, struct error *error)
{
    struct audit_client client = describe(newcomer, origin_of(origin).data, permission);
    deny(access, &client, permission, error);
}

/* ---- later ---- */

void access_entered(struct access *access, struct net_connection *connection,
                    const struct principal *principal, enum permission permission)
{
    char room[ACCESS_ORIGIN_BYTES] = "";
    struct span origin;
    struct error error;
    access_read_origin(connection, room, &origin, &error);
    struct audit_client client = describe(principal, origin.data ? room : NULL, permission);
    write_accepted(access, &client);
}

static bool may_still(const struct access *access, const struct auth_identity *identity,
                      enum permission permission, struct error *error)
{
    if (identity->expires_at && clock_wall_ms() / 1000 >= identity->expires_at)
        return error_set(error, ERROR_TOKEN_EXPIRED, "the token has expired");
    if (auth_is_revoked(access->shown.revoked, span_of(identity->token_id)))
        return error_set(error, ERROR_TOKEN_EXPIRED, "the token has been revoked");
    return check_scope(access, identity, permission, error);
}

/* By the rules in force, which may be others than those it came in by. */
static struct auth_identity *follow(const struct access *access, const struct principal *principal,
                                    struct error *error)
{
    const struct access_rules *rules = access->rules;
    struct auth_identity *identity;
    if (principal->is_anonymous && rules->auth.mode != CONFIG_AUTH_NONE)
        return no_token(error);
    if (!principal->identity->is_static)
        return auth_identity_retain(principal->identity);
    identity = auth_static_follow(rules->credentials.tokens, principal->identity);
    if (!identity)
        error_set(error, ERROR_STATIC_TOKEN, "the token has been taken back");
    return identity;
}

struct auth_identity *access_hold(struct access *access, const struct principal *principal,
                                  enum permission permission, struct error *error)
{
    struct audit_client client = describe(principal, NULL, permission);
    struct auth_identity *identity = follow(access, principal, error);
    if (identity && (principal->is_anonymous || may_still(access, identity, permission, error)))
        return identity;
    auth_identity_release(identity);
    write_denied(access, &client, error);
    return NULL;
}

bool access_still_holds(struct access *access, const struct principal *principal,
                        enum permission permission, struct error *error)
{
    struct auth_identity *identity = access_hold(access, principal, permission, error);
    auth_identity_release(identity);
    return identity != NULL;
}

struct auth_identity *access_refresh(struct access *access, const struct principal *principal,
                                     const char *token, struct error *error)
{
    struct auth_request request = {.refresh = true,
                                   .client_ip = *principal->address ? span_of(principal->address)
                                                                    : span_make(NULL, 0),
                                   .now = clock_wall_ms() / 1000};
    struct auth_identity *identity = NULL;
    if (access->rules->auth.mode == CONFIG_AUTH_NONE)
        error_set(error, ERROR_TOKEN_FORMAT,
                  "there is no authentication here, so nothing to refresh");
    else
        identity = identify(access, &request, span_of(token), error);
    if (identity && !auth_may_follow(principal->identity, identity, error)) {
        auth_identity_release(identity);
        identity = NULL;
    }
    struct audit_client client = describe(principal, NULL, PERMISSION_SUBSCRIBE);
    audit_write(&access->audit, identity ? AUDIT_REFRESHED : AUDIT_REFRESH_DENIED,
                &(struct audit_details){.client = &client, .error = identity ? NULL : error});
    return identity;
}

void access_note_refused(struct access *access, const struct principal *principal, const char *kind,
                         const struct error *error)
{
    const struct audit_client client = {.principal = principal, .kind = kind};
    audit_write(
        &access->audit, AUDIT_REQUEST_REFUSED,
        &(struct audit_details){.client = &client, .error = error, .now_us = clock_monotonic_us()});
}
