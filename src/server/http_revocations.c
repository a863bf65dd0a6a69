#include "server/http_revocations.h"

#include "access/revocations.h"
#include "server/http_ingest.h"
#include "server/server_internal.h"

enum { BODY_BYTES = 16 * 1024, LIST_BYTES = 128 * 1024 * 1024 };

#define JSON_TYPE "application/json; charset=utf-8"

bool http_revocations_has(struct span path)
{
    return span_equal(path, span_of("/v1/revocations"));
}

/* ---- POST ---- */

/* A request that waits for the disk. */
struct waiting {
    struct exchange *exchange;
    int64_t expires_at;
    char token_id[]; /* with its NUL */
};

static void print_expiry(struct buffer *out, int64_t expires_at)
{
    if (expires_at)
        buffer_printf(out, ",\"expires_at\":%lld", (long long)expires_at);
    else
        buffer_add_string(out, ",\"expires_at\":null");
}

static void tell_audit(const struct waiting *waiting)
{
    struct exchange *exchange = waiting->exchange;
    struct audit_client by = {.address =
                                  *exchange->principal.address ? exchange->principal.address : NULL,
                              .kind = "http",
                              .identity = exchange->principal.identity};
    audit_revoked(access_audit(exchange->server->access), &by, waiting->token_id);
}

static void revoked(void *argument, const struct error *error)
{
    struct waiting *waiting = argument;
    struct buffer body;
    buffer_init(&body, BODY_BYTES);
    if (error->code == ERROR_NONE) {
        tell_audit(waiting);
        buffer_add_string(&body, "{\"jti\":");
        doc_escape(&body, span_of(waiting->token_id));
        print_expiry(&body, waiting->expires_at);
        buffer_add_string(&body, "}\n");
        struct exchange_content content = {.status = 200,
                                           .type = JSON_TYPE,
                                           .headers = "Cache-Control: no-store\r\n",
                                           .body = buffer_span(&body)};
        exchange_answer(waiting->exchange, &content);
    } else {
        exchange_answer_error(waiting->exchange, error);
    }
    buffer_fini(&body);
    memory_free(waiting);
}

static bool is_wrong(struct error *error)
{
    return error_set(error, ERROR_INVALID_MESSAGE,
                     "the body must be {\"jti\": text of 1 to %d bytes, \"expires_at\": seconds "
                     "since 1970}, of which the second may be left out",
                     STORE_MAX_TOKEN_ID);
}

static bool read_body(const struct tree *body, struct span *token_id, int64_t *expires_at,
                      struct error *error)
{
    const struct tree *id = tree_member(body, "jti"), *end = tree_member(body, "expires_at");
    bool has_end = end && tree_type(end) != TREE_NULL;
    size_t known = (id != NULL) + (end != NULL);
    *token_id = tree_string(id);
    *expires_at = has_end ? tree_integer(end, -1) : 0;
    bool good = tree_type(body) == TREE_OBJECT && tree_count(body) == known && token_id->length &&
                token_id->length <= STORE_MAX_TOKEN_ID &&
                !memchr(token_id->data, 0, token_id->length) && *expires_at >= 0 &&
                (!has_end || *expires_at > 0);
    return good || is_wrong(error);
}

static bool start_revoking(struct exchange *exchange, struct span token_id, int64_t expires_at,
                           struct error *error)
{
    struct waiting *waiting = memory_new(sizeof *waiting + token_id.length + 1);
    if (!waiting)
        return error_set(error, ERROR_MEMORY, "out of memory while revoking a token");
    waiting->exchange = exchange;
    waiting->expires_at = expires_at;
    memcpy(waiting->token_id, token_id.data, token_id.length);
    struct revocation_request request = {token_id, expires_at, revoked, waiting};
    if (revocations_add(exchange->server->access, &request, error))
        return true;
    memory_free(waiting);
    return false;
}

static void take(struct exchange *exchange)
{
    struct error error;
    struct span token_id;
    int64_t expires_at;
    struct tree *body = tree_parse(span_without_bom(buffer_span(&exchange->intake.bytes)), &error);
    bool done = body && read_body(body, &token_id, &expires_at, &error) &&
                start_revoking(exchange, token_id, expires_at, &error);
    tree_free(body);
    if (!done)
        exchange_answer_error(exchange, &error);
}

