/*
 * far: the first frame of windows that are expensive to find in a large export: far down, or under
 * a filter that nothing passes. What it costs the server, beside the first page of the same view.
 */
#include "bench/bench.h"

enum { VIEWS = 2, CASES = 3, ROWS = 10, TEXT = 160 };

static const char config[] = "{\"exports\":{\"Item\":{\"views\":{\"site\":{\"pipeline\":[{\"sort\":"
                             "{\"by\":\"installed\"}}]}}}}}";
static const char *const views[VIEWS] = {"Item/list", "Item/site"};
static const char *const cases[CASES] = {"first page", "page at the end", "filter without a match"};

static void subscription(char text[TEXT], const char *view, int which, uint64_t entities)
{
    unsigned long long skip = which == 1 ? entities - ROWS : 0;
    snprintf(text, TEXT, "{\"type\":\"subscribe\",\"view\":\"%s\",\"take\":%d,\"skip\":%llu%s}",
             view, ROWS, skip, which == 2 ? ",\"filters\":{\"serial\":\"none\"}" : "");
}

/* Processor seconds of the server until one subscriber has its rows; negative: it failed. */
static double ask(struct bench *bench, const char *text, uint64_t rows, struct error *error)
{
    struct audience audience;
    const char *subscriptions[] = {text};
    bool done = audience_init(&audience, &bench->loop, &bench->server.address, "/", 1, error) &&
                audience_connect(&audience, error);
    struct process_time before = process_time(bench->server.process);
    if (done) {
        audience.subscriptions = subscriptions;
        audience.subscription_count = 1;
        audience_expect_snapshot(&audience, rows);
        audience_subscribe(&audience);
        done = audience_wait_snapshot(&audience, BENCH_PATIENCE_SECONDS, error);
    }
    struct process_time after = process_time(bench->server.process);
    audience_close(&audience);
    return done ? after.other - before.other : -1;
}

static bool measure(struct bench *bench, struct error *error)
{
    uint64_t entities = bench->options->entities;
    for (int view = 0; view < VIEWS; view++)
        for (int which = 0; which < CASES; which++) {
            char text[TEXT], number[32];
            subscription(text, views[view], which, entities);
            double seconds = ask(bench, text, which == 2 ? 0 : ROWS, error);
            if (seconds < 0)
                return false;
            struct report_case name =
                report_case("far", "%s entities, %s, %s", number_text((double)entities, number),
                            views[view], cases[which]);
            report_sample(bench->report, &name, "processor time of the server", "ms",
                          seconds * 1e3);
        }
    return true;
}

static bool run(struct bench *bench, struct error *error)
{
    struct bench_load load;
    if (!server_configure(&bench->server, config, error) || !server_start(&bench->server, error) ||
        !bench_load(bench, bench->options->entities, &load, error))
        return false;
    for (uint64_t round = 0; round < bench->options->rounds; round++)
        if (!measure(bench, error))
            return false;
    return server_stop(&bench->server, error);
}

const struct scenario scenario_far = {
    "far", "the first frame of far and of filtered windows of a large export", run};
