/* Limits on what one connection may do (messages, subscriptions, rows, bytes), in a running server,
 * by real sockets and a clock in the test's hand: each at its exact edge, and open again at its
 * time. */
#include "limits_fixture.h"

#include <stdio.h>
#include <sys/socket.h>

TEST_ALL(limits_setup, limits_teardown)

/* ---- in a session ---- */

TEST(test_subscribes)
{
    static const char *const settings[] = {"rate_subscriptions_per_connection", "2+1/60s", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    limits_start(&live, settings);
    limits_post_keys(&live, 1, 1);
    int fd = client_come(&clients);
    limits_subscribe(fd, "");
    peer_expect(fd, 0x82, "subscribed");
    peer_expect(fd, 0x82, "\"complete\":true");
    limits_subscribe(fd, ""); /* the same again counts */
    peer_say_text(fd,
                  "{\"type\":\"subscribe\",\"view\":\"None/none\"}"); /* and so does a bad one */
    peer_expect(fd, 0x81, "view-not-found");
    limits_turn_to(1);
    limits_subscribe(fd, ",\"key\":\"01\"");
    peer_expect(fd, 0x81,
                "\"code\":\"rate-limit-exceeded\",\"retryable\":true,\"retry_after\":30,");
    limits_turn_to(29999);
    limits_subscribe(fd, ",\"key\":\"01\"");
    peer_expect(fd, 0x81, "\"fatal\":false");
    int other = client_come(&clients); /* each connection has its own */
    limits_subscribe(other, ",\"withSnapshot\":false");
    peer_expect(other, 0x82, "subscribed");
    limits_turn_to(30000);
    limits_subscribe(fd, ",\"key\":\"01\"");
    peer_expect(fd, 0x82, "subscribed");
    peer_expect(fd, 0x82, "\"complete\":true");
    limits_post_keys(&live, 1, 1);  /* and all of them live */
    peer_expect(fd, 0x82, "patch"); /* once, though two subscriptions show the row */
    peer_expect(other, 0x82, "upsert");
    clients_leave(&clients);
    live_stop(&live);
}

TEST(test_snapshots)
{
    static const char *const settings[] = {"rate_snapshots_per_connection", "1+1/60s", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    limits_start(&live, settings);
    limits_post_keys(&live, 1, 2);
    int fd = client_come(&clients);
    limits_subscribe(fd, ",\"key\":\"01\"");
    peer_expect(fd, 0x82, "subscribed");
    peer_expect(fd, 0x82, "\"complete\":true");
    limits_subscribe(fd, ",\"after\":\"0:000000000001\"");
    peer_expect(fd, 0x82, "\"resumed\":true");
    peer_expect(fd, 0x82, "\"complete\":true");
    limits_subscribe(fd, ",\"key\":\"02\"");
    peer_expect(fd, 0x81, "rate-limit-exceeded");
    limits_subscribe(fd, ",\"take\":5"); /* in place of the one without a key, which stays */
    peer_expect(fd, 0x81, "rate-limit-exceeded");
    limits_subscribe(fd, ",\"after\":\"0:000000000001\",\"key\":\"02\",\"withSnapshot\":false");
    peer_expect(fd, 0x81, "rate-limit-exceeded");
    limits_subscribe(fd,
                     ",\"key\":\"02\",\"withSnapshot\":false"); /* asks the database for nothing */
    peer_expect(fd, 0x82, "subscribed");
    limits_post_keys(&live, 1, 1);
    peer_expect(fd, 0x82, "\"key\":\"01\"");
    limits_turn_to(59999);
    limits_subscribe(fd, ",\"take\":5");
    peer_expect(fd, 0x81, "\"retry_after\":1,");
    limits_turn_to(60000);
    limits_subscribe(fd, ",\"take\":5");
    peer_expect(fd, 0x82, "subscribed");
    peer_expect(fd, 0x82, "\"complete\":true");
    clients_leave(&clients);
    live_stop(&live);
}

/* Messages of any kind, good or bad: of `most` at once the first is forgotten at `first_ms`, the
 * last at `all_ms`. */
static void messages_end_at(struct clients *clients, int most, int64_t first_ms, int64_t all_ms,
                            const char *reason)
{
    int fd = client_come(clients);
    for (int i = 0; i < most; i++) {
        if (i % 2)
            peer_say_text(fd, "{\"type\":\"subscribe\",\"view\":\"None/none\"}");
        else
            peer_say_frame(fd, 0x82, span_of("x"));
        peer_expect(fd, 0x81, i % 2 ? "view-not-found" : "binary");
    }
    limits_turn_to(first_ms - 1);
    peer_say_text(fd, "{\"type\":\"ping\"}");
    peer_expect(fd, 0x81, "\"code\":\"rate-limit-exceeded\",\"retryable\":true,\"retry_after\":1,");
    peer_expect_close(fd, 1008, reason);
    limits_close(fd);
    limits_turn_to(0);
    fd = client_come(clients);
    for (int i = 0; i < most; i++)
        peer_say_text(fd, "{\"type\":\"ping\"}");
    peer_say_text(fd, "{\"type\":\"unsubscribe\",\"view\":\"a\"}");
    peer_expect(fd, 0x81, "\"fatal\":true");
    fd = client_come(clients);
    for (int i = 0; i < 2 * most + 1; i++) {
        limits_turn_to(i < most ? 0 : i == most ? first_ms : first_ms + all_ms);
        peer_say_text(fd, "x");
        peer_expect(fd, 0x81, "invalid-message");
    }
    peer_say_text(fd, "x");
    peer_expect(fd, 0x81, "rate-limit-exceeded");
    peer_expect_close(fd, 1008, reason);
    limits_close(fd);
    limits_turn_to(0);
}

TEST(test_messages)
{
    static const char *const rate[] = {"rate_messages_per_connection", "4+2/1m", NULL};
    static const char *const minute[] = {"max_messages_per_minute", "7", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    limits_start(&live, rate);
    messages_end_at(&clients, 6, 15000, 90000,
                    "rate-limit-exceeded: more than 4 messages in 60 seconds and a burst of 2");
    clients_leave(&clients);
    live_stop(&live);
    limits_start(&live, minute);
    messages_end_at(&clients, 7, 8572, 60000,
                    "rate-limit-exceeded: more than 7 messages in 60 seconds");
    clients_leave(&clients);
    live_stop(&live);
}

/* A producer is not ended, but waits; and no rate window is for it. */
TEST(test_messages_of_producers)
{
    static const char *const settings[] = {"max_messages_per_minute", "3",
                                           "rate_messages_per_connection", "1/60s", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    char message[64];
    limits_start(&live, settings);
    assert_true(client_comes_in(&clients, "/v1/ingest", ""));
    int fd = client_newest(&clients);
    for (int i = 1; i <= 7; i++) {
        snprintf(message, sizeof message, "{\"id\":%d,\"mutations\":[]}", i);
        peer_say_text(fd, message);
    }
    for (int i = 1; i <= 7; i++) {
        snprintf(message, sizeof message, "\"ack\":%d,", i);
        peer_expect(fd, 0x81, message);
        if (i % 3 == 0) {
            /* Had more been read, it would be on disk and answered before this. */
            limits_post_keys(&live, 1, 1);
            char byte;
            assert_int_equal(recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT), -1);
            limits_turn_to(i * 60000);
        }
    }
    clients_leave(&clients);
    live_stop(&live);
}

TEST(test_subscriptions)
{
    static const char *const settings[] = {"max_subscriptions", "2", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    limits_start(&live, settings);
    limits_post_keys(&live, 1, 1);
    int fd = client_come(&clients);
    limits_subscribe(fd, ",\"withSnapshot\":false");
    peer_expect(fd, 0x82, "subscribed");
    limits_subscribe(fd, ",\"key\":\"1\",\"withSnapshot\":false");
    peer_expect(fd, 0x82, "subscribed");
    limits_subscribe(fd, ",\"key\":\"2\",\"withSnapshot\":false");
    peer_expect(fd, 0x81, "\"code\":\"subscription-limit-exceeded\"");
    limits_subscribe(fd, ",\"withSnapshot\":false,\"snapshotLimit\":1"); /* in place of the first */
    peer_expect(fd, 0x82, "subscribed");
    peer_say_text(fd, "{\"type\":\"unsubscribe\",\"view\":\"Q/list\",\"key\":\"1\"}");
    limits_subscribe(fd, ",\"key\":\"2\",\"withSnapshot\":false");
    peer_expect(fd, 0x82, "subscribed");
    clients_leave(&clients);
    live_stop(&live);
}

/* ---- bytes ---- */

/* What a fresh subscriber is sent, to the end of its snapshot. */
static size_t hear_snapshot(int fd)
{
    buffer_clear(&heard);
    limits_subscribe(fd, "");
    do
        assert_true(peer_hear_frame(fd, &heard));
    while (!memmem(heard.data, heard.length, "\"complete\":true", 15));
    return heard.length;
}

TEST(test_bytes)
{
    char limit[24];
    const char *settings[] = {"max_bytes_per_minute", limit, NULL};
    struct live live;
    struct clients clients = {.live = &live};
    size_t snapshot, upsert;
    snprintf(limit, sizeof limit, "1000000");
    limits_start(&live, settings);
    limits_post_keys(&live, 1, 3);
    int fd = client_come(&clients);
    snapshot = hear_snapshot(fd);
    limits_post_keys(&live, 4, 4);
    buffer_clear(&heard);
    assert_true(peer_hear_frame(fd, &heard));
    upsert = heard.length;
    clients_leave(&clients);
    live_stop(&live);

    /* Just so many go out, be they sent one by one or together. Of what is too much, nothing does.
     */
    for (size_t i = 0; i < 4; i++) {
        bool together = i / 2, both = i % 2;
        size_t most = snapshot + 2 * upsert - !both;
        snprintf(limit, sizeof limit, "%zu", most);
        limits_start(&live, settings);
        limits_post_keys(&live, 1, 3);
        fd = client_come(&clients);
        assert_int_equal(hear_snapshot(fd), snapshot);
        if (together)
            limits_post(&live, "{\"export\":\"Q\",\"key\":\"04\",\"patch\":{\"a\":4}}\n"
                               "{\"export\":\"Q\",\"key\":\"05\",\"patch\":{\"a\":5}}\n"
                               "{\"export\":\"Q\",\"key\":\"06\",\"patch\":{\"a\":6}}");
        else
            limits_post_keys(&live, 4, 6);
        peer_expect(fd, 0x82, "\"key\":\"04\"");
        if (both)
            peer_expect(fd, 0x82, "\"key\":\"05\"");
        peer_expect(fd, 0x81, "\"code\":\"egress-limit-exceeded\",\"retryable\":true,");
        char reason[128];
        snprintf(reason, sizeof reason,
                 "egress-limit-exceeded: more than %zu bytes to this connection in 60 seconds",
                 most);
        peer_expect_close(fd, 1008, reason);
        limits_close(fd);
        clients_leave(&clients);
        live_stop(&live);
    }

    /* There is room for one more as soon as so many bytes are forgotten. */
    snprintf(limit, sizeof limit, "%zu", snapshot + upsert);
    limits_start(&live, settings);
    limits_post_keys(&live, 1, 3);
    fd = client_come(&clients);
    hear_snapshot(fd);
    limits_post_keys(&live, 4, 4);
    peer_expect(fd, 0x82, "\"key\":\"04\"");
    limits_turn_to((int64_t)(upsert * 60000 / (snapshot + upsert) + 1));
    limits_post_keys(&live, 5, 5);
    peer_expect(fd, 0x82, "\"key\":\"05\"");
    clients_leave(&clients);
    live_stop(&live);
}

/* A message of many fragments must not have another one in it: there is the close frame only. */
TEST(test_bytes_within_a_message)
{
    static const char *const settings[] = {"max_bytes_per_minute", "100000", NULL};
    enum { LONG = 300 * 1000 };
    struct live live;
    struct clients clients = {.live = &live};
    struct buffer request;
    limits_start(&live, settings);
    limits_post_keys(&live, 1, 1);
    int fd = client_come(&clients);
    limits_subscribe(fd, ",\"withSnapshot\":false");
    peer_expect(fd, 0x82, "subscribed");
    buffer_init(&request, LONG * 2);
    buffer_printf(&request,
                  "POST /v1/mutations HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
                  "{\"export\":\"Q\",\"key\":\"long\",\"patch\":{\"a\":\"",
                  LONG + 44);
    for (int i = 0; i < LONG; i++)
        buffer_add_char(&request, 'x');
    buffer_add_string(&request, "\"}}");
    const char *body = strstr(buffer_string(&request), "\r\n\r\n") + 4;
    assert_int_equal(request.data + request.length - body, LONG + 44);
    peer_ask(server_parts(live.server).address, request.data, &heard);
    assert_memory_equal(heard.data, "HTTP/1.1 200 ", 13);
    size_t total = 0;
    unsigned first;
    do {
        buffer_clear(&heard);
        assert_true(peer_hear_frame(fd, &heard));
        first = (unsigned char)heard.data[0];
        total += heard.length;
        assert_true(first == 0x02 || first == 0x00 || first == 0x88);
    } while (first != 0x88);
    assert_true(total > 32000 && total < 101000);
    assert_non_null(strstr(heard.data + 4, "egress-limit-exceeded: "));
    limits_close(fd);
    buffer_fini(&request);
    clients_leave(&clients);
    live_stop(&live);
}

/* ---- rows ---- */

TEST(test_rows)
{
    static const char *const settings[] = {"max_snapshot_rows", "3", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    limits_start(&live, settings);
    limits_post_keys(&live, 1, 3);
    int fd = client_come(&clients);
    limits_rows_sent(fd, "");
    limits_rows_sent(fd, ",\"snapshotLimit\":50");
    limits_rows_sent(fd, ",\"take\":50");
    limits_get(&live, "/v1/views/Q/list?take=50");
    assert_memory_equal(heard.data, "HTTP/1.1 200 ", 13);
    limits_post_keys(&live, 4, 4);
    peer_expect(fd, 0x82, "\"key\":\"04\""); /* what comes live is no answer */
    limits_rows_refused(fd, "");
    limits_rows_refused(fd, ",\"take\":50");
    limits_rows_refused(fd, ",\"snapshotLimit\":4");
    limits_rows_refused(fd, ",\"filters\":{}");
    limits_rows_sent(fd, ",\"snapshotLimit\":3");
    limits_rows_sent(fd, ",\"take\":3");
    limits_rows_sent(fd, ",\"filters\":{\"a\":2}");
    limits_rows_sent(fd, ",\"key\":\"02\"");
    limits_get(&live, "/v1/views/Q/list?take=50");
    client_refused_with("snapshot-limit-exceeded", 1);
    limits_get(&live, "/v1/views/Q/list?take=3");
    assert_memory_equal(heard.data, "HTTP/1.1 200 ", 13);
    clients_leave(&clients);
    live_stop(&live);
}

TEST(test_rows_of_resumes)
{
    static const char *const settings[] = {"max_snapshot_rows", "3", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    limits_start(&live, settings);
    limits_post_keys(&live, 1, 5); /* each has the next seq; the cursor's own is passed */
    int fd = client_come(&clients);
    limits_rows_sent(fd, ",\"after\":\"0:000000000002\"");
    limits_rows_refused(fd, ",\"after\":\"0:000000000001\"");
    limits_rows_sent(fd, ",\"after\":\"0:000000000001\",\"snapshotLimit\":3");
    limits_rows_sent(fd, ",\"after\":\"0:000000000003\",\"take\":3");
    limits_rows_refused(fd, ",\"after\":\"0:000000000001\",\"withSnapshot\":false");
    limits_subscribe(fd, ",\"after\":\"0:000000000002\",\"withSnapshot\":false");
    peer_expect(fd, 0x82, "subscribed");
    peer_expect(fd, 0x82, "\"key\":\"03\"");
    peer_expect(fd, 0x82, "\"key\":\"04\"");
    peer_expect(fd, 0x82, "\"key\":\"05\"");
    limits_get(&live, "/v1/views/Q/list?after=0:000000000001");
    client_refused_with("snapshot-limit-exceeded", 1);
    limits_get(&live, "/v1/views/Q/list?after=0:000000000005");
    assert_memory_equal(heard.data, "HTTP/1.1 200 ", 13);
    peer_say_text(fd, "{\"view\":\"Q/append\",\"after\":\"0:000000000001\"}");
    peer_expect(fd, 0x82, "\"resumed\":true");
    peer_expect(fd, 0x81, "snapshot-limit-exceeded");
    peer_say_text(fd, "{\"view\":\"Q/append\",\"after\":\"0:000000000002\"}");
    peer_expect(fd, 0x82, "\"resumed\":true");
    peer_expect(fd, 0x82, "\"key\":\"03\"");
    clients_leave(&clients);
    live_stop(&live);
}
