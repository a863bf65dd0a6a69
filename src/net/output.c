/* One connection: what goes out by its socket, under TLS where it has that, and whether it is read.
 */
#include "net/net_internal.h"

#include <netdb.h>
#include <sys/socket.h>

enum { SHORT_FRAME = 2 + FRAME_CONTROL_LIMIT };

struct net_state net_state(const struct net_connection *connection)
{
    const struct request *request = connection->request;
    return (struct net_state){
        .argument = connection->net->options.argument,
        .request = request && request->is_read ? &request->head : NULL,
        .data = connection->data,
        .side = connection->side,
        .number = connection->number,
        .is_websocket = connection->frames != NULL,
        .is_stream = connection->is_stream,
        .is_blocked = connection->write_due,
        .queued = connection->waiting.length +
                  uv_stream_get_write_queue_size((const uv_stream_t *)&connection->tcp),
        .keeps = connection->keeps && connection->mode == MODE_ANSWER};
}

void net_set_data(struct net_connection *connection, void *data, void (*writable)(void *data))
{
    connection->data = data;
    connection->writable = writable;
}

void net_peer(const struct net_connection *connection, char *text, size_t size)
{
    struct sockaddr_storage peer;
    int length = sizeof peer;
    *text = '\0';
    if (uv_tcp_getpeername(&connection->tcp, (struct sockaddr *)&peer, &length) == 0 &&
        getnameinfo((struct sockaddr *)&peer, (socklen_t)length, text, (socklen_t)size, NULL, 0,
                    NI_NUMERICHOST) != 0)
        *text = '\0';
}

/* ---- whether it is read ---- */

/* The next request waits until the answers before it are out: they are what it would cost. While
 * an answer is owed, under TLS, or where no request may follow, only where somebody wants to know:
 * what comes has to be decrypted for it, or is dropped. */
enum output_reading output_reads(const struct net_connection *connection)
{
    if (connection->closing || connection->paused)
        return OUTPUT_READS_NOT;
    if (connection->mode != MODE_ANSWER)
        return connection->mode == MODE_HEAD && connection->write_due ? OUTPUT_READS_NOT
                                                                      : OUTPUT_TAKES;
    return connection->must_stay || (connection->keeps && !connection->tls) ? OUTPUT_LISTENS
                                                                            : OUTPUT_READS_NOT;
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    struct net_connection *connection = handle->data;
    (void)suggested;
    *room = uv_buf_init(connection->net->room, sizeof connection->net->room);
}

void output_set_reading(struct net_connection *connection)
{
    enum output_reading reads = output_reads(connection);
    bool takes = reads == OUTPUT_TAKES && !connection->ahead.length;
    bool wanted = !connection->ended && (takes || reads == OUTPUT_LISTENS);
    if (connection->closing || wanted == connection->reading)
        return;
    connection->reading = wanted;
    if (wanted)
        uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, connection->net->on_read);
    else
        uv_read_stop((uv_stream_t *)&connection->tcp);
}

/* ---- out ---- */

static void write_on(struct net_connection *connection);

void output_half_close(struct net_connection *connection)
{
    int socket;
    connection->half_closed = true;
    if (uv_fileno((uv_handle_t *)&connection->tcp, &socket) == 0)
        shutdown(socket, SHUT_WR);
    if (connection->ended)
        net_close(connection);
    else
        net_set_deadline(connection, connection->net->options.part_ms);
}

bool output_control(struct net_connection *connection, unsigned char first, struct span bytes)
{
    char frame[SHORT_FRAME];
    frame[0] = (char)first;
    frame[1] = (char)bytes.length;
    memcpy(frame + 2, bytes.data, bytes.length);
    return net_write(connection, span_make(frame, 2 + bytes.length));
}

/* Answer the newest ping, if one waits. */
static void answer_ping(struct net_connection *connection)
{
    char *pong = connection->pong;
    connection->pong = NULL;
    if (!connection->close_sent)
        output_control(connection, OUTPUT_PONG, span_make(pong + 1, (unsigned char)pong[0]));
    memory_free(pong);
}

/* All that was given to the socket is with it. */
static void on_drained(struct net_connection *connection)
{
    connection->tls_owed = 0;
    if (connection->pong)
        answer_ping(connection);
    if (connection->write_due)
        return;
    if (connection->end_due && !connection->half_closed)
        output_half_close(connection);
    else if (connection->wants_write || connection->mode == MODE_HEAD)
        net_schedule(connection);
}

