#include "terminal/key_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

/* Who was told takes the keys; until then it is told again, but no more often than this. */
enum { PAUSE_MS = 10 };

static bool is_over(const struct key_watch *watch, struct pollfd inputs[2], int count, int ms)
{
    inputs[0] = (struct pollfd){.fd = watch->end[0], .events = POLLIN};
    return poll(inputs, (nfds_t)count, ms) > 0 && inputs[0].revents;
}

static void *run(void *argument)
{
    struct key_watch *watch = argument;
    struct pollfd inputs[2] = {{0}, {.fd = STDIN_FILENO, .events = POLLIN}};
    while (!is_over(watch, inputs, 2, -1)) {
        watch->wake(watch->argument);
        if (is_over(watch, inputs, 1, PAUSE_MS))
            break;
    }
    return NULL;
}

/* Signals are for the thread that waits for them. */
static bool start(struct key_watch *watch)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    bool started = pthread_create(&watch->thread, NULL, run, watch) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void key_watch_open(struct key_watch *watch, void (*wake)(void *argument), void *argument)
{
    *watch = (struct key_watch){.wake = wake, .argument = argument};
    if (pipe2(watch->end, O_CLOEXEC) != 0)
        return;
    watch->on = start(watch);
    if (watch->on)
        return;
    close(watch->end[0]);
    close(watch->end[1]);
}

void key_watch_close(struct key_watch *watch)
{
    if (!watch->on)
        return;
    close(watch->end[1]);
    pthread_join(watch->thread, NULL);
    close(watch->end[0]);
    watch->on = false;
}
