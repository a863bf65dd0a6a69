/* GET /metrics: the text that Prometheus reads. */
#include "server/facts.h"
#include "server/usage.h"

static void add_counter(struct buffer *out, const char *name, const char *help,
                        const struct counter *counter)
{
    metric_head(out, name, "counter", help);
    metric_sample(out, name, NULL, (double)counter_get(counter));
}

static void add_gauge(struct buffer *out, const char *name, const char *help, double value)
{
    metric_head(out, name, "gauge", help);
    metric_sample(out, name, NULL, value);
}

static void add_histogram(struct buffer *out, const char *name, const char *help,
                          const struct histogram *histogram)
{
    metric_head(out, name, "histogram", help);
    metric_histogram(out, name, NULL, histogram);
}

static void add_connections(struct buffer *out, const struct server *server)
{
    const struct server_counters *it = &server->counters;
    add_counter(out, "stele_connections_total", "WebSocket connections so far.", &it->connections);
    add_counter(out, "stele_connections_refused_total", "Connections that were not let in.",
                &it->connections_refused);
    add_gauge(out, "stele_connections_active", "WebSocket connections now.",
              (double)server->sessions.count);
    add_histogram(out, "stele_connection_duration_seconds", "How long connections lasted.",
                  &it->connection_duration);
    add_counter(out, "stele_messages_received_total", "WebSocket messages from clients.",
                &it->messages_in);
    add_counter(out, "stele_messages_sent_total", "WebSocket messages to clients.",
                &it->messages_out);
    add_counter(out, "stele_bytes_received_total", "Bytes of WebSocket messages from clients.",
                &it->bytes_in);
    add_counter(out, "stele_http_requests_total", "HTTP requests.", &it->http_requests);
}

static void add_intake(struct buffer *out, struct server *server)
{
    const struct engine_metrics *it = engine_metrics(server->engine);
    const char *name = "stele_mutations_total";
    size_t count, bytes;
    metric_head(out, name, "counter", "Mutations by what became of them.");
    metric_sample(out, name, "result=\"applied\"", (double)counter_get(&it->mutations_applied));
    metric_sample(out, name, "result=\"ignored\"", (double)counter_get(&it->mutations_ignored));
    metric_sample(out, name, "result=\"duplicate\"", (double)counter_get(&it->mutations_duplicate));
    add_counter(out, "stele_requests_refused_total", "Requests that were refused as a whole.",
                &it->mutations_refused);
    engine_queue_fill(server->engine, &count, &bytes);
    add_gauge(out, "stele_queue_requests", "Requests that wait to be committed.", (double)count);
    add_gauge(out, "stele_queue_bytes", "Memory of the requests that wait.", (double)bytes);
    add_gauge(out, "stele_intake_pressure", "How full the queue before the decoder is, 0 to 1.",
              source_pressure(server->source));
}

static void add_commits(struct buffer *out, struct server *server)
{
    const struct engine_metrics *it = engine_metrics(server->engine);
    add_counter(out, "stele_commits_total", "Transactions on disk.", &it->commits);
    add_counter(out, "stele_commit_failures_total", "Transactions that failed.",
                &it->commit_failures);
    add_counter(out, "stele_changes_total", "Changes committed.", &it->changes);
    add_counter(out, "stele_evictions_total", "Entities evicted because of max_entities.",
                &it->evictions);
    add_histogram(out, "stele_commit_duration_seconds", "From a transaction's begin to its disk.",
                  &it->commit_duration);
    add_histogram(out, "stele_commit_latency_seconds", "From a request's arrival to its commit.",
                  &it->commit_latency);
    add_counter(out, "stele_entity_cache_hits_total", "Entities found in memory.", &it->cache_hits);
    add_counter(out, "stele_entity_cache_misses_total", "Entities read from the database.",
                &it->cache_misses);
    add_counter(out, "stele_read_jobs_total", "Questions to the database.", &it->read_jobs);
    add_counter(out, "stele_trimmed_changes_total", "Changes that left the log.",
                &it->trimmed_changes);
    add_counter(out, "stele_checkpoints_total", "Checkpoints of the WAL.", &it->checkpoints);
}

