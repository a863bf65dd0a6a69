/*
 * A trap: of requests that are sent without waiting for the answers, libwebsockets 4.1.6 gives us
 * the second one's own header as its body, and then loops for ever or reads freed memory unless it
 * is told to close right there. A body never begins with the letter of POST, so it can be told.
 * Requests one after the other on a connection are fine.
 */
#include "server/http_ingest.h"

#include "server/server_internal.h"

#include <libwebsockets.h>
#include <stdio.h>

enum { HEADERS = 256 };

/* ---- the headers ---- */

static bool has_header(struct lws *wsi, enum lws_token_indexes token)
{
    return lws_hdr_total_length(wsi, token) > 0;
}

/* A header's value in lower case; "" when it is absent or does not fit. */
static const char *header(struct lws *wsi, enum lws_token_indexes token, char *out, int size)
{
    if (lws_hdr_copy(wsi, out, size, token) <= 0)
        *out = '\0';
    for (char *c = out; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return out;
}

/* Strictly digits: of "5, 7" libwebsockets would take the 5, and read the rest as a request. */
static bool content_length(struct lws *wsi, size_t *length, struct error *error)
{
    char text[24];
    const char *digit = header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof text);
    if (has_header(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) || !*digit)
        return error_set(error, ERROR_INVALID_MESSAGE,
                         "the request has no Content-Length; bodies in chunks are not taken");
    *length = 0;
    for (; *digit >= '0' && *digit <= '9' && *length < SIZE_MAX / 16; digit++)
        *length = *length * 10 + (size_t)(*digit - '0');
    return !*digit || error_set(error, ERROR_INVALID_MESSAGE, "Content-Length is no number");
}

static bool check_encoding(struct lws *wsi, struct error *error)
{
    char encoding[32];
    if (!has_header(wsi, WSI_TOKEN_HTTP_CONTENT_ENCODING) ||
        !strcmp(header(wsi, WSI_TOKEN_HTTP_CONTENT_ENCODING, encoding, sizeof encoding),
                "identity"))
        return true;
    return error_set(error, ERROR_UNSUPPORTED_ENCODING,
                     "Content-Encoding '%s' is not taken; send the body uncompressed", encoding);
}

static bool may_send(struct server *server, struct lws *wsi, size_t limit, struct error *error)
{
    size_t length = 0;
    if (!content_length(wsi, &length, error))
        return false;
    if (length > limit)
        return error_set(error, ERROR_TOO_LARGE, "the request has %zu bytes; at most %zu are taken",
                         length, limit);
    return check_encoding(wsi, error) && server_admit(server, SERVER_INGEST, error);
}

/* ---- a request ---- */

int http_take_body(struct server *server, struct lws *wsi, size_t limit, enum door_wish wish,
                   struct visitor *visitor, void (*take)(struct exchange *exchange),
                   struct exchange **exchange)
{
    static const char proceed[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char expect[32];
    struct error error;
    if (!may_send(server, wsi, limit, &error)) {
        visitor_fini(visitor);
        return exchange_reply_and_part(wsi, &error, NULL);
    }
    *exchange = exchange_new(server, wsi, limit, visitor);
    if (!*exchange) {
        error_set(&error, ERROR_MEMORY, "out of memory while taking a request");
        return exchange_reply_and_part(wsi, &error, NULL);
    }
    (*exchange)->take = take;
    (*exchange)->wish = wish;
    intake_wait(&(*exchange)->intake, (int64_t)uv_now(&server->loop), server->incoming.patience_ms);
    if (!strcmp(header(wsi, WSI_TOKEN_HTTP_EXPECT, expect, sizeof expect), "100-continue") &&
        lws_write(wsi, (unsigned char *)proceed, sizeof proceed - 1, LWS_WRITE_HTTP) < 0)
        return -1;
    return 0;
}

static void take_mutations(struct exchange *exchange);

/* The header Idempotency-Key as a heap string; NULL when there is none. */
static bool read_key(struct lws *wsi, char **key, struct error *error)
{
    static const char name[] = "idempotency-key:";
    char text[SOURCE_MAX_KEY + 1];
    int length = lws_hdr_custom_length(wsi, name, sizeof name - 1);
    *key = NULL;
    if (length < 0)
        return true;
    bool fits = length < (int)sizeof text &&
                lws_hdr_custom_copy(wsi, text, sizeof text, name, sizeof name - 1) >= 0;
    /* One that does not fit is refused as one that is too long. */
    struct span value = fits ? span_make(text, (size_t)length) : span_make(NULL, SIZE_MAX);
    if (!source_key_check(value, error))
        return false;
    *key = memory_copy_string(text, (size_t)length);
    return *key || error_set(error, ERROR_MEMORY, "out of memory while taking a request");
}

static int begin(struct server *server, struct lws *wsi, struct exchange **exchange)
{
    struct visitor visitor;
    struct error error;
    char *key = NULL;
    if (!door_enter(server, wsi, DOOR_FEED, &visitor, &error))
        return exchange_reply_and_part(wsi, &error, NULL);
    if (!read_key(wsi, &key, &error)) {
        visitor_fini(&visitor);
        return exchange_reply_and_part(wsi, &error, NULL);
    }
    int result = http_take_body(server, wsi, server->max_request_bytes, DOOR_FEED, &visitor,
                                take_mutations, exchange);
    if (*exchange)
        (*exchange)->key = key;
    else
        memory_free(key);
    return result;
}

int http_ingest_request(struct server *server, struct lws *wsi, struct span path,
                        struct exchange **exchange)
{
    struct error error;
    if (!span_equal(path, span_of("/v1/mutations"))) {
        error_set(&error, ERROR_NOT_FOUND,
                  "there is nothing here; connect by WebSocket, GET /v1/views, or POST to "
                  "/v1/mutations");
        return exchange_refuse(wsi, &error, NULL);
    }
    if (!has_header(wsi, WSI_TOKEN_POST_URI)) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "/v1/mutations takes POST only");
        return exchange_refuse(wsi, &error, "Allow: POST\r\n");
    }
    return begin(server, wsi, exchange);
}

