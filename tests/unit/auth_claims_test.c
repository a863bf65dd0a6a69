/* What a signed session must say, of which types, and in which order that is looked at. */
#include "auth_fixture.h"

enum { CLAIMS_SIZE = 2048 };

/* The good claims with `more` in front of what `without` names; the text is reused. */
static const char *claims_with(const char *without, const char *more)
{
    static char text[CLAIMS_SIZE];
    static const struct {
        const char *name, *value;
    } all[] = {{"iss", "\"https://issuer.example\""},
               {"sub", "\"alice\""},
               {"aud", "\"stele\""},
               {"exp", "1800000060"},
               {"nbf", "1799999990"},
               {"jti", "\"t-1\""},
               {"scope", "\"read\""}};
    int length = snprintf(text, sizeof text, "{\"a\":0");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, without) != 0)
            length += snprintf(text + length, sizeof text - (size_t)length, ",\"%s\":%s",
                               all[i].name, all[i].value);
    snprintf(text + length, sizeof text - (size_t)length, "%s%s}", *more ? "," : "", more);
    return text;
}

static struct error error_of(const char *claims, const struct auth_rules *rules,
                             const struct auth_request *request)
{
    struct error error;
    char *token = token_make(seed_a, HEADER_A, claims);
    auth_identity_release(verify_token(token, rules, request, &error));
    free(token);
    return error;
}

static enum error_code code_with(const char *without, const char *more)
{
    return error_of(claims_with(without, more), &strict_rules, &plain_request).code;
}

/* Limits may be in what cannot be read. */
TEST(sealed_claims_are_refused)
{
    assert_int_equal(code_with("", "\"sealed\":\"k1.AAAA\""), ERROR_TOKEN_FORMAT);
    assert_int_equal(code_with("", "\"sealed\":{}"), ERROR_TOKEN_FORMAT);
    assert_int_equal(code_with("", "\"sealed\":null"), ERROR_NONE);
    assert_int_equal(code_with("", "\"unsealed\":\"k1.AAAA\""), ERROR_NONE);
}

/* ---- types ---- */

