/*
 * Planted faults: a child process breaks one thing that an INVARIANT holds to be so, then goes on
 * as the program would. It must end at once, by SIGABRT, with a line in its log that names the
 * condition. The child makes everything that it breaks, so the test itself has no threads.
 */
#ifndef TESTS_INVARIANT_FIXTURE_H
#define TESTS_INVARIANT_FIXTURE_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct broken_case {
    void (*plant)(int argument);
    int argument;
    const char *condition; /* as it stands in the source, on one line */
};

static inline void invariant_child(const struct broken_case *it, int log)
{
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL);
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* an assertion of the child ends it, and fails the case */
    dup2(log, STDERR_FILENO);
    it->plant(it->argument);
    _exit(0);
}

/* What the child wrote, as far as it fits. */
static inline void invariant_read(int log, char *text, size_t size)
{
    size_t length = 0;
    char rest[512];
    for (;;) {
        bool fits = length < size - 1;
        ssize_t got =
            read(log, fits ? text + length : rest, fits ? size - 1 - length : sizeof rest);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += fits ? (size_t)got : 0;
    }
    text[length] = '\0';
}

/* Whether the case ended as it must; else what it did is printed. */
static inline bool is_broken(const struct broken_case *it)
{
    static char log[16384];
    char expected[512];
    int ends[2], status = 0;
    fflush(NULL);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        invariant_child(it, ends[1]);
    close(ends[1]);
    invariant_read(ends[0], log, sizeof log);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    snprintf(expected, sizeof expected, "invariant=\"%s\"", it->condition);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(log, expected))
        return true;
    print_error("planted for %s: status %#x, log:\n%s", expected, (unsigned)status, log);
    return false;
}

/* Each between a set-up and a tear-down in this process, which removes the files of the child;
 * NULL: there are none. */
static inline void assert_all_broken(const struct broken_case *cases, size_t count,
                                     void (*set_up)(void), void (*tear_down)(void))
{
    size_t failures = 0;
    for (size_t i = 0; i < count; i++) {
        if (set_up)
            set_up();
        failures += !is_broken(&cases[i]);
        if (tear_down)
            tear_down();
    }
    assert_int_equal(failures, 0);
}

#endif
