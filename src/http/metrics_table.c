/*
 * Every figure of /metrics. docs/metrics.md has the same list, in the same words, and
 * docs/grafana-dashboard.json draws each figure: tests/clients/operations.test.js holds all three
 * together, and lists what the dashboard leaves out.
 */
#include "access/revocations.h"
#include "auth/certificate.h"
#include "delivery/hub.h"
#include "http/http_internal.h"
#include "http/metrics.h"
#include "http/parts.h"
#include "ingest/ingest.h"
#include "window/window.h"

#include <math.h>

/* ---- how a row is written ---- */

#define COUNTER(text, words) .name = (text), .type = "counter", .help = (words)
#define GAUGE(text, words) .name = (text), .type = "gauge", .help = (words)
#define HISTOGRAM(text, words) .name = (text), .type = "histogram", .help = (words)
#define SERVER(field) .owner = METRIC_OF_SERVER, .offset = offsetof(struct frontend_counters, field)
#define ENGINE(field) .owner = METRIC_OF_ENGINE, .offset = offsetof(struct engine_metrics, field)
#define HUB(field) .owner = METRIC_OF_HUB, .offset = offsetof(struct hub_metrics, field)
#define TELEMETRY(field)                                                                           \
    .owner = METRIC_OF_TELEMETRY, .offset = offsetof(struct telemetry_metrics, field)
#define USAGE(field) .owner = METRIC_OF_USAGE, .offset = offsetof(struct usage_metrics, field)
#define LABELLED(from, name, list) .owner = (from), .label = (name), .parts = (list)

/* ---- samples with labels ---- */

static const struct metric_part mutation_results[] = {
    {"applied", offsetof(struct engine_metrics, mutations_applied)},
    {"ignored", offsetof(struct engine_metrics, mutations_ignored)},
    {"duplicate", offsetof(struct engine_metrics, mutations_duplicate)},
    {"stale", offsetof(struct engine_metrics, mutations_stale)},
    {NULL, 0},
};

static const struct metric_part frame_modes[] = {
    {"state", offsetof(struct hub_metrics, frames[0])},
    {"list", offsetof(struct hub_metrics, frames[1])},
    {"append", offsetof(struct hub_metrics, frames[2])},
    {NULL, 0},
};

static const struct metric_part audit_events[] = {
#define X(name, event, level, attempt) {event, offsetof(struct audit, events[AUDIT_##name])},
    AUDIT_EVENTS(X)
#undef X
        {NULL, 0},
};

static const struct metric_part audit_limits[] = {
#define X(name, label) {label, offsetof(struct audit, limits[AUDIT_LIMIT_##name])},
    AUDIT_LIMITS(X)
#undef X
        {NULL, 0},
};

static void sample(struct metric_sink *sink, const char *label, const char *value, double number)
{
    sink->sample(sink, label, span_of(value), number);
}

/* The codes that authentication and limits give are told from the start, so that a rate sees their
 * first one; others when they were. */
static void print_attempts(struct http *http, struct metric_sink *sink)
{
    for (int code = 0; code < ERROR_COUNT; code++) {
        uint64_t count = counter_get(&access_shown(http->frontend->access)->audit->attempts[code]);
        bool usual = code >= ERROR_CONNECTION_LIMIT && code <= ERROR_EGRESS_LIMIT;
        const char *result = code == ERROR_NONE ? "accepted" : error_kind(code)->wire;
        if (count || usual || code == ERROR_NONE)
            sample(sink, "result", result, (double)count);
    }
}

/* The usual refusals of producers; others appear when they happened. */
static bool is_usual_refusal(enum error_code code)
{
    static const enum error_code usual[] = {
        ERROR_INVALID_MESSAGE, ERROR_INVALID_PARAMETER, ERROR_TOO_LARGE,      ERROR_TOO_SLOW,
        ERROR_QUEUE_FULL,      ERROR_OUT_OF_ORDER,      ERROR_PRODUCER_TAKEN, ERROR_PRODUCER_LIMIT,
        ERROR_KEY_REUSED,      ERROR_UNKNOWN_EXPORT,    ERROR_DISK_FULL,      ERROR_DISK_FAILED,
        ERROR_DATABASE_IN_USE, ERROR_SHUTTING_DOWN,
    };
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (usual[i] == code)
            return true;
    return false;
}

