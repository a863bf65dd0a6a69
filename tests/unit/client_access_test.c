/*
 * What a client needs to get in: URLs, tokens and files of authorities, good and bad.
 */
#include "client/access.h"
#include "test.h"

static void expect_target(const char *url, bool secure, const char *host, int port,
                          const char *path)
{
    struct client_target target;
    struct error error = {0};
    if (!client_target_parse(&target, url, "/standard", &error))
        fail_msg("%s", error.message);
    assert_int_equal(target.secure, secure);
    assert_string_equal(target.host, host);
    assert_int_equal(target.port, port);
    assert_string_equal(target.path, path);
}

TEST(urls_are_read)
{
    expect_target("ws://h", false, "h", 8877, "/standard");
    expect_target("http://h/", false, "h", 8877, "/standard");
    expect_target("wss://h", true, "h", 443, "/standard");
    expect_target("https://stele.example.org:1/x/y?z=1", true, "stele.example.org", 1, "/x/y?z=1");
    expect_target("ws://[::1]:65535", false, "::1", 65535, "/standard");
    expect_target("wss://127.0.0.1:8877/", true, "127.0.0.1", 8877, "/standard");
}

TEST(bad_urls_are_refused)
{
    const char *const bad[] = {
        "",          "h:1",          "tcp://h",  "ws://",        "ws://:1",
        "ws://h:",   "ws://h:0",     "ws://h:x", "ws://h:65536", "ws://h:99999999999",
        "ws://[::1", "wss://[::1]:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct client_target target;
        struct error error = {0};
        if (client_target_parse(&target, bad[i], "/", &error))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(error.code, ERROR_INVALID_PARAMETER);
    }
    char deep[1200];
    struct client_target target;
    struct error error;
    memset(deep, 'x', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    memcpy(deep, "ws://h/", 7);
    assert_false(client_target_parse(&target, deep, "/", &error));
    deep[6] = 'h';
    assert_false(client_target_parse(&target, deep, "/", &error));
}

/* ---- tokens ---- */

static char path[] = "/tmp/stele-test-XXXXXX";

static void make_file(void)
{
    int file = mkstemp(path);
    assert_true(file >= 0 && close(file) == 0);
}

static void remove_file(void)
{
    assert_int_equal(unlink(path), 0);
}

TEST_ALL(make_file, remove_file)

static void write_file(const char *text, size_t length)
{
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
}

/* The token that such a file gives, or the error. */
static bool read_file(const char *text, size_t length, struct buffer *token, struct error *error)
{
    const struct client_access access = {.token_file = path, .token = "not this one"};
    write_file(text, length);
    return client_token_read(&access, token, error);
}

TEST(tokens_come_from_a_file_or_a_text)
{
    struct error error;
    struct buffer token;
    char longest[CLIENT_TOKEN_LIMIT + 1];
    struct client_access access = {.token = "abc"};
    buffer_init(&token, CLIENT_TOKEN_LIMIT);
    assert_true(client_token_read(&access, &token, &error));
    assert_true(span_equal(buffer_span(&token), span_of("abc")));
    access.token = NULL;
    assert_true(client_token_read(&access, &token, &error));
    assert_int_equal(token.length, 0);
    assert_true(read_file("first\n", 6, &token, &error));
    assert_true(span_equal(buffer_span(&token), span_of("first")));
    memset(longest, 'x', sizeof longest);
    assert_true(read_file(longest, CLIENT_TOKEN_LIMIT, &token, &error));
    assert_int_equal(token.length, CLIENT_TOKEN_LIMIT);
    assert_false(read_file(longest, sizeof longest, &token, &error));
    assert_true(read_file("after\r\n", 7, &token, &error));
    assert_true(span_equal(buffer_span(&token), span_of("after")));
    buffer_fini(&token);
}

TEST(what_is_no_token_is_refused)
{
    struct error error;
    struct buffer token;
    buffer_init(&token, CLIENT_TOKEN_LIMIT);
    const char *const bad[] = {"", "\n", "two words", "two\nlines", "bell\a", "\xC3\xA9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_file(bad[i], strlen(bad[i]), &token, &error))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        assert_non_null(strstr(error.message, path));
    }
    /* It would end the header and begin another. */
    const struct client_access access = {.token = "a\r\nX-Forged: 1"};
    assert_false(client_token_read(&access, &token, &error));
    assert_non_null(strstr(error.message, "STELE_TOKEN"));
    buffer_fini(&token);
}

TEST(authorities_must_be_certificates)
{
    struct error error;
    assert_false(client_check_authorities("/nowhere", &error));
    assert_non_null(strstr(error.message, "/nowhere"));
    write_file("no certificate", 14);
    assert_false(client_check_authorities(path, &error));
    assert_non_null(strstr(error.message, "holds no certificate"));
}
