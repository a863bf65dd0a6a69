/*
 * Outgoing requests, against a real server of plain sockets in the same process: what is sent, what
 * comes back, and that nothing waits for an endpoint that hangs.
 */
#include "outbound/outbound.h"
#include "test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

enum { PATIENCE_US = 20 * 1000 * 1000 }; /* only a fault can take that long */

/* ---- an HTTP server that does what the path says ---- */

static struct {
    int listening;
    int quit[2]; /* a pipe: closed at the end, which ends every wait */
    char url[64];
    pthread_t thread;
    pthread_mutex_t lock;
    size_t hanging;
} peer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void count_hanging(int by)
{
    pthread_mutex_lock(&peer.lock);
    peer.hanging += (size_t)by;
    pthread_mutex_unlock(&peer.lock);
}

/* Until the client goes away or the test ends. */
static void hang(int fd)
{
    struct pollfd waits[] = {{.fd = fd, .events = POLLIN}, {.fd = peer.quit[0], .events = POLLIN}};
    count_hanging(1);
    poll(waits, 2, -1);
    count_hanging(-1);
}

static void say(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        return; /* the client has gone, which some tests want */
}

static void say_large(int fd)
{
    char block[1024];
    memset(block, 'x', sizeof block);
    say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 64; i++) {
        say(fd, "400\r\n");
        if (send(fd, block, sizeof block, MSG_NOSIGNAL) < 0)
            return;
        say(fd, "\r\n");
    }
    say(fd, "0\r\n\r\n");
}

static void say_headers_for_ever(int fd)
{
    say(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 10000; i++) {
        char line[64];
        snprintf(line, sizeof line, "X-Number-%d: 0123456789012345678901234567890\r\n", i);
        if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
            return;
    }
    say(fd, "Content-Length: 0\r\n\r\n");
}

/* The request itself is the answer's body. */
static void echo(int fd, const char *request)
{
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(request));
    say(fd, head);
    say(fd, request);
}

static void answer(int fd, const char *request)
{
    if (strstr(request, " /echo"))
        echo(fd, request);
    else if (strstr(request, " /busy"))
        say(fd, "HTTP/1.1 503 Busy\r\nRetry-After: 17\r\nContent-Length: 4\r\n\r\nbusy");
    else if (strstr(request, " /moved"))
        say(fd, "HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n");
    else if (strstr(request, " /large"))
        say_large(fd);
    else if (strstr(request, " /headers"))
        say_headers_for_ever(fd);
    else if (strstr(request, " /short"))
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all of it");
    else if (strstr(request, " /hang"))
        hang(fd);
}

/* One request, up to the end of its Content-Length. */
static bool read_request(int fd, char *room, size_t size)
{
    size_t length = 0;
    while (length + 1 < size) {
        ssize_t got = recv(fd, room + length, size - length - 1, 0);
        if (got <= 0)
            return false;
        length += (size_t)got;
        room[length] = '\0';
        const char *end = strstr(room, "\r\n\r\n"), *field = strcasestr(room, "content-length: ");
        size_t body = field ? strtoul(field + 16, NULL, 10) : 0;
        if (end && length >= (size_t)(end + 4 - room) + body)
            return true;
    }
    return false;
}

static void *serve_one(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char request[8192];
    if (read_request(fd, request, sizeof request))
        answer(fd, request);
    close(fd);
    return NULL;
}

static void *serve(void *argument)
{
    pthread_t threads[64];
    size_t count = 0;
    (void)argument;
    for (;;) {
        int fd = accept(peer.listening, NULL, NULL);
        if (fd < 0)
            break;
        assert_true(count < sizeof threads / sizeof *threads);
        assert_int_equal(pthread_create(&threads[count++], NULL, serve_one, (void *)(intptr_t)fd),
                         0);
    }
    while (count)
        pthread_join(threads[--count], NULL);
    return NULL;
}

static void start_peer(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer.listening = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(peer.listening, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(peer.listening, 64), 0);
    assert_int_equal(getsockname(peer.listening, (struct sockaddr *)&address, &length), 0);
    snprintf(peer.url, sizeof peer.url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    assert_int_equal(pipe(peer.quit), 0);
    assert_int_equal(pthread_create(&peer.thread, NULL, serve, NULL), 0);
}

static void stop_peer(void)
{
    close(peer.quit[1]);
    shutdown(peer.listening, SHUT_RDWR);
    pthread_join(peer.thread, NULL);
    close(peer.listening);
    close(peer.quit[0]);
}

TEST_ALL(start_peer, stop_peer)

/* ---- the client ---- */

static struct {
    struct outbound *outbound;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool awake;
} client = {.lock = PTHREAD_MUTEX_INITIALIZER, .woken = PTHREAD_COND_INITIALIZER};

static void wake(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&client.lock);
    client.awake = true;
    pthread_cond_signal(&client.woken);
    pthread_mutex_unlock(&client.lock);
}