static void on_written(uv_write_t *write, int status)
{
    struct net_connection *connection = write->data;
    connection->write_due = false;
    buffer_fini(&connection->flying);
    buffer_init(&connection->flying, WRITE_LIMIT);
    if (connection->closing)
        return;
    if (status < 0)
        net_close(connection);
    else if (connection->waiting.length)
        write_on(connection);
    else
        on_drained(connection);
}

/* Give what waits to the loop. */
static void write_on(struct net_connection *connection)
{
    connection->flying = connection->waiting; /* which is empty */
    buffer_init(&connection->waiting, WRITE_LIMIT);
    uv_buf_t bytes = uv_buf_init(connection->flying.data, (unsigned)connection->flying.length);
    connection->write_due = true;
    if (uv_write(&connection->write, (uv_stream_t *)&connection->tcp, &bytes, 1, on_written) != 0) {
        connection->write_due = false;
        net_close(connection);
    }
}

/* The part of the pieces that the socket takes at once; false: the connection closes. */
static bool try_write(struct net_connection *connection, const struct span *pieces, size_t count,
                      size_t *taken)
{
    uv_buf_t buffers[NET_PIECES];
    *taken = 0;
    if (connection->write_due || connection->waiting.length)
        return true;
    for (size_t i = 0; i < count; i++)
        buffers[i] = uv_buf_init((char *)(uintptr_t)pieces[i].data, (unsigned)pieces[i].length);
    int written = uv_try_write((uv_stream_t *)&connection->tcp, buffers, (unsigned)count);
    if (written < 0 && written != UV_EAGAIN) {
        net_close(connection);
        return false;
    }
    *taken = written > 0 ? (size_t)written : 0;
    return true;
}

/* The socket takes a part at once; the rest is copied and written when it can be. */
bool output_send(struct net_connection *connection, struct span bytes)
{
    size_t taken;
    if (bytes.length && !try_write(connection, &bytes, 1, &taken))
        return false;
    if (bytes.length)
        bytes = span_make(bytes.data + taken, bytes.length - taken);
    if (!bytes.length)
        return true;
    if (!buffer_add_span(&connection->waiting, bytes)) {
        net_close(connection);
        return false;
    }
    if (!connection->write_due)
        write_on(connection);
    return !connection->closing;
}

/* TLS's own records, and those that it made of plain bytes. */
bool output_send_records(struct net_connection *connection)
{
    bool sent = output_send(connection, tls_stream_output(connection->tls));
    tls_stream_sent(connection->tls);
    return sent;
}

bool net_write(struct net_connection *connection, struct span bytes)
{
    if (connection->closing || connection->end_due)
        return false;
    if (!connection->tls)
        return output_send(connection, bytes);
    if (tls_stream_write(connection->tls, bytes))
        return output_send_records(connection);
    net_close(connection);
    return false;
}

/* Piece by piece through TLS, until one has to wait for the socket. */
static bool write_messages(struct net_connection *connection, const struct span *pieces,
                           size_t count, size_t *taken)
{
    *taken = 0;
    for (size_t i = 0; i < count && (i == 0 || !connection->write_due); i++) {
        if (!net_write(connection, pieces[i]))
            return false;
        *taken += pieces[i].length;
    }
    return true;
}

bool net_write_pieces(struct net_connection *connection, const struct span *pieces, size_t count,
                      size_t *taken)
{
    INVARIANT(count > 0 && count <= NET_PIECES);
    *taken = 0;
    if (connection->closing || connection->end_due)
        return false;
    return connection->tls ? write_messages(connection, pieces, count, taken)
                           : try_write(connection, pieces, count, taken);
}

void net_want_write(struct net_connection *connection)
{
    connection->wants_write = true;
    if (!connection->write_due)
        net_schedule(connection);
}

void net_part(struct net_connection *connection)
{
    if (connection->closing || connection->end_due)
        return;
    if (connection->tls) {
        tls_stream_end(connection->tls);
        output_send_records(connection);
    }
    connection->mode = MODE_PARTING;
    connection->end_due = true;
    connection->paused = false;
    buffer_fini(&connection->ahead);
    buffer_init(&connection->ahead, AHEAD_LIMIT);
    request_forget(connection);
    net_set_deadline(connection, connection->net->options.idle_ms); /* to take what waits */
    if (!connection->write_due && !connection->closing)
        output_half_close(connection);
    output_set_reading(connection);
}
