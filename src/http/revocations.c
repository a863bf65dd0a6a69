/* POST and GET /v1/revocations: the revoked tokens, for the scope admin. */
#include "http/parts.h"

#include "access/revocations.h"
#include "engine/engine.h"
#include "follow/follow.h"
#include "http/changes.h"
#include "http/http_internal.h"
#include "http/ingest.h"

enum { BODY_BYTES = 16 * 1024, LIST_BYTES = 128 * 1024 * 1024 };

static bool has_path(struct span path)
{
    return span_equal(path, span_of("/v1/revocations"));
}

/* ---- POST ---- */

/* A request that waits for the disk, in a node of a log for that of every node. */
struct waiting {
    struct http_request *request;
    int64_t expires_at;
    struct publication publication;
    struct error failure; /* the publication's */
    struct buffer body;
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
    struct http_request *request = waiting->request;
    struct audit_client by = {.principal = &request->principal, .kind = "http"};
    audit_write(access_shown(request->http->frontend->access)->audit, AUDIT_REVOKED,
                &(struct audit_details){.client = &by, .token = waiting->token_id});
}

static void waiting_free(struct waiting *waiting)
{
    buffer_fini(&waiting->body);
    memory_free(waiting);
}

static void revoked(void *argument, const struct error *error)
{
    struct waiting *waiting = argument;
    struct buffer body;
    buffer_init(&body, BODY_BYTES);
    if (error->code == ERROR_NONE) {
        tell_audit(waiting);
        http_changes_wake(waiting->request->http);
        buffer_add_string(&body, "{\"jti\":");
        doc_escape(&body, span_of(waiting->token_id));
        print_expiry(&body, waiting->expires_at);
        buffer_add_string(&body, "}\n");
        struct http_content content = {.status = 200,
                                       .type = HTTP_JSON,
                                       .headers = "Cache-Control: no-store\r\n",
                                       .body = buffer_span(&body)};
        http_request_respond(waiting->request, &content);
    } else {
        http_request_respond_error(waiting->request, error);
    }
    buffer_fini(&body);
    waiting_free(waiting);
}

static void revoked_by_all(struct publication *publication, const struct submission *applied)
{
    struct waiting *waiting = LINK_OWNER(struct waiting, publication, publication);
    struct error error = applied ? applied->error : waiting->failure;
    if (applied && error.code == ERROR_NONE && !applied->command.done)
        revocations_full(&error);
    else if (error.code != ERROR_NONE)
        error_prefix(&error, "the token is refused by this node until it stops, and perhaps by "
                             "others");
    revoked(waiting, &error);
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

/* Here at once, and by every node when it comes to the message. */
static bool revoke_everywhere(struct frontend *frontend, struct waiting *waiting,
                              struct error *error)
{
    struct span token_id = span_of(waiting->token_id);
    waiting->publication =
        (struct publication){.error = &waiting->failure, .answer = revoked_by_all};
    if (!revocations_note(frontend->access, token_id, waiting->expires_at,
                          engine_times(frontend->engine).now, error))
        return false;
    return follow_revoke(frontend->follow, &waiting->publication, &waiting->body, token_id,
                         waiting->expires_at, error) ||
           error_prefix(error, "the token is refused by this node until it stops, and by no other");
}

static bool start_revoking(struct http_request *request, struct span token_id, int64_t expires_at,
                           struct error *error)
{
    struct frontend *frontend = request->http->frontend;
    struct waiting *waiting = memory_new(sizeof *waiting + token_id.length + 1);
    if (!waiting)
        return error_set(error, ERROR_MEMORY, "out of memory while revoking a token");
    waiting->request = request;
    waiting->expires_at = expires_at;
    memcpy(waiting->token_id, token_id.data, token_id.length);
    buffer_init(&waiting->body, BODY_BYTES);
    struct revocation_request revocation = {token_id, expires_at, revoked, waiting};
    if (frontend->follow ? revoke_everywhere(frontend, waiting, error)
                         : revocations_add(frontend->access, &revocation, error))
        return true;
    waiting_free(waiting);
    return false;
}

static void take(struct http_request *request)
{
    struct error error;
    struct span token_id;
    int64_t expires_at;
    struct tree *body = tree_parse(span_without_bom(buffer_span(&request->intake.bytes)), &error);
    bool done = body && read_body(body, &token_id, &expires_at, &error) &&
                start_revoking(request, token_id, expires_at, &error);
    tree_free(body);
    if (!done)
        http_request_respond_error(request, &error);
}

/* ---- GET ---- */

/* Read and printed by a reader: there may be many. */
struct listing {
    struct read_job job;
    struct http_request *request;
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
    struct http_content content = {
        .status = 200, .type = HTTP_JSON, .headers = "Cache-Control: no-store\r\n"};
    http_request_end_read(listing->request);
    if (listing->error.code == ERROR_NONE)
        http_request_respond_large(listing->request, &content, &listing->out);
    else
        http_request_respond_error(listing->request, &listing->error);
    buffer_fini(&listing->out);
    memory_free(listing);
}

static void list(struct http_request *request)
{
    struct http *http = request->http;
    struct error error;
    struct listing *listing = memory_new(sizeof *listing);
    http_request_await(request);
    if (listing) {
        listing->job = (struct read_job){.event.deliver = listed, .run = run_listing};
        listing->request = request;
        buffer_init(&listing->out, LIST_BYTES);
        listing->job.owner = request->owner;
        if (http_request_begin_read(request) && engine_read(http->frontend->engine, &listing->job))
            return;
        http_request_end_read(request);
        error_set(&error, ERROR_QUEUE_FULL, "too many reads wait; try again later");
    } else {
        error_set(&error, ERROR_MEMORY, "out of memory while listing the revoked tokens");
    }
    memory_free(listing);
    http_request_respond_error(request, &error);
}

/* ---- requests ---- */

static void start_list(struct http *http, struct net_connection *connection,
                       struct principal *principal)
{
    struct error error;
    struct http_request *request = NULL;
    if (http_admit(http, principal, HTTP_READ, &error)) {
        request = http_request_new(http, connection, 0, principal);
        if (!request)
            error_set(&error, ERROR_MEMORY, "out of memory while taking a request");
    }
    principal_fini(principal); /* unless it was moved */
    if (request)
        list(request);
    else
        http_respond_error(connection, &error, NULL);
}

static bool answer_request(struct http *http, struct net_connection *connection, struct span path)
{
    enum http_method method = net_state(connection).request->method;
    struct principal principal;
    struct error error;
    if (!has_path(path))
        return false;
    if (method != HTTP_POST && method != HTTP_GET && method != HTTP_HEAD) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "/v1/revocations takes GET and POST");
        http_respond_error(connection, &error, "Allow: GET, HEAD, POST\r\n");
    } else if (!access_enter(http->frontend->access, connection, PERMISSION_ADMIN, &principal,
                             &error)) {
        http_respond_error(connection, &error, NULL);
    } else if (method == HTTP_POST) {
        http_take_body(http, connection, BODY_BYTES, PERMISSION_ADMIN, &principal, take);
    } else {
        start_list(http, connection, &principal);
    }
    return true;
}

const struct http_part http_revocations_part = {.request = answer_request};
