/* What can be said on the command line: one table with the full and the quick sizes. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "base/base.h"

#include <stdio.h>

enum { LIST_MOST = 16, SET_MOST = 16 };

struct number_list {
    size_t count;
    uint64_t values[LIST_MOST];
};

struct options {
    bool quick, help;
    const char *server, *folder, *json, *date;
    const char *settings[SET_MOST];
    size_t setting_count;
    uint64_t rounds;
    double seconds, stalled_seconds;
    struct number_list keys, batches, producers, large_keys, large_batches;
    uint64_t requests_in_flight, bytes_in_flight;
    struct number_list subscribers, rates, clients, window_keys, window_members, offences;
    uint64_t frames, write_bytes, rows, connections, entities, stalled;
    const char *scenarios[LIST_MOST];
    size_t scenario_count;
};

/* False with an error that names what is wrong. Texts stay in argv. */
bool options_read(struct options *options, int argc, char **argv, struct error *error);
void options_print(FILE *out);

#endif
