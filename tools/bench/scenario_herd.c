/*
 * herd: many clients want the same snapshot at the same moment, as after a restart. Once they are
 * connected already and all subscribe, once they connect and subscribe. The server is started
 * anew each time, so that no snapshot is ready made.
 */
#include "bench/bench.h"

static bool subscribe_at_once(struct bench *bench, struct audience *audience, struct error *error)
{
    if (!audience_connect(audience, error))
        return false;
    double start = clock_seconds();
    audience_subscribe(audience);
    bool done = audience_wait_snapshot(audience, BENCH_PATIENCE_SECONDS, error);
    double seconds = clock_seconds() - start;
    if (!done)
        return false;
    char text[32];
    struct report_case name = report_case("herd", "%s clients, connected before",
                                          number_text((double)audience->count, text));
    report_sample(bench->report, &name, "last has its snapshot", "ms", seconds * 1e3);
    report_sample(bench->report, &name, "bytes to each", "bytes",
                  (double)audience->snapshot_bytes / (double)audience->count);
    return true;
}

static bool connect_at_once(struct bench *bench, struct audience *audience, struct error *error)
{
    audience->subscribe_when_open = true;
    double start = clock_seconds();
    audience_start(audience, audience->count);
    if (!audience_wait_snapshot(audience, BENCH_PATIENCE_SECONDS, error))
        return false;
    double seconds = clock_seconds() - start;
    char text[32];
    struct report_case name = report_case("herd", "%s clients, with connecting",
                                          number_text((double)audience->count, text));
    report_sample(bench->report, &name, "last has its snapshot", "ms", seconds * 1e3);
    return true;
}

static bool measure(struct bench *bench, uint64_t clients,
                    bool (*way)(struct bench *, struct audience *, struct error *),
                    struct error *error)
{
    struct audience audience;
    if (!server_stop(&bench->server, error) || !server_start(&bench->server, error))
        return false;
    bool done =
        audience_init(&audience, &bench->loop, &bench->server.address, "/", (size_t)clients, error);
    if (done) {
        audience_expect_snapshot(&audience, bench->options->rows);
        done = way(bench, &audience, error);
    }
    audience_close(&audience);
    return done;
}

static bool run(struct bench *bench, struct error *error)
{
    const struct number_list *clients = &bench->options->clients;
    struct bench_load load;
    if (!server_start(&bench->server, error) ||
        !bench_load(bench, bench->options->rows, &load, error))
        return false;
    for (uint64_t round = 0; round < bench->options->rounds; round++)
        for (size_t i = 0; i < clients->count; i++)
            if (!measure(bench, clients->values[i], subscribe_at_once, error) ||
                !measure(bench, clients->values[i], connect_at_once, error))
                return false;
    return server_stop(&bench->server, error);
}

const struct scenario scenario_herd = {
    "herd", "many clients subscribe at once, until the last has its snapshot", run};
