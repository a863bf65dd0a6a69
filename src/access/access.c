#include "access/access_internal.h"
#include "access/client_address.h"

/* ---- principals ---- */

void principal_fini(struct principal *principal)
{
    limits_leave(principal->place);
    auth_identity_release(principal->identity);
    *principal = (struct principal){.identity = NULL};
}

void principal_move(struct principal *to, struct principal *from)
{
    *to = *from;
    *from = (struct principal){.identity = NULL};
}

/* ---- life ---- */

/* The URL of keys as these settings have it, or none. */
static bool set_url(struct access *access, const struct config_auth *auth, bool reachable)
{
    struct jwks_rules rules = {.url = reachable ? auth->jwks_url : NULL,
                               .seconds = auth->jwks_seconds,
                               .refetch_seconds = auth->jwks_refetch_seconds,
                               .stale_seconds = auth->jwks_stale_seconds};
    return jwks_set(&access->jwks, access, &rules);
}

static bool open_parts(struct access *access, const struct config *config, struct error *error)
{
    access->rules = access_rules_new(config, error);
    access->limits = access->rules ? limits_new(config, &access->audit, error) : NULL;
    if (!access->limits)
        return false;
    access->anonymous = auth_identity_anonymous();
    access->nobody = auth_identity_anonymous();
    access->revoked = auth_revocations_new();
    if (!access->anonymous || !access->nobody || !access->revoked ||
        !set_url(access, &config->auth, true))
        return error_set(error, ERROR_MEMORY, "out of memory while starting");
    access->nobody->scopes = 0;
    if (!access_join_keys(access, NULL, error))
        return false;
    access_tell_rules(access, NULL);
    return revocations_open(access, error);
}

struct access *access_new(const struct access_context *context, const struct config *config,
                          struct error *error)
{
    struct access *access = memory_new(sizeof *access);
    if (!access) {
        error_set(error, ERROR_MEMORY, "out of memory while starting");
        return NULL;
    }
    access->context = *context;
    if (open_parts(access, config, error))
        return access;
    access_free(access);
    return NULL;
}

void access_free(struct access *access)
{
    if (!access)
        return;
    revocations_close(access->revocations);
    jwks_fini(&access->jwks);
    auth_keys_release(access->keys);
    auth_revocations_free(access->revoked);
    auth_identity_release(access->nobody);
    auth_identity_release(access->anonymous);
    access_rules_free(access->rules);
    limits_free(access->limits);
    memory_free(access);
}

struct limits *access_limits(struct access *access)
{
    return access->limits;
}

struct audit *access_audit(struct access *access)
{
    return &access->audit;
}

void access_tick(struct access *access)
{
    if (access->jwks.url)
        jwks_tick(&access->jwks);
    revocations_tick(access);
}

bool access_keys_are_stale(const struct access *access)
{
    return access->jwks.stale;
}

/* ---- other rules ---- */

static void follow(struct access *access)
{
    const struct access_rules *rules = access->rules;
    access->context.rules_changed(access->context.argument, rules->credentials.tokens,
                                  rules->auth.mode != CONFIG_AUTH_NONE);
}

/* Of the rules, and those fetched, unless the two do not go together: then the fetched ones have to
 * wait, as they would after a start. */
static bool take_keys(struct access *access, struct error *error)
{
    struct jwks *jwks = &access->jwks;
    if (access_join_keys(access, jwks_in_force(jwks), error))
        return true;
    if (!jwks->keys || error->code == ERROR_MEMORY)
        return false;
    jwks_forget(jwks, error);
    return access_join_keys(access, NULL, error);
}

