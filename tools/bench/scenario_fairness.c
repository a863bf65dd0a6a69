/*
 * fairness: one client takes all that it can get of something, and what others are served
 * meanwhile is held against a quiet server. Each case has a server of its own, and each round of it
 * is quiet, then under the offence, then beside threads that only use processors: what the
 * offence costs can be told from what sharing the machine costs.
 *
 * Those who offend are threads and sockets of plain.h, because they break rules; those who are
 * measured do one thing after the other, each on a connection of its own, as a client does that
 * has just come.
 */
#include "bench/bench.h"
#include "bench/plain.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OFFENDERS = 160, /* sockets or threads, at most */
    PATIENCE = 5,    /* seconds after which something counts as not served */
    MOST_SAMPLES = 20000,
    UNFINISHED = 132,
    UNFINISHED_BYTES = 2100 * 1000,
    SLOW_READERS = 14,
    WINDOWS = 1000,
    SCANS = 60,
    PATCHES = 1100,
    ALLOWED = 4, /* large entities that a request may touch */
    PAUSE_MS = 300
};

struct fairness;

/* One of the things that were tried. */
struct offence {
    const char *name;
    bool (*fill)(struct fairness *fairness);
    bool (*victim)(struct fairness *fairness);
    void (*begin)(struct fairness *fairness);
};

struct fairness {
    struct bench *bench;
    const struct offence *offence;
    struct sockaddr_in server;
    bool quick;
    struct buffer body;  /* of what victims post */
    struct buffer wrong; /* of what offenders post */
    unsigned next;       /* what a victim did last */
    int sockets[OFFENDERS];
    pthread_t threads[OFFENDERS];
    size_t socket_count, thread_count;
    _Atomic unsigned next_offender;
    _Atomic bool stop;
    double samples[MOST_SAMPLES]; /* milliseconds */
    size_t count, served;
    double memory; /* the most that the server had; looked at now and then */
    double looked;
};

/* ---- bodies ---- */

static void add_filling(struct buffer *out, size_t bytes)
{
    char *room = buffer_reserve(out, bytes);
    if (!room)
        return;
    memset(room, 'x', bytes);
    out->length += bytes;
}

static void make_body(struct fairness *fairness, size_t bytes)
{
    buffer_clear(&fairness->body);
    buffer_add_string(&fairness->body, "{\"export\":\"Calm\",\"key\":\"k\",\"patch\":{\"t\":\"");
    add_filling(&fairness->body, bytes);
    buffer_add_string(&fairness->body, "\"}}\n");
}

static bool send_lines(struct fairness *fairness, struct buffer *lines)
{
    bool sent = plain_request(&fairness->server, "/v1/mutations", buffer_span(lines), 120) == 200;
    buffer_clear(lines);
    return sent;
}

/* So many entities, each of so many bytes, a few in a request. */
static bool fill_export(struct fairness *fairness, const char *name, size_t count, size_t bytes)
{
    struct buffer lines;
    bool done = true;
    buffer_init(&lines, 64 << 20);
    for (size_t i = 0; done && i < count; i++) {
        buffer_printf(&lines, "{\"export\":\"%s\",\"key\":\"k%zu\",\"patch\":{\"n\":%zu,\"t\":\"",
                      name, i, i);
        add_filling(&lines, bytes);
        buffer_add_string(&lines, "\"}}\n");
        if (lines.length > 1 << 20 || i + 1 == count)
            done = send_lines(fairness, &lines);
    }
    buffer_fini(&lines);
    return done;
}

/* ---- those who are measured ---- */

static bool post(struct fairness *fairness)
{
    return plain_request(&fairness->server, "/v1/mutations", buffer_span(&fairness->body),
                         PATIENCE) == 200;
}

static bool get(struct fairness *fairness)
{
    return plain_request(&fairness->server, "/v1/views/Calm/list", span_make(NULL, 0), PATIENCE) ==
           200;
}

