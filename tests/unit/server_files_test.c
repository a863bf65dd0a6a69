/*
 * Files of a folder over real sockets: which paths are one, what is said of a file, and that a
 * large file comes whole, piece by piece, also to a client that begins to read late. The folder has
 * what must never be served: a file beside it, links out of it, a pipe, names with a dot.
 */
#include "folder.h"
#include "http/content_type.h"
#include "server_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LARGE = 3 * 1024 * 1024 + 17, /* some fifty pieces */
    HUGE = 256 * 1024 * 1024      /* of zeros; more than sockets hold */
};

static struct live live;
static struct buffer answer;
static char site[80], outside[64];

static void put(const char *folder, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static char large_byte(size_t at)
{
    return (char)('a' + at * 31 % 26 + at / 65536 % 2 * ('A' - 'a'));
}

static void put_large(void)
{
    char path[160];
    snprintf(path, sizeof path, "%s/large.bin", site);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < LARGE; i++)
        putc(large_byte(i), file);
    assert_int_equal(fclose(file), 0);
}

static void resize_huge(off_t size)
{
    char path[160];
    snprintf(path, sizeof path, "%s/huge.bin", site);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

static void link_to(const char *target, const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", site, name);
    assert_int_equal(symlink(target, path), 0);
}

static void make_folder(const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", site, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

/* Dots in the names of links' targets are the owner's own: a folder that is mounted from a
 * cluster's configuration is made of such links. */
static void make_site(void)
{
    char pipe[160], absolute[160];
    folder_make(outside);
    snprintf(site, sizeof site, "%s/site", outside);
    assert_int_equal(mkdir(site, 0755), 0);
    make_folder("sub");
    make_folder("sub/deep");
    make_folder("sub/deep/more");
    make_folder("..data");
    make_folder(".git");
    put(outside, "secret", "SECRET");
    put(site, "index.html", "<p>front");
    put(site, "a b+c%.txt", "odd name");
    put(site, "empty.css", "");
    put(site, ".hidden", "SECRET");
    put(site, ".git/config", "SECRET");
    put(site, "..data/page.js", "linked");
    put(site, "sub/index.html", "<p>sub");
    put(site, "sub/deep/x.SVG", "<svg/>");
    put(site, "sub/deep/more/y.txt", "y");
    put(site, "unknown.ending", "bytes");
    put_large();
    resize_huge(HUGE);
    link_to("..data/page.js", "page.js");
    link_to("../secret", "up.txt");
    link_to("..", "parent");
    link_to("/etc", "etc");
    link_to("loop", "loop");
    snprintf(absolute, sizeof absolute, "%s/index.html", site);
    link_to(absolute, "absolute.html");
    link_to("/proc/self/root/etc/passwd", "magic");
    snprintf(pipe, sizeof pipe, "%s/pipe", site);
    assert_int_equal(mkfifo(pipe, 0644), 0);
}

static void setup(void)
{
    make_site();
    const char *const settings[] = {"static_files", site, NULL};
    buffer_init(&answer, 8 << 20);
    live_start(&live, settings);
}

static void teardown(void)
{
    char command[96];
    live_stop(&live);
    buffer_fini(&answer);
    snprintf(command, sizeof command, "rm -r %s", outside);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): the folder is the test's own */
}

TEST_ALL(setup, teardown)

static void ask(const char *request)
{
    buffer_clear(&answer);
    peer_ask(server_parts(live.server).address, request, &answer);
    buffer_string(&answer);
}

static bool begins_with(const char *status)
{
    return strncmp(answer.data, status, strlen(status)) == 0;
}

static const char *body(void)
{
    const char *end = strstr(answer.data, "\r\n\r\n");
    return end ? end + 4 : "";
}

#define HOST " HTTP/1.1\r\nHost: localhost\r\n"

static const struct {
    const char *request, *status, *part, *body;
} found[] = {
    {"GET /" HOST "\r\n", "200", "Content-Type: text/html; charset=utf-8\r\nContent-Length: 8\r\n",
     "<p>front"},
    {"GET /index.html" HOST "\r\n", "200", "Cache-Control: no-cache\r\n", "<p>front"},
    {"GET /?x=/../secret" HOST "\r\n", "200", "X-Content-Type-Options: nosniff\r\n", "<p>front"},
    {"GET /%69ndex%2ehtml" HOST "\r\n", "200", "text/html", "<p>front"},
    {"GET /a%20b+c%25.txt" HOST "\r\n", "200", "text/plain; charset=utf-8", "odd name"},
    {"GET /empty.css" HOST "\r\n", "200", "text/css; charset=utf-8\r\nContent-Length: 0\r\n", ""},
    {"GET /page.js" HOST "\r\n", "200", "text/javascript", "linked"},
    {"GET /sub/" HOST "\r\n", "200", "text/html", "<p>sub"},
    {"GET /sub/deep/x.SVG" HOST "\r\n", "200", "image/svg+xml", "<svg/>"},
    {"GET /unknown.ending" HOST "\r\n", "200", "Content-Type: application/octet-stream\r\n",
     "bytes"},
    {"GET /sub" HOST "\r\n", "301", "Location: ./sub/\r\n", NULL},
    {"GET /sub/deep" HOST "\r\n", "301", "Location: ./deep/\r\n", NULL},
    {"HEAD /index.html" HOST "Connection: close\r\n\r\n", "200", "Content-Length: 8\r\n", ""},
    {"GET /index.html" HOST "If-None-Match: *\r\n\r\n", "304", "ETag: \"8-", ""},
    {"GET /index.html" HOST "If-None-Match: \"8-\"\r\n\r\n", "200", "ETag: \"8-", "<p>front"},
    {"POST /index.html" HOST "Content-Length: 0\r\n\r\n", "405", "Allow: GET, HEAD\r\n", NULL},
    {"DELETE /index.html" HOST "\r\n", "405", "Allow: GET, HEAD\r\n", NULL},
    /* the API and the hints of the other port stay */
    {"GET /v1/views" HOST "\r\n", "200", "application/json", NULL},
    {"GET /v1/nothing" HOST "\r\n", "404", "not-found", NULL},
    {"GET /health" HOST "\r\n", "404", "is on the health port", NULL},
};

TEST(what_is_there_is_served)
{
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        char status[32];
        bool head = strncmp(found[i].request, "HEAD", 4) == 0;
        snprintf(status, sizeof status, "HTTP/1.1 %s ", found[i].status);
        buffer_clear(&answer);
        if (head || strcmp(found[i].status, "304") == 0) { /* a length, and no body */
            int fd = peer_dial(server_parts(live.server).address);
            char byte;
            peer_say(fd, span_of(found[i].request));
            shutdown(fd, SHUT_WR);
            while (peer_hear(fd, &byte, 1))
                buffer_add_char(&answer, byte);
            close(fd);
            buffer_string(&answer);
        } else {
            ask(found[i].request);
        }
        if (!begins_with(status) || !strstr(answer.data, found[i].part) ||
            (found[i].body && strcmp(body(), found[i].body) != 0))
            fail_msg("for: %s\ncame: %s", found[i].request, answer.data);
    }
}

