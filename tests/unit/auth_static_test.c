/* Static tokens and identities. */
#include "auth_fixture.h"

#include <pthread.h>

#define TOKEN_ONE "0123456789abcdef"
#define TOKEN_TWO "Zm9vYmFyYmF6cXV4-._~+/="

static struct auth_static *read_list(const char *json, struct error *error)
{
    struct tree *list = tree_parse(span_of(json), error);
    assert_non_null(list);
    *error = (struct error){.code = ERROR_NONE};
    struct auth_static *tokens = auth_static_new(list, error);
    assert_true((tokens != NULL) == (error->code == ERROR_NONE));
    tree_free(list);
    return tokens;
}

static struct auth_identity *find(const struct auth_static *tokens, const char *token)
{
    struct error error;
    return auth_static_find(tokens, span_of(token), NOW, &error);
}

/* ---- static tokens ---- */

TEST(a_token_alone_may_read)
{
    struct error error;
    struct auth_static *tokens = read_list("[\"" TOKEN_ONE "\",\"" TOKEN_TWO "\"]", &error);
    struct auth_identity *one = find(tokens, TOKEN_ONE), *two = find(tokens, TOKEN_TWO);
    assert_string_equal(one->subject, "static:01234567");
    assert_string_equal(one->metering_key, "static:01234567");
    assert_string_equal(two->subject, "static:Zm9vYmFy");
    assert_int_equal(one->scopes, AUTH_READ);
    assert_int_equal(one->expires_at, 0);
    assert_string_equal(one->issuer, "");
    assert_string_equal(one->token_id, "");
    assert_true(auth_may_view(one, span_of("Quake/list")));
    assert_int_equal(one->limits.max_connections, AUTH_NOT_SET);
    auth_static_free(tokens); /* who was let in stays who it is */
    assert_string_equal(one->subject, "static:01234567");
    auth_identity_release(one);
    auth_identity_release(two);
}

TEST(a_token_with_all_that_may_be_said_of_it)
{
    struct error error;
    struct auth_static *tokens = read_list(
        "[{\"token\":\"" TOKEN_ONE "\",\"subject\":\"feeder\",\"scope\":\" write  admin \","
        "\"views\":[\"A/*\"],\"row_scopes\":[\"eu\"],\"metering_key\":\"m\","
        "\"key_class\":\"secret\",\"deployment_id\":\"d\",\"plan\":\"p\","
        "\"limits\":{\"max_subscriptions\":4},\"expires_at\":1800000005}]",
        &error);
    struct auth_identity *identity = find(tokens, TOKEN_ONE);
    assert_string_equal(identity->subject, "feeder");
    assert_string_equal(identity->metering_key, "m");
    assert_string_equal(identity->deployment_id, "d");
    assert_string_equal(identity->plan, "p");
    assert_int_equal(identity->key_class, AUTH_KEY_SECRET);
    assert_int_equal(identity->scopes, AUTH_WRITE | AUTH_ADMIN);
    assert_int_equal(identity->limits.max_subscriptions, 4);
    assert_int_equal(identity->expires_at, 1800000005);
    assert_true(auth_may_view(identity, span_of("A/list")));
    assert_false(auth_may_view(identity, span_of("B/list")));
    assert_true(texts_have(&identity->row_scopes, "eu"));
    auth_identity_release(identity);
    identity = auth_static_find(tokens, span_of(TOKEN_ONE), 1800000004, &error);
    assert_non_null(identity);
    auth_identity_release(identity);
    assert_null(auth_static_find(tokens, span_of(TOKEN_ONE), 1800000005, &error));
    assert_int_equal(error.code, ERROR_TOKEN_EXPIRED);
    auth_static_free(tokens);
}

TEST(other_tokens_are_not_known)
{
    static const char *const others[] = {"",
                                         "0123456789abcdeF",
                                         "0123456789abcde",
                                         "0123456789abcdef ",
                                         " 0123456789abcdef",
                                         "0123456789abcdef0",
                                         "1123456789abcdef",
                                         "a.b.c"};
    struct error error;
    struct auth_static *tokens = read_list("[\"" TOKEN_ONE "\"]", &error);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_null(auth_static_find(tokens, span_of(others[i]), NOW, &error));
        assert_int_equal(error.code, ERROR_STATIC_TOKEN);
    }
    assert_null(auth_static_find(tokens, span_make(NULL, 0), NOW, &error));
    assert_null(auth_static_find(tokens, span_make(TOKEN_ONE, sizeof TOKEN_ONE), NOW, &error));
    char *large = calloc(1, 1 << 20);
    memset(large, '0', (1 << 20) - 1);
    assert_null(auth_static_find(tokens, span_of(large), NOW, &error));
    assert_int_equal(error.code, ERROR_STATIC_TOKEN);
    free(large);
    auth_static_free(tokens);
    tokens = read_list("[]", &error);
    assert_null(find(tokens, TOKEN_ONE));
    auth_static_free(tokens);
    auth_static_free(NULL);
}

