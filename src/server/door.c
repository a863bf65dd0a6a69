#include "outbound/outbound.h"
#include "server/client_address.h"
#include "server/door_internal.h"
#include "server/server_internal.h"

/* ---- visitors ---- */

void visitor_fini(struct visitor *visitor)
{
    limits_leave(visitor->place);
    auth_identity_release(visitor->identity);
    *visitor = (struct visitor){.identity = NULL};
}

void visitor_move(struct visitor *to, struct visitor *from)
{
    *to = *from;
    *from = (struct visitor){.identity = NULL};
}

/* ---- life ---- */

/* The URL of keys as these settings have it, or none. */
static bool set_url(struct door *door, struct server *server, const struct config_auth *auth,
                    bool reachable)
{
    struct jwks_rules rules = {.url = reachable ? auth->jwks_url : NULL,
                               .seconds = auth->jwks_seconds,
                               .refetch_seconds = auth->jwks_refetch_seconds,
                               .stale_seconds = auth->jwks_stale_seconds};
    return jwks_set(&door->jwks, server, &rules);
}

static bool open_parts(struct door *door, struct server *server, const struct config *config,
                       struct error *error)
{
    const struct config_auth *auth = &config->auth;
    door->rules = door_rules_new(config, error);
    if (!door->rules || (auth->jwks_url && !server_need_outbound(server, config, error)))
        return false;
    door->anonymous = auth_identity_anonymous();
    door->nobody = auth_identity_anonymous();
    door->revocations = auth_revocations_new();
    if (!door->anonymous || !door->nobody || !door->revocations ||
        !set_url(door, server, auth, true))
        return error_set(error, ERROR_MEMORY, "out of memory while starting");
    door->nobody->scopes = 0;
    if (!door_join_keys(door, NULL, error))
        return false;
    door_tell_rules(server, NULL);
    return true;
}

bool door_open(struct server *server, const struct config *config, struct error *error)
{
    server->door = memory_new(sizeof *server->door);
    if (!server->door)
        return error_set(error, ERROR_MEMORY, "out of memory while starting");
    return open_parts(server->door, server, config, error);
}

void door_close(struct door *door)
{
    if (!door)
        return;
    jwks_fini(&door->jwks);
    auth_keys_release(door->keys);
    auth_revocations_free(door->revocations);
    auth_identity_release(door->nobody);
    auth_identity_release(door->anonymous);
    door_rules_free(door->rules);
    memory_free(door);
}

void door_tick(struct server *server)
{
    if (server->door->jwks.url)
        jwks_tick(&server->door->jwks);
}

bool door_keys_are_stale(const struct server *server)
{
    return server->door->jwks.stale;
}

/* ---- other rules ---- */

static void follow(struct server *server)
{
    const struct door_rules *rules = server->door->rules;
    sessions_follow(&server->sessions, rules->credentials.tokens,
                    rules->auth.mode != CONFIG_AUTH_NONE);
}

/* Of the rules, and those fetched, unless the two do not go together: then the fetched ones have to
 * wait, as they would after a start. */
static bool take_keys(struct door *door, struct error *error)
{
    struct jwks *jwks = &door->jwks;
    if (door_join_keys(door, jwks_in_force(jwks), error))
        return true;
    if (!jwks->keys || error->code == ERROR_MEMORY)
        return false;
    jwks_forget(jwks, error);
    return door_join_keys(door, NULL, error);
}

