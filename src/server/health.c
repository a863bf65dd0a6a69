#include "server/health.h"

#include "server/facts.h"

#include <libwebsockets.h>

static bool is_get(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0 ||
           lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
}

static int reply_text(struct lws *wsi, int status, const char *text)
{
    struct exchange_content content = {.status = status,
                                       .type = "text/plain; charset=utf-8",
                                       .headers = "Cache-Control: no-store\r\n",
                                       .body = span_of(text)};
    return exchange_reply(wsi, &content);
}

static int reply_health(struct server *server, struct lws *wsi)
{
    (void)server;
    return reply_text(wsi, 200, "OK");
}

/* Readers are served also while the disk takes nothing: a server that is taken out of service for
 * it would be lost to them too. */
static int reply_ready(struct server *server, struct lws *wsi)
{
    enum error_code disk = engine_disk_state(server->engine);
    char text[96] = "READY";
    if (server->state != SERVER_RUNNING)
        return reply_text(wsi, 503, "NOT READY");
    if (disk != ERROR_NONE)
        snprintf(text, sizeof text, "READY, but no mutations are taken: %s", error_wire_code(disk));
    return reply_text(wsi, 200, text);
}

/* For who routes producers. */
static int reply_ready_to_write(struct server *server, struct lws *wsi)
{
    enum error_code disk = engine_disk_state(server->engine);
    char text[96] = "NOT READY";
    if (server->state == SERVER_RUNNING && disk == ERROR_NONE)
        return reply_text(wsi, 200, "READY");
    if (disk != ERROR_NONE)
        snprintf(text, sizeof text, "NOT READY: %s", error_wire_code(disk));
    return reply_text(wsi, 503, text);
}

static const struct {
    const char *path;
    int (*reply)(struct server *server, struct lws *wsi); /* at once, or */
    facts_print print;                                    /* when the facts are fresh, */
    enum door_wish wish;                                  /* to who is let in */
} routes[] = {
    {"/health", reply_health, NULL, 0},
    {"/healthz", reply_health, NULL, 0},
    {"/ready", reply_ready, NULL, 0},
    {"/readiness", reply_ready, NULL, 0},
    {"/ready/write", reply_ready_to_write, NULL, 0},
    {"/status", NULL, status_print, DOOR_STATUS},
    {"/metrics", NULL, metrics_print, DOOR_METRICS},
};

static int reply_later(struct server *server, struct lws *wsi, facts_print print,
                       enum door_wish wish, struct exchange **exchange)
{
    struct error error;
    struct visitor visitor;
    if (!door_enter(server, wsi, wish, &visitor, &error))
        return exchange_reply_error(wsi, &error, NULL);
    *exchange = exchange_new(server, wsi, 0, &visitor);
    if (!*exchange) {
        error_set(&error, ERROR_MEMORY, "out of memory while answering");
        return exchange_reply_error(wsi, &error, NULL);
    }
    facts_when_fresh(server->facts, *exchange, print);
    return 0;
}

/* A body is not read, so the connection ends with the answer. */
static int refuse(struct lws *wsi, const struct error *error, const char *headers)
{
    bool plain = is_get(wsi) && lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0;
    return plain ? exchange_reply_error(wsi, error, headers)
                 : exchange_reply_and_part(wsi, error, headers);
}

int health_request(struct server *server, struct lws *wsi, struct span path,
                   struct exchange **exchange)
{
    struct error error;
    size_t i = 0, count = sizeof routes / sizeof *routes;
    while (i < count && !span_equal(path, span_of(routes[i].path)))
        i++;
    if (i == count) {
        error_set(&error, ERROR_NOT_FOUND,
                  "there are /health, /ready, /ready/write, /status and /metrics on this port");
        return refuse(wsi, &error, NULL);
    }
    if (!is_get(wsi)) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "%s takes GET only", routes[i].path);
        return refuse(wsi, &error, "Allow: GET, HEAD\r\n");
    }
    if (routes[i].reply)
        return routes[i].reply(server, wsi);
    return reply_later(server, wsi, routes[i].print, routes[i].wish, exchange);
}
