/*
 * Public keys as programs write them: JSON Web Keys and sets of them (RFC 7517, 7518, 8037), read.
 * A set may have other uses, too: the reader passes over foreign keys and notes them.
 */
#include "auth/auth_internal.h"

#include <stdio.h>

/* ---- is it one of ours? ---- */

static bool text_is(const struct tree *object, const char *name, const char *text)
{
    const struct tree *value = tree_member(object, name);
    return value && tree_type(value) == TREE_STRING &&
           span_equal(tree_string(value), span_of(text));
}

static bool absent_or(const struct tree *object, const char *name, const char *text)
{
    return !tree_member(object, name) || text_is(object, name, text);
}

/* Some issuers leave `crv` out of an OKP key; one of another curve has another length or another
 * use. */
static const char *read_kind(const struct tree *key, enum auth_algorithm *algorithm)
{
    *algorithm = AUTH_EDDSA;
    if (text_is(key, "kty", "OKP"))
        return absent_or(key, "crv", "Ed25519") ? NULL : "a curve other than Ed25519";
    *algorithm = AUTH_ES256;
    if (text_is(key, "kty", "EC"))
        return text_is(key, "crv", "P-256") ? NULL : "a curve other than P-256";
    *algorithm = AUTH_RS256;
    return text_is(key, "kty", "RSA") ? NULL : "a kind other than OKP, EC and RSA";
}

static bool is_of_algorithm(const struct tree *key, enum auth_algorithm algorithm)
{
    const struct tree *given = tree_member(key, "alg");
    enum auth_algorithm named;
    return !given || (tree_type(given) == TREE_STRING &&
                      auth_algorithm_read(tree_string(given), &named) && named == algorithm);
}

static bool may_verify(const struct tree *key)
{
    const struct tree *operations = tree_member(key, "key_ops");
    if (!operations)
        return true;
    for (size_t i = 0; tree_type(operations) == TREE_ARRAY && i < tree_count(operations); i++) {
        const struct tree *each = tree_element(operations, i);
        if (tree_type(each) == TREE_STRING && span_equal(tree_string(each), span_of("verify")))
            return true;
    }
    return false;
}

/* NULL: it is; else why not. */
static const char *why_not(const struct tree *key, enum auth_algorithm *algorithm)
{
    if (tree_type(key) != TREE_OBJECT)
        return "no object";
    const char *why = read_kind(key, algorithm);
    if (why)
        return why;
    if (!is_of_algorithm(key, *algorithm))
        return "an alg that is not taken for its kind";
    if (!absent_or(key, "use", "sig"))
        return "a use other than sig";
    return may_verify(key) ? NULL : "key_ops without verify";
}

/* ---- its numbers ---- */

/* Decode base64url into exactly `size` bytes; with `size` 0 into as many as there are, at most
 * `most`, without zeros in front. */
static bool read_number(const struct members *members, const char *name, unsigned char *bytes,
                        size_t size, size_t most, size_t *length)
{
    const struct tree *value = member_find(members, name);
    struct buffer decoded;
    buffer_init(&decoded, 2 * AUTH_KEY_BYTES);
    bool good = value && tree_type(value) == TREE_STRING &&
                base64_decode(tree_string(value), true, &decoded);
    size_t zeros = 0;
    while (!size && good && zeros < decoded.length && !decoded.data[zeros])
        zeros++;
    *length = decoded.length - zeros;
    bool fits = good && (size ? *length == size : *length && *length <= most);
    if (fits)
        memcpy(bytes, decoded.data + zeros, *length);
    bool ran_out = decoded.failed && value && tree_string(value).length <= 2 * AUTH_KEY_BYTES;
    buffer_fini(&decoded);
    if (ran_out)
        return error_set(members->error, ERROR_MEMORY, "out of memory while reading keys");
    return fits ||
           member_wrong(members, name, size ? "32 bytes as base64url" : "a number as base64url");
}

