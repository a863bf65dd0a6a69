/* One connection: the bytes that come in and go out by its socket, under TLS where it has that, and
 * whether it is read. */
#include "net/net_internal.h"

#include <assert.h>
#include <netdb.h>
#include <sys/socket.h>

enum { SHORT_FRAME = 2 + FRAME_CONTROL_LIMIT };

void *net_argument(const struct net_connection *connection)
{
    return connection->net->options.argument;
}

int net_side(const struct net_connection *connection)
{
    return connection->side;
}

bool net_is_websocket(const struct net_connection *connection)
{
    return connection->frames != NULL;
}

bool net_is_stream(const struct net_connection *connection)
{
    return connection->is_stream;
}

void *net_data(const struct net_connection *connection)
{
    return connection->data;
}

void net_set_data(struct net_connection *connection, void *data)
{
    connection->data = data;
}

void net_peer(const struct net_connection *connection, char *text, size_t size)
{
    struct sockaddr_storage peer;
    int length = sizeof peer;
    *text = '\0';
    if (uv_tcp_getpeername(&connection->tcp, (struct sockaddr *)&peer, &length) == 0 &&
        getnameinfo((struct sockaddr *)&peer, (socklen_t)length, text, (socklen_t)size, NULL, 0,
                    NI_NUMERICHOST) != 0)
        *text = '\0';
}

/* ---- whether it is read ---- */

/* The next request waits until the answers before it are out: they are what it would cost. */
static bool may_take(const struct net_connection *connection)
{
    return !connection->closing && !connection->paused && connection->mode != MODE_ANSWER &&
           !(connection->mode == MODE_HEAD && connection->write_due);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    struct net_connection *connection = handle->data;
    (void)suggested;
    *room = uv_buf_init(connection->net->room, sizeof connection->net->room);
}

void output_set_reading(struct net_connection *connection)
{
    bool takes = may_take(connection) && !connection->ahead.length;
    /* While an answer is owed, to hear that the client has gone. */
    bool listens = connection->mode == MODE_ANSWER && !connection->paused && connection->keeps &&
                   !connection->tls;
    bool wanted = !connection->ended && (takes || listens);
    if (connection->closing || wanted == connection->reading)
        return;
    connection->reading = wanted;
    if (wanted)
        uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, connection->net->on_read);
    else
        uv_read_stop((uv_stream_t *)&connection->tcp);
}

/* ---- out ---- */

static void write_on(struct net_connection *connection);

/* Nothing more goes out. */
static void half_close(struct net_connection *connection)
{
    int socket;
    connection->half_closed = true;
    if (uv_fileno((uv_handle_t *)&connection->tcp, &socket) == 0)
        shutdown(socket, SHUT_WR);
    if (connection->ended)
        net_close(connection);
    else
        net_set_deadline(connection, connection->net->options.part_ms);
}

bool output_control(struct net_connection *connection, unsigned char first, struct span bytes)
{
    char frame[SHORT_FRAME];
    frame[0] = (char)first;
    frame[1] = (char)bytes.length;
    memcpy(frame + 2, bytes.data, bytes.length);
    return net_write(connection, span_make(frame, 2 + bytes.length));
}

/* Answer the newest ping, if one waits. */
static void answer_ping(struct net_connection *connection)
{
    char *pong = connection->pong;
    connection->pong = NULL;
    if (!connection->close_sent)
        output_control(connection, OUTPUT_PONG, span_make(pong + 1, (unsigned char)pong[0]));
    memory_free(pong);
}

/* All that was given to the socket is with it. */
static void on_drained(struct net_connection *connection)
{
    connection->tls_owed = 0;
    if (connection->pong)
        answer_ping(connection);
    if (connection->write_due)
        return;
    if (connection->end_due && !connection->half_closed)
        half_close(connection);
    else if (connection->wants_write || connection->mode == MODE_HEAD)
        net_schedule(connection);
}

static void on_written(uv_write_t *write, int status)
{
    struct net_connection *connection = write->data;
    connection->write_due = false;
    buffer_fini(&connection->flying);
    buffer_init(&connection->flying, WRITE_LIMIT);
    if (connection->closing)
        return;
    if (status < 0)
        net_close(connection);
    else if (connection->waiting.length)
        write_on(connection);
    else
        on_drained(connection);
}

/* Give what waits to the loop. */
static void write_on(struct net_connection *connection)
{
    connection->flying = connection->waiting; /* which is empty */
    buffer_init(&connection->waiting, WRITE_LIMIT);
    uv_buf_t bytes = uv_buf_init(connection->flying.data, (unsigned)connection->flying.length);
    connection->write_due = true;
    if (uv_write(&connection->write, (uv_stream_t *)&connection->tcp, &bytes, 1, on_written) != 0) {
        connection->write_due = false;
        net_close(connection);
    }
}

