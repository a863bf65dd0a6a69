/*
 * Claims of issuers that know nothing of stele: under other names, inside of objects, as texts and
 * lists; and what their values allow.
 */
#include "auth_fixture.h"

#define BASE "\"exp\":1800000060"

static struct auth_identity *read_claims(const struct auth_rules *rules, const char *claims,
                                         struct error *error)
{
    char *token = token_make(seed_a, HEADER_A, claims);
    struct auth_identity *identity = verify_token(token, rules, &plain_request, error);
    free(token);
    return identity;
}

/* ---- names and paths ---- */

/* The subject by this name in these claims; NULL: there is none. */
static void expect_subject(const char *name, const char *claims, const char *subject)
{
    struct auth_claim_names names = auth_standard_claims;
    struct auth_rules rules = {.claims = &names, .base_scopes = AUTH_READ};
    struct error error;
    names.subject = name;
    struct auth_identity *identity = read_claims(&rules, claims, &error);
    if (subject && !identity)
        fail_msg("%s in %s: %s", name, claims, error.message);
    if (subject)
        assert_string_equal(identity->subject, subject);
    else
        expect_code(claims, error.code, ERROR_TOKEN_MISSING_CLAIM);
    auth_identity_release(identity);
}

TEST(a_claim_by_its_name_or_by_a_path)
{
    expect_subject("user", "{" BASE ",\"user\":\"a\",\"sub\":\"b\"}", "a");
    expect_subject("user", "{" BASE ",\"sub\":\"b\"}", NULL);
    expect_subject("user.id", "{" BASE ",\"user\":{\"id\":\"a\"}}", "a");
    expect_subject("a.b.c", "{" BASE ",\"a\":{\"b\":{\"c\":\"d\"}}}", "d");
    /* A claim of exactly this name comes first. */
    expect_subject("user.id", "{" BASE ",\"user\":{\"id\":\"a\"},\"user.id\":\"b\"}", "b");
    expect_subject("https://example.com/id", "{" BASE ",\"https://example.com/id\":\"a\"}", "a");
    /* Then the longest beginning that is an object. */
    expect_subject("https://example.com/claims.id",
                   "{" BASE ",\"https://example.com/claims\":{\"id\":\"a\"}}", "a");
    expect_subject("a.b.c", "{" BASE ",\"a\":{\"b\":{\"c\":\"1\"}},\"a.b\":{\"c\":\"2\"}}", "2");
    expect_subject("a.b.c", "{" BASE ",\"a\":{\"b.c\":\"1\"}}", "1");
    expect_subject("a.b.c", "{" BASE ",\"a\":{\"b\":{\"c\":\"1\"}},\"a.b\":\"2\"}", "1");
    /* What was gone into is not left again. */
    expect_subject("a.b.c", "{" BASE ",\"a\":{\"b\":{\"c\":\"1\"}},\"a.b\":{}}", NULL);
    expect_subject("a.b", "{" BASE ",\"a\":[{\"b\":\"1\"}]}", NULL);
    expect_subject("a.b", "{" BASE ",\"a\":\"b\"}", NULL);
    expect_subject("a.b", "{" BASE ",\"a\":{\"b\":null}}", NULL);
    expect_subject("a.b", "{" BASE ",\"a\":null}", NULL);
}

/* As many steps as a name can have, in a token as long as one can be. */
TEST(a_long_path_costs_little)
{
    char name[AUTH_MAX_CLAIM_NAME];
    struct buffer claims;
    buffer_init(&claims, AUTH_MAX_TOKEN_BYTES);
    buffer_add_string(&claims, "{" BASE);
    for (int i = 0; i < AUTH_MAX_CLAIM_NAME - 1; i++)
        name[i] = i % 2 ? '.' : 'a';
    name[AUTH_MAX_CLAIM_NAME - 1] = '\0';
    buffer_add_string(&claims, ",");
    for (int i = 0; i < 100; i++)
        buffer_add_string(&claims, "\"a\":{");
    buffer_add_string(&claims, "\"b\":1");
    for (int i = 0; i < 101; i++)
        buffer_add_string(&claims, "}");
    expect_subject(name, buffer_string(&claims), NULL);
    buffer_fini(&claims);
}

TEST(every_claim_can_have_another_name)
{
    static const struct auth_claim_names names = {.subject = "s",
                                                  .scope = "c",
                                                  .audience = "client_id",
                                                  .token_id = "session_id",
                                                  .views = "v",
                                                  .row_scopes = "teams",
                                                  .limits = "l",
                                                  .origin = "azp",
                                                  .metering_key = "m",
                                                  .plan = "p",
                                                  .deployment_id = "d"};
    static const struct auth_rules rules = {.claims = &names, .audience = "app"};
    struct error error;
    struct auth_identity *identity = read_claims(
        &rules,
        "{" BASE ",\"s\":\"alice\",\"c\":\"read\",\"client_id\":\"app\",\"session_id\":\"x-1\","
        "\"v\":[\"Q/*\"],\"teams\":[\"red\"],\"l\":{\"max_connections\":3},"
        "\"azp\":\"https://a.example\",\"m\":\"mk\",\"p\":\"free\",\"d\":\"d1\","
        /* These have no meaning under their standard names now. */
        "\"sub\":5,\"scope\":{},\"aud\":7,\"jti\":[],\"views\":1,\"row_scopes\":2,\"limits\":3,"
        "\"origin\":4,\"metering_key\":5,\"plan\":{\"id\":6},\"deployment_id\":7}",
        &error);
    if (!identity)
        fail_msg("%s", error.message);
    assert_string_equal(identity->subject, "alice");
    assert_int_equal(identity->scopes, AUTH_READ);
    assert_string_equal(identity->token_id, "x-1");
    assert_true(identity->has_views && auth_may_view(identity, span_of("Q/list")));
    assert_true(texts_have(&identity->row_scopes, "red"));
    assert_int_equal(identity->limits.max_connections, 3);
    assert_string_equal(identity->origin, "https://a.example");
    assert_string_equal(identity->metering_key, "mk");
    assert_string_equal(identity->plan, "free");
    assert_string_equal(identity->deployment_id, "d1");
    auth_identity_release(identity);
}

