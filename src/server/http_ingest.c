#include "server/http_ingest.h"

#include "server/health.h"
#include "server/server_internal.h"

#include <stdio.h>
#include <strings.h>

enum { HEADERS = 256 };

/* ---- the headers ---- */

static bool is_gzip(const struct net_connection *connection)
{
    struct span coding = net_header(connection, "content-encoding");
    return span_equal(coding, span_of("gzip")) || span_equal(coding, span_of("x-gzip"));
}

/* Only mutations come compressed: the decoder's thread inflates them. */
static bool check_encoding(const struct net_connection *connection, enum permission permission,
                           struct error *error)
{
    struct span coding = net_header(connection, "content-encoding");
    if (!coding.data || span_equal(coding, span_of("identity")) ||
        (permission == PERMISSION_FEED && is_gzip(connection)))
        return true;
    return error_set(error, ERROR_UNSUPPORTED_ENCODING,
                     "Content-Encoding '%.*s' is not taken; send the body as it is, or mutations "
                     "with gzip",
                     (int)(coding.length < 32 ? coding.length : 32), coding.data);
}

static bool may_send(struct server *server, const struct net_connection *connection, size_t limit,
                     enum permission permission, struct error *error)
{
    const struct http_head *head = net_request(connection);
    if (!head->body_length && !net_header(connection, "content-length").data)
        return error_set(error, ERROR_LENGTH_REQUIRED,
                         "the request has no body; send one, with a Content-Length or in chunks");
    if (head->body_length != HTTP_CHUNKED && (uint64_t)head->body_length > limit)
        return error_set(error, ERROR_TOO_LARGE,
                         "the request has %lld bytes; at most %zu are taken",
                         (long long)head->body_length, limit);
    return check_encoding(connection, permission, error) &&
           server_admit(server, NULL, SERVER_INGEST, error);
}

/* ---- a request ---- */

void http_take_body(struct server *server, struct net_connection *connection, size_t limit,
                    enum permission permission, struct principal *principal,
                    void (*take)(struct exchange *exchange))
{
    static const char proceed[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct error error;
    if (!may_send(server, connection, limit, permission, &error)) {
        if (permission == PERMISSION_FEED)
            server_note_refused(server, principal, "http", &error);
        principal_fini(principal);
        exchange_reply_error(connection, &error, NULL);
        return;
    }
    struct exchange *exchange = exchange_new(server, connection, limit, principal);
    if (!exchange) {
        error_set(&error, ERROR_MEMORY, "out of memory while taking a request");
        exchange_reply_error(connection, &error, NULL);
        return;
    }
    exchange->take = take;
    exchange->permission = permission;
    if (!net_request(connection)->body_length) {
        http_ingest_complete(exchange);
        return;
    }
    intake_wait(&exchange->intake, (int64_t)uv_now(&server->loop), server->incoming.patience_ms);
    if (net_request(connection)->expects_continue)
        net_write(connection, span_make(proceed, sizeof proceed - 1));
}

static void take_mutations(struct exchange *exchange);

/* Absent where the request has none. */
static struct span key_of(const struct net_connection *connection)
{
    return net_header(connection, "idempotency-key");
}

static void begin(struct server *server, struct net_connection *connection)
{
    struct span key = key_of(connection);
    struct principal principal;
    struct error error;
    if (!access_enter(server->access, connection, PERMISSION_FEED, &principal, &error)) {
        exchange_reply_error(connection, &error, NULL);
    } else if (key.data && !source_key_check(key, &error)) {
        server_note_refused(server, &principal, "http", &error);
        principal_fini(&principal);
        exchange_reply_error(connection, &error, NULL);
    } else {
        http_take_body(server, connection, server->max_request_bytes, PERMISSION_FEED, &principal,
                       take_mutations);
    }
}

/* Who asks for health here has the wrong one of two ports. */
static void not_found(const struct server *server, struct span path, struct error *error)
{
    const char *port = strrchr(server_health_address(server), ':');
    if (!health_has(path))
        error_set(error, ERROR_NOT_FOUND,
                  "there is nothing here; connect by WebSocket, GET /v1/views, or POST to "
                  "/v1/mutations");
    else if (port)
        error_set(error, ERROR_NOT_FOUND, "%.*s is on the health port, %s", (int)path.length,
                  path.data, port + 1);
    else
        error_set(error, ERROR_NOT_FOUND,
                  "%.*s is on the health port, which this server has not: set `health`",
                  (int)path.length, path.data);
}

void http_ingest_request(struct server *server, struct net_connection *connection, struct span path)
{
    struct error error;
    if (!span_equal(path, span_of("/v1/mutations"))) {
        not_found(server, path, &error);
        exchange_reply_error(connection, &error, NULL);
    } else if (net_request(connection)->method != HTTP_POST) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "/v1/mutations takes POST only");
        exchange_reply_error(connection, &error, "Allow: POST\r\n");
    } else {
        begin(server, connection);
    }
}