static void open_client(void)
{
    struct outbound_options options = {.wake = wake};
    struct error error;
    assert_non_null(client.outbound = outbound_open(&options, &error));
}

static void close_client(void)
{
    outbound_close(client.outbound);
}

TEST_EACH(open_client, close_client)

struct result {
    int calls;
    struct error error;
    int status;
    int64_t retry_after;
    char body[8192];
};

static void on_done(void *argument, struct outbound_answer *answer)
{
    struct result *result = argument;
    result->calls++;
    result->error = answer->error;
    result->status = answer->status;
    result->retry_after = answer->retry_after;
    snprintf(result->body, sizeof result->body, "%.*s", (int)answer->body.length,
             answer->body.data ? answer->body.data : "");
}

static void wait_for(const struct result *result)
{
    uint64_t until = clock_monotonic_us() + PATIENCE_US;
    while (!result->calls) {
        assert_true(clock_monotonic_us() < until);
        pthread_mutex_lock(&client.lock);
        while (!client.awake)
            pthread_cond_wait(&client.woken, &client.lock);
        client.awake = false;
        pthread_mutex_unlock(&client.lock);
        outbound_deliver(client.outbound);
    }
    assert_int_equal(result->calls, 1);
}

static void send_request(const char *path, struct outbound_request request, struct result *result)
{
    char url[128];
    struct error error;
    snprintf(url, sizeof url, "%s%s", peer.url, path);
    *result = (struct result){0};
    request.url = url;
    request.max_bytes = request.max_bytes ? request.max_bytes : 8000;
    request.connect_ms = 10000;
    request.total_ms = request.total_ms ? request.total_ms : 15000;
    request.done = on_done;
    request.argument = result;
    assert_true(outbound_send(client.outbound, &request, &error));
}

static void ask(const char *path, struct outbound_request request, struct result *result)
{
    send_request(path, request, result);
    wait_for(result);
}

static void expect_part(const struct result *result, const char *part)
{
    if (!strstr(result->body, part))
        fail_msg("no \"%s\" in: %s", part, result->body);
}

/* ---- tests ---- */

TEST(what_is_sent)
{
    static const char body[] = "{\"events\":[]}";
    struct result result;
    ask("/echo?a=b", (struct outbound_request){0}, &result);
    assert_int_equal(result.error.code, ERROR_NONE);
    assert_int_equal(result.status, 200);
    expect_part(&result, "GET /echo?a=b HTTP/1.1\r\n");
    expect_part(&result, "User-Agent: stele/");
    assert_null(strstr(result.body, "Authorization"));
    ask("/echo",
        (struct outbound_request){.body = span_of(body),
                                  .content_type = "application/json",
                                  .token = "secret",
                                  .headers = "x-scope: a b\nx-empty;\n"},
        &result);
    expect_part(&result, "x-scope: a b\r\n");
    expect_part(&result, "x-empty:\r\n");
    expect_part(&result, "POST /echo HTTP/1.1\r\n");
    expect_part(&result, "Authorization: Bearer secret\r\n");
    expect_part(&result, "Content-Type: application/json\r\n");
    expect_part(&result, "Content-Length: 13\r\n");
    expect_part(&result, "\r\n\r\n{\"events\":[]}");
    assert_null(strcasestr(result.body, "expect:"));
}

TEST(what_the_answer_says)
{
    struct result result;
    ask("/busy", (struct outbound_request){0}, &result);
    assert_int_equal(result.error.code, ERROR_NONE);
    assert_int_equal(result.status, 503);
    assert_int_equal(result.retry_after, 17);
    assert_string_equal(result.body, "busy");
    ask("/moved", (struct outbound_request){0}, &result); /* is not followed */
    assert_int_equal(result.error.code, ERROR_NONE);
    assert_int_equal(result.status, 302);
}

