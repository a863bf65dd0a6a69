/*
 * Limits in a running server, by real sockets and a clock in the test's hand: each at its exact
 * edge, and open again at its time. What a server must not do is shown by asking for one more.
 */
#include "server_fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct buffer text;

static int setup(void **state)
{
    (void)state;
    buffer_init(&text, 4 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buffer_fini(&text);
    return 0;
}

/* ---- the clock ---- */

static _Atomic int64_t hand;

static int64_t clock_in_hand(void *argument)
{
    (void)argument;
    return atomic_load(&hand);
}

static void start(struct live *live, const char *const *settings)
{
    atomic_store(&hand, 1000000);
    live_open(live, settings);
    server_set_limit_clock(live->server, clock_in_hand, NULL);
    live_run(live);
}

static void turn_to(int64_t ms)
{
    atomic_store(&hand, 1000000 + ms);
}

/* ---- clients ---- */

enum { MOST_CLIENTS = 32 };

struct clients {
    struct live *live;
    int sockets[MOST_CLIENTS];
    size_t count;
};

/* Whether it is let in; it stays. `text` holds the answer. */
static bool comes_in(struct clients *clients, const char *path, const char *headers)
{
    int fd = peer_upgrade_with(server_address(clients->live->server), path, headers, &text);
    if (memcmp(text.data, "HTTP/1.1 101 ", 13) == 0) {
        assert_true(clients->count < MOST_CLIENTS);
        clients->sockets[clients->count++] = fd;
        return true;
    }
    close(fd);
    return false;
}

static int newest(const struct clients *clients)
{
    return clients->sockets[clients->count - 1];
}

static int come(struct clients *clients)
{
    assert_true(comes_in(clients, "/", ""));
    return newest(clients);
}

/* A refusal in the handshake, with all that belongs to it. */
static void refused_with(const char *code, int retry_after)
{
    char part[96];
    assert_memory_equal(text.data, "HTTP/1.1 429 Too Many Requests\r\n", 32);
    assert_non_null(strstr(text.data, "Content-Type: application/json; charset=utf-8\r\n"));
    assert_non_null(strstr(text.data, "Cache-Control: no-store\r\n"));
    snprintf(part, sizeof part, "X-Error-Code: %s\r\n", code);
    assert_non_null(strstr(text.data, part));
    snprintf(part, sizeof part, "Retry-After: %d\r\n", retry_after);
    if (!strstr(text.data, part))
        fail_msg("no \"%s\" in: %s", part, text.data);
    snprintf(part, sizeof part, "{\"error\":\"%s\",\"message\":", code);
    assert_non_null(strstr(text.data, part));
    snprintf(part, sizeof part, "\"code\":\"%s\",\"retryable\":true,\"retry_after\":%d,", code,
             retry_after);
    if (!strstr(text.data, part))
        fail_msg("no \"%s\" in: %s", part, text.data);
    assert_null(strstr(text.data, "fatal"));
}

static void leave(struct clients *clients, size_t index)
{
    char frame[16];
    peer_say_frame(clients->sockets[index], 0x88, span_make("\x03\xe8", 2));
    while (peer_hear(clients->sockets[index], frame, 1))
        continue; /* to the end of the stream: then the server has forgotten it, or is about to */
    close(clients->sockets[index]);
    clients->sockets[index] = clients->sockets[--clients->count];
}

static void all_leave(struct clients *clients)
{
    while (clients->count)
        close(clients->sockets[--clients->count]);
}

/* The place of one that left is free as soon as the server has noticed. */
static void comes_in_soon(struct clients *clients, const char *headers)
{
    while (!comes_in(clients, "/", headers))
        usleep(1000);
}

static void post(struct live *live, const char *lines)
{
    char request[4096];
    snprintf(request, sizeof request,
             "POST /v1/mutations HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(lines), lines);
    peer_ask(server_address(live->server), request, &text);
    assert_memory_equal(text.data, "HTTP/1.1 200 ", 13);
}

static void post_keys(struct live *live, int first, int last)
{
    for (int key = first; key <= last; key++) {
        char line[80];
        snprintf(line, sizeof line, "{\"export\":\"Q\",\"key\":\"%02d\",\"patch\":{\"a\":%d}}", key,
                 key);
        post(live, line);
    }
}

static void get(struct live *live, const char *path)
{
    char request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: t\r\n\r\n", path);
    peer_ask(server_address(live->server), request, &text);
}

/* ---- handshakes and connections ---- */

static void test_handshakes(void **state)
{
    static const char *const settings[] = {"rate_handshakes_per_ip", "3", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    (void)state;
    start(&live, settings);
    for (int i = 0; i < 13; i++) { /* the burst of ten comes on top */
        turn_to(i);
        come(&clients);
    }
    for (int i = 0; i < 5; i++)
        assert_false(comes_in(&clients, "/", ""));
    refused_with("rate-limit-exceeded", 60);
    assert_false(comes_in(&clients, "/v1/ingest", ""));
    turn_to(59999);
    assert_false(comes_in(&clients, "/", ""));
    refused_with("rate-limit-exceeded", 1);
    turn_to(60000);
    come(&clients); /* in place of the first */
    assert_false(comes_in(&clients, "/", ""));
    turn_to(60001);
    come(&clients);
    assert_false(comes_in(&clients, "/", ""));
    all_leave(&clients);
    live_stop(&live);
}

static void test_connections_by_who_they_are(void **state)
{
    static const struct {
        const char *setting, *burst, *seconds;
    } windows[] = {{"rate_connections_per_subject", "rate_connections_per_subject_burst",
                    "rate_connections_per_subject_seconds"},
                   {"rate_connections_per_metering_key", "rate_connections_per_metering_key_burst",
                    "rate_connections_per_metering_key_seconds"}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const char *const settings[] = {
            windows[i].setting, "2", windows[i].burst, "1", windows[i].seconds, "10", NULL};
        struct live live;
        struct clients clients = {.live = &live};
        start(&live, settings);
        for (int n = 0; n < 3; n++)
            come(&clients);
        turn_to(500);
        assert_false(comes_in(&clients, "/", ""));
        refused_with("rate-limit-exceeded", 10);
        turn_to(9999);
        assert_false(comes_in(&clients, "/", ""));
        turn_to(10000);
        for (int n = 0; n < 3; n++)
            come(&clients);
        assert_false(comes_in(&clients, "/", ""));
        all_leave(&clients);
        live_stop(&live);
    }
}

/* Each at its edge, and free again when one has left. Other origins are not concerned. */
static void test_connections_at_a_time(void **state)
{
    static const struct {
        const char *setting, *headers, *others;
    } limits[] = {
        {"max_connections", "", NULL},
        {"max_connections_per_ip", "", NULL},
        {"max_connections_per_subject", "", NULL},
        {"max_connections_per_metering_key", "", NULL},
        {"max_connections_per_origin", "Origin: https://a.example\r\n",
         "Origin: https://b.example\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const char *const settings[] = {limits[i].setting, "2", NULL};
        struct live live;
        struct clients clients = {.live = &live};
        start(&live, settings);
        assert_true(comes_in(&clients, "/", limits[i].headers));
        assert_true(comes_in(&clients, "/v1/ingest", limits[i].headers));
        assert_false(comes_in(&clients, "/", limits[i].headers));
        refused_with("connection-limit-exceeded", 1);
        leave(&clients, 0);
        comes_in_soon(&clients, limits[i].headers);
        assert_false(comes_in(&clients, "/", limits[i].headers));
        if (limits[i].others) {
            assert_true(comes_in(&clients, "/", limits[i].others));
            assert_true(comes_in(&clients, "/", ""));
        }
        all_leave(&clients);
        live_stop(&live);
    }
}

/* ---- in a session ---- */

static void subscribe(int fd, const char *rest)
{
    char message[256];
    snprintf(message, sizeof message, "{\"type\":\"subscribe\",\"view\":\"Q/list\"%s}", rest);
    peer_say_text(fd, message);
}

static void test_subscribes(void **state)
{
    static const char *const settings[] = {"rate_subscriptions_per_connection", "2",
                                           "rate_subscriptions_per_connection_burst", "1", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    (void)state;
    start(&live, settings);
    post_keys(&live, 1, 1);
    int fd = come(&clients);
    subscribe(fd, "");
    peer_expect(fd, 0x82, "subscribed");
    peer_expect(fd, 0x82, "\"complete\":true");
    subscribe(fd, ""); /* the same again counts */
    peer_say_text(fd,
                  "{\"type\":\"subscribe\",\"view\":\"None/list\"}"); /* and so does a bad one */
    peer_expect(fd, 0x81, "view-not-found");
    turn_to(1);
    subscribe(fd, ",\"key\":\"01\"");
    peer_expect(fd, 0x81,
                "\"code\":\"rate-limit-exceeded\",\"retryable\":true,\"retry_after\":60,");
    turn_to(59999);
    subscribe(fd, ",\"key\":\"01\"");
    peer_expect(fd, 0x81, "\"fatal\":false");
    int other = come(&clients); /* each connection has its own */
    subscribe(other, ",\"withSnapshot\":false");
    peer_expect(other, 0x82, "subscribed");
    turn_to(60000);
    subscribe(fd, ",\"key\":\"01\"");
    peer_expect(fd, 0x82, "subscribed");
    peer_expect(fd, 0x82, "\"complete\":true");
    post_keys(&live, 1, 1); /* and all of them live */
    peer_expect(fd, 0x82, "patch");
    peer_expect(fd, 0x82, "patch");
    peer_expect(other, 0x82, "upsert");
    all_leave(&clients);
    live_stop(&live);
}

static void test_snapshots(void **state)
{
    static const char *const settings[] = {"rate_snapshots_per_connection", "1",
                                           "rate_snapshots_per_connection_burst", "1", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    (void)state;
    start(&live, settings);
    post_keys(&live, 1, 2);
    int fd = come(&clients);
    subscribe(fd, ",\"key\":\"01\"");
    peer_expect(fd, 0x82, "subscribed");
    peer_expect(fd, 0x82, "\"complete\":true");
    subscribe(fd, ",\"after\":\"0:000000000001\"");
    peer_expect(fd, 0x82, "\"resumed\":true");
    peer_expect(fd, 0x82, "\"complete\":true");
    subscribe(fd, ",\"key\":\"02\"");
    peer_expect(fd, 0x81, "rate-limit-exceeded");
    subscribe(fd, ",\"take\":5"); /* in place of the one without a key, which stays */
    peer_expect(fd, 0x81, "rate-limit-exceeded");
    subscribe(fd, ",\"after\":\"0:000000000001\",\"key\":\"02\",\"withSnapshot\":false");
    peer_expect(fd, 0x81, "rate-limit-exceeded");
    subscribe(fd, ",\"key\":\"02\",\"withSnapshot\":false"); /* asks the database for nothing */
    peer_expect(fd, 0x82, "subscribed");
    post_keys(&live, 1, 1);
    peer_expect(fd, 0x82, "\"key\":\"01\"");
    peer_expect(fd, 0x82, "\"key\":\"01\"");
    turn_to(59999);
    subscribe(fd, ",\"take\":5");
    peer_expect(fd, 0x81, "\"retry_after\":1,");
    turn_to(60000);
    subscribe(fd, ",\"take\":5");
    peer_expect(fd, 0x82, "subscribed");
    peer_expect(fd, 0x82, "\"complete\":true");
    all_leave(&clients);
    live_stop(&live);
}

static void close_is_answered(int fd)
{
    peer_say_frame(fd, 0x88, span_make("\x03\xf0", 2));
    assert_false(peer_hear_frame(fd, &text)); /* just the end */
}

/* Of any kind, good or bad. The last is answered by the end. */
static void messages_end_at(struct clients *clients, int most, const char *reason)
{
    int fd = come(clients);
    for (int i = 0; i < most / 2; i++) {
        peer_say_text(fd, "{\"type\":\"subscribe\",\"view\":\"None/list\"}");
        peer_expect(fd, 0x81, "view-not-found");
    }
    turn_to(30000);
    for (int i = most / 2; i < most; i++) {
        peer_say_frame(fd, 0x82, span_of("x"));
        peer_expect(fd, 0x81, "binary");
    }
    turn_to(59999);
    peer_say_text(fd, "{\"type\":\"ping\"}");
    peer_expect(fd, 0x81, "\"code\":\"rate-limit-exceeded\",\"retryable\":true,\"retry_after\":1,");
    peer_expect_close(fd, 1008, reason);
    close_is_answered(fd);
    turn_to(0);
    fd = come(clients);
    for (int i = 0; i < most; i++)
        peer_say_text(fd, "{\"type\":\"ping\"}");
    peer_say_text(fd, "{\"type\":\"unsubscribe\",\"view\":\"a\"}");
    peer_expect(fd, 0x81, "\"fatal\":true");
    fd = come(clients);
    for (int i = 0; i < most; i++) {
        peer_say_text(fd, "x");
        peer_expect(fd, 0x81, "invalid-message");
    }
    turn_to(60000);
    for (int i = 0; i < most; i++) {
        peer_say_text(fd, "x");
        peer_expect(fd, 0x81, "invalid-message");
    }
    peer_say_text(fd, "x");
    peer_expect(fd, 0x81, "rate-limit-exceeded");
    peer_expect_close(fd, 1008, reason);
    close_is_answered(fd);
}

static void test_messages(void **state)
{
    static const char *const rate[] = {"rate_messages_per_connection", "4",
                                       "rate_messages_per_connection_burst", "2", NULL};
    static const char *const minute[] = {"max_messages_per_minute", "7", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    (void)state;
    start(&live, rate);
    messages_end_at(&clients, 6, "rate-limit-exceeded: more than 6 messages in 60 seconds");
    all_leave(&clients);
    live_stop(&live);
    start(&live, minute);
    messages_end_at(&clients, 7, "rate-limit-exceeded: more than 7 messages in 60 seconds");
    all_leave(&clients);
    live_stop(&live);
}

/* A producer is not ended, but waits; and no rate window is for it. */
static void test_messages_of_producers(void **state)
{
    static const char *const settings[] = {"max_messages_per_minute",
                                           "3",
                                           "rate_messages_per_connection",
                                           "1",
                                           "rate_messages_per_connection_burst",
                                           "0",
                                           NULL};
    struct live live;
    struct clients clients = {.live = &live};
    char message[64];
    (void)state;
    start(&live, settings);
    assert_true(comes_in(&clients, "/v1/ingest", ""));
    int fd = newest(&clients);
    for (int i = 1; i <= 7; i++) {
        snprintf(message, sizeof message, "{\"id\":%d,\"mutations\":[]}", i);
        peer_say_text(fd, message);
    }
    for (int i = 1; i <= 7; i++) {
        snprintf(message, sizeof message, "\"ack\":%d,", i);
        peer_expect(fd, 0x81, message);
        if (i % 3 == 0) {
            /* Had more been read, it would be on disk and answered before this. */
            post_keys(&live, 1, 1);
            char byte;
            assert_int_equal(recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT), -1);
            turn_to(i * 60000);
        }
    }
    all_leave(&clients);
    live_stop(&live);
}

static void test_subscriptions(void **state)
{
    static const char *const settings[] = {"max_subscriptions", "2", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    (void)state;
    start(&live, settings);
    post_keys(&live, 1, 1);
    int fd = come(&clients);
    subscribe(fd, ",\"withSnapshot\":false");
    peer_expect(fd, 0x82, "subscribed");
    subscribe(fd, ",\"key\":\"1\",\"withSnapshot\":false");
    peer_expect(fd, 0x82, "subscribed");
    subscribe(fd, ",\"key\":\"2\",\"withSnapshot\":false");
    peer_expect(fd, 0x81, "\"code\":\"subscription-limit-exceeded\"");
    subscribe(fd, ",\"withSnapshot\":false,\"snapshotLimit\":1"); /* in place of the first */
    peer_expect(fd, 0x82, "subscribed");
    peer_say_text(fd, "{\"type\":\"unsubscribe\",\"view\":\"Q/list\",\"key\":\"1\"}");
    subscribe(fd, ",\"key\":\"2\",\"withSnapshot\":false");
    peer_expect(fd, 0x82, "subscribed");
    all_leave(&clients);
    live_stop(&live);
}

/* ---- bytes ---- */

/* What a fresh subscriber is sent, to the end of its snapshot. */
static size_t hear_snapshot(int fd)
{
    buffer_clear(&text);
    subscribe(fd, "");
    do
        assert_true(peer_hear_frame(fd, &text));
    while (!memmem(text.data, text.length, "\"complete\":true", 15));
    return text.length;
}

static void test_bytes(void **state)
{
    char limit[24];
    const char *settings[] = {"max_bytes_per_minute", limit, NULL};
    struct live live;
    struct clients clients = {.live = &live};
    size_t snapshot, upsert;
    (void)state;
    snprintf(limit, sizeof limit, "1000000");
    start(&live, settings);
    post_keys(&live, 1, 3);
    int fd = come(&clients);
    snapshot = hear_snapshot(fd);
    post_keys(&live, 4, 4);
    buffer_clear(&text);
    assert_true(peer_hear_frame(fd, &text));
    upsert = text.length;
    all_leave(&clients);
    live_stop(&live);

    /* Just so many go out. Of what is one too many, nothing does. */
    for (size_t spare = 0; spare < 2; spare++) {
        snprintf(limit, sizeof limit, "%zu", snapshot + 2 * upsert + spare - 1);
        start(&live, settings);
        post_keys(&live, 1, 3);
        fd = come(&clients);
        assert_int_equal(hear_snapshot(fd), snapshot);
        turn_to(1000);
        post_keys(&live, 4, 4);
        peer_expect(fd, 0x82, "\"key\":\"04\"");
        post_keys(&live, 5, 5);
        if (spare) {
            peer_expect(fd, 0x82, "\"key\":\"05\"");
            post_keys(&live, 6, 6);
        }
        peer_expect(fd, 0x81, "\"code\":\"egress-limit-exceeded\",\"retryable\":true,");
        snprintf(limit, sizeof limit, "%zu", snapshot + 2 * upsert + spare - 1);
        char reason[128];
        snprintf(reason, sizeof reason,
                 "egress-limit-exceeded: more than %s bytes to this connection in 60 seconds",
                 limit);
        peer_expect_close(fd, 1008, reason);
        close_is_answered(fd);
        all_leave(&clients);
        live_stop(&live);
    }

    /* When the snapshot is a minute old, there is room again. */
    snprintf(limit, sizeof limit, "%zu", snapshot + upsert);
    start(&live, settings);
    post_keys(&live, 1, 3);
    fd = come(&clients);
    hear_snapshot(fd);
    turn_to(1000);
    post_keys(&live, 4, 4);
    peer_expect(fd, 0x82, "\"key\":\"04\"");
    turn_to(60500); /* what remembers by grains may be later by one */
    post_keys(&live, 5, 5);
    peer_expect(fd, 0x82, "\"key\":\"05\"");
    all_leave(&clients);
    live_stop(&live);
}

/* A message of many fragments must not have another one in it: there is the close frame only. */
static void test_bytes_within_a_message(void **state)
{
    static const char *const settings[] = {"max_bytes_per_minute", "100000", NULL};
    enum { LONG = 300 * 1000 };
    struct live live;
    struct clients clients = {.live = &live};
    struct buffer request;
    (void)state;
    start(&live, settings);
    post_keys(&live, 1, 1);
    int fd = come(&clients);
    subscribe(fd, ",\"withSnapshot\":false");
    peer_expect(fd, 0x82, "subscribed");
    buffer_init(&request, LONG * 2);
    buffer_printf(&request,
                  "POST /v1/mutations HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n"
                  "{\"export\":\"Q\",\"key\":\"long\",\"patch\":{\"a\":\"",
                  LONG + 44);
    for (int i = 0; i < LONG; i++)
        buffer_add_char(&request, 'x');
    buffer_add_string(&request, "\"}}");
    const char *body = strstr(buffer_string(&request), "\r\n\r\n") + 4;
    assert_int_equal(request.data + request.length - body, LONG + 44);
    peer_ask(server_address(live.server), request.data, &text);
    assert_memory_equal(text.data, "HTTP/1.1 200 ", 13);
    size_t heard = 0;
    unsigned first;
    do {
        buffer_clear(&text);
        assert_true(peer_hear_frame(fd, &text));
        first = (unsigned char)text.data[0];
        heard += text.length;
        assert_true(first == 0x02 || first == 0x00 || first == 0x88);
    } while (first != 0x88);
    assert_true(heard > 32000 && heard < 101000);
    assert_non_null(strstr(text.data + 4, "egress-limit-exceeded: "));
    close_is_answered(fd);
    buffer_fini(&request);
    all_leave(&clients);
    live_stop(&live);
}

/* ---- rows ---- */

static void rows_are_refused(int fd, const char *rest)
{
    subscribe(fd, rest);
    while (true) {
        buffer_clear(&text);
        assert_true(peer_hear_frame(fd, &text));
        if ((unsigned char)text.data[0] == 0x81)
            break;
        /* Said before it was known, but no row. */
        if (memmem(text.data, text.length, "\"key\"", 5))
            fail_msg("rows: %s", text.data + 4);
    }
    assert_non_null(memmem(text.data, text.length, "\"code\":\"snapshot-limit-exceeded\"", 32));
    assert_non_null(memmem(text.data, text.length, "\"fatal\":false", 13));
}

static void rows_are_sent(int fd, const char *rest)
{
    subscribe(fd, rest);
    do { /* `subscribed`, deletes, rows */
        buffer_clear(&text);
        assert_true(peer_hear_frame(fd, &text));
        if ((unsigned char)text.data[0] != 0x82)
            fail_msg("%s: %s", rest, text.data + 4);
    } while (!memmem(text.data, text.length, "\"complete\":true", 15));
}

static void test_rows(void **state)
{
    static const char *const settings[] = {"max_snapshot_rows", "3", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    (void)state;
    start(&live, settings);
    post_keys(&live, 1, 3);
    int fd = come(&clients);
    rows_are_sent(fd, "");
    rows_are_sent(fd, ",\"snapshotLimit\":50");
    rows_are_sent(fd, ",\"take\":50");
    get(&live, "/v1/views/Q/list?take=50");
    assert_memory_equal(text.data, "HTTP/1.1 200 ", 13);
    post_keys(&live, 4, 4);
    peer_expect(fd, 0x82, "\"key\":\"04\""); /* what comes live is no answer */
    rows_are_refused(fd, "");
    rows_are_refused(fd, ",\"take\":50");
    rows_are_refused(fd, ",\"snapshotLimit\":4");
    rows_are_refused(fd, ",\"filters\":{}");
    rows_are_sent(fd, ",\"snapshotLimit\":3");
    rows_are_sent(fd, ",\"take\":3");
    rows_are_sent(fd, ",\"filters\":{\"a\":2}");
    rows_are_sent(fd, ",\"key\":\"02\"");
    get(&live, "/v1/views/Q/list?take=50");
    refused_with("snapshot-limit-exceeded", 1);
    get(&live, "/v1/views/Q/list?take=3");
    assert_memory_equal(text.data, "HTTP/1.1 200 ", 13);
    all_leave(&clients);
    live_stop(&live);
}

static void test_rows_of_resumes(void **state)
{
    static const char *const settings[] = {"max_snapshot_rows", "3", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    (void)state;
    start(&live, settings);
    post_keys(&live, 1, 5); /* each has the next seq; the cursor's own is passed */
    int fd = come(&clients);
    rows_are_sent(fd, ",\"after\":\"0:000000000002\"");
    rows_are_refused(fd, ",\"after\":\"0:000000000001\"");
    rows_are_sent(fd, ",\"after\":\"0:000000000001\",\"snapshotLimit\":3");
    rows_are_sent(fd, ",\"after\":\"0:000000000003\",\"take\":3");
    rows_are_refused(fd, ",\"after\":\"0:000000000001\",\"withSnapshot\":false");
    subscribe(fd, ",\"after\":\"0:000000000002\",\"withSnapshot\":false");
    peer_expect(fd, 0x82, "subscribed");
    peer_expect(fd, 0x82, "\"key\":\"03\"");
    peer_expect(fd, 0x82, "\"key\":\"04\"");
    peer_expect(fd, 0x82, "\"key\":\"05\"");
    get(&live, "/v1/views/Q/list?after=0:000000000001");
    refused_with("snapshot-limit-exceeded", 1);
    get(&live, "/v1/views/Q/list?after=0:000000000005");
    assert_memory_equal(text.data, "HTTP/1.1 200 ", 13);
    peer_say_text(fd, "{\"view\":\"Q/append\",\"after\":\"0:000000000001\"}");
    peer_expect(fd, 0x82, "\"resumed\":true");
    peer_expect(fd, 0x81, "snapshot-limit-exceeded");
    peer_say_text(fd, "{\"view\":\"Q/append\",\"after\":\"0:000000000002\"}");
    peer_expect(fd, 0x82, "\"resumed\":true");
    peer_expect(fd, 0x82, "\"key\":\"03\"");
    all_leave(&clients);
    live_stop(&live);
}

/* ---- behind a proxy ---- */

static bool from(struct clients *clients, const char *header, const char *value)
{
    char line[512];
    snprintf(line, sizeof line, "%s: %s\r\n", header, value);
    return comes_in(clients, "/", line);
}

static void test_forwarded(void **state)
{
    static const char *const settings[] = {"max_connections_per_ip", "1", "trusted_proxies",
                                           "127.0.0.1, 10.0.0.0/8", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    (void)state;
    start(&live, settings);
    assert_true(comes_in(&clients, "/", "")); /* the proxy itself */
    assert_false(comes_in(&clients, "/", ""));
    assert_true(from(&clients, "X-Forwarded-For", "192.0.2.1"));
    assert_false(from(&clients, "X-Forwarded-For", "192.0.2.1"));
    assert_false(from(&clients, "x-forwarded-for", "203.0.113.9, 192.0.2.1"));
    assert_false(from(&clients, "X-Forwarded-For", "203.0.113.9, ::ffff:192.0.2.1, 10.1.1.1"));
    assert_true(from(&clients, "X-Forwarded-For", "192.0.2.1, 192.0.2.2"));
    /* Several lines are one list. */
    assert_false(
        comes_in(&clients, "/", "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.2\r\n"));
    assert_true(from(&clients, "X-Forwarded-For", "2001:db8:0:1::1"));
    assert_false(from(&clients, "X-Forwarded-For", "2001:db8:0:1:ffff::2"));
    assert_true(from(&clients, "X-Forwarded-For", "2001:db8:0:2::1"));
    /* Another header, or none that makes sense: the proxy. */
    assert_false(from(&clients, "X-Real-IP", "192.0.2.77"));
    assert_false(from(&clients, "Forwarded", "for=192.0.2.77"));
    assert_false(from(&clients, "X-Forwarded-For", "unknown"));
    all_leave(&clients);
    live_stop(&live);
}

static void test_other_headers(void **state)
{
    static const char *const headers[] = {"X-Real-IP", "CF-Connecting-IP", "X-Client-Address"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const char *header = i < 3 ? headers[i] : "Forwarded";
        const char *const settings[] = {"max_connections_per_ip",
                                        "1",
                                        "trusted_proxies",
                                        "127.0.0.0/8",
                                        "proxy_header",
                                        header,
                                        NULL};
        struct live live;
        struct clients clients = {.live = &live};
        start(&live, settings);
        assert_true(from(&clients, header, i < 3 ? "192.0.2.1" : "proto=https;for=192.0.2.1"));
        assert_false(from(&clients, header, i < 3 ? "192.0.2.1" : "for=\"192.0.2.1:80\""));
        assert_true(from(&clients, header, i < 3 ? "192.0.2.2" : "for=\"[2001:db8::1]\""));
        assert_true(from(&clients, "X-Forwarded-For", "192.0.2.3")); /* not asked: the proxy */
        assert_false(from(&clients, "X-Forwarded-For", "192.0.2.4"));
        all_leave(&clients);
        live_stop(&live);
    }
}

static void test_nobody_is_believed(void **state)
{
    static const char *const settings[] = {"max_connections_per_ip", "1", "trusted_proxies",
                                           "10.0.0.0/8", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    (void)state;
    start(&live, settings);
    assert_true(from(&clients, "X-Forwarded-For", "192.0.2.1"));
    assert_false(from(&clients, "X-Forwarded-For", "192.0.2.2"));
    all_leave(&clients);
    live_stop(&live);
}

/* ---- when the windows hold ---- */

static int let_through(const char *const *settings)
{
    struct live live;
    struct clients clients = {.live = &live};
    int count = 0;
    start(&live, settings);
    while (count < 100 && comes_in(&clients, "/", "")) {
        leave(&clients, 0);
        count++;
    }
    live_stop(&live);
    return count;
}

static void test_when_rates_hold(void **state)
{
    static const char *const as_it_is[] = {NULL};
    static const char *const on[] = {"rate_limiting", "on", NULL};
    static const char *const touched[] = {"rate_snapshots_per_connection", "31", NULL};
    static const char *const proxied[] = {"trusted_proxies", "192.0.2.1", NULL};
    static const char *const reachable[] = {"health", "0.0.0.0:0", NULL};
    static const char *const off[] = {"rate_limiting", "off", "health", "0.0.0.0:0", NULL};
    static const char *const none[] = {"rate_limiting",
                                       "on",
                                       "rate_handshakes_per_ip",
                                       "0",
                                       "rate_connections_per_subject",
                                       "0",
                                       "rate_connections_per_metering_key",
                                       "0",
                                       NULL};
    (void)state;
    assert_int_equal(let_through(as_it_is), 100); /* this machine's own */
    /* All are one subject, of which 30 and 5 may come. */
    assert_int_equal(let_through(on), 35);
    assert_int_equal(let_through(touched), 35);
    assert_int_equal(let_through(proxied), 35);
    assert_int_equal(let_through(reachable), 35);
    assert_int_equal(let_through(off), 100);
    assert_int_equal(let_through(none), 100);
}

/* ---- changed while it runs ---- */

struct turn {
    const char *name, *value;
    struct config *config;
    bool done;
    atomic_bool ended;
};

static void apply(struct server *server, void *argument)
{
    struct turn *change = argument;
    struct error error;
    change->done = server_apply_limits(server, change->config, &error);
    atomic_store(&change->ended, true);
}

static void set_live(struct live *live, const char *name, const char *value)
{
    struct turn change = {.config = &live->config};
    struct error error;
    assert_true(config_set(&live->config, name, value, &error));
    assert_true(server_post(live->server, apply, &change));
    while (!atomic_load(&change.ended))
        usleep(100);
    assert_true(change.done);
}

static void test_changed_while_running(void **state)
{
    static const char *const settings[] = {"max_connections", "5", "rate_limiting", "on", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    (void)state;
    start(&live, settings);
    post_keys(&live, 1, 3);
    int fd = come(&clients);
    come(&clients);
    come(&clients);
    set_live(&live, "max_connections", "3");
    assert_false(comes_in(&clients, "/", ""));
    set_live(&live, "max_connections", "4");
    come(&clients);
    set_live(&live, "max_connections", "1000"); /* there is no room for so many */
    come(&clients);
    assert_false(comes_in(&clients, "/", ""));
    refused_with("connection-limit-exceeded", 1);
    leave(&clients, 4);

    /* Five came within this minute: they count at once. */
    set_live(&live, "rate_handshakes_per_ip", "2");
    set_live(&live, "rate_handshakes_per_ip_burst", "3");
    while (comes_in(&clients, "/", ""))
        fail_msg("a sixth was let in");
    refused_with("rate-limit-exceeded", 60);
    set_live(&live, "rate_limiting", "off");
    comes_in_soon(&clients, "");

    /* Those who are here are held to what holds now, and keep what they have. */
    rows_are_sent(fd, "");
    set_live(&live, "max_snapshot_rows", "2");
    rows_are_refused(fd, ",\"snapshotLimit\":3");
    set_live(&live, "max_snapshot_rows", "0");
    rows_are_sent(fd, ",\"snapshotLimit\":3");
    set_live(&live, "max_subscriptions", "1");
    subscribe(fd, ",\"key\":\"01\"");
    peer_expect(fd, 0x81, "subscription-limit-exceeded");
    set_live(&live, "max_messages_per_minute", "1");
    peer_say_text(fd, "{\"type\":\"ping\"}");
    peer_say_text(fd, "{\"type\":\"ping\"}");
    peer_expect(fd, 0x81, "rate-limit-exceeded");
    set_live(&live, "trusted_proxies", "127.0.0.1");
    set_live(&live, "max_connections_per_ip", "1");
    assert_false(comes_in(&clients, "/", ""));
    all_leave(&clients);
    comes_in_soon(&clients, "X-Forwarded-For: 192.0.2.1\r\n");
    assert_false(from(&clients, "X-Forwarded-For", "192.0.2.1"));
    all_leave(&clients);
    live_stop(&live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshakes),
        cmocka_unit_test(test_connections_by_who_they_are),
        cmocka_unit_test(test_connections_at_a_time),
        cmocka_unit_test(test_subscribes),
        cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_messages_of_producers),
        cmocka_unit_test(test_subscriptions),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_bytes_within_a_message),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rows_of_resumes),
        cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_other_headers),
        cmocka_unit_test(test_nobody_is_believed),
        cmocka_unit_test(test_when_rates_hold),
        cmocka_unit_test(test_changed_while_running),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
