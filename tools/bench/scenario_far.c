/*
 * far: the first frame of windows that are expensive to find in a large export: far down, or under
 * a filter that one row passes, alone or with other pages of the same filter. How long it takes and
 * what it costs the server, beside the first page of the same view. Each round has filters of its
 * own, because the server keeps what it found for a while.
 */
#include "bench/bench.h"
#include "bench/plain.h"

enum { VIEWS = 2, ROWS = 10, PAGES = 20, TEXT = 192 };

static const char config[] = "{\"exports\":{\"Item\":{\"views\":{\"site\":{\"pipeline\":[{\"sort\":"
                             "{\"by\":\"installed\"}}]}}}}}";
static const char *const views[VIEWS] = {"list", "site"};

static const struct kind {
    const char *name, *filter; /* the filter is a value of `serial`, to which the round is added */
    size_t pages;
    bool at_end, by_http;
} kinds[] = {
    {.name = "first page", .pages = 1},
    {.name = "page at the end", .pages = 1, .at_end = true},
    {.name = "page at the end, HTTP", .pages = 1, .at_end = true, .by_http = true},
    {.name = "filter that one row passes", .pages = 1, .filter = "one"},
    {.name = "20 pages of such a filter", .pages = PAGES, .filter = "two"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct asking {
    struct bench *bench;
    const char *view;
    const struct kind *kind;
    uint64_t round;
};

/* A page of its own each: of as many rows as its number says, and ten. */
static void subscription(char text[TEXT], const struct asking *asking, size_t page)
{
    const struct kind *kind = asking->kind;
    unsigned long long skip = kind->at_end ? asking->bench->options->entities - ROWS : 0;
    int length = snprintf(text, TEXT,
                          "{\"type\":\"subscribe\",\"view\":\"Item/%s\",\"take\":%zu,\"skip\":%llu",
                          asking->view, ROWS + page, skip);
    if (kind->filter)
        snprintf(text + length, TEXT - (size_t)length, ",\"filters\":{\"serial\":\"%s %s %llu\"}}",
                 kind->filter, asking->view, (unsigned long long)asking->round);
    else
        snprintf(text + length, TEXT - (size_t)length, "}");
}

static bool subscribe(const struct asking *asking, struct audience *audience, struct error *error)
{
    static char texts[PAGES][TEXT];
    static const char *subscriptions[PAGES];
    for (size_t i = 0; i < asking->kind->pages; i++) {
        subscription(texts[i], asking, i);
        subscriptions[i] = texts[i];
    }
    audience->subscriptions = subscriptions;
    audience->subscription_count = asking->kind->pages;
    audience_expect_snapshot(audience, ROWS);
    audience_subscribe(audience);
    return audience_wait_snapshot(audience, BENCH_PATIENCE_SECONDS, error);
}

static bool read_page(const struct asking *asking, struct error *error)
{
    char path[TEXT];
    const struct bench *bench = asking->bench;
    snprintf(path, sizeof path, "/v1/views/Item/%s?take=%d&skip=%llu", asking->view, ROWS,
             (unsigned long long)bench->options->entities - ROWS);
    int status =
        plain_request(&bench->server.address, path, span_make(NULL, 0), BENCH_PATIENCE_SECONDS);
    return status == 200 || error_set(error, ERROR_INTERNAL, "a read was answered %d", status);
}

static bool ask(const struct asking *asking, struct error *error)
{
    struct bench *bench = asking->bench;
    const struct kind *kind = asking->kind;
    struct audience audience;
    bool done =
        audience_init(&audience, &bench->loop, &bench->server.address, "/", kind->pages, error) &&
        audience_connect(&audience, error);
    struct process_time before = process_time(bench->server.process);
    done = done && (kind->by_http ? read_page(asking, error) : subscribe(asking, &audience, error));
    struct process_time after = process_time(bench->server.process);
    audience_close(&audience);
    if (!done)
        return false;
    char number[32];
    struct report_case name = report_case("far", "%s entities, Item/%s, %s",
                                          number_text((double)bench->options->entities, number),
                                          asking->view, kind->name);
    report_sample(bench->report, &name, "until the first frame", "ms",
                  (after.at - before.at) * 1e3);
    report_sample(bench->report, &name, "processor time of the server", "ms",
                  (after.other - before.other) * 1e3);
    return true;
}

/* One row that passes the filter of this view and round. */
static bool post_row(const struct asking *asking, struct error *error)
{
    struct buffer line;
    buffer_init(&line, SIZE_MAX / 2);
    buffer_printf(
        &line, "{\"export\":\"Item\",\"key\":\"%08llu\",\"patch\":{\"serial\":\"%s %s %llu\"}}\n",
        (unsigned long long)asking->bench->options->entities / 3, asking->kind->filter,
        asking->view, (unsigned long long)asking->round);
    int status = plain_request(&asking->bench->server.address, "/v1/mutations", buffer_span(&line),
                               BENCH_PATIENCE_SECONDS);
    buffer_fini(&line);
    return status == 200 || error_set(error, ERROR_INTERNAL, "a row was answered %d", status);
}

static bool measure(struct bench *bench, uint64_t round, struct error *error)
{
    for (int view = 0; view < VIEWS; view++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct asking asking = {bench, views[view], &kinds[kind], round};
            if (asking.kind->filter && !post_row(&asking, error))
                return false;
            if (!ask(&asking, error))
                return false;
        }
    return true;
}

static bool run(struct bench *bench, struct error *error)
{
    struct bench_load load;
    if (!server_configure(&bench->server, config, error) || !server_start(&bench->server, error) ||
        !bench_load(bench, bench->options->entities, &load, error))
        return false;
    for (uint64_t round = 0; round < bench->options->rounds; round++)
        if (!measure(bench, round, error))
            return false;
    return server_stop(&bench->server, error);
}

const struct scenario scenario_far = {
    "far", "the first frame of far and of filtered windows of a large export", run};
