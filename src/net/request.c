/* Connections that speak HTTP: heads, bodies, and one request after the other. */
#include "net/net_internal.h"

static void bad_request(struct net_connection *connection, const struct error *error)
{
    const struct net *net = connection->net;
    connection->keeps = false;
    net->options.handler->bad_request(net->options.argument, connection, error);
    net_part(connection); /* if the handler has not */
}

/* ---- heads ---- */

/* Room is made by those that take longest over their heads, not by refusing who comes. */
static void make_room(struct net *net, const struct request *asking)
{
    struct error error;
    while (net->heads_bytes > net->options.heads_bytes) {
        struct request *oldest = LINK_OWNER(struct request, in_heads, net->heads.next);
        if (oldest == asking)
            break;
        error_set(&error, ERROR_TOO_SLOW,
                  "the head of the request had not ended when others needed the room; send it "
                  "again");
        request_stop_waiting(
            oldest->connection); /* so that this ends, whatever becomes of the answer */
        bad_request(oldest->connection, &error);
    }
}

static struct request *begin(struct net_connection *connection)
{
    struct net *net = connection->net;
    struct request *request = memory_new(sizeof *request);
    if (!request)
        return NULL;
    request->connection = connection;
    buffer_init(&request->text, HTTP_HEAD_LIMIT);
    link_init(&request->in_heads);
    link_append(&net->heads, &request->in_heads);
    connection->request = request;
    net_set_deadline(connection, net->options.head_ms);
    return request;
}

static bool add_text(struct net *net, struct request *request, struct span bytes)
{
    size_t before = request->text.capacity;
    bool added = buffer_add_span(&request->text, bytes);
    net->heads_bytes += request->text.capacity - before;
    make_room(net, request);
    return added;
}

static void take_head(struct net_connection *connection, size_t length)
{
    struct net *net = connection->net;
    struct request *request = connection->request;
    struct error error;
    request_stop_waiting(connection);
    net_set_deadline(connection, 0);
    if (!http_head_read(request->text.data, length, &request->head, &error)) {
        bad_request(connection, &error);
        return;
    }
    request->is_read = true;
    request->body_left = request->head.body_length;
    connection->keeps = request->head.keep_alive;
    connection->mode = request->head.body_length ? MODE_BODY : MODE_ANSWER;
    net->options.handler->request(net->options.argument, connection);
}

/* Returns how many of the bytes belong to the head. */
static size_t collect_head(struct net_connection *connection, struct span bytes)
{
    struct net *net = connection->net;
    struct request *request = connection->request;
    struct error error;
    size_t before = request->text.length, room = HTTP_HEAD_LIMIT - before;
    size_t piece = bytes.length < room ? bytes.length : room;
    if (!add_text(net, request, span_make(bytes.data, piece))) {
        net_close(connection);
        return bytes.length;
    }
    size_t length = http_head_length(buffer_span(&request->text), &request->seen);
    if (length) {
        request->text.length = length;
        take_head(connection, length);
        return length - before;
    }
    if (request->text.length == HTTP_HEAD_LIMIT) {
        error_set(&error, ERROR_HEAD_TOO_LARGE,
                  "the head of the request has more than %d bytes; is the token that long?",
                  HTTP_HEAD_LIMIT);
        bad_request(connection, &error);
    }
    return piece;
}

/* A TLS handshake begins so. Its sender can read no answer of ours, but whoever looks after the
 * server can read the log. */
enum { TLS_HANDSHAKE = 0x16 };

static void refuse_tls(struct net_connection *connection)
{
    char peer[64];
    struct error error;
    net_peer(connection, peer, sizeof peer);
    error_set(&error, ERROR_INVALID_MESSAGE,
              "this is TLS, and this port speaks HTTP without it: use http:// or ws://, or set "
              "tls_certificate");
    log_warning("net", "tls-without-certificate", log_word("client", peer),
                log_text("error", error.message));
    bad_request(connection, &error);
}