static void print_refusals(struct http *http, struct metric_sink *sink)
{
    for (int code = ERROR_NONE + 1; code < ERROR_COUNT; code++) {
        uint64_t count = counter_get(&access_shown(http->frontend->access)->audit->refusals[code]);
        if (count || is_usual_refusal((enum error_code)code))
            sample(sink, "code", error_kind((enum error_code)code)->wire, (double)count);
    }
}

static void print_broken_off(struct http *http, struct metric_sink *sink)
{
    const struct hub_metrics *hub = hub_state(http->frontend->hub).metrics;
    sample(sink, "what", "request", (double)http->frontend->incoming.broken_off);
    sample(sink, "what", "answer",
           (double)counter_get(&http->frontend->counters.answers_broken_off));
    sample(sink, "what", "window", (double)counter_get(&hub->windows_broken_off));
}

static void print_log_lines(struct http *http, struct metric_sink *sink)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    (void)http;
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
        sample(sink, "level", levels[level], (double)log_counts().lines[level]);
}

static const struct tracer_counts *spans_of(const struct http *http)
{
    static const struct tracer_counts none;
    return http->frontend->tracer ? &http->frontend->tracer->counts : &none;
}

static void print_spans(struct http *http, struct metric_sink *sink)
{
    sink->sample(sink, NULL, span_make(NULL, 0), (double)counter_get(&spans_of(http)->recorded));
}

static void print_dropped_spans(struct http *http, struct metric_sink *sink)
{
    sample(sink, "reason", "full", (double)counter_get(&spans_of(http)->dropped));
    sample(sink, "reason", "not_sent",
           (double)counter_get(&telemetry_metrics(http->frontend->telemetry)->spans_dropped));
}

static void print_build(struct http *http, struct metric_sink *sink)
{
    (void)http;
    sample(sink, "version", STELE_VERSION, 1);
}

static void print_epoch(struct http *http, struct metric_sink *sink)
{
    sample(sink, "epoch", engine_facts(http->frontend->engine)->epoch, 1);
}

/*
 * By view, for so many of them: an open server makes views of whatever it is fed, and each is a
 * series that a monitoring keeps for long. The rest is one sample, under a name that no view has.
 */
enum { MOST_VIEWS = 1000 };

static void print_views(const struct facts *facts,
                        double (*of)(const struct facts *, const struct fact_rows *),
                        struct metric_sink *sink)
{
    double others = 0;
    for (size_t i = 0; i < facts->row_count; i++) {
        double value = of(facts, &facts->rows[i]);
        if (isnan(value))
            continue;
        if (i < MOST_VIEWS)
            sample(sink, "view", facts->rows[i].view->id, value);
        else
            others += value;
    }
    if (facts->row_count > MOST_VIEWS)
        sample(sink, "view", "others", others);
}

static double rows_of(const struct facts *facts, const struct fact_rows *it)
{
    (void)facts;
    return it->rows < 0 ? NAN : (double)it->rows;
}

static double subscriptions_of(const struct facts *facts, const struct fact_rows *it)
{
    return (double)hub_view_counts(facts->http->frontend->hub, span_of(it->view->id)).subscriptions;
}

static void print_rows(struct http *http, struct metric_sink *sink)
{
    print_views(http->facts, rows_of, sink);
}

static void print_subscriptions(struct http *http, struct metric_sink *sink)
{
    print_views(http->facts, subscriptions_of, sink);
}

static void print_pauses(struct http *http, struct metric_sink *sink)
{
    sink->histogram(sink, &http->watch->pauses);
}

/* ---- numbers ---- */

#define VALUE(name, expression)                                                                    \
    static double name(struct http *http)                                                          \
    {                                                                                              \
        (void)http;                                                                                \
        return (double)(expression);                                                               \
    }

