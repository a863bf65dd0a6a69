#include "bench/raw_sender.h"
#include "bench/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENER = 3, CONTROL = 4, FIRST_FREE = 5, EVENTS_PER_TURN = 256 };

struct raw_socket {
    int descriptor;
    size_t left;   /* bytes of this round */
    size_t offset; /* in the bytes that are written again and again */
};

/* ---- in the process of its own ---- */

/* One write for each time the socket is ready, as the server does it: nobody is starved. `bytes`
 * stand there twice, so that a write is never shorter because of where it starts. */
static bool write_some(struct raw_socket *to, struct span bytes)
{
    size_t length = bytes.length < to->left ? bytes.length : to->left;
    ssize_t count = send(to->descriptor, bytes.data + to->offset, length, MSG_NOSIGNAL);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    to->left -= (size_t)count;
    to->offset = (to->offset + (size_t)count) % bytes.length;
    return true;
}

static bool send_round(int epoll, struct raw_socket *sockets, const struct raw_plan *plan)
{
    size_t unfinished = plan->sockets;
    for (size_t i = 0; i < plan->sockets; i++) {
        struct epoll_event event = {.events = EPOLLOUT, .data.ptr = &sockets[i]};
        sockets[i].left = plan->bytes_per_round;
        sockets[i].offset = 0;
        epoll_ctl(epoll, EPOLL_CTL_MOD, sockets[i].descriptor, &event);
    }
    while (unfinished) {
        struct epoll_event events[EVENTS_PER_TURN];
        int count = epoll_wait(epoll, events, EVENTS_PER_TURN, -1);
        for (int i = 0; i < count; i++) {
            struct raw_socket *to = events[i].data.ptr;
            if (!write_some(to, plan->bytes))
                return false;
            if (to->left)
                continue;
            struct epoll_event nothing = {.events = 0, .data.ptr = to};
            epoll_ctl(epoll, EPOLL_CTL_MOD, to->descriptor, &nothing);
            unfinished--;
        }
    }
    return true;
}

static bool accept_all(int epoll, struct raw_socket *sockets, size_t count)
{
    int one = 1;
    for (size_t i = 0; i < count; i++) {
        struct epoll_event event = {.events = 0, .data.ptr = &sockets[i]};
        sockets[i].descriptor = accept4(LISTENER, NULL, NULL, SOCK_NONBLOCK);
        if (sockets[i].descriptor < 0)
            return false;
        setsockopt(sockets[i].descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[i].descriptor, &event) < 0)
            return false;
    }
    return true;
}

static bool double_bytes(struct raw_plan *plan)
{
    char *twice = memory_alloc(2 * plan->bytes.length);
    if (!twice)
        return false;
    memcpy(twice, plan->bytes.data, plan->bytes.length);
    memcpy(twice + plan->bytes.length, plan->bytes.data, plan->bytes.length);
    plan->bytes.data = twice;
    return true;
}

/* It ends when the control pipe closes, that is, with us at the latest. */
static void run(int listener, int control, struct raw_plan plan)
{
    char go;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Sockets of ours that stayed open here would never seem closed to their other side. */
    int moved = dup(control);
    dup2(listener, LISTENER);
    dup2(moved, CONTROL);
    close_range(FIRST_FREE, ~0U, 0);
    struct raw_socket *sockets = memory_new(plan.sockets * sizeof *sockets);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!sockets || epoll < 0 || !double_bytes(&plan) || !accept_all(epoll, sockets, plan.sockets))
        _exit(1);
    while (read(CONTROL, &go, 1) == 1)
        if (!send_round(epoll, sockets, &plan))
            _exit(1);
    _exit(0);
}

/* ---- on our side ---- */

static int listen_somewhere(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener >= 0 && bind(listener, (struct sockaddr *)address, size) == 0 &&
        listen(listener, SOMAXCONN) == 0 &&
        getsockname(listener, (struct sockaddr *)address, &size) == 0)
        return listener;
    if (listener >= 0)
        close(listener);
    return -1;
}

bool raw_sender_start(struct raw_sender *sender, const struct raw_plan *plan, struct error *error)
{
    int ends[2] = {-1, -1};
    *sender = (struct raw_sender){.control = -1};
    int listener = listen_somewhere(&sender->address);
    if (listener >= 0 && pipe2(ends, O_CLOEXEC) == 0)
        sender->process = fork();
    if (sender->process == 0 && ends[0] >= 0)
        run(listener, ends[0], *plan);
    if (listener >= 0)
        close(listener);
    if (ends[0] >= 0)
        close(ends[0]);
    sender->control = ends[1];
    return sender->process > 0 ||
           error_set(error, ERROR_INTERNAL, "no raw sender: %s", strerror(errno));
}

bool raw_sender_go(struct raw_sender *sender)
{
    return write(sender->control, "!", 1) == 1;
}

void raw_sender_end(struct raw_sender *sender)
{
    if (sender->control >= 0)
        close(sender->control);
    if (sender->process > 0)
        process_kill(sender->process);
    *sender = (struct raw_sender){.control = -1};
}
