/*
 * restart: from exec to the ready line with many entities, after a clean stop and after kill -9
 * in the middle of feeding, which leaves a write-ahead log to be recovered.
 */
#include "bench/bench.h"

enum { FEED_BATCH = 1000, FEED_PRODUCERS = 2 };

static const double feed_seconds = 1;

static bool restart_clean(struct bench *bench, const struct report_case *name, struct error *error)
{
    if (!server_stop(&bench->server, error) || !server_start(&bench->server, error))
        return false;
    report_sample(bench->report, name, "ready after a clean stop", "ms",
                  bench->server.ready_seconds * 1e3);
    return true;
}

static bool restart_killed(struct bench *bench, const struct report_case *name, struct error *error)
{
    struct crew crew;
    struct crew_plan plan = bench_plan(bench, FEED_PRODUCERS, FEED_BATCH, bench->options->entities);
    bool done = crew_open(&crew, &bench->loop, &bench->server.address, &plan, error);
    if (done) {
        crew_start(&crew, UINT64_MAX);
        done = loop_for(&bench->loop, feed_seconds, error);
    }
    server_kill(&bench->server);
    crew_close(&crew);
    if (!done || !server_start(&bench->server, error))
        return false;
    report_sample(bench->report, name, "ready after kill -9", "ms",
                  bench->server.ready_seconds * 1e3);
    return true;
}

static bool run(struct bench *bench, struct error *error)
{
    char text[32];
    struct bench_load load;
    struct report_case name =
        report_case("restart", "%s entities", number_text((double)bench->options->entities, text));
    if (!server_start(&bench->server, error) ||
        !bench_load(bench, bench->options->entities, &load, error))
        return false;
    for (uint64_t round = 0; round < bench->options->rounds; round++)
        if (!restart_clean(bench, &name, error) || !restart_killed(bench, &name, error))
            return false;
    return server_stop(&bench->server, error);
}

const struct scenario scenario_restart = {
    "restart", "from exec to ready, after a clean stop and after kill -9", run};
