#include "http/request.h"
#include "access/access.h"

#include "http/http_internal.h"
#include "http/wait.h"
#include "wire/wire.h"

enum { CORS_LINES = 1024 };

/* CORS: pages that may read answers by HTTP. Only those of allowed_origins; if that is empty, none,
 * because pages use a WebSocket. The lines for the header of an answer, each with its CRLF; "" for
 * none. */
static void print_cors(struct net_connection *connection, char lines[CORS_LINES])
{
    const struct access *access = frontend_of(connection)->access;
    char room[ACCESS_ORIGIN_BYTES];
    bool allowed = access_allowed_page(access, connection, room);
    *lines = '\0';
    if (!allowed && !access_names_origins(access))
        return;
    /* Also where it is not allowed, the answer would be another one for another page. */
    snprintf(lines, CORS_LINES, "%s%s%sVary: Origin\r\n",
             allowed ? "Access-Control-Allow-Origin: " : "", allowed ? room : "",
             allowed ? "\r\nAccess-Control-Expose-Headers: ETag, Retry-After, X-Error-Code\r\n"
                     : "");
}

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

/* `cors`: lines from print_cors. */
static bool print_head(struct buffer *out, const struct net_connection *connection,
                       const struct http_content *content, const char *cors)
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
                  const struct http_content *content, const char *cors)
{
    return print_head(out, connection, content, cors) &&
           (is_head(connection) || buffer_add_span(out, content->body));
}

/* What an error is as HTTP. The texts are in the buffers, which the caller owns. */
static bool describe_error(const struct error *error, const char *more, struct buffer *headers,
                           struct buffer *body, struct http_content *content)
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
    *content = (struct http_content){.status = error_http_status(error->code),
                                     .type = "application/json; charset=utf-8",
                                     .headers = headers->data,
                                     .body = buffer_span(body)};
    return !headers->failed && !body->failed;
}

