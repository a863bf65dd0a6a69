/*
 * ES256 and RS256 beside EdDSA: the examples of the RFCs, keys that are taken and refused, and that
 * the algorithm is the key's, whatever a header says.
 */
#include "auth_fixture.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

/* ---- keys and tokens by libcrypto ---- */

static EVP_PKEY *rsa_pair, *p256_pair; /* made once: RSA takes its time */
static const struct span no_id = {NULL, 0};

static char *pem_of(EVP_PKEY *key)
{
    char *data;
    BIO *out = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(out, key);
    long length = BIO_get_mem_data(out, &data);
    char *pem = strndup(data, (size_t)length);
    BIO_free(out);
    return pem;
}

static void add_pair(struct auth_keys *keys, EVP_PKEY *pair, const char *id)
{
    struct error error = {.code = ERROR_NONE};
    char *pem = pem_of(pair);
    if (!auth_keys_add(keys, span_of(pem), id ? span_of(id) : no_id, 0, &error))
        fail_msg("%s", error.message);
    free(pem);
}

static void to_pair_of_numbers(unsigned char *signature, size_t *length)
{
    const unsigned char *at = signature;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)*length);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + 32, 32), 32);
    *length = 64;
    ECDSA_SIG_free(pair);
}

enum how { PLAIN, AS_PSS, AS_DER, BY_SHA512 };

static void sign_with(EVP_PKEY *pair, struct span text, enum how how, unsigned char *signature,
                      size_t *length)
{
    EVP_PKEY_CTX *of_key;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *hash = how == BY_SHA512 ? EVP_sha512() : EVP_sha256();
    assert_int_equal(EVP_DigestSignInit(context, &of_key, hash, NULL, pair), 1);
    if (how == AS_PSS)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(of_key, RSA_PKCS1_PSS_PADDING), 1);
    assert_int_equal(
        EVP_DigestSign(context, signature, length, (unsigned char *)text.data, text.length), 1);
    if (EVP_PKEY_is_a(pair, "EC") && how != AS_DER)
        to_pair_of_numbers(signature, length);
    EVP_MD_CTX_free(context);
}

static char *token_by(EVP_PKEY *pair, const char *header, enum how how)
{
    unsigned char signature[1024];
    size_t length = sizeof signature;
    struct buffer text;
    buffer_init(&text, 1 << 16);
    add_base64url(&text, header, strlen(header));
    buffer_add_char(&text, '.');
    add_base64url(&text, GOOD_CLAIMS, strlen(GOOD_CLAIMS));
    sign_with(pair, buffer_span(&text), how, signature, &length);
    buffer_fini(&text);
    return token_make_signed(header, GOOD_CLAIMS, signature, length);
}

/* The token is freed. */
static enum error_code code_by(const struct auth_keys *keys, char *token)
{
    struct error error = {.code = ERROR_NONE};
    struct auth_identity *identity =
        auth_verify(keys, &strict_rules, &plain_request, span_of(token), &error);
    assert_true((identity != NULL) == (error.code == ERROR_NONE));
    auth_identity_release(identity);
    free(token);
    return error.code;
}

/* ---- the examples of the RFCs ---- */

#define RFC_PAYLOAD                                                                                \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"                             \
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