static bool read_rsa(const struct members *members, struct auth_public *key)
{
    unsigned char exponent[sizeof key->exponent];
    size_t length;
    if (!read_number(members, "n", key->bytes, 0, sizeof key->bytes, &key->length) ||
        !read_number(members, "e", exponent, 0, sizeof exponent, &length))
        return false;
    for (size_t i = 0; i < length; i++)
        key->exponent = key->exponent << 8 | exponent[i];
    return true;
}

static bool read_public(const struct members *members, struct auth_public *key)
{
    enum { HALF = AUTH_P256_BYTES / 2 };
    size_t length;
    if (key->algorithm == AUTH_RS256)
        return read_rsa(members, key);
    key->length = key->algorithm == AUTH_ES256 ? AUTH_P256_BYTES : AUTH_ED25519_BYTES;
    return read_number(members, "x", key->bytes, HALF, HALF, &length) &&
           (key->algorithm != AUTH_ES256 ||
            read_number(members, "y", key->bytes + HALF, HALF, HALF, &length));
}

/* ---- sets ---- */

static void pass_over(struct auth_keys *keys, size_t number, const struct tree *key,
                      const char *why)
{
    if (keys->passed_over++)
        return;
    struct span id =
        tree_type(key) == TREE_OBJECT ? tree_string(tree_member(key, "kid")) : span_make(NULL, 0);
    bool shown = id.data && id.length <= 64 && !memchr(id.data, '"', id.length);
    snprintf(keys->passed_why, sizeof keys->passed_why, "key %zu%s%.*s%s has %s", number,
             shown ? " (kid " : "", shown ? (int)id.length : 0, shown ? id.data : "",
             shown ? ")" : "", why);
}

/* A key of RSA may be sound and too weak, or larger than is taken. */
static bool add_jwk(struct auth_keys *keys, size_t number, const struct tree *jwk,
                    enum auth_algorithm algorithm, struct error *error)
{
    struct auth_public key = {.algorithm = algorithm};
    struct members members = {jwk, ERROR_CONFIGURATION, error, false};
    const struct tree *id = member_find(&members, "kid");
    if (id && tree_type(id) != TREE_STRING)
        return member_wrong(&members, "kid", "a text");
    if (!read_public(&members, &key))
        return false;
    if (algorithm == AUTH_RS256 && !public_is_fit(&key)) {
        pass_over(keys, number, jwk, "fewer than 2048 bits, or numbers that RSA does not have");
        return true;
    }
    return auth_keys_add_public(keys, &key, id ? tree_string(id) : span_make(NULL, 0), 0, error);
}

static bool add_set(struct auth_keys *keys, const struct tree *set, struct error *error)
{
    const struct tree *list = tree_type(set) == TREE_OBJECT ? tree_member(set, "keys") : NULL;
    if (!list || tree_type(list) != TREE_ARRAY)
        return error_set(error, ERROR_CONFIGURATION, "a JWKS is an object with an array of `keys`");
    for (size_t i = 0; i < tree_count(list); i++) {
        const struct tree *key = tree_element(list, i);
        enum auth_algorithm algorithm;
        const char *why = why_not(key, &algorithm);
        if (why)
            pass_over(keys, i + 1, key, why);
        else if (!add_jwk(keys, i + 1, key, algorithm, error))
            return error_prefix(error, "key %zu", i + 1);
    }
    return true;
}

bool auth_keys_add_jwks(struct auth_keys *keys, struct span json, struct error *error)
{
    if (json.length > AUTH_MAX_JWKS_BYTES)
        return error_set(error, ERROR_CONFIGURATION, "a JWKS of more than %d bytes is not read",
                         AUTH_MAX_JWKS_BYTES);
    struct error cause;
    struct tree *set = tree_parse(json, &cause);
    /* The cause would quote the text, in which somebody may have put a private key. */
    if (!set)
        return cause.code == ERROR_MEMORY
                   ? error_set(error, ERROR_MEMORY, "out of memory while reading keys")
                   : error_set(error, ERROR_CONFIGURATION, "the JWKS is not valid JSON");
    bool done = add_set(keys, set, error);
    tree_free(set);
    return done;
}
