/*
 * Tenants of one export, each with a token of its own that shows it ten rows. Reads of one of them;
 * then all subscribe, and one row of one is changed. Beside it, what the row of an index costs that
 * a scope brings along.
 */
#include "bench/issuer.h"
#include "bench/tenants.h"

#include <time.h>

enum {
    OWN_ROWS = 10,
    ROWS_A_REQUEST = 1000,
    READS = 300,
    MUTATIONS = 500,
    FED = 100,    /* requests of each kind, */
    KEYS = 50000, /* ... at so many keys */
    VIEWS = 2,
    KINDS = 3
};

#define FEEDER "token=feeder-token-of-the-bench"
#define SORTED "{\"site\":{\"pipeline\":[{\"sort\":{\"by\":\"installed\"}}]}}"

static const char post_path[] = "/v1/mutations?" FEEDER;
static const char *const views[VIEWS] = {"/v1/views/Item/list", "/v1/views/Item/site"};

/* ---- tokens ---- */

static bool begin(struct bench *bench, const struct issuer *issuer, struct error *error)
{
    struct buffer json;
    buffer_init(&json, SIZE_MAX / 2);
    buffer_printf(&json,
                  "{\"auth\":{\"mode\":\"signed\",\"keys\":[{\"kid\":\"bench\",\"key\":\"%s\"}],"
                  "\"tokens\":[{\"token\":\"feeder-token-of-the-bench\",\"scope\":\"read "
                  "write\"}]},\"exports\":{\"Item\":{\"scope\":\"w\",\"views\":" SORTED
                  "},\"Bare\":{},\"Scoped\":{\"scope\":\"w\"},\"Sorted\":{\"views\":" SORTED "}}}",
                  issuer->public_key);
    const char *text = buffer_string(&json);
    bool done =
        text ? tenants_begin(bench, text, error) : error_set(error, ERROR_MEMORY, "out of memory");
    buffer_fini(&json);
    return done;
}

/* A path with the token of this tenant, ended by a NUL. */
static bool add_path(const struct issuer *issuer, const char *path, uint64_t tenant,
                     struct buffer *out)
{
    struct buffer claims;
    buffer_init(&claims, SIZE_MAX / 2);
    buffer_printf(&claims,
                  "{\"sub\":\"t%llu\",\"exp\":%lld,\"scope\":\"read\",\"row_scopes\":"
                  "[\"t%llu\"]}",
                  (unsigned long long)tenant, (long long)time(NULL) + 24 * 60 * 60,
                  (unsigned long long)tenant);
    buffer_add_string(out, path);
    buffer_add_string(out, "?token=");
    bool done = !claims.failed && issuer_sign(issuer, buffer_span(&claims), out) &&
                buffer_add_char(out, '\0');
    buffer_fini(&claims);
    return done;
}

/* ---- rows ---- */

static void add_row(struct buffer *lines, const char *export, uint64_t key, uint64_t tenant,
                    uint64_t value)
{
    buffer_printf(lines,
                  "{\"export\":\"%s\",\"key\":\"k%llu\",\"patch\":{\"w\":\"t%llu\",\"installed\":"
                  "%llu}}\n",
                  export, (unsigned long long)key, (unsigned long long)tenant,
                  (unsigned long long)value);
}

static bool fill(struct bench *bench, uint64_t tenants, struct error *error)
{
    struct buffer lines;
    bool done = true;
    buffer_init(&lines, SIZE_MAX / 2);
    for (uint64_t i = 0; done && i < tenants * OWN_ROWS; i++) {
        add_row(&lines, "Item", i, i % tenants, i);
        if ((i + 1) % ROWS_A_REQUEST && i + 1 < tenants * OWN_ROWS)
            continue;
        done = tenants_post(bench, post_path, &lines, error);
        buffer_clear(&lines);
    }
    buffer_fini(&lines);
    return done;
}

/* ---- reads of one tenant ---- */

static bool read_often(struct bench *bench, const struct issuer *issuer, const char *view,
                       double *used, struct error *error)
{
    struct buffer path;
    buffer_init(&path, SIZE_MAX / 2);
    bool done =
        add_path(issuer, view, 0, &path) || error_set(error, ERROR_MEMORY, "no token was made");
    struct process_time begun = process_time(bench->server.process);
    for (int i = 0; done && i < READS; i++)
        done = tenants_get(bench, path.data, error);
    *used = process_time(bench->server.process).other - begun.other;
    buffer_fini(&path);
    return done;
}

static bool measure_reads(struct bench *bench, const struct issuer *issuer, const char *size,
                          struct error *error)
{
    for (int view = 0; view < VIEWS; view++) {
        double used;
        if (!read_often(bench, issuer, views[view], &used, error))
            return false;
        struct report_case name =
            report_case("tenants", "%s tenants, ten rows of one%s", size, view ? ", sorted" : "");
        report_sample(bench->report, &name, "processor time for each read", "ms",
                      used * 1e3 / READS);
    }
    return true;
}