/* ---- GET ---- */

/* Read and printed by a reader: there may be many. */
struct listing {
    struct read_job job;
    struct exchange *exchange;
    struct buffer out;
    size_t count;
    struct error error;
};

static bool print_one(void *argument, const struct store_revocation *revocation)
{
    struct listing *listing = argument;
    struct buffer *out = &listing->out;
    buffer_add_string(out, listing->count++ ? ",\n{\"jti\":" : "\n{\"jti\":");
    doc_escape(out, revocation->token_id);
    print_expiry(out, revocation->expires_at);
    return buffer_printf(out, ",\"revoked_at\":%lld}", (long long)(revocation->at / 1000));
}

static void run_listing(struct read_job *job, struct store_reader *reader)
{
    struct listing *listing = (struct listing *)job;
    struct error *error = &listing->error;
    buffer_add_string(&listing->out, "{\"revocations\":[");
    bool done = store_read_begin(reader, error) &&
                store_read_revocations(reader, print_one, listing, error);
    store_read_end(reader);
    if (done && !buffer_add_string(&listing->out, "\n]}\n"))
        error_set(error, ERROR_MEMORY, "out of memory while listing the revoked tokens");
}

static void listed(struct engine_event *event)
{
    struct listing *listing = (struct listing *)event;
    struct exchange_content content = {
        .status = 200, .type = JSON_TYPE, .headers = "Cache-Control: no-store\r\n"};
    exchange_end_read(listing->exchange);
    if (listing->error.code == ERROR_NONE)
        exchange_answer_large(listing->exchange, &content, &listing->out);
    else
        exchange_answer_error(listing->exchange, &listing->error);
    buffer_fini(&listing->out);
    memory_free(listing);
}

static void list(struct exchange *exchange)
{
    struct server *server = exchange->server;
    struct error error;
    struct listing *listing = memory_new(sizeof *listing);
    exchange_await(exchange);
    if (listing) {
        listing->job = (struct read_job){.event.deliver = listed, .run = run_listing};
        listing->exchange = exchange;
        buffer_init(&listing->out, LIST_BYTES);
        listing->job.owner = exchange->owner;
        if (exchange_begin_read(exchange) && engine_read(server->engine, &listing->job))
            return;
        exchange_end_read(exchange);
        error_set(&error, ERROR_QUEUE_FULL, "too many reads wait; try again later");
    } else {
        error_set(&error, ERROR_MEMORY, "out of memory while listing the revoked tokens");
    }
    memory_free(listing);
    exchange_answer_error(exchange, &error);
}

/* ---- requests ---- */

static void start_list(struct server *server, struct net_connection *connection,
                       struct principal *principal)
{
    struct error error;
    struct exchange *exchange = NULL;
    if (server_admit(server, principal, SERVER_READ, &error)) {
        exchange = exchange_new(server, connection, 0, principal);
        if (!exchange)
            error_set(&error, ERROR_MEMORY, "out of memory while taking a request");
    }
    principal_fini(principal); /* unless it was moved */
    if (exchange)
        list(exchange);
    else
        exchange_reply_error(connection, &error, NULL);
}

void http_revocations_request(struct server *server, struct net_connection *connection)
{
    enum http_method method = net_request(connection)->method;
    struct principal principal;
    struct error error;
    if (method != HTTP_POST && method != HTTP_GET && method != HTTP_HEAD) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "/v1/revocations takes GET and POST");
        exchange_reply_error(connection, &error, "Allow: GET, HEAD, POST\r\n");
    } else if (!access_enter(server->access, connection, PERMISSION_ADMIN, &principal, &error)) {
        exchange_reply_error(connection, &error, NULL);
    } else if (method == HTTP_POST) {
        http_take_body(server, connection, BODY_BYTES, PERMISSION_ADMIN, &principal, take);
    } else {
        start_list(server, connection, &principal);
    }
}
