#include "bench/process.h"
#include "bench/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE_LIMIT = 4096, POLL_MS = 100, PAUSE_NANOSECONDS = 2 * 1000 * 1000 };

static void become(char *const *arguments, int log, int output)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(nothing, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(log >= 0 ? log : nothing, STDERR_FILENO);
    execv(arguments[0], arguments);
    _exit(127);
}

bool process_start(char *const *arguments, int log, pid_t *process, int *output,
                   struct error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(error, ERROR_INTERNAL, "no pipe: %s", strerror(errno));
    *process = fork();
    if (*process == 0)
        become(arguments, log, ends[1]);
    close(ends[1]);
    if (*process > 0) {
        *output = ends[0];
        return true;
    }
    close(ends[0]);
    return error_set(error, ERROR_INTERNAL, "cannot start %s: %s", arguments[0], strerror(errno));
}

bool process_wait(pid_t process, double seconds, int *status)
{
    double end = clock_seconds() + seconds;
    struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};
    while (waitpid(process, status, WNOHANG) == 0) {
        if (clock_seconds() > end)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

void process_kill(pid_t process)
{
    kill(process, SIGKILL);
    waitpid(process, NULL, 0);
}

bool process_read_line(int output, double seconds, struct buffer *line, struct error *error)
{
    double end = clock_seconds() + seconds;
    buffer_init(line, LINE_LIMIT);
    while (clock_seconds() < end && !line->failed && !loop_interrupted()) {
        struct pollfd wait = {.fd = output, .events = POLLIN};
        char c;
        if (poll(&wait, 1, POLL_MS) <= 0)
            continue;
        if (read(output, &c, 1) <= 0 || c == '\n')
            return true;
        buffer_add_char(line, c);
    }
    buffer_fini(line);
    return error_set(error, ERROR_INTERNAL, "waited %.0f s in vain for a line of output", seconds);
}

bool process_memory(pid_t process, struct process_memory *memory, struct error *error)
{
    char path[64], line[256], name[64];
    double kilobytes;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)process);
    *memory = (struct process_memory){0};
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, ERROR_INTERNAL, "cannot read %s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%63[A-Za-z_]: %lf kB", name, &kilobytes) != 2)
            continue;
        if (strcmp(name, "Rss") == 0)
            memory->resident = kilobytes * 1024;
        else if (strcmp(name, "Private_Clean") == 0 || strcmp(name, "Private_Dirty") == 0)
            memory->private += kilobytes * 1024;
    }
    fclose(file);
    return true;
}

static double time_of(pid_t process)
{
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &time) < 0)
        return 0;
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

struct process_time process_time(pid_t process)
{
    return (struct process_time){clock_seconds(), time_of(process), time_of(getpid())};
}

struct process_time process_share(struct process_time before, pid_t process)
{
    struct process_time now = process_time(process);
    double seconds = now.at - before.at;
    return (struct process_time){
        .at = seconds,
        .other = 100 * (now.other - before.other) / seconds,
        .own = 100 * (now.own - before.own) / seconds,
    };
}
