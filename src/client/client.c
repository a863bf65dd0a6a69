#include "client/client.h"

#include "auth/certificate.h"
#include "client/access.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <unistd.h>

enum {
    TICK_US = 100 * 1000,
    FIRST_PAUSE_MS = 100,
    LONGEST_PAUSE_MS = 5000,
    RECEIVE_BYTES = 64 * 1024,
    SEND_LIMIT = 1 << 30,
    PING_SECONDS = 20,
    HANG_UP_SECONDS = 60
};

enum client_state {
    CLIENT_IDLE,       /* no connection, none under way; `attempt_at` tells when to try */
    CLIENT_CONNECTING, /* lws works on it */
    CLIENT_OPEN,
    CLIENT_CLOSING /* we ended it; lws has not told us its end yet */
};

struct client {
    struct client_options options;
    struct client_target target;
    struct buffer token; /* for the connection that is being made */
    struct lws_context *context;
    struct lws *connection; /* while not idle */
    enum client_state state;
    bool was_open;                /* there was a connection once */
    bool stopping;                /* client_stop was called */
    bool given_up;                /* `ended` wants no other connection, or patience ran out */
    bool never_open;              /* and then: that connection was never established */
    bool freed;                   /* what lws still has to say is nobody's business any more */
    uint64_t attempt_at, lost_at; /* monotonic */
    uint64_t pause_ms;            /* before the next attempt */
    char distrust[256];           /* what is wrong with the server's certificate; or "" */
    struct client_end end;        /* of the connection that is there now */
    struct buffer received, outgoing;
    lws_sorted_usec_list_t timer;
};

static const lws_retry_bo_t idle_policy = {
    .secs_since_valid_ping = PING_SECONDS,
    .secs_since_valid_hangup = HANG_UP_SECONDS,
};

/* ---- the token ---- */

/* Libwebsockets asks while it writes the request; `place` is where the next header goes. */
static int add_token(struct client *client, struct lws *connection, unsigned char **place,
                     size_t room)
{
    static const unsigned char name[] = "authorization:";
    struct buffer value;
    if (!client->token.length)
        return 0;
    buffer_init(&value, CLIENT_TOKEN_LIMIT + 16);
    buffer_add_string(&value, "Bearer ");
    buffer_add_span(&value, buffer_span(&client->token));
    bool added =
        !value.failed && lws_add_http_header_by_name(connection, name, (unsigned char *)value.data,
                                                     (int)value.length, place, *place + room) == 0;
    if (value.data)
        explicit_bzero(value.data, value.capacity);
    buffer_fini(&value);
    return added ? 0 : -1;
}

/* ---- events of one connection ---- */

static void receive(struct client *client, struct lws *connection, const char *data, size_t length)
{
    if (lws_is_first_fragment(connection))
        buffer_clear(&client->received);
    if (!buffer_add(&client->received, data, length)) {
        snprintf(client->end.reason, sizeof(client->end.reason),
                 "a message is larger than %zu bytes", client->received.limit);
        client_break(client);
        return;
    }
    if (!lws_is_final_fragment(connection) || client->state != CLIENT_OPEN)
        return;
    client->pause_ms = FIRST_PAUSE_MS;
    client->options.handlers.message(client->options.argument, buffer_span(&client->received));
}

static int write_next(struct client *client)
{
    static const char room[LWS_PRE];
    buffer_clear(&client->outgoing);
    buffer_add(&client->outgoing, room, LWS_PRE);
    if (!client->options.handlers.next(client->options.argument, &client->outgoing) ||
        client->state != CLIENT_OPEN)
        return 0;
    size_t length = client->outgoing.length - LWS_PRE;
    unsigned char *text = (unsigned char *)client->outgoing.data + LWS_PRE;
    if (client->outgoing.failed || lws_write(client->connection, text, length, LWS_WRITE_TEXT) < 0)
        return -1;
    lws_callback_on_writable(client->connection);
    return 0;
}

static void note_close(struct client *client, const unsigned char *data, size_t length)
{
    if (length < 2)
        return;
    client->end.code = data[0] << 8 | data[1];
    snprintf(client->end.reason, sizeof(client->end.reason), "%.*s", (int)length - 2, data + 2);
}

