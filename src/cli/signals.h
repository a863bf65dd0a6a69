/*
 * signals: those that `stele serve` handles. One thread does nothing but wait for them, so no code
 * here runs inside a handler. Another thread reads the configuration again, so that a stop is
 * noticed meanwhile.
 *
 *   SIGTERM, SIGINT  stop; the second one ends the process at once
 *   SIGHUP           read the configuration again
 */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include "cli/service.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* Static, because the waiting thread lives to the end. */
struct signals {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    sigset_t set;
    stele *store;            /* NULL while it opens, and once it is being closed */
    struct service *service; /* NULL once it has ended */
    bool stopping;
    atomic_bool give_up; /* the same, for the code that opens the store meanwhile */
    bool reload_due, reloading;
};

/* Block them. It is inherited, so this comes before any other thread starts. */
void signals_block(struct signals *signals);
/* Wait for them from now on. */
bool signals_start(struct signals *signals, struct service *service, struct error *error);
/* Signals are about this store from now on. A signal that came before counts, too: then the
 * store is being stopped, and the result is false. */
bool signals_attach(struct signals *signals, stele *store);
/* Signals are about no store any more; waits for a reload under way. */
void signals_detach(struct signals *signals);
/* The service is about to end. */
void signals_leave(struct signals *signals);

#endif