/* ---- changes of one tenant ---- */

static bool change(struct bench *bench, struct error *error)
{
    struct buffer line;
    bool done = true;
    buffer_init(&line, SIZE_MAX / 2);
    for (uint64_t i = 0; done && i < MUTATIONS; i++) {
        buffer_clear(&line);
        add_row(&line, "Item", 0, 0, UINT64_C(1000000) + i);
        done = tenants_post(bench, post_path, &line, error);
    }
    buffer_fini(&line);
    return done;
}

static bool measure_changes(struct bench *bench, struct audience *audience, const char *size,
                            struct error *error)
{
    if (!audience_settle(audience, OWN_ROWS, error))
        return false;
    tenants_wait_quiet(bench, 1);
    struct process_time begun = process_time(bench->server.process);
    if (!change(bench, error))
        return false;
    double used = process_time(bench->server.process).other - begun.other;
    struct report_case name =
        report_case("tenants", "%s tenants that subscribe, a row of one", size);
    report_sample(bench->report, &name, "processor time for each mutation", "ms",
                  used * 1e3 / MUTATIONS);
    return true;
}

/* The paths of all, one behind the other. */
static bool make_paths(const struct issuer *issuer, const char **paths, uint64_t tenants,
                       struct buffer *text)
{
    size_t at = 0;
    for (uint64_t i = 0; i < tenants; i++)
        if (!add_path(issuer, "/", i, text))
            return false;
    for (uint64_t i = 0; i < tenants; i++) {
        paths[i] = text->data + at;
        at += strlen(paths[i]) + 1;
    }
    return true;
}

static bool measure_watched(struct bench *bench, const struct issuer *issuer, uint64_t tenants,
                            const char *size, struct error *error)
{
    struct audience audience;
    struct buffer text;
    const char **paths = memory_new(tenants * sizeof *paths);
    buffer_init(&text, SIZE_MAX / 2);
    bool done = (paths && make_paths(issuer, paths, tenants, &text)) ||
                error_set(error, ERROR_MEMORY, "no tokens were made");
    if (done) {
        done = audience_init(&audience, &bench->loop, &bench->server.address, "/", tenants, error);
        audience.paths = paths;
        done = done && measure_changes(bench, &audience, size, error);
        audience_close(&audience);
    }
    memory_free(paths);
    buffer_fini(&text);
    return done;
}

bool tenants_measure_rows(struct bench *bench, uint64_t tenants, struct error *error)
{
    struct issuer issuer;
    char size[32];
    number_text((double)tenants, size);
    bool done = issuer_init(&issuer, error) && begin(bench, &issuer, error) &&
                fill(bench, tenants, error) && measure_reads(bench, &issuer, size, error) &&
                measure_watched(bench, &issuer, tenants, size, error) &&
                server_stop(&bench->server, error);
    issuer_fini(&issuer);
    return done;
}

/* ---- feeding ---- */

static bool feed(struct bench *bench, const char *export, uint64_t request, double *used,
                 struct error *error)
{
    struct buffer lines;
    buffer_init(&lines, SIZE_MAX / 2);
    for (uint64_t i = 0; i < ROWS_A_REQUEST; i++) {
        uint64_t key = (request * ROWS_A_REQUEST + i) * 7919 % KEYS;
        add_row(&lines, export, key, key % 1000, request * ROWS_A_REQUEST + i);
    }
    struct process_time begun = process_time(bench->server.process);
    bool done = tenants_post(bench, post_path, &lines, error);
    *used += process_time(bench->server.process).other - begun.other;
    buffer_fini(&lines);
    return done;
}

bool tenants_measure_feeding(struct bench *bench, struct error *error)
{
    static const char *const exports[KINDS] = {"Bare", "Scoped", "Sorted"};
    static const char *const kinds[KINDS] = {"an export", "one with a scope",
                                             "one with a derived view"};
    double used[KINDS] = {0}, loading = 0;
    uint64_t fed = bench->options->quick ? 1 : FED;
    struct issuer issuer;
    bool begun = issuer_init(&issuer, error) && begin(bench, &issuer, error);
    issuer_fini(&issuer);
    if (!begun)
        return false;
    for (uint64_t request = 0; request < fed + KEYS / ROWS_A_REQUEST; request++)
        for (int i = 0; i < KINDS; i++)
            if (!feed(bench, exports[i], request,
                      request < KEYS / ROWS_A_REQUEST ? &loading : &used[i], error))
                return false;
    for (int i = 0; i < KINDS; i++) {
        struct report_case name = report_case("tenants", "feeding %s", kinds[i]);
        report_sample(bench->report, &name, "processor time for 1,000 mutations", "ms",
                      used[i] * 1e3 / (double)fed);
        report_sample(bench->report, &name, "of that without either", "", used[i] / used[0]);
    }
    return server_stop(&bench->server, error);
}
