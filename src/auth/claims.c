/*
 * The claims of a signed session: what they say, and whether they are enough for this server and
 * request. Nothing here knows keys.
 */
#include "auth/auth_internal.h"

#include <arpa/inet.h>
#include <strings.h>

/* ---- reading the claims ---- */

const struct auth_claim_names auth_standard_claims = {
#define X(member, name) .member = (name),
    AUTH_CLAIMS(X)
#undef X
};

static const struct auth_claim_names *names_of(const struct auth_rules *rules)
{
    return rules->claims ? rules->claims : &auth_standard_claims;
}

/* Only what is not too long can be revoked. */
static bool read_token_id(const struct members *members, const char *name, char **token_id)
{
    return member_text(members, name, token_id) &&
           (!*token_id || strlen(*token_id) <= AUTH_MAX_TOKEN_ID ||
            member_wrong(members, name, "a text of at most 512 bytes"));
}

/* Claims that an issuer encrypted for servers that have its key: limits may be among them. */
static bool check_sealed(const struct members *members)
{
    return !member_find(members, "sealed") ||
           error_set(members->error, members->code,
                     "the token has `sealed` claims, which cannot be read here");
}

bool claims_read(struct claims *claims, const struct auth_rules *rules, const struct tree *object,
                 struct error *error)
{
    const struct auth_claim_names *names = names_of(rules);
    struct members members = {object, ERROR_TOKEN_FORMAT, error, true};
    struct span unknown = {NULL, 0};
    bool is_there;
    struct auth_identity *identity = identity_new();
    *claims = (struct claims){.identity = identity};
    if (!identity)
        return error_set(error, ERROR_MEMORY, "out of memory while reading a token");
    bool done =
        check_sealed(&members) && member_text(&members, "iss", &identity->issuer) &&
        member_text(&members, names->subject, &identity->subject) &&
        member_texts(&members, names->audience, &claims->has_audience, &claims->audiences) &&
        member_time(&members, "iat", false, &is_there, &claims->issued_at) &&
        member_time(&members, "nbf", true, &is_there, &claims->not_before) &&
        member_time(&members, "exp", false, &claims->has_expiry, &identity->expires_at) &&
        read_token_id(&members, names->token_id, &identity->token_id) &&
        member_scope(&members, names->scope, rules->scopes, &claims->has_scope, &identity->scopes,
                     &unknown) &&
        member_text(&members, names->origin, &identity->origin) &&
        member_text(&members, "client_ip", &identity->client_ip) &&
        member_identity(&members, names, identity);
    identity->scopes |= rules->base_scopes;
    return done || error_prefix(error, "a claim is wrong");
}

/* ---- checking ---- */

static bool is_missing(const char *name, struct error *error)
{
    return error_set(error, ERROR_TOKEN_MISSING_CLAIM, "the token has no claim `%.100s`", name);
}

static bool check_presence(const struct claims *claims, const struct auth_rules *rules,
                           struct error *error)
{
    if (!claims->identity->subject)
        return is_missing(names_of(rules)->subject, error);
    if (!claims->has_expiry)
        return is_missing("exp", error);
    if (!claims->has_scope && !rules->base_scopes)
        return is_missing(names_of(rules)->scope, error);
    if (rules->issuer && !claims->identity->issuer)
        return is_missing("iss", error);
    if (rules->audience && !claims->has_audience)
        return is_missing(names_of(rules)->audience, error);
    return true;
}

static bool check_issuer(const struct claims *claims, const struct auth_rules *rules,
                         struct error *error)
{
    if (!rules->issuer || strcmp(rules->issuer, claims->identity->issuer) == 0)
        return true;
    return error_set(error, ERROR_TOKEN_ISSUER,
                     "the token is of an issuer that this server does "
                     "not take");
}

static bool check_audience(const struct claims *claims, const struct auth_rules *rules,
                           struct error *error)
{
    if (!rules->audience)
        return true;
    for (size_t i = 0; i < claims->audiences.count; i++)
        if (strcmp(rules->audience, claims->audiences.items[i]) == 0)
            return true;
    return error_set(error, ERROR_TOKEN_AUDIENCE, "the token is not for this server");
}