TEST(what_is_missing_is_told_by_its_name_here)
{
    static const struct {
        const char *claims, *missing;
    } cases[] = {
        {"{" BASE "}", "`uid`"},
        {"{" BASE ",\"uid\":\"a\"}", "`role`"},
        {"{" BASE ",\"uid\":\"a\",\"role\":\"read\"}", "`client_id`"},
    };
    struct auth_claim_names names = auth_standard_claims;
    names.subject = "uid";
    names.scope = "role";
    names.audience = "client_id";
    const struct auth_rules rules = {.claims = &names, .audience = "app", .require_origin = true};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error;
        assert_null(read_claims(&rules, cases[i].claims, &error));
        expect_code(cases[i].claims, error.code, ERROR_TOKEN_MISSING_CLAIM);
        assert_non_null(strstr(error.message, cases[i].missing));
    }
}

TEST(a_text_is_a_list_of_one)
{
    struct auth_claim_names names = auth_standard_claims;
    struct auth_rules rules = {.claims = &names};
    struct error error;
    names.row_scopes = "sub"; /* everybody sees rows of their own */
    struct auth_identity *identity = read_claims(
        &rules, "{" BASE ",\"sub\":\"alice\",\"scope\":\"read\",\"views\":\"Q/*\"}", &error);
    assert_non_null(identity);
    assert_true(texts_have(&identity->row_scopes, "alice"));
    assert_false(texts_have(&identity->row_scopes, "bob"));
    assert_true(auth_may_view(identity, span_of("Q/list")));
    assert_false(auth_may_view(identity, span_of("R/list")));
    auth_identity_release(identity);
}

/* ---- scopes ---- */

static struct auth_scopes *scopes_from(const char *json, struct error *error)
{
    struct tree *object = tree_parse(span_of(json), error);
    assert_non_null(object);
    struct auth_scopes *scopes = auth_scopes_new(object, error);
    tree_free(object);
    return scopes;
}

static void expect_scopes(const struct auth_rules *rules, const char *scope, unsigned expected)
{
    char claims[256];
    struct error error;
    snprintf(claims, sizeof claims, "{" BASE ",\"sub\":\"a\"%s%s}", *scope ? ",\"scope\":" : "",
             scope);
    struct auth_identity *identity = read_claims(rules, claims, &error);
    if (!identity)
        fail_msg("%s: %s", claims, error.message);
    if (identity->scopes != expected)
        fail_msg("%s: %u, not %u", claims, identity->scopes, expected);
    auth_identity_release(identity);
}

TEST(values_of_the_scope_claim)
{
    struct error error;
    struct auth_rules rules = {.claims = NULL};
    expect_scopes(&rules, "\"read\"", AUTH_READ);
    expect_scopes(&rules, "[\"read\",\"write\"]", AUTH_READ | AUTH_WRITE);
    expect_scopes(&rules, "[\"read write\"]", 0); /* an element is one value */
    expect_scopes(&rules, "[]", 0);
    expect_scopes(&rules, "\"openid profile\"", 0);
    struct auth_scopes *scopes = scopes_from("{\"quakes:read\":\"read\",\"editor\":\"read write\","
                                             "\"the staff\":\"admin\",\"guest\":\"\"}",
                                             &error);
    assert_non_null(scopes);
    rules.scopes = scopes;
    expect_scopes(&rules, "\"openid quakes:read\"", AUTH_READ);
    expect_scopes(&rules, "[\"editor\",\"the staff\"]", AUTH_READ | AUTH_WRITE | AUTH_ADMIN);
    expect_scopes(&rules, "\"guest\"", 0);
    /* An issuer's own words have no meaning of ours then. */
    expect_scopes(&rules, "\"read write admin\"", 0);
    expect_scopes(&rules, "[\"admin\"]", 0);
    rules.base_scopes = AUTH_READ;
    expect_scopes(&rules, "\"nothing\"", AUTH_READ);
    expect_scopes(&rules, "[\"the staff\"]", AUTH_READ | AUTH_ADMIN);
    expect_scopes(&rules, "", AUTH_READ);
    auth_scopes_free(scopes);
}

TEST(maps_that_are_none)
{
    static const char *const bad[] = {"[]", "{\"a\":1}", "{\"a\":[\"read\"]}", "{\"a\":\"reed\"}",
                                      "{\"a\":\"read\",\"b\":\"read,write\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {.code = ERROR_NONE};
        if (scopes_from(bad[i], &error))
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(error.code, ERROR_CONFIGURATION);
    }
    struct error error;
    struct buffer large;
    buffer_init(&large, 1 << 16);
    for (int i = 0; i < 257; i++)
        buffer_printf(&large, "%s\"v%d\":\"read\"", i ? "," : "{", i);
    buffer_add_char(&large, '}');
    assert_null(scopes_from(buffer_string(&large), &error));
    buffer_fini(&large);
}
