/* What the parts of the scenario tenants share. */
#ifndef BENCH_TENANTS_H
#define BENCH_TENANTS_H

#include "bench/bench.h"

/* Start a server of its own, with that configuration, if any. */
bool tenants_begin(struct bench *bench, const char *config, struct error *error);
/* One request; anything but 200 is an error. */
bool tenants_post(struct bench *bench, const char *path, const struct buffer *lines,
                  struct error *error);
bool tenants_get(struct bench *bench, const char *path, struct error *error);
/* So many seconds at least, and until the server does nothing any more, but what it does now and
 * then. */
void tenants_wait_quiet(struct bench *bench, double seconds);

/* What a tenant of one export pays beside so many others. */
bool tenants_measure_rows(struct bench *bench, uint64_t tenants, struct error *error);
/* What feeding an export with a scope costs, against one without. */
bool tenants_measure_feeding(struct bench *bench, struct error *error);

#endif
