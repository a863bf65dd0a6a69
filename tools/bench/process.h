/* Child processes, and what the kernel knows about them. */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include "base/base.h"

#include <sys/types.h>

/* Start a program in a process group of its own, so that Ctrl-C reaches only us; it gets SIGTERM
 * should we die. `output` receives the reading end of its standard output; its standard error goes
 * to `log`, a descriptor, or is thrown away when that is negative. */
bool process_start(char *const *arguments, int log, pid_t *process, int *output,
                   struct error *error);
/* Wait up to so long for the end. False: it still runs. */
bool process_wait(pid_t process, double seconds, int *status);
/* Kill at once and wait. */
void process_kill(pid_t process);
/* Read up to and without the first line end, or the end of the stream. False when the time is over
 * or the line is too long. */
bool process_read_line(int output, double seconds, struct buffer *line, struct error *error);

struct process_memory {
    double resident, private; /* bytes */
};
bool process_memory(pid_t process, struct process_memory *memory, struct error *error);

/* Processor time so far, in seconds: of that process, and of this one. */
struct process_time {
    double at, other, own;
};
struct process_time process_time(pid_t process);
/* What was used since then, in percent of one core; `at` is the time that has passed. */
struct process_time process_share(struct process_time before, pid_t process);

#endif
