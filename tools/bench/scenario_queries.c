/*
 * queries: what the queries of subscriptions cost a change. Sixteen subscribers ask for different
 * windows of the list of all rows. Hardly a row passes, and no part of a predicate is spared, so
 * each change costs one whole evaluation for each window and hardly a frame. The processor time
 * counts until the windows have caught up with what was fed.
 *
 * Another part feeds what nobody watches, beside an index: a view that only sorts. Every patch
 * moves its row in the index by `cycles`, and hardly one does in the index by `installed`.
 */
#include "bench/watching.h"

/* Few of all rows change, so that nearly none changes twice between two looks. */
enum { QUERY_BYTES = 32 * 1024, BATCH = 100, PRODUCERS = 2, REQUESTS = 25, KEYS = 30000 };

static const double quiet_seconds = 0.5;

struct query {
    const char *what;
    size_t terms; /* comparisons; of an `in`, values */
    bool in;
};

static const struct query queries[] = {
    {"1 comparison", 1, false},      {"10 comparisons", 10, false},
    {"100 comparisons", 100, false}, {"250 comparisons", 250, false},
    {"in of 250 values", 250, true},
};

static const char *const paths[] = {"temperature", "humidity",   "pressure",   "voltage",
                                    "cycles",      "position.x", "position.y", "installed"};

/* Each but the last is false of every entity: no number of these is below 0. */
static void add_terms(struct buffer *text, const struct query *query, int window)
{
    buffer_add_string(text, "{\"any\":[");
    if (query->in)
        buffer_printf(text, "{\"field\":\"name\",\"in\":[%d", window);
    for (size_t i = 1; i < query->terms; i++) {
        const char *path = paths[i % (sizeof paths / sizeof *paths)];
        if (query->in)
            buffer_printf(text, ",\"%zu-%d\"", i, window);
        else
            buffer_printf(text, "{\"field\":\"%s\",\"lt\":-%zu},", path, i);
    }
    buffer_printf(text, "%s{\"field\":\"cycles\",\"lt\":%d}]}", query->in ? "]}," : "",
                  101000 + window);
}

static void print_query(struct buffer *text, const struct query *query, int window)
{
    buffer_clear(text);
    buffer_add_string(text, "{\"type\":\"subscribe\",\"view\":\"Item/list\",\"where\":");
    add_terms(text, query, window);
    buffer_add_char(text, '}');
}

/* Until the server rests: looks at windows go on behind the last acknowledgement. */
static bool catch_up(struct bench *bench, struct error *error)
{
    struct process_time before;
    do {
        before = process_time(bench->server.process);
        if (!loop_for(&bench->loop, quiet_seconds, error))
            return false;
    } while (process_time(bench->server.process).other - before.other > quiet_seconds / 20);
    return true;
}

static bool feed(struct bench *bench, const struct report_case *name, uint64_t keys,
                 const struct audience *audience, struct error *error)
{
    struct crew crew;
    struct crew_plan plan = bench_plan(bench, PRODUCERS, BATCH, keys);
    struct process_time before = process_time(bench->server.process);
    uint64_t frames = audience->frames;
    bool done = crew_open(&crew, &bench->loop, &bench->server.address, &plan, error);
    if (done)
        crew_start(&crew, REQUESTS);
    done = done && crew_finish(&crew, BENCH_PATIENCE_SECONDS, error) && catch_up(bench, error);
    struct process_time after = process_time(bench->server.process);
    if (done && crew.acknowledged) {
        report_sample(bench->report, name, "processor time of the server", "us/mutation",
                      (after.other - before.other) * 1e6 / (double)crew.acknowledged);
        report_sample(bench->report, name, "frames", "per 1,000 mutations",
                      (double)(audience->frames - frames) * 1e3 / (double)crew.acknowledged);
    }
    crew_close(&crew);
    return done;
}

static bool measure_with(struct bench *bench, const struct report_case *name, uint64_t keys,
                         const struct query *query, struct error *error)
{
    struct buffer texts[WATCHING_WINDOWS];
    const char *subscriptions[WATCHING_WINDOWS];
    struct audience audience = {.count = 0};
    bool done = true;
    for (int i = 0; i < WATCHING_WINDOWS; i++) {
        buffer_init(&texts[i], QUERY_BYTES);
        print_query(&texts[i], query, i);
        subscriptions[i] = buffer_string(&texts[i]);
        done = done && subscriptions[i];
    }
    if (!done)
        error_set(error, ERROR_MEMORY, "no memory for queries");
    done = done && audience_init(&audience, &bench->loop, &bench->server.address, "/",
                                 WATCHING_WINDOWS, error);
    audience.subscriptions = subscriptions;
    audience.subscription_count = WATCHING_WINDOWS;
    done =
        done && audience_settle(&audience, 0, error) && feed(bench, name, keys, &audience, error);
    audience_close(&audience);
    for (int i = 0; i < WATCHING_WINDOWS; i++)
        buffer_fini(&texts[i]);
    return done;
}

static bool measure(struct bench *bench, uint64_t keys, const struct query *query,
                    struct error *error)
{
    char text[32];
    struct audience nobody = {.count = 0};
    struct report_case name = report_case("queries", "%s rows, %s", number_text((double)keys, text),
                                          query ? query->what : "no subscribers");
    return query ? measure_with(bench, &name, keys, query, error)
                 : feed(bench, &name, keys, &nobody, error);
}

static bool measure_all(struct bench *bench, uint64_t keys, struct error *error)
{
    bool done = measure(bench, keys, NULL, error);
    for (size_t i = 0; done && i < sizeof queries / sizeof *queries; i++)
        done = measure(bench, keys, &queries[i], error);
    return done;
}

/* ---- beside an index ---- */

static const struct {
    const char *what, *config;
} indexes[] = {
    {"no index", NULL},
    {"an index that no patch moves",
     "{\"exports\":{\"Item\":{\"views\":{\"by\":{\"pipeline\":[{\"sort\":"
     "{\"by\":\"installed\"}}]}}}}}"},
    {"an index that each patch moves",
     "{\"exports\":{\"Item\":{\"views\":{\"by\":{\"pipeline\":[{\"sort\":"
     "{\"by\":\"cycles\"}}]}}}}}"},
};

/* The same database under each configuration in turn. A start builds the index; behind it the rows
 * of the one before are deleted, and that must be over. */
static bool measure_indexes(struct bench *bench, struct error *error)
{
    struct audience nobody = {.count = 0};
    bool done = true;
    for (size_t i = 0; done && i < sizeof indexes / sizeof *indexes; i++) {
        struct report_case name = report_case("queries", "feeding beside %s", indexes[i].what);
        done = server_configure(&bench->server, indexes[i].config, error) &&
               server_start(&bench->server, error) && catch_up(bench, error) &&
               feed(bench, &name, KEYS, &nobody, error) && server_stop(&bench->server, error);
    }
    return done;
}

static bool run(struct bench *bench, struct error *error)
{
    struct bench_load load;
    bool done = server_start(&bench->server, error) && bench_load(bench, KEYS, &load, error);
    for (uint64_t round = 0; done && round < bench->options->rounds; round++)
        done = measure_all(bench, KEYS, error);
    done = done && server_stop(&bench->server, error);
    for (uint64_t round = 0; done && round < bench->options->rounds; round++)
        done = measure_indexes(bench, error);
    return done;
}

const struct scenario scenario_queries = {
    "queries", "feeding while windows with predicates of different size are watched", run};
