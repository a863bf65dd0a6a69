/*
 * notify: reporting the server's state to a service manager, by sd_notify(3): lines of NAME=VALUE
 * in a datagram to the socket in NOTIFY_SOCKET. The protocol is so small that it needs no library.
 */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

#include "base/base.h"

#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int socket; /* -1: there is no service manager */
    socklen_t length;
    struct sockaddr_un address;
};

/* `path` is the value of NOTIFY_SOCKET: a path, or a name with '@' in front in the abstract space;
 * NULL or "" for nobody. ERROR_CONFIGURATION for anything else. */
bool notify_open(struct notify *notify, const char *path, struct error *error);
void notify_close(struct notify *notify);
/* Send one datagram; it is dropped if the socket does not accept it at once, because the server
 * may not wait for the manager. Any thread. Returns whether it was sent; true without a manager. */
bool notify_send(const struct notify *notify, const char *lines);

#endif