/* Nobody means a time so far ahead: it is given in another unit, and would never come. */
static bool is_wrong_unit(const char *name, int64_t time, struct error *error)
{
    return error_set(error, ERROR_TOKEN_FORMAT,
                     "`%s` is more than ten years ahead%s: it must be in seconds since 1970", name,
                     time > AUTH_LATEST_SECONDS ? ", as milliseconds would be" : "");
}

static bool check_units(const struct claims *claims, int64_t now, struct error *error)
{
    int64_t end = claims->identity->expires_at, later = end > now ? end : now;
    if (end - now > AUTH_FARTHEST_SECONDS)
        return is_wrong_unit("exp", end, error);
    if (claims->not_before - later > AUTH_FARTHEST_SECONDS)
        return is_wrong_unit("nbf", claims->not_before, error);
    /* Of when it was made nothing depends, so only what cannot be a time is told. */
    return claims->issued_at <= AUTH_LATEST_SECONDS ||
           is_wrong_unit("iat", claims->issued_at, error);
}

static bool refuse_by_clock(struct error *error)
{
    error->by_clock = true;
    return false;
}

/* Its signature is good already: where the clock is wrong, an honest token may be refused. */
static bool check_time(const struct claims *claims, int64_t now, struct error *error)
{
    if (!check_units(claims, now, error))
        return refuse_by_clock(error);
    if (now >= claims->identity->expires_at)
        return error_set(error, ERROR_TOKEN_EXPIRED, "the token has expired");
    if (now >= claims->not_before)
        return true;
    error_set(error, ERROR_TOKEN_FORMAT, "the token is not valid yet");
    return refuse_by_clock(error);
}

/* Scheme and host are the same in either case, and browsers send no slash at the end. */
static bool same_origin(struct span left, struct span right)
{
    if (left.length && left.data[left.length - 1] == '/')
        left.length--;
    return left.length == right.length && strncasecmp(left.data, right.data, left.length) == 0;
}

static bool check_origin(const struct claims *claims, const struct auth_rules *rules,
                         const struct auth_request *request, struct error *error)
{
    const char *bound = claims->identity->origin;
    bool named = request->origin.data != NULL;
    if (request->refresh)
        return true;
    if (rules->require_origin && !named)
        return error_set(error, ERROR_ORIGIN_REQUIRED, "the request must name its Origin");
    if (rules->require_origin && !bound)
        return is_missing(names_of(rules)->origin, error);
    if (!bound || !named || same_origin(span_of(bound), request->origin))
        return true;
    return error_set(error, ERROR_ORIGIN_MISMATCH, "the token is bound to another origin");
}

/* An address as 16 bytes; one of IPv4 as it is mapped into IPv6. */
static bool read_address(struct span text, unsigned char address[16])
{
    char copy[INET6_ADDRSTRLEN];
    memcpy(address, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    if (!text.data || text.length >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    return inet_pton(AF_INET, copy, address + 12) == 1 || inet_pton(AF_INET6, copy, address) == 1;
}

static bool check_client_ip(const struct claims *claims, const struct auth_rules *rules,
                            const struct auth_request *request, struct error *error)
{
    unsigned char bound[16], actual[16];
    if (!rules->require_client_ip)
        return true;
    if (!claims->identity->client_ip)
        return is_missing("client_ip", error);
    if (read_address(span_of(claims->identity->client_ip), bound) &&
        read_address(request->client_ip, actual) && memcmp(bound, actual, sizeof bound) == 0)
        return true;
    return error_set(error, ERROR_ORIGIN_MISMATCH, "the token is bound to another address");
}

static bool check_revoked(const struct claims *claims, const struct auth_rules *rules,
                          struct error *error)
{
    const char *token_id = claims->identity->token_id;
    if (!rules->revocations || !token_id || !auth_is_revoked(rules->revocations, span_of(token_id)))
        return true;
    return error_set(error, ERROR_TOKEN_EXPIRED, "the token was revoked");
}

bool claims_check(const struct claims *claims, const struct auth_rules *rules,
                  const struct auth_request *request, struct error *error)
{
    return check_presence(claims, rules, error) && check_issuer(claims, rules, error) &&
           check_audience(claims, rules, error) && check_time(claims, request->now, error) &&
           check_origin(claims, rules, request, error) &&
           check_client_ip(claims, rules, request, error) && check_revoked(claims, rules, error);
}
