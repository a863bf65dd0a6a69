/*
 * Plain blocking clients, for what the loop's connections do not do: requests by HTTP, and clients
 * that behave badly. Each call has a time-out, and a connection that fails is no failure of the
 * bench. Any thread; each client belongs to one.
 */
#ifndef BENCH_PLAIN_H
#define BENCH_PLAIN_H

#include "base/base.h"

#include <netinet/in.h>

/* A connected socket, or -1. `receive_buffer`: bytes that the kernel may hold for it; 0: as it
 * likes. Reads and writes end after so many seconds. */
int plain_connect(const struct sockaddr_in *server, int receive_buffer, int seconds);
/* Write all of it. */
bool plain_write(int socket, struct span bytes);
/* One request on a connection of its own, whose answer is read to its end. `body` absent: a GET.
 * The status; 0: there was no whole answer within the time. */
int plain_request(const struct sockaddr_in *server, const char *path, struct span body,
                  int seconds);
/* A WebSocket connection that is open, or -1. */
int plain_websocket(const struct sockaddr_in *server, const char *path, int seconds);
/* Send a text message. */
bool plain_say(int socket, struct span text);
/* Read frames until one is text (an error, to a subscriber) or `binary` are not: whether they all
 * came. */
bool plain_hear(int socket, int binary);

#endif
