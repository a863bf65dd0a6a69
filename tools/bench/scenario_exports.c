/*
 * exports: what a start costs the server with so many configured exports, each with a sorted view:
 * the first, which makes them and their SQL views, and the next. The cost of one export must not
 * depend on their number.
 */
#include "bench/bench.h"

enum { SIZES = 3, STARTS = 2 };

static const uint64_t sizes[SIZES] = {100, 1000, 10000};
static const char *const starts[STARTS] = {"first start", "second start"};

static bool configure(struct bench *bench, uint64_t exports, struct error *error)
{
    struct buffer json;
    buffer_init(&json, SIZE_MAX / 2);
    buffer_add_string(&json, "{\"exports\":{");
    for (uint64_t i = 0; i < exports; i++)
        buffer_printf(&json,
                      "%s\"Export%llu\":{\"views\":{\"site\":{\"pipeline\":[{\"sort\":"
                      "{\"by\":\"installed\"}}]}}}",
                      i ? "," : "", (unsigned long long)i);
    buffer_add_string(&json, "}}");
    const char *text = buffer_string(&json);
    bool done = text ? server_configure(&bench->server, text, error)
                     : error_set(error, ERROR_MEMORY, "out of memory");
    buffer_fini(&json);
    return done;
}

/* On a folder of its own: nothing of another size is in the file. */
static bool measure(struct bench *bench, uint64_t exports, struct error *error)
{
    char number[32];
    server_end(&bench->server);
    if (!server_prepare(&bench->server, bench->options->server, bench->options->folder, error))
        return false;
    for (size_t i = 0; i < bench->options->setting_count; i++)
        server_set(&bench->server, bench->options->settings[i]);
    if (!configure(bench, exports, error))
        return false;
    for (int start = 0; start < STARTS; start++) {
        if (!server_start(&bench->server, error))
            return false;
        double seconds = process_time(bench->server.process).other;
        struct report_case name = report_case("exports", "%s configured exports, %s",
                                              number_text((double)exports, number), starts[start]);
        report_sample(bench->report, &name, "processor time of the server", "ms", seconds * 1e3);
        report_sample(bench->report, &name, "processor time for each export", "ms",
                      seconds * 1e3 / (double)exports);
        if (!server_stop(&bench->server, error))
            return false;
    }
    return true;
}

static bool run(struct bench *bench, struct error *error)
{
    for (uint64_t round = 0; round < bench->options->rounds; round++)
        for (int i = 0; i < SIZES && sizes[i] <= bench->options->entities / 10; i++)
            if (!measure(bench, sizes[i], error))
                return false;
    return true;
}

const struct scenario scenario_exports = {
    "exports", "what a start costs with 100, 1,000 and 10,000 configured exports", run};
