#include "cli/signals.h"

#include "cli/command.h"

#include <signal.h>
#include <unistd.h>

/*
 * Let a signal do what it does to programs that know nothing of it, so that whoever started us sees
 * what ended us. Nothing is cleaned up, no thread is waited for.
 */
static void end_by(int signal_number)
{
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, signal_number);
    signal(signal_number, SIG_DFL); /* it may have been ignored from birth */
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    raise(signal_number);
    _exit(EXIT_FAILED); /* the first process of a container is spared by its signals */
}

static void stop(struct signals *signals, int signal_number)
{
    /* The second signal means "now". What was acknowledged is on disk already. */
    if (signals->stopping)
        end_by(signal_number);
    signals->stopping = true;
    atomic_store(&signals->give_up, true);
    if (signals->service)
        service_stopping(signals->service);
    if (signals->store)
        stele_stop(signals->store);
}

static void *wait_for_signals(void *argument)
{
    struct signals *signals = argument;
    for (;;) {
        int signal_number;
        sigwait(&signals->set, &signal_number);
        pthread_mutex_lock(&signals->lock);
        if (signal_number == SIGHUP)
            signals->reload_due = true;
        else
            stop(signals, signal_number);
        pthread_cond_broadcast(&signals->changed);
        pthread_mutex_unlock(&signals->lock);
    }
    return NULL;
}

/* What went wrong, and what takes a restart, stands in the log. */
static void reload(stele *store, struct service *service)
{
    stele_error error = {0};
    service_reloading(service);
    bool done = stele_reload(store, &error);
    service_reloaded(service, done ? NULL : stele_error_message(&error));
}

static void *wait_for_reloads(void *argument)
{
    struct signals *signals = argument;
    pthread_mutex_lock(&signals->lock);
    for (;;) {
        while (!signals->reload_due || !signals->store)
            pthread_cond_wait(&signals->changed, &signals->lock);
        signals->reload_due = false;
        if (signals->stopping)
            continue;
        stele *store = signals->store; /* neither goes while this is on its way */
        struct service *service = signals->service;
        signals->reloading = true;
        pthread_mutex_unlock(&signals->lock);
        reload(store, service);
        pthread_mutex_lock(&signals->lock);
        signals->reloading = false;
        pthread_cond_broadcast(&signals->changed);
    }
    return NULL;
}

static bool start_thread(void *(*function)(void *), struct signals *signals, struct error *error)
{
    pthread_t thread;
    int result = pthread_create(&thread, NULL, function, signals);
    if (result == 0)
        pthread_detach(thread);
    return result == 0 ||
           error_set(error, ERROR_INTERNAL, "no thread could be started: %s", error_reason(result));
}

void signals_block(struct signals *signals)
{
    sigemptyset(&signals->set);
    sigaddset(&signals->set, SIGTERM);
    sigaddset(&signals->set, SIGINT);
    sigaddset(&signals->set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals->set, NULL);
    /* A log that nobody reads any more must not end the server. */
    signal(SIGPIPE, SIG_IGN);
}

bool signals_start(struct signals *signals, struct service *service, struct error *error)
{
    pthread_mutex_init(&signals->lock, NULL);
    pthread_cond_init(&signals->changed, NULL);
    signals->service = service;
    return start_thread(wait_for_signals, signals, error) &&
           start_thread(wait_for_reloads, signals, error);
}

bool signals_attach(struct signals *signals, stele *store)
{
    pthread_mutex_lock(&signals->lock);
    bool stopping = signals->stopping;
    signals->store = store;
    if (stopping)
        stele_stop(store);
    pthread_cond_broadcast(&signals->changed);
    pthread_mutex_unlock(&signals->lock);
    return !stopping;
}

void signals_detach(struct signals *signals)
{
    pthread_mutex_lock(&signals->lock);
    signals->store = NULL;
    while (signals->reloading)
        pthread_cond_wait(&signals->changed, &signals->lock);
    pthread_mutex_unlock(&signals->lock);
}

void signals_leave(struct signals *signals)
{
    pthread_mutex_lock(&signals->lock);
    signals->service = NULL;
    pthread_mutex_unlock(&signals->lock);
}
