/*
 * A progress line on a terminal.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    int64_t total;       /* bytes; -1: unknown */
    const char *unit;    /* the unit beside the bytes: "lines" */
    uint64_t started_us; /* monotonic */
    uint64_t shown_us;
    bool terminal, shown;
};

void progress_init(struct progress *progress, int64_t total);
/* One line on stderr, when that is a terminal, a few times a second. */
void progress_show(struct progress *progress, int64_t bytes, int64_t lines);
/* Remove the line, so that other output starts on a clean one. */
void progress_hide(struct progress *progress);

#endif
