/* Figures of this process, by the names that Prometheus clients agree on. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include "base/error.h"

struct process_figures {
    double resident_bytes, virtual_bytes;
    double cpu_seconds;
    double open_descriptors, most_descriptors;
    double threads;
    double start_seconds; /* unix time */
};

/* Read the files of /proc: not on the loop. Unreadable figures are 0. */
void process_read(struct process_figures *figures);

#endif