TEST(claims_of_another_type)
{
    static const struct {
        const char *name, *values[12];
    } table[] = {
        {"iss", {"1", "[]", "\"\"", "true", "{}", "\"a\\u0000b\"", "\"a\\nb\""}},
        {"sub", {"1", "[\"a\"]", "\"\"", "false", "\"a\\u0000\"", "\"\\u007f\"", "\"\\u001b[0m\""}},
        {"aud",
         {"1", "{}", "[1]", "[\"stele\",null]", "[[\"stele\"]]", "\"\"", "[\"stele\\u0000\"]"}},
        {"exp",
         {"\"1800000060\"", "[]", "-1", "1e300", "true", "9223372036854775808",
          "9007199254740994"}},
        {"nbf", {"\"1\"", "{}", "-0.5", "false"}},
        {"iat", {"\"1\"", "[1]", "\"now\""}},
        {"jti", {"7", "[]", "\"\"", "\"a\\u0000b\""}},
        {"scope", {"[1]", "1", "{}", "true", "[\"read\",null]", "[[\"read\"]]"}},
        {"metering_key", {"1", "\"\"", "[]"}},
        {"key_class", {"\"Secret\"", "\"\"", "1", "\"public\"", "\"secret\\u0000\""}},
        {"deployment_id", {"1", "{}"}},
        {"origin", {"1", "[\"https://a.example\"]", "\"\""}},
        {"client_ip", {"1", "[]"}},
        {"plan", {"1", "[]"}},
        {"views", {"\"\"", "{}", "[1]", "[null]", "[\"a\\u0000\"]", "1"}},
        {"row_scopes", {"\"\"", "\"a\\u0000b\"", "[[]]", "[7]", "[\"a\\u0000b\"]"}},
        {"limits",
         {"[]", "1", "\"x\"", "{\"max_connections\":-1}", "{\"max_connections\":\"5\"}",
          "{\"max_subscriptions\":1.5}", "{\"max_snapshot_rows\":true}",
          "{\"max_messages_per_minute\":[]}", "{\"max_bytes_per_minute\":9223372036854775808}",
          "{\"max_connections\":1,\"max_connections\":2}"}},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (size_t j = 0; table[i].values[j]; j++) {
            char more[200];
            snprintf(more, sizeof more, "\"%s\":%s", table[i].name, table[i].values[j]);
            expect_code(more, code_with(table[i].name, more), ERROR_TOKEN_FORMAT);
        }
}

TEST(a_jti_has_an_end)
{
    for (int length = AUTH_MAX_TOKEN_ID; length <= AUTH_MAX_TOKEN_ID + 1; length++) {
        char more[AUTH_MAX_TOKEN_ID + 20];
        snprintf(more, sizeof more, "\"jti\":\"%0*d\"", length, 0);
        expect_code("jti", code_with("jti", more),
                    length == AUTH_MAX_TOKEN_ID ? ERROR_NONE : ERROR_TOKEN_FORMAT);
    }
}

TEST(claims_that_are_no_object)
{
    static const char *const bad[] = {"",
                                      "[]",
                                      "\"a\"",
                                      "null",
                                      "1",
                                      "{",
                                      "{\"sub\":\"a\"}{}",
                                      "{\"sub\":\"\xff\"}",
                                      "{\"sub\":\"\\ud800\"}",
                                      "{sub:1}",
                                      "{\"a\":NaN}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_code(bad[i], error_of(bad[i], &plain_rules, &plain_request).code,
                    ERROR_TOKEN_FORMAT);
}

TEST(claims_that_are_there_twice)
{
    static const char *const twice[] = {"\"sub\":\"alice\"", "\"exp\":1900000000",
                                        "\"scope\":\"admin\"", "\"s\\u0075b\":\"root\"",
                                        "\"x\":{\"y\":1,\"y\":1}"};
    for (size_t i = 0; i < sizeof twice / sizeof *twice; i++)
        expect_code(twice[i], code_with("", twice[i]), ERROR_TOKEN_FORMAT);
}

TEST(an_audience_is_a_text_or_several)
{
    expect_code("one", code_with("aud", "\"aud\":\"stele\""), ERROR_NONE);
    expect_code("several", code_with("aud", "\"aud\":[\"a\",\"stele\",\"b\"]"), ERROR_NONE);
    expect_code("others", code_with("aud", "\"aud\":[\"a\",\"stele2\",\"stel\"]"),
                ERROR_TOKEN_AUDIENCE);
    expect_code("none of them", code_with("aud", "\"aud\":[]"), ERROR_TOKEN_AUDIENCE);
    expect_code("another", code_with("aud", "\"aud\":\"Stele\""), ERROR_TOKEN_AUDIENCE);
}

/* ---- what must be there ---- */

TEST(missing_claims_are_named)
{
    static const char *const required[] = {"iss", "sub", "aud", "exp", "scope"};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        for (int is_null = 0; is_null < 2; is_null++) {
            char more[40], name[40];
            snprintf(more, sizeof more, "\"%s\":null", required[i]);
            snprintf(name, sizeof name, "`%s`", required[i]);
            struct error error = error_of(claims_with(required[i], is_null ? more : ""),
                                          &strict_rules, &plain_request);
            expect_code(required[i], error.code, ERROR_TOKEN_MISSING_CLAIM);
            assert_non_null(strstr(error.message, name));
        }
    expect_code("jti", code_with("jti", ""), ERROR_NONE);
    expect_code("nbf", code_with("nbf", ""), ERROR_NONE);
    /* Only a server that was told an issuer or an audience asks for one. */
    expect_code("iss", error_of(claims_with("iss", ""), &plain_rules, &plain_request).code,
                ERROR_NONE);
    expect_code("aud", error_of(claims_with("aud", ""), &plain_rules, &plain_request).code,
                ERROR_NONE);
}

/* ---- time, to the second ---- */

static enum error_code code_at(const char *claims, int64_t now)
{
    struct auth_request request = {.now = now};
    return error_of(claims, &plain_rules, &request).code;
}

TEST(a_time_in_milliseconds_is_refused)
{
    static const struct {
        const char *name, *claim;
        enum error_code code;
    } cases[] = {
        {"exp", "\"exp\":1800000060000", ERROR_TOKEN_FORMAT},
        {"exp", "\"exp\":1800000060000.5", ERROR_TOKEN_FORMAT},
        {"exp", "\"exp\":2117000000", ERROR_TOKEN_FORMAT},
        {"exp", "\"exp\":9007199254740991", ERROR_TOKEN_FORMAT},
        {"exp", "\"exp\":2116000000", ERROR_NONE},
        {"nbf", "\"nbf\":1799999999000", ERROR_TOKEN_FORMAT},
        {"iat", "\"iat\":1799999999000", ERROR_TOKEN_FORMAT},
        {"iat", "\"iat\":1800000100", ERROR_NONE}, /* a clock that is ahead */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error =
            error_of(claims_with(cases[i].name, cases[i].claim), &plain_rules, &plain_request);
        expect_code(cases[i].claim, error.code, cases[i].code);
        if (error.code == ERROR_NONE)
            continue;
        assert_non_null(strstr(error.message, cases[i].name));
        assert_non_null(strstr(error.message, "seconds since 1970"));
        bool milliseconds = i != 2;
        assert_int_equal(strstr(error.message, "milliseconds") != NULL, milliseconds);
    }
}

TEST(a_token_holds_until_the_second_of_exp)
{
    const char *claims = claims_with("exp", "\"exp\":1800000060");
    expect_code("a second before", code_at(claims, 1800000059), ERROR_NONE);
    expect_code("at", code_at(claims, 1800000060), ERROR_TOKEN_EXPIRED);
    expect_code("a second after", code_at(claims, 1800000061), ERROR_TOKEN_EXPIRED);
    claims = claims_with("exp", "\"exp\":1800000060.9");
    expect_code("before a fraction", code_at(claims, 1800000059), ERROR_NONE);
    expect_code("at a fraction", code_at(claims, 1800000060), ERROR_TOKEN_EXPIRED);
    expect_code("never valid", code_at(claims_with("exp", "\"exp\":0"), NOW), ERROR_TOKEN_EXPIRED);
}

/* Only what the clock decides is told as that: access counts the rest as guesses. */
TEST(what_the_clock_decides_is_told)
{
    static const struct {
        const char *without, *more;
        int64_t now;
        bool by_clock;
    } table[] = {
        {"", "", 0, true},                         /* exp is ten years ahead in 1970 */
        {"", "", 1799999900, true},                /* not valid yet */
        {"exp", "\"exp\":1800000060000", 0, true}, /* milliseconds */
        {"nbf", "\"nbf\":1799999999000", 1800000000, true},
        {"exp", "\"exp\":\"soon\"", 1800000000, false}, /* of another type */
        {"iss", "\"iss\":\"https://other.example\"", 0, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct auth_request request = plain_request;
        request.now = table[i].now;
        struct error error =
            error_of(claims_with(table[i].without, table[i].more), &strict_rules, &request);
        if (error.code == ERROR_NONE || error.by_clock != table[i].by_clock)
            fail_msg("%s at %lld: %s", table[i].more, (long long)table[i].now, error.message);
    }
}

TEST(a_token_holds_from_the_second_of_nbf)
{
    const char *claims = claims_with("nbf", "\"nbf\":1800000000");
    expect_code("a second before", code_at(claims, 1799999999), ERROR_TOKEN_FORMAT);
    expect_code("at", code_at(claims, 1800000000), ERROR_NONE);
    claims = claims_with("nbf", "\"nbf\":1800000000.1");
    expect_code("at a fraction", code_at(claims, 1800000000), ERROR_TOKEN_FORMAT);
    expect_code("after it", code_at(claims, 1800000001), ERROR_NONE);
    /* When it was issued is nobody's business: clocks differ. */
    expect_code("iat", code_at(claims_with("", "\"iat\":1900000000"), NOW), ERROR_NONE);
}

/* ---- origin and address ---- */

static enum error_code code_from(const char *bound, const char *origin, bool required, bool refresh)
{
    char more[200];
    struct auth_rules rules = {.require_origin = required};
    struct auth_request request = {.origin = span_of(origin), .refresh = refresh, .now = NOW};
    snprintf(more, sizeof more, "\"origin\":\"%s\"", bound ? bound : "");
    return error_of(claims_with("", bound ? more : ""), &rules, &request).code;
}

TEST(origins)
{
    static const char a[] = "https://a.example", b[] = "https://b.example";
    static const struct {
        const char *bound, *origin;
        enum error_code code, required;
    } table[] = {
        {NULL, NULL, ERROR_NONE, ERROR_ORIGIN_REQUIRED},
        {NULL, a, ERROR_NONE, ERROR_TOKEN_MISSING_CLAIM},
        {a, NULL, ERROR_NONE, ERROR_ORIGIN_REQUIRED},
        {a, a, ERROR_NONE, ERROR_NONE},
        {a, b, ERROR_ORIGIN_MISMATCH, ERROR_ORIGIN_MISMATCH},
        {a, "null", ERROR_ORIGIN_MISMATCH, ERROR_ORIGIN_MISMATCH},
        {a, "", ERROR_ORIGIN_MISMATCH, ERROR_ORIGIN_MISMATCH},
        {a, "https://a.example:8443", ERROR_ORIGIN_MISMATCH, ERROR_ORIGIN_MISMATCH},
        {a, "http://a.example", ERROR_ORIGIN_MISMATCH, ERROR_ORIGIN_MISMATCH},
        {a, "https://a.example.evil", ERROR_ORIGIN_MISMATCH, ERROR_ORIGIN_MISMATCH},
        {"https://A.Example/", a, ERROR_NONE, ERROR_NONE},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *bound = table[i].bound, *origin = table[i].origin;
        expect_code("origin", code_from(bound, origin, false, false), table[i].code);
        expect_code("required", code_from(bound, origin, true, false), table[i].required);
        expect_code("refresh", code_from(bound, origin, true, true), ERROR_NONE);
    }
}

static enum error_code code_at_address(const char *bound, const char *address, bool required)
{
    char more[200];
    struct auth_rules rules = {.require_client_ip = required};
    struct auth_request request = {.client_ip = span_of(address), .now = NOW};
    snprintf(more, sizeof more, "\"client_ip\":\"%s\"", bound ? bound : "");
    return error_of(claims_with("", bound ? more : ""), &rules, &request).code;
}

TEST(addresses)
{
    static const struct {
        const char *bound, *address;
        enum error_code code;
    } table[] = {
        {NULL, "10.0.0.7", ERROR_TOKEN_MISSING_CLAIM},
        {"10.0.0.7", "10.0.0.7", ERROR_NONE},
        {"10.0.0.7", "10.0.0.8", ERROR_ORIGIN_MISMATCH},
        {"10.0.0.7", "::ffff:10.0.0.7", ERROR_NONE},
        {"::ffff:a00:7", "10.0.0.7", ERROR_NONE},
        {"2001:DB8::1", "2001:db8:0:0:0:0:0:1", ERROR_NONE},
        {"2001:db8::1", "2001:db8::2", ERROR_ORIGIN_MISMATCH},
        {"::7", "0.0.0.7", ERROR_ORIGIN_MISMATCH},
        {"10.0.0.7", NULL, ERROR_ORIGIN_MISMATCH},
        {"somewhere", "somewhere", ERROR_ORIGIN_MISMATCH},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        expect_code(table[i].bound, code_at_address(table[i].bound, table[i].address, true),
                    table[i].code);
        expect_code("not asked", code_at_address(table[i].bound, table[i].address, false),
                    ERROR_NONE);
    }
}

/* ---- revoked tokens ---- */

TEST(a_revoked_token_has_run_out)
{
    struct auth_revocations *revoked = auth_revocations_new();
    struct auth_rules rules = {.revocations = revoked};
    const char *claims = claims_with("", "");
    expect_code("before", error_of(claims, &rules, &plain_request).code, ERROR_NONE);
    assert_true(auth_revocations_add(revoked, span_of("t-2"), 0, NOW));
    assert_true(auth_revocations_add(revoked, span_of("t-"), 0, NOW));
    expect_code("another", error_of(claims, &rules, &plain_request).code, ERROR_NONE);
    assert_true(auth_revocations_add(revoked, span_of("t-1"), NOW + 60, NOW));
    struct error error = error_of(claims, &rules, &plain_request);
    expect_code("revoked", error.code, ERROR_TOKEN_EXPIRED);
    assert_non_null(strstr(error.message, "revoked"));
    claims = claims_with("jti", "");
    expect_code("no jti", error_of(claims, &rules, &plain_request).code, ERROR_NONE);
    auth_revocations_free(revoked);
}

TEST(revocations_are_kept_until_the_token_has_run_out)
{
    struct auth_revocations *revoked = auth_revocations_new();
    assert_true(auth_revocations_add(revoked, span_of("a"), 100, 1));
    assert_true(auth_revocations_add(revoked, span_of("b"), 0, 1));
    assert_true(auth_revocations_add(revoked, span_of("c"), 100, 1));
    assert_true(auth_revocations_add(revoked, span_of("c"), 200, 2)); /* the later end holds */
    assert_true(auth_revocations_add(revoked, span_of("c"), 50, 3));
    assert_true(auth_revocations_add(revoked, span_of("b"), 50, 3));
    assert_int_equal(revoked->map.count, 3);
    auth_revocations_trim(revoked, 99);
    assert_int_equal(revoked->map.count, 3);
    auth_revocations_trim(revoked, 100);
    assert_false(auth_is_revoked(revoked, span_of("a")));
    assert_true(auth_is_revoked(revoked, span_of("c")));
    auth_revocations_trim(revoked, 200);
    assert_false(auth_is_revoked(revoked, span_of("c")));
    auth_revocations_trim(revoked, INT64_MAX);
    assert_true(auth_is_revoked(revoked, span_of("b")));
    assert_int_equal(revoked->map.count, 1);
    auth_revocations_free(revoked);
}

TEST(many_revocations)
{
    enum { MANY = 20000 };
    char id[32];
    struct auth_revocations *revoked = auth_revocations_new();
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "token-%d", i);
        assert_true(auth_revocations_add(revoked, span_of(id), i + 1, 0));
    }
    auth_revocations_trim(revoked, MANY / 2);
    assert_int_equal(revoked->map.count, MANY / 2);
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "token-%d", i);
        assert_true(auth_is_revoked(revoked, span_of(id)) == (i >= MANY / 2));
    }
    auth_revocations_free(revoked);
    auth_revocations_free(NULL);
}

