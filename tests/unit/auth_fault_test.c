/*
 * Every allocation fails in turn, libcrypto's too: then the answer is that memory ran out, never a
 * wrong one, and nothing is lost or freed twice (the sanitizers look).
 */
#include "auth_fixture.h"
#include "fault_sweep.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* ---- libcrypto's memory ---- */

static void *crypto_alloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return memory_alloc(size);
}

static void *crypto_resize(void *memory, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return memory_resize(memory, size);
}

static void crypto_free(void *memory, const char *file, int line)
{
    (void)file, (void)line;
    memory_free(memory);
}

/* ---- the sweep ---- */

/* Does one thing. ERROR_NONE when it went well. */
typedef enum error_code (*action)(void);

/* `also`: another answer that may be given, because libcrypto does not tell: it refuses too. */
static void sweep(action act, enum error_code expected, enum error_code also)
{
    for (int sticky = 0; sticky < 2; sticky++) {
        expect_code("without a fault", act(), expected);
        sweep_begin(sticky);
        while (sweep_goes_on()) {
            sweep_arm();
            enum error_code code = act();
            bool hit = sweep_disarm();
            /* Some of libcrypto's allocations may fail without harm. */
            if (code != expected && code != ERROR_MEMORY && code != also)
                fail_msg("run %d: %s", sweep_run(), error_kind(code)->wire);
            if (!hit && code != expected)
                fail_msg("no fault, and %s", error_kind(code)->wire);
        }
        assert_true(sweep_run() > 2);
        sweep_end();
    }
}

/* ---- what is done ---- */

static char *token, *forged, *expired;
static struct auth_keys *keys;

static enum error_code verify_with(const char *text)
{
    struct error error = {.code = ERROR_NONE};
    struct auth_identity *identity =
        auth_verify(keys, &strict_rules, &plain_request, span_of(text), &error);
    assert_true((identity != NULL) == (error.code == ERROR_NONE));
    auth_identity_release(identity);
    return error.code;
}

static enum error_code verify_good(void)
{
    return verify_with(token);
}

static enum error_code verify_forged(void)
{
    return verify_with(forged);
}

static enum error_code verify_expired(void)
{
    return verify_with(expired);
}

/* Of the other algorithms: a token, and the set of its key as a JWKS. */
static struct auth_signer *signers[2];
static char *others[2], *sets[2];
static int kind; /* which of them */

static struct auth_keys *other_keys;

static enum error_code verify_other(void)
{
    struct error error = {.code = ERROR_NONE};
    struct auth_identity *identity =
        auth_verify(other_keys, &strict_rules, &plain_request, span_of(others[kind]), &error);
    assert_true((identity != NULL) == (error.code == ERROR_NONE));
    auth_identity_release(identity);
    return error.code;
}

static enum error_code read_other(void)
{
    struct error error = {.code = ERROR_NONE};
    struct auth_keys *read = auth_keys_new();
    if (!read)
        return ERROR_MEMORY;
    auth_keys_add_jwks(read, span_of(sets[kind]), &error);
    auth_keys_release(read);
    return error.code;
}

static enum error_code sign_other(void)
{
    struct error error = {.code = ERROR_NONE};
    struct buffer out;
    buffer_init(&out, 8192);
    bool done = auth_sign(signers[kind], span_of(GOOD_CLAIMS), &out, &error);
    assert_true(done == (error.code == ERROR_NONE));
    buffer_fini(&out);
    return error.code;
}

static bool make_others(void)
{
    other_keys = auth_keys_new();
    for (int i = 0; i < 2; i++) {
        struct error error;
        struct buffer out;
        struct auth_keys *made = auth_keys_new();
        buffer_init(&out, 1 << 14);
        signers[i] = auth_signer_generate(i ? AUTH_RS256 : AUTH_ES256, &error);
        if (!signers[i] || !auth_sign(signers[i], span_of(GOOD_CLAIMS), &out, &error))
            return false;
        others[i] = strdup(buffer_string(&out));
        buffer_clear(&out);
        auth_keys_add_public(made, &signers[i]->public, span_make(NULL, 0), 0, &error);
        auth_keys_print_jwks(made, &out);
        sets[i] = strdup(buffer_string(&out));
        buffer_fini(&out);
        auth_keys_add_all(other_keys, made, &error);
        auth_keys_release(made);
        kind = i;
        if (verify_other() != ERROR_NONE)
            return false;
    }
    return true;
}

static enum error_code read_claims(void)
{
    struct error error = {.code = ERROR_NONE};
    struct buffer out;
    buffer_init(&out, 8192);
    auth_token_claims(span_of(token), &out, &error);
    buffer_fini(&out);
    return error.code;
}

static enum error_code read_jwks(void)
{
    struct error error = {.code = ERROR_NONE};
    struct auth_keys *read = auth_keys_new();
    if (!read)
        return ERROR_MEMORY;
    auth_keys_add_jwks(read,
                       span_of("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X_A
                               "\"},{\"kty\":\"OKP\",\"kid\":\"b\",\"x\":\"" X_A "\"}]}"),
                       &error);
    auth_keys_release(read);
    return error.code;
}

