#include "bench/watching.h"

enum { BATCH = 1000, PRODUCERS = 2, TEXT = 128 };

static const double warm_up_seconds = 1, quiet_seconds = 0.2;

/* ---- subscribers ---- */

static const char (*window_texts(const char *view))[TEXT]
{
    static char texts[WATCHING_WINDOWS][TEXT];
    for (int i = 0; i < WATCHING_WINDOWS; i++)
        snprintf(texts[i], TEXT,
                 "{\"type\":\"subscribe\",\"view\":\"Item/%s\",\"take\":%d,\"skip\":%d}", view,
                 WATCHING_ROWS, i * WATCHING_ROWS);
    return (const char(*)[TEXT])texts;
}

bool watching_settle(struct bench *bench, struct audience *audience, const char *view,
                     size_t members, size_t windows, struct error *error)
{
    static const char *subscriptions[WATCHING_WINDOWS];
    const char(*texts)[TEXT] = window_texts(view);
    for (int i = 0; i < WATCHING_WINDOWS; i++)
        subscriptions[i] = texts[i];
    if (!audience_init(audience, &bench->loop, &bench->server.address, "/", members, error))
        return false;
    audience->subscriptions = subscriptions;
    audience->subscription_count = windows;
    return audience_settle(audience, WATCHING_ROWS, error);
}

/* ---- feeding ---- */

/* How long frames go on coming. */
static bool report_behind(struct bench *bench, const struct report_case *name,
                          const struct audience *audience, struct error *error)
{
    double end = clock_seconds(), last = end;
    uint64_t frames = audience->frames;
    while (clock_seconds() - last < quiet_seconds) {
        if (!loop_for(&bench->loop, quiet_seconds / 20, error))
            return false;
        if (audience->frames != frames)
            last = clock_seconds();
        frames = audience->frames;
    }
    report_sample(bench->report, name, "behind", "ms", (last - end) * 1e3);
    return true;
}

bool watching_feed(struct bench *bench, const struct report_case *name, uint64_t first_key,
                   uint64_t keys, const struct audience *audience, struct error *error)
{
    struct crew crew;
    struct crew_plan plan = bench_plan(bench, PRODUCERS, BATCH, keys);
    plan.first_key = first_key;
    bool done = crew_open(&crew, &bench->loop, &bench->server.address, &plan, error);
    if (done) {
        crew_start(&crew, UINT64_MAX);
        done = loop_for(&bench->loop, warm_up_seconds, error);
    }
    struct process_time before = process_time(bench->server.process);
    uint64_t acknowledged = crew.acknowledged, frames = audience->frames;
    done = done && loop_for(&bench->loop, bench->options->seconds, error);
    double seconds = clock_seconds() - before.at;
    struct process_time after = process_time(bench->server.process);
    acknowledged = crew.acknowledged - acknowledged;
    if (done && acknowledged) {
        report_sample(bench->report, name, "fed", "mutations/s", (double)acknowledged / seconds);
        report_sample(bench->report, name, "processor time of the server", "us/mutation",
                      (after.other - before.other) * 1e6 / (double)acknowledged);
        report_sample(bench->report, name, "frames", "frames/s",
                      (double)(audience->frames - frames) / seconds);
    }
    crew_stop(&crew);
    done = done && crew_finish(&crew, BENCH_PATIENCE_SECONDS, error) &&
           (!audience->count || report_behind(bench, name, audience, error));
    crew_close(&crew);
    return done;
}
