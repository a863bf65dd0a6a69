#include "server/http_views.h"

#include "delivery/hub.h"
#include "engine/engine.h"
#include "server/facts.h"
#include "server/http_query.h"

#include <stdlib.h>

enum { ARGUMENT_BYTES = 8 * 1024, LIST_BYTES = 16 * 1024 * 1024 };

static const char list_path[] = "/v1/views", view_prefix[] = "/v1/views/";

#define JSON_TYPE "application/json; charset=utf-8"

static bool starts_with(struct span text, const char *start)
{
    size_t length = strlen(start);
    return text.length >= length && memcmp(text.data, start, length) == 0;
}

bool http_views_has(struct span path)
{
    return span_equal(path, span_of(list_path)) || starts_with(path, view_prefix);
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

/* What was shown to the bearer of a token is for nobody else's eyes. */
static const char *keeping(const struct exchange *exchange)
{
    return exchange->principal.is_anonymous
               ? "Cache-Control: no-cache\r\nVary: Accept-Encoding\r\n"
               : "Cache-Control: private, no-cache\r\nVary: Accept-Encoding, Authorization\r\n";
}

static void list_print(struct server *server, struct exchange *exchange)
{
    const struct facts *facts = server->facts;
    struct buffer out;
    buffer_init(&out, LIST_BYTES);
    buffer_printf(&out, "{\"epoch\":\"%s\",\"views\":[", engine_epoch(server->engine));
    const char *between = "\n";
    for (size_t i = 0; i < facts->row_count; i++) {
        if (!auth_may_view(exchange->principal.identity, span_of(facts->rows[i].view->id)))
            continue;
        buffer_add_string(&out, between);
        print_view(&out, server->base_path, &facts->rows[i]);
        between = ",\n";
    }
    buffer_add_string(&out, "\n]}\n");
    struct exchange_content content = {
        .status = 200, .type = JSON_TYPE, .headers = keeping(exchange)};
    struct error error;
    if (!out.failed) {
        exchange_answer_large(exchange, &content, &out);
    } else {
        error_set(&error, ERROR_MEMORY, "out of memory while listing the views");
        exchange_answer_error(exchange, &error);
    }
    buffer_fini(&out);
}

/* ---- one view ---- */

static bool is_wanted(void *argument)
{
    return ((struct exchange *)argument)->connection != NULL;
}

static void on_read(void *argument, struct hub_answer *answer)
{
    struct exchange *exchange = argument;
    struct server *server = exchange->server;
    char headers[HUB_TAG_SIZE + 200];
    exchange_end_read(exchange);
    if (answer->error.code == ERROR_SNAPSHOT_LIMIT) {
        const struct audit_client client = {.address = exchange->principal.address,
                                            .kind = "http",
                                            .identity = exchange->principal.identity};
        audit_limited(access_audit(server->access), &client, AUDIT_LIMIT_SNAPSHOT_ROWS, false,
                      &answer->error);
    }
    if (answer->error.code != ERROR_NONE) {
        exchange_answer_error(exchange, &answer->error);
        return;
    }
    /* Weak, because the same tag stands for both encodings. */
    snprintf(headers, sizeof headers, "ETag: W/\"%s\"\r\n%s%s", answer->tag, keeping(exchange),
             answer->gzip ? "Content-Encoding: gzip\r\n" : "");
    struct exchange_content content = {.status = answer->unchanged ? 304 : 200,
                                       .type = answer->unchanged ? NULL : JSON_TYPE,
                                       .headers = headers};
    exchange_answer_large(exchange, &content, &answer->body);
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

/* Whether "gzip" is in Accept-Encoding, and not with q=0. */
static bool takes_gzip(const struct net_connection *connection)
{
    char text[256];
    if (!copy_header(connection, "accept-encoding", text, sizeof text))
        return false;
    for (char *rest = text, *each; (each = strsep(&rest, ","));) {
        char *quality = each + strcspn(each, ";");
        char *name = each + strspn(each, " \t");
        size_t length = strcspn(name, " \t;");
        if (length != 4 || strncasecmp(name, "gzip", 4) != 0)
            continue;
        quality += strcspn(quality, "=");
        return !*quality || strtod(quality + 1, NULL) > 0;
    }
    return false;
}

static bool read_argument(struct http_query *query, struct span argument, struct error *error)
{
    struct span token;
    if (argument.length >= ARGUMENT_BYTES)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "a parameter of the query has %zu bytes with its name; at most %d are "
                         "allowed",
                         argument.length, ARGUMENT_BYTES - 1);
    return access_is_token(argument, &token) || http_query_add(query, argument, error);
}

static bool read_query(const struct net_connection *connection, struct span view,
                       struct wire_message *message, struct error *error)
{
    char room[HTTP_TARGET_LIMIT];
    struct span query = net_request(connection)->query, argument;
    struct http_query read;
    size_t at = 0;
    bool good = true;
    http_query_init(&read, view);
    while (good && (argument = http_next_argument(query, &at, room)).data)
        good = read_argument(&read, argument, error);
    good = good && http_query_end(&read, message, error);
    http_query_fini(&read);
    return good;
}

static bool start_read(struct server *server, struct exchange *exchange,
                       const struct wire_message *message, struct error *error)
{
    const struct net_connection *connection = exchange->connection;
    char known[1024];
    bool has_known = copy_header(connection, "if-none-match", known, sizeof known);
    int64_t max_rows =
        limits_snapshot_rows(access_limits(server->access), exchange->principal.identity);
    struct hub_read read = {.wanted = &message->subscribe,
                            .rows_limited = max_rows != LIMITS_NONE,
                            .max_rows = max_rows,
                            .identity = exchange->principal.identity,
                            .owner = exchange->owner,
                            .gzip = takes_gzip(connection),
                            .known = has_known ? known : NULL,
                            .is_wanted = is_wanted,
                            .done = on_read,
                            .argument = exchange};
    if (!exchange_begin_read(exchange))
        return error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    if (hub_read_view(server->hub, &read, error))
        return true;
    exchange_end_read(exchange);
    return false;
}

/* ---- requests ---- */

static struct exchange *begin(struct server *server, struct net_connection *connection,
                              struct principal *principal, struct error *error)
{
    struct exchange *exchange = exchange_new(server, connection, 0, principal);
    if (!exchange)
        error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    return exchange;
}

static void answer_view(struct server *server, struct net_connection *connection, struct span view)
{
    struct wire_message message;
    struct principal principal;
    struct error error;
    if (!access_enter(server->access, connection, PERMISSION_READ, &principal, &error)) {
        exchange_reply_error(connection, &error, NULL);
        return;
    }
    if (!server_admit(server, &principal, SERVER_READ, &error) ||
        !read_query(connection, view, &message, &error)) {
        principal_fini(&principal);
        exchange_reply_error(connection, &error, NULL);
        return;
    }
    struct exchange *exchange = begin(server, connection, &principal, &error);
    bool started = exchange && start_read(server, exchange, &message, &error);
    wire_message_fini(&message);
    if (exchange)
        exchange_await(exchange);
    if (exchange && !started)
        exchange_answer_error(exchange, &error);
    else if (!exchange)
        exchange_reply_error(connection, &error, NULL);
}

static void answer_list(struct server *server, struct net_connection *connection)
{
    struct exchange *exchange = NULL;
    struct principal principal;
    struct error error;
    if (access_enter(server->access, connection, PERMISSION_READ, &principal, &error))
        exchange = begin(server, connection, &principal, &error);
    if (exchange)
        facts_when_fresh(server->facts, exchange, list_print);
    else
        exchange_reply_error(connection, &error, NULL);
}

void http_views_request(struct server *server, struct net_connection *connection, struct span path)
{
    const struct http_head *head = net_request(connection);
    size_t prefix = strlen(view_prefix);
    struct error error;
    if (head->method != HTTP_GET && head->method != HTTP_HEAD) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "views are read by GET or HEAD");
        exchange_reply_error(connection, &error, "Allow: GET, HEAD\r\n");
    } else if (head->body_length) {
        error_set(&error, ERROR_INVALID_MESSAGE, "a request for a view has no body");
        exchange_reply_error(connection, &error, NULL);
    } else if (path.length > prefix) {
        answer_view(server, connection, span_make(path.data + prefix, path.length - prefix));
    } else {
        answer_list(server, connection);
    }
}
