/* The life of access, and other rules coming into force. */
#include "access/access_internal.h"

/* ---- principals ---- */

void principal_fini(struct principal *principal)
{
    limits_leave(principal->entry);
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
        return error_set(error, ERROR_MEMORY, "out of memory for the rules of access");
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
