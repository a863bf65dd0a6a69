#include "http/views.h"
#include "delivery/hub.h"
#include "engine/engine.h"
#include "http/accept.h"
#include "http/facts.h"
#include "http/http_internal.h"
#include "http/parts.h"
#include "http/query.h"
#include "http/reading.h"
#include "http/wait.h"
#include "window/window.h"
#include "wire/event_stream.h"

#include <stdlib.h>

enum { LIST_BYTES = 16 * 1024 * 1024 };

static const char list_path[] = "/v1/views", view_prefix[] = "/v1/views/";

static bool has_path(struct span path)
{
    return span_equal(path, span_of(list_path)) || span_starts_with(path, view_prefix);
}

/* ---- the list ---- */

static void print_sort(struct buffer *out, const struct view *view)
{
    const struct view_stage *stage = view->stage;
    bool by_seq = !stage || !stage->sort_path_count;
    if (view->mode != VIEW_LIST)
        return;
    buffer_add_string(out, ",\"sort\":{\"field\":[");
    for (size_t i = 0; !by_seq && i < stage->sort_path_count; i++) {
        buffer_add_string(out, i ? "," : "");
        doc_escape(out, stage->sort_path[i]);
    }
    buffer_printf(out, "%s],\"order\":\"%s\"}", by_seq ? "\"_seq\"" : "",
                  by_seq || stage->descending ? "desc" : "asc");
}

/* A path that gives the id back; what is no unreserved character is percent-encoded. */
static void print_url(struct buffer *out, const char *base, struct span id)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-_~/.";
    buffer_add_string(out, base ? base : "");
    buffer_add_string(out, view_prefix);
    for (size_t i = 0; i < id.length; i++) {
        if (id.data[i] && strchr(plain, id.data[i]))
            buffer_add_char(out, id.data[i]);
        else
            buffer_printf(out, "%%%02X", (unsigned char)id.data[i]);
    }
}

static void print_view(struct buffer *out, const char *base, const struct fact_rows *fact)
{
    const struct view *view = fact->view;
    static const char *const modes[] = {"state", "list", "append"};
    buffer_add_string(out, "{\"id\":");
    doc_escape(out, span_of(view->id));
    buffer_printf(out, ",\"mode\":\"%s\"", modes[view->mode]);
    print_sort(out, view);
    if (fact->rows >= 0 && !view->scope) /* how many there are is not for everybody either */
        buffer_printf(out, ",\"rows\":%lld", (long long)fact->rows);
    buffer_add_string(out, ",\"url\":\"");
    print_url(out, base, span_of(view->id));
    buffer_add_string(out, "\"}");
}

/* An answer to the bearer of a token is for nobody else's eyes. */
static const char *keeping(const struct http_request *request)
{
    return request->principal.is_anonymous
               ? "Cache-Control: no-cache\r\nVary: Accept-Encoding\r\n"
               : "Cache-Control: private, no-cache\r\nVary: Accept-Encoding, Authorization\r\n";
}

static void list_print(struct http *http, struct http_request *request)
{
    const struct facts *facts = http->facts;
    struct buffer out;
    buffer_init(&out, LIST_BYTES);
    buffer_printf(&out, "{\"epoch\":\"%s\",\"views\":[",
                  engine_facts(http->frontend->engine)->epoch);
    const char *between = "\n";
    for (size_t i = 0; i < facts->row_count; i++) {
        if (!auth_may_view(request->principal.identity, span_of(facts->rows[i].view->id)))
            continue;
        buffer_add_string(&out, between);
        print_view(&out, http->frontend->base_path, &facts->rows[i]);
        between = ",\n";
    }
    buffer_add_string(&out, "\n]}\n");
    struct http_content content = {.status = 200, .type = HTTP_JSON, .headers = keeping(request)};
    struct error error;
    if (!out.failed) {
        http_request_respond_large(request, &content, &out);
    } else {
        error_set(&error, ERROR_MEMORY, "out of memory while listing the views");
        http_request_respond_error(request, &error);
    }
    buffer_fini(&out);
}

/* ---- one view ---- */

void http_views_note_limited(const struct http_request *request, const struct error *error)
{
    const struct audit_client client = {.principal = &request->principal, .kind = "http"};
    if (error->code == ERROR_SNAPSHOT_LIMIT)
        audit_write(access_shown(request->http->frontend->access)->audit, AUDIT_LIMITED,
                    &(struct audit_details){
                        .client = &client, .limit = AUDIT_LIMIT_SNAPSHOT_ROWS, .error = error});
}

