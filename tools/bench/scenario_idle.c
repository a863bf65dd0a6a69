/*
 * idle: what a connection with one subscription costs the server in memory when nothing happens.
 * Memory of the process is counted, without what the kernel keeps for the sockets. In the end one
 * mutation goes to all.
 */
#include "bench/bench.h"

enum { ROWS = 100, SPARE_CONNECTIONS = 100 };

static const double settle_seconds = 1;

static void report_memory(struct bench *bench, const struct report_case *name,
                          const struct process_memory *before, const struct process_memory *after)
{
    double connections = (double)bench->options->connections;
    report_sample(bench->report, name, "resident before", "MB", before->resident / 1e6);
    report_sample(bench->report, name, "resident after", "MB", after->resident / 1e6);
    report_sample(bench->report, name, "resident, each", "bytes",
                  (after->resident - before->resident) / connections);
    report_sample(bench->report, name, "private, each", "bytes",
                  (after->private - before->private) / connections);
}

static bool reach_all(struct bench *bench, const struct report_case *name,
                      struct audience *audience, uint64_t last_index, struct error *error)
{
    struct crew crew;
    struct crew_plan plan = bench_plan(bench, 1, 1, ROWS);
    bool done = crew_open(&crew, &bench->loop, &bench->server.address, &plan, error);
    if (done) {
        audience_expect(audience, last_index + 1);
        double start = clock_seconds();
        crew_start(&crew, 1);
        done = audience_wait(audience, BENCH_PATIENCE_SECONDS, error);
        if (done)
            report_sample(bench->report, name, "one mutation reaches all", "ms",
                          (clock_seconds() - start) * 1e3);
    }
    crew_close(&crew);
    return done;
}

static bool measure(struct bench *bench, struct audience *probe, struct audience *audience,
                    uint64_t last_index, struct error *error)
{
    struct process_memory before, after;
    char text[32];
    struct report_case name =
        report_case("idle", "%s subscribers", number_text((double)audience->count, text));
    /* What a first subscriber brings to life is no cost of the others. */
    if (!audience_settle(probe, ROWS, error) || !loop_for(&bench->loop, settle_seconds, error) ||
        !process_memory(bench->server.process, &before, error))
        return false;
    double start = clock_seconds();
    if (!audience_settle(audience, ROWS, error))
        return false;
    report_sample(bench->report, &name, "connecting and subscribing", "s", clock_seconds() - start);
    if (!loop_for(&bench->loop, settle_seconds, error) ||
        !process_memory(bench->server.process, &after, error))
        return false;
    report_memory(bench, &name, &before, &after);
    return reach_all(bench, &name, audience, last_index, error);
}

static bool measure_fresh(struct bench *bench, uint64_t *last_index, struct error *error)
{
    struct audience probe = {0}, audience = {0};
    bool done = server_start(&bench->server, error);
    if (done && *last_index == 0) {
        struct bench_load load;
        done = bench_load(bench, ROWS, &load, error);
        *last_index = load.last_index;
    }
    done = done && audience_init(&probe, &bench->loop, &bench->server.address, "/", 1, error) &&
           audience_init(&audience, &bench->loop, &bench->server.address, "/",
                         (size_t)bench->options->connections, error) &&
           measure(bench, &probe, &audience, *last_index, error);
    audience_close(&audience);
    audience_close(&probe);
    (*last_index)++;
    return done && server_stop(&bench->server, error);
}

static bool run(struct bench *bench, struct error *error)
{
    char setting[64];
    uint64_t last_index = 0;
    snprintf(setting, sizeof setting, "max_connections=%llu",
             (unsigned long long)bench->options->connections + SPARE_CONNECTIONS);
    server_set(&bench->server, setting);
    for (uint64_t round = 0; round < bench->options->rounds; round++)
        if (!measure_fresh(bench, &last_index, error))
            return false;
    return true;
}

const struct scenario scenario_idle = {
    "idle", "memory of the server for each connection that does nothing", run};
