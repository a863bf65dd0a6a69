#include "server/transport.h"

#include "server/cors.h"
#include "server/event_pipe.h"
#include "server/health.h"
#include "server/http_ingest.h"
#include "server/http_revocations.h"
#include "server/http_views.h"
#include "server/tls.h"

#include <errno.h>
#include <libwebsockets.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    SMALL_READ = 1024,       /* receive buffer of a subscriber, which says little */
    RECORD_READ = 16 * 1024, /* under TLS: as much as one record of it holds */
    LARGE_READ = 64 * 1024,  /* and of a feeder that asked for it */
    WRITE_SIZE = 128 * 1024, /* one write goes to the socket in one piece up to this */
    HANDSHAKE_SECONDS = 20,
    KEEP_ALIVE_SECONDS = 60,
    KEPT_DESCRIPTORS = 32,  /* for health, however many connections there are */
    OTHER_DESCRIPTORS = 512 /* the database, the loop, HTTP requests, the host program */
};

/* A client that feeds much says Sec-WebSocket-Protocol with this name, and gets larger reads: the
 * size hangs on the subprotocol in libwebsockets, it cannot be chosen by path. Everything works
 * without it, too. */
#define INGEST_SUBPROTOCOL "stele-ingest"
#define INGEST_PATH "/v1/ingest"

struct transport {
    struct server *server;
    struct lws_context *context;
    struct lws_vhost *host;
    struct {
        struct lws *wsi;
        struct visitor visitor;
    } arriving;       /* was let in, and becomes a session at the end of its handshake */
    int table;        /* of the library: it takes descriptors below this number */
    int *pipe_record; /* of the event pipe, which the library would close twice; event_pipe.h */
    uv_idle_t watch;  /* on the way out: looks whether the library has left the loop */
    void (*left)(struct server *server);
};

/* What libwebsockets keeps per connection for us; zeroed when it is made. */
struct connection {
    struct session *session;
    struct exchange *exchange;
};

/* TLS of the library, where there is a certificate. It has no business with other servers, so the
 * system's authorities need not be read. */
static uint64_t tls_options(const struct server *server)
{
    return server->certificate
               ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX |
                     LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS
               : 0;
}

static struct server *server_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

/* Which listener a connection came by: a mark that was given to the library with its socket. */
static bool is_health(struct lws *wsi)
{
    return lws_get_opaque_user_data(wsi) != NULL;
}

/* ---- WebSocket ---- */

static bool header_is(struct lws *wsi, enum lws_token_indexes token, const char *wanted)
{
    char value[64];
    return lws_hdr_copy(wsi, value, sizeof value, token) > 0 && strcmp(value, wanted) == 0;
}

static int refuse(struct server *server, struct lws *wsi, const struct error *error)
{
    counter_add(&server->counters.connections_refused, 1);
    return exchange_refuse_upgrade(wsi, error);
}

/* The library finishes the handshake before it turns to anything else, and what it keeps for us per
 * connection is made anew meanwhile: so there is one place for this. Should the handshake fail
 * after all, the next one replaces it. */
static void note_arriving(struct transport *transport, struct lws *wsi, struct visitor *visitor)
{
    visitor_fini(&transport->arriving.visitor);
    transport->arriving.wsi = wsi;
    visitor_move(&transport->arriving.visitor, visitor);
}

/* Here a client is let in, or told why not while it still listens for HTTP. */
static int on_upgrade(struct lws *wsi, const char *protocol)
{
    struct server *server = server_of(wsi);
    bool ingest = header_is(wsi, WSI_TOKEN_GET_URI, INGEST_PATH);
    enum door_wish wish = ingest ? DOOR_FEED : DOOR_SUBSCRIBE;
    struct visitor visitor;
    struct error error;
    visitor_fini(&server->transport->arriving.visitor); /* of a handshake that failed after all */
    if (!door_is_whole(wsi, &error))
        return refuse(server, wsi, &error);
    if (is_health(wsi)) {
        error_set(&error, ERROR_INVALID_MESSAGE, "there is no WebSocket on the health port");
        return refuse(server, wsi, &error);
    }
    if (strcasecmp(protocol, "websocket") != 0) {
        error_set(&error, ERROR_INVALID_MESSAGE, "only an upgrade to websocket is possible here");
        return refuse(server, wsi, &error);
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) > 0 &&
        !(ingest && header_is(wsi, WSI_TOKEN_PROTOCOL, INGEST_SUBPROTOCOL))) {
        error_set(&error, ERROR_INVALID_MESSAGE,
                  "this Sec-WebSocket-Protocol is not spoken here; leave it out");
        return refuse(server, wsi, &error);
    }
    if (!server_let_in(server, wsi, wish, &visitor, &error))
        return refuse(server, wsi, &error);
    door_entered(server, wsi, &visitor, wish);
    note_arriving(server->transport, wsi, &visitor);
    return 0;
}

