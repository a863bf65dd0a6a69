#include "http/ingest.h"

#include "http/health.h"
#include "http/http_internal.h"
#include "http/parts.h"

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

static bool may_send(struct http *http, const struct net_connection *connection, size_t limit,
                     enum permission permission, struct error *error)
{
    const struct http_head *head = net_state(connection).request;
    if (!head->body_length && !net_header(connection, "content-length").data)
        return error_set(error, ERROR_LENGTH_REQUIRED,
                         "the request has no body; send one, with a Content-Length or in chunks");
    if (head->body_length != HTTP_CHUNKED && (uint64_t)head->body_length > limit)
        return error_set(error, ERROR_TOO_LARGE,
                         "the request has %lld bytes; at most %zu are taken",
                         (long long)head->body_length, limit);
    return check_encoding(connection, permission, error) &&
           http_admit(http, NULL, HTTP_INGEST, error);
}

/* ---- a request ---- */

void http_take_body(struct http *http, struct net_connection *connection, size_t limit,
                    enum permission permission, struct principal *principal,
                    void (*take)(struct http_request *request))
{
    static const char proceed[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct error error;
    if (!may_send(http, connection, limit, permission, &error)) {
        if (permission == PERMISSION_FEED)
            access_note_refused(http->frontend->access, principal, "http", &error);
        principal_fini(principal);
        http_respond_error(connection, &error, NULL);
        return;
    }
    struct http_request *request = http_request_new(http, connection, limit, principal);
    if (!request) {
        error_set(&error, ERROR_MEMORY, "out of memory while taking a request");
        http_respond_error(connection, &error, NULL);
        return;
    }
    request->take = take;
    request->permission = permission;
    if (!net_state(connection).request->body_length) {
        http_ingest_complete(request);
        return;
    }
    intake_wait(&request->intake, (int64_t)frontend_now(http->frontend),
                http->frontend->incoming.patience_ms);
    if (net_state(connection).request->expects_continue)
        net_write(connection, span_make(proceed, sizeof proceed - 1));
}

static void take_mutations(struct http_request *request);

/* Absent where the request has none. */
static struct span key_of(const struct net_connection *connection)
{
    return net_header(connection, "idempotency-key");
}

static bool is_key(struct span key, struct error *error)
{
    enum { MOST = 255 };
    bool good = key.length > 0 && key.length <= MOST;
    for (size_t i = 0; good && i < key.length; i++)
        good = key.data[i] > ' ' && key.data[i] < 0x7f;
    return good || error_set(error, ERROR_INVALID_PARAMETER,
                             "Idempotency-Key must be 1 to %d printable ASCII characters without "
                             "spaces, a UUID for instance",
                             MOST);
}

static void begin(struct http *http, struct net_connection *connection)
{
    struct span key = key_of(connection);
    struct principal principal;
    struct error error;
    if (!access_enter(http->frontend->access, connection, PERMISSION_FEED, &principal, &error)) {
        http_respond_error(connection, &error, NULL);
    } else if (key.data && !is_key(key, &error)) {
        access_note_refused(http->frontend->access, &principal, "http", &error);
        principal_fini(&principal);
        http_respond_error(connection, &error, NULL);
    } else {
        http_take_body(http, connection, http->frontend->max_request_bytes, PERMISSION_FEED,
                       &principal, take_mutations);
    }
}

/* The client asks for health at the wrong one of two ports. */
static void not_found(const struct http *http, struct span path, struct error *error)
{
    const char *port = strrchr(http->health_address, ':');
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

static bool answer_request(struct http *http, struct net_connection *connection, struct span path)
{
    struct error error;
    if (!span_equal(path, span_of("/v1/mutations"))) {
        not_found(http, path, &error);
        http_respond_error(connection, &error, NULL);
    } else if (net_state(connection).request->method != HTTP_POST) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "/v1/mutations takes POST only");
        http_respond_error(connection, &error, "Allow: POST\r\n");
    } else {
        begin(http, connection);
    }
    return true;
}

const struct http_part http_ingest_part = {.request = answer_request};

void http_ingest_body(struct http_request *request, struct span bytes)
{
    struct error error;
    int64_t now_ms = (int64_t)frontend_now(request->http->frontend);
    if (!intake_add(&request->intake, bytes, now_ms, &error))
        http_request_refuse(request, &error);
}

/* The headers of an answer to a request that was decoded. */
static void print_headers(const struct ingest_reply *reply, char headers[HEADERS])
{
    const struct error *error = &reply->error;
    if (error->code != ERROR_NONE)
        snprintf(headers, HEADERS,
                 "X-Error-Code: %s\r\nRetry-After: %d\r\nCache-Control: no-store\r\n",
                 error_kind(error->code)->wire, error_retry_after(error));
    else
        snprintf(headers, HEADERS, "Cache-Control: no-store\r\n%s",
                 reply->answer.data ? "Idempotency-Replayed: true\r\n" : "");
}

