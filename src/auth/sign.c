/* Private keys, and the tokens that they sign. */

#include "auth/auth_internal.h"
#include <stdio.h>

struct auth_signer {
    unsigned char seed[SEED_BYTES];
    unsigned char key[AUTH_KEY_BYTES];
};

static struct auth_signer *signer_new(struct error *error)
{
    struct auth_signer *signer = memory_new(sizeof *signer);
    if (!signer)
        error_set(error, ERROR_MEMORY, "out of memory while making a key");
    return signer;
}

struct auth_signer *auth_signer_generate(struct error *error)
{
    struct auth_signer *signer = signer_new(error);
    if (signer && !ed25519_generate(signer->seed, signer->key)) {
        error_set(error, ERROR_INTERNAL, "libcrypto could not make a key");
        auth_signer_free(signer);
        signer = NULL;
    }
    return signer;
}

struct auth_signer *auth_signer_read(struct span pem, struct error *error)
{
    struct auth_signer *signer = signer_new(error);
    if (!signer)
        return NULL;
    enum crypto_answer answer = pem.length > AUTH_MAX_KEY_TEXT
                                    ? CRYPTO_BAD
                                    : pem_read_private(pem, signer->seed, signer->key);
    if (answer == CRYPTO_GOOD)
        return signer;
    if (answer == CRYPTO_BAD)
        error_set(error, ERROR_CONFIGURATION,
                  "this is no private key of Ed25519 in PEM without a password");
    else
        error_set(error, ERROR_MEMORY, "out of memory while reading a key");
    auth_signer_free(signer);
    return NULL;
}

void auth_signer_free(struct auth_signer *signer)
{
    if (signer)
        wipe(signer, sizeof *signer);
    memory_free(signer);
}

const unsigned char *auth_signer_public(const struct auth_signer *signer)
{
    return signer->key;
}

bool auth_signer_print(const struct auth_signer *signer, struct buffer *out, struct error *error)
{
    return pem_print_private(signer->seed, out) ||
           error_set(error, ERROR_MEMORY, "out of memory while writing a key");
}

bool auth_sign(const struct auth_signer *signer, struct span claims, struct buffer *out,
               struct error *error)
{
    char id[AUTH_KEY_ID_SIZE], header[80];
    unsigned char signature[SIGNATURE_BYTES];
    size_t start = out->length;
    auth_key_id(signer->key, id);
    snprintf(header, sizeof header, "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\"}", id);
    base64_encode(span_of(header), out);
    buffer_add_char(out, '.');
    base64_encode(claims, out);
    struct span text = span_make(out->data + start, out->length - start);
    if (out->failed || !ed25519_sign(signer->seed, text, signature))
        return error_set(error, ERROR_MEMORY, "out of memory while signing");
    buffer_add_char(out, '.');
    if (!base64_encode(span_make((const char *)signature, sizeof signature), out))
        return error_set(error, ERROR_MEMORY, "out of memory while signing");
    return true;
}
