/* The rules of the configuration about access, made on any thread. */
#include "access/access_internal.h"

static char *copy(const char *text, bool *good)
{
    char *made = text ? memory_copy_string(text, strlen(text)) : NULL;
    *good = *good && (made || !text);
    return made;
}

static bool copy_texts(struct access_rules *rules, const struct config *config)
{
    bool good = true;
    rules->auth = config->auth;
    rules->auth.tokens = rules->auth.keys = rules->auth.jwks_file = NULL;
    rules->auth.scopes = rules->auth.base_scope = NULL;
#define X(member, name)                                                                            \
    rules->claims.member = rules->auth.member##_claim = copy(config->auth.member##_claim, &good);
    AUTH_CLAIMS(X)
#undef X
    rules->auth.jwks_url = copy(config->auth.jwks_url, &good);
    rules->auth.issuer = copy(config->auth.issuer, &good);
    rules->auth.audience = copy(config->auth.audience, &good);
    rules->hosts = copy(config->allowed_hosts, &good);
    rules->origins = memory_new((config->origin_count + 1) * sizeof *rules->origins);
    for (size_t i = 0; rules->origins && i < config->origin_count; i++)
        rules->origins[rules->origin_count++] = copy(config->origins[i], &good);
    return good && rules->origins;
}

struct access_rules *access_rules_new(const struct config *config, struct error *error)
{
    struct access_rules *rules = memory_new(sizeof *rules);
    if (!rules || !copy_texts(rules, config))
        error_set(error, ERROR_MEMORY, "out of memory for the rules of access");
    else if (credentials_read(&rules->credentials, config, error))
        return rules;
    access_rules_free(rules);
    return NULL;
}

void access_rules_free(struct access_rules *rules)
{
    if (!rules)
        return;
    credentials_fini(&rules->credentials);
    for (size_t i = 0; i < rules->origin_count; i++)
        memory_free(rules->origins[i]);
    memory_free(rules->origins);
    memory_free(rules->hosts);
    memory_free(rules->auth.jwks_url);
    memory_free(rules->auth.issuer);
    memory_free(rules->auth.audience);
#define X(member, name) memory_free(rules->auth.member##_claim);
    AUTH_CLAIMS(X)
#undef X
    memory_free(rules);
}

/* A star in front of ".example.com" stands for whatever is below that name, not for the name. */
static bool origin_matches(struct span pattern, struct span origin)
{
    const char *star = memchr(pattern.data, '*', pattern.length);
    if (!star)
        return span_equal(pattern, origin);
    size_t front = (size_t)(star - pattern.data), back = pattern.length - front - 1;
    if (origin.length <= front + back || memcmp(origin.data, pattern.data, front) != 0 ||
        memcmp(origin.data + origin.length - back, star + 1, back) != 0)
        return false;
    for (size_t i = front; i < origin.length - back; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", origin.data[i]) || !origin.data[i])
            return false;
    return true;
}

bool access_allows_origin(const struct access_rules *rules, struct span origin)
{
    for (size_t i = 0; i < rules->origin_count; i++)
        if (origin_matches(span_of(rules->origins[i]), origin))
            return true;
    return rules->origin_count == 0;
}

/* Without authentication and a list, pages of this machine may do all: see guard.c. With
 * authentication and without a list any page may connect, but it reads no answer. */
static bool allows_page(const struct access_rules *rules, struct span origin)
{
    if (rules->origin_count)
        return access_allows_origin(rules, origin);
    return rules->auth.mode == CONFIG_AUTH_NONE && access_is_local_origin(origin);
}

bool access_allowed_page(const struct access *access, const struct net_connection *connection,
                         char room[ACCESS_ORIGIN_BYTES])
{
    struct span origin;
    struct error error;
    return access_read_origin(connection, room, &origin, &error) && origin.data &&
           allows_page(access->rules, origin);
}