/* An empty line before a request is passed over, as RFC 9112 wants. */
static size_t take_head_bytes(struct net_connection *connection, struct span bytes)
{
    bool is_first = !connection->request;
    if (!connection->request && (bytes.data[0] == '\r' || bytes.data[0] == '\n'))
        return 1;
    if (!connection->request && !begin(connection)) {
        net_close(connection);
        return bytes.length;
    }
    if (is_first && bytes.data[0] == TLS_HANDSHAKE) {
        refuse_tls(connection);
        return bytes.length;
    }
    return collect_head(connection, bytes);
}

void request_is_late(struct net_connection *connection)
{
    struct error error;
    error_set(&error, ERROR_TOO_SLOW, "the head of the request did not end in time");
    bad_request(connection, &error);
}

/* ---- bodies ---- */

static void end_body(struct net_connection *connection)
{
    const struct net *net = connection->net;
    connection->mode = MODE_ANSWER;
    net->options.handler->body_end(net->options.argument, connection);
}

static void give_body(struct net_connection *connection, struct span bytes)
{
    const struct net *net = connection->net;
    if (bytes.length)
        net->options.handler->body(net->options.argument, connection, bytes);
}

static size_t take_counted(struct net_connection *connection, struct span bytes)
{
    struct request *request = connection->request;
    if ((uint64_t)request->body_left < bytes.length)
        bytes.length = (size_t)request->body_left;
    request->body_left -= (int64_t)bytes.length;
    bool last = !request->body_left;
    give_body(connection, bytes);
    if (last && connection->mode == MODE_BODY)
        end_body(connection);
    return bytes.length;
}

static size_t take_chunks(struct net_connection *connection, struct span bytes)
{
    struct request *request = connection->request;
    struct span data;
    struct error error;
    int64_t taken = http_chunks_take(&request->chunks, bytes, &data, &error);
    if (taken < 0) {
        bad_request(connection, &error);
        return bytes.length;
    }
    bool last = request->chunks.state == CHUNK_END;
    give_body(connection, data);
    if (last && connection->mode == MODE_BODY)
        end_body(connection);
    return (size_t)taken;
}

size_t request_take(struct net_connection *connection, struct span bytes)
{
    if (connection->mode == MODE_HEAD)
        return take_head_bytes(connection, bytes);
    if (connection->request->body_left == HTTP_CHUNKED)
        return take_chunks(connection, bytes);
    return take_counted(connection, bytes);
}

/* ---- answers ---- */

struct span net_header(const struct net_connection *connection, const char *name)
{
    const struct http_head *head = net_state(connection).request;
    return head ? http_head_value(head, name) : span_make(NULL, 0);
}

struct span net_header_alone(const struct net_connection *connection, const char *name)
{
    const struct http_head *head = net_state(connection).request;
    size_t lines = 0;
    for (size_t i = 0; head && i < head->count; i++)
        lines += span_equal(head->headers[i].name, span_of(name));
    return lines == 1 ? net_header(connection, name) : span_make(NULL, 0);
}

void net_stop_keeping(struct net_connection *connection)
{
    connection->keeps = false;
}

static void go_on(struct net_connection *connection)
{
    request_forget(connection);
    connection->mode = MODE_HEAD;
    net_set_deadline(connection, connection->net->options.idle_ms);
    net_schedule(connection); /* what was sent meanwhile is taken, and reading goes on */
}

bool net_expect_client(struct net_connection *connection)
{
    bool was_expected = connection->must_stay;
    connection->must_stay = true;
    if (connection->ended)
        net_close(connection);
    else if (!was_expected)
        net_schedule(connection); /* it is read from now on, where it was not */
    return !connection->closing;
}

void net_stream(struct net_connection *connection)
{
    if (connection->closing || connection->end_due)
        return;
    INVARIANT(connection->mode == MODE_ANSWER);
    connection->mode = MODE_STREAM;
    connection->is_stream = true;
    connection->keeps = false;
    buffer_fini(&connection->ahead);
    buffer_init(&connection->ahead, AHEAD_LIMIT);
    request_forget(connection);
    net_set_deadline(connection, 0);
    output_set_reading(connection);
}

void net_request_done(struct net_connection *connection)
{
    if (connection->closing || connection->end_due)
        return;
    if (net_state(connection).keeps)
        go_on(connection);
    else
        net_part(connection);
}
