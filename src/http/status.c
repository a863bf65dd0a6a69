/* GET /status: how the server is, as JSON for people and scripts. */
#include "delivery/hub.h"
#include "engine/engine.h"
#include "http/facts.h"
#include "http/http_internal.h"
#include "window/window.h"

#include <unistd.h>

/* Without a log a server reads all that there is. */
static enum follow_condition log_condition(const struct http *http)
{
    return http_follows(http) ? http_follow_state(http).condition : FOLLOW_READING;
}

static bool is_healthy(const struct http *http)
{
    struct engine_state engine = engine_state(http->frontend->engine);
    return http->frontend->running && engine.disk == ERROR_NONE && !engine.checkpoints_fail &&
           log_condition(http) == FOLLOW_READING &&
           !access_shown(http->frontend->access)->keys_are_stale;
}

static const char *state_name(const struct http *http)
{
    struct engine_state engine = engine_state(http->frontend->engine);
    if (!http->frontend->running)
        return "stopping";
    if (engine.disk != ERROR_NONE)
        return error_kind(engine.disk)->wire;
    if (engine.checkpoints_fail)
        return "checkpoints-fail";
    if (log_condition(http) != FOLLOW_READING)
        return follow_condition_name(log_condition(http));
    return access_shown(http->frontend->access)->keys_are_stale ? "keys-stale" : "running";
}

static uint64_t error_count(const struct http *http)
{
    return counter_get(&http->frontend->counters.errors) +
           counter_get(&engine_facts(http->frontend->engine)->metrics->commit_failures);
}

static void print_seq(struct buffer *out, struct seq seq)
{
    char text[SEQ_SIZE];
    size_t length = seq_print(text, seq);
    buffer_printf(out, "\"%.*s\"", (int)length, text);
}

/* The part that everybody may know. */
static void print_health(struct buffer *out, const struct http *http)
{
    buffer_printf(out, "{\"healthy\":%s,\"status\":\"%s\",\"error_count\":%llu",
                  is_healthy(http) ? "true" : "false", state_name(http),
                  (unsigned long long)error_count(http));
}

static void print_server(struct buffer *out, struct http *http)
{
    buffer_printf(out, ",\"version\":\"%s\"", STELE_VERSION);
    buffer_printf(out, ",\"uptime_seconds\":%llu,\"epoch\":\"%s\",\"seq\":",
                  (unsigned long long)((clock_monotonic_us() - http->started_us) / 1000000),
                  engine_facts(http->frontend->engine)->epoch);
    if (hub_state(http->frontend->hub).last_change)
        print_seq(out, hub_state(http->frontend->hub).head);
    else
        buffer_add_string(out, "null");
    buffer_printf(out, ",\"last_change\":%lld",
                  (long long)hub_state(http->frontend->hub).last_change);
}

static void print_clients(struct buffer *out, struct http *http)
{
    size_t windows, members;
    struct engine_state engine = engine_state(http->frontend->engine);
    const struct hub_metrics *hub = hub_state(http->frontend->hub).metrics;
    windows_count(http->frontend->hub, &windows, &members);
    buffer_printf(out, ",\"clients\":%zu,\"subscribers\":%zu,\"subscriptions\":%zu,\"lag\":%lld",
                  http->frontend->sessions.count, hub_state(http->frontend->hub).subscribers,
                  hub_state(http->frontend->hub).subscriptions,
                  (long long)hub_slowest_lag(http->frontend->hub));
    buffer_printf(out, ",\"connections\":{\"total\":%llu,\"refused\":%llu}",
                  (unsigned long long)counter_get(&http->frontend->counters.connections),
                  (unsigned long long)counter_get(&http->frontend->counters.connections_refused));
    buffer_printf(out, ",\"queue\":{\"requests\":%zu,\"bytes\":%zu}", engine.queue_count,
                  engine.queue_bytes);
    buffer_printf(out, ",\"windows\":{\"count\":%zu,\"members\":%zu,\"looks\":%llu}", windows,
                  members, (unsigned long long)counter_get(&hub->window_refreshes));
}

/* The counts of accepted and refused requests, of snapshots and of cursors. */
static void print_counts(struct buffer *out, struct http *http)
{
    const struct hub_metrics *hub = hub_state(http->frontend->hub).metrics;
    uint64_t refused = 0, limited = 0;
    for (int code = ERROR_NONE + 1; code < ERROR_COUNT; code++)
        refused += counter_get(&access_shown(http->frontend->access)->audit->attempts[code]);
    for (int limit = 0; limit < AUDIT_LIMIT_COUNT; limit++)
        limited += counter_get(&access_shown(http->frontend->access)->audit->limits[limit]);
    buffer_printf(out, ",\"attempts\":{\"accepted\":%llu,\"refused\":%llu,\"limited\":%llu}",
                  (unsigned long long)counter_get(
                      &access_shown(http->frontend->access)->audit->attempts[ERROR_NONE]),
                  (unsigned long long)refused, (unsigned long long)limited);
    buffer_printf(out, ",\"snapshots\":{\"built\":%llu,\"shared\":%llu}",
                  (unsigned long long)counter_get(&hub->snapshot_batches_built),
                  (unsigned long long)counter_get(&hub->snapshot_batches_shared));
    buffer_printf(out, ",\"resumes\":{\"accepted\":%llu,\"refused\":%llu}",
                  (unsigned long long)counter_get(&hub->resumes),
                  (unsigned long long)counter_get(&hub->resumes_refused));
}