static const struct {
    const char *what, *jwk, *text, *signature;
} examples[] = {
    {"RFC 7515, A.2",
     "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Va"
     "w-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg"
     "0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5Z"
     "wKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
     "\",\"e\":\"AQAB\"}",
     "eyJhbGciOiJSUzI1NiJ9." RFC_PAYLOAD,
     "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5"
     "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
     "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
     "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
    {"RFC 7515, A.3",
     "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
     "\"y\":"
     "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
     "eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD,
     "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
    /* The other examples of RFC 7520 are of algorithms that are not taken here. */
    {"RFC 7520, 4.1",
     "{\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\",\"n\":\""
     "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_"
     "AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpP"
     "e7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg"
     "_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw\","
     "\"e\":\"AQAB\"}",
     "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9."
     "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAg"
     "b250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dp"
     "bmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4",
     "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83"
     "xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJ"
     "Dt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12"
     "podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg"},
};

static void read_set(struct auth_keys *keys, const char *jwk)
{
    char json[2048];
    struct error error = {.code = ERROR_NONE};
    snprintf(json, sizeof json, "{\"keys\":[%s]}", jwk);
    if (!auth_keys_add_jwks(keys, span_of(json), &error))
        fail_msg("%s", error.message);
}

/* Any other bit makes another signature. */
TEST(the_examples_of_rfc_7515_and_7520)
{
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct buffer signature;
        struct auth_keys *keys = auth_keys_new();
        buffer_init(&signature, 1024);
        read_set(keys, examples[i].jwk);
        assert_int_equal(keys->count, 1);
        const struct auth_public *key = &keys->keys[0].public;
        assert_true(base64_decode(span_of(examples[i].signature), true, &signature));
        assert_int_equal(signature.length,
                         key->algorithm == AUTH_RS256 ? key->length : AUTH_P256_BYTES);
        struct span bytes = buffer_span(&signature), text = span_of(examples[i].text);
        if (signature_verify(key, text, bytes) != CRYPTO_GOOD)
            fail_msg("%s", examples[i].what);
        for (size_t bit = 0; bit < 8 * bytes.length; bit += 7) {
            signature.data[bit / 8] ^= (char)(1 << bit % 8);
            assert_int_equal(signature_verify(key, text, bytes), CRYPTO_BAD);
            signature.data[bit / 8] ^= (char)(1 << bit % 8);
        }
        bytes.length--;
        assert_int_equal(signature_verify(key, text, bytes), CRYPTO_BAD);
        buffer_fini(&signature);
        auth_keys_release(keys);
    }
}

TEST(the_thumbprint_of_rfc_7638)
{
    struct auth_keys *keys = auth_keys_new();
    read_set(
        keys,
        "{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtV"
        "T86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93"
        "lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
        "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-cs"
        "FCur-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\"}");
    assert_string_equal(keys->keys[0].id, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    auth_keys_release(keys);
}

/* ---- tokens ---- */

/* A token, who signed it, and what comes of it. */
struct tried {
    const char *header;
    enum { BY_ED25519, BY_RSA, BY_P256 } by;
    enum how how; /* not of Ed25519 */
    enum error_code code;
};

static void expect_codes(const struct auth_keys *keys, const struct tried *tried, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        EVP_PKEY *pair = tried[i].by == BY_RSA ? rsa_pair : p256_pair;
        char *token = tried[i].by == BY_ED25519 ? token_make(seed_a, tried[i].header, GOOD_CLAIMS)
                                                : token_by(pair, tried[i].header, tried[i].how);
        expect_code(tried[i].header, code_by(keys, token), tried[i].code);
    }
}
#define EXPECT_CODES(keys, tried) expect_codes(keys, tried, sizeof(tried) / sizeof *(tried))

static struct auth_keys *keys_of_each_kind(void)
{
    struct auth_keys *keys = keys_a();
    add_pair(keys, rsa_pair, "r");
    add_pair(keys, p256_pair, "p");
    return keys;
}

TEST(each_kind_of_key_takes_its_own_tokens)
{
    static const struct tried table[] = {
        {"{\"alg\":\"RS256\",\"kid\":\"r\"}", BY_RSA, PLAIN, ERROR_NONE},
        {"{\"alg\":\"ES256\",\"kid\":\"p\"}", BY_P256, PLAIN, ERROR_NONE},
        {HEADER_A, BY_ED25519, PLAIN, ERROR_NONE},
        /* Without a kid the algorithm says which keys may have signed. */
        {"{\"alg\":\"RS256\"}", BY_RSA, PLAIN, ERROR_NONE},
        {"{\"alg\":\"ES256\"}", BY_P256, PLAIN, ERROR_NONE},
    };
    struct auth_keys *keys = keys_of_each_kind();
    EXPECT_CODES(keys, table);
    auth_keys_release(keys);
}

/* A good signature under a header that names another algorithm. */
TEST(the_algorithm_is_the_keys)
{
    static const struct tried table[] = {
        {"{\"alg\":\"ES256\",\"kid\":\"r\"}", BY_RSA, PLAIN, ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"EdDSA\",\"kid\":\"r\"}", BY_RSA, PLAIN, ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"RS256\",\"kid\":\"p\"}", BY_RSA, PLAIN, ERROR_TOKEN_SIGNATURE},
        {"{\"alg\":\"RS256\",\"kid\":\"p\"}", BY_P256, PLAIN, ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"EdDSA\",\"kid\":\"p\"}", BY_P256, PLAIN, ERROR_TOKEN_SIGNATURE},
        {"{\"alg\":\"EdDSA\"}", BY_P256, PLAIN, ERROR_TOKEN_SIGNATURE},
        {"{\"alg\":\"ES256\",\"kid\":\"" ID_A "\"}", BY_P256, PLAIN, ERROR_TOKEN_SIGNATURE},
        {"{\"alg\":\"RS256\",\"kid\":\"" ID_A "\"}", BY_RSA, PLAIN, ERROR_TOKEN_SIGNATURE},
        {"{\"alg\":\"RS256\",\"kid\":\"x\"}", BY_RSA, PLAIN, ERROR_TOKEN_KEY},
        /* Never taken, whoever signed. */
        {"{\"alg\":\"PS256\",\"kid\":\"r\"}", BY_RSA, AS_PSS, ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"RS256\",\"kid\":\"r\"}", BY_RSA, AS_PSS, ERROR_TOKEN_SIGNATURE},
        {"{\"alg\":\"RS512\",\"kid\":\"r\"}", BY_RSA, BY_SHA512, ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"RS256\",\"kid\":\"r\"}", BY_RSA, BY_SHA512, ERROR_TOKEN_SIGNATURE},
        {"{\"alg\":\"ES256\",\"kid\":\"p\"}", BY_P256, BY_SHA512, ERROR_TOKEN_SIGNATURE},
        {"{\"alg\":\"ES256K\",\"kid\":\"p\"}", BY_P256, PLAIN, ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"ES384\",\"kid\":\"p\"}", BY_P256, PLAIN, ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"HS256\",\"kid\":\"r\"}", BY_RSA, PLAIN, ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"none\",\"kid\":\"r\"}", BY_RSA, PLAIN, ERROR_TOKEN_FORMAT},
        /* A token has 64 bytes, not the sequence that other protocols have. */
        {"{\"alg\":\"ES256\",\"kid\":\"p\"}", BY_P256, AS_DER, ERROR_TOKEN_FORMAT},
    };
    struct auth_keys *keys = keys_of_each_kind();
    EXPECT_CODES(keys, table);
    auth_keys_release(keys);
}

/* Numbers that verifiers have been fooled by: nothing at all, and the order of the group. */
TEST(signatures_of_es256_that_are_none)
{
    static const unsigned char order[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
                                            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                            0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                            0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    static const char header[] = "{\"alg\":\"ES256\",\"kid\":\"p\"}";
    struct auth_keys *keys = auth_keys_new();
    add_pair(keys, p256_pair, "p");
    for (int i = 0; i < 4; i++) {
        unsigned char signature[64] = {0};
        signature[31] = signature[63] = 1;
        memcpy(signature, i & 1 ? order : signature, i & 1 ? 32 : 0);
        if (i & 2)
            memset(signature + 32, 0, 32);
        if (i == 0)
            memset(signature, 0, sizeof signature);
        expect_code(header, code_by(keys, token_make_signed(header, GOOD_CLAIMS, signature, 64)),
                    ERROR_TOKEN_SIGNATURE);
        expect_code(header, code_by(keys, token_make_signed(header, GOOD_CLAIMS, signature, 63)),
                    ERROR_TOKEN_FORMAT);
    }
    auth_keys_release(keys);
}

/* The secret of an HMAC could be any text that everybody knows, such as the public key. */
TEST(hmac_by_the_pem_of_a_key)
{
    struct auth_keys *keys = auth_keys_new();
    add_pair(keys, rsa_pair, "r");
    char *pem = pem_of(rsa_pair);
    EVP_PKEY *secret =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, (unsigned char *)pem, strlen(pem));
    static const char *const headers[] = {"{\"alg\":\"HS256\",\"kid\":\"r\"}",
                                          "{\"alg\":\"RS256\",\"kid\":\"r\"}"};
    for (size_t i = 0; i < 2; i++)
        expect_code(headers[i], code_by(keys, token_by(secret, headers[i], PLAIN)),
                    ERROR_TOKEN_FORMAT);
    EVP_PKEY_free(secret);
    free(pem);
    auth_keys_release(keys);
}

/* Of each algorithm as many keys are tried as there may be. */
TEST(many_keys_of_one_algorithm_need_a_kid)
{
    static const struct tried table[] = {
        {"{\"alg\":\"ES256\"}", BY_P256, PLAIN, ERROR_TOKEN_MISSING_CLAIM},
        {"{\"alg\":\"RS256\"}", BY_RSA, PLAIN, ERROR_NONE},
        {"{\"alg\":\"EdDSA\"}", BY_ED25519, PLAIN, ERROR_TOKEN_KEY},
    };
    struct auth_keys *keys = auth_keys_new();
    add_pair(keys, rsa_pair, "r");
    for (int i = 0; i < AUTH_TRIED_KEYS + 1; i++) {
        EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        add_pair(keys, other, NULL);
        EVP_PKEY_free(other);
    }
    EXPECT_CODES(keys, table);
    auth_keys_release(keys);
}

/* ---- keys ---- */

TEST(one_name_for_keys_of_two_kinds)
{
    static const struct tried table[] = {
        {"{\"alg\":\"RS256\",\"kid\":\"same\"}", BY_RSA, PLAIN, ERROR_NONE},
        {"{\"alg\":\"ES256\",\"kid\":\"same\"}", BY_P256, PLAIN, ERROR_NONE},
    };
    struct error error;
    struct auth_keys *keys = auth_keys_new();
    add_pair(keys, rsa_pair, "same");
    add_pair(keys, p256_pair, "same");
    EXPECT_CODES(keys, table);
    EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    char *pem = pem_of(other);
    assert_false(auth_keys_add(keys, span_of(pem), span_of("same"), 0, &error));
    assert_non_null(strstr(error.message, "same"));
    free(pem);
    EVP_PKEY_free(other);
    auth_keys_release(keys);
}

static X509 *certificate_of(EVP_PKEY *pair)
{
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
    X509_gmtime_adj(X509_getm_notAfter(certificate), -3600); /* it has run out */
    X509_set_pubkey(certificate, pair);
    assert_true(X509_sign(certificate, pair, EVP_sha256()) > 0);
    return certificate;
}

/* Some issuers publish their key so; its key counts, not its dates. */
TEST(the_key_of_a_certificate)
{
    char *data;
    struct error error;
    X509 *certificate = certificate_of(rsa_pair);
    BIO *out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, certificate);
    long length = BIO_get_mem_data(out, &data);
    struct auth_keys *keys = auth_keys_new();
    assert_true(auth_keys_add(keys, span_make(data, (size_t)length), no_id, 0, &error));
    expect_code("RS256", code_by(keys, token_by(rsa_pair, "{\"alg\":\"RS256\"}", PLAIN)),
                ERROR_NONE);
    auth_keys_release(keys);
    BIO_free(out);
    X509_free(certificate);
}