/* What the socket takes at once; the rest is copied and written when it can be. */
static bool send_bytes(struct net_connection *connection, struct span bytes)
{
    if (!connection->write_due && !connection->waiting.length && bytes.length) {
        uv_buf_t piece = uv_buf_init((char *)(uintptr_t)bytes.data, (unsigned)bytes.length);
        int taken = uv_try_write((uv_stream_t *)&connection->tcp, &piece, 1);
        if (taken == UV_EAGAIN)
            taken = 0;
        if (taken < 0) {
            net_close(connection);
            return false;
        }
        bytes = span_make(bytes.data + taken, bytes.length - (size_t)taken);
    }
    if (!bytes.length)
        return true;
    if (!buffer_add_span(&connection->waiting, bytes)) {
        net_close(connection);
        return false;
    }
    if (!connection->write_due)
        write_on(connection);
    return !connection->closing;
}

/* Records of TLS: its own, or made of plain bytes. */
static bool send_records(struct net_connection *connection)
{
    bool sent = send_bytes(connection, tls_stream_output(connection->tls));
    tls_stream_sent(connection->tls);
    return sent;
}

bool net_write(struct net_connection *connection, struct span bytes)
{
    if (connection->closing || connection->end_due)
        return false;
    if (!connection->tls)
        return send_bytes(connection, bytes);
    if (tls_stream_write(connection->tls, bytes))
        return send_records(connection);
    net_close(connection);
    return false;
}

bool net_is_blocked(const struct net_connection *connection)
{
    return connection->write_due;
}

void net_want_write(struct net_connection *connection)
{
    connection->wants_write = true;
    if (!connection->write_due)
        net_schedule(connection);
}

void net_part(struct net_connection *connection)
{
    if (connection->closing || connection->end_due)
        return;
    if (connection->tls) {
        tls_stream_end(connection->tls);
        send_records(connection);
    }
    connection->mode = MODE_PARTING;
    connection->end_due = true;
    connection->paused = false;
    buffer_fini(&connection->ahead);
    buffer_init(&connection->ahead, AHEAD_LIMIT);
    request_forget(connection);
    net_set_deadline(connection, connection->net->options.idle_ms); /* to take what waits */
    if (!connection->write_due && !connection->closing)
        half_close(connection);
    output_set_reading(connection);
}

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
    while (at < length && may_take(connection))
        at += take(connection, bytes + at, length - at);
    return at;
}

/* What was not taken is kept until it may be. A client that sends far ahead of the answers is not
 * served beyond this one: it would be memory of ours that it uses. */
static void feed_and_keep(struct net_connection *connection, char *bytes, size_t length)
{
    size_t taken = connection->ahead.length ? 0 : feed(connection, bytes, length);
    if (connection->mode == MODE_ANSWER &&
        connection->ahead.length + (length - taken) > AHEAD_OF_ANSWER) {
        connection->keeps = false;
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

/* What TLS answers by itself is not much, unless the peer makes it and does not read. */
static bool send_own_records(struct net_connection *connection)
{
    size_t own = tls_stream_output(connection->tls).length;
    if (!send_records(connection))
        return false;
    connection->tls_owed = connection->write_due ? connection->tls_owed + own : 0;
    if (connection->tls_owed <= TLS_OWED_LIMIT)
        return true;
    net_close(connection);
    return false;
}

/* All plain bytes that TLS has, as far as they may be taken. */
static void pump_tls(struct net_connection *connection)
{
    struct net *net = connection->net;
    struct error error;
    int64_t got = 1;
    while (got > 0 && may_take(connection) && !connection->ahead.length) {
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

/* What a client that speaks HTTP on a port of TLS can read. */
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
    if (send_bytes(connection, span_of(plain_answer)) && !connection->write_due &&
        !connection->closing)
        half_close(connection);
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

void net_pause(struct net_connection *connection)
{
    connection->paused = true;
    output_set_reading(connection);
}

void net_resume(struct net_connection *connection)
{
    connection->paused = false;
    net_schedule(connection); /* what is ahead is not to be taken inside of this call */
}

/* ---- its turn ---- */

static void take_in(struct net_connection *connection)
{
    if (connection->ahead.length && may_take(connection))
        feed_ahead(connection);
    if (connection->tls_holds && may_take(connection))
        pump_tls(connection);
    output_set_reading(connection);
}

void connection_take_turn(struct net_connection *connection)
{
    const struct net *net = connection->net;
    if (connection->wants_write && !connection->write_due && !connection->end_due) {
        connection->wants_write = false;
        net->options.handler->writable(net->options.argument, connection);
    }
    if (!connection->closing)
        take_in(connection);
}