static int on_established(struct lws *wsi, struct connection *connection)
{
    struct server *server = server_of(wsi);
    bool ingest = header_is(wsi, WSI_TOKEN_GET_URI, INGEST_PATH);
    struct transport *transport = server->transport;
    struct visitor *visitor = &transport->arriving.visitor;
    if (transport->arriving.wsi != wsi || !visitor->identity)
        return -1;
    connection->session = ingest ? session_ingest_new(server, wsi, visitor)
                                 : session_subscriber_new(server, wsi, visitor);
    return connection->session ? 0 : -1;
}

static int on_receive(struct lws *wsi, struct session *session, struct span bytes)
{
    session_receive(session, bytes, lws_frame_is_binary(wsi), lws_is_final_fragment(wsi));
    return 0;
}

static void on_closed(struct connection *connection)
{
    struct session *session = connection->session;
    connection->session = NULL;
    if (session)
        session_closed(session);
}

static int on_session(struct lws *wsi, enum lws_callback_reasons reason, struct session *session,
                      struct span bytes)
{
    switch (reason) {
    case LWS_CALLBACK_RECEIVE:
        return on_receive(wsi, session, bytes);
    case LWS_CALLBACK_RECEIVE_PONG:
        session_heard(session);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return session_writable(session) ? 0 : -1;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return session_peer_closes(session) ? 0 : -1;
    default:
        return 0;
    }
}

/* A connection without a session is one that could not have one: it is being closed. */
static int on_websocket(struct lws *wsi, enum lws_callback_reasons reason,
                        struct connection *connection, struct span bytes)
{
    switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_upgrade(wsi, bytes.data);
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(wsi, connection);
    case LWS_CALLBACK_CLOSED:
        on_closed(connection);
        return 0;
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_RECEIVE_PONG:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return connection->session ? on_session(wsi, reason, connection->session, bytes) : -1;
    default:
        return 0;
    }
}

/* ---- HTTP ---- */

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, struct connection *connection,
                   struct span bytes)
{
    switch (reason) {
    case LWS_CALLBACK_HTTP_BODY:
        /* Of a request that was answered already, it is read and dropped. */
        return !connection->exchange || http_ingest_body(connection->exchange, bytes) ? 0 : -1;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return connection->exchange && http_ingest_complete(connection->exchange) ? 0 : -1;
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return connection->exchange ? exchange_writable(&connection->exchange) : 0;
    case LWS_CALLBACK_CLOSED_HTTP:
        if (connection && connection->exchange)
            exchange_gone(connection->exchange);
        if (connection)
            connection->exchange = NULL;
        return 0;
    default:
        return on_websocket(wsi, reason, connection, bytes);
    }
}

static int on_request(struct lws *wsi, struct connection *connection, struct span path)
{
    struct server *server = server_of(wsi);
    struct error error;
    if (!door_is_whole(wsi, &error))
        return exchange_reply_and_part(wsi, &error, NULL);
    if (is_health(wsi))
        return health_request(server, wsi, path, &connection->exchange);
    counter_add(&server->counters.http_requests, 1);
    if (cors_is_preflight(wsi))
        return cors_reply(wsi);
    if (http_revocations_has(path))
        return http_revocations_request(server, wsi, &connection->exchange);
    if (http_views_has(path))
        return http_views_request(server, wsi, path, &connection->exchange);
    return http_ingest_request(server, wsi, path, &connection->exchange);
}

/* The virtual host is made, and says how it speaks TLS; `wsi` is none, it only knows the context.
 */
static int on_tls(struct lws *wsi, void *tls)
{
    struct error error;
    if (certificate_prepare(tls, &server_of(wsi)->certificate, &error))
        return 0;
    log_error("tls", "not-prepared", "error=\"%s\"", error.message);
    return -1;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length)
{
    struct connection *connection = user;
    struct span bytes = span_make(in, length);
    if (reason == LWS_CALLBACK_HTTP)
        return on_request(wsi, connection, bytes);
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS)
        return on_tls(wsi, user);
    return on_http(wsi, reason, connection, bytes);
}

/* ---- the library's side ---- */