static void ended(struct client *client)
{
    uint64_t now = clock_monotonic_us();
    client->state = CLIENT_IDLE;
    client->connection = NULL;
    if (client->end.opened) {
        client->lost_at = now;
        client->was_open = true;
    }
    if (!client->options.handlers.ended(client->options.argument, &client->end)) {
        client->given_up = true;
        client->never_open = !client->end.opened;
    }
    int64_t patience =
        client->was_open ? client->options.patience_ms : client->options.first_patience_ms;
    if (now - client->lost_at >= (uint64_t)patience * 1000) {
        client->given_up = true;
        client->never_open = !client->end.opened;
    }
    client->attempt_at = now + client->pause_ms * 1000;
    client->pause_ms *= 2;
    if (client->pause_ms > LONGEST_PAUSE_MS)
        client->pause_ms = LONGEST_PAUSE_MS;
}

static void failed(struct client *client, struct lws *connection, const char *why)
{
    unsigned status = connection ? lws_http_client_http_response(connection) : 0;
    char code[64] = "";
    if (status >= 300) {
        static const char header[] = "x-error-code:";
        client->end.status = (int)status;
        if (lws_hdr_custom_copy(connection, code, sizeof code, header, sizeof header - 1) < 0)
            code[0] = '\0';
        bool is_other = strcmp(code, error_kind(ERROR_INVALID_MESSAGE)->wire) == 0;
        snprintf(client->end.reason, sizeof(client->end.reason), "HTTP status %u%s%s%s", status,
                 code[0] ? ": " : "", code,
                 is_other ? " (perhaps the health port, or one that speaks TLS: wss://)" : "");
    } else {
        bool is_tls = why && strstr(why, "SSL");
        snprintf(client->end.reason, sizeof(client->end.reason), "%.200s%s",
                 client->distrust[0] ? client->distrust
                 : why               ? why
                                     : "no connection",
                 is_tls && !client->distrust[0] ? " (perhaps a port without TLS: ws://)" : "");
    }
    ended(client);
}

/* While the server's certificate is looked at; what libwebsockets says afterwards is only that it
 * failed. */
static void note_distrust(struct client *client, void *verification)
{
    const char *problem = certificate_problem(verification);
    if (problem)
        snprintf(client->distrust, sizeof client->distrust, "its certificate is not trusted: %s%s",
                 problem,
                 client->options.access.ca_file ? "" : " (--ca FILE gives another authority)");
}

static int on_event(struct lws *connection, enum lws_callback_reasons event, void *user, void *data,
                    size_t length)
{
    struct client *client = lws_context_user(lws_get_context(connection));
    if (client->freed)
        return 0;
    switch (event) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        client->state = CLIENT_OPEN;
        client->end.opened = true;
        client->options.handlers.opened(client->options.argument);
        lws_callback_on_writable(connection);
        if (client->stopping)
            client_break(client);
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        receive(client, connection, data, length);
        break;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return client->state == CLIENT_OPEN ? write_next(client) : -1;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        note_close(client, data, length);
        break;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return add_token(client, connection, data, length);
    case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
        note_distrust(client, user);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        failed(client, connection, data);
        break;
    case LWS_CALLBACK_CLIENT_CLOSED:
        ended(client);
        break;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        client->options.handlers.tick(client->options.argument);
        return 0; /* not about our connection: another answer would close lws's own pipe */
    default:
        break;
    }
    return client->state == CLIENT_CLOSING ? -1 : 0;
}

static const struct lws_protocols protocols[] = {
    {.name = "stele", .callback = on_event, .rx_buffer_size = RECEIVE_BYTES},
    {.name = NULL},
};

/* ---- life ---- */

/* libwebsockets needs the random device, and does not say so. */
static bool check_random(struct error *error)
{
    int device = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (device < 0)
        return error_set(
            error, ERROR_CONFIGURATION,
            "cannot open /dev/urandom (%s), which libwebsockets needs: make it there in "
            "the container or chroot",
            error_reason(errno));
    close(device);
    return true;
}

/* The system's authorities, or instead those of a file. */
static bool open_context(struct client *client, struct error *error)
{
    const char *ca = client->options.access.ca_file;
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = client->target.secure ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0,
        .protocols = protocols,
        .user = client,
        .pt_serv_buf_size = RECEIVE_BYTES,
        .retry_and_idle_policy = &idle_policy,
        .gid = -1,
        .uid = -1,
    };
    if (client->target.secure && ca) {
        info.options |= LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
        info.client_ssl_ca_filepath = ca;
    }
    if (!check_random(error))
        return false;
    client->context = lws_create_context(&info);
    return client->context || error_set(error, ERROR_NETWORK, "libwebsockets could not be started");
}

