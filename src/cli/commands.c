/* Which command is meant, and what surrounds each of them. */
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static const struct command *const commands[] = {
    &serve_command,     &ingest_command,     &subscribe_command, &get_command,   &views_command,
    &events_command,    &explain_command,    &history_command,   &check_command, &backup_command,
    &bootstrap_command, &follow_command,     &producers_command, &ready_command, &top_command,
    &token_command,     &completion_command, &version_command,   NULL,
};

static void overview(FILE *out)
{
    fprintf(out,
            "usage: stele COMMAND [OPTION]…\n\n"
            "A durable view server: it merges and logs mutations on disk, and sends snapshots\n"
            "and live frames to subscribers.\n\ncommands:\n");
    for (size_t i = 0; commands[i]; i++)
        fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\n`stele COMMAND --help` (or `stele help COMMAND`) explains one command.\n");
}

static int unknown_command(const char *given)
{
    struct nearest nearest = {.given = given};
    for (size_t i = 0; commands[i]; i++)
        nearest_offer(&nearest, commands[i]->name);
    if (nearest.name)
        fprintf(stderr, "stele: there is no command \"%s\"; did you mean \"%s\"?\n", given,
                nearest.name);
    else
        fprintf(stderr, "stele: there is no command \"%s\"; `stele --help` lists all\n", given);
    return EXIT_MISUSED;
}

/*
 * A descriptor that is closed would be given to the next file that is opened, and what is printed
 * would go into that. In its place stands one on which what it is for fails, as it would have.
 */
static void fill_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            /* The lowest free one, so this one. */
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* A command that went well fails if its output could not be written. */
static int check_output(int code)
{
    errno = 0;
    bool lost = fflush(stdout) != 0 || ferror(stdout);
    if (!lost)
        return code;
    fprintf(stderr, "stele: standard output cannot be written: %s\n",
            errno ? error_reason(errno) : "some of it is lost");
    return code == EXIT_FINE ? EXIT_FAILED : code;
}

static const struct command *find_command(const struct command *const *list, const char *name)
{
    for (size_t i = 0; list[i]; i++) {
        const char *space = strchr(list[i]->name, ' '); /* "token sign" is a part of "token" */
        if (strcmp(space ? space + 1 : list[i]->name, name) == 0)
            return list[i];
    }
    return NULL;
}

/* `stele help`, `stele help serve`, `stele help token sign`: what --help behind those prints. */
static int help(int argc, char **argv)
{
    static char asked[] = "--help";
    char *arguments[] = {argc > 1 ? argv[1] : NULL, asked, NULL, NULL};
    if (argc < 2 || argv[1][0] == '-') {
        overview(stdout);
        return EXIT_FINE;
    }
    const struct command *command = find_command(commands, argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    if (argc > 2 && command->parts) {
        arguments[1] = argv[2];
        arguments[2] = asked;
    } else if (argc > 2) {
        fprintf(stderr, "stele help %s: \"%s\" is one argument too many\n", argv[1], argv[2]);
        return EXIT_MISUSED;
    }
    return command->run(arguments[2] ? 3 : 2, arguments);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        overview(stderr);
        return EXIT_MISUSED;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(name, "--version") == 0)
        name = version_command.name;
    const struct command *command = find_command(commands, name);
    return command ? command->run(argc - 1, argv + 1) : unknown_command(name);
}

/* ---- standard streams ---- */

/*
 * The standard descriptors belong to whoever started us, and so does O_NONBLOCK on them: a terminal
 * or a pipe that another program shares may be put into that mode at any time, and taking it away
 * would disturb the others. The C library takes EAGAIN for the end. So stdin, stdout and stderr are
 * streams of our own, which wait with poll() where a blocking descriptor would.
 */

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

/* First thing in a program. Without memory for one, it stays as it is. */
static void make_streams_wait(void)
{
    FILE *input = open_stream(STDIN_FILENO, "r", _IOFBF);
    FILE *output = open_stream(STDOUT_FILENO, "w", isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF);
    FILE *errors = open_stream(STDERR_FILENO, "w", _IONBF);
    stdin = input ? input : stdin;
    stdout = output ? output : stdout;
    stderr = errors ? errors : stderr;
}

/* ---- the program ---- */

int command_main(int argc, char **argv)
{
    command_list = commands;
    fill_descriptors();
    /* A file that may not grow is an error of the write (EFBIG), not the end of the process. */
    signal(SIGXFSZ, SIG_IGN);
    make_streams_wait();
    return check_output(run(argc, argv));
}
