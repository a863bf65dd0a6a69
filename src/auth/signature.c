/*
 * Signatures by libcrypto: verified by public keys, made by private ones. Public keys are kept as
 * their bytes and made into an EVP_PKEY for each use: that costs little beside a signature, and
 * leaves no state to share between threads.
 */
#include "auth/auth_internal.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

/* ---- ES256: two numbers of 32 bytes in a token, a DER sequence for libcrypto ---- */

enum { NUMBER_BYTES = 32, DER_BYTES = 80 };

static ECDSA_SIG *pair_of(const unsigned char *bytes)
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(bytes, NUMBER_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(bytes + NUMBER_BYTES, NUMBER_BYTES, NULL);
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1)
        return pair;
    ECDSA_SIG_free(pair);
    BN_free(r);
    BN_free(s);
    return NULL;
}

/* The length in DER, or 0 when out of memory. */
static size_t to_der(const unsigned char *bytes, unsigned char der[DER_BYTES])
{
    ECDSA_SIG *pair = pair_of(bytes);
    int length = pair ? i2d_ECDSA_SIG(pair, NULL) : 0;
    if (length > 0 && length <= DER_BYTES) {
        unsigned char *end = der;
        length = i2d_ECDSA_SIG(pair, &end);
    }
    ECDSA_SIG_free(pair);
    return length > 0 && length <= DER_BYTES ? (size_t)length : 0;
}

/* A signature of P-256 in the form of tokens. */
static bool p256_from_der(struct span der, unsigned char bytes[AUTH_P256_BYTES])
{
    const unsigned char *at = (const unsigned char *)der.data;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)der.length);
    bool done =
        pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), bytes, NUMBER_BYTES) == NUMBER_BYTES &&
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), bytes + NUMBER_BYTES, NUMBER_BYTES) == NUMBER_BYTES;
    ECDSA_SIG_free(pair);
    return done;
}

/* ---- verifying ---- */

/* The digest of its signatures; NULL: the message itself. */
/* The digest of its signatures; NULL: the message itself. */
static const EVP_MD *digest_of(enum auth_algorithm algorithm)
{
    return algorithm == AUTH_EDDSA ? NULL : EVP_sha256();
}

/* RS256 is PKCS #1 v1.5, and never PSS. */
static bool choose_padding(enum auth_algorithm algorithm, EVP_PKEY_CTX *context)
{
    return algorithm != AUTH_RS256 || EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
}

static enum crypto_answer verify_by(EVP_PKEY *key, enum auth_algorithm algorithm,
                                    struct span message, struct span signature)
{
    enum crypto_answer answer = CRYPTO_BROKEN;
    EVP_PKEY_CTX *of_key = NULL; /* the context's */
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context && EVP_DigestVerifyInit(context, &of_key, digest_of(algorithm), NULL, key) == 1 &&
        choose_padding(algorithm, of_key)) {
        int result =
            EVP_DigestVerify(context, (const unsigned char *)signature.data, signature.length,
                             (const unsigned char *)message.data, message.length);
        answer = result == 1 ? CRYPTO_GOOD : crypto_ran_out() ? CRYPTO_BROKEN : CRYPTO_BAD;
    }
    EVP_MD_CTX_free(context);
    return answer;
}

/* The length of its signatures. */
static size_t signature_bytes(const struct auth_public *public)
{
    return public->algorithm == AUTH_RS256 ? public->length : AUTH_P256_BYTES;
}

enum crypto_answer signature_verify(const struct auth_public *public, struct span message,
                                    struct span signature)
{
    unsigned char der[DER_BYTES];
    enum crypto_answer answer;
    if (signature.length != signature_bytes(public))
        return CRYPTO_BAD;
    if (public->algorithm == AUTH_ES256) {
        size_t length = to_der((const unsigned char *)signature.data, der);
        if (!length)
            return CRYPTO_BROKEN;
        signature = span_make((const char *)der, length);
    }
    EVP_PKEY *key = public_open(public, &answer);
    if (key)
        answer = verify_by(key, public->algorithm, message, signature);
    else if (answer == CRYPTO_BAD)
        answer = CRYPTO_BROKEN; /* it was good when it came into its set */
    EVP_PKEY_free(key);
    ERR_clear_error();
    return answer;
}

/* ---- private keys ---- */

enum { RSA_BITS = 3072 /* of a new key */, SIGNATURE_MOST = AUTH_KEY_BYTES };

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
             auth_algorithm_names[signer->public.algorithm], id);
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
