/* The life of access, other rules coming into force, and the keys of a URL (jwks.h). */
#include "access/access_internal.h"
#include "access/jwks.h"
#include "outbound/outbound.h"

/* ---- the keys in force, and what is said of them ---- */

/* Join the keys of the rules and the fetched ones; on failure the old ones stay. */
static bool access_join_keys(struct access *access, const struct auth_keys *fetched,
                             struct error *error)
{
    struct auth_keys *keys = auth_keys_new();
    bool good = keys && auth_keys_add_all(keys, access->rules->credentials.keys, error) &&
                (!fetched || auth_keys_add_all(keys, fetched, error));
    if (!keys)
        error_set(error, ERROR_MEMORY, "out of memory for keys");
    if (good) {
        auth_keys_release(access->keys);
        access->keys = auth_keys_retain(keys);
    }
    auth_keys_release(keys);
    return good;
}

static bool same_keys(const struct auth_keys *a, const struct auth_keys *b)
{
    struct buffer first, second;
    buffer_init(&first, SIZE_MAX);
    buffer_init(&second, SIZE_MAX);
    bool same = auth_keys_print_jwks(a, &first) && auth_keys_print_jwks(b, &second) &&
                span_equal(buffer_span(&first), buffer_span(&second));
    buffer_fini(&first);
    buffer_fini(&second);
    return same;
}

/* Log the keys that came into force from there. */
static void tell_keys(struct access *access, const char *source, const struct auth_keys *keys)
{
    struct buffer kids;
    buffer_init(&kids, 64 * 1024);
    for (size_t i = 0; i < keys->count; i++) {
        buffer_add_string(&kids, i ? " " : "");
        buffer_add_string(&kids, keys->keys[i].id);
    }
    const char *text = buffer_string(&kids);
    /* A URL may have something secret in its query. */
    char *shown = memory_copy_string(source, strcspn(source, "?"));
    audit_write(&access->audit, AUDIT_KEYS_CHANGED,
                &(struct audit_details){
                    .source = shown ? shown : "", .keys = keys, .kids = text ? text : ""});
    memory_free(shown);
    buffer_fini(&kids);
}

/* Log the keys of the rules, unless they are as in `old` (NULL: none were in force). */
static void access_tell_rules(struct access *access, const struct access_rules *old)
{
    const struct auth_keys *keys = access->rules->credentials.keys;
    const struct auth_keys *before = old ? old->credentials.keys : NULL;
    bool same = before ? same_keys(before, keys) : keys->count == 0;
    if (!same)
        tell_keys(access, "configuration", keys);
}

enum {
    CONNECT_MS = 5 * 1000,
    TOTAL_MS = 10 * 1000,
    FIRST_DELAY_MS = 1000,
    SOON_SECONDS = 1 /* within which an answer can be expected */
};

static uint64_t now_ms(const struct jwks *jwks)
{
    return access_now(jwks->access);
}

/* ---- the answer ---- */

static bool read_answer(const struct outbound_answer *answer, struct auth_keys **keys,
                        struct error *error)
{
    if (answer->error.code != ERROR_NONE) {
        *error = answer->error;
        return false;
    }
    if (answer->status != 200)
        return error_set(error, ERROR_NETWORK, "the answer was status %d", answer->status);
    *keys = auth_keys_new();
    if (!*keys)
        return error_set(error, ERROR_MEMORY, "out of memory while reading keys");
    return auth_keys_add_jwks(*keys, buffer_span(&answer->body), error);
}

/* A URL may have something secret in its query. NULL when out of memory. */
static char *shown_url(const struct jwks *jwks)
{
    return memory_copy_string(jwks->url, strcspn(jwks->url, "?"));
}

static void tell_failure(const struct jwks *jwks, const struct error *error)
{
    char *source = shown_url(jwks);
    audit_write(&jwks->access->audit, AUDIT_KEYS_FAILED,
                &(struct audit_details){.source = source ? source : "URL", .error = error});
    memory_free(source);
}

static void failed(struct jwks *jwks, const struct error *error)
{
    uint64_t most = jwks->refetch_seconds * 1000;
    tell_failure(jwks, error);
    if (!jwks->failing)
        jwks->failing_ms = now_ms(jwks);
    jwks->failing = true;
    jwks->due_ms = now_ms(jwks) + (jwks->delay_ms < most ? jwks->delay_ms : most);
    jwks->delay_ms = jwks->delay_ms < most ? jwks->delay_ms * 2 : most;
}

/* The fetched keys are not usable any more, for this reason, which is logged: it counts as one
 * more failure. */
static void jwks_forget(struct jwks *jwks, const struct error *error)
{
    auth_keys_release(jwks->keys);
    jwks->keys = NULL;
    failed(jwks, error);
}

/* The keys are taken over. */
static bool keep(struct jwks *jwks, struct auth_keys *keys, struct error *error)
{
    if (!access_join_keys(jwks->access, keys, error))
        return false;
    const struct auth_keys *before = jwks->keys;
    bool changed = !before || jwks->access->shown.keys_are_stale || !same_keys(before, keys);
    auth_keys_release(jwks->keys);
    jwks->keys = auth_keys_retain(keys);
    jwks->due_ms = now_ms(jwks) + jwks->seconds * 1000;
    jwks->delay_ms = FIRST_DELAY_MS;
    jwks->failing = jwks->access->shown.keys_are_stale = false;
    if (changed)
        tell_keys(jwks->access, jwks->url, jwks->keys);
    return true;
}