static void add_hub(struct buffer *out, const struct server *server)
{
    static const char *const labels[] = {"mode=\"state\"", "mode=\"list\"", "mode=\"append\""};
    const struct hub_metrics *it = hub_metrics(server->hub);
    metric_head(out, "stele_frames_published_total", "counter", "Frames made, by mode.");
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        metric_sample(out, "stele_frames_published_total", labels[i],
                      (double)counter_get(&it->frames[i]));
    add_counter(out, "stele_sent_bytes_total", "Bytes given to subscribers.", &it->bytes_out);
    add_counter(out, "stele_subscriber_messages_refused_total",
                "Messages of subscribers that got an error.", &it->messages_refused);
    add_counter(out, "stele_subscriptions_total", "Subscriptions so far.", &it->subscriptions_made);
    add_counter(out, "stele_subscriptions_refused_total", "Subscriptions that got an error.",
                &it->subscriptions_refused);
    add_counter(out, "stele_snapshot_batches_built_total", "Snapshot batches read and encoded.",
                &it->snapshot_batches_built);
    add_counter(out, "stele_snapshot_batches_shared_total", "Snapshot batches given out again.",
                &it->snapshot_batches_shared);
    add_counter(out, "stele_catch_ups_total", "Reads of the log for subscribers behind.",
                &it->catch_ups);
    add_counter(out, "stele_resumes_total", "Cursors resumed.", &it->resumes);
    add_counter(out, "stele_resumes_refused_total", "Cursors that could not be resumed.",
                &it->resumes_refused);
    add_histogram(out, "stele_publish_latency_seconds",
                  "From a request's arrival to its frames being ready.", &it->publish_latency);
    add_gauge(out, "stele_subscribers", "Connected subscribers.",
              (double)hub_subscribers(server->hub));
    add_gauge(out, "stele_slowest_lag_changes", "Changes the slowest subscription is behind.",
              (double)hub_slowest_lag(server->hub));
}

static void add_database(struct buffer *out, struct server *server)
{
    const struct store_log_state *log = &server->facts->log;
    add_gauge(out, "stele_log_changes", "Changes in the log.", (double)log->rows);
    add_gauge(out, "stele_log_bytes", "Bytes of the log.", (double)log->bytes);
    add_gauge(out, "stele_log_last_change", "Id of the newest change.", (double)log->last_change);
    add_gauge(out, "stele_log_floor_change", "Changes up to this id have left the log.",
              (double)log->floor_change);
    add_gauge(out, "stele_wal_bytes", "Size of the WAL file.",
              (double)store_wal_bytes(engine_store(server->engine)));
    add_gauge(out, "stele_disk_ok", "1 while the disk takes writes.",
              engine_disk_state(server->engine) == ERROR_NONE);
}

static void add_usage(struct buffer *out, const struct server *server)
{
    const struct usage_metrics *it = usage_metrics(server->usage);
    add_counter(out, "stele_usage_events_spooled_total", "Usage events put into the spool.",
                &it->spooled);
    add_counter(out, "stele_usage_events_delivered_total", "Usage events the endpoint took.",
                &it->delivered);
    add_counter(out, "stele_usage_events_dropped_total", "Usage events lost because of a limit.",
                &it->dropped);
    add_counter(out, "stele_usage_events_refused_total",
                "Usage events the endpoint refuses; they stay in the spool.", &it->refused);
    add_counter(out, "stele_usage_requests_total", "Requests to the usage endpoint.",
                &it->requests);
    add_counter(out, "stele_usage_requests_failed_total", "Those of them that failed.",
                &it->failures);
    add_gauge(out, "stele_usage_spool_events", "Usage events in the spool.",
              (double)it->spool_rows);
    add_gauge(out, "stele_usage_spool_bytes", "Bytes of the spool.", (double)it->spool_bytes);
    add_gauge(out, "stele_usage_oldest_seconds", "Age of the oldest event being delivered.",
              (double)it->oldest_ms / 1000);
}

static void add_views(struct buffer *out, const struct server *server)
{
    const struct facts *facts = server->facts;
    struct buffer label;
    buffer_init(&label, 4096);
    for (int rows = 0; rows < 2; rows++) {
        const char *name = rows ? "stele_view_rows" : "stele_view_subscriptions";
        metric_head(out, name, "gauge", rows ? "Rows by view." : "Subscriptions by view.");
        for (size_t i = 0; i < facts->row_count; i++) {
            struct span id = span_of(facts->rows[i].view->id);
            if (rows && facts->rows[i].rows < 0)
                continue;
            buffer_clear(&label);
            buffer_add_string(&label, "view=\"");
            metric_label_value(&label, id);
            buffer_add_char(&label, '"');
            if (buffer_string(&label))
                metric_sample(out, name, label.data,
                              rows ? (double)facts->rows[i].rows
                                   : (double)hub_view_subscriptions(server->hub, id));
        }
    }
    buffer_fini(&label);
}

void metrics_print(struct server *server, struct exchange *exchange)
{
    struct buffer out;
    buffer_init(&out, 8 * 1024 * 1024);
    add_connections(&out, server);
    add_intake(&out, server);
    add_commits(&out, server);
    add_hub(&out, server);
    add_database(&out, server);
    if (server->usage)
        add_usage(&out, server);
    add_views(&out, server);
    struct exchange_content content = {.status = out.failed ? 500 : 200,
                                       .type = "text/plain; version=0.0.4; charset=utf-8",
                                       .headers = "Cache-Control: no-store\r\n",
                                       .body = buffer_span(&out)};
    exchange_answer(exchange, &content);
    buffer_fini(&out);
}
