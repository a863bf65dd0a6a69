#include "limits_fixture.h"

#include "access/limits.h"
#include "server/server_internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

struct buffer heard;

void limits_setup(void)
{
    buffer_init(&heard, 4 << 20);
}

void limits_teardown(void)
{
    buffer_fini(&heard);
}

/* ---- the clock ---- */

static _Atomic int64_t hand;

static int64_t clock_in_hand(void *argument)
{
    (void)argument;
    return atomic_load(&hand);
}

void limits_start(struct live *live, const char *const *settings)
{
    atomic_store(&hand, 1000000);
    live_open(live, settings);
    access_shown(live->server->frontend.access)->limits->now_ms = clock_in_hand;
    live_run(live);
}

void limits_turn_to(int64_t ms)
{
    atomic_store(&hand, 1000000 + ms);
}

/* ---- clients ---- */

/* Whether it is let in; it stays. `text` holds the answer. */
bool client_comes_in(struct clients *clients, const char *path, const char *headers)
{
    int fd = peer_upgrade_with(server_parts(clients->live->server).address, path, headers, &heard);
    if (memcmp(heard.data, "HTTP/1.1 101 ", 13) == 0) {
        assert_true(clients->count < MOST_CLIENTS);
        clients->sockets[clients->count++] = fd;
        return true;
    }
    close(fd);
    return false;
}

int client_newest(const struct clients *clients)
{
    return clients->sockets[clients->count - 1];
}

int client_come(struct clients *clients)
{
    assert_true(client_comes_in(clients, "/", ""));
    return client_newest(clients);
}

/* A refusal in the handshake, with all that belongs to it. */
void client_refused_with(const char *code, int retry_after)
{
    char part[96];
    assert_memory_equal(heard.data, "HTTP/1.1 429 Too Many Requests\r\n", 32);
    assert_non_null(strstr(heard.data, "Content-Type: application/json; charset=utf-8\r\n"));
    assert_non_null(strstr(heard.data, "Cache-Control: no-store\r\n"));
    snprintf(part, sizeof part, "X-Error-Code: %s\r\n", code);
    assert_non_null(strstr(heard.data, part));
    snprintf(part, sizeof part, "Retry-After: %d\r\n", retry_after);
    if (!strstr(heard.data, part))
        fail_msg("no \"%s\" in: %s", part, heard.data);
    snprintf(part, sizeof part, "{\"error\":\"%s\",\"message\":", code);
    assert_non_null(strstr(heard.data, part));
    snprintf(part, sizeof part, "\"code\":\"%s\",\"retryable\":true,\"retry_after\":%d,", code,
             retry_after);
    if (!strstr(heard.data, part))
        fail_msg("no \"%s\" in: %s", part, heard.data);
    assert_null(strstr(heard.data, "fatal"));
}

void client_leave(struct clients *clients, size_t index)
{
    char frame[16];
    peer_say_frame(clients->sockets[index], 0x88, span_make("\x03\xe8", 2));
    while (peer_hear(clients->sockets[index], frame, 1))
        continue; /* to the end of the stream: then the server has forgotten it, or is about to */
    close(clients->sockets[index]);
    clients->sockets[index] = clients->sockets[--clients->count];
}

void clients_leave(struct clients *clients)
{
    while (clients->count)
        close(clients->sockets[--clients->count]);
}

/* The place of one that left is free as soon as the server has noticed. */
void client_comes_in_soon(struct clients *clients, const char *headers)
{
    while (!client_comes_in(clients, "/", headers))
        usleep(1000);
}

void limits_post(struct live *live, const char *lines)
{
    char request[4096];
    snprintf(request, sizeof request,
             "POST /v1/mutations HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(lines), lines);
    peer_ask(server_parts(live->server).address, request, &heard);
    assert_memory_equal(heard.data, "HTTP/1.1 200 ", 13);
}

void limits_post_keys(struct live *live, int first, int last)
{
    for (int key = first; key <= last; key++) {
        char line[80];
        snprintf(line, sizeof line, "{\"export\":\"Q\",\"key\":\"%02d\",\"patch\":{\"a\":%d}}", key,
                 key);
        limits_post(live, line);
    }
}

void limits_get(struct live *live, const char *path)
{
    char request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    peer_ask(server_parts(live->server).address, request, &heard);
}

/* ---- what they say ---- */

void limits_subscribe(int fd, const char *rest)
{
    char message[256];
    snprintf(message, sizeof message, "{\"type\":\"subscribe\",\"view\":\"Q/list\"%s}", rest);
    peer_say_text(fd, message);
}

void limits_close(int fd)
{
    peer_say_frame(fd, 0x88, span_make("\x03\xf0", 2));
    assert_false(peer_hear_frame(fd, &heard)); /* just the end */
}

void limits_rows_refused(int fd, const char *rest)
{
    limits_subscribe(fd, rest);
    while (true) {
        buffer_clear(&heard);
        assert_true(peer_hear_frame(fd, &heard));
        if ((unsigned char)heard.data[0] == 0x81)
            break;
        /* Said before it was known, but no row. */
        if (memmem(heard.data, heard.length, "\"key\"", 5))
            fail_msg("rows: %s", heard.data + 4);
    }
    assert_non_null(memmem(heard.data, heard.length, "\"code\":\"snapshot-limit-exceeded\"", 32));
    assert_non_null(memmem(heard.data, heard.length, "\"fatal\":false", 13));
}

void limits_rows_sent(int fd, const char *rest)
{
    limits_subscribe(fd, rest);
    do { /* `subscribed`, deletes, rows */
        buffer_clear(&heard);
        assert_true(peer_hear_frame(fd, &heard));
        if ((unsigned char)heard.data[0] != 0x82)
            fail_msg("%s: %s", rest, heard.data + 4);
    } while (!memmem(heard.data, heard.length, "\"complete\":true", 15));
}

bool client_from(struct clients *clients, const char *header, const char *value)
{
    char line[512];
    snprintf(line, sizeof line, "%s: %s\r\n", header, value);
    return client_comes_in(clients, "/", line);
}
