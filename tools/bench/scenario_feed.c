/*
 * feed: durable mutations/s over the WebSocket: patches at random keys of entities that exist, by
 * batch size and number of producers. A mutation counts when its acknowledgement is here, which
 * the server sends when its commit is on disk.
 */
#include "bench/bench.h"

static const double warm_up_share = 0.2; /* of the time that is measured, before it */

struct feed_case {
    const char *scenario;
    uint64_t keys;
    size_t batch;
    unsigned producers;
};

static bool measure_window(struct bench *bench, struct crew *crew, const struct report_case *name,
                           struct error *error)
{
    double seconds = bench->options->seconds;
    crew_start(crew, UINT64_MAX);
    if (!loop_for(&bench->loop, seconds * warm_up_share, error))
        return false;
    struct process_time before = process_time(bench->server.process);
    uint64_t acknowledged = crew->acknowledged;
    if (!loop_for(&bench->loop, seconds, error))
        return false;
    acknowledged = crew->acknowledged - acknowledged;
    report_sample(bench->report, name, "fed", "mutations/s",
                  (double)acknowledged / (clock_seconds() - before.at));
    bench_report_time(bench, name, before);
    crew_stop(crew);
    return crew_finish(crew, BENCH_PATIENCE_SECONDS, error);
}

static bool measure(struct bench *bench, const struct feed_case *feed, struct error *error)
{
    char keys[32], batch[32];
    struct crew crew;
    struct crew_plan plan = bench_plan(bench, feed->producers, feed->batch, feed->keys);
    struct report_case name =
        report_case(feed->scenario, "%s keys, batches of %s, %u producer%s",
                    number_text((double)feed->keys, keys), number_text((double)feed->batch, batch),
                    feed->producers, feed->producers == 1 ? "" : "s");
    bool done = crew_open(&crew, &bench->loop, &bench->server.address, &plan, error) &&
                measure_window(bench, &crew, &name, error);
    crew_close(&crew);
    return done;
}

/* Everything once, so that rounds of different cases alternate and a drift hits all alike. */
static bool measure_all(struct bench *bench, struct feed_case *feed,
                        const struct number_list *batches, struct error *error)
{
    const struct number_list *producers = &bench->options->producers;
    for (size_t b = 0; b < batches->count; b++)
        for (size_t p = 0; p < producers->count; p++) {
            feed->batch = (size_t)batches->values[b];
            feed->producers = (unsigned)producers->values[p];
            if (!measure(bench, feed, error))
                return false;
        }
    return true;
}

static bool load(struct bench *bench, const struct feed_case *feed, struct error *error)
{
    struct bench_load load;
    char keys[32];
    if (!bench_load(bench, feed->keys, &load, error))
        return false;
    struct report_case name =
        report_case(feed->scenario, "%s keys, loading them", number_text((double)feed->keys, keys));
    report_sample(bench->report, &name, "loaded", "entities/s", (double)feed->keys / load.seconds);
    return true;
}

static bool run_sizes(struct bench *bench, const char *scenario, const struct number_list *keys,
                      const struct number_list *batches, struct error *error)
{
    for (size_t k = 0; k < keys->count; k++) {
        struct feed_case feed = {.scenario = scenario, .keys = keys->values[k]};
        bool done = server_start(&bench->server, error) && load(bench, &feed, error);
        for (uint64_t round = 0; done && round < bench->options->rounds; round++)
            done = measure_all(bench, &feed, batches, error);
        if (!done || !server_stop(&bench->server, error))
            return false;
    }
    return true;
}

static bool run_feed(struct bench *bench, struct error *error)
{
    return run_sizes(bench, "feed", &bench->options->keys, &bench->options->batches, error);
}

static bool run_feed_large(struct bench *bench, struct error *error)
{
    return run_sizes(bench, "feed-large", &bench->options->large_keys,
                     &bench->options->large_batches, error);
}

const struct scenario scenario_feed = {"feed", "durable mutations/s by batch size and producers",
                                       run_feed};
const struct scenario scenario_feed_large = {
    "feed-large", "the same over many keys, and loading them", run_feed_large};