void http_ingest_body(struct exchange *exchange, struct span bytes)
{
    struct error error;
    int64_t now_ms = (int64_t)uv_now(&exchange->server->loop);
    if (!intake_add(&exchange->intake, bytes, now_ms, &error))
        exchange_break_off(exchange, &error);
}

struct source_sender principal_as_sender(const struct principal *principal)
{
    return (struct source_sender){.subject = principal->is_anonymous
                                                 ? span_make(NULL, 0)
                                                 : span_of(principal->identity->subject)};
}

/* The headers of an answer to a request that was decoded. */
static void print_headers(const struct source_reply *reply, char headers[HEADERS])
{
    const struct error *error = &reply->error;
    if (error->code != ERROR_NONE)
        snprintf(headers, HEADERS,
                 "X-Error-Code: %s\r\nRetry-After: %d\r\nCache-Control: no-store\r\n",
                 error_wire_code(error->code), error_retry_after(error));
    else
        snprintf(headers, HEADERS, "Cache-Control: no-store\r\n%s",
                 reply->answer.data ? "Idempotency-Replayed: true\r\n" : "");
}

/* curl -d takes the line ends out of a file, and then its lines are none. */
static struct error with_hint(const struct exchange *exchange, const struct error *error)
{
    struct error told = *error;
    if (exchange->form && error->code == ERROR_INVALID_MESSAGE)
        error_set(&told, error->code,
                  "%.380s; if this is `curl -d @FILE`, which takes line ends out: use "
                  "--data-binary @FILE",
                  error->message);
    return told;
}

static bool is_form(const struct net_connection *connection)
{
    static const char form[] = "application/x-www-form-urlencoded";
    struct span type = net_header(connection, "content-type");
    return type.length >= sizeof form - 1 && strncasecmp(type.data, form, sizeof form - 1) == 0;
}

static void on_done(void *context, const struct source_reply *reply)
{
    struct exchange *exchange = context;
    struct buffer body;
    char headers[HEADERS];
    struct error told = with_hint(exchange, &reply->error);
    if (reply->error.code != ERROR_NONE)
        exchange_note_refused(exchange, &reply->error);
    /* Only one that tells where the producer is has a body of its own. */
    if (reply->error.code != ERROR_NONE && !reply->has_last) {
        exchange_answer_error(exchange, &told);
        return;
    }
    buffer_init(&body, SUBMISSION_ANSWER_BYTES);
    print_headers(reply, headers);
    source_reply_print(&body, SOURCE_LINES, reply);
    struct exchange_content content = {.status = error_http_status(reply->error.code),
                                       .type = "application/json; charset=utf-8",
                                       .headers = headers,
                                       .body = buffer_span(&body)};
    exchange_answer(exchange, &content);
    buffer_fini(&body);
}

static void take_mutations(struct exchange *exchange)
{
    struct error error;
    struct source_sender sender = principal_as_sender(&exchange->principal);
    sender.key = key_of(exchange->connection);
    exchange->form = is_form(exchange->connection);
    enum source_format format = is_gzip(exchange->connection) ? SOURCE_LINES_GZIP : SOURCE_LINES;
    if (source_submit(exchange->server->source, &sender, NULL, format,
                      buffer_span(&exchange->intake.bytes), on_done, exchange, &error))
        return;
    exchange_note_refused(exchange, &error);
    exchange_answer_error(exchange, &error);
}

/* A body may take its time, and a token that is stolen is revoked to stop what it still does. */
void http_ingest_complete(struct exchange *exchange)
{
    struct error error;
    exchange_await(exchange);
    if (access_still_holds(exchange->server->access, &exchange->principal, exchange->permission,
                           &error))
        exchange->take(exchange);
    else
        exchange_answer_error(exchange, &error);
    intake_end(&exchange->intake);
}
