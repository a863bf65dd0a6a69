#include "server/transport.h"

#include "server/cors.h"
#include "server/health.h"
#include "server/http_ingest.h"
#include "server/http_producers.h"
#include "server/http_revocations.h"
#include "server/http_views.h"
#include "server/tls.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    HEADS_BYTES = 16 * 1024 * 1024, /* of request heads that have not ended, over all connections */
    HEAD_MS = 20 * 1000,
    /* Longer than the 60 s of common proxies: who closes first must be the one that would send the
     * next request, or that request is lost. */
    IDLE_MS = 75 * 1000,
    PART_MS = 5 * 1000,
    HEALTH_CONNECTIONS = 64, /* there is room for them, however many others there are */
    ARRIVING = 512,          /* sockets beyond the connections that are let in */
    OTHER_DESCRIPTORS = 256  /* the database, the loop, outgoing requests, the host program */
};

#define INGEST_PATH "/v1/ingest"
/* Feeders of an earlier version name it; it changes nothing. */
#define INGEST_SUBPROTOCOL "stele-ingest"

struct transport {
    struct server *server;
    struct net *net;
    size_t sockets[2]; /* by side */
    void (*left)(struct server *server);
};

struct server *transport_server(const struct net_connection *connection)
{
    return ((const struct transport *)net_argument(connection))->server;
}

/* ---- WebSocket ---- */

/* Some proxies leave the path in front under which they serve us, others take it off. */
static size_t base_length(const struct net_connection *connection)
{
    const char *base = transport_server(connection)->base_path;
    struct span path = net_request(connection)->path;
    size_t length = base ? strlen(base) : 0;
    bool is_there = path.length >= length && memcmp(path.data, base ? base : "", length) == 0;
    return is_there && (path.length == length || path.data[length] == '/') ? length : 0;
}

static struct span path_of(const struct net_connection *connection)
{
    struct span path = net_request(connection)->path;
    size_t length = base_length(connection);
    return path.length == length ? span_of("/")
                                 : span_make(path.data + length, path.length - length);
}

/* A '/' may be escaped in names, which no route has before its third segment. Else what a proxy
 * takes for one path might be another one here. */
static bool check_path(const struct net_connection *connection, struct error *error)
{
    const struct http_head *head = net_request(connection);
    int segments = 0;
    if (head->path_plain == head->path.length)
        return true;
    for (size_t at = base_length(connection); at < head->path_plain; at++)
        segments += head->path.data[at] == '/';
    return segments >= 3 || error_set(error, ERROR_INVALID_MESSAGE,
                                      "the path has an escaped '/' (%%2F) that belongs to no name; "
                                      "send the path as it is meant");
}

static bool is_ingest(const struct net_connection *connection)
{
    struct span path = path_of(connection);
    return span_equal(path, span_of(INGEST_PATH)) || span_equal(path, span_of(INGEST_PATH "/"));
}

/* Others are ignored: a client may offer what it likes. */
static const char *choose_subprotocol(const struct net_connection *connection)
{
    bool offered =
        http_head_has_word(net_request(connection), "sec-websocket-protocol", INGEST_SUBPROTOCOL);
    return is_ingest(connection) && offered ? INGEST_SUBPROTOCOL : NULL;
}

static void refuse(struct server *server, struct net_connection *connection,
                   const struct error *error)
{
    bool old = error->code == ERROR_UPGRADE_REQUIRED;
    counter_add(&server->counters.connections_refused, 1);
    net_stop_keeping(connection);
    exchange_reply_error(connection, error, old ? "Sec-WebSocket-Version: 13\r\n" : NULL);
}

static bool may_upgrade(struct server *server, struct net_connection *connection,
                        enum permission permission, struct principal *principal,
                        struct error *error)
{
    if (net_side(connection) == TRANSPORT_HEALTH) {
        const char *port = strrchr(server_address(server), ':');
        return error_set(
            error, ERROR_INVALID_MESSAGE, "there is no WebSocket on the health port%s%s",
            port ? "; subscribers and producers connect to port " : "", port ? port + 1 : "");
    }
    return net_check_upgrade(connection, error) &&
           access_let_in(server->access, connection, permission, principal, error);
}

