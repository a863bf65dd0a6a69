/* Sets of public keys: their possible content, their names, and how they are printed as a JWKS. */
#include "auth/auth_internal.h"

#include <openssl/evp.h>
#include <stdio.h>

struct auth_keys *auth_keys_new(void)
{
    struct auth_keys *keys = memory_new(sizeof *keys);
    if (keys)
        atomic_init(&keys->references, 1);
    return keys;
}

struct auth_keys *auth_keys_retain(struct auth_keys *keys)
{
    atomic_fetch_add_explicit(&keys->references, 1, memory_order_relaxed);
    return keys;
}

void auth_keys_release(struct auth_keys *keys)
{
    if (!keys || atomic_fetch_sub_explicit(&keys->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < keys->count; i++)
        memory_free(keys->keys[i].id);
    memory_free(keys);
}

const struct auth_key *keys_find(const struct auth_keys *keys, struct span id,
                                 enum auth_algorithm algorithm)
{
    for (size_t i = 0; i < keys->count; i++)
        if (keys->keys[i].public.algorithm == algorithm &&
            span_equal(span_of(keys->keys[i].id), id))
            return &keys->keys[i];
    return NULL;
}

/* ---- algorithms ---- */

const char *const auth_algorithm_names[] = {
    [AUTH_EDDSA] = "EdDSA", [AUTH_ES256] = "ES256", [AUTH_RS256] = "RS256"};

/* EdDSA by both of its names: RFC 8037 calls the family, RFC 9864 the curve. */
bool auth_algorithm_read(struct span name, enum auth_algorithm *algorithm)
{
    *algorithm = AUTH_EDDSA;
    if (span_equal(name, span_of("Ed25519")))
        return true;
    for (size_t i = 0; i < sizeof auth_algorithm_names / sizeof *auth_algorithm_names; i++) {
        *algorithm = (enum auth_algorithm)i;
        if (span_equal(name, span_of(auth_algorithm_names[i])))
            return true;
    }
    return false;
}

/* ---- printing as JSON ---- */

static void print_number(struct buffer *out, const char *before, const unsigned char *bytes,
                         size_t length)
{
    buffer_add_string(out, before);
    base64_encode(span_make((const char *)bytes, length), out);
    buffer_add_char(out, '"');
}

static void print_rsa(const struct auth_public *key, struct buffer *out)
{
    unsigned char exponent[sizeof key->exponent];
    size_t length = 0;
    for (int shift = 24; shift >= 0; shift -= 8)
        if (length || key->exponent >> shift)
            exponent[length++] = (unsigned char)(key->exponent >> shift);
    print_number(out, "{\"e\":\"", exponent, length);
    print_number(out, ",\"kty\":\"RSA\",\"n\":\"", key->bytes, key->length);
}

/* Append the required members of a public key, in order of their names, as an object. */
static void jwk_print_members(const struct auth_public *key, struct buffer *out)
{
    enum { HALF = AUTH_P256_BYTES / 2 };
    if (key->algorithm == AUTH_RS256) {
        print_rsa(key, out);
    } else if (key->algorithm == AUTH_ES256) {
        print_number(out, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"", key->bytes, HALF);
        print_number(out, ",\"y\":\"", key->bytes + HALF, HALF);
    } else {
        print_number(out, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"", key->bytes, key->length);
    }
    buffer_add_char(out, '}');
}

bool auth_keys_print_jwks(const struct auth_keys *keys, struct buffer *out)
{
    buffer_add_string(out, "{\"keys\":[");
    for (size_t i = 0; i < keys->count; i++) {
        const struct auth_key *key = &keys->keys[i];
        buffer_add_string(out, i ? "," : "");
        jwk_print_members(&key->public, out);
        if (!out->failed)
            out->length--; /* the brace: more members follow */
        buffer_printf(out, ",\"use\":\"sig\",\"alg\":\"%s\",\"kid\":",
                      auth_algorithm_names[key->public.algorithm]);
        doc_escape(out, span_of(key->id));
        buffer_add_char(out, '}');
    }
    return buffer_add_string(out, "]}");
}

/* ---- the default name of a key ---- */

static void hex_id(const struct auth_public *key, char id[AUTH_KEY_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    enum { DIGITS = 16 };
    for (size_t i = 0; i < DIGITS; i++)
        id[i] = digits[(i % 2 ? key->bytes[i / 2] : key->bytes[i / 2] >> 4) & 15];
    id[DIGITS] = '\0';
}

/* RFC 7638: the members that a key must have, in order of their names, without white space. */
bool auth_key_id(const struct auth_public *key, char id[AUTH_KEY_ID_SIZE])
{
    unsigned char thumbprint[DIGEST_BYTES];
    struct buffer text;
    if (key->algorithm == AUTH_EDDSA) {
        hex_id(key, id);
        return true;
    }
    buffer_init(&text, 4 * AUTH_KEY_BYTES);
    jwk_print_members(key, &text);
    bool done = !text.failed && auth_digest(buffer_span(&text), thumbprint);
    buffer_clear(&text);
    done = done && base64_encode(span_make((const char *)thumbprint, sizeof thumbprint), &text) &&
           text.length < AUTH_KEY_ID_SIZE;
    if (done)
        snprintf(id, AUTH_KEY_ID_SIZE, "%s", buffer_string(&text));
    buffer_fini(&text);
    return done;
}

/* ---- adding ---- */

/*
 * The encodings of the points of small order, but for the sign bit, which is the top bit of the
 * last byte. Under such a key (one of nothing but zeros, for example) anybody can make signatures.
 */
static bool is_weak(const unsigned char bytes[AUTH_ED25519_BYTES])
{
    static const char *const weak[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    unsigned char one[AUTH_ED25519_BYTES];
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        hex_decode(span_of(weak[i]), one, sizeof one);
        one[AUTH_ED25519_BYTES - 1] |= bytes[AUTH_ED25519_BYTES - 1] & 0x80;
        if (memcmp(one, bytes, sizeof one) == 0)
            return true;
    }
    return false;
}

static size_t bits_of(const struct auth_public *public)
{
    size_t bits = public->length * 8;
    for (unsigned mask = 0x80; mask && !(public->bytes[0] & mask); mask >>= 1)
        bits--;
    return bits;
}

/* Even numbers are none of RSA; an exponent of 1 signs nothing. */
bool public_is_fit(const struct auth_public *public)
{
    if (public->algorithm == AUTH_EDDSA)
        return public->length == AUTH_ED25519_BYTES;
    if (public->algorithm == AUTH_ES256)
        return public->length == AUTH_P256_BYTES;
    size_t bits = public->length ? bits_of(public) : 0;
    return bits >= AUTH_LEAST_RSA_BITS && bits <= AUTH_MOST_RSA_BITS &&
           (public->bytes[public->length - 1] & 1) && (public->exponent & 1) &&
           public->exponent > 1;
}

static bool check_public(const struct auth_public *public, const char *id, struct error *error)
{
    enum crypto_answer answer;
    if (public->algorithm == AUTH_EDDSA && is_weak(public->bytes))
        return error_set(error, ERROR_CONFIGURATION,
                         "the public key %s… is one for which anybody can sign", id);
    if (!public_is_fit(public))
        return error_set(error, ERROR_CONFIGURATION, "a key of RSA has %d to %d bits, and is odd",
                         AUTH_LEAST_RSA_BITS, AUTH_MOST_RSA_BITS);
    if (public->algorithm == AUTH_EDDSA) /* any 32 bytes are taken */
        return true;
    EVP_PKEY_free(public_open(public, &answer));
    if (answer == CRYPTO_BROKEN)
        return error_set(error, ERROR_MEMORY, "out of memory while reading keys");
    return answer == CRYPTO_GOOD ||
           error_set(error, ERROR_CONFIGURATION, "the bytes of the public key %s are no key", id);
}

/* Keys of different algorithms may have one name: which is meant a token's header says. */
static bool check_id(const struct auth_keys *keys, struct span id, enum auth_algorithm algorithm,
                     struct error *error)
{
    if (id.length == 0 || id.length > AUTH_MAX_KEY_ID || memchr(id.data, 0, id.length))
        return error_set(error, ERROR_CONFIGURATION, "a kid has 1 to %d bytes and no NUL",
                         AUTH_MAX_KEY_ID);
    if (keys_find(keys, id, algorithm))
        return error_set(error, ERROR_CONFIGURATION, "there are two keys with the kid \"%.*s\"",
                         (int)id.length, id.data);
    return true;
}

bool auth_keys_add_public(struct auth_keys *keys, const struct auth_public *public, struct span id,
                          int64_t ends_at, struct error *error)
{
    char own[AUTH_KEY_ID_SIZE];
    if (!auth_key_id(public, own))
        return error_set(error, ERROR_MEMORY, "out of memory while reading keys");
    if (!id.data)
        id = span_of(own);
    if (!check_public(public, own, error))
        return false;
    if (keys->count == AUTH_MAX_KEYS)
        return error_set(error, ERROR_CONFIGURATION, "there are more than %d keys", AUTH_MAX_KEYS);
    if (!check_id(keys, id, public->algorithm, error))
        return false;
    struct auth_key *key = &keys->keys[keys->count];
    *key = (struct auth_key){
        .id = memory_copy_string(id.data, id.length), .public = *public, .ends_at = ends_at};
    if (!key->id)
        return error_set(error, ERROR_MEMORY, "out of memory while reading keys");
    keys->count++;
    return true;
}

static bool same_public(const struct auth_public *a, const struct auth_public *b)
{
    return a->algorithm == b->algorithm && a->exponent == b->exponent && a->length == b->length &&
           memcmp(a->bytes, b->bytes, a->length) == 0;
}

bool auth_keys_add_all(struct auth_keys *keys, const struct auth_keys *others, struct error *error)
{
    for (size_t i = 0; i < others->count; i++) {
        const struct auth_key *other = &others->keys[i];
        const struct auth_key *known = keys_find(keys, span_of(other->id), other->public.algorithm);
        if (known && same_public(&known->public, &other->public))
            continue;
        if (!auth_keys_add_public(keys, &other->public, span_of(other->id), other->ends_at, error))
            return false;
    }
    return true;
}
