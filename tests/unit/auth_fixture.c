#include "auth_fixture.h"

#include <openssl/evp.h>

const unsigned char seed_a[32] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a,
                                  0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
                                  0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
const unsigned char public_a[32] = {
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};
const unsigned char seed_b[32] = {7, 7, 7};

const struct auth_rules plain_rules = {.issuer = NULL};
const struct auth_rules strict_rules = {.issuer = "https://issuer.example", .audience = "stele"};
const struct auth_request plain_request = {.now = NOW};

void public_of(const unsigned char seed[32], unsigned char key[32])
{
    size_t length = 32;
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    assert_int_equal(EVP_PKEY_get_raw_public_key(pair, key, &length), 1);
    EVP_PKEY_free(pair);
}

void add_base64url(struct buffer *out, const void *bytes, size_t length)
{
    size_t size = (length + 2) / 3 * 4 + 1;
    char *text = malloc(size);
    int written = EVP_EncodeBlock((unsigned char *)text, bytes, (int)length);
    for (int i = 0; i < written && text[i] != '='; i++)
        buffer_add_char(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
    free(text);
}

static void add_text(struct buffer *out, const char *header, const char *claims)
{
    add_base64url(out, header, strlen(header));
    buffer_add_char(out, '.');
    add_base64url(out, claims, strlen(claims));
}

static char *take(struct buffer *token)
{
    char *text = strdup(buffer_string(token));
    buffer_fini(token);
    return text;
}

char *token_make_signed(const char *header, const char *claims, const void *signature,
                        size_t length)
{
    struct buffer token;
    buffer_init(&token, 1 << 20);
    add_text(&token, header, claims);
    buffer_add_char(&token, '.');
    add_base64url(&token, signature, length);
    return take(&token);
}

void sign_ed25519(const unsigned char seed[32], const char *text, unsigned char signature[64])
{
    size_t length = 64;
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL, NULL, NULL, pair), 1);
    assert_int_equal(
        EVP_DigestSign(context, signature, &length, (const unsigned char *)text, strlen(text)), 1);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pair);
}

static struct auth_public public_ed25519(const unsigned char key[32])
{
    struct auth_public public = {.algorithm = AUTH_EDDSA, .length = 32};
    memcpy(public.bytes, key, 32);
    return public;
}

enum crypto_answer verify_ed25519(const unsigned char key[32], const char *text,
                                  const unsigned char signature[64])
{
    struct auth_public public = public_ed25519(key);
    return signature_verify(&public, span_of(text), span_make((const char *)signature, 64));
}

bool add_ed25519(struct auth_keys *keys, const unsigned char key[32], struct span id,
                 int64_t ends_at, struct error *error)
{
    struct auth_public public = public_ed25519(key);
    return auth_keys_add_public(keys, &public, id, ends_at, error);
}

char *token_make(const unsigned char seed[32], const char *header, const char *claims)
{
    unsigned char signature[64];
    struct buffer text;
    buffer_init(&text, 1 << 20);
    add_text(&text, header, claims);
    sign_ed25519(seed, buffer_string(&text), signature);
    buffer_fini(&text);
    return token_make_signed(header, claims, signature, sizeof signature);
}

struct auth_keys *keys_a(void)
{
    struct auth_keys *keys = auth_keys_new();
    assert_non_null(keys);
    assert_true(auth_keys_add(keys, span_of(X_A), span_make(NULL, 0), 0, NULL));
    return keys;
}

struct auth_identity *verify_token(const char *token, const struct auth_rules *rules,
                                   const struct auth_request *request, struct error *error)
{
    struct auth_keys *keys = keys_a();
    *error = (struct error){.code = ERROR_NONE};
    struct auth_identity *identity = auth_verify(keys, rules, request, span_of(token), error);
    assert_true((identity != NULL) == (error->code == ERROR_NONE));
    auth_keys_release(keys);
    return identity;
}

/* Parts are told apart from words by their length. */
static void check_silence(const char *token, const char *message)
{
    enum { TELLING = 20 };
    char part[TELLING + 1] = "";
    for (size_t i = 0; strlen(token) >= TELLING && i <= strlen(token) - TELLING; i++) {
        memcpy(part, token + i, TELLING);
        if (strstr(message, part))
            fail_msg("\"%s\" tells of the token", message);
    }
}

enum error_code code_of(char *token)
{
    struct error error;
    struct auth_identity *identity = verify_token(token, &strict_rules, &plain_request, &error);
    auth_identity_release(identity);
    if (!identity)
        check_silence(token, error.message);
    free(token);
    return error.code;
}

void expect_code(const char *what, enum error_code actual, enum error_code expected)
{
    if (actual != expected)
        fail_msg("%s: %s, not %s", what, error_kind(actual)->wire, error_kind(expected)->wire);
}

bool texts_have(const struct auth_texts *texts, const char *text)
{
    for (size_t i = 0; i < texts->count; i++)
        if (strcmp(texts->items[i], text) == 0)
            return true;
    return false;
}
