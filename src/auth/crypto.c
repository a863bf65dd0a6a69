/*
 * Signatures and digests by libcrypto. Public keys are kept as their bytes and made into an
 * EVP_PKEY for each use: that costs little beside a signature, and leaves no state to share
 * between threads.
 */
#include "auth/auth_internal.h"

#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

/* It does not note every one: a good signature may then be called a bad one, never the other way
 * round. */
bool crypto_ran_out(void)
{
    bool found = false;
    for (unsigned long each; (each = ERR_get_error());)
        found = found || ERR_GET_REASON(each) == ERR_R_MALLOC_FAILURE;
    return found;
}

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

bool p256_from_der(struct span der, unsigned char bytes[AUTH_P256_BYTES])
{
    const unsigned char *at = (const unsigned char *)der.data;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)der.length);
    bool done =
        pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), bytes, NUMBER_BYTES) == NUMBER_BYTES &&
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), bytes + NUMBER_BYTES, NUMBER_BYTES) == NUMBER_BYTES;
    ECDSA_SIG_free(pair);
    return done;
}

/* ---- signatures ---- */

const EVP_MD *digest_of(enum auth_algorithm algorithm)
{
    return algorithm == AUTH_EDDSA ? NULL : EVP_sha256();
}

/* RS256 is PKCS #1 v1.5, and never PSS. */
bool choose_padding(enum auth_algorithm algorithm, EVP_PKEY_CTX *context)
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

size_t signature_bytes(const struct auth_public *public)
{
    return public->algorithm == AUTH_RS256 ? public->length : AUTH_P256_BYTES;
}

/* ---- digests ---- */

bool digest(struct span bytes, unsigned char out[DIGEST_BYTES])
{
    size_t length = 0;
    bool done = EVP_Q_digest(NULL, "SHA256", NULL, bytes.data, bytes.length, out, &length) == 1;
    ERR_clear_error();
    return done && length == DIGEST_BYTES;
}

bool auth_digest(struct span bytes, unsigned char out[DIGEST_BYTES])
{
    return digest(bytes, out);
}

bool digests_equal(const unsigned char *left, const unsigned char *right)
{
    return CRYPTO_memcmp(left, right, DIGEST_BYTES) == 0;
}
