/*
 * windows: a derived view sorted by a number that every mutation changes.
 *   - feeding with nobody there, and with 16 subscribers of 16 different windows of it;
 *   - feeding with many subscribers of one window, the rows of which hardly change;
 *   - building the view over entities that are there.
 * A mutation counts when it is acknowledged. "Behind" is how long after the last acknowledgement
 * the last frame came.
 */
#include "bench/watching.h"

static const char sorted_config[] =
    "{\"exports\":{\"Item\":{\"views\":{\"rank\":{\"pipeline\":[{\"sort\":{\"by\":\"cycles\","
    "\"order\":\"desc\"}}]},\"site\":{\"pipeline\":[{\"sort\":{\"by\":\"installed\"}}]}}}}}";
static const char plain_config[] = "{\"exports\":{\"Item\":{}}}";

static bool measure(struct bench *bench, const char *what, const char *view, uint64_t keys,
                    size_t members, size_t windows, struct error *error)
{
    char key_text[32], member_text[32];
    struct audience audience = {.count = 0};
    struct report_case name =
        report_case("windows", "%s rows, %s %s", number_text((double)keys, key_text),
                    number_text((double)members, member_text), what);
    bool done = (!members || watching_settle(bench, &audience, view, members, windows, error)) &&
                watching_feed(bench, &name, 0, keys, &audience, error);
    audience_close(&audience);
    return done;
}

/* Rounds of different cases alternate. What sorts "site" never changes in a patch, so a window far
 * down in it is touched by few mutations. */
static bool measure_all(struct bench *bench, uint64_t keys, struct error *error)
{
    const struct number_list *members = &bench->options->window_members;
    if (!measure(bench, "subscribers", "rank", keys, 0, 0, error) ||
        !measure(bench, "different windows", "rank", keys, WATCHING_WINDOWS, WATCHING_WINDOWS,
                 error))
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
