/*
 * Signed sessions: compact JWTs, and whether the claims of one are enough for this server and
 * request. The algorithm of the key verifies a signature. The header must name the same one; it
 * chooses among keys of one name, and nothing else.
 */
#include "auth/auth_internal.h"

#include <arpa/inet.h>
#include <strings.h>

/* ---- reading the claims ---- */

struct claims {
    struct auth_identity *identity; /* complete, except for members that the claims lack */
    struct auth_texts audiences;
    bool has_audience, has_scope, has_expiry;
    int64_t not_before, issued_at; /* 0: not given */
};

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

/* Read the claims of a token; ERROR_TOKEN_FORMAT when one is of another type. The caller ends them
 * with claims_fini in either case. */
static bool claims_read(struct claims *claims, const struct auth_rules *rules,
                        const struct tree *object, struct error *error)
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

static void claims_fini(struct claims *claims)
{
    auth_identity_release(claims->identity);
    texts_free(&claims->audiences);
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

/* Steps 3 to 8 of auth_verify. */
static bool claims_check(const struct claims *claims, const struct auth_rules *rules,
                         const struct auth_request *request, struct error *error)
{
    return check_presence(claims, rules, error) && check_issuer(claims, rules, error) &&
           check_audience(claims, rules, error) && check_time(claims, request->now, error) &&
           check_origin(claims, rules, request, error) &&
           check_client_ip(claims, rules, request, error) && check_revoked(claims, rules, error);
}

/* A token, taken apart. */
struct parts {
    struct span header, claims, signature; /* as they came */
    struct span signed_text;               /* header and claims with the dot between them */
};

static bool is_malformed(struct error *error, const char *what)
{
    return error_set(error, ERROR_TOKEN_FORMAT, "this is no signed session: %s", what);
}

static bool split(struct span token, struct parts *parts, struct error *error)
{
    if (token.length > AUTH_MAX_TOKEN_BYTES)
        return is_malformed(error, "it is too long");
    const char *end = token.data + token.length;
    const char *first = token.length ? memchr(token.data, '.', token.length) : NULL;
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
        return is_malformed(error, "it has not three parts with dots between them");
    parts->header = span_make(token.data, (size_t)(first - token.data));
    parts->claims = span_make(first + 1, (size_t)(second - first - 1));
    parts->signature = span_make(second + 1, (size_t)(end - second - 1));
    parts->signed_text = span_make(token.data, (size_t)(second - token.data));
    return true;
}

static bool decode(struct span text, const char *what, struct buffer *out, struct error *error)
{
    buffer_init(out, AUTH_MAX_TOKEN_BYTES);
    if (base64_decode(text, true, out))
        return true;
    return out->failed ? error_set(error, ERROR_MEMORY, "out of memory while reading a token")
                       : is_malformed(error, what);
}

/* The object of one part. jansson's message about a broken one would quote it. */
static bool parse(struct span text, const char *what, struct tree **object, struct error *error)
{
    struct error cause;
    *object = tree_parse(text, &cause);
    if (*object && tree_type(*object) == TREE_OBJECT)
        return true;
    return !*object && cause.code == ERROR_MEMORY
               ? error_set(error, ERROR_MEMORY, "out of memory while reading a token")
               : is_malformed(error, what);
}

static bool decode_object(struct span text, const char *what, struct tree **object,
                          struct error *error)
{
    struct buffer json;
    bool done = decode(text, what, &json, error) && parse(buffer_span(&json), what, object, error);
    buffer_fini(&json);
    return done;
}

/* ---- the header ---- */

struct header {
    enum auth_algorithm algorithm;
    struct span id; /* of the key; absent: it names none */
};

static bool read_header(const struct tree *object, struct header *header, struct error *error)
{
    const struct tree *algorithm = tree_member(object, "alg"), *kid = tree_member(object, "kid");
    header->id = span_make(NULL, 0);
    if (!algorithm || tree_type(algorithm) != TREE_STRING ||
        !auth_algorithm_read(tree_string(algorithm), &header->algorithm))
        return is_malformed(error, "its `alg` is none of EdDSA, ES256 and RS256");
    if (tree_member(object, "crit"))
        return is_malformed(error, "it has `crit`, of which nothing is understood here");
    if (!kid || tree_type(kid) == TREE_NULL)
        return true;
    header->id = tree_string(kid);
    if (tree_type(kid) != TREE_STRING || header->id.length == 0 ||
        header->id.length > AUTH_MAX_KEY_ID)
        return is_malformed(error, "its `kid` is not a text of usual length");
    return true;
}

/* ---- the signature ---- */

static bool check_answer(enum crypto_answer answer, struct error *error)
{
    if (answer == CRYPTO_GOOD)
        return true;
    if (answer == CRYPTO_BROKEN)
        return error_set(error, ERROR_MEMORY, "out of memory while checking a signature");
    return error_set(error, ERROR_TOKEN_SIGNATURE, "the token's signature is not right");
}

static bool key_is_current(const struct auth_key *key, int64_t now)
{
    return key->ends_at == 0 || now < key->ends_at;
}

/* Whether a key has that name, whatever its algorithm. */
static bool keys_know(const struct auth_keys *keys, struct span id)
{
    for (size_t i = 0; i < keys->count; i++)
        if (span_equal(span_of(keys->keys[i].id), id))
            return true;
    return false;
}

static bool verify_named(const struct auth_keys *keys, const struct header *header, int64_t now,
                         const struct parts *parts, struct span signature, struct error *error)
{
    const struct auth_key *key = keys_find(keys, header->id, header->algorithm);
    if (key && key_is_current(key, now))
        return check_answer(signature_verify(&key->public, parts->signed_text, signature), error);
    if (key)
        return error_set(error, ERROR_TOKEN_KEY,
                         "the key that signed the token is no longer in use");
    if (keys_know(keys, header->id))
        return error_set(error, ERROR_TOKEN_SIGNATURE,
                         "the token says that it was signed by %s, but its key signs otherwise",
                         auth_algorithm_names[header->algorithm]);
    return error_set(error, ERROR_TOKEN_KEY, "the key that signed the token is not known here");
}

static size_t count_keys(const struct auth_keys *keys, enum auth_algorithm algorithm)
{
    size_t count = 0;
    for (size_t i = 0; i < keys->count; i++)
        count += keys->keys[i].public.algorithm == algorithm;
    return count;
}

/* The token does not say which key: as few as there may be are tried, so that a forged token
 * cannot cost much. */
static bool verify_by_any(const struct auth_keys *keys, const struct header *header, int64_t now,
                          const struct parts *parts, struct span signature, struct error *error)
{
    enum crypto_answer answer = CRYPTO_BAD;
    bool tried = false;
    if (count_keys(keys, header->algorithm) > AUTH_TRIED_KEYS)
        return error_set(error, ERROR_TOKEN_MISSING_CLAIM,
                         "the token's header has no `kid`, and there are many keys");
    for (size_t i = 0; i < keys->count && answer == CRYPTO_BAD; i++) {
        const struct auth_key *key = &keys->keys[i];
        if (key->public.algorithm != header->algorithm || !key_is_current(key, now))
            continue;
        tried = true;
        answer = signature_verify(&key->public, parts->signed_text, signature);
    }
    if (!tried)
        return error_set(error, ERROR_TOKEN_KEY, "no key of %s is in use here",
                         auth_algorithm_names[header->algorithm]);
    return check_answer(answer, error);
}

/* Of RSA it is as long as the key, which is not known yet. */
static bool has_length(struct span signature, enum auth_algorithm algorithm)
{
    if (algorithm != AUTH_RS256)
        return signature.length == AUTH_P256_BYTES; /* and of Ed25519, too */
    return signature.length >= AUTH_LEAST_RSA_BITS / 8 && signature.length <= AUTH_KEY_BYTES;
}

static bool verify(const struct auth_keys *keys, const struct header *header, int64_t now,
                   const struct parts *parts, struct error *error)
{
    struct buffer signature;
    static const char what[] = "its signature is not as long as those of its algorithm are";
    bool done =
        decode(parts->signature, what, &signature, error) &&
        (has_length(buffer_span(&signature), header->algorithm) || is_malformed(error, what));
    struct span bytes = buffer_span(&signature);
    done = done && (header->id.data ? verify_named(keys, header, now, parts, bytes, error)
                                    : verify_by_any(keys, header, now, parts, bytes, error));
    buffer_fini(&signature);
    return done;
}

/* ---- the whole ---- */

static struct auth_identity *take_identity(struct claims *claims, struct error *error)
{
    struct auth_identity *identity = claims->identity;
    if (!identity_complete(identity, error))
        return NULL;
    claims->identity = NULL;
    return identity;
}

struct auth_identity *auth_verify(const struct auth_keys *keys, const struct auth_rules *rules,
                                  const struct auth_request *request, struct span token,
                                  struct error *error)
{
    struct parts parts;
    struct header header;
    struct tree *head = NULL, *object = NULL;
    struct claims claims = {.identity = NULL};
    struct auth_identity *identity = NULL;
    if (split(token, &parts, error) &&
        decode_object(parts.header, "its header is not a JSON object", &head, error) &&
        read_header(head, &header, error) &&
        decode_object(parts.claims, "its claims are not a JSON object", &object, error) &&
        claims_read(&claims, rules, object, error) &&
        verify(keys, &header, request->now, &parts, error) &&
        claims_check(&claims, rules, request, error))
        identity = take_identity(&claims, error);
    claims_fini(&claims);
    tree_free(object);
    tree_free(head);
    return identity;
}

bool auth_token_claims(struct span token, struct buffer *out, struct error *error)
{
    static const char what[] = "its claims are not a JSON object";
    struct parts parts;
    struct buffer json;
    struct tree *object = NULL;
    if (!split(token, &parts, error))
        return false;
    bool done =
        decode(parts.claims, what, &json, error) && parse(buffer_span(&json), what, &object, error);
    if (done && !buffer_add_span(out, buffer_span(&json)))
        done = error_set(error, ERROR_MEMORY, "out of memory while reading a token");
    tree_free(object);
    buffer_fini(&json);
    return done;
}