static const char *const hostile[] = {
    "/sub/deep/more%2fy.txt",
    "/secret",
    "/../secret",
    "/sub/../../secret",
    "/%2e%2e/secret",
    "/%2E%2e/secret",
    "/..%2fsecret",
    "/sub/..%2f..%2fsecret",
    "/sub/deep/x/..%2f..%2f..%2f..%2fsecret",
    "/..%5csecret",
    "/....//secret",
    "//secret",
    "/./secret",
    "/sub//index.html",
    "/%00",
    "/index.html%00.js",
    "/.hidden",
    "/%2ehidden",
    "/.git/config",
    "/%2egit/config",
    "/..data/page.js",
    "/sub/deep/%2e%2e/index.html",
    "/up.txt",
    "/parent/secret",
    "/parent",
    "/parent/",
    "/etc/passwd",
    "/etc/",
    "/loop",
    "/absolute.html",
    "/magic",
    "/pipe",
    "/large.bin/",
    "/index.html/",
    "/index.html/x",
    "/sub/deep/",
    "/nothing",
    "/%ff%fe",
    "/index.html%0d%0aX-Injected:%201",
    "/%7f",
    "/sub%2findex.html",
    "/c:/secret",
    "/~root",
    "/proc/self/environ",
    "http://localhost/../secret",
};

TEST(nothing_else_is_served)
{
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        char request[256];
        snprintf(request, sizeof request, "GET %s" HOST "\r\n", hostile[i]);
        ask(request);
        if ((!begins_with("HTTP/1.1 404 ") && !begins_with("HTTP/1.1 400 ")) ||
            strstr(answer.data, "SECRET") || strstr(answer.data, "\nX-Injected"))
            fail_msg("for: %s\ncame: %s", hostile[i], answer.data);
    }
}

TEST(a_tag_stands_for_one_state_of_a_file)
{
    char request[320], tag[120];
    ask("GET /page.js" HOST "\r\n");
    assert_int_equal(sscanf(strstr(answer.data, "ETag: "), "ETag: %119[^\r]", tag), 1);
    snprintf(request, sizeof request, "GET /page.js" HOST "If-None-Match: \"x\", W/%s\r\n\r\n",
             tag);
    int fd = peer_dial(server_parts(live.server).address);
    char status[13] = {0};
    peer_say(fd, span_of(request));
    assert_true(peer_hear(fd, status, 12));
    assert_string_equal(status, "HTTP/1.1 304");
    close(fd);
    put(site, "..data/page.js", "linkeD"); /* as long as before */
    ask(request);
    assert_true(begins_with("HTTP/1.1 200 "));
    assert_string_equal(body(), "linkeD");
}