struct client *client_new(const struct client_options *options, struct error *error)
{
    struct client *client = memory_new(sizeof(*client));
    if (!client) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    client->options = *options;
    client->pause_ms = FIRST_PAUSE_MS;
    buffer_init(&client->received, options->max_message_bytes);
    buffer_init(&client->outgoing, SEND_LIMIT);
    buffer_init(&client->token, CLIENT_TOKEN_LIMIT);
    /* The commands report errors in their own words. */
    lws_set_log_level(0, NULL);
    const char *ca = options->access.ca_file;
    if (client_target_parse(&client->target, options->url, options->path, error) &&
        client_token_read(&options->access, &client->token, error) &&
        (!client->target.secure || !ca || client_check_authorities(ca, error)) &&
        open_context(client, error))
        return client;
    client_free(client);
    return NULL;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    client->freed = true;
    if (client->context)
        lws_context_destroy(client->context);
    buffer_fini(&client->received);
    buffer_fini(&client->outgoing);
    if (client->token.data)
        explicit_bzero(client->token.data, client->token.capacity);
    buffer_fini(&client->token);
    memory_free(client);
}

static void attempt(struct client *client)
{
    char host_header[300];
    bool bracketed = strchr(client->target.host, ':') != NULL;
    snprintf(host_header, sizeof(host_header), bracketed ? "[%s]:%d" : "%s:%d", client->target.host,
             client->target.port);
    struct lws_client_connect_info info = {
        .context = client->context,
        .address = client->target.host,
        .port = client->target.port,
        .path = client->target.path,
        .host = host_header,
        /* A redirect would take the token along. */
        .ssl_connection =
            LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (client->target.secure ? LCCSCF_USE_SSL : 0),
        .alpn = "http/1.1",
        .local_protocol_name = protocols[0].name,
        .pwsi = &client->connection,
        .retry_and_idle_policy = &idle_policy,
    };
    client->state = CLIENT_CONNECTING;
    client->end = (struct client_end){0};
    client->distrust[0] = '\0';
    struct error error;
    if (!client_token_read(&client->options.access, &client->token, &error)) {
        failed(client, NULL, error.message);
        return;
    }
    /* It may fail at once, and then the callback may have told so or not. */
    if (!lws_client_connect_via_info(&info) && client->state == CLIENT_CONNECTING)
        failed(client, NULL, NULL);
}

static void on_timer(lws_sorted_usec_list_t *timer)
{
    struct client *client = lws_container_of(timer, struct client, timer);
    lws_sul_schedule(client->context, 0, &client->timer, on_timer, TICK_US);
    client->options.handlers.tick(client->options.argument);
}

bool client_run(struct client *client, struct error *error)
{
    client->lost_at = clock_monotonic_us();
    lws_sul_schedule(client->context, 0, &client->timer, on_timer, TICK_US);
    while (!client->given_up && !(client->stopping && client->state == CLIENT_IDLE)) {
        if (client->state == CLIENT_IDLE && clock_monotonic_us() >= client->attempt_at)
            attempt(client);
        else
            lws_service(client->context, 0);
    }
    lws_sul_cancel(&client->timer);
    bool bracketed = strchr(client->target.host, ':') != NULL;
    if (client->stopping || !client->never_open)
        return true;
    return error_set(error, ERROR_NETWORK, "no connection to %s://%s%s%s:%d%s: %s",
                     client->target.secure ? "wss" : "ws", bracketed ? "[" : "",
                     client->target.host, bracketed ? "]" : "", client->target.port,
                     client->target.path, client->end.reason);
}

void client_send(struct client *client)
{
    if (client->state == CLIENT_OPEN)
        lws_callback_on_writable(client->connection);
}

void client_break(struct client *client)
{
    if (client->state != CLIENT_OPEN)
        return;
    client->state = CLIENT_CLOSING;
    lws_close_reason(client->connection, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
    /* The next callback on this connection ends it; this makes sure that one comes. */
    lws_callback_on_writable(client->connection);
}

void client_stop(struct client *client)
{
    client->stopping = true;
    client_break(client);
}

void client_wake(struct client *client)
{
    lws_cancel_service(client->context);
}
