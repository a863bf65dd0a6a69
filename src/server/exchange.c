#include "server/exchange.h"

#include "server/cors.h"
#include "server/server_internal.h"
#include "wire/wire.h"

enum {
    MOST_LARGE_BYTES = 64 << 20, /* of answers that clients have not taken yet */
    REPLY_LIMIT = 16 * 1024 * 1024,
    WRITE_BYTES = 64 * 1024, /* in one go; of these net keeps what the socket does not take */
    WRITES_PER_TURN = 4,
    READING_MS = 60 * 1000 /* within which a client must take something of its answer */
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
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Unknown";
}

/* What the client is to know of the connection: HTTP/1.1 goes on and 1.0 ends unless told. */
static const char *connection_line(const struct net_connection *connection)
{
    const struct http_head *head = net_request(connection);
    if (!net_keeps(connection))
        return "Connection: close\r\n";
    return head && head->minor == 0 ? "Connection: keep-alive\r\n" : "";
}

/* What a browser is to make of an answer: nothing but what it says it is, and no page of another
 * site may embed it. */
static const char policies[] = "X-Content-Type-Options: nosniff\r\n"
                               "Cross-Origin-Resource-Policy: same-origin\r\n";

/* `cors`: lines from cors_print. */
static bool print_head(struct buffer *out, const struct net_connection *connection,
                       const struct exchange_content *content, const char *cors)
{
    buffer_printf(out, "HTTP/1.1 %d %s\r\n", content->status, reason_phrase(content->status));
    if (content->type)
        buffer_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", content->type,
                      content->body.length);
    buffer_add_string(out, content->headers ? content->headers : "");
    buffer_add_string(out, policies);
    buffer_add_string(out, connection_line(connection));
    buffer_add_string(out, cors);
    return buffer_add_string(out, "\r\n");
}

static bool is_head(const struct net_connection *connection)
{
    const struct http_head *head = net_request(connection);
    return head && head->method == HTTP_HEAD;
}

