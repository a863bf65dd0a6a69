/* Public keys: how they are written, which are refused, sets of them. */
#include "auth_fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

static const struct span no_id = {NULL, 0};

static void expect_refused(const char *text)
{
    struct error error = {.code = ERROR_NONE};
    struct auth_keys *keys = auth_keys_new();
    if (auth_keys_add(keys, span_of(text), no_id, 0, &error))
        fail_msg("\"%s\" was taken for a key", text);
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    assert_int_equal(keys->count, 0);
    auth_keys_release(keys);
}

static void expect_taken(const char *text)
{
    struct error error = {.code = ERROR_NONE};
    struct auth_keys *keys = auth_keys_new();
    if (!auth_keys_add(keys, span_of(text), no_id, 0, &error))
        fail_msg("\"%s\": %s", text, error.message);
    assert_int_equal(keys->count, 1);
    assert_memory_equal(keys->keys[0].public.bytes, public_a, 32);
    assert_string_equal(keys->keys[0].id, ID_A);
    auth_keys_release(keys);
}

/* ---- one key ---- */

static const char pem_a[] = "-----BEGIN PUBLIC KEY-----\n"
                            "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                            "-----END PUBLIC KEY-----\n";

TEST(keys_in_each_writing)
{
    expect_taken("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    expect_taken("D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A");
    expect_taken(X_A);
    expect_taken(X_A "=");
    expect_taken("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    expect_taken(" \t\n" X_A "\r\n");
    expect_taken(pem_a);
}

TEST(texts_that_are_no_key)
{
    static const char *const bad[] = {
        "",
        " ",
        "key",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a00",
        "g75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR",
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURoA",
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp",
        (X_A "=="),
        (X_A "==="),
        ("=" X_A),
        "11qYAYKxCrfVS_7TyWQHOg7hcv PapiMlrwIaaPcHURo",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_refused(bad[i]);
    char *long_text = malloc(AUTH_MAX_KEY_TEXT + 2);
    memset(long_text, 'A', AUTH_MAX_KEY_TEXT + 1);
    long_text[AUTH_MAX_KEY_TEXT + 1] = '\0';
    expect_refused(long_text);
    free(long_text);
}

/* PEM of a key that libcrypto made. */
static char *pem_of(EVP_PKEY *key, bool private)
{
    char *data;
    BIO *out = BIO_new(BIO_s_mem());
    if (private)
        PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_bio_PUBKEY(out, key);
    long length = BIO_get_mem_data(out, &data);
    char *pem = strndup(data, (size_t)length);
    BIO_free(out);
    return pem;
}

TEST(keys_of_other_kinds_are_refused)
{
    for (int i = 0; i < 6; i++) {
        EVP_PKEY *key = i == 0   ? EVP_PKEY_Q_keygen(NULL, NULL, "ED448")
                        : i == 1 ? EVP_PKEY_Q_keygen(NULL, NULL, "X25519")
                        : i == 2 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384")
                        : i == 3 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1")
                        : i == 4 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024)
                                 : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2040);
        struct error error;
        char *public = pem_of(key, false), *private = pem_of(key, true);
        expect_refused(public);
        expect_refused(private);
        assert_null(auth_signer_read(span_of(private), &error));
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        free(public);
        free(private);
        EVP_PKEY_free(key);
    }
}

TEST(a_private_key_is_not_taken_for_a_public_one)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed_a, 32);
    char *private = pem_of(key, true), *public = pem_of(key, false);
    struct error error;
    expect_refused(private);
    assert_string_equal(public, pem_a);
    struct auth_signer *signer = auth_signer_read(span_of(private), &error);
    assert_memory_equal(signer->public.bytes, public_a, 32);
    auth_signer_free(signer);
    assert_null(auth_signer_read(span_of(public), &error));
    assert_null(auth_signer_read(span_of(""), &error));
    free(private);
    free(public);
    EVP_PKEY_free(key);
}

