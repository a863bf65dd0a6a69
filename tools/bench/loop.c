#include "bench/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS_PER_TURN = 256, LONGEST_TURN_MS = 100 };

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void loop_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool loop_interrupted(void)
{
    return interrupted;
}

double clock_seconds(void)
{
    return (double)clock_monotonic_us() / 1e6;
}

bool loop_init(struct loop *loop, struct error *error)
{
    *loop = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    loop->input = memory_alloc(LOOP_INPUT_SIZE);
    if (loop->epoll >= 0 && loop->input)
        return true;
    loop_fini(loop);
    return error_set(error, ERROR_INTERNAL, "no event loop: %s", strerror(errno));
}

void loop_fini(struct loop *loop)
{
    if (loop->epoll >= 0)
        close(loop->epoll);
    memory_free(loop->input);
    *loop = (struct loop){.epoll = -1};
}

bool loop_watch(struct loop *loop, int operation, int descriptor, uint32_t events,
                struct loop_source *source)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(loop->epoll, operation, descriptor, &event) == 0)
        return true;
    loop_fail(loop, "a descriptor cannot be watched: %s", strerror(errno));
    return false;
}

void loop_fail(struct loop *loop, const char *format, ...)
{
    if (loop->failed)
        return;
    char message[ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    loop->failed = true;
    error_set(&loop->failure, ERROR_NETWORK, "%s", message);
}

static void turn(struct loop *loop, double seconds)
{
    struct epoll_event events[EVENTS_PER_TURN];
    double milliseconds = seconds * 1e3;
    int wait = milliseconds < LONGEST_TURN_MS ? (int)milliseconds : LONGEST_TURN_MS;
    int count = epoll_wait(loop->epoll, events, EVENTS_PER_TURN, wait);
    for (int i = 0; i < count && !loop->failed; i++) {
        struct loop_source *source = events[i].data.ptr;
        source->ready(source, events[i].events);
    }
}

static bool is_broken(const struct loop *loop, struct error *error)
{
    if (loop->failed)
        *error = loop->failure;
    else if (interrupted)
        error_set(error, ERROR_INTERNAL, "interrupted");
    return loop->failed || interrupted;
}

bool loop_until(struct loop *loop, const struct loop_wait *wait, struct error *error)
{
    double end = clock_seconds() + wait->seconds;
    while (!is_broken(loop, error)) {
        if (wait->done(wait->argument))
            return true;
        double left = end - clock_seconds();
        if (left <= 0)
            return error_set(error, ERROR_NETWORK, "waited %.0f s in vain for %s", wait->seconds,
                             wait->what);
        turn(loop, left);
    }
    return false;
}

bool loop_for(struct loop *loop, double seconds, struct error *error)
{
    double end = clock_seconds() + seconds, left = seconds;
    while (!is_broken(loop, error)) {
        if (left <= 0)
            return true;
        turn(loop, left);
        left = end - clock_seconds();
    }
    return false;
}