static bool watch(struct fairness *fairness)
{
    char text[128];
    int it = plain_websocket(&fairness->server, "/", PATIENCE);
    snprintf(text, sizeof text,
             "{\"type\":\"subscribe\",\"view\":\"Rows/list\",\"take\":1,\"key\":\"k%u\"}",
             WINDOWS + fairness->next++ % WINDOWS);
    bool shown = it >= 0 && plain_say(it, span_of(text)) && plain_hear(it, 2);
    if (it >= 0)
        close(it);
    return shown;
}

/* ---- those who offend ---- */

static void start_threads(struct fairness *fairness, size_t count, void *(*run)(void *argument))
{
    for (size_t i = 0; i < count; i++)
        if (pthread_create(&fairness->threads[fairness->thread_count], NULL, run, fairness) == 0)
            fairness->thread_count++;
}

static void send_unfinished(struct fairness *fairness)
{
    static const char head[14] = {(char)0x81, (char)0xff, 0, 0, 0, 0, 0, 0x40};
    struct buffer bytes;
    buffer_init(&bytes, UNFINISHED_BYTES + sizeof head);
    buffer_add(&bytes, head, sizeof head);
    add_filling(&bytes, UNFINISHED_BYTES);
    for (size_t i = 0; i < UNFINISHED; i++) {
        int it = plain_websocket(&fairness->server, "/v1/ingest", PATIENCE);
        if (it < 0)
            continue;
        plain_write(it, buffer_span(&bytes));
        fairness->sockets[fairness->socket_count++] = it;
    }
    buffer_fini(&bytes);
}

static void *read_slowly(void *argument)
{
    struct fairness *fairness = argument;
    while (!atomic_load(&fairness->stop)) {
        char c;
        for (size_t i = 0; i < SLOW_READERS && i < fairness->socket_count; i++)
            if (recv(fairness->sockets[i], &c, 1, MSG_DONTWAIT) == 0)
                continue;
        usleep(1000 * 1000);
    }
    return NULL;
}

static void ask_and_read_slowly(struct fairness *fairness)
{
    static const char request[] =
        "GET /v1/views/Big/list?take=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (size_t i = 0; i < SLOW_READERS; i++) {
        int it = plain_connect(&fairness->server, 4096, PATIENCE);
        if (it < 0)
            continue;
        plain_write(it, span_of(request));
        fairness->sockets[fairness->socket_count++] = it;
    }
    start_threads(fairness, 1, read_slowly);
}

static void watch_all(struct fairness *fairness)
{
    int it = plain_websocket(&fairness->server, "/", PATIENCE);
    char text[128];
    if (it < 0)
        return;
    fairness->sockets[fairness->socket_count++] = it;
    for (unsigned i = 0; i < WINDOWS; i++) {
        snprintf(text, sizeof text,
                 "{\"type\":\"subscribe\",\"view\":\"Rows/list\",\"take\":1,\"key\":\"k%u\"}", i);
        if (!plain_say(it, span_of(text)) || !plain_hear(it, 2))
            return;
    }
}

static void *scan(void *argument)
{
    struct fairness *fairness = argument;
    char path[64];
    unsigned number = atomic_fetch_add(&fairness->next_offender, 1);
    snprintf(path, sizeof path, "/v1/views/Rows/list?take=10&filter=n:-%u", number + 1);
    while (!atomic_load(&fairness->stop))
        plain_request(&fairness->server, path, span_make(NULL, 0), PATIENCE);
    return NULL;
}

static void begin_scans(struct fairness *fairness)
{
    start_threads(fairness, SCANS, scan);
}

static void *send_wrong(void *argument)
{
    struct fairness *fairness = argument;
    while (!atomic_load(&fairness->stop))
        plain_request(&fairness->server, "/v1/mutations", buffer_span(&fairness->wrong), 60);
    return NULL;
}

static void begin_patches(struct fairness *fairness)
{
    for (unsigned i = 0; i < PATCHES; i++)
        buffer_printf(&fairness->wrong,
                      "{\"export\":\"Large\",\"key\":\"k0\",\"patch\":{\"m\":%u}}\n", i);
    start_threads(fairness, 1, send_wrong);
}