/* A number that could not be found out is left out. */
static double known(int64_t number)
{
    return number < 0 ? NAN : (double)number;
}

static size_t queue_waiting(struct http *http, bool bytes)
{
    struct engine_state state = engine_state(http->frontend->engine);
    return bytes ? state.queue_bytes : state.queue_count;
}

/* Who asked before a stop may be answered when there is no way in any more. */
static double pressure_of(const struct http *http)
{
    struct ingest *ingest = http->frontend->ingest;
    return ingest ? ingest_pressure(ingest) : 0;
}

static size_t windows_fill(struct http *http, bool members)
{
    size_t windows, count;
    windows_count(http->frontend->hub, &windows, &count);
    return members ? count : windows;
}

/* Without a log: one that is well. */
static struct follow_state log_of(const struct http *http)
{
    static const struct follow_state none = {.condition = FOLLOW_READING};
    return http_follows(http) ? http_follow_state(http) : none;
}

static struct follow_writes writes_of(const struct http *http)
{
    static const struct follow_writes none;
    return http->frontend->follow ? follow_writes(http->frontend->follow) : none;
}

static void print_write_time(struct http *http, struct metric_sink *sink)
{
    static const struct histogram none;
    const struct follow *follow = http->frontend->follow;
    sink->histogram(sink, follow ? follow_write_time(follow) : &none);
}

VALUE(log_published, writes_of(http).published)
VALUE(log_writes_failed, writes_of(http).failed)
VALUE(log_writes_waiting, writes_of(http).waiting)
VALUE(log_writes_bytes, writes_of(http).bytes)
VALUE(log_ok, log_of(http).condition == FOLLOW_READING)
VALUE(log_position, log_of(http).position < 0 ? 0 : log_of(http).position)
VALUE(log_lag_messages, log_of(http).lag_messages)
VALUE(log_lag_seconds, log_of(http).lag_seconds)
VALUE(log_followers, (double)followers_count(&http->followers, frontend_now(http->frontend)))
VALUE(log_heard_seconds, log_of(http).heard_seconds)
VALUE(log_reconnects, log_of(http).reconnects)
VALUE(log_refused, log_of(http).refused)
VALUE(connections, http->frontend->sessions.count)
VALUE(exchanges, http->requests)
VALUE(keys_stale, access_shown(http->frontend->access)->keys_are_stale)
VALUE(revoked_tokens, access_shown(http->frontend->access)->revoked->map.count)
VALUE(certificate_end, *http->certificate ? certificate_validity(*http->certificate).to : 0)
VALUE(answer_bytes, http->answers.total)
VALUE(incoming_bytes, http->frontend->incoming.bytes)
static bool is_database_whole(const struct http *http)
{
    enum error_code state = engine_state(http->frontend->engine).disk;
    return state != ERROR_DATABASE_GONE && state != ERROR_DATABASE_DAMAGED &&
           state != ERROR_DATABASE_UNUSABLE;
}

VALUE(queue_requests, queue_waiting(http, false))
VALUE(queue_bytes, queue_waiting(http, true))
VALUE(intake_pressure, pressure_of(http))
VALUE(subscribers, hub_state(http->frontend->hub).subscribers)
VALUE(subscriptions, hub_state(http->frontend->hub).subscriptions)
VALUE(cursors_waiting, hub_state(http->frontend->hub).cursors_waiting)
VALUE(slowest_lag, hub_slowest_lag(http->frontend->hub))
VALUE(windows, windows_fill(http, false))
VALUE(window_members, windows_fill(http, true))
VALUE(log_changes, http->facts->log.rows)
VALUE(log_bytes, http->facts->log.bytes)
VALUE(log_last_change, http->facts->log.last_change)
VALUE(log_floor_change, http->facts->log.floor_change)
static bool takes_writes(const struct http *http)
{
    enum error_code state = engine_state(http->frontend->engine).disk;
    return state == ERROR_NONE || state == ERROR_WAL_LIMIT;
}