/* tx_packet_size caps how much of one write goes to the socket; the rest would be copied. */
static const struct lws_protocols protocols[] = {
    {.name = "",
     .callback = on_event,
     .per_session_data_size = sizeof(struct connection),
     .rx_buffer_size = SMALL_READ,
     .tx_packet_size = WRITE_SIZE},
    {.name = INGEST_SUBPROTOCOL,
     .callback = on_event,
     .per_session_data_size = sizeof(struct connection),
     .rx_buffer_size = LARGE_READ,
     .tx_packet_size = WRITE_SIZE},
    {.name = NULL},
};

/*
 * Under TLS every read must be able to take a whole record. Libwebsockets 4.1.6 reads on while
 * something of a record is left, also from a connection that it was just told not to read from:
 * then it turns on the spot for ever. A test holds this. The buffer is memory that is not touched
 * before so much is sent.
 */
static const struct lws_protocols tls_protocols[] = {
    {.name = "",
     .callback = on_event,
     .per_session_data_size = sizeof(struct connection),
     .rx_buffer_size = RECORD_READ,
     .tx_packet_size = WRITE_SIZE},
    {.name = INGEST_SUBPROTOCOL,
     .callback = on_event,
     .per_session_data_size = sizeof(struct connection),
     .rx_buffer_size = LARGE_READ,
     .tx_packet_size = WRITE_SIZE},
    {.name = NULL},
};

/* No liveness checks by the library: it keeps a timer per connection for them, in a sorted list
 * that is walked from its head for every message. Ours are in sessions.c. */
static const lws_retry_bo_t no_checks = {.secs_since_valid_ping = 0};

static void on_library_log(int level, const char *line)
{
    int length = (int)strcspn(line, "\n");
    /* Most of its errors are a client's doing. */
    if (level == LLL_ERR)
        log_warning("libwebsockets", "error", "message=\"%.*s\"", length, line);
    else
        log_debug("libwebsockets", "warning", "message=\"%.*s\"", length, line);
}

/*
 * The library sizes its tables by the limit on descriptors, finds connections in them by number,
 * and so needs one that is neither too small for our clients nor absurdly large. The limit is
 * raised where needed, and, where it is huge, lowered for the moment in which the tables are made.
 */
static struct rlimit adjust_descriptors(struct transport *transport, size_t needed)
{
    const struct server *server = transport->server;
    struct rlimit limit, tables;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < needed) {
        limit.rlim_cur =
            limit.rlim_max == RLIM_INFINITY || limit.rlim_max > needed ? needed : limit.rlim_max;
        if (limit.rlim_cur < needed)
            log_warning("server", "few-descriptors", "limit=%llu needed=%zu connections=%zu",
                        (unsigned long long)limit.rlim_cur, needed, server->connection_room);
    }
    tables = limit;
    if (tables.rlim_cur > 2 * needed)
        tables.rlim_cur = 2 * needed;
    setrlimit(RLIMIT_NOFILE, &tables);
    transport->table = (int)tables.rlim_cur;
    return limit;
}

/* The limit is the whole process's: servers that open at a time take turns, or one would take for
 * the wanted limit what another has lowered it to. */
static void create_within_limit(struct transport *transport,
                                const struct lws_context_creation_info *info)
{
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    size_t needed = transport->server->connection_room + OTHER_DESCRIPTORS;
    struct sigaction host;
    pthread_mutex_lock(&turn);
    struct rlimit wanted = adjust_descriptors(transport, needed);
    lws_set_log_level(LLL_ERR | LLL_WARN, on_library_log);
    /* The library ignores SIGPIPE for the whole process. Our threads block it, so that they get
     * EPIPE in any case, and what becomes of it elsewhere is the host's. */
    sigaction(SIGPIPE, NULL, &host);
    transport->context = lws_create_context(info);
    sigaction(SIGPIPE, &host, NULL);
    setrlimit(RLIMIT_NOFILE, &wanted);
    pthread_mutex_unlock(&turn);
}

/* The context, which the library sets to NULL when it is gone. */
static bool create_context(struct transport *transport, struct server *server)
{
    void *loops[] = {&server->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options =
            LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | tls_options(server),
        .foreign_loops = loops,
        .pcontext = &transport->context,
        .user = server,
        .pt_serv_buf_size = LARGE_READ,
        .max_http_header_data = TRANSPORT_HEADER_BYTES,
        .timeout_secs = HANDSHAKE_SECONDS,
        .retry_and_idle_policy = &no_checks,
        .server_string = "stele",
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
    };
    create_within_limit(transport, &info);
    return transport->context != NULL;
}

/* One virtual host for both listeners: between several the library chooses by the Host header. With
 * a certificate it speaks TLS with those connections that are adopted so. Our bytes are HTTP/1.1,
 * so nothing else may be agreed on. */
