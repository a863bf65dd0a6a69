/* Private keys, and the tokens that they sign. */

#include "auth/auth_internal.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

struct auth_signer {
    EVP_PKEY *private; /* libcrypto wipes it as it frees it */
    struct auth_public public;
};

enum { RSA_BITS = 3072 /* of a new key */, SIGNATURE_MOST = AUTH_KEY_BYTES };

/* ---- keys ---- */

/* Takes the key. NULL: it is of no kind that signs here, or memory ran out, as *error says. */
static struct auth_signer *signer_of(EVP_PKEY *private, struct error *error)
{
    struct auth_signer *signer = memory_new(sizeof *signer);
    enum crypto_answer answer = CRYPTO_BROKEN;
    if (signer) {
        signer->private = private;
        answer = public_take(private, &signer->public) && public_is_fit(&signer->public)
                     ? CRYPTO_GOOD
                 : crypto_ran_out() ? CRYPTO_BROKEN
                                    : CRYPTO_BAD;
    } else {
        EVP_PKEY_free(private);
    }
    if (answer == CRYPTO_GOOD)
        return signer;
    if (answer == CRYPTO_BROKEN)
        error_set(error, ERROR_MEMORY, "out of memory while reading a key");
    else
        error_set(error, ERROR_CONFIGURATION,
                  "a private key is of Ed25519, P-256, or RSA of %d to %d bits",
                  AUTH_LEAST_RSA_BITS, AUTH_MOST_RSA_BITS);
    auth_signer_free(signer);
    return NULL;
}

struct auth_signer *auth_signer_generate(enum auth_algorithm algorithm, struct error *error)
{
    EVP_PKEY *made = algorithm == AUTH_RS256
                         ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_BITS)
                     : algorithm == AUTH_ES256 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
                                               : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct auth_signer *signer = made ? signer_of(made, error) : NULL;
    if (!made)
        error_set(error, ERROR_INTERNAL, "libcrypto could not make a key");
    ERR_clear_error();
    return signer;
}

static EVP_PKEY *read_private(struct span pem, enum crypto_answer *answer)
{
    BIO *input = BIO_new_mem_buf(pem.data, (int)pem.length);
    EVP_PKEY *read = input ? PEM_read_bio_PrivateKey(input, NULL, crypto_no_password, NULL) : NULL;
    *answer = read ? CRYPTO_GOOD : !input || crypto_ran_out() ? CRYPTO_BROKEN : CRYPTO_BAD;
    BIO_free(input);
    ERR_clear_error();
    return read;
}

struct auth_signer *auth_signer_read(struct span pem, struct error *error)
{
    enum crypto_answer answer = CRYPTO_BAD;
    EVP_PKEY *read = pem.length > AUTH_MAX_KEY_TEXT ? NULL : read_private(pem, &answer);
    if (read)
        return signer_of(read, error);
    if (answer == CRYPTO_BAD)
        error_set(error, ERROR_CONFIGURATION, "this is no private key in PEM without a password");
    else
        error_set(error, ERROR_MEMORY, "out of memory while reading a key");
    return NULL;
}

void auth_signer_free(struct auth_signer *signer)
{
    if (signer)
        EVP_PKEY_free(signer->private);
    memory_free(signer);
}

const struct auth_public *auth_signer_public(const struct auth_signer *signer)
{
    return &signer->public;
}

bool auth_signer_print(const struct auth_signer *signer, struct buffer *out, struct error *error)
{
    char *data = NULL;
    BIO *output = BIO_new(BIO_s_secmem());
    bool done = output && PEM_write_bio_PKCS8PrivateKey(output, signer->private, NULL, NULL, 0,
                                                        NULL, NULL) == 1;
    long length = done ? BIO_get_mem_data(output, &data) : 0;
    done = done && length > 0 && buffer_add(out, data, (size_t)length);
    BIO_free(output);
    ERR_clear_error();
    return done || error_set(error, ERROR_MEMORY, "out of memory while writing a key");
}

/* ---- tokens ---- */

static bool make_signature(const struct auth_signer *signer, struct span text,
                           unsigned char bytes[SIGNATURE_MOST], size_t *length)
{
    enum auth_algorithm algorithm = signer->public.algorithm;
    EVP_PKEY_CTX *of_key = NULL; /* the context's */
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    *length = SIGNATURE_MOST;
    bool done =
        context &&
        EVP_DigestSignInit(context, &of_key, digest_of(algorithm), NULL, signer->private) == 1 &&
        choose_padding(algorithm, of_key) &&
        EVP_DigestSign(context, bytes, length, (const unsigned char *)text.data, text.length) == 1;
    EVP_MD_CTX_free(context);
    if (done && algorithm == AUTH_ES256) {
        unsigned char pair[AUTH_P256_BYTES];
        done = p256_from_der(span_make((const char *)bytes, *length), pair);
        memcpy(bytes, pair, sizeof pair);
        *length = sizeof pair;
    }
    ERR_clear_error();
    return done;
}

bool auth_sign(const struct auth_signer *signer, struct span claims, struct buffer *out,
               struct error *error)
{
    char id[AUTH_KEY_ID_SIZE], header[128];
    unsigned char signature[SIGNATURE_MOST];
    size_t start = out->length, length;
    if (!auth_key_id(&signer->public, id))
        return error_set(error, ERROR_MEMORY, "out of memory while signing");
    snprintf(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
             auth_algorithm_name(signer->public.algorithm), id);
    base64_encode(span_of(header), out);
    buffer_add_char(out, '.');
    base64_encode(claims, out);
    struct span text = span_make(out->data + start, out->length - start);
    if (out->failed || !make_signature(signer, text, signature, &length))
        return error_set(error, ERROR_MEMORY, "out of memory while signing");
    buffer_add_char(out, '.');
    if (!base64_encode(span_make((const char *)signature, length), out))
        return error_set(error, ERROR_MEMORY, "out of memory while signing");
    return true;
}
