/*
 * What every scenario works with. A scenario gets a fresh folder and an empty loop; main stops the
 * server and removes the folder after it, however it ended.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "bench/audience.h"
#include "bench/crew.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/server_process.h"

/* How long acknowledgements and frames may take to come when something is waited for. */
enum { BENCH_PATIENCE_SECONDS = 120 };

struct bench {
    const struct options *options;
    struct report *report;
    struct loop loop;
    struct server_process server;
};

struct scenario {
    const char *name, *summary;
    bool (*run)(struct bench *bench, struct error *error);
};

extern const struct scenario scenario_feed, scenario_feed_large, scenario_fanout, scenario_latency,
    scenario_herd, scenario_idle, scenario_restart, scenario_stalled, scenario_windows,
    scenario_outside, scenario_far, scenario_fairness, scenario_exports, scenario_tenants,
    scenario_queries, scenario_versions, scenario_resume;

/* A plan with the limits of the options, and patches at random keys. */
struct crew_plan bench_plan(const struct bench *bench, unsigned producers, size_t batch,
                            uint64_t keys);
/* What a load did. */
struct bench_load {
    uint64_t last_index; /* of the seq of its last mutation */
    double seconds;
};
/* Give every key its entity. */
bool bench_load(struct bench *bench, uint64_t keys, struct bench_load *load, struct error *error);
/* Report what the server and this program used of the processors since `before`. */
void bench_report_time(struct bench *bench, const struct report_case *name,
                       struct process_time before);

#endif
