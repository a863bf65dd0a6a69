#include "cli/notify.h"

#include <errno.h>
#include <unistd.h>

bool notify_open(struct notify *notify, const char *path, struct error *error)
{
    *notify = (struct notify){.socket = -1, .address.sun_family = AF_UNIX};
    if (!path || !*path)
        return true;
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof notify->address.sun_path)
        return error_set(
            error, ERROR_CONFIGURATION,
            "NOTIFY_SOCKET is \"%.200s\"; it must be a path, or a name with @ in front", path);
    memcpy(notify->address.sun_path, path, length);
    if (path[0] == '@')
        notify->address.sun_path[0] = '\0';
    /* Without the NUL at the end, which would be part of an abstract name. */
    notify->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    notify->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return notify->socket >= 0 ||
           error_set(error, ERROR_NETWORK, "no socket for NOTIFY_SOCKET: %s", error_reason(errno));
}

void notify_close(struct notify *notify)
{
    if (notify->socket >= 0)
        close(notify->socket);
    notify->socket = -1;
}

bool notify_send(const struct notify *notify, const char *lines)
{
    if (notify->socket < 0)
        return true;
    size_t length = strlen(lines);
    ssize_t sent;
    do
        sent = sendto(notify->socket, lines, length, MSG_NOSIGNAL,
                      (const struct sockaddr *)&notify->address, notify->length);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)length;
}
