/*
 * windows: a derived view sorted by a number that every mutation changes.
 *   - feeding with nobody there, and with 16 subscribers of 16 different windows of it;
 *   - feeding with many subscribers of one window, the rows of which hardly change;
 *   - building the view over entities that are there.
 * A mutation counts when it is acknowledged. "Behind" is how long after the last acknowledgement
 * the last frame came.
 */
#include "bench/bench.h"

enum { WINDOWS = 16, ROWS = 100, BATCH = 1000, PRODUCERS = 2, TEXT = 128 };

static const double warm_up_seconds = 1, quiet_seconds = 0.2;

static const char sorted_config[] =
    "{\"exports\":{\"Item\":{\"views\":{\"rank\":{\"pipeline\":[{\"sort\":{\"by\":\"cycles\","
    "\"order\":\"desc\"}}]},\"site\":{\"pipeline\":[{\"sort\":{\"by\":\"installed\"}}]}}}}}";
static const char plain_config[] = "{\"exports\":{\"Item\":{}}}";

/* ---- subscribers ---- */

static const char (*window_texts(const char *view))[TEXT]
{
    static char texts[WINDOWS][TEXT];
    for (int i = 0; i < WINDOWS; i++)
        snprintf(texts[i], TEXT,
                 "{\"type\":\"subscribe\",\"view\":\"Item/%s\",\"take\":%d,\"skip\":%d}", view,
                 ROWS, i * ROWS);
    return (const char(*)[TEXT])texts;
}

static bool settle(struct bench *bench, struct audience *audience, const char *view, size_t members,
                   size_t windows, struct error *error)
{
    static const char *subscriptions[WINDOWS];
    const char(*texts)[TEXT] = window_texts(view);
    for (int i = 0; i < WINDOWS; i++)
        subscriptions[i] = texts[i];
    if (!audience_init(audience, &bench->loop, &bench->server.address, "/", members, error))
        return false;
    audience->subscriptions = subscriptions;
    audience->subscription_count = windows;
    return audience_settle(audience, ROWS, error);
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

static bool feed(struct bench *bench, const struct report_case *name, uint64_t keys,
                 const struct audience *audience, struct error *error)
{
    struct crew crew;
    struct crew_plan plan = bench_plan(bench, PRODUCERS, BATCH, keys);
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

static bool measure(struct bench *bench, const char *what, const char *view, uint64_t keys,
                    size_t members, size_t windows, struct error *error)
{
    char key_text[32], member_text[32];
    struct audience audience = {.count = 0};
    struct report_case name =
        report_case("windows", "%s rows, %s %s", number_text((double)keys, key_text),
                    number_text((double)members, member_text), what);
    bool done = (!members || settle(bench, &audience, view, members, windows, error)) &&
                feed(bench, &name, keys, &audience, error);
    audience_close(&audience);
    return done;
}

/* Rounds of different cases alternate. What sorts "site" never changes in a patch, so a window far
 * down in it is touched by few mutations. */
static bool measure_all(struct bench *bench, uint64_t keys, struct error *error)
{
    const struct number_list *members = &bench->options->window_members;
    if (!measure(bench, "subscribers", "rank", keys, 0, 0, error) ||
        !measure(bench, "different windows", "rank", keys, WINDOWS, WINDOWS, error))
        return false;
    for (size_t i = 0; i < members->count; i++)
        if (!measure(bench, "of one window", "site", keys, (size_t)members->values[i], 1, error))
            return false;
    return true;
}

/* ---- building ---- */

/* Entities first, under a configuration without the view; then with it. */
static bool build(struct bench *bench, uint64_t keys, struct error *error)
{
    char text[32];
    struct bench_load load;
    struct report_case name =
        report_case("windows", "%s rows, built at start", number_text((double)keys, text));
    if (!server_configure(&bench->server, plain_config, error) ||
        !server_start(&bench->server, error) || !bench_load(bench, keys, &load, error) ||
        !server_stop(&bench->server, error) ||
        !server_configure(&bench->server, sorted_config, error) ||
        !server_start(&bench->server, error))
        return false;
    report_sample(bench->report, &name, "two views built", "rows/s",
                  2 * (double)keys / bench->server.ready_seconds);
    report_sample(bench->report, &name, "ready after", "ms", bench->server.ready_seconds * 1e3);
    return true;
}

static bool run(struct bench *bench, struct error *error)
{
    const struct number_list *keys = &bench->options->window_keys;
    server_set(&bench->server, "max_connections=20000");
    for (size_t k = 0; k < keys->count; k++) {
        bool done = build(bench, keys->values[k], error);
        for (uint64_t round = 0; done && round < bench->options->rounds; round++)
            done = measure_all(bench, keys->values[k], error);
        if (!done || !server_stop(&bench->server, error))
            return false;
    }
    return true;
}

const struct scenario scenario_windows = {
    "windows", "feeding while windows of a sorted view are watched, and building it", run};