bool access_apply(struct access *access, struct access_rules *rules, struct error *error)
{
    struct access_rules *old = access->rules;
    bool reachable = !rules->auth.jwks_url || access->context.outbound;
    if (!set_url(access, &rules->auth, reachable)) {
        access_rules_free(rules);
        return error_set(error, ERROR_MEMORY, "out of memory for who may come in");
    }
    access->rules = rules;
    if (!take_keys(access, error)) {
        access->rules = old;
        access_rules_free(rules);
        return false;
    }
    access_tell_rules(access, old);
    follow(access);
    access_rules_free(old);
    return reachable ||
           error_set(error, ERROR_CONFIGURATION,
                     "setting \"auth.jwks_url\": there was none when the server started, so it "
                     "takes a restart");
}

/* ---- who it is ---- */

static struct auth_identity *no_token(struct error *error)
{
    error_set(error, ERROR_TOKEN_MISSING,
              "a token is needed; send it as 'Authorization: Bearer', or in the query");
    return NULL;
}

/* Whether the token, which no key in force has signed, is good but for its key, which grew stale:
 * that is told. Whoever only names such a key learns nothing. */
static bool is_of_stale_key(const struct access *access, const struct auth_rules *rules,
                            const struct auth_request *request, struct span token,
                            struct error *error)
{
    const struct jwks *jwks = &access->jwks;
    struct error of_stale;
    struct auth_identity *identity = jwks->stale && jwks->keys
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
                               .revocations = access->revoked};
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
    [PERMISSION_READ] = {AUTH_READ, "read", "to read views", "http"},
    [PERMISSION_FEED] = {AUTH_WRITE, "write", "to feed", "ingest"},
    [PERMISSION_STATUS] = {0, "", "", "health"},
    [PERMISSION_METRICS] = {AUTH_ADMIN, "admin", "to see the metrics", "health"},
    [PERMISSION_ADMIN] = {AUTH_ADMIN, "admin", "for this", "http"},
};

/* Where there is no authentication, who reaches the server is trusted with what it shows, but not
 * with what changes it; its own commands do that. */
static bool is_open(const struct access *access, enum permission permission)
{
    const struct config_auth *auth = &access->rules->auth;
    return permission == PERMISSION_METRICS &&
           (auth->mode == CONFIG_AUTH_NONE || auth->metrics == CONFIG_FOR_ALL);
}