/* curl -d takes the line ends out of a file, and then its lines are none. */
static struct error with_hint(const struct http_request *request, const struct error *error)
{
    struct error told = *error;
    if (request->form && error->code == ERROR_INVALID_MESSAGE)
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

static void record(struct http_request *request, const struct ingest_reply *reply)
{
    const struct trace_attribute attributes[] = {
        {.name = "http.request.method", .text = "POST"},
        {.name = "http.route", .text = "/v1/mutations"},
        {.name = "http.response.status_code", .number = error_kind(reply->error.code)->http_status},
        {.name = NULL}};
    frontend_trace_feed(request->http->frontend, "POST /v1/mutations", attributes, reply);
}

static void on_done(void *context, const struct ingest_reply *reply)
{
    struct http_request *request = context;
    struct buffer body;
    char headers[HEADERS];
    struct error told = with_hint(request, &reply->error);
    share_end(&request->writing, &request->http->frontend->writes);
    if (reply->traced)
        record(request, reply);
    if (reply->error.code != ERROR_NONE)
        http_request_note_refused(request, &reply->error);
    /* Only one that tells where the producer is has a body of its own. */
    if (reply->error.code != ERROR_NONE && !reply->has_last) {
        http_request_respond_error(request, &told);
        return;
    }
    buffer_init(&body, SUBMISSION_ANSWER_BYTES);
    print_headers(reply, headers);
    ingest_reply_print(&body, INGEST_LINES, reply);
    struct http_content content = {.status = error_kind(reply->error.code)->http_status,
                                   .type = HTTP_JSON,
                                   .headers = headers,
                                   .body = buffer_span(&body)};
    http_request_respond(request, &content);
    buffer_fini(&body);
}

/* Into the queue, unless its owner has enough there. */
static bool submit(struct http_request *request, const struct ingest_sender *sender,
                   enum ingest_format format, struct error *error)
{
    struct frontend *frontend = request->http->frontend;
    struct span body = buffer_span(&request->intake.bytes);
    if (!frontend_may_write(frontend, request->owner, false))
        return error_set(error, ERROR_QUEUE_FULL,
                         "requests of %zu bytes of this client wait to be written already, and the "
                         "rest of the queue is for others; try again later",
                         shares_amount(&frontend->writes, request->owner));
    if (!ingest_submit(frontend->ingest, sender, NULL, format, body, on_done, request, error))
        return false;
    share_set(&request->writing, &frontend->writes, request->owner,
              ingest_request_bytes(body.length));
    return true;
}

/* Below the client's span, if it names one that can be read. */
static struct trace begin_trace(const struct http_request *request)
{
    struct tracer *tracer = request->http->frontend->tracer;
    struct trace_parent parent;
    struct span text =
        tracer ? net_header_alone(request->connection, "traceparent") : span_make(NULL, 0);
    return trace_begin(tracer, text.data && trace_parent_parse(text, &parent) ? &parent : NULL);
}

/* It never came to the decoder. */
static void record_refused(struct http_request *request, const struct trace *trace,
                           const struct error *error)
{
    const struct ingest_traced traced = {.trace = *trace,
                                         .received_us = clock_monotonic_us(),
                                         .bytes = request->intake.bytes.length};
    if (trace->sampled)
        record(request, &(struct ingest_reply){.error = *error, .traced = &traced});
}

static void take_mutations(struct http_request *request)
{
    struct error error;
    struct ingest_sender sender = frontend_sender(&request->principal);
    sender.key = key_of(request->connection);
    sender.number = net_state(request->connection).number;
    sender.share_owner = request->owner;
    sender.trace = begin_trace(request);
    request->form = is_form(request->connection);
    enum ingest_format format = is_gzip(request->connection) ? INGEST_LINES_GZIP : INGEST_LINES;
    if (submit(request, &sender, format, &error))
        return;
    record_refused(request, &sender.trace, &error);
    http_request_note_refused(request, &error);
    http_request_respond_error(request, &error);
}

/* A body may take its time, and a token that is stolen is revoked to stop what it still does. */
void http_ingest_complete(struct http_request *request)
{
    struct error error;
    http_request_await(request);
    if (access_still_holds(request->http->frontend->access, &request->principal,
                           request->permission, &error))
        request->take(request);
    else
        http_request_respond_error(request, &error);
    intake_end(&request->intake);
}
