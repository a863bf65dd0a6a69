/*
 * A listening socket on the loop. It accepts sockets and hands them on; it does not know their
 * protocol. So errors are exact, and intake can stop while clients are still served.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/base.h"

#include <uv.h>

struct listener {
    uv_poll_t poll;
    int socket;   /* -1 when closed */
    bool resting; /* no descriptors were left */
    /* Takes the socket over (non-blocking, close-on-exec). */
    void (*accepted)(void *argument, int socket);
    void *argument;
    char address[80]; /* the bound address, "127.0.0.1:41873"; "" when closed */
};

/* Bind "HOST:PORT" (IPv6 in brackets, port 0: any) and start to accept. ERROR_NETWORK or
 * ERROR_CONFIGURATION name the address and the remedy. */
bool listener_open(struct listener *listener, uv_loop_t *loop, const char *address,
                   void (*accepted)(void *argument, int socket), void *argument,
                   struct error *error);
/* Try again after descriptors ran out; to be called now and then. */
void listener_revive(struct listener *listener);
/* Stop accepting, at once. The struct must stay until the loop has run once more. Idempotent. */
void listener_close(struct listener *listener);

#endif
