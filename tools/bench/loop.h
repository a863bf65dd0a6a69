/*
 * One epoll loop and what hangs on it. The bench is one thread: on two cores the server must
 * have the other one, and what the bench does per frame must be next to nothing.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include "base/base.h"

enum { LOOP_INPUT_SIZE = 64 * 1024 }; /* small enough to stay in the cache */

struct loop {
    int epoll;
    char *input; /* LOOP_INPUT_SIZE bytes into which every connection reads */
    bool failed; /* what went wrong in a callback; it ends the next wait */
    struct error failure;
};

/* Something with a file descriptor: embed it first in yours. */
struct loop_source {
    void (*ready)(struct loop_source *source, uint32_t events);
};

bool loop_init(struct loop *loop, struct error *error);
/* Everything that hangs on it must be gone. */
void loop_fini(struct loop *loop);
/* Watch a descriptor (operation EPOLL_CTL_ADD) or change what for (EPOLL_CTL_MOD). */
bool loop_watch(struct loop *loop, int operation, int descriptor, uint32_t events,
                struct loop_source *source);
/* Note a failure; the first one counts. */
void loop_fail(struct loop *loop, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct loop_wait {
    bool (*done)(const void *argument);
    const void *argument;
    double seconds;   /* at most */
    const char *what; /* "waited 10 s for …" */
};

/* Turn until done. False on a failure, an interrupt, or when the time is over. */
bool loop_until(struct loop *loop, const struct loop_wait *wait, struct error *error);
/* Turn for so long. */
bool loop_for(struct loop *loop, double seconds, struct error *error);

/* From now on SIGINT and SIGTERM end every wait with an error, so that servers are stopped. */
void loop_catch_signals(void);
bool loop_interrupted(void);

double clock_seconds(void);

#endif
