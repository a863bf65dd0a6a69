#include "server/exchange.h"

#include "server/cors.h"
#include "server/server_internal.h"
#include "wire/wire.h"

#include <libwebsockets.h>
#include <sys/socket.h>

enum {
    REPLY_LIMIT = 16 * 1024 * 1024,
    PARTING_SECONDS = 2,
    BREAKING_OFF_MS = 5000,
    WRITE_BYTES = 64 * 1024, /* in one go; of these the library keeps what the socket refuses */
    WRITES_PER_TURN = 4,
    READING_SECONDS = 60 /* within which a client must take something of its answer */
};

/* ---- the bytes of a response ---- */

static const char *reason_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Unknown";
}

/* `cors`: lines from cors_print. */
static bool print_head(struct buffer *out, const struct exchange_content *content, const char *cors)
{
    buffer_printf(out, "HTTP/1.1 %d %s\r\n", content->status, reason_phrase(content->status));
    if (content->type)
        buffer_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", content->type,
                      content->body.length);
    buffer_add_string(out, content->headers ? content->headers : "");
    buffer_add_string(out, cors);
    return buffer_add_string(out, "\r\n");
}

static bool print(struct buffer *out, const struct exchange_content *content, const char *cors,
                  bool with_body)
{
    return print_head(out, content, cors) && (!with_body || buffer_add_span(out, content->body));
}

static bool is_head(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
}

/* What an error is as HTTP. The texts are in the buffers, which the caller owns. */
static bool describe_error(const struct error *error, const char *more, struct buffer *headers,
                           struct buffer *body, struct exchange_content *content)
{
    int retry_after = error_retry_after(error);
    buffer_printf(headers, "X-Error-Code: %s\r\nCache-Control: no-store\r\n%s",
                  error_wire_code(error->code), more ? more : "");
    if (error_http_status(error->code) == 401)
        buffer_printf(headers, "WWW-Authenticate: Bearer realm=\"stele\"%s\r\n",
                      error->code == ERROR_TOKEN_MISSING ? "" : ", error=\"invalid_token\"");
    if (retry_after >= 0)
        buffer_printf(headers, "Retry-After: %d\r\n", retry_after);
    wire_error_body(body, error, retry_after);
    buffer_string(headers);
    *content = (struct exchange_content){.status = error_http_status(error->code),
                                         .type = "application/json; charset=utf-8",
                                         .headers = headers->data,
                                         .body = buffer_span(body)};
    return !headers->failed && !body->failed;
}

static bool print_error(struct buffer *out, const struct error *error, const char *more,
                        const char *cors, bool with_body)
{
    struct exchange_content content;
    struct buffer headers, body;
    buffer_init(&headers, 4096);
    buffer_init(&body, 16 * 1024);
    bool done = describe_error(error, more, &headers, &body, &content) &&
                print(out, &content, cors, with_body);
    buffer_fini(&headers);
    buffer_fini(&body);
    return done;
}

/* ---- on the spot ---- */

/* LWS_WRITE_HTTP adds nothing on an HTTP/1 connection either. */
static bool write_all(struct lws *wsi, const struct buffer *bytes)
{
    return lws_write(wsi, (unsigned char *)bytes->data, bytes->length, LWS_WRITE_HTTP) >= 0;
}

static int finish(struct lws *wsi, struct buffer *bytes, bool printed)
{
    bool done = printed && write_all(wsi, bytes);
    buffer_fini(bytes);
    return done && lws_http_transaction_completed(wsi) == 0 ? 0 : -1;
}

int exchange_reply(struct lws *wsi, const struct exchange_content *content)
{
    struct buffer bytes;
    char cors[CORS_LINES];
    buffer_init(&bytes, REPLY_LIMIT);
    cors_print(wsi, cors);
    return finish(wsi, &bytes, print(&bytes, content, cors, !is_head(wsi)));
}

int exchange_reply_error(struct lws *wsi, const struct error *error, const char *headers)
{
    struct buffer bytes;
    char cors[CORS_LINES];
    buffer_init(&bytes, REPLY_LIMIT);
    cors_print(wsi, cors);
    return finish(wsi, &bytes, print_error(&bytes, error, headers, cors, !is_head(wsi)));
}