/* Here a client is let in, or told why not while it still listens for HTTP. */
static void on_upgrade(struct server *server, struct net_connection *connection)
{
    bool ingest = is_ingest(connection);
    enum permission permission = ingest ? PERMISSION_FEED : PERMISSION_SUBSCRIBE;
    size_t limit = ingest ? server->max_request_bytes : server->max_message_bytes;
    struct principal principal = {.identity = NULL};
    struct error error;
    if (!may_upgrade(server, connection, permission, &principal, &error)) {
        refuse(server, connection, &error);
        return;
    }
    access_entered(server->access, connection, &principal, permission);
    struct session *session = NULL;
    if (net_upgrade(connection, limit, choose_subprotocol(connection)))
        session = ingest ? session_ingest_new(server, connection, &principal)
                         : session_subscriber_new(server, connection, &principal);
    net_set_data(connection, session);
    principal_fini(&principal); /* unless it was moved */
    if (!session)
        net_close(connection);
}

/* ---- requests ---- */

/* A body where none is taken is refused before anybody else hears of the request: its answer may
 * come later, and the body would be taken for one that is awaited. */
static bool check_body(const struct net_connection *connection, struct error *error)
{
    const struct http_head *head = net_request(connection);
    bool main = net_side(connection) == TRANSPORT_MAIN;
    return !head->body_length || (main && head->method == HTTP_POST) ||
           error_set(error, ERROR_INVALID_MESSAGE, "this request has no body here");
}

static void route(struct server *server, struct net_connection *connection)
{
    struct span path = path_of(connection);
    if (net_side(connection) == TRANSPORT_HEALTH) {
        health_request(server, connection, path);
        return;
    }
    counter_add(&server->counters.http_requests, 1);
    if (cors_is_preflight(connection))
        cors_reply(connection);
    else if (http_revocations_has(path))
        http_revocations_request(server, connection);
    else if (http_producers_has(path))
        http_producers_request(server, connection, path);
    else if (http_views_has(path))
        http_views_request(server, connection, path);
    else
        http_ingest_request(server, connection, path);
}

static void on_request(void *argument, struct net_connection *connection)
{
    struct server *server = ((struct transport *)argument)->server;
    bool health = net_side(connection) == TRANSPORT_HEALTH;
    struct error error;
    if (server->state != SERVER_RUNNING)
        net_stop_keeping(connection);
    if (!access_guard(server->access, connection,
                      health ? server->health.address : server->main.address, &error) ||
        !check_path(connection, &error) || !check_body(connection, &error))
        exchange_reply_error(connection, &error, NULL);
    else if (net_request(connection)->wants_websocket)
        on_upgrade(server, connection);
    else
        route(server, connection);
}

static void on_body(void *argument, struct net_connection *connection, struct span bytes)
{
    struct exchange *exchange = net_data(connection);
    (void)argument;
    if (exchange && exchange->take)
        http_ingest_body(exchange, bytes);
}

static void on_body_end(void *argument, struct net_connection *connection)
{
    struct exchange *exchange = net_data(connection);
    (void)argument;
    if (exchange && exchange->take)
        http_ingest_complete(exchange);
}

static void on_bad_request(void *argument, struct net_connection *connection,
                           const struct error *error)
{
    struct exchange *exchange = net_data(connection);
    (void)argument;
    if (exchange)
        exchange_break_off(exchange, error);
    else
        exchange_reply_error(connection, error, NULL);
}

/* ---- messages ---- */

static void on_message(void *argument, struct net_connection *connection, struct span bytes,
                       bool binary, bool last)
{
    (void)argument;
    session_receive(net_data(connection), bytes, binary, last);
}

