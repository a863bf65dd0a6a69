/* The figures of /metrics: each is a row of one table. Shared by the table's files. */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include "http/facts.h"
#include "telemetry/telemetry.h"
#include "usage/usage.h"

/* The structs that have counters and histograms. */
enum metric_owner {
    METRIC_OF_SERVER,
    METRIC_OF_ENGINE,
    METRIC_OF_HUB,
    METRIC_OF_AUDIT,
    METRIC_OF_USAGE,
    METRIC_OF_TELEMETRY
};

/* One of several samples that differ by a label. */
struct metric_part {
    const char *value; /* of the label; NULL ends the list */
    size_t offset;     /* of its counter */
};

struct metric {
    const char *name, *type, *help;
    /* One of: a counter or histogram at an offset, */
    enum metric_owner owner;
    size_t offset;
    /* ... counters with a label, in the same struct, */
    const char *label;
    const struct metric_part *parts;
    /* ... a number; NAN: it is not known and left out, */
    double (*value)(struct http *http);
    /* ... or samples that print themselves. */
    void (*print)(struct http *http, struct metric_sink *sink);
};

extern const struct metric metrics_table[];
extern const size_t metrics_count;

#endif
