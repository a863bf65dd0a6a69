/*
 * What fan-out is compared with: a process that does nothing but write ready bytes to sockets, as
 * quickly as an epoll loop can. It is a process of its own, as the server is.
 */
#ifndef BENCH_RAW_SENDER_H
#define BENCH_RAW_SENDER_H

#include "base/base.h"

#include <netinet/in.h>
#include <sys/types.h>

struct raw_sender {
    pid_t process;
    int control; /* a byte written here starts a round */
    struct sockaddr_in address;
};

struct raw_plan {
    struct span bytes;      /* written again and again, so many at a time */
    size_t bytes_per_round; /* to each socket */
    size_t sockets;         /* it waits until so many are connected */
};

/* Start the process; it listens at `address`. */
bool raw_sender_start(struct raw_sender *sender, const struct raw_plan *plan, struct error *error);
/* Send to every socket once more. */
bool raw_sender_go(struct raw_sender *sender);
void raw_sender_end(struct raw_sender *sender);

#endif
