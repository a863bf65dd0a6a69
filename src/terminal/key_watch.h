/* A thread that tells when keys were typed, to a program that waits for something else. */
#ifndef TERMINAL_KEY_WATCH_H
#define TERMINAL_KEY_WATCH_H

#include <pthread.h>
#include <stdbool.h>

struct key_watch {
    bool on;
    pthread_t thread;
    int end[2]; /* a pipe: it is to end when the second one is closed */
    void (*wake)(void *argument);
    void *argument;
};

/* Call `wake`, on the thread, while there is something to be read on standard input. It stays where
 * it is until key_watch_close. Without memory for it, `on` is false: nobody is told. */
void key_watch_open(struct key_watch *watch, void (*wake)(void *argument), void *argument);
/* `wake` is not called any more. A zeroed one is fine. */
void key_watch_close(struct key_watch *watch);

#endif