TEST(a_large_file_comes_whole_to_a_client_that_reads_late)
{
    int fd = peer_dial(server_parts(live.server).address);
    peer_say(fd, span_of("GET /large.bin" HOST "\r\nGET /index.html" HOST "\r\n"));
    /* others are answered meanwhile */
    for (int i = 0; i < 20; i++) {
        ask("GET /" HOST "\r\n");
        assert_true(begins_with("HTTP/1.1 200 "));
    }
    buffer_clear(&answer);
    peer_hear_response(fd, &answer);
    assert_non_null(buffer_string(&answer));
    const char *bytes = body();
    assert_int_equal(answer.length - (size_t)(bytes - answer.data), LARGE);
    for (size_t i = 0; i < LARGE; i++)
        if (bytes[i] != large_byte(i))
            fail_msg("byte %zu is another one", i);
    buffer_clear(&answer);
    peer_hear_response(fd, &answer); /* the connection goes on */
    assert_non_null(strstr(buffer_string(&answer), "<p>front"));
    close(fd);
}

/* What was sent of it is of another state; the client must not take the sum for a file. */
TEST(an_answer_ends_early_where_the_file_changes)
{
    char some[1024];
    size_t count = 0;
    int fd = peer_dial(server_parts(live.server).address);
    peer_say(fd, span_of("GET /huge.bin" HOST "\r\n"));
    assert_true(peer_hear(fd, some, sizeof some)); /* and the sockets are full */
    resize_huge(HUGE - 1);
    while (count < HUGE && peer_hear(fd, some, sizeof some))
        count += sizeof some;
    assert_true(count < HUGE - sizeof some);
    close(fd);
    ask("GET /index.html" HOST "\r\n");
    assert_true(begins_with("HTTP/1.1 200 "));
}

TEST(the_folder_may_be_replaced)
{
    char away[160];
    snprintf(away, sizeof away, "%s/away", outside);
    assert_int_equal(rename(site, away), 0);
    ask("GET /index.html" HOST "\r\n");
    assert_true(begins_with("HTTP/1.1 500 "));
    assert_int_equal(mkdir(site, 0755), 0);
    put(site, "index.html", "<p>next");
    ask("GET /" HOST "\r\n");
    assert_string_equal(body(), "<p>next");
}

/* A client that goes in the middle, and a stop in the middle of an answer, leave nothing behind
 * (the sanitizers watch). */
TEST(clients_go_in_the_middle)
{
    for (int i = 0; i < 20; i++) {
        char some[64];
        int fd = peer_dial(server_parts(live.server).address);
        peer_say(fd, span_of("GET /huge.bin" HOST "\r\n"));
        if (i % 2)
            assert_true(peer_hear(fd, some, sizeof some));
        close(fd);
    }
    ask("GET /" HOST "\r\n");
    assert_true(begins_with("HTTP/1.1 200 "));
}

TEST(the_ending_alone_tells_the_type)
{
    assert_string_equal(http_content_type("a.b/c"), "application/octet-stream");
    assert_string_equal(http_content_type("html"), "application/octet-stream");
    assert_string_equal(http_content_type("x.html.exe"), "application/octet-stream");
    assert_string_equal(http_content_type("x.JS"), "text/javascript; charset=utf-8");
    assert_string_equal(http_content_type("d.js/x.png"), "image/png");
}

/* One that is not there, or no folder, is told at the start. */
static void refuses(const char *folder, const char *reason)
{
    struct config config;
    struct error error = {0};
    char database[160];
    snprintf(database, sizeof database, "%s/other.db", outside);
    assert_true(config_init(&config, &error));
    assert_true(config_set(&config, "database", database, &error));
    assert_true(config_set(&config, "listen", "127.0.0.1:0", &error));
    assert_true(config_set(&config, "health", "", &error));
    assert_true(config_set(&config, "static_files", folder, &error));
    assert_null(server_open(&config, NULL, &error));
    if (error.code != ERROR_CONFIGURATION || !strstr(error.message, reason) ||
        !strstr(error.message, folder))
        fail_msg("it says: %s", error.message);
    config_fini(&config);
}

TEST(a_start_needs_the_folder)
{
    char file[160];
    refuses("/nonexistent/site", "setting \"static_files\"");
    snprintf(file, sizeof file, "%s/secret", outside);
    refuses(file, "name a folder that exists");
}