static void on_answer(void *argument, struct outbound_answer *answer)
{
    struct jwks *jwks = argument;
    struct auth_keys *keys = NULL;
    struct error error;
    jwks->fetching = false;
    if (jwks->outdated || !jwks->url || answer->error.code == ERROR_SHUTTING_DOWN) {
        jwks->outdated = false;
        return;
    }
    if (!read_answer(answer, &keys, &error) || !keep(jwks, keys, &error))
        failed(jwks, &error);
    auth_keys_release(keys);
}

/* ---- the question ---- */

static void ask(struct jwks *jwks)
{
    struct error error;
    struct outbound_request request = {.url = jwks->url,
                                       .max_bytes = AUTH_MAX_JWKS_BYTES,
                                       .connect_ms = CONNECT_MS,
                                       .total_ms = TOTAL_MS,
                                       .done = on_answer,
                                       .argument = jwks};
    jwks->asked = true;
    jwks->asked_ms = now_ms(jwks);
    jwks->fetching = outbound_send(jwks->access->context.outbound, &request, &error);
    if (!jwks->fetching)
        failed(jwks, &error);
}

/* ---- growing stale ---- */

static bool has_failed_for_long(const struct jwks *jwks)
{
    return jwks->failing && now_ms(jwks) - jwks->failing_ms >= jwks->stale_seconds * 1000;
}

static void become_stale(struct jwks *jwks)
{
    struct error error;
    if (!access_join_keys(jwks->access, NULL, &error))
        return; /* out of memory: the next tick tries again */
    char *source = shown_url(jwks);
    jwks->access->shown.keys_are_stale = true;
    audit_write(&jwks->access->audit, AUDIT_KEYS_STALE,
                &(struct audit_details){.source = source ? source : "URL",
                                        .keys = jwks->keys,
                                        .seconds = jwks->stale_seconds});
    memory_free(source);
}

/* The keys in force; NULL: none. */
static const struct auth_keys *jwks_in_force(const struct jwks *jwks)
{
    return jwks->access->shown.keys_are_stale ? NULL : jwks->keys;
}

int jwks_wait(const struct jwks *jwks)
{
    uint64_t now = now_ms(jwks), left = jwks->due_ms > now ? jwks->due_ms - now : 0;
    return (int)(left / 1000) + SOON_SECONDS;
}

/* Ask if it is time, and check whether the keys are stale by now. */
static void jwks_tick(struct jwks *jwks)
{
    if (!jwks->access->shown.keys_are_stale && has_failed_for_long(jwks))
        become_stale(jwks);
    if (jwks->url && !jwks->fetching && (!jwks->asked || now_ms(jwks) >= jwks->due_ms))
        ask(jwks);
}

int jwks_want(struct jwks *jwks)
{
    if (!jwks->url)
        return 0;
    bool may_ask = !jwks->asked || now_ms(jwks) - jwks->asked_ms >= jwks->refetch_seconds * 1000;
    if (!jwks->fetching && may_ask)
        ask(jwks);
    return jwks->fetching ? SOON_SECONDS : 0;
}

/* ---- its settings ---- */

/* "auth.jwks_url" and its settings. */
struct jwks_rules {
    const char *url; /* NULL: none */
    int64_t seconds, refetch_seconds, stale_seconds;
};

static void jwks_fini(struct jwks *jwks)
{
    memory_free(jwks->url);
    auth_keys_release(jwks->keys);
    jwks->url = NULL;
    jwks->keys = NULL;
}

/* Zeroed is fine before; keys of another URL are forgotten. false: out of memory. */
static bool jwks_set(struct jwks *jwks, struct access *access, const struct jwks_rules *rules)
{
    const char *url = rules->url;
    bool same = jwks->url && url && strcmp(jwks->url, url) == 0;
    jwks->access = access;
    jwks->seconds = (uint64_t)rules->seconds;
    jwks->refetch_seconds = (uint64_t)rules->refetch_seconds;
    jwks->stale_seconds = (uint64_t)rules->stale_seconds;
    access->shown.keys_are_stale =
        same && access->shown.keys_are_stale && has_failed_for_long(jwks);
    if (same)
        return true;
    jwks->outdated = jwks->fetching;
    jwks->asked = jwks->failing = false;
    jwks->delay_ms = FIRST_DELAY_MS;
    jwks_fini(jwks);
    jwks->url = url ? memory_copy_string(url, strlen(url)) : NULL;
    return jwks->url || !url;
}

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
    access->shown.audit = &access->audit;
    access->shown.limits = access->rules ? limits_new(config, &access->audit, error) : NULL;
    if (!access->shown.limits)
        return false;
    access->anonymous = auth_identity_anonymous();
    access->nobody = auth_identity_anonymous();
    access->shown.revoked = auth_revocations_new();
    if (!access->anonymous || !access->nobody || !access->shown.revoked ||
        !set_url(access, &config->auth, true))
        return error_set(error, ERROR_MEMORY, "out of memory while starting");
    access->nobody->scopes = 0;
    access->shown.names_origins = access->rules->origin_count > 0;
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
    memory_free(access->revocations);
    jwks_fini(&access->jwks);
    auth_keys_release(access->keys);
    auth_revocations_free(access->shown.revoked);
    auth_identity_release(access->nobody);
    auth_identity_release(access->anonymous);
    access_rules_free(access->rules);
    limits_free(access->shown.limits);
    memory_free(access);
}

const struct access_shown *access_shown(const struct access *access)
{
    return &access->shown;
}

void access_tick(struct access *access)
{
    if (access->jwks.url)
        jwks_tick(&access->jwks);
    revocations_tick(access);
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
    access->shown.names_origins = rules->origin_count > 0;
    access_tell_rules(access, old);
    follow(access);
    access_rules_free(old);
    return reachable ||
           error_set(error, ERROR_CONFIGURATION,
                     "setting \"auth.jwks_url\": there was none when the server started, so it "
                     "takes a restart");
}