/* It must not stop to ask the terminal for a password. */
TEST(a_private_key_with_a_password_is_refused)
{
    char *data;
    struct error error;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    BIO *out = BIO_new(BIO_s_mem());
    assert_int_equal(
        PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL), 1);
    long length = BIO_get_mem_data(out, &data);
    assert_null(auth_signer_read(span_make(data, (size_t)length), &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    BIO_free(out);
    EVP_PKEY_free(key);
}

/*
 * Points of small order, as keys: with R a point of small order and S zero, libcrypto takes this
 * "signature" for one message in a few. So they must not come in.
 */
TEST(keys_for_which_anybody_can_sign)
{
    static const char *const weak[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        unsigned char key[32], signature[64] = {1};
        bool forged = false;
        assert_true(hex_decode(span_of(weak[i]), key, sizeof key));
        for (int message = 0; message < 400 && !forged; message++) {
            char text[16];
            snprintf(text, sizeof text, "%d", message);
            forged = verify_ed25519(key, text, signature) == CRYPTO_GOOD;
        }
        /* Not each of them does libcrypto decode; those that it does are why they are refused. */
        if (i < 2 || i == 2 || i == 4 || i == 6 || i == 8)
            assert_true(forged);
        expect_refused(weak[i]);
    }
}

/* ---- sets ---- */

TEST(kids)
{
    struct error error;
    struct auth_keys *keys = auth_keys_new();
    unsigned char other[32];
    public_of(seed_b, other);
    assert_true(auth_keys_add(keys, span_of(X_A), span_of("mine"), 5, &error));
    assert_string_equal(keys->keys[0].id, "mine");
    assert_int_equal(keys->keys[0].ends_at, 5);
    assert_false(add_ed25519(keys, other, span_of("mine"), 0, &error));
    assert_non_null(strstr(error.message, "mine"));
    assert_false(add_ed25519(keys, other, span_of(""), 0, &error));
    assert_false(add_ed25519(keys, other, span_make("a\0b", 3), 0, &error));
    char long_id[AUTH_MAX_KEY_ID + 2];
    memset(long_id, 'k', sizeof long_id);
    assert_false(add_ed25519(keys, other, span_make(long_id, AUTH_MAX_KEY_ID + 1), 0, &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    assert_true(add_ed25519(keys, other, span_make(long_id, AUTH_MAX_KEY_ID), 0, &error));
    assert_int_equal(keys->count, 2);
    auth_keys_release(keys);
}

TEST(a_set_is_bounded)
{
    struct error error;
    struct auth_keys *keys = auth_keys_new();
    for (int i = 0; i <= AUTH_MAX_KEYS; i++) {
        unsigned char seed[32] = {(unsigned char)i, 1}, key[32];
        public_of(seed, key);
        assert_true(add_ed25519(keys, key, no_id, 0, &error) == (i < AUTH_MAX_KEYS));
    }
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    assert_int_equal(keys->count, AUTH_MAX_KEYS);
    auth_keys_release(keys);
}

TEST(sets_together)
{
    struct error error;
    unsigned char other[32];
    public_of(seed_b, other);
    struct auth_keys *one = keys_a(), *two = keys_a(), *three = auth_keys_new();
    assert_true(add_ed25519(two, other, span_of("b"), 9, &error));
    assert_true(auth_keys_add_all(one, two, &error));
    assert_int_equal(one->count, 2);
    assert_string_equal(one->keys[1].id, "b");
    assert_int_equal(one->keys[1].ends_at, 9);
    /* Another key under a known name. */
    assert_true(add_ed25519(three, public_a, span_of("b"), 0, &error));
    assert_false(auth_keys_add_all(one, three, &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    assert_ptr_equal(auth_keys_retain(one), one);
    auth_keys_release(one);
    auth_keys_release(one);
    auth_keys_release(two);
    auth_keys_release(three);
    auth_keys_release(NULL);
}

/* ---- the configuration's list ---- */

static bool add_list(struct auth_keys *keys, const char *json, struct error *error)
{
    struct tree *list = tree_parse(span_of(json), error);
    assert_non_null(list);
    bool done = auth_keys_add_list(keys, list, error);
    tree_free(list);
    return done;
}

TEST(a_list_of_keys)
{
    struct error error;
    struct auth_keys *keys = auth_keys_new();
    assert_true(add_list(keys, "[\"" X_A "\",{\"key\":\"" X_A "\",\"kid\":\"old\",\"ends_at\":77}]",
                         &error));
    assert_int_equal(keys->count, 2);
    assert_string_equal(keys->keys[0].id, ID_A);
    assert_int_equal(keys->keys[0].ends_at, 0);
    assert_string_equal(keys->keys[1].id, "old");
    assert_int_equal(keys->keys[1].ends_at, 77);
    auth_keys_release(keys);
    static const char *const bad[] = {"{}",
                                      "\"" X_A "\"",
                                      "[1]",
                                      "[{}]",
                                      "[{\"key\":1}]",
                                      "[{\"key\":\"x\"}]",
                                      "[{\"key\":\"" X_A "\",\"kid\":1}]",
                                      "[{\"key\":\"" X_A "\",\"ends_at\":\"x\"}]",
                                      "[{\"key\":\"" X_A "\",\"end_at\":5}]",
                                      "[\"" X_A "\",\"" X_A "\"]",
                                      "[[\"" X_A "\"]]",
                                      "[{\"key\":\"" X_A "\",\"ends_at\":0}]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        keys = auth_keys_new();
        if (add_list(keys, bad[i], &error))
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        auth_keys_release(keys);
    }
    keys = auth_keys_new();
    assert_false(add_list(keys, bad[8], &error));
    assert_non_null(strstr(error.message, "key 1"));
    assert_non_null(strstr(error.message, "ends_at"));
    auth_keys_release(keys);
}

/* ---- JWKS ---- */

static size_t count_of(const char *json, enum error_code *code)
{
    struct error error = {.code = ERROR_NONE};
    struct auth_keys *keys = auth_keys_new();
    bool done = auth_keys_add_jwks(keys, span_of(json), &error);
    assert_true(done == (error.code == ERROR_NONE));
    size_t count = keys->count;
    *code = error.code;
    auth_keys_release(keys);
    return count;
}

#define OURS "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X_A "\""

TEST(keys_of_a_jwks)
{
    static const struct {
        const char *key;
        size_t count;
        enum error_code code;
    } table[] = {
        {"{" OURS "}", 1, ERROR_NONE},
        {"{" OURS ",\"kid\":\"a\",\"use\":\"sig\",\"alg\":\"EdDSA\"}", 1, ERROR_NONE},
        {"{" OURS ",\"alg\":\"Ed25519\",\"key_ops\":[\"verify\"]}", 1, ERROR_NONE},
        {"{\"kty\":\"OKP\",\"x\":\"" X_A "\"}", 1, ERROR_NONE},
        /* Others' keys. */
        {"{" OURS ",\"use\":\"enc\"}", 0, ERROR_NONE},
        {"{" OURS ",\"alg\":\"ECDH-ES\"}", 0, ERROR_NONE},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"AAAA\"}", 0, ERROR_NONE},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X_A "\"}", 0, ERROR_NONE},
        {"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X_A "\",\"y\":\"" X_A "\"}", 0, ERROR_NONE},
        {"{" OURS ",\"key_ops\":[\"sign\"]}", 0, ERROR_NONE},
        {"{" OURS ",\"alg\":\"RS256\"}", 0, ERROR_NONE},
        {"{\"kty\":\"oct\",\"k\":\"" X_A "\"}", 0, ERROR_NONE},
        {"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"kid\":\"r\"}", 0, ERROR_NONE},
        {"{\"kty\":7}", 0, ERROR_NONE},
        {"{}", 0, ERROR_NONE},
        {"7", 0, ERROR_NONE},
        /* Ours, but broken. */
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X_A "\",\"y\":\"" X_A "\"}", 0,
         ERROR_CONFIGURATION},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}", 0, ERROR_CONFIGURATION},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", 0, ERROR_CONFIGURATION},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X_A "=\"}", 0, ERROR_CONFIGURATION},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":7}", 0, ERROR_CONFIGURATION},
        {"{" OURS ",\"kid\":7}", 0, ERROR_CONFIGURATION},
        {"{" OURS ",\"kid\":\"\"}", 0, ERROR_CONFIGURATION},
        {"{" OURS "},{" OURS "}", 1, ERROR_CONFIGURATION},
        {"{" OURS ",\"kid\":\"a\"},{" OURS ",\"kid\":\"a\"}", 1, ERROR_CONFIGURATION},
        {"{" OURS ",\"kid\":\"a\"},{" OURS ",\"kid\":\"b\"}", 2, ERROR_NONE},
        {"{\"kty\":\"OKP\",\"kty\":\"OKP\",\"x\":\"" X_A "\"}", 0, ERROR_CONFIGURATION},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char json[1024];
        enum error_code code;
        snprintf(json, sizeof json, "{\"keys\":[%s]}", table[i].key);
        size_t count = count_of(json, &code);
        expect_code(table[i].key, code, table[i].code);
        if (count != table[i].count)
            fail_msg("%s: %zu keys", table[i].key, count);
    }
}