TEST(lists_that_are_refused)
{
    static const struct {
        const char *list, *says;
    } table[] = {
        {"{}", "array"},
        {"\"" TOKEN_ONE "\"", "array"},
        {"[7]", "static token 1"},
        {"[\"" TOKEN_ONE "\",{}]", "static token 2"},
        {"[{\"token\":7}]", "token"},
        {"[\"0123456789abcde\"]", "16"},
        {"[\"0123456789 abcdef\"]", "letters"},
        {"[\"0123456789\\u0000abcdef\"]", "letters"},
        {"[\"0123456789ä-abcdef\"]", "letters"},
        {"[\"" TOKEN_ONE "\",\"" TOKEN_ONE "\"]", "twice"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"scopes\":\"read\"}]", "`scope`"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"scope\":\"read writ\"}]", "writ"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"scope\":[\"read\"]}]", "`scope`"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"subject\":\"\"}]", "`subject`"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"views\":\"A/*\"}]", "`views`"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"limits\":{\"max_connection\":1}}]", "max_connections"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"limits\":{\"max_connections\":-1}}]", "max_connections"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"expires_at\":\"x\"}]", "expires_at"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"expires_at\":0}]", "no end"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"expires_at\":1800000005000}]", "milliseconds"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"expires_at\":0.5}]", "no end"},
        {"[{\"token\":\"" TOKEN_ONE "\",\"key_class\":\"x\"}]", "key_class"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct error error;
        if (read_list(table[i].list, &error))
            fail_msg("%s was taken", table[i].list);
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        if (!strstr(error.message, table[i].says))
            fail_msg("%s: \"%s\" does not say %s", table[i].list, error.message, table[i].says);
        assert_null(strstr(error.message, "0123456789"));
    }
}

/* ---- identities ---- */

TEST(patterns)
{
    static const struct {
        const char *pattern, *id;
        bool matches;
    } table[] = {
        {"", "", true},
        {"", "A", false},
        {"*", "", true},
        {"*", "A/list", true},
        {"A/list", "A/list", true},
        {"A/list", "A/list2", false},
        {"A/list", "A/lis", false},
        {"A/*", "A/list", true},
        {"A/*", "A/", true},
        {"A/*", "A", false},
        {"A/*", "AB/list", false},
        {"*/list", "A/list", true},
        {"*/list", "A/list/list", true},
        {"*/list", "A/state", false},
        {"A*B*C", "AxxBxBxC", true},
        {"A*B*C", "AxxCxB", false},
        {"**", "x", true},
        {"*a*b", "xaxbxaxb", true},
        {"*a*b", "xaxbxax", false},
        {"a", "A", false},
        {"A?list", "A/list", false},
        {"[A]", "A", false},
        {"\\*", "*", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *items[] = {"none", (char *)table[i].pattern};
        struct auth_identity identity = {.has_views = true, .views = {items, 2}};
        if (auth_may_view(&identity, span_of(table[i].id)) != table[i].matches)
            fail_msg("\"%s\" and \"%s\"", table[i].pattern, table[i].id);
    }
}

/* Many stars and a long text must not take for ever. */
TEST(a_pattern_of_many_stars)
{
    char pattern[2001], text[5001];
    for (size_t i = 0; i < 2000; i++)
        pattern[i] = i % 2 ? 'a' : '*';
    pattern[1999] = 'b';
    pattern[2000] = '\0';
    memset(text, 'a', 5000);
    text[5000] = '\0';
    char *items[] = {pattern};
    struct auth_identity identity = {.has_views = true, .views = {items, 1}};
    assert_false(auth_may_view(&identity, span_of(text)));
    text[4999] = 'b';
    assert_true(auth_may_view(&identity, span_of(text)));
}

TEST(anonymous)
{
    struct auth_identity *identity = auth_identity_anonymous();
    assert_string_equal(identity->subject, "anonymous");
    assert_string_equal(identity->metering_key, "dev");
    assert_true(auth_may(identity, AUTH_READ));
    assert_true(auth_may(identity, AUTH_WRITE));
    assert_false(auth_may(identity, AUTH_ADMIN));
    assert_int_equal(identity->expires_at, 0);
    assert_true(auth_may_view(identity, span_of("Quake/list")));
    assert_false(texts_have(&identity->row_scopes, "eu"));
    assert_string_equal(identity->plan, "");
    auth_identity_release(identity);
    auth_identity_release(NULL);
}

static void *hold_and_let_go(void *argument)
{
    struct auth_identity *identity = argument;
    for (int i = 0; i < 20000; i++) {
        struct auth_identity *held = auth_identity_retain(identity);
        if (!auth_may(held, AUTH_READ) || strcmp(held->subject, "anonymous") != 0)
            abort();
        auth_identity_release(held);
    }
    auth_identity_release(identity);
    return NULL;
}

/* Whichever thread lets go last frees it. */
TEST(an_identity_is_held_by_several_threads)
{
    pthread_t threads[4];
    struct auth_identity *identity = auth_identity_anonymous();
    for (size_t i = 0; i < 4; i++) {
        auth_identity_retain(identity);
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_let_go, identity), 0);
    }
    auth_identity_release(identity);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}
