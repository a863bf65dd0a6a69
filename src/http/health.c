#include "http/health.h"

#include "engine/engine.h"
#include "http/facts.h"
#include "http/inspector.h"
#include "http/parts.h"

static bool is_get(const struct net_connection *connection)
{
    enum http_method method = net_state(connection).request->method;
    return method == HTTP_GET || method == HTTP_HEAD;
}

static void reply_text(struct net_connection *connection, int status, const char *text)
{
    struct http_content content = {.status = status,
                                   .type = "text/plain; charset=utf-8",
                                   .headers = "Cache-Control: no-store\r\n",
                                   .body = span_of(text)};
    http_respond(connection, &content);
}

/* A restart would not mend it, so the status is that of a server that is well. */
static void reply_health(struct http *http, struct net_connection *connection)
{
    reply_text(connection, 200,
               access_shown(http->frontend->access)->keys_are_stale
                   ? "OK, but the keys of auth.jwks_url are stale"
                   : "OK");
}

/*
 * A node that is behind its log shows what others do not any more, so it is not ready. One that had
 * all of it is ready without its broker, too: else nobody would be when the brokers are gone.
 */
static bool print_lag(const struct http *http, char *text, size_t size)
{
    if (!http_follows(http))
        return false;
    struct follow_state state = http_follow_state(http);
    bool behind = state.lag_messages > 0 && state.lag_seconds > http->frontend->max_lag;
    if (follow_has_ended(state.condition))
        snprintf(text, size, "NOT READY: %s", follow_condition_name(state.condition));
    else if (!state.caught_up && state.condition == FOLLOW_APART)
        snprintf(text, size, "NOT READY: the log cannot be reached");
    else if (!state.caught_up || behind)
        snprintf(text, size, "NOT READY: %lld messages behind the log",
                 (long long)state.lag_messages);
    else
        return false;
    return true;
}

static bool is_apart(const struct http *http)
{
    return http_follows(http) && http_follow_state(http).condition == FOLLOW_APART;
}

/* Readers are served also while the disk takes nothing: a server that is taken out of service for
 * it would be lost to them too. */
static void reply_ready(struct http *http, struct net_connection *connection)
{
    struct engine_state engine = engine_state(http->frontend->engine);
    char text[96] = "READY";
    bool lags = print_lag(http, text, sizeof text);
    bool running = http->frontend->running;
    if (!running)
        snprintf(text, sizeof text, "NOT READY");
    else if (lags)
        ; /* said */
    else if (engine.disk != ERROR_NONE)
        snprintf(text, sizeof text, "READY, but no mutations are taken: %s",
                 error_kind(engine.disk)->wire);
    else if (engine.checkpoints_fail)
        snprintf(text, sizeof text, "READY, but checkpoints fail");
    else if (is_apart(http))
        snprintf(text, sizeof text, "READY, but the log cannot be reached");
    else if (access_shown(http->frontend->access)->keys_are_stale)
        snprintf(text, sizeof text, "READY, but the keys of auth.jwks_url are stale");
    reply_text(connection, running && !lags ? 200 : 503, text);
}

/* For who routes producers. */
static void reply_ready_to_write(struct http *http, struct net_connection *connection)
{
    struct engine_state engine = engine_state(http->frontend->engine);
    struct follow *follow = http->frontend->follow;
    struct error error;
    char text[96] = "NOT READY";
    bool ready = http->frontend->running && engine.disk == ERROR_NONE && !http->frontend->replica;
    if (http->frontend->replica) {
        snprintf(text, sizeof text, "NOT READY: mutations come from the log alone");
    } else if (ready && follow && !follow_takes(follow, &error)) {
        ready = false;
        snprintf(text, sizeof text, "NOT READY: %s", error_kind(error.code)->wire);
    } else if (ready && engine.checkpoints_fail)
        snprintf(text, sizeof text, "READY, but checkpoints fail");
    else if (ready)
        snprintf(text, sizeof text, "READY");
    else if (engine.disk != ERROR_NONE)
        snprintf(text, sizeof text, "NOT READY: %s", error_kind(engine.disk)->wire);
    reply_text(connection, ready ? 200 : 503, text);
}

static const struct {
    const char *path;
    void (*reply)(struct http *http, struct net_connection *connection); /* at once, or */
    facts_print print;          /* when the facts are fresh, */
    enum permission permission; /* to who is let in */
} routes[] = {
    {"/health", reply_health, NULL, 0},
    {"/healthz", reply_health, NULL, 0},
    {"/ready", reply_ready, NULL, 0},
    {"/readiness", reply_ready, NULL, 0},
    {"/ready/write", reply_ready_to_write, NULL, 0},
    {"/status", NULL, status_print, PERMISSION_STATUS},
    {"/metrics", NULL, metrics_print, PERMISSION_METRICS},
};

static void reply_later(struct http *http, struct net_connection *connection, facts_print print,
                        enum permission permission)
{
    struct error error;
    struct principal principal;
    struct http_request *request = NULL;
    if (access_enter(http->frontend->access, connection, permission, &principal, &error)) {
        request = http_request_new(http, connection, 0, &principal);
        if (!request)
            error_set(&error, ERROR_MEMORY, "out of memory while answering");
    }
    if (request)
        facts_when_fresh(http->facts, request, print);
    else
        http_respond_error(connection, &error, NULL);
}

enum { ROUTE_COUNT = sizeof routes / sizeof *routes };

/* ROUTE_COUNT: none. */
static size_t find_route(struct span path)
{
    size_t i = 0;
    while (i < ROUTE_COUNT && !span_equal(path, span_of(routes[i].path)))
        i++;
    return i;
}

bool health_has(struct span path)
{
    return find_route(path) < ROUTE_COUNT;
}

/* The client asks for the API at the wrong one of two ports. */
static void not_found(const struct http *http, struct span path, struct error *error)
{
    static const char api[] = "/v1/";
    const char *port = strrchr(http->main_address, ':');
    bool is_api = path.length >= sizeof api - 1 && memcmp(path.data, api, sizeof api - 1) == 0;
    error_set(error, ERROR_NOT_FOUND,
              "there are /inspector/, /health, /ready, /ready/write, /status, /metrics and /config "
              "on this port%s%s",
              is_api && port ? ", which is the health port; the API is on port " : "",
              is_api && port ? port + 1 : "");
}

static bool answer_request(struct http *http, struct net_connection *connection, struct span path)
{
    struct error error;
    size_t i = find_route(path);
    if (i == ROUTE_COUNT) {
        not_found(http, path, &error);
        http_respond_error(connection, &error, NULL);
    } else if (!is_get(connection)) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "%s takes GET only", routes[i].path);
        http_respond_error(connection, &error, "Allow: GET, HEAD\r\n");
    } else if (routes[i].reply) {
        routes[i].reply(http, connection);
    } else {
        reply_later(http, connection, routes[i].print, routes[i].permission);
    }
    return true;
}

const struct http_part http_health_part = {.request = answer_request};