VALUE(disk_ok, takes_writes(http))
VALUE(wal_ok, engine_state(http->frontend->engine).disk != ERROR_WAL_LIMIT)
VALUE(checkpoints_ok, !engine_state(http->frontend->engine).checkpoints_fail)
VALUE(database_ok, is_database_whole(http))
VALUE(database_bytes, known(http->facts->sizes.database_bytes))
VALUE(wal_bytes, known(http->facts->sizes.wal_bytes))
VALUE(disk_free, known(http->facts->sizes.free_bytes))
VALUE(disk_bytes, known(http->facts->sizes.disk_bytes))
VALUE(usage_rows, usage_metrics(http->frontend->usage)->spool_rows)
VALUE(usage_bytes, usage_metrics(http->frontend->usage)->spool_bytes)
VALUE(usage_oldest, (double)usage_metrics(http->frontend->usage)->oldest_ms / 1000)
VALUE(uptime, (double)(clock_monotonic_us() - http->started_us) / 1e6)
VALUE(longest_pause, loop_watch_longest(http->watch))
VALUE(lines_lost, log_counts().lost)
VALUE(cpu_seconds, http->facts->process.cpu_seconds)
VALUE(resident_bytes, http->facts->process.resident_bytes)
VALUE(virtual_bytes, http->facts->process.virtual_bytes)
VALUE(open_descriptors, http->facts->process.open_descriptors)
VALUE(most_descriptors, http->facts->process.most_descriptors)
VALUE(threads, http->facts->process.threads)
VALUE(start_seconds, http->facts->process.start_seconds)

/* ---- the table ---- */

