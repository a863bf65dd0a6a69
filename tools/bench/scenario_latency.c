/*
 * latency: one producer sends single mutations at a fixed rate, one subscriber sees them. Each
 * mutation carries the time at which it was due, not the time at which it was sent: when the
 * server falls behind, what waits because of that counts as waiting.
 */
#include "bench/bench.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { KEYS = 10000, PERCENTILES = 3, SECOND = 1000000000 /* in nanoseconds */ };

struct latency {
    struct loop_source source; /* first: the timer calls back with it */
    struct bench *bench;
    struct crew crew;
    struct audience audience;
    int timer;
    uint64_t start_us, interval_us; /* mutation n is due at start + n * interval */
    uint64_t sent, to_send;
    double *seen, *acknowledged, *late; /* microseconds, one for each mutation at most */
    size_t seen_count, acknowledged_count;
};

/* ---- samples ---- */

static void on_change(void *context, struct span payload)
{
    struct latency *latency = context;
    uint64_t stamp = message_find_stamp(payload);
    if (stamp && latency->seen_count < latency->to_send)
        latency->seen[latency->seen_count++] = (double)(clock_monotonic_us() - stamp);
}

static void on_acknowledged(void *context, uint64_t request)
{
    struct latency *latency = context;
    uint64_t due = latency->start_us + request * latency->interval_us;
    if (latency->acknowledged_count < latency->to_send)
        latency->acknowledged[latency->acknowledged_count++] = (double)(clock_monotonic_us() - due);
}

/* ---- sending on time ---- */

static void on_timer(struct loop_source *source, uint32_t events)
{
    struct latency *latency = (struct latency *)source;
    uint64_t expirations;
    (void)events;
    if (read(latency->timer, &expirations, sizeof expirations) < 0)
        return;
    while (latency->sent < latency->to_send) {
        uint64_t due = latency->start_us + latency->sent * latency->interval_us;
        uint64_t now = clock_monotonic_us();
        if (due > now)
            return;
        latency->late[latency->sent++] = (double)(now - due);
        crew_send_stamp(&latency->crew, due);
    }
}

static bool set_timer(struct latency *latency, struct error *error)
{
    uint64_t nanoseconds = latency->interval_us * 1000;
    struct itimerspec times = {
        .it_interval = {(time_t)(nanoseconds / SECOND), (long)(nanoseconds % SECOND)},
        .it_value.tv_nsec = 1, /* at once; the first turn decides what is due */
    };
    prctl(PR_SET_TIMERSLACK, 1UL); /* nanosecond: the kernel would else gather our timers */
    latency->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (latency->timer < 0 || timerfd_settime(latency->timer, 0, &times, NULL) < 0)
        return error_set(error, ERROR_INTERNAL, "no timer: %s", strerror(errno));
    latency->source.ready = on_timer;
    return loop_watch(&latency->bench->loop, EPOLL_CTL_ADD, latency->timer, EPOLLIN,
                      &latency->source);
}

static bool all_is_sent(const void *argument)
{
    const struct latency *latency = argument;
    return latency->sent == latency->to_send;
}

/* ---- one round ---- */

static void report_quantiles(struct latency *latency, const struct report_case *name,
                             const char *const measures[PERCENTILES], double *samples, size_t count)
{
    static const double shares[PERCENTILES] = {0.5, 0.99, 1};
    for (size_t i = 0; i < PERCENTILES; i++)
        report_sample(latency->bench->report, name, measures[i], "ms",
                      samples_quantile(samples, count, shares[i]) / 1000);
}

static void report(struct latency *latency, uint64_t rate)
{
    static const char *const seen[] = {"to client, p50", "to client, p99", "to client, longest"};
    static const char *const acknowledged[] = {"acknowledged, p50", "acknowledged, p99",
                                               "acknowledged, longest"};
    static const char *const late[] = {"generator late, p50", "generator late, p99",
                                       "generator late, longest"};
    char text[32];
    struct report_case name =
        report_case("latency", "%s mutations/s", number_text((double)rate, text));
    report_quantiles(latency, &name, seen, latency->seen, latency->seen_count);
    report_quantiles(latency, &name, acknowledged, latency->acknowledged,
                     latency->acknowledged_count);
    report_quantiles(latency, &name, late, latency->late, (size_t)latency->sent);
    report_sample(latency->bench->report, &name, "mutations seen", "% of sent",
                  100 * (double)latency->seen_count / (double)latency->sent);
}

static bool send_and_wait(struct latency *latency, uint64_t last_index, struct error *error)
{
    double seconds = latency->bench->options->seconds + BENCH_PATIENCE_SECONDS;
    struct loop_wait sent = {all_is_sent, latency, seconds, "the timer"};
    audience_expect(&latency->audience, last_index + latency->to_send);
    latency->start_us = clock_monotonic_us() + 1000;
    return set_timer(latency, error) && loop_until(&latency->bench->loop, &sent, error) &&
           audience_wait(&latency->audience, BENCH_PATIENCE_SECONDS, error) &&
           crew_finish(&latency->crew, BENCH_PATIENCE_SECONDS, error);
}

static bool connect_both(struct latency *latency, struct error *error)
{
    struct bench *bench = latency->bench;
    struct crew_plan plan = bench_plan(bench, 1, 1, KEYS);
    plan.content = MESSAGE_STAMPS;
    if (!crew_open(&latency->crew, &bench->loop, &bench->server.address, &plan, error) ||
        !audience_init(&latency->audience, &bench->loop, &bench->server.address, "/", 1, error) ||
        !audience_settle(&latency->audience, KEYS, error))
        return false;
    latency->crew.on_acknowledged = on_acknowledged;
    latency->audience.on_change = on_change;
    latency->crew.context = latency->audience.context = latency;
    return true;
}

static bool measure(struct bench *bench, uint64_t rate, uint64_t *last_index, struct error *error)
{
    struct latency latency = {.bench = bench, .timer = -1, .interval_us = 1000000 / rate};
    latency.to_send = (uint64_t)(bench->options->seconds * (double)rate);
    latency.to_send += latency.to_send == 0;
    double *samples = memory_new(3 * latency.to_send * sizeof *samples);
    if (!samples || !latency.interval_us)
        return error_set(error, ERROR_CONFIGURATION, "a rate of %llu/s is too much",
                         (unsigned long long)rate);
    latency.seen = samples;
    latency.acknowledged = samples + latency.to_send;
    latency.late = samples + 2 * latency.to_send;
    bool done = connect_both(&latency, error) && send_and_wait(&latency, *last_index, error);
    if (done)
        report(&latency, rate);
    *last_index = latency.crew.last_index;
    if (latency.timer >= 0)
        close(latency.timer);
    crew_close(&latency.crew);
    audience_close(&latency.audience);
    memory_free(samples);
    return done;
}

static bool run(struct bench *bench, struct error *error)
{
    const struct number_list *rates = &bench->options->rates;
    struct bench_load load;
    if (!server_start(&bench->server, error) || !bench_load(bench, KEYS, &load, error))
        return false;
    for (uint64_t round = 0; round < bench->options->rounds; round++)
        for (size_t i = 0; i < rates->count; i++)
            if (!measure(bench, rates->values[i], &load.last_index, error))
                return false;
    return server_stop(&bench->server, error);
}

const struct scenario scenario_latency = {
    "latency", "from the time a mutation is due to the client that sees it", run};