int exchange_reply_and_part(struct lws *wsi, const struct error *error, const char *headers)
{
    char more[128], cors[CORS_LINES];
    struct buffer bytes;
    buffer_init(&bytes, REPLY_LIMIT);
    cors_print(wsi, cors);
    snprintf(more, sizeof more, "Connection: close\r\n%s", headers ? headers : "");
    bool done = print_error(&bytes, error, more, cors, !is_head(wsi)) && write_all(wsi, &bytes);
    buffer_fini(&bytes);
    /* Closed with bytes unread, the socket would be reset, and the answer lost with it. */
    shutdown(lws_get_socket_fd(wsi), SHUT_WR);
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, PARTING_SECONDS);
    return done ? 0 : -1;
}

/* With a body still to come the connection cannot go on: see http_ingest.c. */
int exchange_refuse(struct lws *wsi, const struct error *error, const char *headers)
{
    bool body = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
                lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0 ||
                lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
    return body ? exchange_reply_and_part(wsi, error, headers)
                : exchange_reply_error(wsi, error, headers);
}

int exchange_refuse_upgrade(struct lws *wsi, const struct error *error)
{
    struct buffer bytes;
    buffer_init(&bytes, REPLY_LIMIT);
    bool done =
        print_error(&bytes, error, "Connection: close\r\n", "", true) && write_all(wsi, &bytes);
    buffer_fini(&bytes);
    /* For a positive value libwebsockets completes the transaction itself. */
    return done ? 1 : -1;
}

/* ---- later ---- */

static int64_t now_of(const struct exchange *exchange)
{
    return (int64_t)uv_now(&exchange->server->loop);
}

/* The rest of its body is late, or that of one that was refused already. */
static void on_late(struct intake *intake)
{
    struct exchange *exchange = LINK_OWNER(struct exchange, intake, intake);
    struct error error;
    error_set(&error, ERROR_TOO_SLOW,
              "the body came more slowly than %d bytes a second for %lld seconds",
              INCOMING_BYTES_PER_SECOND, (long long)intake->all->patience_ms / 1000);
    if (exchange->refused)
        lws_set_timeout(exchange->wsi, PENDING_TIMEOUT_HTTP_CONTENT, LWS_TO_KILL_ASYNC);
    else
        exchange_break_off(exchange, &error);
}

struct exchange *exchange_new(struct server *server, struct lws *wsi, size_t limit,
                              struct visitor *visitor)
{
    struct exchange *exchange = memory_new(sizeof *exchange);
    if (!exchange) {
        visitor_fini(visitor);
        return NULL;
    }
    char cors[CORS_LINES];
    visitor_move(&exchange->visitor, visitor);
    exchange->server = server;
    exchange->wsi = wsi;
    exchange->head = is_head(wsi);
    cors_print(wsi, cors);
    exchange->cors = *cors ? memory_copy_string(cors, strlen(cors)) : NULL;
    intake_init(&exchange->intake, &server->incoming, limit, on_late);
    buffer_init(&exchange->reply, REPLY_LIMIT);
    buffer_init(&exchange->large, 0);
    server->exchanges++;
    return exchange;
}

static const char *lines_of(const struct exchange *exchange)
{
    return exchange->cors ? exchange->cors : "";
}

static void exchange_free(struct exchange *exchange)
{
    struct server *server = exchange->server;
    intake_end(&exchange->intake);
    buffer_fini(&exchange->reply);
    server->large_bytes -= exchange->large.capacity;
    buffer_fini(&exchange->large);
    visitor_fini(&exchange->visitor);
    memory_free(exchange->key);
    memory_free(exchange->cors);
    memory_free(exchange);
    server->exchanges--;
    server_advance(server);
}