static bool check_scope(const struct access *access, const struct auth_identity *identity,
                        enum permission permission, struct error *error)
{
    unsigned scope = is_open(access, permission) ? 0 : permissions[permission].scope;
    return (identity->scopes & scope) == scope ||
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

static bool enter(struct access *access, struct net_connection *connection,
                  enum permission permission, struct span origin, struct principal *principal,
                  struct error *error)
{
    char room[ACCESS_TOKEN_BYTES];
    struct span token = access_read_token(connection, room);
    struct auth_request request = {.origin = origin,
                                   .client_ip = *principal->address ? span_of(principal->address)
                                                                    : span_make(NULL, 0),
                                   .now = clock_wall_ms() / 1000};
    if (!check_origin(access->rules, origin, error))
        return false;
    if (!token.data && (permission == PERMISSION_STATUS || is_open(access, permission)))
        principal->identity = auth_identity_retain(access->nobody);
    else
        principal->identity = identify(access, &request, token, error);
    principal->is_anonymous = principal->identity == access->anonymous;
    return principal->identity && check_scope(access, principal->identity, permission, error);
}

static struct audit_client describe(const struct principal *principal, const char *origin,
                                    enum permission permission)
{
    return (struct audit_client){.address = *principal->address ? principal->address : NULL,
                                 .origin = origin,
                                 .kind = permissions[permission].kind,
                                 .identity = principal->identity};
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

/* Who guesses learns nothing more after a while, nor who keeps coming without what it takes. A good
 * token passes all the same: others at that address must not pay for it. */
static void deny(struct access *access, const struct audit_client *client,
                 enum permission permission, struct error *error)
{
    bool counts = is_guess(error) || permission == PERMISSION_SUBSCRIBE;
    if (counts && !limits_may_try(access->limits, client, error))
        return; /* which has told the audit */
    audit_denied(&access->audit, client, error);
    if (counts)
        limits_note_failure(access->limits, client);
}

bool access_enter(struct access *access, struct net_connection *connection,
                  enum permission permission, struct principal *principal, struct error *error)
{
    char room[ACCESS_ORIGIN_BYTES] = "";
    struct span origin;
    *principal = (struct principal){.identity = NULL};
    client_address(&access->limits->rules, connection, principal->address);
    bool good = access_read_origin(connection, room, &origin, error);
    struct audit_client client = describe(principal, origin.data ? room : NULL, permission);
    if (good && enter(access, connection, permission, origin, principal, error))
        return true;
    client.identity = principal->identity;
    deny(access, &client, permission, error);
    principal_fini(principal);
    return false;
}

/* Handshakes are counted by where they come from once the token is good: those with bad tokens are
 * counted apart, and must not use up what others there have. */
bool access_let_in(struct access *access, struct net_connection *connection,
                   enum permission permission, struct principal *principal, struct error *error)
{
    char address[ADDRESS_TEXT], origin[ACCESS_ORIGIN_BYTES];
    struct audit_client client = {.address = address,
                                  .kind = permission == PERMISSION_FEED ? "ingest" : "subscriber"};
    struct span given;
    if (access_read_origin(connection, origin, &given, error) && given.length)
        client.origin = origin;
    client_address(&access->limits->rules, connection, address);
    if (!access_enter(access, connection, permission, principal, error))
        return false;
    client.identity = principal->identity;
    if (limits_handshake(access->limits, &client, error))
        principal->place = limits_enter(access->limits, &client, error);
    if (principal->place)
        return true;
    principal_fini(principal);
    return false;
}

void access_entered(struct access *access, struct net_connection *connection,
                    const struct principal *principal, enum permission permission)
{
    char room[ACCESS_ORIGIN_BYTES] = "";
    struct span origin;
    struct error error;
    access_read_origin(connection, room, &origin, &error);
    struct audit_client client = describe(principal, origin.data ? room : NULL, permission);
    audit_accepted(&access->audit, &client);
}

static bool may_still(const struct access *access, const struct auth_identity *identity,
                      enum permission permission, struct error *error)
{
    if (identity->expires_at && clock_wall_ms() / 1000 >= identity->expires_at)
        return error_set(error, ERROR_TOKEN_EXPIRED, "the token has expired");
    if (auth_is_revoked(access->revoked, span_of(identity->token_id)))
        return error_set(error, ERROR_TOKEN_EXPIRED, "the token has been revoked");
    return check_scope(access, identity, permission, error);
}

/* By the rules in force, which may be others than those it came in by. */
static bool still_holds(const struct access *access, const struct principal *principal,
                        enum permission permission, struct error *error)
{
    const struct access_rules *rules = access->rules;
    if (principal->is_anonymous)
        return rules->auth.mode == CONFIG_AUTH_NONE || no_token(error);
    if (!principal->identity->is_static)
        return may_still(access, principal->identity, permission, error);
    struct auth_identity *now = auth_static_follow(rules->credentials.tokens, principal->identity);
    bool holds = now ? may_still(access, now, permission, error)
                     : error_set(error, ERROR_STATIC_TOKEN, "the token has been taken back");
    auth_identity_release(now);
    return holds;
}

bool access_still_holds(struct access *access, const struct principal *principal,
                        enum permission permission, struct error *error)
{
    struct audit_client client = describe(principal, NULL, permission);
    if (still_holds(access, principal, permission, error))
        return true;
    audit_denied(&access->audit, &client, error);
    return false;
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
    if (identity)
        audit_refreshed(&access->audit, &client);
    else
        audit_refresh_denied(&access->audit, &client, error);
    return identity;
}

void access_note_refused(struct access *access, const struct principal *principal, const char *kind,
                         const struct error *error)
{
    const struct audit_client client = {.address = *principal->address ? principal->address : NULL,
                                        .kind = kind,
                                        .identity = principal->identity};
    audit_request_refused(&access->audit, &client, error, clock_monotonic_us());
}
