/*
 * The standard descriptors belong to whoever started us, and so does O_NONBLOCK on them: a terminal
 * or a pipe that another program shares may be put into that mode at any time, and taking it away
 * would disturb the others. The C library takes EAGAIN for the end. So stdin, stdout and stderr are
 * streams of our own, which wait with poll() where a blocking descriptor would.
 */
#include "cli/streams.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* As read() and write() on a blocking descriptor, a signal ends the wait with EINTR. */
static bool wait_for(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};
    return (errno == EAGAIN || errno == EWOULDBLOCK) && poll(&ready, 1, -1) > 0;
}

static ssize_t read_some(void *cookie, char *bytes, size_t size)
{
    int fd = (int)(intptr_t)cookie;
    ssize_t got;
    do {
        got = read(fd, bytes, size);
    } while (got < 0 && wait_for(fd, POLLIN));
    return got;
}

/* A short count would be taken for an error. */
static ssize_t write_all(void *cookie, const char *bytes, size_t size)
{
    int fd = (int)(intptr_t)cookie;
    size_t done = 0;
    while (done < size) {
        ssize_t written = write(fd, bytes + done, size - done);
        if (written >= 0)
            done += (size_t)written;
        else if (!wait_for(fd, POLLOUT))
            break;
    }
    return (ssize_t)done; /* 0: an error, as errno has it */
}

static FILE *open_stream(int fd, const char *mode, int buffering)
{
    const cookie_io_functions_t functions = {.read = read_some, .write = write_all};
    FILE *stream = fopencookie((void *)(intptr_t)fd, mode, functions); // NOLINT: a number
    if (stream)
        (void)setvbuf(stream, NULL, buffering, BUFSIZ);
    return stream;
}

void streams_make_wait(void)
{
    FILE *input = open_stream(STDIN_FILENO, "r", _IOFBF);
    FILE *output = open_stream(STDOUT_FILENO, "w", isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF);
    FILE *errors = open_stream(STDERR_FILENO, "w", _IONBF);
    stdin = input ? input : stdin;
    stdout = output ? output : stdout;
    stderr = errors ? errors : stderr;
}
