/*
 * Signed sessions: compact JWTs, taken apart, and their signatures. The algorithm of the key
 * verifies a signature. The header must name the same one; it chooses among keys of one name, and
 * nothing else.
 */
#include "auth/auth_internal.h"

/* ---- the parts ---- */

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
    auth_identity_release(claims.identity);
    texts_free(&claims.audiences);
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
