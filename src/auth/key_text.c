/* Public keys as people write them; jwk.c has them as programs do. */
#include "auth/auth_internal.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static struct span trim(struct span text)
{
    static const char space[] = " \t\r\n";
    while (text.length && strchr(space, text.data[text.length - 1]))
        text.length--;
    while (text.length && strchr(space, text.data[0]))
        text = span_make(text.data + 1, text.length - 1);
    return text;
}

static bool is_pem(struct span text)
{
    return span_starts_with(text, "-----BEGIN ");
}

/* ---- PEM ---- */

int crypto_no_password(char *buffer, int size, int writing, void *argument)
{
    (void)buffer, (void)size, (void)writing, (void)argument;
    return -1;
}

static EVP_PKEY *read_certificate(BIO *input)
{
    X509 *certificate = PEM_read_bio_X509(input, NULL, crypto_no_password, NULL);
    EVP_PKEY *key = certificate ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return key;
}

/* BAD: not PEM of that kind, or of a kind that is not accepted here. */
static enum crypto_answer pem_read_public(struct span pem, struct auth_public *public)
{
    static const char certificate[] = "-----BEGIN CERTIFICATE-----";
    enum crypto_answer answer = CRYPTO_BROKEN;
    if (pem.length > INT_MAX)
        return CRYPTO_BAD;
    BIO *input = BIO_new_mem_buf(pem.data, (int)pem.length);
    EVP_PKEY *key = NULL;
    if (input) {
        key = span_starts_with(pem, certificate)
                  ? read_certificate(input)
                  : PEM_read_bio_PUBKEY(input, NULL, crypto_no_password, NULL);
        answer = key && public_take(key, public) ? CRYPTO_GOOD
                 : crypto_ran_out()              ? CRYPTO_BROKEN
                                                 : CRYPTO_BAD;
    }
    EVP_PKEY_free(key);
    BIO_free(input);
    ERR_clear_error();
    return answer;
}

/* BAD: not PEM of that kind, or of a kind that is not accepted here. */
static bool pem_print_public(const struct auth_public *public, struct buffer *out)
{
    char *data = NULL;
    enum crypto_answer answer;
    EVP_PKEY *key = public_open(public, &answer);
    BIO *output = BIO_new(BIO_s_mem());
    bool done = key && output && PEM_write_bio_PUBKEY(output, key) == 1;
    long length = done ? BIO_get_mem_data(output, &data) : 0;
    done = done && length > 0 && buffer_add(out, data, (size_t)length);
    BIO_free(output);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return done;
}

/* ---- one key ---- */

static bool not_a_key(struct error *error)
{
    return error_set(error, ERROR_CONFIGURATION,
                     "this is no public key of Ed25519, P-256 or RSA: give the 32 bytes of Ed25519 "
                     "as hex or base64, or a PEM \"PUBLIC KEY\" or \"CERTIFICATE\"");
}

static bool read_base64(struct span text, struct auth_public *key, bool *ran_out)
{
    struct buffer decoded;
    buffer_init(&decoded, AUTH_MAX_KEY_TEXT);
    bool good = base64_decode(text, false, &decoded) && decoded.length == AUTH_ED25519_BYTES;
    if (good)
        memcpy(key->bytes, decoded.data, AUTH_ED25519_BYTES);
    *ran_out = decoded.failed;
    buffer_fini(&decoded);
    return good;
}

static bool read_key(struct span text, struct auth_public *key, struct error *error)
{
    bool ran_out = false;
    *key = (struct auth_public){.algorithm = AUTH_EDDSA, .length = AUTH_ED25519_BYTES};
    text = trim(text);
    if (text.length > AUTH_MAX_KEY_TEXT)
        return not_a_key(error);
    if (is_pem(text)) {
        enum crypto_answer answer = pem_read_public(text, key);
        if (answer == CRYPTO_BROKEN)
            return error_set(error, ERROR_MEMORY, "out of memory while reading a key");
        return answer == CRYPTO_GOOD || not_a_key(error);
    }
    if (hex_decode(text, key->bytes, AUTH_ED25519_BYTES) || read_base64(text, key, &ran_out))
        return true;
    if (ran_out)
        return error_set(error, ERROR_MEMORY, "out of memory while reading a key");
    return not_a_key(error);
}

bool auth_keys_add(struct auth_keys *keys, struct span text, struct span id, int64_t ends_at,
                   struct error *error)
{
    struct auth_public key;
    return read_key(text, &key, error) && auth_keys_add_public(keys, &key, id, ends_at, error);
}

bool auth_print_public(const struct auth_public *key, struct buffer *out)
{
    if (key->algorithm != AUTH_EDDSA)
        return pem_print_public(key, out);
    return base64_encode(span_make((const char *)key->bytes, key->length), out);
}

/* ---- the configuration's list ---- */

static bool add_object(struct auth_keys *keys, const struct tree *object, struct error *error)
{
    static const char *const known[] = {"key", "kid", "ends_at", NULL};
    struct members members = {object, ERROR_CONFIGURATION, error, false};
    int64_t ends_at = 0;
    if (!member_only(&members, known) || !member_end(&members, "ends_at", &ends_at))
        return false;
    const struct tree *key = member_find(&members, "key"), *id = member_find(&members, "kid");
    if (!key || tree_type(key) != TREE_STRING)
        return member_wrong(&members, "key", "a public key as a text");
    if (id && tree_type(id) != TREE_STRING)
        return member_wrong(&members, "kid", "a text");
    return auth_keys_add(keys, tree_string(key), id ? tree_string(id) : span_make(NULL, 0), ends_at,
                         error);
}

static bool add_item(struct auth_keys *keys, const struct tree *item, struct error *error)
{
    if (tree_type(item) == TREE_STRING)
        return auth_keys_add(keys, tree_string(item), span_make(NULL, 0), 0, error);
    if (tree_type(item) == TREE_OBJECT)
        return add_object(keys, item, error);
    return error_set(error, ERROR_CONFIGURATION, "a key is a text or an object with `key`");
}

bool auth_keys_add_list(struct auth_keys *keys, const struct tree *list, struct error *error)
{
    if (tree_type(list) != TREE_ARRAY)
        return error_set(error, ERROR_CONFIGURATION, "keys come as an array");
    for (size_t i = 0; i < tree_count(list); i++)
        if (!add_item(keys, tree_element(list, i), error))
            return error_prefix(error, "key %zu", i + 1);
    return true;
}
