#include "http/about.h"

#include "http/accept.h"
#include "http/http_internal.h"
#include "http/ingest.h"
#include "http/query.h"
#include "http/views.h"

/* Its parameters, as they are read. */
struct question {
    const struct http_about *about;
    _Alignas(max_align_t) char own[HTTP_ABOUT_OWN];
    struct wire_message message;
};

/* ---- the question ---- */

/* The view comes first in a query, wherever it stands; copied to `id`. */
static bool find_view(const struct net_connection *connection, const struct http_about *about,
                      struct buffer *id, struct error *error)
{
    char room[HTTP_TARGET_LIMIT];
    struct span argument;
    size_t at = 0, count = 0;
    while ((argument = http_next_argument(net_state(connection).request->query, &at, room)).data) {
        if (!span_starts_with(argument, "view="))
            continue;
        count++;
        buffer_add_span(id, span_make(argument.data + 5, argument.length - 5));
    }
    if (count > 1)
        return error_set(error, ERROR_INVALID_PARAMETER, "'view' is given twice");
    return count == 1 ||
           error_set(error, ERROR_INVALID_PARAMETER, "'view' is missing: %s", about->missing);
}

static bool read_argument(struct question *question, struct http_query *query, struct span argument,
                          struct error *error)
{
    const struct http_about *about = question->about;
    struct span token;
    bool taken = false;
    if (!http_query_fits(argument, error))
        return false;
    if (span_starts_with(argument, "after=") || span_starts_with(argument, "epoch="))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'%.5s' is not for %s, which is of the present", argument.data,
                         about->what);
    if (access_is_token(argument, &token) || span_starts_with(argument, "view="))
        return true;
    if (about->take && !about->take(question->own, argument, &taken, error))
        return false;
    return taken || http_query_add(query, argument, error);
}

/* wire_message_fini is due when true. */
static bool read_question(const struct net_connection *connection, struct question *question,
                          struct error *error)
{
    char room[HTTP_TARGET_LIMIT];
    struct span query = net_state(connection).request->query, argument;
    struct http_query read;
    struct buffer id;
    size_t at = 0;
    buffer_init(&id, HTTP_TARGET_LIMIT);
    bool good = find_view(connection, question->about, &id, error);
    http_query_init(&read, buffer_span(&id));
    read.uses = question->about->uses;
    while (good && (argument = http_next_argument(query, &at, room)).data)
        good = read_argument(question, &read, argument, error);
    good = good && http_query_end(&read, &question->message, error);
    http_query_fini(&read);
    buffer_fini(&id);
    return good;
}

/* ---- the answer ---- */

static void on_read(void *argument, struct hub_answer *answer)
{
    struct http_request *request = argument;
    struct http_content content = {
        .status = 200,
        .type = HTTP_JSON,
        .headers = answer->gzip ? "Cache-Control: no-store\r\nContent-Encoding: gzip\r\n"
                                : "Cache-Control: no-store\r\n"};
    http_request_end_read(request);
    http_views_note_limited(request, &answer->error);
    if (answer->error.code != ERROR_NONE)
        http_request_respond_error(request, &answer->error);
    else
        http_request_respond_large(request, &content, &answer->body);
}

static bool start(struct http_request *request, struct question *question, struct error *error)
{
    struct frontend *frontend = request->http->frontend;
    int64_t max_rows =
        limits_snapshot_rows(access_shown(frontend->access)->limits, request->principal.identity);
    const struct hub_read read = {
        .wanted = &question->message.subscribe,
        .rows_limited = max_rows != LIMITS_NONE,
        .max_rows = max_rows,
        .identity = request->principal.identity,
        .owner = request->owner,
        .gzip = http_accepts(request->connection, "accept-encoding", "gzip") > 0,
        .is_wanted = http_request_is_wanted,
        .done = on_read,
        .argument = request};
    if (!http_request_begin_read(request))
        return error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    if (question->about->ask(frontend->hub, &read, question->own, error))
        return true;
    http_request_end_read(request);
    return false;
}

/* ---- the request ---- */

static void answer(const struct http_about *about, struct http *http,
                   struct net_connection *connection)
{
    struct question question = {.about = about};
    struct principal principal;
    struct error error;
    if (!access_enter(http->frontend->access, connection, PERMISSION_READ, &principal, &error)) {
        http_respond_error(connection, &error, NULL);
        return;
    }
    if (!http_admit(http, &principal, HTTP_READ, &error) ||
        !read_question(connection, &question, &error)) {
        principal_fini(&principal);
        http_respond_error(connection, &error, NULL);
        return;
    }
    struct http_request *request = http_request_new(http, connection, 0, &principal);
    if (!request) {
        error_set(&error, ERROR_MEMORY, "out of memory while taking a request");
        http_respond_error(connection, &error, NULL);
    } else {
        http_request_await(request);
        if (!start(request, &question, &error))
            http_request_respond_error(request, &error);
    }
    wire_message_fini(&question.message);
}

bool http_about_request(const struct http_about *about, struct http *http,
                        struct net_connection *connection, struct span path)
{
    const struct http_head *head = net_state(connection).request;
    struct error error;
    if (!span_equal(path, span_of(about->path)))
        return false;
    if (head->method != HTTP_GET && head->method != HTTP_HEAD) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "%s takes GET", about->path);
        http_respond_error(connection, &error, "Allow: GET, HEAD\r\n");
    } else {
        answer(about, http, connection);
    }
    return true;
}
