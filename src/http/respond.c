/* The bytes of answers, and those that are given at once. */
#include "http/respond.h"

#include "access/access.h"
#include "wire/wire.h"

void http_print_cors(struct net_connection *connection, char lines[HTTP_CORS_LINES])
{
    const struct access *access = frontend_of(connection)->access;
    char room[ACCESS_ORIGIN_BYTES];
    bool allowed = access_allowed_page(access, connection, room);
    *lines = '\0';
    if (!allowed && !access_shown(access)->names_origins)
        return;
    /* Also where it is not allowed, the answer would be another one for another page. */
    snprintf(lines, HTTP_CORS_LINES, "%s%s%sVary: Origin\r\n",
             allowed ? "Access-Control-Allow-Origin: " : "", allowed ? room : "",
             allowed ? "\r\nAccess-Control-Expose-Headers: ETag, Retry-After, X-Error-Code\r\n"
                     : "");
}

/* ---- the bytes of a response ---- */

static const char *reason_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
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

/* The header about the connection: HTTP/1.1 goes on and 1.0 ends unless told. */
static const char *connection_line(const struct net_connection *connection)
{
    const struct http_head *head = net_state(connection).request;
    if (!net_state(connection).keeps)
        return "Connection: close\r\n";
    return head && head->minor == 0 ? "Connection: keep-alive\r\n" : "";
}

/* What a browser is to make of an answer: nothing but what it says it is, and no page of another
 * site may embed it. */
static const char policies[] = "X-Content-Type-Options: nosniff\r\n"
                               "Cross-Origin-Resource-Policy: same-origin\r\n";

bool http_print_head(struct buffer *out, const struct net_connection *connection,
                     const struct http_content *content, const char *cors)
{
    buffer_printf(out, "HTTP/1.1 %d %s\r\n", content->status, reason_phrase(content->status));
    if (content->type)
        buffer_printf(out, "Content-Type: %s\r\nContent-Length: %llu\r\n", content->type,
                      content->whole ? (unsigned long long)content->whole
                                     : (unsigned long long)content->body.length);
    buffer_add_string(out, content->headers ? content->headers : "");
    buffer_add_string(out, policies);
    buffer_add_string(out, connection_line(connection));
    buffer_add_string(out, cors);
    return buffer_add_string(out, "\r\n");
}

/* Only the head is asked for. */
static bool is_head(const struct net_connection *connection)
{
    const struct http_head *head = net_state(connection).request;
    return head && head->method == HTTP_HEAD;
}

bool http_print(struct buffer *out, const struct net_connection *connection,
                const struct http_content *content, const char *cors)
{
    return http_print_head(out, connection, content, cors) &&
           (is_head(connection) || buffer_add_span(out, content->body));
}

/* An error as HTTP. The texts are in the buffers, which the caller owns. */
static bool describe_error(const struct error *error, const char *more, struct buffer *headers,
                           struct buffer *body, struct http_content *content)
{
    int retry_after = error_retry_after(error);
    buffer_printf(headers, "X-Error-Code: %s\r\nCache-Control: no-store\r\n%s",
                  error_kind(error->code)->wire, more ? more : "");
    if (error_kind(error->code)->http_status == 401)
        buffer_printf(headers, "WWW-Authenticate: Bearer realm=\"stele\"%s\r\n",
                      error->code == ERROR_TOKEN_MISSING ? "" : ", error=\"invalid_token\"");
    if (retry_after >= 0)
        buffer_printf(headers, "Retry-After: %d\r\n", retry_after);
    wire_error_body(body, error, retry_after);
    buffer_string(headers);
    *content = (struct http_content){.status = error_kind(error->code)->http_status,
                                     .type = HTTP_JSON,
                                     .headers = headers->data,
                                     .body = buffer_span(body)};
    return !headers->failed && !body->failed;
}

bool http_print_error(struct buffer *out, const struct net_connection *connection,
                      const struct error *error, const char *more, const char *cors)
{
    struct http_content content;
    struct buffer headers, body;
    buffer_init(&headers, 4096);
    buffer_init(&body, 16 * 1024);
    bool done = describe_error(error, more, &headers, &body, &content) &&
                http_print(out, connection, &content, cors);
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
    char cors[HTTP_CORS_LINES];
    buffer_init(&bytes, HTTP_REPLY_LIMIT);
    http_print_cors(connection, cors);
    finish(connection, &bytes, http_print(&bytes, connection, content, cors));
}

void http_respond_error(struct net_connection *connection, const struct error *error,
                        const char *headers)
{
    struct buffer bytes;
    char cors[HTTP_CORS_LINES];
    buffer_init(&bytes, HTTP_REPLY_LIMIT);
    http_print_cors(connection, cors);
    finish(connection, &bytes, http_print_error(&bytes, connection, error, headers, cors));
}

void http_respond_stream(struct net_connection *connection, const char *type, struct span line)
{
    struct buffer bytes;
    char cors[HTTP_CORS_LINES];
    buffer_init(&bytes, HTTP_REPLY_LIMIT);
    http_print_cors(connection, cors);
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
