/*
 * signals: those that mean something to `stele serve`. One thread does nothing but wait for them,
 * so that no code here runs inside a handler; another reads the configuration again, so that a stop
 * is heard meanwhile.
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

/* Static, as the thread that waits is there to the end. */
struct signals {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    sigset_t set;
    stele *store;            /* NULL while it opens, and once it is being closed */
    struct service *service; /* NULL once it has ended */
    bool stopping;
    atomic_bool give_up; /* the same, for who opens the store meanwhile */
    bool reload_due, reloading;
};

/* Block them. It is inherited, so this comes before any other thread starts. */
void signals_block(struct signals *signals);
/* Wait for them from now on. */
bool signals_start(struct signals *signals, struct service *service, struct error *error);
/* A signal is about this store; one that came before, too: then it is being stopped, and false. */
bool signals_attach(struct signals *signals, stele *store);
/* About none any more; waits for a reload that is on its way. */
void signals_detach(struct signals *signals);
/* The service is about to end. */
void signals_leave(struct signals *signals);

#endif
