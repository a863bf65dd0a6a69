#include "bench/bench.h"

enum { LOAD_BATCH = 1000 };

struct crew_plan bench_plan(const struct bench *bench, unsigned producers, size_t batch,
                            uint64_t keys)
{
    return (struct crew_plan){
        .producers = producers,
        .batch = batch,
        .content = MESSAGE_PATCHES,
        .keys = keys,
        .requests_in_flight = (size_t)bench->options->requests_in_flight,
        .bytes_in_flight = (size_t)bench->options->bytes_in_flight,
    };
}

bool bench_load(struct bench *bench, uint64_t keys, struct bench_load *load, struct error *error)
{
    /* A request of a fitting size, so that no key comes twice: seqs are counted on. */
    size_t batch = LOAD_BATCH;
    while (keys % batch)
        batch--;
    struct crew crew;
    struct crew_plan plan = bench_plan(bench, 1, batch, keys);
    plan.content = MESSAGE_ENTITIES;
    plan.in_order = true;
    bool done = crew_open(&crew, &bench->loop, &bench->server.address, &plan, error);
    double start = clock_seconds();
    if (done) {
        crew_start(&crew, keys / batch);
        /* As many seconds as a tenth of the slowest rate that makes sense would take. */
        done = crew_finish(&crew, BENCH_PATIENCE_SECONDS + (double)keys / 1000, error);
    }
    *load = (struct bench_load){crew.last_index, clock_seconds() - start};
    crew_close(&crew);
    return done;
}

void bench_report_time(struct bench *bench, const struct report_case *name,
                       struct process_time before)
{
    struct process_time share = process_share(before, bench->server.process);
    report_sample(bench->report, name, "server's processor use", "% of a core", share.other);
    report_sample(bench->report, name, "generator's processor use", "% of a core", share.own);
}