static bool print_error(struct buffer *out, const struct net_connection *connection,
                        const struct error *error, const char *more, const char *cors)
{
    struct http_content content;
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

void http_respond(struct net_connection *connection, const struct http_content *content)
{
    struct buffer bytes;
    char cors[CORS_LINES];
    buffer_init(&bytes, REPLY_LIMIT);
    print_cors(connection, cors);
    finish(connection, &bytes, print(&bytes, connection, content, cors));
}

void http_respond_error(struct net_connection *connection, const struct error *error,
                        const char *headers)
{
    struct buffer bytes;
    char cors[CORS_LINES];
    buffer_init(&bytes, REPLY_LIMIT);
    print_cors(connection, cors);
    finish(connection, &bytes, print_error(&bytes, connection, error, headers, cors));
}

void http_respond_stream(struct net_connection *connection, const char *type, struct span line)
{
    struct buffer bytes;
    char cors[CORS_LINES];
    buffer_init(&bytes, REPLY_LIMIT);
    print_cors(connection, cors);
    /* The last line is for proxies that would gather an answer before they pass it on. */
    buffer_printf(&bytes,
                  "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
                  "X-Accel-Buffering: no\r\n%sConnection: close\r\n%s\r\n",
                  type, policies, cors);
    bool is_body = !is_head(connection);
    net_stop_keeping(connection);
    if (is_body)
        buffer_add_span(&bytes, line);
    if (bytes.failed)
        net_close(connection);
    else
        net_write(connection, buffer_span(&bytes));
    if (is_body)
        net_stream(connection);
    else
        net_request_done(connection);
    buffer_fini(&bytes);
}

/* ---- later ---- */

/* The rest of its body is late. */
static void on_late(struct intake *intake)
{
    struct http_request *request = LINK_OWNER(struct http_request, intake, intake);
    struct error error;
    error_set(&error, ERROR_TOO_SLOW,
              "the body came more slowly than %d bytes a second for %lld seconds",
              INCOMING_BYTES_PER_SECOND, (long long)intake->all->patience_ms / 1000);
    http_request_refuse(request, &error);
}

static void on_crowded(struct intake *intake, const struct error *error)
{
    http_request_refuse(LINK_OWNER(struct http_request, intake, intake), error);
}

struct http_request *http_request_new(struct http *http, struct net_connection *connection,
                                      size_t limit, struct principal *principal)
{
    struct http_request *request = memory_new(sizeof *request);
    if (!request) {
        principal_fini(principal);
        return NULL;
    }
    char cors[CORS_LINES];
    principal_move(&request->principal, principal);
    request->http = http;
    request->connection = connection;
    request->head = is_head(connection);
    print_cors(connection, cors);
    request->cors = *cors ? memory_copy_string(cors, strlen(cors)) : NULL;
    request->owner = shares_owner_of(&request->principal);
    intake_init(&request->intake, &http->frontend->incoming, limit, on_late);
    intake_own(&request->intake, request->owner, on_crowded);
    buffer_init(&request->reply, REPLY_LIMIT);
    buffer_init(&request->large, 0);
    net_set_data(connection, request);
    http->requests++;
    return request;
}

static const char *lines_of(const struct http_request *request)
{
    return request->cors ? request->cors : "";
}

static void http_request_free(struct http_request *request)
{
    struct http *http = request->http;
    intake_end(&request->intake);
    http_wait_free(request);
    buffer_fini(&request->reply);
    share_end(&request->share, &http->answers);
    INVARIANT(!request->reading.owner && !request->writing.owner);
    buffer_fini(&request->large);
    principal_fini(&request->principal);
    memory_free(request->cors);
    memory_free(request);
    http->requests--;
    http->frontend->ended(http->frontend->argument);
}

/* The connection goes on without it. */
static void let_go(struct http_request *request)
{
    net_set_data(request->connection, NULL);
    request->connection = NULL;
    http_request_free(request);
}

void http_request_note_refused(struct http_request *request, const struct error *error)
{
    if (request->permission == PERMISSION_FEED)
        access_note_refused(request->http->frontend->access, &request->principal, "http", error);
}

void http_request_refuse(struct http_request *request, const struct error *error)
{
    INVARIANT(request->connection);
    struct net_connection *connection = request->connection;
    http_request_note_refused(request, error);
    let_go(request);
    http_respond_error(connection, error, NULL);
}

void http_request_await(struct http_request *request)
{
    INVARIANT(request->connection && !request->awaited);
    request->awaited = true;
    net_set_deadline(request->connection, 0);
}

static void answer(struct http_request *request)
{
    INVARIANT(request->awaited);
    request->awaited = false;
    if (request->connection)
        net_want_write(request->connection);
    else
        http_request_free(request);
}

void http_request_respond(struct http_request *request, const struct http_content *content)
{
    if (request->connection)
        print(&request->reply, request->connection, content, lines_of(request));
    answer(request);
}

/* Others need the memory of its answer. What is sent of it cannot be taken back, so its client sees
 * the end of the connection before the end of the body; if nothing is, an error. */
static void give_way(struct http_request *request)
{
    struct http *http = request->http;
    struct net_connection *connection = request->connection;
    struct error error;
    error_set(
        &error, ERROR_QUEUE_FULL,
        "others need the memory of answers that are not read yet, and this one, of %zu bytes, "
        "is the largest; read it faster, or ask for less (take)",
        request->large.length);
    counter_add(&http->frontend->counters.answers_broken_off, 1);
    log_warning("server", "answer-broken-off", log_word("client", request->principal.address),
                log_number("bytes", request->large.length), log_number("sent", request->written),
                log_text("reason", error.message));
    share_end(&request->share, &http->answers);
    buffer_fini(&request->large);
    buffer_init(&request->large, 0);
    buffer_clear(&request->reply);
    if (!request->written)
        print_error(&request->reply, connection, &error, NULL, lines_of(request));
    else
        net_close(connection);
}

/* Where all answers together are too much, the largest that are still being taken give way. */
static bool make_room(struct http_request *request, struct error *error)
{
    struct shares *answers = &request->http->answers;
    if (!share_set(&request->share, answers, request->owner, request->large.capacity))
        return error_set(error, ERROR_MEMORY, "out of memory for an answer");
    while (answers->total > MOST_LARGE_BYTES && answers->total > request->share.amount) {
        struct share *share = shares_victim(answers, &request->share);
        if (!share)
            return error_set(
                error, ERROR_QUEUE_FULL,
                "%zu bytes of answers wait for their readers, most of them yours; read "
                "them, or ask for less (take)",
                answers->total - request->share.amount);
        give_way(LINK_OWNER(struct http_request, share, share));
    }
    return true;
}

void http_request_respond_large(struct http_request *request, struct http_content *content,
                                struct buffer *body)
{
    struct error error;
    content->body = buffer_span(body);
    if (request->connection)
        print_head(&request->reply, request->connection, content, lines_of(request));
    if (request->connection && !request->head) {
        request->large = *body;
        buffer_init(body, 0);
        if (!make_room(request, &error)) {
            share_end(&request->share, &request->http->answers);
            buffer_fini(&request->large);
            buffer_init(&request->large, 0);
            buffer_clear(&request->reply);
            print_error(&request->reply, request->connection, &error, NULL, lines_of(request));
        }
    }
    answer(request);
}

bool http_request_begin_read(struct http_request *request)
{
    return share_set(&request->reading, &request->http->reads, request->owner, 1);
}

void http_request_end_read(struct http_request *request)
{
    share_end(&request->reading, &request->http->reads);
}

void http_request_respond_error(struct http_request *request, const struct error *error)
{
    if (error_http_status(error->code) == 500)
        counter_add(&request->http->frontend->counters.errors, 1);
    if (request->connection)
        print_error(&request->reply, request->connection, error, NULL, lines_of(request));
    answer(request);
}

/* What is to be written next: of the reply, then of the large body. */
static struct span next_piece(const struct http_request *request)
{
    size_t head = request->reply.length, at = request->written;
    struct span all = buffer_span(at < head ? &request->reply : &request->large);
    size_t from = at < head ? at : at - head, left = all.length - from;
    return span_make(all.data + from, left < WRITE_BYTES ? left : WRITE_BYTES);
}

/* Returns whether all is written; more is wanted where it is not. */
static bool write_pieces(struct http_request *request)
{
    struct net_connection *connection = request->connection;
    struct span piece = next_piece(request);
    net_set_deadline(connection, READING_MS);
    for (int i = 0; piece.length && i < WRITES_PER_TURN && !net_is_blocked(connection); i++) {
        if (!net_write(connection, piece))
            return false;
        request->written += piece.length;
        piece = next_piece(request);
    }
    if (piece.length)
        net_want_write(connection);
    return !piece.length;
}

void http_request_writable(struct http_request *request)
{
    struct net_connection *connection = request->connection;
    INVARIANT(connection);
    if (http_wait_watches(request)) {
        http_wait_look(request);
    } else if (request->reply.failed) {
        net_close(connection);
    } else if (request->reply.length && write_pieces(request)) {
        let_go(request);
        net_request_done(connection);
    }
}

void http_request_gone(struct http_request *request)
{
    INVARIANT(request->connection);
    request->connection = NULL;
    intake_end(&request->intake); /* nothing more is waited for from the client */
    if (http_wait_watches(request))
        request->awaited = false; /* nobody else knows of it */
    if (!request->awaited)
        http_request_free(request);
}