static void on_read(void *argument, struct hub_answer *answer)
{
    struct http_request *request = argument;
    char headers[HUB_TAG_SIZE + 200];
    http_request_end_read(request);
    /* Its token may have run out, or been revoked, while it waited for its cursor or a reader. */
    if (answer->error.code == ERROR_NONE)
        access_still_holds(request->http->frontend->access, &request->principal, PERMISSION_READ,
                           &answer->error);
    if (request->wait && answer->error.code == ERROR_NONE &&
        (answer->silent || answer->unchanged) && http_wait_watch(request, answer))
        return;
    http_views_note_limited(request, &answer->error);
    if (answer->error.code != ERROR_NONE) {
        http_request_respond_error(request, &answer->error);
        return;
    }
    /* Weak, because the same tag stands for both encodings. */
    snprintf(headers, sizeof headers, "ETag: W/\"%s\"\r\n%s%s", answer->tag, keeping(request),
             answer->gzip ? "Content-Encoding: gzip\r\n" : "");
    struct http_content content = {.status = answer->unchanged ? 304 : 200,
                                   .type = answer->unchanged ? NULL : HTTP_JSON,
                                   .headers = headers};
    http_request_respond_large(request, &content, &answer->body);
}

static bool copy_header(const struct net_connection *connection, const char *name, char *text,
                        size_t size)
{
    struct span value = net_header(connection, name);
    if (!value.length || value.length >= size)
        return false;
    memcpy(text, value.data, value.length);
    text[value.length] = '\0';
    return true;
}

struct span http_views_names(struct span argument)
{
    static const char *const names[] = {"export=", "view="};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_starts_with(argument, names[i]))
            return span_of(names[i]);
    return span_make(NULL, 0);
}

/* Of a stream that goes on, the cursor comes with the request's head. */
static bool is_cursor(struct span argument)
{
    return span_starts_with(argument, "after=") || span_starts_with(argument, "epoch=");
}

/* A stream waits in any case. `name` with its sign. */
static bool refuse_reading(const char *name, struct error *error)
{
    return error_set(error, ERROR_INVALID_PARAMETER,
                     "'%.*s' is not for a live stream, which tells what changes as it changes, of "
                     "an append view its events; leave it out",
                     (int)strlen(name) - 1, name);
}

static bool read_argument(struct http_query *query, struct span argument, bool has_cursor,
                          bool apart, bool by_row, struct error *error)
{
    struct span token;
    if (!http_query_fits(argument, error))
        return false;
    const char *reading = http_reading_name(argument);
    if (reading)
        return apart || refuse_reading(reading, error);
    return access_is_token(argument, &token) || (has_cursor && is_cursor(argument)) ||
           (by_row && http_views_names(argument).data) || http_query_add(query, argument, error);
}

/* A browser would not come again after an error, so an id that is none of ours counts as a cursor
 * of another database. */
static bool add_last_id(struct http_query *query, struct span id, struct error *error)
{
    struct span seq, epoch;
    char after[64], part[256];
    if (!wire_event_id(id, &seq, &epoch) || seq.length >= SEQ_SIZE ||
        epoch.length >= sizeof part - sizeof "epoch=") {
        seq = span_of("0:000000000000");
        epoch = span_of("unknown");
    }
    int length = snprintf(after, sizeof after, "after=%.*s", (int)seq.length, seq.data);
    int more = snprintf(part, sizeof part, "epoch=%.*s", (int)epoch.length, epoch.data);
    return http_query_add(query, span_make(after, (size_t)length), error) &&
           http_query_add(query, span_make(part, (size_t)more), error);
}

/* The query of a request as the message that subscribes to this view. `last_id`: what the client of
 * an event stream had last, in place of a cursor; absent: it says nothing. `apart`: the parameters
 * that are no part of the message (wait, events, until, as_of, behind) may be there, and are read
 * by others. `by_row`: those that name the view, too. wire_message_fini is due when true. */
