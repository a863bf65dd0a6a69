/*
 * resume: a window of ten rows that comes back with its cursor after so many entities changed,
 * beside one that comes without. What each costs the server and the network: no resume may cost
 * more than a snapshot.
 */
#include "bench/bench.h"

enum { VIEWS = 2, KEYS = 20000, TAKE = 10, TIMES = 50, TEXT = 160 };

static const char config[] = "{\"exports\":{\"Item\":{\"views\":{\"site\":{\"pipeline\":[{\"sort\":"
                             "{\"by\":\"installed\"}}]}}}}}";
static const char *const views[VIEWS] = {"list", "site"};
static const unsigned changes[] = {1, 2, 5, 10, 100, 1000, 100000};
enum { CHANGES = sizeof changes / sizeof *changes };

static const struct measures {
    const char *time, *sent;
} with_cursor = {"resume: processor time", "resume: sent"},
  without = {"snapshot: processor time", "snapshot: sent"};

/* One client, from its connection to its rows. */
static bool come(struct bench *bench, const char *subscription, uint64_t *bytes,
                 struct error *error)
{
    const char *subscriptions[] = {subscription};
    struct audience audience;
    bool done = audience_init(&audience, &bench->loop, &bench->server.address, "/", 1, error);
    audience.subscriptions = subscriptions;
    done = done && audience_settle(&audience, TAKE, error);
    *bytes += audience.snapshot_bytes + audience.bytes;
    audience_close(&audience);
    return done;
}

static bool measure(struct bench *bench, const struct report_case *name,
                    const struct measures *what, const char *subscription, struct error *error)
{
    uint64_t bytes = 0;
    struct process_time before = process_time(bench->server.process);
    for (int i = 0; i < TIMES; i++)
        if (!come(bench, subscription, &bytes, error))
            return false;
    struct process_time after = process_time(bench->server.process);
    report_sample(bench->report, name, what->time, "us",
                  (after.other - before.other) * 1e6 / TIMES);
    report_sample(bench->report, name, what->sent, "bytes", (double)bytes / TIMES);
    return true;
}

/* As many patches as it says, at random keys. */
static bool feed(struct bench *bench, unsigned count, uint64_t *last_index, struct error *error)
{
    struct crew crew;
    size_t batch = count < 1000 ? count : 1000;
    struct crew_plan plan = bench_plan(bench, 1, batch, KEYS);
    bool done = crew_open(&crew, &bench->loop, &bench->server.address, &plan, error);
    if (done)
        crew_start(&crew, count / batch);
    done = done && crew_finish(&crew, BENCH_PATIENCE_SECONDS, error);
    *last_index = crew.last_index;
    crew_close(&crew);
    return done;
}

static bool compare(struct bench *bench, const char *view, unsigned count, uint64_t *last_index,
                    struct error *error)
{
    char resume[TEXT], snapshot[TEXT], number[32];
    struct report_case name = report_case("resume", "Item/%s, take %d, %s changes", view, TAKE,
                                          number_text(count, number));
    snprintf(resume, TEXT,
             "{\"type\":\"subscribe\",\"view\":\"Item/%s\",\"take\":%d,\"after\":\"0:%012llu\"}",
             view, TAKE, (unsigned long long)*last_index);
    snprintf(snapshot, TEXT, "{\"type\":\"subscribe\",\"view\":\"Item/%s\",\"take\":%d}", view,
             TAKE);
    uint64_t bytes = 0; /* of one that comes first: whoever it is refreshes what was fed */
    return feed(bench, count, last_index, error) && come(bench, snapshot, &bytes, error) &&
           measure(bench, &name, &with_cursor, resume, error) &&
           measure(bench, &name, &without, snapshot, error);
}

static bool run(struct bench *bench, struct error *error)
{
    struct bench_load load;
    bool done = server_configure(&bench->server, config, error) &&
                server_start(&bench->server, error) && bench_load(bench, KEYS, &load, error);
    uint64_t last_index = load.last_index;
    for (uint64_t round = 0; done && round < bench->options->rounds; round++)
        for (int i = 0; done && i < VIEWS * CHANGES; i++)
            done = compare(bench, views[i % VIEWS], changes[i / VIEWS], &last_index, error);
    return done && server_stop(&bench->server, error);
}

const struct scenario scenario_resume = {
    "resume", "a window that comes back with a cursor, beside one that comes without", run};