TEST(what_goes_wrong)
{
    struct result result;
    struct error error;
    char closed_url[] = "http://127.0.0.1:1/?token=hidden";
    struct outbound_request request = {.url = closed_url,
                                       .max_bytes = 100,
                                       .connect_ms = 5000,
                                       .total_ms = 5000,
                                       .done = on_done,
                                       .argument = &result};
    ask("/large", (struct outbound_request){.max_bytes = 2000}, &result);
    assert_int_equal(result.error.code, ERROR_TOO_LARGE);
    ask("/headers", (struct outbound_request){0}, &result);
    assert_int_equal(result.error.code, ERROR_TOO_LARGE);
    ask("/short", (struct outbound_request){0}, &result);
    assert_int_equal(result.error.code, ERROR_NETWORK);
    ask("/hang", (struct outbound_request){.total_ms = 50}, &result);
    assert_int_equal(result.error.code, ERROR_NETWORK);
    assert_non_null(strstr(result.error.message, "/hang"));
    result = (struct result){0};
    assert_true(outbound_send(client.outbound, &request, &error));
    wait_for(&result);
    assert_int_equal(result.error.code, ERROR_NETWORK);
    assert_null(strstr(result.error.message, "hidden"));
}

TEST_WITH(urls, NULL, NULL)
{
    static const char *const good[] = {"http://a", "https://b.example:8443/p?q=1",
                                       "http://[::1]:1/"};
    static const char *const bad[] = {"",
                                      "a",
                                      "ftp://a/",
                                      "file:///etc/passwd",
                                      "http://",
                                      "http://user:password@a/",
                                      "http://token@a/",
                                      "ftp://user:password@a",
                                      "user:password@a:4318",
                                      "http://user:pass?word@a"};
    struct error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(outbound_check_url(good[i], &error));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(outbound_check_url(bad[i], &error));
        assert_int_equal(error.code, ERROR_CONFIGURATION);
        assert_null(strstr(error.message, ":pass"));
    }
}

/* Other schemes are refused by the transfer itself, too: a URL may come from elsewhere. */
TEST(other_schemes)
{
    struct result result = {0};
    struct error error;
    struct outbound_request request = {.url = "file:///etc/hostname",
                                       .max_bytes = 1000,
                                       .connect_ms = 5000,
                                       .total_ms = 5000,
                                       .done = on_done,
                                       .argument = &result};
    assert_true(outbound_send(client.outbound, &request, &error));
    wait_for(&result);
    assert_int_equal(result.error.code, ERROR_NETWORK);
    assert_string_equal(result.body, "");
}

static size_t hanging(void)
{
    pthread_mutex_lock(&peer.lock);
    size_t count = peer.hanging;
    pthread_mutex_unlock(&peer.lock);
    return count;
}

/* Most of the places are taken by an endpoint that hangs, and another is served meanwhile; then
 * all places are, what waits is bounded, and closing waits for none of them. */
TEST(others_hang)
{
    static struct result waiting[OUTBOUND_AT_ONCE + OUTBOUND_WAITING], result;
    struct outbound_request request = {.total_ms = 600 * 1000};
    struct outbound_request refused = {.url = peer.url, .done = on_done, .argument = &result};
    struct error error;
    for (size_t i = 0; i < OUTBOUND_AT_ONCE - 1; i++)
        send_request("/hang", request, &waiting[i]);
    ask("/echo", (struct outbound_request){0}, &result);
    assert_int_equal(result.status, 200);
    for (size_t i = OUTBOUND_AT_ONCE - 1; i < OUTBOUND_AT_ONCE; i++)
        send_request("/hang", request, &waiting[i]);
    while (hanging() < OUTBOUND_AT_ONCE)
        usleep(1000);
    for (size_t i = OUTBOUND_AT_ONCE; i < OUTBOUND_AT_ONCE + OUTBOUND_WAITING; i++)
        send_request("/hang", request, &waiting[i]);
    assert_false(outbound_send(client.outbound, &refused, &error));
    assert_int_equal(error.code, ERROR_QUEUE_FULL);
    uint64_t begun = clock_monotonic_us();
    outbound_close(client.outbound);
    assert_true(clock_monotonic_us() - begun < 1000 * 1000);
    for (size_t i = 0; i < OUTBOUND_AT_ONCE + OUTBOUND_WAITING; i++) {
        assert_int_equal(waiting[i].calls, 1);
        assert_int_equal(waiting[i].error.code, ERROR_SHUTTING_DOWN);
    }
    open_client();
}
