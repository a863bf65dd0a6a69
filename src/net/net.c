/* All connections of a loop: taking them over, their turns and times, and the end. */
#include "net/net_internal.h"

#include <unistd.h>

enum { NET_HANDLES = 2 /* the turn and the timer */ };

/* ---- turns ---- */

/* Each that stands in line has one turn; one that comes back meanwhile has the next. */
static void on_turn(uv_idle_t *turn)
{
    struct net *net = turn->data;
    struct link line;
    link_init(&line);
    while (!link_alone(&net->turns)) {
        struct link *first = net->turns.next;
        link_remove(first);
        link_append(&line, first);
    }
    while (!link_alone(&line)) {
        struct net_connection *connection = LINK_OWNER(struct net_connection, in_turns, line.next);
        link_remove(&connection->in_turns);
        connection_take_turn(connection);
    }
    if (link_alone(&net->turns))
        uv_idle_stop(&net->turn);
}

/* ---- times ---- */

static void on_time(uv_timer_t *timer)
{
    struct net *net = timer->data;
    struct heap_entry *first;
    while ((first = heap_first(&net->deadlines)) &&
           first->order <= (int64_t)uv_now(net->options.loop)) {
        struct net_connection *connection = LINK_OWNER(struct net_connection, deadline, first);
        heap_remove(&net->deadlines, first);
        if (connection->mode == MODE_HEAD && connection->request)
            request_is_late(connection);
        else
            net_close(connection);
    }
    net_arm(net);
}

/* ---- life ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct net *net = handle->data;
    if (--net->open_handles)
        return;
    tls_context_free(net->tls);
    net->left(net->options.argument);
    memory_free(net);
}

static void leave_if_alone(struct net *net)
{
    if (!net->left || net->count)
        return;
    uv_close((uv_handle_t *)&net->turn, on_handle_closed);
    uv_close((uv_handle_t *)&net->timer, on_handle_closed);
}

void net_leave(struct net *net, void (*left)(void *argument))
{
    net->left = left;
    for (struct link *link = net->all.next; link != &net->all; link = link->next)
        net_close(LINK_OWNER(struct net_connection, in_all, link));
    leave_if_alone(net);
}

/* ---- one connection ---- */

static void connection_free(struct net_connection *connection)
{
    struct net *net = connection->net;
    request_forget(connection);
    tls_stream_free(connection->tls);
    buffer_fini(&connection->flying);
    buffer_fini(&connection->waiting);
    buffer_fini(&connection->ahead);
    memory_free(connection->frames);
    memory_free(connection->pong);
    memory_free(connection);
    net->count--;
    leave_if_alone(net);
}

static void on_closed(uv_handle_t *handle)
{
    struct net_connection *connection = handle->data;
    const struct net *net = connection->net;
    link_remove(&connection->in_all);
    net->options.handler->closed(net->options.argument, connection);
    connection_free(connection);
}

static struct net_connection *connection_new(struct net *net, int side, bool tls)
{
    struct net_connection *connection = memory_new(sizeof *connection);
    if (!connection)
        return NULL;
    connection->net = net;
    connection->number = ++net->numbers;
    connection->side = side;
    connection->tls = tls ? tls_stream_new(net->tls) : NULL;
    if ((tls && !connection->tls) || uv_tcp_init(net->options.loop, &connection->tcp) != 0) {
        tls_stream_free(connection->tls);
        memory_free(connection);
        return NULL;
    }
    connection->tcp.data = connection->write.data = connection;
    link_init(&connection->in_all);
    link_init(&connection->in_turns);
    buffer_init(&connection->flying, WRITE_LIMIT);
    buffer_init(&connection->waiting, WRITE_LIMIT);
    buffer_init(&connection->ahead, AHEAD_LIMIT);
    link_append(&net->all, &connection->in_all);
    net->count++;
    return connection;
}

bool net_adopt(struct net *net, int socket, int side, bool tls)
{
    struct net_connection *connection = net->left ? NULL : connection_new(net, side, tls);
    if (!connection) {
        close(socket);
        return false;
    }
    if (uv_tcp_open(&connection->tcp, socket) != 0) {
        close(socket);
        net_close(connection);
        return true;
    }
    net_set_deadline(connection, net->options.head_ms);
    output_set_reading(connection);
    return true;
}

/* ---- the beginning ---- */

struct net *net_new(const struct net_options *options, struct error *error)
{
    struct net *net = memory_new(sizeof *net);
    if (!net) {
        error_set(error, ERROR_MEMORY, "out of memory while opening the sockets");
        return NULL;
    }
    net->options = *options;
    link_init(&net->all);
    link_init(&net->turns);
    link_init(&net->heads);
    if (*options->certificate)
        net->tls = tls_context_new(options->certificate, error);
    if (*options->certificate && !net->tls) {
        memory_free(net);
        return NULL;
    }
    uv_idle_init(options->loop, &net->turn);
    uv_timer_init(options->loop, &net->timer);
    net->turn.data = net->timer.data = net;
    net->open_handles = NET_HANDLES;
    net->on_turn = on_turn;
    net->on_time = on_time;
    net->on_closed = on_closed;
    net->on_read = connection_read;
    return net;
}
