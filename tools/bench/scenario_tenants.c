/*
 * tenants: what grows with somebody else's number. Here, with that of exports: a new one in a
 * request of its own, with a read after each few; what another producer waits beside a request of
 * many new exports, against one of as many mutations; and a mutation beside so many exports that
 * each have a derived view. With that of tenants of one export: scenario_tenants_rows.c.
 */
#include "bench/plain.h"
#include "bench/tenants.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum {
    SIZES = 3,
    AT_ONCE = 1000,      /* new exports of a request that only fills */
    EXPORTS_A_READ = 10, /* new exports, between two reads */
    LARGE = 4999,        /* mutations of the large request */
    MUTATIONS = 500,     /* that are measured beside derived views */
    PATIENCE = 120,
    LINE = 160
};

static const uint64_t sizes[SIZES] = {100, 1000, 10000};

/* ---- requests ---- */

bool tenants_post(struct bench *bench, const char *path, const struct buffer *lines,
                  struct error *error)
{
    int status = plain_request(&bench->server.address, path, buffer_span(lines), PATIENCE);
    return status == 200 || error_set(error, ERROR_INTERNAL, "a request was answered %d", status);
}

bool tenants_get(struct bench *bench, const char *path, struct error *error)
{
    int status = plain_request(&bench->server.address, path, span_make(NULL, 0), PATIENCE);
    return status == 200 || error_set(error, ERROR_INTERNAL, "a read was answered %d", status);
}

static bool post_line(struct bench *bench, const char *export, uint64_t number, struct error *error)
{
    struct buffer line;
    buffer_init(&line, LINE);
    buffer_printf(&line, "{\"export\":\"%s%llu\",\"key\":\"k\",\"patch\":{\"installed\":1}}\n",
                  export, (unsigned long long)number);
    bool done = tenants_post(bench, "/v1/mutations", &line, error);
    buffer_fini(&line);
    return done;
}

/* So many mutations in one request, each of an export of its own or all of one. */
static void add_lines(struct buffer *lines, const char *export, uint64_t first, uint64_t count,
                      bool apart)
{
    for (uint64_t i = first; i < first + count; i++)
        buffer_printf(lines,
                      "{\"export\":\"%s%llu\",\"key\":\"k%llu\",\"patch\":{\"installed\":1}}\n",
                      export, (unsigned long long)(apart ? i : 0), (unsigned long long)i);
}

static bool post_many(struct bench *bench, const char *export, uint64_t first, uint64_t count,
                      bool apart, struct error *error)
{
    struct buffer lines;
    buffer_init(&lines, SIZE_MAX / 2);
    add_lines(&lines, export, first, count, apart);
    bool done = tenants_post(bench, "/v1/mutations", &lines, error);
    buffer_fini(&lines);
    return done;
}

