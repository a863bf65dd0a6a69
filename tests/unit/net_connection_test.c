/* Connections on real sockets: what unfinished heads cost, and how a connection ends. */
#include "net/net.h"
#include "test.h"

#include <sys/socket.h>

enum { MOST = 64, HEADS_BYTES = 64 * 1024, ANSWER = 2 * 1024 * 1024 };

struct world {
    uv_loop_t loop;
    struct net *net;
    struct certificate *certificate;
    struct counter tls_failed;
    size_t requests, bad, closed;
    char *answer; /* what a request is answered with; NULL: nothing, later */
    size_t taken; /* of an answer in pieces, by the socket */
    bool pieces;  /* it goes out in pieces */
    bool left;
};

/* ---- a handler ---- */

/* As far as the socket takes them; the rest as one. */
static void write_pieces(struct world *world, struct net_connection *connection)
{
    struct span pieces[NET_PIECES];
    for (size_t i = 0; i < NET_PIECES; i++)
        pieces[i] = span_make(world->answer + i * (ANSWER / NET_PIECES), ANSWER / NET_PIECES);
    assert_true(net_write_pieces(connection, pieces, NET_PIECES, &world->taken));
    assert_false(net_state(connection).is_blocked);
    net_write(connection, span_make(world->answer + world->taken, ANSWER - world->taken));
}

static void on_request(void *argument, struct net_connection *connection)
{
    struct world *world = argument;
    world->requests++;
    if (!world->answer)
        return;
    if (world->pieces)
        write_pieces(world, connection);
    else
        net_write(connection, span_make(world->answer, ANSWER));
    net_request_done(connection);
}

static void on_bad(void *argument, struct net_connection *connection, const struct error *error)
{
    struct world *world = argument;
    (void)error;
    world->bad++;
    net_write(connection, span_of("HTTP/1.1 408 x\r\n\r\n"));
    net_request_done(connection);
}

static void on_closed(void *argument, struct net_connection *connection)
{
    (void)connection;
    ((struct world *)argument)->closed++;
}

static const struct net_handler handler = {
    .request = on_request, .bad_request = on_bad, .closed = on_closed};

/* ---- its life ---- */

static void begin(struct world *world)
{
    struct error error;
    *world = (struct world){.left = false};
    uv_loop_init(&world->loop);
    struct net_options options = {.loop = &world->loop,
                                  .handler = &handler,
                                  .argument = world,
                                  .certificate = &world->certificate,
                                  .heads_bytes = HEADS_BYTES,
                                  .head_ms = 60000,
                                  .idle_ms = 60000,
                                  .part_ms = 60000,
                                  .tls_failed = &world->tls_failed};
    world->net = net_new(&options, &error);
    assert_non_null(world->net);
}

static void on_left(void *argument)
{
    ((struct world *)argument)->left = true;
}

static void end(struct world *world)
{
    net_leave(world->net, on_left);
    while (!world->left)
        uv_run(&world->loop, UV_RUN_ONCE);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    memory_free(world->answer);
}

static int dial(struct world *world)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(net_adopt(world->net, pair[0], 0, false));
    return pair[1];
}

static void say(int fd, const char *text, size_t length)
{
    assert_int_equal(send(fd, text, length, MSG_NOSIGNAL), length);
}

static void turn(struct world *world)
{
    for (int i = 0; i < 10; i++)
        uv_run(&world->loop, UV_RUN_NOWAIT);
}

/* ---- the cases ---- */

/* Many that never end their heads: the oldest go, whether they are still there to be told or have
 * hung up with the very bytes unread, and the loop goes on. */
TEST(test_unfinished_heads)
{
    struct world world;
    static char head[12 * 1024];
    int fds[MOST];
    begin(&world);
    memset(head, 'a', sizeof head);
    memcpy(head, "GET / HTTP/1.1\r\na: ", 19);
    for (int i = 0; i < MOST; i++) {
        fds[i] = dial(&world);
        say(fds[i], head, sizeof head);
        if (i % 3 == 0)
            turn(&world);
        if (i >= 6 && i % 2) {
            close(fds[i - 6]);
            fds[i - 6] = -1;
        }
    }
    turn(&world);
    assert_true(world.bad > 0);
    int last = dial(&world);
    say(last, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    turn(&world);
    assert_int_equal(world.requests, 1);
    close(last);
    for (int i = 0; i < MOST; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    end(&world);
}

/* The whole answer, though the client has closed its side at once and reads slowly. */
TEST(test_half_closed)
{
    static const char *const requests[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                           "GET / HTTP/1.0\r\n\r\n"};
    for (int i = 0; i < 2; i++) {
        struct world world;
        static char piece[4096];
        size_t got = 0;
        begin(&world);
        world.answer = memory_new(ANSWER);
        int fd = dial(&world);
        say(fd, requests[i], strlen(requests[i]));
        shutdown(fd, SHUT_WR);
        turn(&world);
        for (ssize_t length; (length = recv(fd, piece, sizeof piece, 0)) > 0; got += (size_t)length)
            uv_run(&world.loop, UV_RUN_NOWAIT);
        assert_int_equal(got, ANSWER);
        turn(&world);
        assert_int_equal(world.closed, 1);
        close(fd);
        end(&world);
    }
}

/* A client that sends on and on behind a request that waits costs no more than a little. */
TEST(test_far_ahead)
{
    struct world world;
    static char more[512 * 1024];
    begin(&world);
    memset(more, 'x', sizeof more);
    int fd = dial(&world);
    say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    turn(&world);
    for (size_t sent = 0; sent < sizeof more;) {
        ssize_t length = send(fd, more, sizeof more - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        turn(&world);
        if (length <= 0)
            break; /* it is not read from any more */
        sent += (size_t)length;
    }
    assert_int_equal(world.requests, 1);
    assert_int_equal(world.closed, 0);
    close(fd);
    end(&world);
}

/* One that has gone is found while its answer is not there yet. */
TEST(test_gone_while_it_waits)
{
    struct world world;
    begin(&world);
    int fd = dial(&world);
    say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET", 30);
    turn(&world);
    assert_int_equal(world.requests, 1);
    close(fd);
    turn(&world);
    assert_int_equal(world.closed, 0); /* it may have closed its side alone */
    end(&world);
    assert_int_equal(world.closed, 1);
}

/* The socket takes a part of the pieces; nothing is lost or repeated where that ends. */
TEST(test_pieces)
{
    struct world world;
    static char got[ANSWER + 1];
    size_t length = 0;
    begin(&world);
    world.answer = memory_new(ANSWER);
    world.pieces = true;
    for (size_t i = 0; i < ANSWER; i++)
        world.answer[i] = (char)(i * 31 >> 5);
    int fd = dial(&world);
    say(fd, "GET / HTTP/1.0\r\n\r\n", 18);
    turn(&world);
    for (ssize_t more; (more = recv(fd, got + length, sizeof got - length, 0)) > 0;
         length += (size_t)more)
        uv_run(&world.loop, UV_RUN_NOWAIT);
    assert_true(world.taken > 0 && world.taken < ANSWER);
    assert_int_equal(length, ANSWER);
    assert_memory_equal(got, world.answer, ANSWER);
    close(fd);
    end(&world);
}