static bool print(struct buffer *out, const struct net_connection *connection,
                  const struct exchange_content *content, const char *cors)
{
    return print_head(out, connection, content, cors) &&
           (is_head(connection) || buffer_add_span(out, content->body));
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

static bool print_error(struct buffer *out, const struct net_connection *connection,
                        const struct error *error, const char *more, const char *cors)
{
    struct exchange_content content;
    struct buffer headers, body;
    buffer_init(&headers, 4096);
    buffer_init(&body, 16 * 1024);
    bool done = describe_error(error, more, &headers, &body, &content) &&
                print(out, connection, &content, cors);
    buffer_fini(&headers);
    buffer_fini(&body);
    return done;
}

/* ---- on the spot ---- */

static void finish(struct net_connection *connection, struct buffer *bytes, bool printed)
{
    if (printed)
        net_write(connection, buffer_span(bytes));
    else
        net_close(connection);
    buffer_fini(bytes);
    net_request_done(connection);
}

void exchange_reply(struct net_connection *connection, const struct exchange_content *content)
{
    struct buffer bytes;
    char cors[CORS_LINES];
    buffer_init(&bytes, REPLY_LIMIT);
    cors_print(connection, cors);
    finish(connection, &bytes, print(&bytes, connection, content, cors));
}

void exchange_reply_error(struct net_connection *connection, const struct error *error,
                          const char *headers)
{
    struct buffer bytes;
    char cors[CORS_LINES];
    buffer_init(&bytes, REPLY_LIMIT);
    cors_print(connection, cors);
    finish(connection, &bytes, print_error(&bytes, connection, error, headers, cors));
}

/* ---- later ---- */

/* The rest of its body is late. */
static void on_late(struct intake *intake)
{
    struct exchange *exchange = LINK_OWNER(struct exchange, intake, intake);
    struct error error;
    error_set(&error, ERROR_TOO_SLOW,
              "the body came more slowly than %d bytes a second for %lld seconds",
              INCOMING_BYTES_PER_SECOND, (long long)intake->all->patience_ms / 1000);
    exchange_break_off(exchange, &error);
}

static void on_crowded(struct intake *intake, const struct error *error)
{
    exchange_break_off(LINK_OWNER(struct exchange, intake, intake), error);
}

struct exchange *exchange_new(struct server *server, struct net_connection *connection,
                              size_t limit, struct principal *principal)
{
    struct exchange *exchange = memory_new(sizeof *exchange);
    if (!exchange) {
        principal_fini(principal);
        return NULL;
    }
    char cors[CORS_LINES];
    principal_move(&exchange->principal, principal);
    exchange->server = server;
    exchange->connection = connection;
    exchange->head = is_head(connection);
    cors_print(connection, cors);
    exchange->cors = *cors ? memory_copy_string(cors, strlen(cors)) : NULL;
    exchange->owner = shares_owner_of(&exchange->principal);
    intake_init(&exchange->intake, &server->incoming, limit, on_late);
    intake_own(&exchange->intake, exchange->owner, on_crowded);
    buffer_init(&exchange->reply, REPLY_LIMIT);
    buffer_init(&exchange->large, 0);
    net_set_data(connection, exchange);
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
    share_end(&exchange->share, &server->answers);
    INVARIANT(!exchange->reading.owner);
    buffer_fini(&exchange->large);
    principal_fini(&exchange->principal);
    memory_free(exchange->cors);
    memory_free(exchange);
    server->exchanges--;
    server_advance(server);
}

/* The connection goes on without it. */
static void let_go(struct exchange *exchange)
{
    net_set_data(exchange->connection, NULL);
    exchange->connection = NULL;
    exchange_free(exchange);
}

void server_note_refused(struct server *server, const struct principal *principal, const char *kind,
                         const struct error *error)
{
    const struct audit_client client = {.address = *principal->address ? principal->address : NULL,
                                        .kind = kind,
                                        .identity = principal->identity};
    audit_request_refused(access_audit(server->access), &client, error, clock_monotonic_us());
}

void exchange_note_refused(struct exchange *exchange, const struct error *error)
{
    if (exchange->permission == PERMISSION_FEED)
        server_note_refused(exchange->server, &exchange->principal, "http", error);
}

void exchange_break_off(struct exchange *exchange, const struct error *error)
{
    INVARIANT(exchange->connection);
    struct net_connection *connection = exchange->connection;
    exchange_note_refused(exchange, error);
    let_go(exchange);
    exchange_reply_error(connection, error, NULL);
}

void exchange_await(struct exchange *exchange)
{
    INVARIANT(exchange->connection && !exchange->awaited);
    exchange->awaited = true;
    net_set_deadline(exchange->connection, 0);
}

static void answer(struct exchange *exchange)
{
    INVARIANT(exchange->awaited);
    exchange->awaited = false;
    if (exchange->connection)
        net_want_write(exchange->connection);
    else
        exchange_free(exchange);
}

void exchange_answer(struct exchange *exchange, const struct exchange_content *content)
{
    if (exchange->connection)
        print(&exchange->reply, exchange->connection, content, lines_of(exchange));
    answer(exchange);
}

/* Others need the memory of its answer. What is sent of it cannot be taken back, so its client sees
 * the end of the connection before the end of the body; if nothing is, an error. */
static void give_way(struct exchange *exchange)
{
    struct server *server = exchange->server;
    struct net_connection *connection = exchange->connection;
    struct error error;
    error_set(
        &error, ERROR_QUEUE_FULL,
        "others need the memory of answers that are not read yet, and this one, of %zu bytes, "
        "is the largest; read it faster, or ask for less (take)",
        exchange->large.length);
    counter_add(&server->counters.answers_broken_off, 1);
    log_warning("server", "answer-broken-off", "client=%s bytes=%zu sent=%zu reason=\"%s\"",
                exchange->principal.address, exchange->large.length, exchange->written,
                error.message);
    share_end(&exchange->share, &server->answers);
    buffer_fini(&exchange->large);
    buffer_init(&exchange->large, 0);
    buffer_clear(&exchange->reply);
    if (!exchange->written)
        print_error(&exchange->reply, connection, &error, NULL, lines_of(exchange));
    else
        net_close(connection);
}

/* Where all answers together are too much, the largest that are still being taken give way. */
static bool make_room(struct exchange *exchange, struct error *error)
{
    struct shares *answers = &exchange->server->answers;
    if (!share_set(&exchange->share, answers, exchange->owner, exchange->large.capacity))
        return error_set(error, ERROR_MEMORY, "out of memory for an answer");
    while (answers->total > MOST_LARGE_BYTES && answers->total > exchange->share.amount) {
        struct share *share = shares_victim(answers, &exchange->share);
        if (!share)
            return error_set(
                error, ERROR_QUEUE_FULL,
                "%zu bytes of answers wait for their readers, most of them yours; read "
                "them, or ask for less (take)",
                answers->total - exchange->share.amount);
        give_way(LINK_OWNER(struct exchange, share, share));
    }
    return true;
}

void exchange_answer_large(struct exchange *exchange, struct exchange_content *content,
                           struct buffer *body)
{
    struct error error;
    content->body = buffer_span(body);
    if (exchange->connection)
        print_head(&exchange->reply, exchange->connection, content, lines_of(exchange));
    if (exchange->connection && !exchange->head) {
        exchange->large = *body;
        buffer_init(body, 0);
        if (!make_room(exchange, &error)) {
            share_end(&exchange->share, &exchange->server->answers);
            buffer_fini(&exchange->large);
            buffer_init(&exchange->large, 0);
            buffer_clear(&exchange->reply);
            print_error(&exchange->reply, exchange->connection, &error, NULL, lines_of(exchange));
        }
    }
    answer(exchange);
}

bool exchange_begin_read(struct exchange *exchange)
{
    return share_set(&exchange->reading, &exchange->server->reads, exchange->owner, 1);
}

void exchange_end_read(struct exchange *exchange)
{
    share_end(&exchange->reading, &exchange->server->reads);
}

void exchange_answer_error(struct exchange *exchange, const struct error *error)
{
    if (error_http_status(error->code) == 500)
        counter_add(&exchange->server->counters.errors, 1);
    if (exchange->connection)
        print_error(&exchange->reply, exchange->connection, error, NULL, lines_of(exchange));
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

/* Returns whether all is written; more is wanted where it is not. */
static bool write_pieces(struct exchange *exchange)
{
    struct net_connection *connection = exchange->connection;
    struct span piece = next_piece(exchange);
    net_set_deadline(connection, READING_MS);
    for (int i = 0; piece.length && i < WRITES_PER_TURN && !net_is_blocked(connection); i++) {
        if (!net_write(connection, piece))
            return false;
        exchange->written += piece.length;
        piece = next_piece(exchange);
    }
    if (piece.length)
        net_want_write(connection);
    return !piece.length;
}

void exchange_writable(struct exchange *exchange)
{
    struct net_connection *connection = exchange->connection;
    INVARIANT(connection);
    if (exchange->reply.failed) {
        net_close(connection);
    } else if (exchange->reply.length && write_pieces(exchange)) {
        let_go(exchange);
        net_request_done(connection);
    }
}

void exchange_gone(struct exchange *exchange)
{
    INVARIANT(exchange->connection);
    exchange->connection = NULL;
    intake_end(&exchange->intake); /* nothing more is waited for from the client */
    if (!exchange->awaited)
        exchange_free(exchange);
}