/* It may not sign by PKCS #1 v1.5 at all. */
TEST(a_key_for_pss_alone_is_refused)
{
    struct error error;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA_PSS, NULL);
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048), 1);
    assert_int_equal(EVP_PKEY_keygen(context, &key), 1);
    char *pem = pem_of(key);
    struct auth_keys *keys = auth_keys_new();
    assert_false(auth_keys_add(keys, span_of(pem), no_id, 0, &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    auth_keys_release(keys);
    free(pem);
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(context);
}

#define X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define POINT "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" Y "\""

TEST(keys_of_a_jwks)
{
    static const struct {
        const char *key;
        size_t count;
        bool good;
        const char *passed; /* a part of why the first was passed over */
    } table[] = {
        {"{" POINT "}", 1, true, ""},
        {"{" POINT ",\"alg\":\"ES256\",\"use\":\"sig\",\"key_ops\":[\"verify\"],\"kid\":\"a\"}", 1,
         true, ""},
        {"{" POINT ",\"kid\":\"a\"},{\"kty\":\"OKP\",\"x\":\"" X_A "\",\"kid\":\"a\"}", 2, true,
         ""},
        {"{" POINT ",\"alg\":\"RS256\"}", 0, true, "key 1 has an alg"},
        {"{" POINT ",\"alg\":\"ES384\"}", 0, true, "key 1 has an alg"},
        {"{" POINT ",\"alg\":\"ECDH-ES\"}", 0, true, "key 1 has an alg"},
        {"{" POINT ",\"alg\":null}", 0, true, "key 1 has an alg"},
        {"{" POINT ",\"use\":\"enc\",\"kid\":\"e\"}", 0, true, "key 1 (kid e) has a use"},
        {"{" POINT ",\"key_ops\":[\"sign\"]}", 0, true, "key_ops"},
        {"{" POINT ",\"key_ops\":\"verify\"}", 0, true, "key_ops"},
        {"{\"kty\":\"oct\",\"k\":\"AAAA\"},{" POINT "}", 1, true, "key 1 has a kind"},
        {"{\"kty\":\"AKP\"},{\"kty\":\"oct\"},{" POINT "}", 1, true, "key 1 has a kind"},
        {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" X "\",\"y\":\"" Y "\"}", 0, true,
         "a curve"},
        {"{\"kty\":\"EC\",\"x\":\"" X "\",\"y\":\"" Y "\"}", 0, true, "a curve"},
        {"{\"kty\":\"RSA\",\"n\":\"_____w\",\"e\":\"AQAB\"}", 0, true, "fewer than 2048"},
        /* Ours, and damaged: no point of the curve, parts that are missing or of another length. */
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" Y "\",\"y\":\"" X "\"}", 0, false, ""},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\"}", 0, false, ""},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"AAAA\"}", 0, false, ""},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "=\",\"y\":\"" Y "\"}", 0, false, ""},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":7,\"y\":\"" Y "\"}", 0, false, ""},
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", 0, false, ""},
        {"{\"kty\":\"RSA\",\"n\":\"_____w\"}", 0, false, ""},
        {"{\"kty\":\"RSA\",\"n\":\"_____w\",\"e\":\"\"}", 0, false, ""},
        {"{\"kty\":\"RSA\",\"n\":\"____ w\",\"e\":\"AQAB\"}", 0, false, ""},
        {"{\"kty\":\"RSA\",\"n\":\"_____w\",\"e\":\"AQABAQAB\"}", 0, false, ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char json[1024];
        struct error error = {.code = ERROR_NONE};
        struct auth_keys *keys = auth_keys_new();
        snprintf(json, sizeof json, "{\"keys\":[%s]}", table[i].key);
        if (auth_keys_add_jwks(keys, span_of(json), &error) != table[i].good ||
            (table[i].good && keys->count != table[i].count))
            fail_msg("%s: %zu keys, %s", table[i].key, keys->count, error.message);
        assert_true(table[i].good || error.code == ERROR_CONFIGURATION);
        assert_true((keys->passed_over > 0) == (table[i].passed[0] != '\0'));
        if (!strstr(keys->passed_why, table[i].passed))
            fail_msg("%s: \"%s\"", table[i].key, keys->passed_why);
        auth_keys_release(keys);
    }
}