static void print_mutations(struct buffer *out, struct http *http)
{
    const struct engine_metrics *it = engine_facts(http->frontend->engine)->metrics;
    buffer_printf(out,
                  ",\"mutations\":{\"applied\":%llu,\"ignored\":%llu,\"duplicate\":%llu,"
                  "\"stale\":%llu,\"truncated\":%llu,\"refused_requests\":%llu}",
                  (unsigned long long)counter_get(&it->mutations_applied),
                  (unsigned long long)counter_get(&it->mutations_ignored),
                  (unsigned long long)counter_get(&it->mutations_duplicate),
                  (unsigned long long)counter_get(&it->mutations_stale),
                  (unsigned long long)counter_get(&it->mutations_truncated),
                  (unsigned long long)counter_get(&it->mutations_refused));
}

/* A number of the reader's look at the machine; null if it is not known. */
static void print_number(struct buffer *out, const char *name, int64_t number)
{
    buffer_printf(out, "\"%s\":", name);
    if (number >= 0)
        buffer_printf(out, "%lld", (long long)number);
    else
        buffer_add_string(out, "null");
}

static void print_machine(struct buffer *out, struct http *http)
{
    const struct database_sizes *sizes = &http->facts->sizes;
    const struct process_figures *process = &http->facts->process;
    enum error_code disk = engine_state(http->frontend->engine).disk;
    buffer_printf(out, ",\"disk\":{\"state\":\"%s\",",
                  disk == ERROR_NONE ? "ok" : error_kind(disk)->wire);
    print_number(out, "database_bytes", sizes->database_bytes);
    buffer_add_char(out, ',');
    print_number(out, "wal_bytes", sizes->wal_bytes);
    buffer_add_char(out, ',');
    print_number(out, "free_bytes", sizes->free_bytes);
    buffer_printf(out,
                  "},\"process\":{\"id\":%ld,\"resident_bytes\":%lld,\"cpu_ms\":%lld,"
                  "\"descriptors\":%d,\"longest_pause_ms\":%lld}",
                  (long)getpid(), (long long)process->resident_bytes,
                  (long long)(process->cpu_seconds * 1000), (int)process->open_descriptors,
                  (long long)(loop_watch_longest(http->watch) * 1000));
}

static void print_log(struct buffer *out, const struct facts *facts)
{
    buffer_printf(out, ",\"log\":{\"changes\":%lld,\"bytes\":%lld,\"floor\":%lld}",
                  (long long)facts->log.rows, (long long)facts->log.bytes,
                  (long long)facts->log.floor_change);
}

/* Of a node of a log alone. */
static void print_node(struct buffer *out, const struct http *http)
{
    if (!http_follows(http))
        return;
    struct follow_state state = http_follow_state(http);
    buffer_printf(out,
                  ",\"node\":{\"condition\":\"%s\",\"position\":%lld,\"lag_messages\":%lld,"
                  "\"lag_seconds\":%.3f,\"heard_seconds\":%.3f,\"reconnects\":%llu,\"refused\":%"
                  "llu,\"problem\":",
                  follow_condition_name(state.condition),
                  (long long)(state.position < 0 ? 0 : state.position),
                  (long long)state.lag_messages, state.lag_seconds, state.heard_seconds,
                  (unsigned long long)state.reconnects, (unsigned long long)state.refused);
    doc_escape(out, span_of(state.problem));
    int64_t alone_since = engine_alone_since(http->frontend->engine);
    if (alone_since >= 0)
        buffer_printf(out, ",\"changes_only_since\":%lld", (long long)alone_since);
    buffer_add_char(out, '}');
}

static void print_view(struct buffer *out, struct hub *hub, const struct fact_rows *it)
{
    static const char *const modes[] = {"state", "list", "append"};
    const struct hub_view_counts counts = hub_view_counts(hub, span_of(it->view->id));
    buffer_add_string(out, "{\"id\":");
    doc_escape(out, span_of(it->view->id));
    buffer_printf(out, ",\"mode\":\"%s\",\"export\":", modes[it->view->mode]);
    doc_escape(out, span_of(it->view->export_name));
    buffer_add_string(out, ",\"rows\":");
    if (it->rows >= 0)
        buffer_printf(out, "%lld", (long long)it->rows);
    else
        buffer_add_string(out, "null");
    buffer_printf(out, ",\"subscriptions\":%zu,\"changes\":%llu}", counts.subscriptions,
                  (unsigned long long)counts.changes);
}

static void print_all(struct buffer *out, struct http *http)
{
    const struct facts *facts = http->facts;
    print_server(out, http);
    print_clients(out, http);
    print_counts(out, http);
    print_mutations(out, http);
    print_log(out, facts);
    print_node(out, http);
    print_machine(out, http);
    buffer_add_string(out, ",\"views\":[");
    for (size_t i = 0; i < facts->row_count; i++) {
        buffer_add_string(out, i ? "," : "");
        print_view(out, http->frontend->hub, &facts->rows[i]);
    }
    buffer_add_string(out, "]");
}

void status_print(struct http *http, struct http_request *request)
{
    struct buffer out;
    buffer_init(&out, 8 * 1024 * 1024);
    print_health(&out, http);
    if (access_shows_status(http->frontend->access, request->principal.identity))
        print_all(&out, http);
    buffer_add_string(&out, "}\n");
    struct http_content content = {.status = out.failed ? 500 : 200,
                                   .type = HTTP_JSON,
                                   .headers = "Cache-Control: no-store\r\n",
                                   .body = buffer_span(&out)};
    http_request_respond(request, &content);
    buffer_fini(&out);
}
