/*
 * Limits on who comes in, in a running server, by real sockets and a clock in the test's hand: each
 * at its exact edge, and open again at its time. What a server must not do is shown by asking for
 * one more.
 */
#include "limits_fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

TEST_ALL(limits_setup, limits_teardown)

/* ---- handshakes and connections ---- */

TEST(test_handshakes)
{
    static const char *const settings[] = {"rate_handshakes_per_ip", "3", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    limits_start(&live, settings);
    for (int i = 0; i < 13; i++) { /* the burst of ten comes on top */
        limits_turn_to(i);
        client_come(&clients);
    }
    for (int i = 0; i < 5; i++)
        assert_false(client_comes_in(&clients, "/", ""));
    client_refused_with("rate-limit-exceeded", 20);
    assert_non_null(strstr(heard.data, "3 in 60 seconds and a burst of 10 are let through"));
    assert_false(client_comes_in(&clients, "/v1/ingest", ""));
    limits_turn_to(19999);
    assert_false(client_comes_in(&clients, "/", ""));
    client_refused_with("rate-limit-exceeded", 1);
    for (int i = 1; i <= 3; i++) { /* three in sixty seconds */
        limits_turn_to(i * 20000);
        client_come(&clients);
        assert_false(client_comes_in(&clients, "/", ""));
        client_refused_with("rate-limit-exceeded", 20);
    }
    clients_leave(&clients);
    live_stop(&live);
}

TEST(test_connections_by_who_they_are)
{
    static const char *const rates[] = {"rate_connections_per_subject",
                                        "rate_connections_per_metering_key"};
    for (size_t i = 0; i < 2; i++) {
        const char *const settings[] = {rates[i], "2+1/10s", NULL};
        struct live live;
        struct clients clients = {.live = &live};
        limits_start(&live, settings);
        for (int n = 0; n < 3; n++)
            client_come(&clients);
        limits_turn_to(500);
        assert_false(client_comes_in(&clients, "/", ""));
        client_refused_with("rate-limit-exceeded", 5);
        limits_turn_to(4999);
        assert_false(client_comes_in(&clients, "/", ""));
        limits_turn_to(5000);
        client_come(&clients);
        assert_false(client_comes_in(&clients, "/", ""));
        limits_turn_to(20000);
        for (int n = 0; n < 3; n++)
            client_come(&clients);
        assert_false(client_comes_in(&clients, "/", ""));
        clients_leave(&clients);
        live_stop(&live);
    }
}

/* Each at its edge, and free again when one has left. Other origins are not concerned. */
TEST(test_connections_at_a_time)
{
    static const struct {
        const char *setting, *headers, *others;
    } limits[] = {
        {"max_connections", "", NULL},
        {"max_connections_per_ip", "", NULL},
        {"max_connections_per_subject", "", NULL},
        {"max_connections_per_metering_key", "", NULL},
        {"max_connections_per_origin", "Origin: http://localhost:1\r\n",
         "Origin: http://localhost:2\r\n"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const char *const settings[] = {limits[i].setting, "2", NULL};
        struct live live;
        struct clients clients = {.live = &live};
        limits_start(&live, settings);
        assert_true(client_comes_in(&clients, "/", limits[i].headers));
        assert_true(client_comes_in(&clients, "/v1/ingest", limits[i].headers));
        assert_false(client_comes_in(&clients, "/", limits[i].headers));
        client_refused_with("connection-limit-exceeded", 1);
        client_leave(&clients, 0);
        client_comes_in_soon(&clients, limits[i].headers);
        assert_false(client_comes_in(&clients, "/", limits[i].headers));
        if (limits[i].others) {
            assert_true(client_comes_in(&clients, "/", limits[i].others));
            assert_true(client_comes_in(&clients, "/", ""));
        }
        clients_leave(&clients);
        live_stop(&live);
    }
}

/* ---- behind a proxy ---- */

TEST(test_forwarded)
{
    static const char *const settings[] = {"max_connections_per_ip", "1", "trusted_proxies",
                                           "127.0.0.1, 10.0.0.0/8", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    limits_start(&live, settings);
    assert_true(client_comes_in(&clients, "/", "")); /* the proxy itself */
    assert_false(client_comes_in(&clients, "/", ""));
    assert_true(client_from(&clients, "X-Forwarded-For", "192.0.2.1"));
    assert_false(client_from(&clients, "X-Forwarded-For", "192.0.2.1"));
    assert_false(client_from(&clients, "x-forwarded-for", "203.0.113.9, 192.0.2.1"));
    assert_false(
        client_from(&clients, "X-Forwarded-For", "203.0.113.9, ::ffff:192.0.2.1, 10.1.1.1"));
    assert_true(client_from(&clients, "X-Forwarded-For", "192.0.2.1, 192.0.2.2"));
    /* Several lines are one list. */
    assert_false(client_comes_in(&clients, "/",
                                 "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.2\r\n"));
    assert_true(client_from(&clients, "X-Forwarded-For", "2001:db8:0:1::1"));
    assert_false(client_from(&clients, "X-Forwarded-For", "2001:db8:0:1:ffff::2"));
    assert_true(client_from(&clients, "X-Forwarded-For", "2001:db8:0:2::1"));
    /* Another header, or none that makes sense: the proxy. */
    assert_false(client_from(&clients, "X-Real-IP", "192.0.2.77"));
    assert_false(client_from(&clients, "Forwarded", "for=192.0.2.77"));
    assert_false(client_from(&clients, "X-Forwarded-For", "unknown"));
    clients_leave(&clients);
    live_stop(&live);
}

/* As long as a head may be: what the proxies wrote at its end counts all the same. */
TEST(test_long_forwarded)
{
    static const char *const settings[] = {"max_connections_per_ip", "1", "trusted_proxies",
                                           "127.0.0.1", NULL};
    static char header[14 * 1024];
    struct live live;
    struct clients clients = {.live = &live};
    limits_start(&live, settings);
    assert_true(client_comes_in(&clients, "/", "")); /* the proxy itself */
    for (size_t padding = 8160; padding < 8210; padding += 3) {
        size_t length = (size_t)snprintf(header, sizeof header, "X-Forwarded-For: ");
        memset(header + length, 'x', padding);
        snprintf(header + length + padding, sizeof header - length - padding, ",192.0.2.%zu\r\n%s",
                 padding - 8160 + 1, padding % 2 ? "" : "X-Forwarded-For: 127.0.0.1\r\n");
        assert_true(client_comes_in(&clients, "/", header));
        assert_false(client_comes_in(&clients, "/", header));
    }
    /* An element that is cut is no other address. */
    size_t length = (size_t)snprintf(header, sizeof header, "X-Forwarded-For: 192.0.2.99");
    while (length < 12000)
        length += (size_t)snprintf(header + length, sizeof header - length, ",127.0.0.1");
    snprintf(header + length, sizeof header - length, "\r\n");
    assert_false(client_comes_in(&clients, "/", header));
    clients_leave(&clients);
    live_stop(&live);
}

TEST(test_other_headers)
{
    static const char *const headers[] = {"X-Real-IP", "CF-Connecting-IP", "X-Client-Address"};
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
        limits_start(&live, settings);
        assert_true(
            client_from(&clients, header, i < 3 ? "192.0.2.1" : "proto=https;for=192.0.2.1"));
        assert_false(client_from(&clients, header, i < 3 ? "192.0.2.1" : "for=\"192.0.2.1:80\""));
        assert_true(client_from(&clients, header, i < 3 ? "192.0.2.2" : "for=\"[2001:db8::1]\""));
        assert_true(
            client_from(&clients, "X-Forwarded-For", "192.0.2.3")); /* not asked: the proxy */
        assert_false(client_from(&clients, "X-Forwarded-For", "192.0.2.4"));
        clients_leave(&clients);
        live_stop(&live);
    }
}

TEST(test_nobody_is_believed)
{
    static const char *const settings[] = {"max_connections_per_ip", "1", "trusted_proxies",
                                           "10.0.0.0/8", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    limits_start(&live, settings);
    assert_true(client_from(&clients, "X-Forwarded-For", "192.0.2.1"));
    assert_false(client_from(&clients, "X-Forwarded-For", "192.0.2.2"));
    clients_leave(&clients);
    live_stop(&live);
}

/* ---- when the windows hold ---- */

static int let_through(const char *const *settings)
{
    struct live live;
    struct clients clients = {.live = &live};
    int count = 0;
    limits_start(&live, settings);
    while (count < 100 && client_comes_in(&clients, "/", "")) {
        client_leave(&clients, 0);
        count++;
    }
    live_stop(&live);
    return count;
}

/* All come from one address, of which 30 and 5 may come. */
TEST(test_when_rates_hold)
{
    static const struct {
        const char *settings[9];
        int through;
    } cases[] = {
        {{NULL}, 100}, /* this machine's own */
        {{"rate_limiting", "on"}, 35},
        {{"rate_snapshots_per_connection", "31"}, 35},
        {{"trusted_proxies", "192.0.2.1"}, 35},
        {{"health", "0.0.0.0:0"}, 35},
        {{"rate_limiting", "off", "health", "0.0.0.0:0"}, 100},
        {{"rate_limiting", "on", "rate_handshakes_per_ip", "off", "rate_connections_per_subject",
          "0", "rate_connections_per_metering_key", "0+5/60s"},
         100},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(let_through(cases[i].settings), cases[i].through);
}

/* Without tokens all have one subject, which is no reason to refuse one for the others. */
TEST(test_nobody_is_judged_by_address)
{
    static const char *const settings[] = {
        "rate_limiting", "on", "trusted_proxies", "127.0.0.1", "rate_handshakes_per_ip", "0", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    char address[32];
    limits_start(&live, settings);
    for (int i = 0; i < 200; i++) {
        snprintf(address, sizeof address, "192.0.2.%d", i);
        assert_true(client_from(&clients, "X-Forwarded-For", address));
        client_leave(&clients, 0);
    }
    for (int i = 0; i < 34; i++) {
        assert_true(client_from(&clients, "X-Forwarded-For", "192.0.2.1"));
        client_leave(&clients, 0);
    }
    assert_false(client_from(&clients, "X-Forwarded-For", "192.0.2.1"));
    live_stop(&live);
}

/* ---- changed while it runs ---- */

struct turn {
    struct server_work work;
    const char *name, *value;
    struct config *config;
    bool done;
    atomic_bool ended;
};

static void apply(struct server *server, struct server_work *work)
{
    struct turn *change = (struct turn *)work;
    struct error error;
    change->done = server_apply_limits(server, change->config, &error);
    atomic_store(&change->ended, true);
}

static void set_live(struct live *live, const char *name, const char *value)
{
    struct turn change = {.work.run = apply, .config = &live->config};
    struct error error;
    assert_true(config_set(&live->config, name, value, &error));
    assert_true(server_post(live->server, &change.work));
    while (!atomic_load(&change.ended))
        usleep(100);
    assert_true(change.done);
}

TEST(test_changed_while_running)
{
    static const char *const settings[] = {"max_connections", "5", "rate_limiting", "on", NULL};
    struct live live;
    struct clients clients = {.live = &live};
    limits_start(&live, settings);
    limits_post_keys(&live, 1, 3);
    int fd = client_come(&clients);
    client_come(&clients);
    client_come(&clients);
    set_live(&live, "max_connections", "3");
    assert_false(client_comes_in(&clients, "/", ""));
    set_live(&live, "max_connections", "4");
    client_come(&clients);
    set_live(&live, "max_connections", "1000"); /* there is no room for so many */
    client_come(&clients);
    assert_false(client_comes_in(&clients, "/", ""));
    client_refused_with("connection-limit-exceeded", 1);
    client_leave(&clients, 4);

    /* The five that came count at once under the new numbers. */
    set_live(&live, "rate_handshakes_per_ip", "2");
    set_live(&live, "rate_handshakes_per_ip_burst", "3");
    while (client_comes_in(&clients, "/", ""))
        fail_msg("a sixth was let in");
    client_refused_with("rate-limit-exceeded", 30);
    set_live(&live, "rate_limiting", "off");
    client_comes_in_soon(&clients, "");

    /* Those who are here are held to what holds now, and keep what they have. */
    limits_rows_sent(fd, "");
    set_live(&live, "max_snapshot_rows", "2");
    limits_rows_refused(fd, ",\"snapshotLimit\":3");
    set_live(&live, "max_snapshot_rows", "0");
    limits_rows_sent(fd, ",\"snapshotLimit\":3");
    set_live(&live, "max_subscriptions", "1");
    limits_subscribe(fd, ",\"key\":\"01\"");
    peer_expect(fd, 0x81, "subscription-limit-exceeded");
    set_live(&live, "max_messages_per_minute", "1");
    peer_say_text(fd, "{\"type\":\"ping\"}");
    peer_say_text(fd, "{\"type\":\"ping\"}");
    peer_expect(fd, 0x81, "rate-limit-exceeded");
    set_live(&live, "trusted_proxies", "127.0.0.1");
    set_live(&live, "max_connections_per_ip", "1");
    assert_false(client_comes_in(&clients, "/", ""));
    clients_leave(&clients);
    client_comes_in_soon(&clients, "X-Forwarded-For: 192.0.2.1\r\n");
    assert_false(client_from(&clients, "X-Forwarded-For", "192.0.2.1"));
    clients_leave(&clients);
    live_stop(&live);
}
