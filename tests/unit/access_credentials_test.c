/*
 * "auth" and "allowed_origins" of the configuration: half of one is refused by name, files are
 * read, and nothing secret is shown.
 */
#include "access/access_internal.h"
#include "access/credentials.h"
#include "folder.h"
#include "memory_fault.h"
#include "test.h"

TEST_ALL(test_folder_make, test_folder_remove)

#define KEY "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" /* of RFC 8037 */
#define TOKEN "0123456789abcdef"
#define OTHER "fedcba9876543210"

static void config_with(struct config *config, const char *auth)
{
    struct error error = {0};
    assert_true(config_init(config, &error));
    if (!config_set(config, "auth", auth, &error))
        fail_msg("%s: %s", auth, error.message);
}

static size_t count_tokens(const struct auth_static *tokens)
{
    size_t count = 0;
    struct error error;
    for (size_t i = 0; tokens && i < 2; i++) {
        struct auth_identity *identity =
            auth_static_find(tokens, span_of(i ? OTHER : TOKEN), 1, &error);
        count += identity != NULL;
        auth_identity_release(identity);
    }
    return count;
}

static void expect_good(const char *auth, size_t tokens, size_t keys)
{
    struct config config;
    struct credentials credentials;
    struct error error = {0};
    config_with(&config, auth);
    if (!credentials_read(&credentials, &config, &error))
        fail_msg("%s: %s", auth, error.message);
    assert_int_equal(count_tokens(credentials.tokens), tokens);
    assert_int_equal(credentials.keys->count, keys);
    credentials_fini(&credentials);
    config_fini(&config);
}

