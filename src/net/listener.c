#include "net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, ACCEPTS_PER_TURN = 64 };

/* ---- addresses ---- */

/* "HOST:PORT" into its parts; the host is "" in ":PORT". */
static bool split_address(const char *address, char *host, size_t host_size, const char **port)
{
    const char *colon = strrchr(address, ':');
    if (!colon || !colon[1])
        return false;
    const char *start = address;
    size_t length = (size_t)(colon - address);
    if (length >= 2 && start[0] == '[' && start[length - 1] == ']') {
        start++;
        length -= 2;
    }
    if (length >= host_size)
        return false;
    memcpy(host, start, length);
    host[length] = '\0';
    *port = colon + 1;
    return true;
}

static struct addrinfo *resolve(const char *address, struct error *error)
{
    char host[256];
    const char *port;
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (!split_address(address, host, sizeof host, &port)) {
        error_set(error, ERROR_CONFIGURATION, "'%s' is no address; write HOST:PORT", address);
        return NULL;
    }
    int status = getaddrinfo(*host ? host : NULL, port, &hints, &found);
    if (status == 0)
        return found;
    error_set(error, ERROR_CONFIGURATION, "cannot listen on '%s': %s", address,
              status == EAI_SYSTEM ? error_reason(errno) : gai_strerror(status));
    return NULL;
}

static void note_address(struct listener *listener)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    char host[64], port[8];
    if (getsockname(listener->socket, (struct sockaddr *)&bound, &size) != 0 ||
        getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    const char *format = bound.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s";
    snprintf(listener->address, sizeof listener->address, format, host, port);
}

static int bind_one(const struct addrinfo *where)
{
    int one = 1;
    int fd = socket(where->ai_family, where->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (where->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, where->ai_addr, where->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int problem = errno;
    close(fd);
    errno = problem;
    return -1;
}

/* ---- accepting ---- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && listener->socket >= 0; i++) {
        int one = 1;
        int fd = accept4(listener->socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            /* Frames are written as whole as they get; waiting for more would only delay them. */
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            listener->accepted(listener->argument, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The waiting connection would wake us again at once, for ever. */
            log_error("server", "accept-failed", log_word("address", listener->address),
                      log_text("error", error_reason(errno)));
            listener->resting = true;
            uv_poll_stop(&listener->poll);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

bool listener_open(struct listener *listener, uv_loop_t *loop, const char *address,
                   void (*accepted)(void *argument, int socket), void *argument,
                   struct error *error)
{
    struct addrinfo *found = resolve(address, error);
    if (!found)
        return false;
    int problem = 0;
    for (struct addrinfo *where = found; where && listener->socket < 0; where = where->ai_next) {
        listener->socket = bind_one(where);
        problem = errno;
    }
    freeaddrinfo(found);
    if (listener->socket < 0)
        return error_set(
            error, ERROR_NETWORK, "cannot listen on %s: %s%s", address, error_reason(problem),
            problem == EADDRINUSE ? "; stop the program that has it, or choose another" : "");
    listener->accepted = accepted;
    listener->argument = argument;
    note_address(listener);
    if (uv_poll_init(loop, &listener->poll, listener->socket) != 0) {
        close(listener->socket);
        *listener = (struct listener){.socket = -1};
        return error_set(error, ERROR_NETWORK, "cannot watch the socket of %s", address);
    }
    listener->poll.data = listener;
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    return true;
}

void listener_revive(struct listener *listener)
{
    if (!listener->resting)
        return;
    listener->resting = false;
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* A child of fork() has the socket too: shut down, it listens no more, and the address is free. */
void listener_close(struct listener *listener)
{
    if (listener->socket < 0)
        return;
    uv_poll_stop(&listener->poll);
    uv_close((uv_handle_t *)&listener->poll, NULL);
    shutdown(listener->socket, SHUT_RDWR);
    close(listener->socket);
    listener->socket = -1;
    listener->resting = false;
}
