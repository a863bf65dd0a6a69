/* GET /status: how the server is, as JSON for people and scripts. */
#include "server/facts.h"

static bool is_healthy(const struct server *server)
{
    return server->state == SERVER_RUNNING && engine_disk_state(server->engine) == ERROR_NONE;
}

static const char *state_name(const struct server *server)
{
    enum error_code disk = engine_disk_state(server->engine);
    if (server->state != SERVER_RUNNING)
        return "stopping";
    return disk == ERROR_NONE ? "running" : error_wire_code(disk);
}

static uint64_t error_count(const struct server *server)
{
    return counter_get(&server->counters.errors) +
           counter_get(&engine_metrics(server->engine)->commit_failures);
}

static void print_seq(struct buffer *out, struct seq seq)
{
    char text[SEQ_SIZE];
    size_t length = seq_print(text, seq);
    buffer_printf(out, "\"%.*s\"", (int)length, text);
}

/* What everybody may know. */
static void print_health(struct buffer *out, const struct server *server)
{
    buffer_printf(out, "{\"healthy\":%s,\"status\":\"%s\",\"error_count\":%llu",
                  is_healthy(server) ? "true" : "false", state_name(server),
                  (unsigned long long)error_count(server));
}

static void print_server(struct buffer *out, struct server *server)
{
    buffer_printf(out, ",\"version\":\"%s\"", STELE_VERSION);
    buffer_printf(out, ",\"uptime_seconds\":%llu,\"epoch\":\"%s\",\"seq\":",
                  (unsigned long long)((clock_monotonic_us() - server->started_us) / 1000000),
                  engine_epoch(server->engine));
    if (hub_last_change(server->hub))
        print_seq(out, hub_head(server->hub));
    else
        buffer_add_string(out, "null");
    buffer_printf(out, ",\"last_change\":%lld", (long long)hub_last_change(server->hub));
}

static void print_clients(struct buffer *out, struct server *server)
{
    size_t count, bytes;
    engine_queue_fill(server->engine, &count, &bytes);
    buffer_printf(out, ",\"clients\":%zu,\"subscribers\":%zu,\"subscriptions\":%zu,\"lag\":%lld",
                  server->sessions.count, hub_subscribers(server->hub),
                  hub_subscriptions(server->hub), (long long)hub_slowest_lag(server->hub));
    buffer_printf(out, ",\"queue\":{\"requests\":%zu,\"bytes\":%zu}", count, bytes);
}

static void print_log(struct buffer *out, const struct facts *facts)
{
    buffer_printf(out, ",\"log\":{\"changes\":%lld,\"bytes\":%lld,\"floor\":%lld}",
                  (long long)facts->log.rows, (long long)facts->log.bytes,
                  (long long)facts->log.floor_change);
}

static void print_view(struct buffer *out, struct hub *hub, const struct fact_rows *it)
{
    static const char *const modes[] = {"state", "list", "append"};
    buffer_add_string(out, "{\"id\":");
    doc_escape(out, span_of(it->view->id));
    buffer_printf(out, ",\"mode\":\"%s\",\"rows\":", modes[it->view->mode]);
    if (it->rows >= 0)
        buffer_printf(out, "%lld", (long long)it->rows);
    else
        buffer_add_string(out, "null");
    buffer_printf(out, ",\"subscriptions\":%zu}",
                  hub_view_subscriptions(hub, span_of(it->view->id)));
}

static void print_all(struct buffer *out, struct server *server)
{
    const struct facts *facts = server->facts;
    print_server(out, server);
    print_clients(out, server);
    print_log(out, facts);
    buffer_add_string(out, ",\"views\":[");
    for (size_t i = 0; i < facts->row_count; i++) {
        buffer_add_string(out, i ? "," : "");
        print_view(out, server->hub, &facts->rows[i]);
    }
    buffer_add_string(out, "]");
}

void status_print(struct server *server, struct exchange *exchange)
{
    struct buffer out;
    buffer_init(&out, 8 * 1024 * 1024);
    print_health(&out, server);
    if (door_shows_status(server, exchange->visitor.identity))
        print_all(&out, server);
    buffer_add_string(&out, "}\n");
    struct exchange_content content = {.status = out.failed ? 500 : 200,
                                       .type = "application/json; charset=utf-8",
                                       .headers = "Cache-Control: no-store\r\n",
                                       .body = buffer_span(&out)};
    exchange_answer(exchange, &content);
    buffer_fini(&out);
}
