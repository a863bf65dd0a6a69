/* The life of a connection for all its parts: have a turn, wait, end. */
#include "net/net_internal.h"

void net_schedule(struct net_connection *connection)
{
    struct net *net = connection->net;
    if (connection->closing || !link_alone(&connection->in_turns))
        return;
    link_append(&net->turns, &connection->in_turns);
    uv_idle_start(&net->turn, net->on_turn);
}

void net_arm(struct net *net)
{
    const struct heap_entry *first = heap_first(&net->deadlines);
    if (!first)
        return;
    int64_t left = first->order - (int64_t)uv_now(net->options.loop);
    uv_timer_start(&net->timer, net->on_time, left > 0 ? (uint64_t)left : 0, 0);
}

void net_set_deadline(struct net_connection *connection, uint64_t ms)
{
    struct net *net = connection->net;
    heap_remove(&net->deadlines, &connection->deadline);
    if (connection->closing || !ms)
        return;
    heap_add(&net->deadlines, &connection->deadline,
             (int64_t)uv_now(net->options.loop) + (int64_t)ms);
    if (heap_first(&net->deadlines) == &connection->deadline)
        net_arm(net);
}

/* ---- the request at hand ---- */

static void stop_counting(struct net *net, struct request *request)
{
    if (link_alone(&request->in_heads))
        return;
    link_remove(&request->in_heads);
    net->heads_bytes -= request->text.capacity;
}

void request_stop_waiting(struct net_connection *connection)
{
    if (connection->request)
        stop_counting(connection->net, connection->request);
}

void request_forget(struct net_connection *connection)
{
    struct request *request = connection->request;
    if (!request)
        return;
    connection->request = NULL;
    connection->must_stay = false;
    stop_counting(connection->net, request);
    buffer_fini(&request->text);
    memory_free(request);
}

/* ---- the end ---- */

void net_close(struct net_connection *connection)
{
    if (connection->closing)
        return;
    heap_remove(&connection->net->deadlines, &connection->deadline);
    link_remove(&connection->in_turns);
    request_stop_waiting(connection);
    connection->closing = true;
    connection->reading = false;
    uv_close((uv_handle_t *)&connection->tcp, connection->net->on_closed);
}