static size_t large_count(const struct fairness *fairness)
{
    return fairness->quick ? 8 : 80;
}

static size_t large_bytes(const struct fairness *fairness)
{
    return fairness->quick ? 700 * 1000 : 7 * 1000 * 1000;
}

static void touch(struct fairness *fairness, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buffer_printf(&fairness->wrong,
                      "{\"export\":\"Large\",\"key\":\"k%zu\",\"patch\":{\"m\":1}}\n", i);
    start_threads(fairness, 1, send_wrong);
}

static void begin_touching(struct fairness *fairness)
{
    touch(fairness, large_count(fairness));
}

static void begin_allowed(struct fairness *fairness)
{
    touch(fairness, ALLOWED);
}

/* Nobody offends: what it costs that the machine is shared. */
static void *spin(void *argument)
{
    struct fairness *fairness = argument;
    while (!atomic_load(&fairness->stop))
        ;
    return NULL;
}

static void begin(struct fairness *fairness)
{
    atomic_store(&fairness->stop, false);
    atomic_store(&fairness->next_offender, 0);
    fairness->socket_count = fairness->thread_count = 0;
    buffer_clear(&fairness->wrong);
}

static void stop(struct fairness *fairness)
{
    atomic_store(&fairness->stop, true);
    for (size_t i = 0; i < fairness->socket_count; i++)
        shutdown(fairness->sockets[i], SHUT_RDWR);
    for (size_t i = 0; i < fairness->thread_count; i++)
        pthread_join(fairness->threads[i], NULL);
    for (size_t i = 0; i < fairness->socket_count; i++)
        close(fairness->sockets[i]);
    begin(fairness);
}

/* ---- what there is before ---- */

static bool fill_nothing(struct fairness *fairness)
{
    make_body(fairness, 100 * 1000);
    return post(fairness);
}

static bool fill_big(struct fairness *fairness)
{
    make_body(fairness, 10);
    return post(fairness) && fill_export(fairness, "Big", 150, 80 * 1000);
}

static bool fill_keys(struct fairness *fairness)
{
    return fill_export(fairness, "Rows", 2 * WINDOWS, 10);
}

static bool fill_rows(struct fairness *fairness)
{
    make_body(fairness, 10);
    return post(fairness) && fill_export(fairness, "Rows", fairness->quick ? 10000 : 100000, 40);
}

static bool fill_one_large(struct fairness *fairness)
{
    make_body(fairness, 10);
    return post(fairness) && fill_export(fairness, "Large", 1, large_bytes(fairness));
}

static bool fill_large(struct fairness *fairness)
{
    make_body(fairness, 10);
    return post(fairness) &&
           fill_export(fairness, "Large", large_count(fairness), large_bytes(fairness));
}

static const struct offence offences[] = {
    {"132 unfinished messages; others POST 100 KB", fill_nothing, post, send_unfinished},
    {"14 answers of 12 MB read at 1 B/s; others GET", fill_big, get, ask_and_read_slowly},
    {"1,000 windows of a connection; others watch one", fill_keys, watch, watch_all},
    {"60 scans at a time; others GET", fill_rows, get, begin_scans},
    {"1,100 patches of one entity in a request; others POST", fill_one_large, post, begin_patches},
    {"patches of 80 large entities in a request; others POST", fill_large, post, begin_touching},
    {"patches of 4 large entities in a request; others POST", fill_large, post, begin_allowed},
};

/* ---- measuring ---- */

static void look_at_memory(struct fairness *fairness)
{
    struct process_memory memory;
    struct error error;
    if (clock_seconds() < fairness->looked + 0.05)
        return;
    fairness->looked = clock_seconds();
    if (process_memory(fairness->bench->server.process, &memory, &error) &&
        memory.resident > fairness->memory)
        fairness->memory = memory.resident;
}

