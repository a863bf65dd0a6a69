#include "server/transport.h"

#include "http/http.h"
#include "http/ingest.h"
#include "http/request.h"
#include "net/net.h"

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

/* Feeders of an earlier version name it; it changes nothing. */
#define INGEST_SUBPROTOCOL "stele-ingest"

struct transport {
    struct server *server;
    struct net *net;
    size_t sockets[2]; /* by side */
    void (*left)(struct server *server);
};

static struct server *server_of(const struct net_connection *connection)
{
    return LINK_OWNER(struct server, frontend, frontend_of(connection));
}

/* ---- WebSocket ---- */

/* Others are ignored: a client may offer what it likes. */
static const char *choose_subprotocol(const struct net_connection *connection)
{
    bool offered = http_head_has_word(net_state(connection).request, "sec-websocket-protocol",
                                      INGEST_SUBPROTOCOL);
    return http_is_ingest(connection) && offered ? INGEST_SUBPROTOCOL : NULL;
}

static void refuse(struct frontend *frontend, struct net_connection *connection,
                   const struct error *error)
{
    bool old = error->code == ERROR_UPGRADE_REQUIRED;
    counter_add(&frontend->counters.connections_refused, 1);
    net_stop_keeping(connection);
    http_respond_error(connection, error, old ? "Sec-WebSocket-Version: 13\r\n" : NULL);
}

static bool may_upgrade(struct frontend *frontend, struct net_connection *connection,
                        enum permission permission, bool awaited, struct principal *principal,
                        char origin[ACCESS_ORIGIN_BYTES], struct error *error)
{
    if (net_state(connection).side == TRANSPORT_HEALTH) {
        const char *port = strrchr(frontend->http->main_address, ':');
        return error_set(
            error, ERROR_INVALID_MESSAGE, "there is no WebSocket on the health port%s%s",
            port ? "; subscribers and producers connect to port " : "", port ? port + 1 : "");
    }
    if (!net_check_upgrade(connection, error))
        return false;
    if (!frontend->running)
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    return awaited ? access_meet(frontend->access, connection, permission, principal, origin, error)
                   : access_let_in(frontend->access, connection, permission, principal, error);
}

static struct session *new_session(struct frontend *frontend, struct net_connection *connection,
                                   enum permission permission, struct principal *principal)
{
    return permission == PERMISSION_FEED
               ? session_ingest_new(frontend, connection, principal)
               : session_subscriber_new(frontend, connection, principal, 1);
}

/* Here a client is let in, or told why not while it still listens for HTTP; unless it wants to say
 * who it is in its first message. */
static void on_upgrade(struct frontend *frontend, struct net_connection *connection)
{
    bool ingest = http_is_ingest(connection), awaited = access_is_awaited(connection);
    enum permission permission = ingest ? PERMISSION_FEED : PERMISSION_SUBSCRIBE;
    size_t limit = ingest ? frontend->max_request_bytes : frontend->max_message_bytes;
    char origin[ACCESS_ORIGIN_BYTES];
    struct principal principal = {.identity = NULL};
    struct error error;
    if (!may_upgrade(frontend, connection, permission, awaited, &principal, origin, &error)) {
        refuse(frontend, connection, &error);
        return;
    }
    principal.session = roster_number(&frontend->sessions.all);
    if (!awaited)
        access_entered(frontend->access, connection, &principal, permission);
    struct session *session = NULL;
    if (net_upgrade(connection, limit, choose_subprotocol(connection)))
        session = awaited
                      ? session_newcomer_new(frontend, connection, &principal, origin, permission)
                      : new_session(frontend, connection, permission, &principal);
    net_set_data(connection, session, session_writable);
    principal_fini(&principal); /* unless it was moved */
    if (!session)
        net_close(connection);
}

/* ---- requests ---- */

static void on_request(void *argument, struct net_connection *connection)
{
    struct frontend *frontend = argument;
    const struct server *server = server_of(connection);
    bool health = net_state(connection).side == TRANSPORT_HEALTH;
    const char *address = health ? server->health.address : server->main.address;
    struct error error;
    if (!frontend->running)
        net_stop_keeping(connection);
    if (!access_guard(frontend->access, connection, address, &error) ||
        !http_check(connection, health, &error))
        http_respond_error(connection, &error, NULL);
    else if (net_state(connection).request->wants_websocket)
        on_upgrade(frontend, connection);
    else
        http_request(frontend->http, connection, health);
}

static void on_body(void *argument, struct net_connection *connection, struct span bytes)
{
    struct http_request *request = net_state(connection).data;
    (void)argument;
    if (request && request->take)
        http_ingest_body(request, bytes);
}

static void on_body_end(void *argument, struct net_connection *connection)
{
    struct http_request *request = net_state(connection).data;
    (void)argument;
    if (request && request->take)
        http_ingest_complete(request);
}

static void on_bad_request(void *argument, struct net_connection *connection,
                           const struct error *error)
{
    struct http_request *request = net_state(connection).data;
    (void)argument;
    if (request)
        http_request_refuse(request, error);
    else
        http_respond_error(connection, error, NULL);
}

/* ---- sessions ---- */

static bool has_session(const struct net_connection *connection)
{
    return net_state(connection).is_websocket || net_state(connection).is_stream;
}

static void on_message(void *argument, struct net_connection *connection, struct span bytes,
                       bool binary, bool last)
{
    (void)argument;
    struct session *session = net_state(connection).data;
    session_receive(session, bytes, binary, last);
    if (session->successor) {
        net_set_data(connection, session->successor, session_writable);
        session_closed(session);
    }
}

static void on_too_long(void *argument, struct net_connection *connection)
{
    (void)argument;
    session_receive_too_long(net_state(connection).data);
}

static void on_heard(void *argument, struct net_connection *connection)
{
    (void)argument;
    session_heard(net_state(connection).data);
}

static void on_closed(void *argument, struct net_connection *connection)
{
    void *data = net_state(connection).data;
    (void)argument;
    server_of(connection)->transport->sockets[net_state(connection).side]--;
    if (data && has_session(connection))
        session_closed(data);
    else if (data)
        http_request_gone(data);
}

static const struct net_handler handler = {
    .request = on_request,
    .body = on_body,
    .body_end = on_body_end,
    .bad_request = on_bad_request,
    .message = on_message,
    .too_long = on_too_long,
    .heard = on_heard,
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
        log_warning("server", "few-descriptors", log_number("limit", limit.rlim_cur),
                    log_number("needed", needed),
                    log_number("connections", server->connection_room));
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
        counter_add(&transport->server->frontend.counters.connections_refused, 1);
        log_warning("server", "too-many-connections", log_number("most", transport->sockets[side]));
        close(socket);
        return;
    }
    if (net_adopt(transport->net, socket, side, secure))
        transport->sockets[side]++;
    else
        log_error("server", "connection-lost", log_text("error", "out of memory for a connection"));
}

/* ---- life ---- */

static void on_left(void *frontend)
{
    struct server *server = LINK_OWNER(struct server, frontend, (struct frontend *)frontend);
    void (*left)(struct server * server) = server->transport->left;
    memory_free(server->transport);
    left(server);
}

struct transport *transport_open(struct server *server, struct error *error)
{
    struct transport *transport = memory_new(sizeof *transport);
    struct net_options options = {
        .loop = &server->loop,
        .handler = &handler,
        .argument = &server->frontend,
        .certificate = &server->certificate,
        .heads_bytes = HEADS_BYTES,
        .head_ms = HEAD_MS,
        .idle_ms = IDLE_MS,
        .part_ms = PART_MS,
        .tls_failed = &server->frontend.counters.tls_failed,
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
