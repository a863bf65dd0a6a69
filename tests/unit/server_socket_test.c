/* WebSocket connections, byte by byte. */
#include "engine/engine.h"
#include "random.h"
#include "server_fixture.h"
#include "wire/wire.h"

#include <stdio.h>
#include <unistd.h>

static struct buffer text;

static void setup(void)
{
    buffer_init(&text, 1 << 20);
}

static void teardown(void)
{
    buffer_fini(&text);
}

TEST_ALL(setup, teardown)

static void post(struct live *live, const char *lines)
{
    char request[512];
    snprintf(request, sizeof request,
             "POST /v1/mutations HTTP/1.1\r\nHost: localhost\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             strlen(lines), lines);
    peer_ask(server_parts(live->server).address, request, &text);
    assert_memory_equal(text.data, "HTTP/1.1 200 ", 13);
}

/* The ready bytes of the encoders arrive as they are: nothing before, between or around them. */
TEST(test_ready_bytes_arrive_verbatim)
{
    struct live live;
    struct buffer expected, received;
    buffer_init(&expected, 1 << 16);
    buffer_init(&received, 1 << 16);
    live_start(&live, NULL);
    post(&live, "{\"export\":\"Q\",\"key\":1,\"patch\":{\"a\":1}}");
    int fd = peer_upgrade(server_parts(live.server).address, "/any/path", &text);
    peer_say_text(fd, "{\"type\":\"subscribe\",\"view\":\"Q/list\",\"withSnapshot\":false}");
    peer_hear_frame(fd, &received);
    post(&live, "{\"export\":\"Q\",\"key\":2,\"patch\":{\"b\":2}}\n"
                "{\"export\":\"Q\",\"key\":2,\"patch\":{\"b\":3}}");
    for (int i = 0; i < 2; i++)
        peer_hear_frame(fd, &received);

    struct wire_subscribed subscribed = {
        .view = span_of("Q/list"),
        .mode = WIRE_LIST,
        .sorted_by_seq = true,
        .epoch = span_of(engine_facts(server_parts(live.server).engine)->epoch),
        .resumed = -1};
    struct wire_change change = {.mode = WIRE_LIST,
                                 .view = span_of("Q/list"),
                                 .operation = ROW_UPSERT,
                                 .key = span_of("2"),
                                 .data = span_of("{\"b\":2,\"_seq\":\"0:000000000002\"}"),
                                 .seq = span_of("0:000000000002")};
    wire_subscribed(&expected, &subscribed);
    wire_change(&expected, &change);
    change.operation = ROW_PATCH;
    change.data = span_of("{\"b\":3,\"_seq\":\"0:000000000003\"}");
    change.seq = span_of("0:000000000003");
    wire_change(&expected, &change);
    assert_int_equal(received.length, expected.length);
    assert_memory_equal(received.data, expected.data, expected.length);
    close(fd);
    live_stop(&live);
    buffer_fini(&expected);
    buffer_fini(&received);
}

/* A binary message may have been any batch: those behind it wait for a new connection. */
TEST(test_binary_batch)
{
    struct live live;
    live_start(&live, NULL);
    int fd = peer_upgrade(server_parts(live.server).address, "/v1/ingest", &text);
    peer_say_text(fd, "{\"id\":1,\"producer\":\"p\",\"batch\":1,\"mutations\":[]}");
    peer_expect(fd, 0x81, "\"ack\":1");
    peer_say_frame(fd, 0x82, span_of("{\"id\":2,\"producer\":\"p\",\"batch\":2,\"mutations\":[]}"));
    peer_say_text(fd, "{\"id\":3,\"producer\":\"p\",\"batch\":3,\"mutations\":[]}");
    peer_expect(fd, 0x81, "binary");
    peer_expect(fd, 0x81, "out-of-order");
    peer_say_text(fd, "{\"id\":4,\"mutations\":[]}");
    peer_expect(fd, 0x81, "\"ack\":4");
    close(fd);
    fd = peer_upgrade(server_parts(live.server).address, "/v1/ingest", &text);
    peer_say_text(fd, "{\"id\":5,\"producer\":\"p\",\"batch\":2,\"mutations\":[]}");
    peer_expect(fd, 0x81, "\"ack\":5");
    close(fd);
    live_stop(&live);
}

TEST(test_messages)
{
    struct live live;
    char *long_text = memory_new(70000);
    memset(long_text, 'x', 69999);
    live_start(&live, NULL);
    post(&live, "{\"export\":\"Q\",\"key\":1,\"patch\":{}}");
    int fd = peer_upgrade(server_parts(live.server).address, "/", &text);
    peer_say_text(fd, "nonsense");
    peer_expect(fd, 0x81, "invalid-message");
    peer_say_frame(fd, 0x82, span_of("{}"));
    peer_expect(fd, 0x81, "binary");
    /* In fragments, with a ping between them that is answered at once. */
    peer_say_frame(fd, 0x01, span_of("{\"type\":\"subscr"));
    peer_say_frame(fd, 0x89, span_of("hello"));
    peer_say_frame(fd, 0x80, span_of("ibe\",\"view\":\"Q/state\",\"key\":\"1\"}"));
    peer_expect(fd, 0x8a, "hello");
    peer_expect(fd, 0x82, "subscribed");
    peer_expect(fd, 0x82, "snapshot");
    peer_say_frame(fd, 0x81, span_make(long_text, 69999));
    peer_expect(fd, 0x81, "too-large");
    peer_expect_close(fd, 1009, "too-large: a message may have at most 65536 bytes");
    peer_say_frame(fd, 0x88, span_make("\x03\xf1", 2));
    assert_false(peer_hear_frame(fd, &text)); /* no second close frame, just the end */
    close(fd);
    live_stop(&live);
    memory_free(long_text);
}

TEST(test_handshake)
{
    static const char *const settings[] = {"max_connections", "2", NULL};
    struct live live;
    live_start(&live, settings);
    const char *address = server_parts(live.server).address;
    int first = peer_upgrade(address, "/", &text);
    assert_memory_equal(text.data, "HTTP/1.1 101 ", 13);
    int second = peer_upgrade(address, "/v1/ingest", &text);
    assert_memory_equal(text.data, "HTTP/1.1 101 ", 13);
    int third = peer_upgrade(address, "/", &text);
    assert_memory_equal(text.data, "HTTP/1.1 429 ", 13);
    assert_non_null(strstr(text.data, "X-Error-Code: connection-limit-exceeded\r\n"));
    assert_non_null(strstr(text.data, "Retry-After: "));
    int fourth = peer_upgrade(server_parts(live.server).health_address, "/", &text);
    assert_memory_equal(text.data, "HTTP/1.1 400 ", 13);
    close(first);
    close(second);
    close(third);
    close(fourth);
    live_stop(&live);
}

/* A client that answers pings stays, one that does not is closed. */
TEST(test_client_timeout)
{
    static const char *const settings[] = {"client_timeout_seconds", "1", NULL};
    struct live live;
    struct buffer frame;
    buffer_init(&frame, 1024);
    live_start(&live, settings);
    int silent = peer_upgrade(server_parts(live.server).address, "/", &text);
    int living = peer_upgrade(server_parts(live.server).address, "/", &text);
    for (int pings = 0; pings < 5; pings++) {
        buffer_clear(&frame);
        assert_true(peer_hear_frame(living, &frame));
        assert_int_equal((unsigned char)frame.data[0], 0x89);
        peer_say_frame(living, 0x8a, span_make(frame.data + 2, frame.length - 2));
    }
    buffer_clear(&frame);
    assert_true(peer_hear_frame(silent, &frame));
    assert_int_equal((unsigned char)frame.data[0], 0x89);
    peer_expect_close(silent, 1001, "client-timeout: nothing was heard for 1 seconds");
    close(silent);
    close(living);
    live_stop(&live);
    buffer_fini(&frame);
}

/* ---- ingest ---- */

/* Behind a batch that the writer refuses, later ones of the producer must not pass. */
TEST(test_refused_batch_holds_later_ones)
{
    static const char *const settings[] = {"max_entity_bytes", "1024", NULL};
    struct live live;
    char message[4096];
    live_start(&live, settings);
    int fd = peer_upgrade(server_parts(live.server).address, "/v1/ingest", &text);
    for (int round = 0; round < 2; round++) {
        for (int batch = 1; batch <= 4; batch++) {
            bool large = round == 0 && batch == 2;
            snprintf(message, sizeof message,
                     "{\"id\":%d,\"producer\":\"p\",\"batch\":%d,\"mutations\":[{\"export\":\"Q\","
                     "\"key\":1,\"patch\":{\"n\":\"%0*d\"}}]}",
                     batch, batch, large ? 2000 : 1, batch);
            peer_say_text(fd, message);
        }
        peer_expect(fd, 0x81, round ? "\"duplicate\":1" : "{\"ack\":1");
        peer_expect(fd, 0x81,
                    round ? "{\"ack\":2" : "{\"nack\":2,\"error\":{\"error\":\"too-large\"");
        peer_expect(fd, 0x81,
                    round ? "{\"ack\":3" : "{\"nack\":3,\"error\":{\"error\":\"out-of-order\"");
        peer_expect(fd, 0x81,
                    round ? "{\"ack\":4" : "{\"nack\":4,\"error\":{\"error\":\"out-of-order\"");
    }
    close(fd);
    live_stop(&live);
}

/* Everything that was taken in is acknowledged before the connections end. */
TEST(test_stop_acknowledges)
{
    struct live live;
    char message[256];
    struct buffer frame;
    int acknowledged = 0, sent = 200;
    buffer_init(&frame, 4096);
    live_start(&live, NULL);
    int fd = peer_upgrade(server_parts(live.server).address, "/v1/ingest", &text);
    int subscriber = peer_upgrade(server_parts(live.server).address, "/", &text);
    for (int i = 0; i < sent; i++) {
        snprintf(message, sizeof message,
                 "{\"id\":%d,\"mutations\":[{\"export\":\"Q\",\"key\":%d,\"patch\":{}}]}", i, i);
        peer_say_text(fd, message);
    }
    peer_expect(fd, 0x81, "{\"ack\":0,");
    server_stop(live.server);
    for (acknowledged = 1;; acknowledged++) {
        buffer_clear(&frame);
        assert_true(peer_hear_frame(fd, &frame));
        if ((unsigned char)frame.data[0] == 0x88)
            break;
        snprintf(message, sizeof message, "{\"ack\":%d,", acknowledged);
        assert_non_null(memmem(frame.data, frame.length, message, strlen(message)));
    }
    assert_string_equal(frame.data + 4, "shutting-down: the server is stopping");
    peer_expect_close(subscriber, 1001, "shutting-down: the server is stopping");
    close(fd);
    close(subscriber);
    live_wait(&live);
    assert_int_equal(
        counter_get(&engine_facts(server_parts(live.server).engine)->metrics->mutations_applied),
        acknowledged);
    live_close(&live);
    buffer_fini(&frame);
}

/* ---- snapshots ---- */

static void expect_first_snapshot(const struct live *live)
{
    static const char ask[] = "{\"type\":\"subscribe\",\"protocolVersion\":2,\"subscriptionId\":"
                              "\"s\",\"query\":{\"view\":\"Q/list\"}}";
    int fd = peer_upgrade(server_parts(live->server).address, "/", &text);
    const char *id = NULL;
    peer_say_text(fd, ask);
    while (!id) {
        buffer_clear(&text);
        assert_true(peer_hear_frame(fd, &text));
        id = memmem(text.data, text.length, "\"snapshotId\":\"", 14);
    }
    const char *number = strchr(id, '-');
    assert_non_null(number);
    assert_memory_equal(number, "-1\"", 3);
    close(fd);
}

/* Nothing is shared by two servers of one process, whose loops are two threads. */
TEST(test_snapshots_of_two_servers_are_counted_apart)
{
    struct live lives[2];
    for (int i = 0; i < 2; i++)
        live_start(&lives[i], NULL);
    for (int i = 0; i < 2; i++) {
        post(&lives[i], "{\"export\":\"Q\",\"key\":1,\"patch\":{\"a\":1}}\n");
        expect_first_snapshot(&lives[i]);
    }
    for (int i = 0; i < 2; i++)
        live_stop(&lives[i]);
}

/* ---- another token in the middle of a message ---- */

enum { LARGE_ROW = 7 << 20 }; /* more than the sockets of both sides hold, also compressed */

#define TOKENS                                                                                     \
    "{\"mode\":\"static\",\"tokens\":["                                                            \
    "{\"token\":\"0123456789abcdef-writer\",\"scope\":\"write\"},"                                 \
    "{\"token\":\"0123456789abcdef-red\",\"scope\":\"read\",\"subject\":\"s\",\"row_scopes\":["    \
    "\"red\"]},"                                                                                   \
    "{\"token\":\"0123456789abcdef-blue\",\"scope\":\"read\",\"subject\":\"s\",\"row_scopes\":["   \
    "\"blue\"]}]}"

static void post_large_row(const struct live *live)
{
    struct buffer request, row;
    random_start(1);
    buffer_init(&row, 2 * LARGE_ROW);
    buffer_init(&request, 2 * LARGE_ROW);
    buffer_add_string(&row, "{\"export\":\"S\",\"key\":1,\"patch\":{\"w\":\"red\",\"text\":\"");
    while (row.length < LARGE_ROW)
        buffer_add_char(&row, (char)('A' + random_below(26)));
    buffer_add_string(&row, "\"}}\n{\"export\":\"S\",\"key\":2,\"patch\":{\"w\":\"blue\"}}\n");
    buffer_printf(&request,
                  "POST /v1/mutations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
                  "0123456789abcdef-writer\r\nContent-Length: %zu\r\n\r\n",
                  row.length);
    buffer_add_span(&request, buffer_span(&row));
    peer_ask(server_parts(live->server).address, buffer_string(&request), &text);
    assert_memory_equal(text.data, "HTTP/1.1 200 ", 13);
    buffer_fini(&request);
    buffer_fini(&row);
}

/* Until a frame has this in it; the frames may be large. */
static void hear_until(int fd, const char *part)
{
    struct buffer frame;
    buffer_init(&frame, 1 << 20);
    do {
        buffer_clear(&frame);
        assert_true(peer_hear_frame(fd, &frame));
    } while (!memmem(frame.data, frame.length, part, strlen(part)));
    buffer_fini(&frame);
}

/* Its subscription begins anew behind the message, and is another one for what was sent of it. */
TEST(test_another_token_in_the_middle_of_a_message)
{
    static const char *const settings[] = {"auth", TOKENS, "exports", "{\"S\":{\"scope\":\"w\"}}",
                                           NULL};
    struct live live;
    live_start(&live, settings);
    post_large_row(&live);
    int fd = peer_upgrade(server_parts(live.server).address, "/?token=0123456789abcdef-red", &text);
    peer_say_text(fd, "{\"type\":\"subscribe\",\"protocolVersion\":2,\"subscriptionId\":\"s\","
                      "\"query\":{\"view\":\"S/list\"}}");
    hear_until(fd, "\"snapshotId\":\"");
    peer_say_text(fd, "{\"type\":\"refresh_auth\",\"protocolVersion\":2,"
                      "\"token\":\"0123456789abcdef-blue\"}");
    hear_until(fd, "\"blue\"");
    close(fd);
    live_stop(&live);
}