static void rest(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

/* Until the server does nothing any more, but what it does now and then. */
void tenants_wait_quiet(struct bench *bench, double seconds)
{
    double until = clock_seconds() + seconds, before, now = 0;
    do {
        before = now;
        rest(0.25);
        now = process_time(bench->server.process).other;
    } while (now - before > 0.01 || clock_seconds() < until);
}

/* ---- a server of its own for each size ---- */

bool tenants_begin(struct bench *bench, const char *config, struct error *error)
{
    server_end(&bench->server);
    if (!server_prepare(&bench->server, bench->options->server, bench->options->folder, error))
        return false;
    for (size_t i = 0; i < bench->options->setting_count; i++)
        server_set(&bench->server, bench->options->settings[i]);
    server_set(&bench->server, "max_exports=100000");
    server_set(&bench->server, "max_connections=20000");
    server_set(&bench->server, "rate_limiting=off");
    return (!config || server_configure(&bench->server, config, error)) &&
           server_start(&bench->server, error);
}

/* ---- new exports, one a request ---- */

static bool add_exports(struct bench *bench, uint64_t first, uint64_t count, struct error *error)
{
    bool done = true;
    for (uint64_t i = first; done && i < first + count; i++)
        done = post_line(bench, "New", i, error) &&
               (i % EXPORTS_A_READ || tenants_get(bench, "/v1/views/New0/list", error));
    return done;
}

static bool measure_new(struct bench *bench, uint64_t exports, struct error *error)
{
    char number[32];
    if (!tenants_begin(bench, NULL, error))
        return false;
    for (uint64_t made = 0; made < exports; made += AT_ONCE) {
        uint64_t left = exports - made;
        if (!post_many(bench, "New", made, left < AT_ONCE ? left : AT_ONCE, true, error))
            return false;
    }
    /* Longer than the schema rests at most, so that nothing waits from before. */
    double seconds = 1 + (double)exports / 1000, most = 1 + 2 * seconds;
    tenants_wait_quiet(bench, seconds);
    uint64_t count = exports > 2 * AT_ONCE ? exports / 2 : exports;
    struct process_time before = process_time(bench->server.process);
    if (!add_exports(bench, exports, count, error))
        return false;
    tenants_wait_quiet(bench, most);
    double used = process_time(bench->server.process).other - before.other;
    struct report_case name =
        report_case("tenants", "%s exports, new ones", number_text((double)exports, number));
    report_sample(bench->report, &name, "processor time for each new export", "ms",
                  used * 1e3 / (double)count);
    return server_stop(&bench->server, error);
}

/* ---- beside a request of many new exports ---- */

struct large {
    struct bench *bench;
    bool apart;
    struct error error;
    double seconds;
    bool done;
    _Atomic bool over;
};

static void *send_large(void *argument)
{
    struct large *large = argument;
    double begun = clock_seconds();
    large->done = post_many(large->bench, "Large", 0, LARGE, large->apart, &large->error);
    large->seconds = clock_seconds() - begun;
    large->over = true;
    return NULL;
}

/* The longest answer that another producer waits for, until the request is answered, and as long
 * again as SQL views may be late. */
static bool wait_beside(struct bench *bench, bool apart, double *longest, struct error *error)
{
    struct large large = {.bench = bench, .apart = apart};
    pthread_t thread;
    double until = 0;
    bool done = true;
    if (pthread_create(&thread, NULL, send_large, &large) != 0)
        return error_set(error, ERROR_INTERNAL, "cannot start a thread");
    *longest = 0;
    do {
        double begun = clock_seconds();
        if (!until && large.over)
            until = begun + (bench->options->quick ? 1 : 2 * (1 + LARGE / 1e3));
        done = post_line(bench, "Other", 0, error);
        double waited = clock_seconds() - begun;
        *longest = waited > *longest ? waited : *longest;
        rest(0.002);
    } while (done && (!until || clock_seconds() < until));
    pthread_join(thread, NULL);
    if (!large.done)
        *error = large.error;
    return done && large.done;
}

static bool measure_beside(struct bench *bench, struct error *error)
{
    static const char *const requests[] = {"4,999 mutations of one export",
                                           "4,999 mutations, each of a new export"};
    for (int apart = 0; apart < 2; apart++) {
        double longest = 0;
        if (!tenants_begin(bench, NULL, error) || !post_line(bench, "Other", 0, error) ||
            !wait_beside(bench, apart, &longest, error))
            return false;
        struct report_case name = report_case("tenants", "beside %s", requests[apart]);
        report_sample(bench->report, &name, "longest wait of another producer", "ms",
                      longest * 1e3);
        if (!server_stop(&bench->server, error))
            return false;
    }
    return true;
}

/* ---- beside derived views of others ---- */

static bool begin_derived(struct bench *bench, uint64_t exports, struct error *error)
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
    bool done =
        text ? tenants_begin(bench, text, error) : error_set(error, ERROR_MEMORY, "out of memory");
    buffer_fini(&json);
    return done;
}

static bool measure_derived(struct bench *bench, uint64_t exports, struct error *error)
{
    char number[32];
    if (!begin_derived(bench, exports, error) || !post_line(bench, "Export", 0, error))
        return false;
    tenants_wait_quiet(bench, 1);
    struct process_time before = process_time(bench->server.process);
    for (uint64_t i = 0; i < MUTATIONS; i++) {
        if (!post_many(bench, "Export", i, 1, false, error))
            return false;
    }
    double used = process_time(bench->server.process).other - before.other;
    struct report_case name = report_case("tenants", "%s exports with a derived view each",
                                          number_text((double)exports, number));
    report_sample(bench->report, &name, "processor time for each mutation", "ms",
                  used * 1e3 / MUTATIONS);
    return server_stop(&bench->server, error);
}

static bool run(struct bench *bench, struct error *error)
{
    uint64_t most = bench->options->quick ? sizes[0] : bench->options->entities / 10;
    for (uint64_t round = 0; round < bench->options->rounds; round++) {
        for (int i = 0; i < SIZES && sizes[i] <= most; i++)
            if (!measure_new(bench, sizes[i], error) || !measure_derived(bench, sizes[i], error) ||
                !tenants_measure_rows(bench, sizes[i], error))
                return false;
        if (!measure_beside(bench, error) || !tenants_measure_feeding(bench, error))
            return false;
    }
    return true;
}

const struct scenario scenario_tenants = {
    "tenants", "what grows with somebody else's number: exports, derived views, scopes of rows",
    run};