bool door_apply(struct server *server, struct door_rules *rules, struct error *error)
{
    struct door *door = server->door;
    struct door_rules *old = door->rules;
    bool reachable = !rules->auth.jwks_url || server->outbound;
    if (!set_url(door, server, &rules->auth, reachable)) {
        door_rules_free(rules);
        return error_set(error, ERROR_MEMORY, "out of memory for who may come in");
    }
    door->rules = rules;
    if (!take_keys(door, error)) {
        door->rules = old;
        door_rules_free(rules);
        return false;
    }
    door_tell_rules(server, old);
    follow(server);
    door_rules_free(old);
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
static bool is_of_stale_key(const struct door *door, const struct auth_rules *rules,
                            const struct auth_request *request, struct span token,
                            struct error *error)
{
    const struct jwks *jwks = &door->jwks;
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

static struct auth_identity *verify(struct door *door, const struct auth_request *request,
                                    struct span token, struct error *error)
{
    const struct config_auth *auth = &door->rules->auth;
    struct auth_rules rules = {.issuer = auth->issuer,
                               .audience = auth->audience,
                               .require_origin = auth->require_origin,
                               .require_client_ip = auth->require_client_ip,
                               .revocations = door->revocations};
    struct auth_identity *identity = auth_verify(door->keys, &rules, request, token, error);
    if (identity || is_of_stale_key(door, &rules, request, token, error))
        return identity;
    if (error->code == ERROR_TOKEN_KEY)
        error->retry_after = jwks_want(&door->jwks);
    return NULL;
}

/* Static tokens are looked up first, where there are any, because that is cheap. */
static struct auth_identity *identify(struct door *door, const struct auth_request *request,
                                      struct span token, struct error *error)
{
    const struct door_rules *rules = door->rules;
    if (rules->auth.mode == CONFIG_AUTH_NONE)
        return auth_identity_retain(door->anonymous);
    if (!token.data)
        return no_token(error);
    if (rules->credentials.tokens) {
        struct auth_identity *identity =
            auth_static_find(rules->credentials.tokens, token, request->now, error);
        if (identity || rules->auth.mode == CONFIG_AUTH_STATIC || error->code != ERROR_STATIC_TOKEN)
            return identity;
    }
    return verify(door, request, token, error);
}

/* ---- what it wants ---- */

static const struct {
    unsigned scope;
    const char *name, *use, *kind;
} wishes[] = {
    [DOOR_SUBSCRIBE] = {0, "", "", "subscriber"},
    [DOOR_READ] = {AUTH_READ, "read", "to read views", "http"},
    [DOOR_FEED] = {AUTH_WRITE, "write", "to feed", "ingest"},
    [DOOR_STATUS] = {0, "", "", "health"},
    [DOOR_METRICS] = {AUTH_ADMIN, "admin", "to see the metrics", "health"},
    [DOOR_ADMIN] = {AUTH_ADMIN, "admin", "for this", "http"},
};

/* Where there is no authentication, who reaches the server is trusted with what it shows, but not
 * with what changes it; its own commands do that. */
static bool is_open(const struct door *door, enum door_wish wish)
{
    const struct config_auth *auth = &door->rules->auth;
    return wish == DOOR_METRICS &&
           (auth->mode == CONFIG_AUTH_NONE || auth->metrics == CONFIG_FOR_ALL);
}

static bool check_scope(const struct door *door, const struct auth_identity *identity,
                        enum door_wish wish, struct error *error)
{
    unsigned scope = is_open(door, wish) ? 0 : wishes[wish].scope;
    return (identity->scopes & scope) == scope ||
           error_set(error, ERROR_SCOPE_MISSING,
                     "the token lacks the scope '%s', which is needed %s", wishes[wish].name,
                     wishes[wish].use);
}

bool door_shows_status(const struct server *server, const struct auth_identity *identity)
{
    const struct config_auth *auth = &server->door->rules->auth;
    return auth->mode == CONFIG_AUTH_NONE || auth->status == CONFIG_FOR_ALL ||
           auth_may(identity, AUTH_ADMIN);
}

/* ---- the door itself ---- */

static bool check_origin(const struct door_rules *rules, struct span origin, struct error *error)
{
    return !origin.data || door_allows_origin(rules, origin) ||
           error_set(error, ERROR_ORIGIN_MISMATCH,
                     "origin '%.*s' is not among those that may connect; see allowed_origins",
                     (int)(origin.length < 128 ? origin.length : 128), origin.data);
}

static bool enter(struct door *door, struct net_connection *connection, enum door_wish wish,
                  struct span origin, struct visitor *visitor, struct error *error)
{
    char room[DOOR_TOKEN_BYTES];
    struct span token = door_read_token(connection, room);
    struct auth_request request = {.origin = origin,
                                   .client_ip = *visitor->address ? span_of(visitor->address)
                                                                  : span_make(NULL, 0),
                                   .now = clock_wall_ms() / 1000};
    if (!check_origin(door->rules, origin, error))
        return false;
    if (!token.data && (wish == DOOR_STATUS || is_open(door, wish)))
        visitor->identity = auth_identity_retain(door->nobody);
    else
        visitor->identity = identify(door, &request, token, error);
    visitor->is_anonymous = visitor->identity == door->anonymous;
    return visitor->identity && check_scope(door, visitor->identity, wish, error);
}

static struct audit_client describe(const struct visitor *visitor, const char *origin,
                                    enum door_wish wish)
{
    return (struct audit_client){.address = *visitor->address ? visitor->address : NULL,
                                 .origin = origin,
                                 .kind = wishes[wish].kind,
                                 .identity = visitor->identity};
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
static void deny(struct server *server, const struct audit_client *client, enum door_wish wish,
                 struct error *error)
{
    bool counts = is_guess(error) || wish == DOOR_SUBSCRIBE;
    if (counts && !limits_may_try(server->limits, client, error))
        return; /* which has told the audit */
    audit_denied(&server->audit, client, error);
    if (counts)
        limits_note_failure(server->limits, client);
}

bool door_enter(struct server *server, struct net_connection *connection, enum door_wish wish,
                struct visitor *visitor, struct error *error)
{
    char room[DOOR_ORIGIN_BYTES] = "";
    struct span origin;
    *visitor = (struct visitor){.identity = NULL};
    client_address(&server->limits->rules, connection, visitor->address);
    bool good = door_read_origin(connection, room, &origin, error);
    struct audit_client client = describe(visitor, origin.data ? room : NULL, wish);
    if (good && enter(server->door, connection, wish, origin, visitor, error))
        return true;
    client.identity = visitor->identity;
    deny(server, &client, wish, error);
    visitor_fini(visitor);
    return false;
}

void door_entered(struct server *server, struct net_connection *connection,
                  const struct visitor *visitor, enum door_wish wish)
{
    char room[DOOR_ORIGIN_BYTES] = "";
    struct span origin;
    struct error error;
    door_read_origin(connection, room, &origin, &error);
    struct audit_client client = describe(visitor, origin.data ? room : NULL, wish);
    audit_accepted(&server->audit, &client);
}

static bool may_still(const struct door *door, const struct auth_identity *identity,
                      enum door_wish wish, struct error *error)
{
    if (identity->expires_at && clock_wall_ms() / 1000 >= identity->expires_at)
        return error_set(error, ERROR_TOKEN_EXPIRED, "the token has expired");
    if (auth_is_revoked(door->revocations, span_of(identity->token_id)))
        return error_set(error, ERROR_TOKEN_EXPIRED, "the token has been revoked");
    return check_scope(door, identity, wish, error);
}

/* By the rules in force, which may be others than those it came in by. */
static bool still_holds(const struct door *door, const struct visitor *visitor, enum door_wish wish,
                        struct error *error)
{
    const struct door_rules *rules = door->rules;
    if (visitor->is_anonymous)
        return rules->auth.mode == CONFIG_AUTH_NONE || no_token(error);
    if (!visitor->identity->is_static)
        return may_still(door, visitor->identity, wish, error);
    struct auth_identity *now = auth_static_follow(rules->credentials.tokens, visitor->identity);
    bool holds = now ? may_still(door, now, wish, error)
                     : error_set(error, ERROR_STATIC_TOKEN, "the token has been taken back");
    auth_identity_release(now);
    return holds;
}

bool door_still_holds(struct server *server, const struct visitor *visitor, enum door_wish wish,
                      struct error *error)
{
    struct audit_client client = describe(visitor, NULL, wish);
    if (still_holds(server->door, visitor, wish, error))
        return true;
    audit_denied(&server->audit, &client, error);
    return false;
}

struct auth_identity *door_refresh(struct server *server, const struct visitor *visitor,
                                   const char *token, struct error *error)
{
    struct door *door = server->door;
    struct auth_request request = {.refresh = true,
                                   .client_ip = *visitor->address ? span_of(visitor->address)
                                                                  : span_make(NULL, 0),
                                   .now = clock_wall_ms() / 1000};
    struct auth_identity *identity = NULL;
    if (door->rules->auth.mode == CONFIG_AUTH_NONE)
        error_set(error, ERROR_TOKEN_FORMAT,
                  "there is no authentication here, so nothing to refresh");
    else
        identity = identify(door, &request, span_of(token), error);
    if (identity && !auth_may_follow(visitor->identity, identity, error)) {
        auth_identity_release(identity);
        identity = NULL;
    }
    struct audit_client client = describe(visitor, NULL, DOOR_SUBSCRIBE);
    if (identity)
        audit_refreshed(&server->audit, &client);
    else
        audit_refresh_denied(&server->audit, &client, error);
    return identity;
}
