#include "http/backup_copy.h"
#include "http/changes.h"
#include "http/checksum.h"
#include "http/clients.h"
#include "http/explain.h"
#include "http/facts.h"
#include "http/files.h"
#include "http/health.h"
#include "http/http_internal.h"
#include "http/ingest.h"
#include "http/parts.h"
#include "http/views.h"
#include "http/wait.h"

#define INGEST_PATH "/v1/ingest"

/* ---- life ---- */

bool http_open(struct http *http, struct frontend *frontend)
{
    http->frontend = frontend;
    frontend->http = http;
    link_init(&http->waiting);
    link_init(&http->replicas);
    http->last_change = engine_facts(frontend->engine)->last_change;
    database_new_uuid(http->run);
    backup_copy_clean(frontend->engine);
    http->facts = facts_new(http);
    return http->facts != NULL;
}

void http_show_configuration(struct http *http, char *text)
{
    memory_free(http->configuration);
    http->configuration = text;
}

void http_close(struct http *http)
{
    http_show_configuration(http, NULL);
    facts_free(http->facts);
    http->facts = NULL;
    http_files_free(http->files);
    http->files = NULL;
}

/* ---- paths ---- */

/* Some proxies leave the path in front under which they serve us, others take it off. */
static size_t base_length(const struct net_connection *connection)
{
    const char *base = frontend_of(connection)->base_path;
    struct span path = net_state(connection).request->path;
    size_t length = base ? strlen(base) : 0;
    bool is_there = path.length >= length && memcmp(path.data, base ? base : "", length) == 0;
    return is_there && (path.length == length || path.data[length] == '/') ? length : 0;
}

static struct span path_of(const struct net_connection *connection)
{
    struct span path = net_state(connection).request->path;
    size_t length = base_length(connection);
    return path.length == length ? span_of("/")
                                 : span_make(path.data + length, path.length - length);
}

/* A '/' may be escaped in names, which no route has before its third segment. Else what a proxy
 * takes for one path might be another one here. */
static bool check_path(const struct net_connection *connection, struct error *error)
{
    const struct http_head *head = net_state(connection).request;
    int segments = 0;
    if (head->path_plain == head->path.length)
        return true;
    for (size_t at = base_length(connection); at < head->path_plain; at++)
        segments += head->path.data[at] == '/';
    return segments >= 3 || error_set(error, ERROR_INVALID_MESSAGE,
                                      "the path has an escaped '/' (%%2F) that belongs to no name; "
                                      "send the path as it is meant");
}

bool http_is_ingest(const struct net_connection *connection)
{
    struct span path = path_of(connection);
    return span_equal(path, span_of(INGEST_PATH)) || span_equal(path, span_of(INGEST_PATH "/"));
}

/* A body where none is taken is refused before anybody else hears of the request: its answer may
 * come later, and the body would be taken for one that is awaited. */
static bool check_body(const struct net_connection *connection, bool health, struct error *error)
{
    const struct http_head *head = net_state(connection).request;
    return !head->body_length || (!health && head->method == HTTP_POST) ||
           error_set(error, ERROR_INVALID_MESSAGE, "this request has no body here");
}

bool http_check(const struct net_connection *connection, bool health, struct error *error)
{
    return check_path(connection, error) && check_body(connection, health, error);
}

/* ---- who answers ---- */

/* A browser asks beforehand what a page may do. */
static bool is_preflight(struct net_connection *connection)
{
    return net_state(connection).request->method == HTTP_OPTIONS &&
           net_header(connection, "origin").data;
}

/* It carries no token, so nobody is let in by it: the request that follows is asked for one. */
static void reply_preflight(struct net_connection *connection)
{
    struct http_content content = {
        .status = 204,
        .headers = "Access-Control-Allow-Methods: GET, HEAD, POST, DELETE\r\n"
                   "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, "
                   "If-None-Match, traceparent, tracestate, baggage\r\n"
                   "Access-Control-Max-Age: 600\r\n"};
    http_respond(connection, &content);
}

static bool answer_list(struct http *http, struct net_connection *connection, struct span path)
{
    return http_listing_request(http, connection, path, false, &http_clients) ||
           http_listing_request(http, connection, path, false, &http_windows);
}

static bool answer_watched(struct http *http, struct net_connection *connection, struct span path)
{
    return http_listing_request(http, connection, path, true, &http_clients) ||
           http_listing_request(http, connection, path, true, &http_windows);
}

static bool answer_about(struct http *http, struct net_connection *connection, struct span path)
{
    return http_about_request(&http_explain, http, connection, path) ||
           http_about_request(&http_checksum, http, connection, path);
}

static const struct http_part lists = {.request = answer_list};
static const struct http_part watched = {.request = answer_watched};
static const struct http_part about = {.request = answer_about};

/* In the order in which they are asked. */
static const struct http_part *const parts[] = {&http_revocations_part,
                                                &http_producers_part,
                                                &lists,
                                                &http_views_part,
                                                &http_history_part,
                                                &http_changes_part,
                                                &http_backup_part,
                                                &about,
                                                &http_files_part,
                                                &http_ingest_part,
                                                &http_wait_part,
                                                NULL};
static const struct http_part *const health_parts[] = {&watched, &http_inspector_part,
                                                       &http_health_part, NULL};

static void ask(const struct http_part *const *part, struct http *http,
                struct net_connection *connection)
{
    struct span path = path_of(connection);
    while (*part && !((*part)->request && (*part)->request(http, connection, path)))
        part++;
}

void http_stop(struct http *http)
{
    hub_stop_sums(http->frontend->hub);
    hub_stop_waits(http->frontend->hub);
    for (const struct http_part *const *part = parts; *part; part++)
        if ((*part)->stop)
            (*part)->stop(http);
}

void http_request(struct http *http, struct net_connection *connection, bool health)
{
    if (health) {
        ask(health_parts, http, connection);
        return;
    }
    counter_add(&http->frontend->counters.http_requests, 1);
    if (is_preflight(connection))
        reply_preflight(connection);
    else
        ask(parts, http, connection);
}