/* Refused at once or when what it names is read; the error says these two things, and no token. */
static void expect_refused(const char *auth, const char *first, const char *second)
{
    struct config config;
    struct credentials credentials;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    if (config_set(&config, "auth", auth, &error))
        assert_false(credentials_read(&credentials, &config, &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    if (!strstr(error.message, first) || !strstr(error.message, second) ||
        strstr(error.message, TOKEN))
        fail_msg("%s\ngives: %s\nwanted: %s, %s", auth, error.message, first, second);
    config_fini(&config);
}

TEST(whole_configurations_are_taken)
{
    expect_good("{}", 0, 0);
    expect_good("{\"mode\":\"static\",\"tokens\":[\"" TOKEN "\",{\"token\":\"" OTHER
                "\",\"scope\":\"read write admin\"}]}",
                2, 0);
    expect_good("{\"mode\":\"signed\",\"keys\":[\"" KEY "\"],\"issuer\":\"i\"}", 0, 1);
    expect_good("{\"mode\":\"signed\",\"keys\":[\"" KEY "\"],\"tokens\":[\"" TOKEN "\"]}", 1, 1);
    expect_good("{\"mode\":\"signed\",\"jwks_url\":\"http://127.0.0.1:1/\"}", 0, 0);
}

TEST(half_configurations_are_refused)
{
    expect_refused("{\"mode\":\"static\"}", "auth.mode", "auth.tokens");
    expect_refused("{\"mode\":\"static\",\"tokens\":[]}", "auth.mode", "auth.tokens");
    expect_refused("{\"mode\":\"signed\"}", "auth.mode", "auth.keys");
    expect_refused("{\"mode\":\"signed\",\"tokens\":[\"" TOKEN "\"]}", "auth.mode", "auth.keys");
    expect_refused("{\"tokens\":[\"" TOKEN "\"]}", "auth.tokens", "mode");
    expect_refused("{\"keys\":[\"" KEY "\"]}", "auth.keys", "signed");
    expect_refused("{\"mode\":\"static\",\"tokens\":[\"" TOKEN "\"],\"issuer\":\"i\"}",
                   "auth.issuer", "signed");
    expect_refused("{\"require_origin\":true}", "auth.require_origin", "signed");
    expect_refused("{\"base_scope\":\"read\"}", "auth.base_scope", "signed");
    expect_refused("{\"scopes\":{\"a\":\"read\"}}", "auth.scopes", "signed");
    expect_refused("{\"plan_claim\":\"tier\"}", "auth.plan_claim", "signed");
}

TEST(what_is_wrong_is_named)
{
    expect_refused("[]", "\"auth\"", "object");
    expect_refused("{\"mod\":\"none\"}", "\"auth\" has no \"mod\"", "did you mean \"mode\"");
    expect_refused("{\"mode\":\"open\"}", "\"auth.mode\" cannot be open", "static or signed");
    expect_refused("{\"require_origin\":1}", "\"auth.require_origin\" cannot be 1",
                   "true or false");
    expect_refused("{\"jwks_seconds\":0}", "\"auth.jwks_seconds\" cannot be 0", "from 1");
    expect_refused("{\"mode\":\"static\",\"tokens\":\"" TOKEN "\"}", "auth.tokens", "list");
    expect_refused("{\"mode\":\"static\",\"tokens\":[\"(hidden)\"]}", "auth.tokens", "16");
    expect_refused("{\"mode\":\"static\",\"tokens\":[{\"scope\":\"read\"}]}", "auth.tokens",
                   "token");
    expect_refused("{\"mode\":\"static\",\"tokens\":[{\"token\":\"" TOKEN "\",\"file\":\"f\"}]}",
                   "auth.tokens[0]", "in place of");
    expect_refused("{\"mode\":\"static\",\"tokens\":[\"" OTHER "\",{\"file\":\"/nowhere/t\"}]}",
                   "auth.tokens[1]", "/nowhere/t");
    expect_refused("{\"mode\":\"signed\",\"keys\":[\"abc\"]}", "auth.keys", "key");
    expect_refused("{\"mode\":\"signed\",\"keys\":[\"" KEY "\"],\"base_scope\":\"reed\"}",
                   "auth.base_scope", "reed");
    expect_refused("{\"mode\":\"signed\",\"keys\":[\"" KEY "\"],\"scopes\":{\"a\":\"all\"}}",
                   "auth.scopes", "all");
    expect_refused("{\"mode\":\"signed\",\"keys\":[\"" KEY "\"],\"scopes\":[]}", "auth.scopes",
                   "object");
    expect_refused("{\"scope_claim\":\"a.\"}", "auth.scope_claim", "dot");
    expect_refused("{\"scope_claim\":\"\"}", "auth.scope_claim", "1 to 4096");
    expect_refused("{\"mode\":\"signed\",\"jwks_file\":\"/nowhere/j\"}", "auth.jwks_file",
                   "/nowhere/j");
    expect_refused("{\"mode\":\"signed\",\"jwks_url\":\"ftp://x/\"}", "auth.jwks_url", "http");
}

TEST(files_are_read)
{
    char auth[256];
    const char *path = test_file("token", "\n  " TOKEN "\r\n");
    snprintf(auth, sizeof(auth), "{\"mode\":\"static\",\"tokens\":[{\"file\":\"%s\"}]}", path);
    expect_good(auth, 1, 0);
    path = test_file("key", KEY "\n");
    snprintf(auth, sizeof(auth), "{\"mode\":\"signed\",\"keys\":[{\"file\":\"%s\",\"kid\":\"a\"}]}",
             path);
    expect_good(auth, 0, 1);
    path =
        test_file("jwks", "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" KEY "\"}]}");
    snprintf(auth, sizeof(auth), "{\"mode\":\"signed\",\"jwks_file\":\"%s\"}", path);
    expect_good(auth, 0, 1);
    path = test_file("empty", "{\"keys\":[]}");
    snprintf(auth, sizeof(auth), "{\"mode\":\"signed\",\"jwks_file\":\"%s\"}", path);
    expect_refused(auth, "auth.jwks_file", "no key of Ed25519");
    path = test_file("binary", "\xff\xfe");
    snprintf(auth, sizeof(auth), "{\"mode\":\"static\",\"tokens\":[{\"file\":\"%s\"}]}", path);
    expect_refused(auth, "auth.tokens[0]", "text");
}

TEST(a_later_auth_replaces_the_whole)
{
    struct config config;
    struct error error = {0};
    config_with(&config, "{\"mode\":\"signed\",\"keys\":[\"" KEY "\"],\"issuer\":\"i\"}");
    assert_true(config_set(&config, "auth", "{}", &error));
    assert_int_equal(config.auth.mode, CONFIG_AUTH_NONE);
    assert_null(config.auth.keys);
    assert_null(config.auth.issuer);
    assert_true(config_set(&config, "auth.metrics", "all", &error));
    assert_int_equal(config.auth.metrics, CONFIG_FOR_ALL);
    assert_false(config_set(&config, "auth.metric", "all", &error));
    assert_non_null(strstr(error.message, "did you mean \"auth.metrics\""));
    config_fini(&config);
}

TEST(nothing_secret_is_printed)
{
    struct config config, copy;
    struct credentials credentials;
    struct buffer text;
    struct error error = {0};
    buffer_init(&text, 1 << 16);
    config_with(&config,
                "{\"mode\":\"signed\",\"keys\":[{\"key\":\"" KEY
                "\",\"ends_at\":5}],\"tokens\":[\"" TOKEN "\",{\"subject\":\"s\",\"token\":\"" OTHER
                "\"}],\"issuer\":\"the issuer\",\"status\":\"all\"}");
    assert_true(
        config_set(&config, "allowed_origins", "[\"https://*.example.com\",\"null\"]", &error));
    assert_true(config_print(&config, CONFIG_FOR_OPERATOR, &text));
    const char *printed = buffer_string(&text);
    assert_null(strstr(printed, TOKEN));
    assert_null(strstr(printed, OTHER));
    const char *const shown[] = {KEY,          "\"subject\": \"s\"",  "(hidden)",
                                 "the issuer", "\"status\": \"all\"", "https://*.example.com"};
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        if (!strstr(printed, shown[i]))
            fail_msg("%s is not in %s", shown[i], printed);
    /* It is a file of the right form, in which the tokens must be put back. */
    assert_true(config_init(&copy, &error));
    if (!config_read_file(&copy, test_file("printed", printed), &error))
        fail_msg("%s", error.message);
    assert_false(credentials_read(&credentials, &copy, &error));
    config_fini(&config);
    config_fini(&copy);
    buffer_fini(&text);
}

TEST(origins_are_as_browsers_send_them)
{
    const char *const good[] = {"[]", "[\"https://a.example\"]", "[\"http://localhost:3000\"]",
                                "[\"http://[::1]:3000\",\"null\"]", "[\"https://*.a.example\"]"};
    const char *const bad[] = {
        "\"https://a.example\"",   "[\"*\"]",          "[\"https://a.example/\"]",
        "[\"HTTPS://a.example\"]", "[\"a.example\"]",  "[\"https://\"]",
        "[\"https://a.*\"]",       "[\"https://*.\"]", "[7]"};
    struct config config;
    struct error error = {0};
    assert_true(config_init(&config, &error));
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!config_set(&config, "allowed_origins", good[i], &error))
            fail_msg("%s: %s", good[i], error.message);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (config_set(&config, "allowed_origins", bad[i], &error))
            fail_msg("%s is taken", bad[i]);
    assert_non_null(strstr(error.message, "allowed_origins"));
    config_fini(&config);
}

TEST(origins_match_whole_names)
{
    static char *origins[] = {"https://a.example", "https://*.b.example", "null"};
    static const struct {
        const char *origin;
        bool allowed;
    } cases[] = {{"https://a.example", true},
                 {"https://a.example:444", false},
                 {"http://a.example", false},
                 {"https://x.a.example", false},
                 {"https://x.b.example", true},
                 {"https://x.y.b.example", true},
                 {"https://b.example", false},
                 {"https://.b.example", false},
                 {"https://xb.example", false},
                 {"https://x.b.example.evil", false},
                 {"https://evil/.b.example", false},
                 {"null", true},
                 {"", false}};
    struct access_rules rules = {.origins = origins, .origin_count = 3};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (access_allows_origin(&rules, span_of(cases[i].origin)) != cases[i].allowed)
            fail_msg("%s", cases[i].origin);
    rules.origin_count = 0;
    assert_true(access_allows_origin(&rules, span_of("https://anything")));
}

TEST(any_address_is_fine_with_authentication)
{
    struct config config;
    struct error error = {0};
    config_with(&config, "{}");
    assert_true(config_set(&config, "listen", "0.0.0.0:1", &error));
    assert_false(config_check_exposure(&config, &error));
    assert_non_null(strstr(error.message, "auth"));
    assert_true(config_set(&config, "auth.mode", "static", &error));
    assert_true(config_check_exposure(&config, &error));
    config_fini(&config);
}

/* With the Nth allocation failing, each call succeeds or says so, and nothing leaks. */
TEST(running_out_of_memory_is_an_error)
{
    char auth[512];
    snprintf(auth, sizeof(auth),
             "{\"mode\":\"signed\",\"keys\":[\"" KEY "\"],\"tokens\":[\"" OTHER
             "\",{\"file\":\"%s\",\"views\":[\"a\"]}]}",
             test_file("token", TOKEN));
    bool hit = true;
    for (uint64_t nth = 1; hit; nth++) {
        struct config config;
        struct credentials credentials;
        struct error error = {0};
        memory_fail_at(nth, 0);
        bool good = config_init(&config, &error);
        if (good) {
            good = config_set(&config, "auth", auth, &error) &&
                   config_set(&config, "allowed_origins", "[\"https://a\"]", &error) &&
                   credentials_read(&credentials, &config, &error);
            if (good)
                credentials_fini(&credentials);
            struct access_rules *rules = good ? access_rules_new(&config, &error) : NULL;
            good = rules != NULL;
            access_rules_free(rules);
            config_fini(&config);
        }
        hit = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_true(good || error.code != ERROR_NONE);
        assert_true(hit || good);
    }
}