TEST(texts_that_are_no_jwks)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "{}",
                                      "{\"keys\":{}}",
                                      "{\"keys\":null}",
                                      "<html>",
                                      "{\"keys\":[]} x",
                                      "{\"keys\":[],\"keys\":[]}"};
    enum error_code code;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        count_of(bad[i], &code);
        expect_code(bad[i], code, ERROR_CONFIGURATION);
    }
    count_of("{\"keys\":[]}", &code);
    expect_code("empty", code, ERROR_NONE);
    char *large = malloc(AUTH_MAX_JWKS_BYTES + 2);
    memset(large, ' ', AUTH_MAX_JWKS_BYTES + 1);
    memcpy(large, "{\"keys\":[]}", strlen("{\"keys\":[]}"));
    large[AUTH_MAX_JWKS_BYTES] = '\0';
    count_of(large, &code);
    expect_code("large", code, ERROR_NONE);
    large[AUTH_MAX_JWKS_BYTES] = ' ';
    large[AUTH_MAX_JWKS_BYTES + 1] = '\0';
    count_of(large, &code);
    expect_code("too large", code, ERROR_CONFIGURATION);
    free(large);
}

/* A private key that got into a set is told to nobody. */
TEST(a_broken_jwks_is_not_quoted)
{
    struct error error;
    struct auth_keys *keys = auth_keys_new();
    assert_false(auth_keys_add_jwks(
        keys, span_of("{\"keys\":[{" OURS ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZ\" 5}]}"),
        &error));
    assert_null(strstr(error.message, "nWGx"));
    auth_keys_release(keys);
}

TEST(a_printed_set_is_read_back)
{
    struct error error;
    struct buffer json;
    buffer_init(&json, 4096);
    struct auth_keys *keys = keys_a(), *again = auth_keys_new();
    assert_true(auth_keys_add(keys, span_of(X_A), span_of("\"q\" \\ é"), 5, &error));
    assert_true(auth_keys_print_jwks(keys, &json));
    assert_true(auth_keys_add_jwks(again, buffer_span(&json), &error));
    assert_int_equal(again->count, 2);
    assert_string_equal(again->keys[0].id, ID_A);
    assert_string_equal(again->keys[1].id, "\"q\" \\ é");
    assert_memory_equal(again->keys[1].public.bytes, public_a, 32);
    auth_keys_release(keys);
    auth_keys_release(again);
    buffer_fini(&json);
}
