/*
 * stalled: many subscribers that never read while the server is fed at full speed. Its memory must
 * stay flat, a subscriber that reads must be served, and one of the others that starts to read in
 * the end must get to the head.
 */
#include "bench/bench.h"

enum {
    KEYS = 10000,
    BATCH = 1000,
    PRODUCERS = 2,
    RECEIVE_BUFFER = 4096, /* little, so that the server notices soon that nobody reads */
    SAMPLES_MOST = 16384
};

static const double settle_seconds = 1, sample_seconds = 0.25;

struct stalled {
    struct bench *bench;
    struct report_case name;
    struct audience silent, reader;
    struct crew crew;
};

static void sample(struct stalled *stalled, const char *measure, const char *unit, double value)
{
    report_sample(stalled->bench->report, &stalled->name, measure, unit, value);
}

/* ---- before ---- */

static bool connect_silent(struct stalled *stalled, struct error *error)
{
    struct audience *silent = &stalled->silent;
    struct bench *bench = stalled->bench;
    if (!audience_init(silent, &bench->loop, &bench->server.address, "/",
                       (size_t)bench->options->stalled, error))
        return false;
    silent->target.receive_buffer = RECEIVE_BUFFER;
    if (!audience_connect(silent, error))
        return false;
    audience_set_deaf(silent, true);
    audience_subscribe(silent);
    return true;
}

static bool connect_all(struct stalled *stalled, struct error *error)
{
    struct bench *bench = stalled->bench;
    struct crew_plan plan = bench_plan(bench, PRODUCERS, BATCH, KEYS);
    return audience_init(&stalled->reader, &bench->loop, &bench->server.address, "/", 1, error) &&
           audience_settle(&stalled->reader, KEYS, error) && connect_silent(stalled, error) &&
           crew_open(&stalled->crew, &bench->loop, &bench->server.address, &plan, error) &&
           loop_for(&bench->loop, settle_seconds, error);
}

/* ---- feeding ---- */

struct memory_course {
    double resident[SAMPLES_MOST]; /* bytes, every sample_seconds */
    size_t count;
};

static bool watch_memory(struct stalled *stalled, struct memory_course *course, struct error *error)
{
    struct process_memory memory;
    double end = clock_seconds() + stalled->bench->options->stalled_seconds;
    while (clock_seconds() < end && course->count < SAMPLES_MOST) {
        if (!loop_for(&stalled->bench->loop, sample_seconds, error) ||
            !process_memory(stalled->bench->server.process, &memory, error))
            return false;
        course->resident[course->count++] = memory.resident;
    }
    return true;
}

/* The median of the second and the last quarter of the time tell whether memory still grows. */
static void report_course(struct stalled *stalled, struct memory_course *course)
{
    size_t quarter = course->count / 4;
    double *early = course->resident + quarter, *late = course->resident + 3 * quarter;
    double late_median = samples_quantile(late, course->count - 3 * quarter, 0.5);
    sample(stalled, "resident, last quarter", "MB", late_median / 1e6);
    sample(stalled, "growth since second quarter", "MB",
           (late_median - samples_quantile(early, quarter, 0.5)) / 1e6);
    sample(stalled, "resident, most", "MB",
           samples_quantile(course->resident, course->count, 1) / 1e6);
}

static bool feed(struct stalled *stalled, struct error *error)
{
    struct memory_course *course = memory_new(sizeof *course);
    struct process_memory before;
    if (!course)
        return error_set(error, ERROR_MEMORY, "out of memory");
    bool done = process_memory(stalled->bench->server.process, &before, error);
    double start = clock_seconds();
    if (done) {
        crew_start(&stalled->crew, UINT64_MAX);
        done = watch_memory(stalled, course, error);
    }
    double seconds = clock_seconds() - start;
    crew_stop(&stalled->crew);
    if (done) {
        sample(stalled, "fed", "mutations/s", (double)stalled->crew.acknowledged / seconds);
        sample(stalled, "the reader got", "frames/s", (double)stalled->reader.frames / seconds);
        sample(stalled, "resident, before feeding", "MB", before.resident / 1e6);
        report_course(stalled, course);
    }
    memory_free(course);
    return done && crew_finish(&stalled->crew, BENCH_PATIENCE_SECONDS, error);
}

/* ---- after ---- */

static bool reader_converges(struct stalled *stalled, struct error *error)
{
    double start = clock_seconds();
    audience_expect(&stalled->reader, stalled->crew.last_index);
    if (!audience_wait(&stalled->reader, BENCH_PATIENCE_SECONDS, error))
        return error_prefix(error, "the reading subscriber");
    sample(stalled, "the reader is at the head", "ms later", (clock_seconds() - start) * 1e3);
    return true;
}

/* Wait for the first of the silent ones only: the others go on not reading. */
static bool first_is_there(const void *argument)
{
    const struct stalled *stalled = argument;
    return stalled->silent.members[0].position >= stalled->crew.last_index;
}

/* A mutation now and then, until one comes as a live frame: what the subscriber missed for longer
 * than the log is kept comes as a compressed snapshot, which is not looked into here. */
static bool silent_converges(struct stalled *stalled, struct error *error)
{
    struct loop_wait wait = {first_is_there, stalled, 0.1,
                             "a stalled subscriber to get to the head"};
    double start = clock_seconds();
    bool there = false;
    connection_set_deaf(&stalled->silent.members[0].connection, false);
    while (!there && clock_seconds() - start < BENCH_PATIENCE_SECONDS) {
        crew_start(&stalled->crew, 1);
        if (!crew_finish(&stalled->crew, BENCH_PATIENCE_SECONDS, error))
            return false;
        there = loop_until(&stalled->bench->loop, &wait, error);
    }
    if (there)
        sample(stalled, "a stalled one is at the head", "ms", (clock_seconds() - start) * 1e3);
    return there;
}

static bool measure(struct bench *bench, struct error *error)
{
    char text[32];
    struct stalled stalled = {.bench = bench};
    stalled.name = report_case("stalled", "%s that never read",
                               number_text((double)bench->options->stalled, text));
    bool done = connect_all(&stalled, error) && feed(&stalled, error) &&
                reader_converges(&stalled, error) && silent_converges(&stalled, error);
    audience_close(&stalled.silent);
    audience_close(&stalled.reader);
    crew_close(&stalled.crew);
    return done;
}

static bool run(struct bench *bench, struct error *error)
{
    struct bench_load load;
    for (uint64_t round = 0; round < bench->options->rounds; round++) {
        bool done = server_start(&bench->server, error);
        if (done && round == 0)
            done = bench_load(bench, KEYS, &load, error);
        if (!done || !measure(bench, error) || !server_stop(&bench->server, error))
            return false;
    }
    return true;
}

const struct scenario scenario_stalled = {
    "stalled", "memory and service while many subscribers never read", run};