/* Whether these are the first bytes of a request rather than of its body. */
static bool is_own_header(struct span bytes)
{
    size_t i = 0;
    while (i < bytes.length && (bytes.data[i] == '\r' || bytes.data[i] == '\n'))
        i++;
    return i < bytes.length && bytes.data[i] == 'P';
}

static void add(struct exchange *exchange, struct span bytes)
{
    struct error error;
    int64_t now_ms = (int64_t)uv_now(&exchange->server->loop);
    if (!intake_add(&exchange->intake, bytes, now_ms, &error))
        exchange_break_off(exchange, &error);
}

bool http_ingest_body(struct exchange *exchange, struct span bytes)
{
    struct error error;
    if (exchange->refused || exchange->complete)
        return true;
    if (exchange->intake.bytes.length || !is_own_header(bytes)) {
        add(exchange, bytes);
        return true;
    }
    error_set(&error, ERROR_INVALID_MESSAGE,
              "line 1: not JSON; and wait for the answer before sending the next request");
    exchange_reply_and_part(exchange->wsi, &error, NULL);
    return false;
}

struct source_sender visitor_as_sender(const struct visitor *visitor)
{
    return (struct source_sender){.subject = visitor->is_anonymous
                                                 ? span_make(NULL, 0)
                                                 : span_of(visitor->identity->subject)};
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

static void on_done(void *context, const struct source_reply *reply)
{
    struct exchange *exchange = context;
    struct buffer body;
    char headers[HEADERS];
    /* Only one that tells where the producer is has a body of its own. */
    if (reply->error.code != ERROR_NONE && !reply->has_last) {
        exchange_answer_error(exchange, &reply->error);
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
    struct source_sender sender = visitor_as_sender(&exchange->visitor);
    if (exchange->key)
        sender.key = span_of(exchange->key);
    if (!source_submit(exchange->server->source, &sender, NULL, SOURCE_LINES,
                       buffer_span(&exchange->intake.bytes), on_done, exchange, &error))
        exchange_answer_error(exchange, &error);
}

/* A body may take its time, and a token that is stolen is revoked to stop what it still does. */
bool http_ingest_complete(struct exchange *exchange)
{
    struct error error;
    if (exchange->refused)
        return false;
    /* Told again because more bytes stand behind the body. While the answer is awaited nothing is
     * read, so then it is the endless loop that is described above. */
    if (exchange->complete)
        return !exchange->awaited;
    exchange->complete = true;
    exchange_await(exchange);
    if (door_still_holds(exchange->server, &exchange->visitor, exchange->wish, &error))
        exchange->take(exchange);
    else
        exchange_answer_error(exchange, &error);
    intake_end(&exchange->intake);
    return true;
}