/* A modulus of so many bits, all set; and one that is even. */
TEST(sizes_of_rsa)
{
    static const struct {
        size_t bits;
        const char *exponent;
        bool even, taken;
    } table[] = {{2047, "AQAB", false, false}, {2048, "AQAB", false, true},
                 {2048, "Aw", false, true},    {2048, "AQ", false, false},
                 {2048, "AQAA", false, false}, {2048, "AQAB", true, false},
                 {4096, "AQAB", false, true},  {8192, "AQAB", false, true}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        unsigned char modulus[1024 + 1];
        size_t length = (table[i].bits + 7) / 8;
        struct buffer json;
        struct error error = {.code = ERROR_NONE};
        struct auth_keys *keys = auth_keys_new();
        memset(modulus, 0xff, sizeof modulus);
        modulus[0] = 0; /* some write it, though they should not */
        modulus[1] = (unsigned char)(0xff >> (8 * length - table[i].bits));
        modulus[length] = table[i].even ? 0xfe : 0xff;
        buffer_init(&json, 8192);
        buffer_add_string(&json, "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"");
        add_base64url(&json, modulus, length + 1);
        buffer_printf(&json, "\",\"e\":\"%s\"}]}", table[i].exponent);
        assert_true(auth_keys_add_jwks(keys, buffer_span(&json), &error));
        if (keys->count != table[i].taken)
            fail_msg("%zu bits, e %s", table[i].bits, table[i].exponent);
        buffer_fini(&json);
        auth_keys_release(keys);
    }
}

TEST(a_printed_set_of_all_kinds_is_read_back)
{
    struct error error = {.code = ERROR_NONE};
    struct buffer json, again;
    struct auth_keys *keys = keys_a(), *read = auth_keys_new();
    add_pair(keys, rsa_pair, NULL);
    add_pair(keys, p256_pair, "\"q\"");
    buffer_init(&json, 1 << 16);
    buffer_init(&again, 1 << 16);
    assert_true(auth_keys_print_jwks(keys, &json));
    if (!auth_keys_add_jwks(read, buffer_span(&json), &error))
        fail_msg("%s", error.message);
    assert_int_equal(read->count, 3);
    assert_true(auth_keys_print_jwks(read, &again));
    assert_string_equal(buffer_string(&json), buffer_string(&again));
    buffer_fini(&json);
    buffer_fini(&again);
    auth_keys_release(keys);
    auth_keys_release(read);
}

TEST(what_is_signed_here_is_taken_here)
{
    for (int i = AUTH_EDDSA; i <= AUTH_RS256; i++) {
        struct error error = {.code = ERROR_NONE};
        struct buffer pem, token, public;
        buffer_init(&pem, 1 << 14);
        buffer_init(&token, 1 << 14);
        buffer_init(&public, 1 << 14);
        struct auth_signer *made = auth_signer_generate((enum auth_algorithm)i, &error);
        assert_non_null(made);
        assert_true(auth_signer_print(made, &pem, &error));
        struct auth_signer *signer = auth_signer_read(buffer_span(&pem), &error);
        assert_non_null(signer);
        assert_int_equal(signer->public.algorithm, i);
        struct auth_keys *keys = auth_keys_new();
        assert_true(auth_print_public(&signer->public, &public));
        assert_true(auth_keys_add(keys, buffer_span(&public), no_id, 0, &error));
        assert_true(auth_sign(signer, span_of(GOOD_CLAIMS), &token, &error));
        expect_code(auth_algorithm_names[i], code_by(keys, strdup(buffer_string(&token))),
                    ERROR_NONE);
        auth_keys_release(keys);
        auth_signer_free(signer);
        auth_signer_free(made);
        buffer_fini(&pem);
        buffer_fini(&token);
        buffer_fini(&public);
    }
}

static void make_pairs(void)
{
    rsa_pair = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    p256_pair = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    assert_true(rsa_pair && p256_pair);
}

static void free_pairs(void)
{
    EVP_PKEY_free(rsa_pair);
    EVP_PKEY_free(p256_pair);
}

TEST_ALL(make_pairs, free_pairs)