static bool http_views_read_query(const struct net_connection *connection, struct span view,
                                  struct span last_id, bool apart, bool by_row,
                                  struct wire_message *message, struct error *error)
{
    char room[HTTP_TARGET_LIMIT];
    struct span query = net_state(connection).request->query, argument;
    struct http_query read;
    size_t at = 0;
    http_query_init(&read, view);
    bool good = !last_id.data || add_last_id(&read, last_id, error);
    while (good && (argument = http_next_argument(query, &at, room)).data)
        good = read_argument(&read, argument, last_id.data, apart, by_row, error);
    good = good && http_query_end(&read, message, error);
    http_query_fini(&read);
    return good;
}

/* `reading` NULL: again, after it waited. */
static bool start_read(struct http *http, struct http_request *request,
                       const struct wire_message *message, const struct http_reading *reading,
                       struct error *error)
{
    const struct net_connection *connection = request->connection;
    char known[1024];
    bool has_known = copy_header(connection, "if-none-match", known, sizeof known);
    int64_t max_rows = limits_snapshot_rows(access_shown(http->frontend->access)->limits,
                                            request->principal.identity);
    struct hub_read read = {.wanted = &message->subscribe,
                            .rows_limited = max_rows != LIMITS_NONE,
                            .max_rows = max_rows,
                            .identity = request->principal.identity,
                            .owner = request->owner,
                            .until = reading && reading->until[0] ? reading->until : NULL,
                            .as_of = reading && reading->as_of[0] ? reading->as_of : NULL,
                            .behind = reading && reading->behind[0] ? reading->behind : NULL,
                            .gzip = http_accepts(connection, "accept-encoding", "gzip") > 0,
                            .known = has_known ? known : NULL,
                            .is_wanted = http_request_is_wanted,
                            .rests = http_request_rests,
                            .done = on_read,
                            .argument = request};
    if (!http_request_begin_read(request))
        return error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    struct hub *hub = http->frontend->hub;
    if (read.as_of                       ? hub_read_as_of(hub, &read, error)
        : message->subscribe.by_position ? hub_read_history(hub, &read, error)
                                         : hub_read_view(hub, &read, error))
        return true;
    http_request_end_read(request);
    return false;
}

/* ---- requests ---- */

static struct http_request *begin(struct http *http, struct net_connection *connection,
                                  struct principal *principal, struct error *error)
{
    struct http_request *request = http_request_new(http, connection, 0, principal);
    if (!request)
        error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    return request;
}

static void read_again(struct http_request *request, const struct wire_message *message)
{
    struct error error;
    /* Its token may have run out, or been revoked, while it waited. */
    if (!access_still_holds(request->http->frontend->access, &request->principal, PERMISSION_READ,
                            &error) ||
        !start_read(request->http, request, message, NULL, &error))
        http_request_respond_error(request, &error);
}

/* One that waits is a connection like those of subscribers, by the limits, too. */
static bool enter(struct http *http, struct net_connection *connection, int wait,
                  struct principal *principal, struct error *error)
{
    struct access *access = http->frontend->access;
    return wait ? access_let_in(access, connection, PERMISSION_READ, principal, error)
                : access_enter(access, connection, PERMISSION_READ, principal, error);
}

void http_views_answer(struct http *http, struct net_connection *connection, struct span view,
                       bool by_row)
{
    struct wire_message message;
    struct principal principal;
    struct http_reading reading;
    struct error error;
    if (!http_reading_read(&reading, net_state(connection).request->query, by_row, &error) ||
        !enter(http, connection, reading.wait, &principal, &error)) {
        http_respond_error(connection, &error, NULL);
        return;
    }
    if (!http_admit(http, &principal, HTTP_READ, &error) ||
        !http_views_read_query(connection, view, span_make(NULL, 0), true, by_row, &message,
                               &error)) {
        principal_fini(&principal);
        http_respond_error(connection, &error, NULL);
        return;
    }
    message.subscribe.by_position = reading.events || by_row;
    message.subscribe.by_row = by_row;
    struct http_request *request = begin(http, connection, &principal, &error);
    bool started = request && start_read(http, request, &message, &reading, &error);
    if (started && reading.wait)
        access_entered(http->frontend->access, connection, &request->principal, PERMISSION_READ);
    if (request)
        http_request_await(request);
    if (!started || !reading.wait ||
        !http_wait_begin(request, &message, (uint64_t)reading.wait * 1000, read_again))
        wire_message_fini(&message);
    if (request && !started)
        http_request_respond_error(request, &error);
    else if (!request)
        http_respond_error(connection, &error, NULL);
}