/* ---- the order of the checks ---- */

/* A token that is wrong in every way is refused for the first of them; each mended in turn. */
TEST(the_first_thing_that_is_wrong_is_told)
{
    struct auth_revocations *revoked = auth_revocations_new();
    assert_true(auth_revocations_add(revoked, span_of("t-1"), 0, NOW));
    const struct auth_rules rules = {
        .issuer = "i", .audience = "a", .require_client_ip = true, .revocations = revoked};
    const struct auth_request request = {
        .origin = span_of("https://a.example"), .client_ip = span_of("10.0.0.7"), .now = NOW};
    static const char *const wrong[] = {"\"plan\":7",
                                        "\"sub\":null",
                                        "\"iss\":\"x\"",
                                        "\"aud\":\"x\"",
                                        "\"exp\":1800000000",
                                        "\"nbf\":1800000001",
                                        "\"origin\":\"https://b.example\"",
                                        "\"client_ip\":\"10.0.0.8\"",
                                        "\"jti\":\"t-1\""};
    static const char *const right[] = {"\"plan\":\"p\"",
                                        "\"sub\":\"s\"",
                                        "\"iss\":\"i\"",
                                        "\"aud\":\"a\"",
                                        "\"exp\":1800000001",
                                        "\"nbf\":1800000000",
                                        "\"origin\":\"https://a.example\"",
                                        "\"client_ip\":\"10.0.0.7\"",
                                        "\"jti\":\"t-2\""};
    static const enum error_code codes[] = {ERROR_TOKEN_FORMAT,    ERROR_TOKEN_MISSING_CLAIM,
                                            ERROR_TOKEN_ISSUER,    ERROR_TOKEN_AUDIENCE,
                                            ERROR_TOKEN_EXPIRED,   ERROR_TOKEN_FORMAT,
                                            ERROR_ORIGIN_MISMATCH, ERROR_ORIGIN_MISMATCH,
                                            ERROR_TOKEN_EXPIRED,   ERROR_NONE};
    enum { STEPS = sizeof wrong / sizeof *wrong };
    for (size_t mended = 0; mended <= STEPS; mended++) {
        char claims[CLAIMS_SIZE];
        int length = snprintf(claims, sizeof claims, "{\"scope\":\"\"");
        for (size_t i = 0; i < STEPS; i++)
            length += snprintf(claims + length, sizeof claims - (size_t)length, ",%s",
                               i < mended ? right[i] : wrong[i]);
        snprintf(claims + length, sizeof claims - (size_t)length, "}");
        expect_code(claims, error_of(claims, &rules, &request).code, codes[mended]);
        /* Nothing of it is looked at before the signature but its form. */
        struct error error;
        char *forged = token_make(seed_b, HEADER_A, claims);
        assert_null(verify_token(forged, &rules, &request, &error));
        expect_code("forged", error.code, mended == 0 ? ERROR_TOKEN_FORMAT : ERROR_TOKEN_SIGNATURE);
        free(forged);
    }
    auth_revocations_free(revoked);
}

/* ---- refreshing ---- */

TEST(a_fresh_token_is_of_the_same_subject)
{
    struct error error;
    struct auth_identity held = {.subject = "alice"}, same = {.subject = "alice"},
                         other = {.subject = "alic"};
    assert_true(auth_may_follow(&held, &same, &error));
    assert_false(auth_may_follow(&held, &other, &error));
    assert_string_equal(auth_refresh_word(error.code), "token-invalid");
}

TEST(the_words_of_a_refused_refresh)
{
    static const char *const known[] = {"token-expired", "token-invalid-signature",
                                        "token-invalid-issuer", "token-invalid-audience"};
    for (int code = ERROR_NONE; code < ERROR_COUNT; code++) {
        const char *word = auth_refresh_word((enum error_code)code);
        bool own = false;
        for (size_t i = 0; i < 4; i++)
            own = own || strcmp(known[i], error_kind((enum error_code)code)->wire) == 0;
        assert_string_equal(word, own ? error_kind((enum error_code)code)->wire : "token-invalid");
    }
}