static void on_too_long(void *argument, struct net_connection *connection)
{
    (void)argument;
    session_receive_too_long(net_data(connection));
}

static void on_heard(void *argument, struct net_connection *connection)
{
    (void)argument;
    session_heard(net_data(connection));
}

static void on_writable(void *argument, struct net_connection *connection)
{
    (void)argument;
    if (net_is_websocket(connection))
        session_writable(net_data(connection));
    else if (net_data(connection))
        exchange_writable(net_data(connection));
}

static void on_closed(void *argument, struct net_connection *connection)
{
    struct transport *transport = argument;
    void *data = net_data(connection);
    transport->sockets[net_side(connection)]--;
    if (data && net_is_websocket(connection))
        session_closed(data);
    else if (data)
        exchange_gone(data);
}

static const struct net_handler handler = {
    .request = on_request,
    .body = on_body,
    .body_end = on_body_end,
    .bad_request = on_bad_request,
    .message = on_message,
    .too_long = on_too_long,
    .heard = on_heard,
    .writable = on_writable,
    .closed = on_closed,
};

/* ---- descriptors ---- */

/* The limit is the whole process's, and is raised only: servers that open at a time take turns, or
 * one would take for the present limit what another has just replaced. */
static void raise_limit(const struct server *server)
{
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    size_t needed = server->connection_room + ARRIVING + HEALTH_CONNECTIONS + OTHER_DESCRIPTORS;
    struct rlimit limit;
    pthread_mutex_lock(&turn);
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < needed) {
        rlim_t most = limit.rlim_max;
        limit.rlim_cur = most == RLIM_INFINITY || most > needed ? needed : most;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < needed)
        log_warning("server", "few-descriptors", "limit=%llu needed=%zu connections=%zu",
                    (unsigned long long)limit.rlim_cur, needed, server->connection_room);
    pthread_mutex_unlock(&turn);
}

static bool has_room(const struct transport *transport, enum transport_side side)
{
    size_t most = side == TRANSPORT_MAIN ? transport->server->connection_room + ARRIVING
                                         : (size_t)HEALTH_CONNECTIONS;
    return transport->sockets[side] < most;
}

void transport_adopt(struct transport *transport, enum transport_side side, int socket)
{
    const struct server *server = transport->server;
    bool secure = server->certificate && (side == TRANSPORT_MAIN || server->health_tls);
    if (!has_room(transport, side)) {
        counter_add(&transport->server->counters.connections_refused, 1);
        log_warning("server", "too-many-connections", "most=%zu", transport->sockets[side]);
        close(socket);
        return;
    }
    if (net_adopt(transport->net, socket, side, secure))
        transport->sockets[side]++;
    else
        log_error("server", "connection-lost", "error=\"%s\"", "out of memory for a connection");
}

/* ---- life ---- */

static void on_left(void *argument)
{
    struct transport *transport = argument;
    void (*left)(struct server * server) = transport->left;
    struct server *server = transport->server;
    memory_free(transport);
    left(server);
}

struct transport *transport_open(struct server *server, struct error *error)
{
    struct transport *transport = memory_new(sizeof *transport);
    struct net_options options = {
        .loop = &server->loop,
        .handler = &handler,
        .argument = transport,
        .certificate = &server->certificate,
        .heads_bytes = HEADS_BYTES,
        .head_ms = HEAD_MS,
        .idle_ms = IDLE_MS,
        .part_ms = PART_MS,
        .tls_failed = &server->counters.tls_failed,
    };
    if (!transport) {
        error_set(error, ERROR_MEMORY, "out of memory while opening the sockets");
        return NULL;
    }
    transport->server = server;
    raise_limit(server);
    transport->net = net_new(&options, error);
    if (transport->net)
        return transport;
    memory_free(transport);
    return NULL;
}

void transport_leave(struct transport *transport, void (*left)(struct server *server))
{
    transport->left = left;
    net_leave(transport->net, on_left);
}
