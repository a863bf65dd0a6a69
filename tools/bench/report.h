/*
 * What was measured: each measure of each case with its rounds. It tells a sample as it comes,
 * and in the end prints the medians as a table and everything as JSON.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/machine.h"

#include <stdio.h>

enum { REPORT_CASE_SIZE = 80 };

struct report_row;

struct report {
    struct machine machine;
    const char *date; /* NULL: left out */
    struct report_row *rows;
    size_t count, capacity;
    size_t failures;
};

struct report_case {
    const char *scenario;
    char text[REPORT_CASE_SIZE];
};

void report_init(struct report *report);
void report_fini(struct report *report);
/* Name a case: "10,000 keys, batches of 100". */
struct report_case report_case(const char *scenario, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* One round's value of a measure. `measure` and `unit` are literals. */
void report_sample(struct report *report, const struct report_case *name, const char *measure,
                   const char *unit, double value);
/* A scenario that could not be measured. */
void report_failure(struct report *report, const char *scenario, const struct error *error);
void report_print_table(const struct report *report, FILE *out);
bool report_print_json(const struct report *report, FILE *out);

/* The value below which that share (0 to 1) of the samples lies; sorts them. 0 for none. */
double samples_quantile(double *samples, size_t count, double share);
/* A number with as many digits as mean something, in groups of three: "145,000", "1.23". */
const char *number_text(double value, char text[32]);

#endif