static void answer_list(struct http *http, struct net_connection *connection)
{
    struct http_request *request = NULL;
    struct principal principal;
    struct error error;
    if (access_enter(http->frontend->access, connection, PERMISSION_READ, &principal, &error))
        request = begin(http, connection, &principal, &error);
    if (request)
        facts_when_fresh(http->facts, request, list_print);
    else
        http_respond_error(connection, &error, NULL);
}

/* ---- a view as it changes, for browsers and curl without a library ---- */

#define STREAM_TYPE "text/event-stream"

static const char suffix[] = "/live";
/* How soon a browser comes back, in milliseconds. */
static const char first_line[] = "retry: 2000\n\n";

/* A view of that very name comes first; one without a slash is none. */
static bool cut_suffix(const struct http *http, struct span *view)
{
    size_t length = strlen(suffix);
    if (view->length <= length || memcmp(view->data + view->length - length, suffix, length) != 0 ||
        view_set_find(hub_state(http->frontend->hub).views, *view))
        return false;
    struct span rest = span_make(view->data, view->length - length);
    if (!memchr(rest.data, '/', rest.length))
        return false;
    *view = rest;
    return true;
}

/* Whether a request for this view, of which the path tells, wants it so; then the name is cut to
 * the view's. */
static bool http_live_wants(const struct http *http, const struct net_connection *connection,
                            struct span *view)
{
    int stream = http_accepts(connection, "accept", STREAM_TYPE);
    return cut_suffix(http, view) ||
           (stream > 0 && stream >= http_accepts(connection, "accept", "application/json"));
}

/* Only the head is asked for. */
static bool may_read(struct http *http, struct net_connection *connection, struct error *error)
{
    struct principal principal;
    bool may = access_enter(http->frontend->access, connection, PERMISSION_READ, &principal, error);
    if (may)
        principal_fini(&principal);
    return may;
}

static bool start(struct http *http, struct net_connection *connection,
                  const struct wire_message *message, struct error *error)
{
    struct principal principal;
    if (!access_let_in(http->frontend->access, connection, PERMISSION_STREAM, &principal, error))
        return false;
    struct session *session =
        session_stream_new(http->frontend, connection, &principal, message, error);
    if (session)
        net_set_data(connection, session, session_writable);
    return session != NULL;
}

/* Answer it; the connection is the answer's from now on, or it is refused. */
static void http_live_request(struct http *http, struct net_connection *connection,
                              struct span view)
{
    struct wire_message message;
    struct error error;
    struct span last_id = net_header(connection, "last-event-id");
    bool begun = http_views_read_query(connection, view, last_id, false, false, &message, &error);
    if (begun) {
        begun = net_state(connection).request->method == HTTP_HEAD
                    ? may_read(http, connection, &error)
                    : start(http, connection, &message, &error);
        wire_message_fini(&message);
    }
    if (begun)
        http_respond_stream(connection, STREAM_TYPE "; charset=utf-8", span_of(first_line));
    else
        http_respond_error(connection, &error, NULL);
}

/* ---- the requests ---- */

bool http_views_streams(const struct http *http, const struct net_connection *connection,
                        struct span path)
{
    size_t prefix = strlen(view_prefix);
    if (!span_starts_with(path, view_prefix))
        return false;
    struct span view = span_make(path.data + prefix, path.length - prefix);
    return http_live_wants(http, connection, &view);
}

bool http_views_check(struct net_connection *connection)
{
    const struct http_head *head = net_state(connection).request;
    struct error error;
    if (head->method == HTTP_GET || head->method == HTTP_HEAD)
        return true;
    error_set(&error, ERROR_METHOD_NOT_ALLOWED, "views are read by GET or HEAD");
    http_respond_error(connection, &error, "Allow: GET, HEAD\r\n");
    return false;
}

static bool answer_request(struct http *http, struct net_connection *connection, struct span path)
{
    size_t prefix = strlen(view_prefix);
    if (!has_path(path))
        return false;
    if (!http_views_check(connection))
        return true;
    if (path.length > prefix) {
        struct span view = span_make(path.data + prefix, path.length - prefix);
        if (http_live_wants(http, connection, &view))
            http_live_request(http, connection, view);
        else
            http_views_answer(http, connection, view, false);
    } else {
        answer_list(http, connection);
    }
    return true;
}

const struct http_part http_views_part = {.request = answer_request};