static bool create_host(struct transport *transport)
{
    struct lws_context_creation_info info = {
        .vhost_name = "stele",
        .port = CONTEXT_PORT_NO_LISTEN_SERVER, /* we accept */
        .options = tls_options(transport->server),
        .alpn = "http/1.1",
        .protocols = transport->server->certificate ? tls_protocols : protocols,
        .timeout_secs = HANDSHAKE_SECONDS,
        .keepalive_timeout = KEEP_ALIVE_SECONDS,
        .retry_and_idle_policy = &no_checks,
    };
    transport->host = lws_create_vhost(transport->context, &info);
    return transport->host != NULL;
}

struct transport *transport_open(struct server *server, struct error *error)
{
    struct transport *transport = memory_new(sizeof *transport);
    if (!transport) {
        error_set(error, ERROR_MEMORY, "out of memory while opening the sockets");
        return NULL;
    }
    transport->server = server;
    if (create_context(transport, server)) {
        transport->pipe_record = event_pipe_record(transport->context, &server->loop);
        return transport;
    }
    memory_free(transport);
    error_set(error, ERROR_NETWORK, "cannot start libwebsockets on libuv's loop");
    return NULL;
}

bool transport_start(struct transport *transport, struct error *error)
{
    if (!transport->pipe_record)
        return error_set(error, ERROR_NETWORK,
                         "libwebsockets %s has no event pipe as it should: either no descriptors "
                         "are left (raise ulimit -n), or this is not version 4.1.6",
                         lws_get_library_version());
    return create_host(transport) || error_set(error, ERROR_NETWORK, "cannot start libwebsockets");
}

/* Given one that its table has no room for, libwebsockets 4.1.6 frees what it did not allocate. */
static bool has_room(const struct transport *transport, enum transport_side side, int socket)
{
    int kept =
        side == TRANSPORT_MAIN && transport->table > 2 * KEPT_DESCRIPTORS ? KEPT_DESCRIPTORS : 0;
    return socket < transport->table - kept;
}

void transport_adopt(struct transport *transport, enum transport_side side, int socket)
{
    static char health_mark;
    const struct server *server = transport->server;
    bool secure = server->certificate && (side == TRANSPORT_MAIN || server->health_tls);
    lws_adopt_desc_t info = {
        .vh = transport->host,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | (secure ? LWS_ADOPT_ALLOW_SSL : 0),
        .fd.sockfd = socket,
        .opaque = side == TRANSPORT_HEALTH ? &health_mark : NULL,
    };
    if (!has_room(transport, side, socket)) {
        counter_add(&transport->server->counters.connections_refused, 1);
        log_warning("server", "too-many-connections", "most=%d", transport->table);
        close(socket);
        return;
    }
    /* The library closes the socket itself when it cannot take it. */
    lws_adopt_descriptor_vhost_via_info(&info);
}

/* ---- leaving ---- */

static void count_handle(uv_handle_t *handle, void *count)
{
    (void)handle;
    ++*(size_t *)count;
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct transport *transport = handle->data;
    visitor_fini(&transport->arriving.visitor);
    transport->left(transport->server);
    memory_free(transport);
}

/*
 * As a guest the library cannot wait for its handles to be closed; it is told a second time to go
 * when they are. Its memory, and the very code of its event plugin, are gone after that.
 */
static void on_watch(uv_idle_t *watch)
{
    struct transport *transport = watch->data;
    size_t handles = 0;
    uv_walk(&transport->server->loop, count_handle, &handles);
    if (handles > SERVER_HANDLES + 1) /* the server's own and this one */
        return;
    if (transport->context)
        lws_context_destroy(transport->context);
    uv_close((uv_handle_t *)watch, on_watch_closed);
}

static void close_guest(uv_handle_t *handle, void *argument)
{
    struct server *server = argument;
    bool own = handle == (uv_handle_t *)&server->async || handle == (uv_handle_t *)&server->tick ||
               handle == (uv_handle_t *)&server->due ||
               handle == (uv_handle_t *)&server->watch.prepare;
    if (!own && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* A context without the event pipe that we know never served. It would not leave by itself, or not
 * safely, so it is left lying as it is; only the loop must be free of it. */
static void abandon_context(struct transport *transport)
{
    uv_walk(&transport->server->loop, close_guest, transport->server);
    transport->context = NULL;
}

void transport_leave(struct transport *transport, void (*left)(struct server *server))
{
    transport->left = left;
    if (transport->pipe_record) {
        lws_context_destroy(transport->context);
        event_pipe_forget(transport->pipe_record);
    } else {
        abandon_context(transport);
    }
    transport->watch.data = transport;
    uv_idle_init(&transport->server->loop, &transport->watch);
    uv_idle_start(&transport->watch, on_watch);
}
