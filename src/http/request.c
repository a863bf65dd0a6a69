#include "http/request.h"
#include "access/access.h"

#include "http/http_internal.h"
#include "http/respond.h"

enum {
    MOST_LARGE_BYTES = 64 << 20, /* of answers that clients have not taken yet */
    WRITE_BYTES = 64 * 1024,     /* in one go; of these net keeps what the socket does not take */
    WRITES_PER_TURN = 4,
    READING_MS = 60 * 1000 /* within which a client must take something of its answer */
};

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

static void on_writable(void *argument);

struct http_request *http_request_new(struct http *http, struct net_connection *connection,
                                      size_t limit, struct principal *principal)
{
    struct http_request *request = memory_new(sizeof *request);
    if (!request) {
        principal_fini(principal);
        return NULL;
    }
    char cors[HTTP_CORS_LINES];
    principal_move(&request->principal, principal);
    request->http = http;
    request->connection = connection;
    request->head = net_state(connection).request->method == HTTP_HEAD;
    http_print_cors(connection, cors);
    request->cors = *cors ? memory_copy_string(cors, strlen(cors)) : NULL;
    request->owner = shares_owner_of(&request->principal);
    intake_init(&request->intake, &http->frontend->incoming, limit, request->owner,
                (struct intake_calls){on_late, on_crowded});
    buffer_init(&request->reply, HTTP_REPLY_LIMIT);
    buffer_init(&request->large, 0);
    net_set_data(connection, request, on_writable);
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
    if (request->source)
        request->source->free(request);
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
    net_set_data(request->connection, NULL, NULL);
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
        http_print(&request->reply, request->connection, content, lines_of(request));
    answer(request);
}

static void forget_large(struct http_request *request)
{
    buffer_fini(&request->large);
    buffer_init(&request->large, 0);
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
        request->share.amount);
    counter_add(&http->frontend->counters.answers_broken_off, 1);
    log_warning("server", "answer-broken-off", log_word("client", request->principal.address),
                log_number("bytes", request->share.amount), log_number("sent", request->written),
                log_text("reason", error.message));
    share_end(&request->share, &http->answers);
    forget_large(request);
    buffer_clear(&request->reply);
    if (!request->written) {
        request->left = 0;
        http_print_error(&request->reply, connection, &error, NULL, lines_of(request));
    } else {
        net_close(connection);
    }
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
        http_print_head(&request->reply, request->connection, content, lines_of(request));
    if (request->connection && !request->head) {
        request->left = content->whole ? content->whole - body->length : 0;
        request->large = *body;
        buffer_init(body, 0);
        if (!make_room(request, &error)) {
            share_end(&request->share, &request->http->answers);
            forget_large(request);
            request->left = 0;
            buffer_clear(&request->reply);
            http_print_error(&request->reply, request->connection, &error, NULL, lines_of(request));
        }
    }
    answer(request);
}

/* Its share stays as it was: no piece is larger than the first. */
void http_request_continue(struct http_request *request, struct buffer *piece)
{
    if (request->connection) {
        INVARIANT(piece->length && piece->length <= request->left && !request->large.length);
        request->left -= piece->length;
        request->written = request->reply.length;
        request->large = *piece;
        buffer_init(piece, 0);
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

/* Without memory it goes on as one that is not counted. */
void http_request_rests(void *request, bool begins)
{
    if (begins)
        http_request_end_read(request);
    else
        http_request_begin_read(request);
}

void http_request_respond_error(struct http_request *request, const struct error *error)
{
    if (error_kind(error->code)->http_status == 500)
        counter_add(&request->http->frontend->counters.errors, 1);
    if (request->connection)
        http_print_error(&request->reply, request->connection, error, NULL, lines_of(request));
    answer(request);
}

/* The next bytes to write: of the reply, then of the large body. */
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
    for (int i = 0; piece.length && i < WRITES_PER_TURN && !net_state(connection).is_blocked; i++) {
        if (!net_write(connection, piece))
            return false;
        request->written += piece.length;
        piece = next_piece(request);
    }
    if (piece.length)
        net_want_write(connection);
    return !piece.length;
}

/* The client has what was written, or net has: of a slow client no more is read than that. */
static void take_next_piece(struct http_request *request)
{
    forget_large(request);
    request->written = request->reply.length;
    if (net_state(request->connection).is_blocked)
        net_want_write(request->connection);
    else
        request->source->go_on(request);
}

/* The socket takes bytes. When the answer exists, it is written on; in the end the request goes. */
static void on_writable(void *argument)
{
    struct http_request *request = argument;
    struct net_connection *connection = request->connection;
    INVARIANT(connection);
    if (request->watches) {
        request->source->go_on(request);
    } else if (request->reply.failed) {
        net_close(connection);
    } else if (request->reply.length && write_pieces(request)) {
        if (request->left) {
            take_next_piece(request);
            return;
        }
        let_go(request);
        net_request_done(connection);
    }
}

bool http_request_is_wanted(void *argument)
{
    struct http_request *request = argument;
    return request->connection && net_expect_client(request->connection);
}

void http_request_gone(struct http_request *request)
{
    INVARIANT(request->connection);
    request->connection = NULL;
    intake_end(&request->intake); /* nothing more is waited for from the client */
    if (request->watches)
        request->awaited = false; /* nobody else knows of it */
    if (!request->awaited)
        http_request_free(request);
}
