/* Signed sessions: which are taken, and with which code each of the others is refused. */
#include "auth_fixture.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

/* ---- vectors ---- */

/* RFC 8037, A.4 and A.5. */
static const char rfc_text[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
static const char rfc_signature[] =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

TEST(the_vector_of_rfc_8037)
{
    unsigned char made[64];
    struct buffer decoded, encoded, key;
    buffer_init(&decoded, 64);
    buffer_init(&encoded, 128);
    buffer_init(&key, 32);
    sign_ed25519(seed_a, rfc_text, made);
    assert_true(base64_encode(span_make((char *)made, sizeof made), &encoded));
    assert_string_equal(buffer_string(&encoded), rfc_signature);
    assert_true(base64_decode(span_of(rfc_signature), true, &decoded));
    assert_memory_equal(decoded.data, made, sizeof made);
    assert_true(base64_decode(span_of(X_A), true, &key));
    assert_memory_equal(key.data, public_a, sizeof public_a);
    assert_int_equal(verify_ed25519(public_a, rfc_text, made), CRYPTO_GOOD);
    for (size_t bit = 0; bit < 8 * sizeof made; bit++) {
        made[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_equal(verify_ed25519(public_a, rfc_text, made), CRYPTO_BAD);
        made[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    buffer_fini(&decoded);
    buffer_fini(&encoded);
    buffer_fini(&key);
}

TEST(base64url_stands_for_one_run_of_bytes_only)
{
    static const char *const bad[] = {"A",   "AAAAA", "AA=", "AA==", "AAA=", "AB", "AAB",
                                      "A A", "AA\n",  "+A",  "/A",   "A.",   "é",  "AAA\x80"};
    struct buffer out;
    buffer_init(&out, 64);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buffer_clear(&out);
        if (base64_decode(span_of(bad[i]), true, &out))
            fail_msg("\"%s\" was decoded", bad[i]);
    }
    for (int length = 0; length < 40; length++) {
        char bytes[40];
        struct buffer text;
        for (int i = 0; i < length; i++)
            bytes[i] = (char)(i * 151 + length * 7);
        buffer_init(&text, 64);
        buffer_clear(&out);
        add_base64url(&text, bytes, (size_t)length);
        assert_true(base64_decode(buffer_span(&text), true, &out));
        assert_int_equal(out.length, length);
        assert_memory_equal(buffer_span(&out).data, bytes, (size_t)length);
        buffer_fini(&text);
    }
    buffer_fini(&out);
}

/* ---- tokens that are taken ---- */

TEST(a_good_token_says_who_it_is)
{
    struct error error;
    char *token = token_make(
        seed_a, HEADER_A,
        "{\"iss\":\"https://issuer.example\",\"sub\":\"älice\",\"aud\":[\"x\",\"stele\"],"
        "\"iat\":1,\"nbf\":1,\"exp\":1800000060,\"jti\":\"t-1\",\"scope\":\"admin openid read\","
        "\"metering_key\":\"m\",\"key_class\":\"publishable\",\"deployment_id\":\"d\","
        "\"origin\":\"https://app.example\",\"client_ip\":\"10.0.0.7\",\"plan\":\"gold\","
        "\"limits\":{\"max_connections\":3,\"max_subscriptions\":0,\"max_snapshot_rows\":null,"
        "\"max_bytes_per_minute\":4294967296,\"other\":\"x\"},"
        "\"views\":[\"Quake/*\",\"Sea/list\"],\"row_scopes\":[\"eu\",\"\"],\"more\":{}}");
    struct auth_identity *identity = verify_token(token, &strict_rules, &plain_request, &error);
    assert_non_null(identity);
    assert_string_equal(identity->subject, "älice");
    assert_string_equal(identity->issuer, "https://issuer.example");
    assert_string_equal(identity->token_id, "t-1");
    assert_string_equal(identity->metering_key, "m");
    assert_string_equal(identity->deployment_id, "d");
    assert_string_equal(identity->origin, "https://app.example");
    assert_string_equal(identity->client_ip, "10.0.0.7");
    assert_string_equal(identity->plan, "gold");
    assert_int_equal(identity->key_class, AUTH_KEY_PUBLISHABLE);
    assert_int_equal(identity->scopes, AUTH_READ | AUTH_ADMIN);
    assert_int_equal(identity->expires_at, 1800000060);
    assert_int_equal(identity->limits.max_connections, 3);
    assert_int_equal(identity->limits.max_subscriptions, 0);
    assert_int_equal(identity->limits.max_snapshot_rows, AUTH_NOT_SET);
    assert_int_equal(identity->limits.max_messages_per_minute, AUTH_NOT_SET);
    assert_true(identity->limits.max_bytes_per_minute == 4294967296);
    assert_true(auth_may_view(identity, span_of("Quake/list")));
    assert_false(auth_may_view(identity, span_of("Sea/state")));
    assert_true(texts_have(&identity->row_scopes, "eu"));
    assert_true(texts_have(&identity->row_scopes, ""));
    assert_false(texts_have(&identity->row_scopes, "us"));
    auth_identity_release(identity);
    free(token);
}

TEST(what_it_need_not_say_has_defaults)
{
    struct error error;
    char *token = token_make(seed_a, "{\"alg\":\"EdDSA\"}",
                             "{\"sub\":\"bob\",\"exp\":1800000001,\"scope\":\"\",\"views\":[],"
                             "\"iss\":null,\"limits\":null,\"origin\":null,\"key_class\":null}");
    struct auth_identity *identity = verify_token(token, &plain_rules, &plain_request, &error);
    assert_non_null(identity);
    assert_string_equal(identity->metering_key, "bob");
    assert_string_equal(identity->issuer, "");
    assert_string_equal(identity->token_id, "");
    assert_string_equal(identity->origin, "");
    assert_int_equal(identity->scopes, 0);
    assert_int_equal(identity->key_class, AUTH_KEY_NONE);
    assert_int_equal(identity->limits.max_connections, AUTH_NOT_SET);
    assert_int_equal(identity->row_scopes.count, 0);
    assert_false(auth_may_view(identity, span_of("Quake/list"))); /* none, which is not all */
    auth_identity_release(identity);
    free(token);
}

/* ---- the table of broken and forged tokens ---- */

TEST(the_good_one_of_the_table_is_good)
{
    expect_code("good", code_of(token_make(seed_a, HEADER_A, GOOD_CLAIMS)), ERROR_NONE);
}

TEST(headers)
{
    static const struct {
        const char *header;
        enum error_code code;
    } table[] = {
        {"{\"alg\":\"none\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"None\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":null}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"Ed25519\"}", ERROR_NONE},
        {"{\"alg\":\"Ed448\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"ed25519\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":[\"EdDSA\"]}", ERROR_TOKEN_FORMAT},
        {"{\"typ\":\"JWT\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"eddsa\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"EdDSA\\u0000\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"HS256\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"RS256\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"ES256\",\"kid\":\"" ID_A "\"}", ERROR_TOKEN_SIGNATURE},
        {"{\"alg\":\"EdDSA\",\"alg\":\"none\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"none\",\"alg\":\"EdDSA\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"EdDSA\",\"crit\":[\"exp\"]}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"EdDSA\",\"crit\":null}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"EdDSA\",\"kid\":7}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"EdDSA\",\"kid\":\"\"}", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"EdDSA\"", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"EdDSA\"} x", ERROR_TOKEN_FORMAT},
        {"[\"EdDSA\"]", ERROR_TOKEN_FORMAT},
        {"\"EdDSA\"", ERROR_TOKEN_FORMAT},
        {"", ERROR_TOKEN_FORMAT},
        {"{\"alg\":\"EdDSA\",\"kid\":\"0000000000000000\"}", ERROR_TOKEN_KEY},
        {"{\"alg\":\"EdDSA\",\"kid\":\"" ID_A "0\"}", ERROR_TOKEN_KEY},
        {"{\"alg\":\"EdDSA\",\"kid\":\"d75a980182b10ab\"}", ERROR_TOKEN_KEY},
        {"{\"alg\":\"EdDSA\",\"kid\":\"" ID_A "\\u0000\"}", ERROR_TOKEN_KEY},
        /* These say nothing that matters. */
        {"{\"alg\":\"EdDSA\",\"kid\":null}", ERROR_NONE},
        {"{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}", ERROR_NONE},
        {"{\"alg\":\"EdDSA\",\"typ\":5,\"jku\":\"https://evil.example\",\"jwk\":{}}", ERROR_NONE},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        expect_code(table[i].header, code_of(token_make(seed_a, table[i].header, GOOD_CLAIMS)),
                    table[i].code);
}

TEST(a_kid_of_more_bytes_than_a_key_may_have)
{
    char header[400];
    for (int length = AUTH_MAX_KEY_ID; length <= AUTH_MAX_KEY_ID + 1; length++) {
        snprintf(header, sizeof header, "{\"alg\":\"EdDSA\",\"kid\":\"%0*d\"}", length, 0);
        expect_code(header, code_of(token_make(seed_a, header, GOOD_CLAIMS)),
                    length == AUTH_MAX_KEY_ID ? ERROR_TOKEN_KEY : ERROR_TOKEN_FORMAT);
    }
}

/* The old trick: a server that believes the header checks an HMAC whose secret everybody knows. */
TEST(hs256_with_the_public_key_as_secret)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"" ID_A "\"}";
    unsigned char code[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    struct buffer text;
    buffer_init(&text, 4096);
    add_base64url(&text, header, strlen(header));
    buffer_add_char(&text, '.');
    add_base64url(&text, GOOD_CLAIMS, strlen(GOOD_CLAIMS));
    const char *const secrets[] = {(const char *)public_a, X_A};
    for (size_t i = 0; i < 2; i++) {
        int size = i == 0 ? 32 : (int)strlen(X_A);
        HMAC(EVP_sha256(), secrets[i], size, (unsigned char *)text.data, text.length, code,
             &length);
        expect_code("HS256", code_of(token_make_signed(header, GOOD_CLAIMS, code, length)),
                    ERROR_TOKEN_FORMAT);
        /* And under a header that names the right algorithm. */
        expect_code("HMAC", code_of(token_make_signed(HEADER_A, GOOD_CLAIMS, code, length)),
                    ERROR_TOKEN_FORMAT);
    }
    buffer_fini(&text);
}

/* Signatures of other kinds of keys under a header that says EdDSA. */
TEST(keys_of_other_curves)
{
    static const struct {
        const char *type, *group;
        const EVP_MD *(*digest)(void);
        enum error_code code;
    } table[] = {{"ED448", NULL, NULL, ERROR_TOKEN_FORMAT},
                 {"EC", "P-256", EVP_sha256, ERROR_TOKEN_FORMAT}};
    struct buffer text;
    buffer_init(&text, 4096);
    add_base64url(&text, HEADER_A, strlen(HEADER_A));
    buffer_add_char(&text, '.');
    add_base64url(&text, GOOD_CLAIMS, strlen(GOOD_CLAIMS));
    for (size_t i = 0; i < 2; i++) {
        unsigned char signature[256];
        size_t length = sizeof signature;
        EVP_PKEY *key = table[i].group ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", table[i].group)
                                       : EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        const EVP_MD *hash = table[i].digest ? table[i].digest() : NULL;
        assert_int_equal(EVP_DigestSignInit(context, NULL, hash, NULL, key), 1);
        assert_int_equal(
            EVP_DigestSign(context, signature, &length, (unsigned char *)text.data, text.length),
            1);
        expect_code(table[i].type,
                    code_of(token_make_signed(HEADER_A, GOOD_CLAIMS, signature, length)),
                    table[i].code);
        /* Cut to the length of ours. */
        expect_code(table[i].type, code_of(token_make_signed(HEADER_A, GOOD_CLAIMS, signature, 64)),
                    ERROR_TOKEN_SIGNATURE);
        EVP_MD_CTX_free(context);
        EVP_PKEY_free(key);
    }
    buffer_fini(&text);
}

TEST(signatures)
{
    static const unsigned char zeros[65];
    expect_code("none", code_of(token_make_signed(HEADER_A, GOOD_CLAIMS, zeros, 0)),
                ERROR_TOKEN_FORMAT);
    expect_code("short", code_of(token_make_signed(HEADER_A, GOOD_CLAIMS, zeros, 63)),
                ERROR_TOKEN_FORMAT);
    expect_code("long", code_of(token_make_signed(HEADER_A, GOOD_CLAIMS, zeros, 65)),
                ERROR_TOKEN_FORMAT);
    expect_code("zeros", code_of(token_make_signed(HEADER_A, GOOD_CLAIMS, zeros, 64)),
                ERROR_TOKEN_SIGNATURE);
    expect_code("another key", code_of(token_make(seed_b, HEADER_A, GOOD_CLAIMS)),
                ERROR_TOKEN_SIGNATURE);
    expect_code("another key, no kid",
                code_of(token_make(seed_b, "{\"alg\":\"EdDSA\"}", GOOD_CLAIMS)),
                ERROR_TOKEN_SIGNATURE);
}

/* A signature holds for its own text only. */
TEST(claims_of_one_token_with_the_signature_of_another)
{
    char *one = token_make(seed_a, HEADER_A, GOOD_CLAIMS);
    char *other =
        token_make(seed_a, HEADER_A,
                   "{\"iss\":\"https://issuer.example\",\"sub\":\"root\",\"aud\":\"stele\","
                   "\"exp\":1800000060,\"scope\":\"read write admin\"}");
    char mixed[2048];
    snprintf(mixed, sizeof mixed, "%.*s%s", (int)(strrchr(other, '.') - other), other,
             strrchr(one, '.'));
    expect_code("mixed", code_of(strdup(mixed)), ERROR_TOKEN_SIGNATURE);
    free(one);
    free(other);
}

/* The order of the group, added to the second half of a signature, gives another signature that
 * sloppy verifiers take. */
TEST(a_signature_has_one_form)
{
    static const unsigned char order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a,       0x63,
                                            0x12, 0x58, 0xd6, 0x9c, 0xf7,       0xa2,
                                            0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    unsigned char signature[64];
    unsigned carry = 0;
    sign_ed25519(seed_a, rfc_text, signature);
    for (int i = 0; i < 32; i++) {
        carry += (unsigned)signature[32 + i] + order[i];
        signature[32 + i] = (unsigned char)carry;
        carry >>= 8;
    }
    assert_int_equal(verify_ed25519(public_a, rfc_text, signature), CRYPTO_BAD);
}

/* ---- the text of a token ---- */

TEST(texts_that_are_no_token)
{
    static const char *const bad[] = {"",        ".",        "..",    "...",
                                      "a",       "a.b",      "a.b.c", "e30.e30.",
                                      ".e30.AA", "bearer x", "\xff",  "e30.e30.e30.e30.e30",
                                      "\n",      "{}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_code(bad[i], code_of(strdup(bad[i])), ERROR_TOKEN_FORMAT);
}

static char *with(const char *token, size_t at, const char *more)
{
    char *text = malloc(strlen(token) + strlen(more) + 1);
    sprintf(text, "%.*s%s%s", (int)at, token, more, token + at);
    return text;
}

TEST(truncated_and_extended)
{
    char *token = token_make(seed_a, HEADER_A, GOOD_CLAIMS);
    size_t length = strlen(token);
    for (size_t cut = 0; cut < length; cut++) {
        enum error_code code = code_of(strndup(token, cut));
        if (code != ERROR_TOKEN_FORMAT)
            fail_msg("the first %zu bytes: %s", cut, error_kind(code)->wire);
    }
    static const char *const more[] = {".",  ".e30", "=",  "==", "A", "AA",      " ",
                                       "\n", "%3D",  "\t", "+",  "/", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        expect_code(more[i], code_of(with(token, length, more[i])), ERROR_TOKEN_FORMAT);
        expect_code(more[i], code_of(with(token, 0, more[i])), ERROR_TOKEN_FORMAT);
        size_t dot = (size_t)(strchr(token, '.') - token);
        expect_code(more[i], code_of(with(token, dot, more[i])), ERROR_TOKEN_FORMAT);
    }
    free(token);
}

/* The last character of a signature carries four bits that stand for nothing. */
TEST(stray_bits)
{
    char *token = token_make(seed_a, HEADER_A, GOOD_CLAIMS);
    char *last = token + strlen(token) - 1;
    const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    int value = (int)(strchr(digits, *last) - digits);
    for (int bits = 0; bits < 16; bits++) {
        char *changed = strdup(token);
        changed[strlen(changed) - 1] = digits[(value & 48) | bits];
        expect_code("stray bits", code_of(changed), bits ? ERROR_TOKEN_FORMAT : ERROR_NONE);
    }
    free(token);
}

TEST(every_byte_counts)
{
    char *token = token_make(seed_a, HEADER_A, GOOD_CLAIMS);
    for (size_t i = 0; i < strlen(token); i++) {
        for (int bit = 0; bit < 7; bit++) {
            char *changed = strdup(token);
            changed[i] = (char)(changed[i] ^ (1 << bit));
            enum error_code code = changed[i] ? code_of(changed) : (free(changed), 1);
            if (code == ERROR_NONE)
                fail_msg("byte %zu, bit %d", i, bit);
        }
    }
    free(token);
}

TEST(huge_tokens)
{
    enum { HUGE_TEXT = 256 * 1024 };
    char *claims = malloc(HUGE_TEXT);
    for (int padding = 5400; padding < 6300; padding++) {
        snprintf(claims, HUGE_TEXT,
                 "{\"iss\":\"https://issuer.example\",\"sub\":\"a\",\"aud\":\"stele\",\"exp\":"
                 "1800000060,\"scope\":\"read\",\"padding\":\"%0*d\"}",
                 padding, 0);
        char *token = token_make(seed_a, HEADER_A, claims);
        size_t length = strlen(token);
        bool near = length > AUTH_MAX_TOKEN_BYTES - 40 && length < AUTH_MAX_TOKEN_BYTES + 40;
        if (near || padding % 200 == 0)
            expect_code("size", code_of(token),
                        length > AUTH_MAX_TOKEN_BYTES ? ERROR_TOKEN_FORMAT : ERROR_NONE);
        else
            free(token);
    }
    memset(claims, '[', HUGE_TEXT - 1);
    claims[5000] = '\0';
    expect_code("deep", code_of(token_make(seed_a, HEADER_A, claims)), ERROR_TOKEN_FORMAT);
    memset(claims, '.', HUGE_TEXT - 1);
    claims[HUGE_TEXT - 1] = '\0';
    expect_code("dots", code_of(claims), ERROR_TOKEN_FORMAT);
}

/* ---- keys ---- */

static enum error_code code_by(const struct auth_keys *keys, const char *token, int64_t now)
{
    struct error error = {.code = ERROR_NONE};
    struct auth_request request = {.now = now};
    auth_identity_release(auth_verify(keys, &plain_rules, &request, span_of(token), &error));
    return error.code;
}

TEST(a_key_counts_until_its_end)
{
    struct auth_keys *keys = auth_keys_new();
    char *named = token_make(seed_a, HEADER_A, GOOD_CLAIMS);
    char *unnamed = token_make(seed_a, "{\"alg\":\"EdDSA\"}", GOOD_CLAIMS);
    expect_code("no keys", code_by(keys, named, NOW), ERROR_TOKEN_KEY);
    expect_code("no keys", code_by(keys, unnamed, NOW), ERROR_TOKEN_KEY);
    assert_true(auth_keys_add(keys, span_of(X_A), span_make(NULL, 0), NOW + 10, NULL));
    expect_code("before", code_by(keys, named, NOW + 9), ERROR_NONE);
    expect_code("before", code_by(keys, unnamed, NOW + 9), ERROR_NONE);
    expect_code("at its end", code_by(keys, named, NOW + 10), ERROR_TOKEN_KEY);
    expect_code("at its end", code_by(keys, unnamed, NOW + 10), ERROR_TOKEN_KEY);
    auth_keys_release(keys);
    free(named);
    free(unnamed);
}

/* In a rotation there are two; with many, a token must say which. */
TEST(a_token_without_kid_is_tried_with_few_keys)
{
    struct auth_keys *keys = auth_keys_new();
    char *token = token_make(seed_a, "{\"alg\":\"EdDSA\"}", GOOD_CLAIMS);
    char *forged = token_make(seed_b, "{\"alg\":\"EdDSA\"}", GOOD_CLAIMS);
    for (int count = 1; count <= AUTH_TRIED_KEYS + 1; count++) {
        unsigned char seed[32] = {(unsigned char)count}, other[32];
        public_of(seed, other);
        const unsigned char *key = count == 2 ? public_a : other;
        assert_true(add_ed25519(keys, key, span_make(NULL, 0), 0, NULL));
        bool many = count > AUTH_TRIED_KEYS;
        expect_code("ours", code_by(keys, token, NOW),
                    many        ? ERROR_TOKEN_MISSING_CLAIM
                    : count < 2 ? ERROR_TOKEN_SIGNATURE
                                : ERROR_NONE);
        expect_code("forged", code_by(keys, forged, NOW),
                    many ? ERROR_TOKEN_MISSING_CLAIM : ERROR_TOKEN_SIGNATURE);
    }
    auth_keys_release(keys);
    free(token);
    free(forged);
}

/* ---- our own tokens ---- */

TEST(what_is_signed_here_is_taken_here)
{
    struct error error;
    struct buffer token, claims, pem;
    buffer_init(&token, 8192);
    buffer_init(&claims, 8192);
    buffer_init(&pem, 8192);
    struct auth_signer *signer = auth_signer_generate(AUTH_EDDSA, &error), *again;
    struct auth_keys *keys = auth_keys_new();
    assert_non_null(signer);
    assert_true(auth_signer_print(signer, &pem, &error));
    again = auth_signer_read(buffer_span(&pem), &error);
    assert_memory_equal(&signer->public, &again->public, sizeof(struct auth_public));
    assert_true(auth_sign(again, span_of(GOOD_CLAIMS), &token, &error));
    assert_true(auth_keys_add_public(keys, &signer->public, span_make(NULL, 0), 0, NULL));
    assert_int_equal(code_by(keys, buffer_string(&token), NOW), ERROR_NONE);
    assert_true(auth_token_claims(buffer_span(&token), &claims, &error));
    assert_string_equal(buffer_string(&claims), GOOD_CLAIMS);
    assert_false(auth_token_claims(span_of("a.b.c"), &claims, &error));
    assert_int_equal(error.code, ERROR_TOKEN_FORMAT);
    auth_keys_release(keys);
    auth_signer_free(signer);
    auth_signer_free(again);
    buffer_fini(&token);
    buffer_fini(&claims);
    buffer_fini(&pem);
}