static enum error_code read_key_texts(void)
{
    static const char *const texts[] = {
        X_A, "-----BEGIN PUBLIC KEY-----\n"
             "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
             "-----END PUBLIC KEY-----\n"};
    struct error error = {.code = ERROR_NONE};
    for (size_t i = 0; i < 2 && error.code == ERROR_NONE; i++) {
        struct auth_keys *read = auth_keys_new();
        if (!read)
            return ERROR_MEMORY;
        auth_keys_add(read, span_of(texts[i]), span_make(NULL, 0), 0, &error);
        auth_keys_release(read);
    }
    return error.code;
}

static enum error_code read_static_tokens(void)
{
    struct error error = {.code = ERROR_NONE};
    struct tree *list =
        tree_parse(span_of("[\"0123456789abcdef\",{\"token\":\"fedcba9876543210\",\"subject\":"
                           "\"s\",\"views\":[\"a\",\"b\"],\"row_scopes\":[\"c\"]}]"),
                   &error);
    if (!list)
        return error.code;
    struct auth_static *tokens = auth_static_new(list, &error);
    struct auth_identity *found =
        tokens ? auth_static_find(tokens, span_of("fedcba9876543210"), NOW, &error) : NULL;
    assert_true((found != NULL) == (error.code == ERROR_NONE));
    auth_identity_release(found);
    auth_static_free(tokens);
    tree_free(list);
    return error.code;
}

static enum error_code revoke_ids(void)
{
    struct auth_revocations *revoked = auth_revocations_new();
    bool done = revoked && auth_revocations_add(revoked, span_of("a"), 1, 1) &&
                auth_revocations_add(revoked, span_of("b"), 1, 1);
    if (done)
        assert_true(auth_is_revoked(revoked, span_of("b")));
    auth_revocations_free(revoked);
    return done ? ERROR_NONE : ERROR_MEMORY;
}

static enum error_code sign(void)
{
    struct error error = {.code = ERROR_NONE};
    struct buffer pem, out;
    buffer_init(&pem, 4096);
    buffer_init(&out, 4096);
    struct auth_signer *made = auth_signer_generate(AUTH_EDDSA, &error), *read = NULL;
    bool done = made && auth_signer_print(made, &pem, &error) &&
                (read = auth_signer_read(buffer_span(&pem), &error)) &&
                auth_sign(read, span_of(GOOD_CLAIMS), &out, &error);
    assert_true(done == (error.code == ERROR_NONE));
    auth_signer_free(made);
    auth_signer_free(read);
    buffer_fini(&pem);
    buffer_fini(&out);
    return error.code == ERROR_INTERNAL ? ERROR_MEMORY : error.code;
}

static enum error_code be_anonymous(void)
{
    struct auth_identity *identity = auth_identity_anonymous();
    auth_identity_release(identity);
    return identity ? ERROR_NONE : ERROR_MEMORY;
}

/* ---- the tests ---- */

TEST(verifying)
{
    sweep(verify_good, ERROR_NONE, ERROR_TOKEN_SIGNATURE);
    sweep(verify_forged, ERROR_TOKEN_SIGNATURE, ERROR_MEMORY);
    sweep(verify_expired, ERROR_TOKEN_EXPIRED, ERROR_TOKEN_SIGNATURE);
    sweep(read_claims, ERROR_NONE, ERROR_MEMORY);
}

/* What libcrypto does not tell is a key that is none, or a signature that is not right. */
TEST(other_algorithms)
{
    for (kind = 0; kind < 2; kind++) {
        sweep(verify_other, ERROR_NONE, ERROR_TOKEN_SIGNATURE);
        sweep(read_other, ERROR_NONE, ERROR_CONFIGURATION);
        sweep(sign_other, ERROR_NONE, ERROR_MEMORY);
    }
}

TEST(reading_keys)
{
    sweep(read_jwks, ERROR_NONE, ERROR_MEMORY);
    sweep(read_key_texts, ERROR_NONE, ERROR_CONFIGURATION);
}

TEST(the_rest)
{
    sweep(read_static_tokens, ERROR_NONE, ERROR_MEMORY);
    sweep(revoke_ids, ERROR_NONE, ERROR_MEMORY);
    sweep(sign, ERROR_NONE, ERROR_CONFIGURATION);
    sweep(be_anonymous, ERROR_NONE, ERROR_MEMORY);
}

/* What libcrypto does once, at its first use, is done before anything fails. */
static void set_up(void)
{
    assert_int_equal(CRYPTO_set_mem_functions(crypto_alloc, crypto_resize, crypto_free), 1);
    token = token_make(seed_a, "{\"alg\":\"EdDSA\"}", GOOD_CLAIMS);
    forged = token_make(seed_b, HEADER_A, GOOD_CLAIMS);
    expired = token_make(seed_a, HEADER_A,
                         "{\"iss\":\"https://issuer.example\",\"sub\":\"a\",\"aud\":[\"stele\"],"
                         "\"exp\":5,\"scope\":\"read\",\"views\":[\"a\"],\"plan\":\"p\"}");
    keys = keys_a();
    assert_true(make_others() && verify_good() == ERROR_NONE && sign() == ERROR_NONE &&
                read_key_texts() == ERROR_NONE);
}

static void tear_down(void)
{
    auth_keys_release(keys);
    auth_keys_release(other_keys);
    for (int i = 0; i < 2; i++) {
        auth_signer_free(signers[i]);
        free(others[i]);
        free(sets[i]);
    }
    free(token);
    free(forged);
    free(expired);
    OPENSSL_cleanup();
}

TEST_ALL(set_up, tear_down)
