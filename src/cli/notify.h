/*
 * notify: telling a service manager how we are, as sd_notify(3) describes: lines of NAME=VALUE in a
 * datagram to the socket that NOTIFY_SOCKET names. The protocol is this small, so it takes no
 * library.
 */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

#include "base/base.h"

#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int socket; /* -1: nobody wants to know */
    socklen_t length;
    struct sockaddr_un address;
};

/* `path` is the value of NOTIFY_SOCKET: a path, or a name with '@' in front in the abstract space;
 * NULL or "" for nobody. ERROR_CONFIGURATION for anything else. */
bool notify_open(struct notify *notify, const char *path, struct error *error);
void notify_close(struct notify *notify);
/* Send one datagram; what is not taken at once is dropped, as nobody may wait for the manager. Any
 * thread. Returns whether it was sent; true where nobody wants to know. */
bool notify_send(const struct notify *notify, const char *lines);

#endif