static bool measure(struct fairness *fairness, const char *p50, const char *p99, const char *served)
{
    struct bench *bench = fairness->bench;
    struct report_case name = report_case("fairness", "%s", fairness->offence->name);
    double end = clock_seconds() + bench->options->seconds;
    fairness->count = fairness->served = 0;
    do {
        double begun = clock_seconds();
        fairness->served += fairness->offence->victim(fairness);
        fairness->samples[fairness->count++] = (clock_seconds() - begun) * 1000;
        look_at_memory(fairness);
    } while (clock_seconds() < end && fairness->count < MOST_SAMPLES && !loop_interrupted());
    report_sample(bench->report, &name, p50, "ms",
                  samples_quantile(fairness->samples, fairness->count, 0.5));
    report_sample(bench->report, &name, p99, "ms",
                  samples_quantile(fairness->samples, fairness->count, 0.99));
    report_sample(bench->report, &name, served, "%",
                  100 * (double)fairness->served / (double)fairness->count);
    return !loop_interrupted();
}

static void rest(void)
{
    usleep(PAUSE_MS * 1000);
}

static bool try_round(struct fairness *fairness)
{
    struct bench *bench = fairness->bench;
    struct report_case name = report_case("fairness", "%s", fairness->offence->name);
    rest();
    bool done = measure(fairness, "quiet, p50", "quiet, p99", "quiet, served");
    fairness->memory = 0;
    if (done) {
        fairness->offence->begin(fairness);
        rest();
        done = measure(fairness, "meanwhile, p50", "meanwhile, p99", "meanwhile, served");
        report_sample(bench->report, &name, "server's memory", "MB", fairness->memory / 1e6);
    }
    stop(fairness);
    rest();
    if (done) {
        start_threads(fairness, (size_t)sysconf(_SC_NPROCESSORS_ONLN), spin);
        done = measure(fairness, "beside busy threads, p50", "beside busy threads, p99",
                       "beside busy threads, served");
    }
    stop(fairness);
    return done;
}

static bool try_offence(struct fairness *fairness, struct error *error)
{
    struct bench *bench = fairness->bench;
    buffer_init(&fairness->body, 1 << 20);
    buffer_init(&fairness->wrong, 1 << 20);
    bool done = fairness->offence->fill(fairness) ||
                error_set(error, ERROR_INTERNAL, "the server did not take what it is filled with");
    for (uint64_t round = 0; done && round < bench->options->rounds; round++)
        done = try_round(fairness);
    buffer_fini(&fairness->body);
    buffer_fini(&fairness->wrong);
    return done;
}

/* A server that is stopped by force: those who offend may leave it no time to end. */
static bool run_one(struct bench *bench, const struct offence *offence, struct error *error)
{
    struct fairness *fairness = memory_new(sizeof *fairness);
    bool started = fairness && server_start(&bench->server, error);
    if (!fairness)
        return error_set(error, ERROR_MEMORY, "out of memory");
    fairness->bench = bench;
    fairness->offence = offence;
    fairness->server = bench->server.address;
    fairness->quick = bench->options->quick;
    bool done = started && try_offence(fairness, error);
    server_kill(&bench->server);
    memory_free(fairness);
    return done;
}

static bool run(struct bench *bench, struct error *error)
{
    static const char config[] = "{\"exports\":{\"Calm\":{},\"Big\":{},\"Rows\":{},\"Large\":{}}}";
    if (!server_configure(&bench->server, config, error))
        return false;
    const struct number_list *wanted = &bench->options->offences;
    for (size_t i = 0; i < wanted->count; i++) {
        uint64_t number = wanted->values[i];
        if (number > sizeof offences / sizeof *offences)
            return error_set(error, ERROR_INVALID_PARAMETER, "there is no offence %llu",
                             (unsigned long long)number);
        if (!run_one(bench, &offences[number - 1], error))
            return false;
    }
    return true;
}

const struct scenario scenario_fairness = {
    "fairness", "what others are served while one client takes all that it can get", run};