const struct metric metrics_table[] = {
    /* who is there */
    {COUNTER("stele_connections_total", "WebSocket connections so far."), SERVER(connections)},
    {COUNTER("stele_tls_handshakes_failed_total", "TLS handshakes that failed."),
     SERVER(tls_failed)},
    {COUNTER(
         "stele_connections_refused_total",
         "WebSocket connections refused by access or limits, and any beyond the limit on sockets."),
     SERVER(connections_refused)},
    {GAUGE("stele_connections_active", "WebSocket connections now."), .value = connections},
    {HISTOGRAM("stele_connection_duration_seconds", "How long connections lasted."),
     SERVER(connection_duration)},
    {COUNTER("stele_messages_received_total", "WebSocket messages from clients."),
     SERVER(messages_in)},
    {COUNTER("stele_messages_sent_total", "WebSocket messages to clients."), SERVER(messages_out)},
    {COUNTER("stele_bytes_received_total", "Bytes of WebSocket messages from clients."),
     SERVER(bytes_in)},
    {COUNTER("stele_http_requests_total", "HTTP requests."), SERVER(http_requests)},
    {GAUGE("stele_http_requests_active", "HTTP requests whose answer is not written yet."),
     .value = exchanges},
    {GAUGE("stele_http_answer_bytes", "Bytes of large answers that clients have not read yet."),
     .value = answer_bytes},
    {COUNTER("stele_errors_total", "Clients that were disconnected after an error of the server."),
     SERVER(errors)},
    /* who may come in */
    {COUNTER("stele_auth_attempts_total", "Handshakes, requests and token refreshes by result."),
     .print = print_attempts},
    {GAUGE("stele_keys_stale",
           "1 while the keys of auth.jwks_url are stale, because it has failed for too long."),
     .value = keys_stale},
    {GAUGE("stele_revoked_tokens", "Revoked tokens that the server keeps; 100000 at most."),
     .value = revoked_tokens},
    {GAUGE("stele_tls_certificate_end_seconds",
           "Unix time at which the certificate in force ends; 0 without TLS."),
     .value = certificate_end},
    {COUNTER("stele_limit_denials_total", "Refusals by a limit, by limit."),
     LABELLED(METRIC_OF_AUDIT, "limit", audit_limits)},
    {COUNTER("stele_audit_events_total", "Audit events, including those whose line was held back."),
     LABELLED(METRIC_OF_AUDIT, "event", audit_events)},
    /* what comes in */
    {COUNTER("stele_mutations_total", "Mutations by result."),
     LABELLED(METRIC_OF_ENGINE, "result", mutation_results)},
    {COUNTER("stele_mutations_truncated_total",
             "Applied mutations that cost an array elements, by max_array_length."),
     ENGINE(mutations_truncated)},
    {COUNTER("stele_requests_refused_total",
             "Requests of producers that were refused as a whole, by code."),
     .print = print_refusals},
    {GAUGE("stele_incoming_bytes",
           "Memory of requests and messages that are not complete, or wait for the queue."),
     .value = incoming_bytes},
    {COUNTER("stele_broken_off_total",
             "Requests, answers and windows broken off because other clients needed the room."),
     .print = print_broken_off},
    {GAUGE("stele_queue_requests", "Requests that wait to be committed."), .value = queue_requests},
    {GAUGE("stele_queue_bytes", "Memory of the requests that wait to be committed."),
     .value = queue_bytes},
    {GAUGE("stele_intake_pressure", "Fill of the queue before the decoder, 0 to 1."),
     .value = intake_pressure},
    /* the log that it follows */
    {GAUGE("stele_log_ok", "0 while a node does not read its log; 1 also without one."),
     .value = log_ok},
    {GAUGE("stele_log_position", "Sequence of the last message of the log that is done with."),
     .value = log_position},
    {GAUGE("stele_log_lag_messages", "Messages of the log behind that, as far as is known."),
     .value = log_lag_messages},
    {GAUGE("stele_log_lag_seconds",
           "Age of what the node shows: 0 while it has all of the log, and hears of it."),
     .value = log_lag_seconds},
    {GAUGE("stele_log_heard_seconds",
           "Seconds since a broker, or the source of a replica, was last heard of."),
     .value = log_heard_seconds},
    {COUNTER("stele_log_reconnects_total", "Times that the node began again to read its log."),
     .value = log_reconnects},
    {COUNTER("stele_log_messages_refused_total",
             "Messages of the log that every node refuses, since the start."),
     .value = log_refused},
    {COUNTER("stele_log_published_total", "Messages that the node published, for who writes."),
     .value = log_published},
    {COUNTER("stele_log_writes_failed_total", "Requests that got log-unavailable or node-behind."),
     .value = log_writes_failed},
    {GAUGE("stele_log_writes_waiting",
           "Requests that wait to be published, or for the node to read them in the log."),
     .value = log_writes_waiting},
    {GAUGE("stele_log_writes_bytes", "Bytes of these."), .value = log_writes_bytes},
    {HISTOGRAM("stele_log_write_seconds",
               "Time of a request from being decoded to being applied by the node, through the "
               "log."),
     .print = print_write_time},
    /* commits */
    {COUNTER("stele_commits_total", "Transactions on disk."), ENGINE(commits)},
    {COUNTER("stele_commit_failures_total", "Transactions that failed."), ENGINE(commit_failures)},
    {COUNTER("stele_changes_total", "Committed changes."), ENGINE(changes)},
    {COUNTER("stele_evictions_total", "Entities evicted because of max_entities."),
     ENGINE(evictions)},
    {HISTOGRAM("stele_commit_duration_seconds",
               "Time from a transaction's begin until it is on disk."),
     ENGINE(commit_duration)},
    {HISTOGRAM("stele_commit_latency_seconds", "Time from a request's arrival to its commit."),
     ENGINE(commit_latency)},
    {COUNTER("stele_entity_cache_hits_total", "Entities that the writer found in memory."),
     ENGINE(cache_hits)},
    {COUNTER("stele_entity_cache_misses_total", "Entities that the writer read from the database."),
     ENGINE(cache_misses)},
    {COUNTER("stele_read_jobs_total", "Queries of the database."), ENGINE(read_jobs)},
    {COUNTER("stele_trimmed_changes_total", "Changes trimmed from the log."),
     ENGINE(trimmed_changes)},
    {COUNTER("stele_checkpoints_total", "Checkpoints of the write-ahead log."),
     ENGINE(checkpoints)},
    {COUNTER("stele_checkpoint_failures_total", "Checkpoints that failed."),
     ENGINE(checkpoint_failures)},
    {GAUGE("stele_checkpoints_ok",
           "0 after several failed checkpoints in a row, until one succeeds."),
     .value = checkpoints_ok},
    /* what goes out */
    {COUNTER("stele_frames_published_total",
             "Encoded frames, each once for all its subscribers, by mode."),
     LABELLED(METRIC_OF_HUB, "mode", frame_modes)},
    {HISTOGRAM("stele_publish_latency_seconds",
               "Time from a request's arrival until its frames are ready."),
     HUB(publish_latency)},
    {COUNTER("stele_sent_bytes_total", "Bytes sent to subscribers."), HUB(bytes_out)},
    {COUNTER("stele_subscriber_messages_total", "Messages of subscribers."), HUB(messages_in)},
    {COUNTER("stele_subscriber_messages_refused_total",
             "Messages of subscribers that got an error."),
     HUB(messages_refused)},
    {GAUGE("stele_subscribers", "Connected subscribers."), .value = subscribers},
    {COUNTER("stele_subscriptions_total", "Subscriptions so far."), HUB(subscriptions_made)},
    {COUNTER("stele_subscriptions_refused_total", "Subscriptions that got an error."),
     HUB(subscriptions_refused)},
    {GAUGE("stele_subscriptions_active", "Subscriptions now."), .value = subscriptions},
    {GAUGE("stele_view_subscriptions", "Subscriptions now, by view."),
     .print = print_subscriptions},
    {GAUGE("stele_slowest_lag_changes", "Changes by which the slowest subscription is behind."),
     .value = slowest_lag},
    {COUNTER("stele_snapshot_batches_built_total", "Snapshot batches read and encoded."),
     HUB(snapshot_batches_built)},
    {COUNTER("stele_snapshot_batches_shared_total",
             "Snapshot batches served again: hits of their cache."),
     HUB(snapshot_batches_shared)},
    {COUNTER("stele_catch_ups_total", "Reads of the log for subscribers that are behind."),
     HUB(catch_ups)},
    {COUNTER("stele_resumes_total", "Cursors resumed."), HUB(resumes)},
    {COUNTER("stele_resumes_refused_total", "Cursors that could not be resumed."),
     HUB(resumes_refused)},
    {GAUGE("stele_cursors_waiting", "Cursors that wait for this node of a log to be there."),
     .value = cursors_waiting},
    {COUNTER("stele_cursors_waited_total", "Cursors that waited for this node, and went on."),
     HUB(cursors_waited)},
    {COUNTER("stele_cursors_behind_total",
             "Cursors that were refused because this node was not there in time."),
     HUB(cursors_behind)},
    {COUNTER("stele_resumes_shared_total",
             "Resumes of windows that were read once for several subscribers."),
     HUB(resumes_shared)},
    {GAUGE("stele_windows", "Different windows with subscriptions."), .value = windows},
    {GAUGE("stele_window_members", "Subscriptions to windows."), .value = window_members},
    {COUNTER("stele_window_looks_total", "Refreshes of windows."), HUB(window_refreshes)},
    /* the database */
    {GAUGE("stele_view_rows", "Rows, by view."), .print = print_rows},
    {GAUGE(
         "stele_log_followers",
         "Clients that read the log of changes within a minute, by address and subject: replicas."),
     .value = log_followers},
    {GAUGE("stele_log_changes", "Changes in the log."), .value = log_changes},
    {GAUGE("stele_log_bytes", "Bytes of the changes in the log."), .value = log_bytes},
    {GAUGE("stele_log_last_change", "Id of the newest change."), .value = log_last_change},
    {GAUGE("stele_log_floor_change", "Id of the newest change that was trimmed from the log."),
     .value = log_floor_change},
    {GAUGE("stele_database_bytes", "Size of the database file."), .value = database_bytes},
    {GAUGE("stele_wal_bytes", "Size of the write-ahead log's file."), .value = wal_bytes},
    {GAUGE("stele_wal_ok", "0 while the server accepts no mutations because of max_wal_bytes."),
     .value = wal_ok},
    {GAUGE("stele_database_ok", "0 once the database file was found damaged, changed by another "
                                "program, or no longer under its name."),
     .value = database_ok},
    {GAUGE("stele_disk_ok", "1 while the disk accepts writes."), .value = disk_ok},
    {GAUGE("stele_disk_free_bytes", "Free room on the database's disk."), .value = disk_free},
    {GAUGE("stele_disk_bytes", "Size of the database's disk."), .value = disk_bytes},
    /* usage events */
    {COUNTER("stele_usage_events_spooled_total", "Usage events written to the spool."),
     USAGE(spooled)},
    {COUNTER("stele_usage_events_delivered_total", "Usage events that the endpoint accepted."),
     USAGE(delivered)},
    {COUNTER("stele_usage_events_dropped_total", "Usage events lost because of a limit."),
     USAGE(dropped)},
    {COUNTER("stele_usage_events_refused_total",
             "Usage events that the endpoint refused; they stay in the spool."),
     USAGE(refused)},
    {COUNTER("stele_usage_requests_total", "Requests to the usage endpoint."), USAGE(requests)},
    {COUNTER("stele_usage_requests_failed_total", "Requests to the usage endpoint that failed."),
     USAGE(failures)},
    {GAUGE("stele_usage_spool_events", "Usage events in the spool."), .value = usage_rows},
    {GAUGE("stele_usage_spool_bytes", "Bytes of the usage events in the spool."),
     .value = usage_bytes},
    {GAUGE("stele_usage_oldest_seconds", "Age of the oldest event that is being delivered."),
     .value = usage_oldest},
    /* OpenTelemetry */
    {COUNTER("stele_otlp_spans_total", "Spans recorded to be sent."), .print = print_spans},
    {COUNTER("stele_otlp_spans_dropped_total", "Spans dropped, by why."),
     .print = print_dropped_spans},
    {COUNTER("stele_otlp_requests_total", "Requests to the OTLP endpoint."), TELEMETRY(requests)},
    {COUNTER("stele_otlp_requests_failed_total", "Requests to the OTLP endpoint that failed."),
     TELEMETRY(failures)},
    /* the process */
    {GAUGE("stele_build_info", "1, with the version."), .print = print_build},
    {GAUGE("stele_epoch_info", "1, with the epoch: other cursors are refused."),
     .print = print_epoch},
    {GAUGE("stele_uptime_seconds", "Time since the server was opened."), .value = uptime},
    {HISTOGRAM("stele_loop_pause_seconds", "Time that the loop was busy in one turn."),
     .print = print_pauses},
    {GAUGE("stele_loop_longest_pause_seconds",
           "Longest busy turn of the loop in the last one to two minutes."),
     .value = longest_pause},
    {COUNTER("stele_log_lines_total", "Lines of the log, including those held back."),
     .print = print_log_lines},
    {COUNTER("stele_log_lines_lost_total",
             "Lines of the log that were lost because no program read them."),
     .value = lines_lost},
    {COUNTER("process_cpu_seconds_total", "Processor time of the process."), .value = cpu_seconds},
    {GAUGE("process_resident_memory_bytes", "Resident memory of the process."),
     .value = resident_bytes},
    {GAUGE("process_virtual_memory_bytes", "Virtual memory of the process."),
     .value = virtual_bytes},
    {GAUGE("process_open_fds", "Open descriptors of the process."), .value = open_descriptors},
    {GAUGE("process_max_fds", "Limit on open descriptors of the process."),
     .value = most_descriptors},
    {GAUGE("process_threads", "Threads of the process."), .value = threads},
    {GAUGE("process_start_time_seconds", "Start of the process, unix time."),
     .value = start_seconds},
};
const size_t metrics_count = sizeof metrics_table / sizeof *metrics_table;