void exchange_break_off(struct exchange *exchange, const struct error *error)
{
    struct buffer bytes;
    INVARIANT(exchange->wsi);
    buffer_init(&bytes, REPLY_LIMIT);
    exchange->refused = true;
    intake_end(&exchange->intake);
    if (print_error(&bytes, error, "Connection: close\r\n", lines_of(exchange), true))
        write_all(exchange->wsi, &bytes);
    buffer_fini(&bytes);
    shutdown(lws_get_socket_fd(exchange->wsi), SHUT_WR);
    intake_wait(&exchange->intake, now_of(exchange), BREAKING_OFF_MS);
}

void exchange_await(struct exchange *exchange)
{
    INVARIANT(exchange->wsi && !exchange->awaited);
    exchange->awaited = true;
    lws_rx_flow_control(exchange->wsi, 0);
    lws_set_timeout(exchange->wsi, NO_PENDING_TIMEOUT, 0);
}

static void answer(struct exchange *exchange)
{
    INVARIANT(exchange->awaited);
    exchange->awaited = false;
    if (!exchange->wsi) {
        exchange_free(exchange);
        return;
    }
    /* First this: a connection that is not read from is not told about writability either. */
    lws_rx_flow_control(exchange->wsi, 1);
    lws_callback_on_writable(exchange->wsi);
}

void exchange_answer(struct exchange *exchange, const struct exchange_content *content)
{
    if (exchange->wsi)
        print(&exchange->reply, content, lines_of(exchange), !exchange->head);
    answer(exchange);
}

void exchange_answer_large(struct exchange *exchange, struct exchange_content *content,
                           struct buffer *body)
{
    content->body = buffer_span(body);
    if (exchange->wsi)
        print_head(&exchange->reply, content, lines_of(exchange));
    if (exchange->wsi && !exchange->head) {
        exchange->large = *body;
        buffer_init(body, 0);
        exchange->server->large_bytes += exchange->large.capacity;
    }
    answer(exchange);
}

void exchange_answer_error(struct exchange *exchange, const struct error *error)
{
    if (error_http_status(error->code) == 500)
        counter_add(&exchange->server->counters.errors, 1);
    if (exchange->wsi)
        print_error(&exchange->reply, error, NULL, lines_of(exchange), !exchange->head);
    answer(exchange);
}

/* What is to be written next: of the reply, then of the large body. */
static struct span next_piece(const struct exchange *exchange)
{
    size_t head = exchange->reply.length, at = exchange->written;
    struct span all = buffer_span(at < head ? &exchange->reply : &exchange->large);
    size_t from = at < head ? at : at - head, left = all.length - from;
    return span_make(all.data + from, left < WRITE_BYTES ? left : WRITE_BYTES);
}

/* False when it cannot be. What the socket did not take of a piece, the library keeps, and says
 * that there is room only when that is out. */
static bool write_pieces(struct exchange *exchange)
{
    struct lws *wsi = exchange->wsi;
    struct span piece = next_piece(exchange);
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, READING_SECONDS);
    for (int i = 0; piece.length && i < WRITES_PER_TURN; i++) {
        if (lws_write(wsi, (unsigned char *)(uintptr_t)piece.data, piece.length, LWS_WRITE_HTTP) <
            0)
            return false;
        exchange->written += piece.length;
        piece = next_piece(exchange);
        if (lws_partial_buffered(wsi))
            break;
    }
    if (piece.length)
        lws_callback_on_writable(wsi);
    return true;
}

int exchange_writable(struct exchange **slot)
{
    struct exchange *exchange = *slot;
    struct lws *wsi = exchange->wsi;
    INVARIANT(wsi);
    if (!exchange->reply.length && !exchange->reply.failed)
        return 0;
    bool done = !exchange->reply.failed && write_pieces(exchange);
    if (done && next_piece(exchange).length)
        return 0;
    /* Before the transaction is completed, which frees the very place of the slot. */
    *slot = NULL;
    exchange->wsi = NULL;
    exchange_free(exchange);
    return done && lws_http_transaction_completed(wsi) == 0 ? 0 : -1;
}

void exchange_gone(struct exchange *exchange)
{
    INVARIANT(exchange->wsi);
    exchange->wsi = NULL;
    intake_end(&exchange->intake); /* nothing more is waited for from the client */
    if (!exchange->awaited)
        exchange_free(exchange);
}
