/*
 * stele-bench: starts a stele server on a fresh database for each scenario, loads it, and tells
 * what it did. Progress and a table go to standard error, JSON to standard output.
 */
#include "bench/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, PROGRAM_PATH = 4096 };

static const struct scenario *const scenarios[] = {
    &scenario_feed,    &scenario_feed_large, &scenario_fanout,  &scenario_latency,
    &scenario_herd,    &scenario_idle,       &scenario_restart, &scenario_stalled,
    &scenario_windows, &scenario_outside,    &scenario_far,     &scenario_fairness,
    &scenario_exports, &scenario_tenants,    &scenario_queries, &scenario_versions,
    &scenario_resume,
};
enum { SCENARIO_COUNT = sizeof scenarios / sizeof *scenarios };

static int usage(FILE *out)
{
    fprintf(out, "usage: stele-bench [OPTION]… all | SCENARIO…\n"
                 "       stele-bench --quick [SCENARIO…]\n\nscenarios:\n");
    for (size_t i = 0; i < SCENARIO_COUNT; i++)
        fprintf(out, "  %-12s %s\n", scenarios[i]->name, scenarios[i]->summary);
    fprintf(out, "\noptions; sizes are given with their defaults, lists are joined by commas:\n");
    options_print(out);
    return out == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

/* ---- preparing ---- */

static bool is_chosen(const struct options *options, const char *name)
{
    for (size_t i = 0; i < options->scenario_count; i++)
        if (strcmp(options->scenarios[i], name) == 0 || strcmp(options->scenarios[i], "all") == 0)
            return true;
    return options->scenario_count == 0 && options->quick;
}

static bool check_names(const struct options *options, struct error *error)
{
    for (size_t i = 0; i < options->scenario_count; i++) {
        const char *given = options->scenarios[i];
        bool known = strcmp(given, "all") == 0;
        for (size_t s = 0; s < SCENARIO_COUNT; s++)
            known = known || strcmp(given, scenarios[s]->name) == 0;
        if (!known)
            return error_set(error, ERROR_CONFIGURATION, "no scenario is called %s", given);
    }
    return true;
}

/* The server that was built along with this program. */
static const char *find_server(char path[PROGRAM_PATH])
{
    ssize_t length = readlink("/proc/self/exe", path, PROGRAM_PATH - sizeof "stele");
    char *slash = length > 0 ? memrchr(path, '/', (size_t)length) : NULL;
    if (!slash)
        return "./stele";
    memcpy(slash + 1, "stele", sizeof "stele");
    return path;
}

/* Server and generator each need a descriptor for every connection; the server inherits the limit.
 */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void set_places(struct options *options, char path[PROGRAM_PATH])
{
    if (!options->server)
        options->server = find_server(path);
    if (!options->folder)
        options->folder = getenv("TMPDIR");
    if (!options->folder || !*options->folder)
        options->folder = "/tmp";
}

/* ---- running ---- */

static void run_scenario(const struct options *options, struct report *report,
                         const struct scenario *scenario)
{
    struct bench bench = {.options = options, .report = report};
    struct error error = {0};
    if (!loop_init(&bench.loop, &error)) {
        report_failure(report, scenario->name, &error);
        return;
    }
    bool done = server_prepare(&bench.server, options->server, options->folder, &error);
    for (size_t i = 0; i < options->setting_count; i++)
        server_set(&bench.server, options->settings[i]);
    if (!done || !scenario->run(&bench, &error))
        report_failure(report, scenario->name, &error);
    server_end(&bench.server);
    loop_fini(&bench.loop);
}

static bool write_results(const struct options *options, const struct report *report)
{
    report_print_table(report, stderr);
    bool written = report_print_json(report, stdout);
    if (!options->json)
        return written;
    FILE *file = fopen(options->json, "we");
    bool saved = file && report_print_json(report, file);
    if (file)
        saved = fclose(file) == 0 && saved;
    if (!saved)
        fprintf(stderr, "stele-bench: cannot write %s: %s\n", options->json, strerror(errno));
    return written && saved;
}

int main(int argc, char **argv)
{
    static char server[PROGRAM_PATH];
    struct options options;
    struct error error;
    struct report report;
    if (!options_read(&options, argc, argv, &error) || !check_names(&options, &error)) {
        fprintf(stderr, "stele-bench: %s\n", error.message);
        return EXIT_USAGE;
    }
    if (options.help || (options.scenario_count == 0 && !options.quick))
        return usage(options.help ? stdout : stderr);
    set_places(&options, server);
    loop_catch_signals();
    raise_descriptor_limit();
    report_init(&report);
    report.date = options.date;
    machine_read(&report.machine, options.server, options.folder);
    for (size_t i = 0; i < SCENARIO_COUNT && !loop_interrupted(); i++)
        if (is_chosen(&options, scenarios[i]->name))
            run_scenario(&options, &report, scenarios[i]);
    bool good = write_results(&options, &report) && report.failures == 0;
    report_fini(&report);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
