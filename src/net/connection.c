/* One connection: the bytes that come in from its socket, under TLS where it has that. */
#include "net/net_internal.h"

#include <assert.h>

/* ---- in ---- */

static size_t take(struct net_connection *connection, char *bytes, size_t length)
{
    switch (connection->mode) {
    case MODE_HEAD:
    case MODE_BODY:
        return request_take(connection, span_make(bytes, length));
    case MODE_FRAMES:
        return websocket_take(connection, bytes, length);
    case MODE_ANSWER:
    case MODE_STREAM:
    case MODE_PARTING:
        break;
    }
    return length;
}

/* Take as much as may be taken now; returns how much that is. */
static size_t feed(struct net_connection *connection, char *bytes, size_t length)
{
    size_t at = 0;
    while (at < length && output_reads(connection) == OUTPUT_TAKES)
        at += take(connection, bytes + at, length - at);
    return at;
}

/* Bytes that were not taken are kept until they may be. A client that sends far ahead of the
 * answers is not served beyond this one: it would use our memory. */
static void feed_and_keep(struct net_connection *connection, char *bytes, size_t length)
{
    size_t taken = connection->ahead.length ? 0 : feed(connection, bytes, length);
    if (connection->mode == MODE_ANSWER &&
        connection->ahead.length + (length - taken) > AHEAD_OF_ANSWER) {
        connection->keeps = connection->must_stay = false;
        return;
    }
    if (taken < length && !connection->closing &&
        !buffer_add(&connection->ahead, bytes + taken, length - taken))
        net_close(connection);
}

static void feed_ahead(struct net_connection *connection)
{
    struct buffer ahead = connection->ahead;
    size_t at = connection->ahead_at;
    buffer_init(&connection->ahead, AHEAD_LIMIT);
    connection->ahead_at = 0;
    at += feed(connection, ahead.data + at, ahead.length - at);
    if (at == ahead.length || connection->closing || connection->mode == MODE_PARTING) {
        buffer_fini(&ahead);
        return;
    }
    assert(!connection->ahead.length); /* nothing is read while something is ahead */
    connection->ahead = ahead;
    connection->ahead_at = at;
}

static void note_tls_failure(struct net_connection *connection, const struct error *error)
{
    char peer[64];
    if (error->code == ERROR_NONE || tls_stream_is_ready(connection->tls))
        return;
    counter_add(connection->net->options.tls_failed, 1);
    net_peer(connection, peer, sizeof peer);
    log_warning("tls", "handshake-failed", log_word("client", peer),
                log_text("error", error->message));
}

/* TLS's own answers are short, unless the peer causes them and does not read. */
static bool send_own_records(struct net_connection *connection)
{
    size_t own = tls_stream_output(connection->tls).length;
    if (!output_send_records(connection))
        return false;
    connection->tls_owed = connection->write_due ? connection->tls_owed + own : 0;
    if (connection->tls_owed <= TLS_OWED_LIMIT)
        return true;
    net_close(connection);
    return false;
}

/* While an answer is owed, bytes are kept, as far as there is room: then it stops to listen. */
static bool may_pump(const struct net_connection *connection)
{
    enum output_reading reads = output_reads(connection);
    return reads == OUTPUT_LISTENS || (reads == OUTPUT_TAKES && !connection->ahead.length);
}

/* All plain bytes that TLS has, as far as they may be taken. */
static void pump_tls(struct net_connection *connection)
{
    struct net *net = connection->net;
    struct error error;
    int64_t got = 1;
    while (got > 0 && may_pump(connection)) {
        got = tls_stream_read(connection->tls, net->plain, sizeof net->plain, &error);
        if (!send_own_records(connection))
            return;
        if (got > 0)
            feed_and_keep(connection, net->plain, (size_t)got);
    }
    connection->tls_holds = got > 0;
    if (got < 0 && !connection->closing) {
        note_tls_failure(connection, &error);
        net_close(connection);
    }
}

/* A client that has said all may still wait for its answer, and for the rest of it. */
static void on_end(struct net_connection *connection, bool in_order)
{
    bool owed = connection->mode == MODE_ANSWER || connection->write_due;
    connection->ended = true;
    bool lasts = connection->mode == MODE_FRAMES || connection->mode == MODE_STREAM ||
                 (connection->must_stay && connection->mode == MODE_ANSWER);
    if (!in_order || !owed || lasts) {
        net_close(connection);
        return;
    }
    connection->keeps = false;
    if (connection->mode == MODE_HEAD)
        net_part(connection);
    output_set_reading(connection);
}

/* An answer that a client can read that speaks HTTP on a port of TLS. */
static const char plain_answer[] =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json; charset=utf-8\r\n"
    "X-Error-Code: invalid-message\r\nConnection: close\r\n\r\n"
    "{\"error\":\"invalid-message\",\"message\":\"this port speaks TLS: use https:// or wss://\","
    "\"code\":\"invalid-message\",\"retryable\":false}";

static bool is_plain_http(const char *bytes, size_t length)
{
    static const char *const methods[] = {"GET ", "HEAD ",   "POST ", "OPTIONS ",
                                          "PUT ", "DELETE ", "PATCH "};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (length >= strlen(methods[i]) && memcmp(bytes, methods[i], strlen(methods[i])) == 0)
            return true;
    return false;
}

/* Beside TLS, which never came about. */
static void answer_plain(struct net_connection *connection)
{
    struct error error;
    error_set(&error, ERROR_INVALID_MESSAGE, "HTTP without TLS came to a port of TLS");
    note_tls_failure(connection, &error);
    connection->mode = MODE_PARTING;
    connection->end_due = true;
    net_set_deadline(connection, connection->net->options.idle_ms);
    if (output_send(connection, span_of(plain_answer)) && !connection->write_due &&
        !connection->closing)
        output_half_close(connection);
}

void connection_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *bytes)
{
    struct net_connection *connection = stream->data;
    if (length == 0 || connection->closing)
        return;
    if (length < 0) {
        on_end(connection, length == UV_EOF);
        return;
    }
    bool is_first = !connection->tls_begun;
    connection->tls_begun = true;
    if (!connection->tls)
        feed_and_keep(connection, bytes->base, (size_t)length);
    else if (connection->mode == MODE_PARTING && !tls_stream_is_ready(connection->tls))
        ; /* the rest of what was answered without it */
    else if (is_first && is_plain_http(bytes->base, (size_t)length))
        answer_plain(connection);
    else if (tls_stream_receive(connection->tls, span_make(bytes->base, (size_t)length)))
        pump_tls(connection);
    else
        net_close(connection);
    output_set_reading(connection);
}

void net_pause(struct net_connection *connection, bool paused)
{
    connection->paused = paused;
    if (paused)
        output_set_reading(connection);
    else
        net_schedule(connection); /* what is ahead is not to be taken inside of this call */
}

/* ---- its turn ---- */

static void take_in(struct net_connection *connection)
{
    if (connection->ahead.length && output_reads(connection) == OUTPUT_TAKES)
        feed_ahead(connection);
    if (connection->tls_holds && may_pump(connection))
        pump_tls(connection);
    output_set_reading(connection);
}

void connection_take_turn(struct net_connection *connection)
{
    if (connection->wants_write && !connection->write_due && !connection->end_due) {
        connection->wants_write = false;
        if (connection->data)
            connection->writable(connection->data);
    }
    if (!connection->closing)
        take_in(connection);
}
