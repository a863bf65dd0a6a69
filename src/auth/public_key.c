/*
 * Public keys between libcrypto and their bytes: which kinds and sizes there are here. The decoders
 * of libcrypto keep some failures of an allocation to themselves: a good key may then be called
 * none, never another one.
 */
#include "auth/auth_internal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

/* It does not note every one: a good signature may then be called a bad one, never the other way
 * round. */
bool crypto_ran_out(void)
{
    bool found = false;
    for (unsigned long each; (each = ERR_get_error());)
        found = found || ERR_GET_REASON(each) == ERR_R_MALLOC_FAILURE;
    return found;
}

#define P256 "prime256v1"
enum { UNCOMPRESSED = 4, COORDINATE = AUTH_P256_BYTES / 2 };

/* ---- from bytes ---- */

static EVP_PKEY *make(const char *kind, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    if (!parameters || !context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return key;
}

/* libcrypto takes points of the curve only. */
static EVP_PKEY *open_p256(const struct auth_public *public)
{
    unsigned char point[1 + AUTH_P256_BYTES] = {UNCOMPRESSED};
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    memcpy(point + 1, public->bytes, AUTH_P256_BYTES);
    if (builder && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, P256, 0) &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point))
        key = make("EC", builder);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static EVP_PKEY *open_rsa(const struct auth_public *public)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = BN_bin2bn(public->bytes, (int)public->length, NULL), *exponent = BN_new();
    if (builder && modulus && exponent && BN_set_word(exponent, public->exponent) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
        key = make("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

EVP_PKEY *public_open(const struct auth_public *public, enum crypto_answer *answer)
{
    EVP_PKEY *key =
        public->algorithm == AUTH_ES256 ? open_p256(public)
        : public->algorithm == AUTH_RS256
            ? open_rsa(public)
            : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public->bytes, public->length);
    *answer = key ? CRYPTO_GOOD : crypto_ran_out() ? CRYPTO_BROKEN : CRYPTO_BAD;
    ERR_clear_error();
    return key;
}

/* ---- to bytes ---- */

static bool get_coordinate(const EVP_PKEY *key, const char *name, unsigned char *bytes)
{
    BIGNUM *number = NULL;
    bool done = EVP_PKEY_get_bn_param(key, name, &number) == 1 &&
                BN_bn2binpad(number, bytes, COORDINATE) == COORDINATE;
    BN_free(number);
    return done;
}

static bool take_p256(const EVP_PKEY *key, struct auth_public *public)
{
    char group[32] = "";
    *public = (struct auth_public){.algorithm = AUTH_ES256, .length = AUTH_P256_BYTES};
    return EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           strcmp(group, P256) == 0 &&
           get_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, public->bytes) &&
           get_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, public->bytes + COORDINATE);
}

static bool take_rsa(const EVP_PKEY *key, struct auth_public *public)
{
    BIGNUM *modulus = NULL, *exponent = NULL;
    *public = (struct auth_public){.algorithm = AUTH_RS256};
    bool done = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus) == 1 &&
                EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
                BN_num_bytes(modulus) <= AUTH_KEY_BYTES && BN_num_bytes(exponent) <= 4;
    if (done) {
        public->length = (size_t)BN_bn2bin(modulus, public->bytes);
        public->exponent = (uint32_t)BN_get_word(exponent);
    }
    BN_free(modulus);
    BN_free(exponent);
    return done;
}

static bool take_ed25519(const EVP_PKEY *key, struct auth_public *public)
{
    *public = (struct auth_public){.algorithm = AUTH_EDDSA, .length = AUTH_ED25519_BYTES};
    return EVP_PKEY_get_raw_public_key(key, public->bytes, &public->length) == 1 &&
           public->length == AUTH_ED25519_BYTES;
}

bool public_take(const EVP_PKEY *key, struct auth_public *public)
{
    if (EVP_PKEY_is_a(key, "ED25519"))
        return take_ed25519(key, public);
    if (EVP_PKEY_is_a(key, "EC"))
        return take_p256(key, public);
    return EVP_PKEY_is_a(key, "RSA") && take_rsa(key, public); /* which RSA-PSS is not */
}
