#include "bench/issuer.h"

#include <openssl/evp.h>

enum { KEY_BYTES = 32, SIGNATURE_BYTES = 64 };

static const char header[] = "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"bench\"}";

/* Base64 for URLs, without padding. */
static bool add_base64(struct buffer *out, const unsigned char *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < length; i += 3) {
        size_t count = length - i < 3 ? length - i : 3;
        unsigned bits = (unsigned)bytes[i] << 16 | (count > 1 ? bytes[i + 1] : 0U) << 8 |
                        (count > 2 ? bytes[i + 2] : 0U);
        for (size_t digit = 0; digit <= count; digit++)
            buffer_add_char(out, digits[bits >> (18 - 6 * digit) & 63]);
    }
    return !out->failed;
}

static bool print_public(struct issuer *issuer)
{
    unsigned char bytes[KEY_BYTES];
    size_t length = sizeof bytes;
    struct buffer text;
    buffer_init(&text, ISSUER_KEY_TEXT);
    bool done = EVP_PKEY_get_raw_public_key(issuer->key, bytes, &length) == 1 &&
                add_base64(&text, bytes, length) && buffer_string(&text);
    if (done)
        memcpy(issuer->public_key, text.data, text.length + 1);
    buffer_fini(&text);
    return done;
}

bool issuer_init(struct issuer *issuer, struct error *error)
{
    *issuer = (struct issuer){.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    return (issuer->key && print_public(issuer)) ||
           error_set(error, ERROR_INTERNAL, "libcrypto makes no key");
}

void issuer_fini(struct issuer *issuer)
{
    EVP_PKEY_free(issuer->key);
    issuer->key = NULL;
}

bool issuer_sign(const struct issuer *issuer, struct span claims, struct buffer *token)
{
    unsigned char signature[SIGNATURE_BYTES];
    size_t length = sizeof signature, from = token->length;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    add_base64(token, (const unsigned char *)header, sizeof header - 1);
    buffer_add_char(token, '.');
    add_base64(token, (const unsigned char *)claims.data, claims.length);
    bool done =
        context && !token->failed &&
        EVP_DigestSignInit(context, NULL, NULL, NULL, issuer->key) == 1 &&
        EVP_DigestSign(context, signature, &length, (const unsigned char *)token->data + from,
                       token->length - from) == 1 &&
        buffer_add_char(token, '.') && add_base64(token, signature, length);
    EVP_MD_CTX_free(context);
    return done;
}
