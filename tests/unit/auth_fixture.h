/*
 * Keys, and tokens made of any header, claims and signature: by libcrypto itself, not by the code
 * that is tested.
 */
#ifndef AUTH_FIXTURE_H
#define AUTH_FIXTURE_H

#include "auth/auth_internal.h"
#include "test.h"

enum { NOW = 1800000000 };

/* The key of RFC 8037, appendix A, and another one. */
extern const unsigned char seed_a[32], public_a[32], seed_b[32];
#define ID_A "d75a980182b10ab7"
#define X_A "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

#define HEADER_A "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"" ID_A "\"}"
#define GOOD_CLAIMS                                                                                \
    "{\"iss\":\"https://issuer.example\",\"sub\":\"alice\",\"aud\":\"stele\",\"iat\":1799999990,"  \
    "\"nbf\":1799999990,\"exp\":1800000060,\"jti\":\"t-1\",\"scope\":\"read write\"}"

/* The public key that belongs to a seed. */
void public_of(const unsigned char seed[32], unsigned char key[32]);
/* Append base64url by libcrypto's encoder. */
void add_base64url(struct buffer *out, const void *bytes, size_t length);
/* A token; free with free(). */
char *token_make(const unsigned char seed[32], const char *header, const char *claims);
/* The same with the signature given: `length` bytes. */
char *token_make_signed(const char *header, const char *claims, const void *signature,
                        size_t length);

/* What libcrypto signs with the seed. */
void sign_ed25519(const unsigned char seed[32], const char *text, unsigned char signature[64]);
/* Whether our code takes it. */
enum crypto_answer verify_ed25519(const unsigned char key[32], const char *text,
                                  const unsigned char signature[64]);
/* Add a key of Ed25519 by its bytes. */
bool add_ed25519(struct auth_keys *keys, const unsigned char key[32], struct span id,
                 int64_t ends_at, struct error *error);

/* A set with the key A. */
struct auth_keys *keys_a(void);

/* The rules and the request of most tests. */
extern const struct auth_rules plain_rules, strict_rules;
extern const struct auth_request plain_request;

/* Whether one of them is this text. */
bool texts_have(const struct auth_texts *texts, const char *text);

/* Verify by key A; the identity is NULL exactly when the code is not ERROR_NONE. */
struct auth_identity *verify_token(const char *token, const struct auth_rules *rules,
                                   const struct auth_request *request, struct error *error);
/* The code that a token (freed here) is refused with, by the strict rules; the message may hold
 * nothing of it. */
enum error_code code_of(char *token);
void expect_code(const char *what, enum error_code actual, enum error_code expected);

#endif
