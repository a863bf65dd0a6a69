/* The server's life: open in the order of dependence, close in the reverse one. */
#include "access/revocations.h"
#include "database/database.h"
#include "delivery/hub.h"
#include "follow/follow.h"
#include "ingest/ingest.h"
#include "outbound/outbound.h"
#include "server/tls.h"
#include "server/transport.h"
#include "telemetry/telemetry.h"
#include "usage/usage.h"
#include "window/window.h"

#include <assert.h>

enum {
    QUEUE_COUNT = 16 * 1024,         /* requests that wait to be committed */
    DECODE_COUNT = 4 * 1024,         /* and to be decoded */
    DECODE_SHARE = 4,                /* of queue_bytes, one in so many is for undecoded ones */
    EVENTS_BYTES = 64 * 1024 * 1024, /* commits that wait for the loop */
    TOMBSTONE_ROWS = 1000 * 1000
};

/* ---- the parts ---- */

static void wake(void *server)
{
    uv_async_send(&((struct server *)server)->async);
}

static int64_t log_position(void *argument)
{
    struct follow *follow = ((struct server *)argument)->log.follow;
    return follow ? follow_state(follow).position : -1;
}

static void committed(void *server, int64_t last_change)
{
    http_committed(&((struct server *)server)->http, last_change);
}

static bool open_hub(struct server *server, const struct config *config, struct error *error)
{
    struct config_caches caches = config_caches(config);
    struct hub_options options = {
        .ring_bytes = (size_t)caches.changes,
        .channel_bytes = (size_t)caches.frames,
        .snapshot_cache_bytes = (size_t)caches.snapshots,
        .max_subscriptions = (uint32_t)config->max_subscriptions,
        .tombstone_ms = config->tombstone_seconds * 1000,
        .max_window_rows = config->max_window_rows,
        .max_windows = (size_t)config->max_windows,
        .max_waiting = (size_t)config->max_waiting_exports,
        .max_filter_rows = config->max_filter_rows,
        .tracer = server->frontend.tracer,
        .due = server_arm,
        .log_position = log_position,
        .committed = committed,
        .argument = server,
        .query = {.depth = (unsigned)config->max_where_depth,
                  .terms = (size_t)config->max_where_terms},
    };
    struct view_set *views = config_views(config, error);
    if (!views)
        return false;
    server->frontend.hub = hub_new(&options, views, &window_ops);
    if (server->frontend.hub)
        return true;
    view_set_free(views);
    return error_set(error, ERROR_MEMORY, "out of memory while starting the hub");
}

static struct engine_options engine_options(struct server *server, const struct config *config)
{
    struct config_caches caches = config_caches(config);
    return (struct engine_options){
        .store = {.path = config->database,
                  .log = server->log.follow ? &server->log.history : NULL,
                  .merging = server->merging,
                  .origin = server->replica.replica ? &server->replica.origin : NULL,
                  .synchronous = config->synchronous,
                  .erase = config->erase,
                  .cache_mebibytes = (uint32_t)(caches.pages >> 20),
                  .reader_mebibytes = (uint32_t)(caches.reader_pages >> 20),
                  .wal_keep_bytes = 2 * config->checkpoint_pages * DATABASE_WAL_PAGE_BYTES,
                  .backup_before_migration = config->backup_before_migration},
        .open_exports = view_set_is_open(hub_state(server->frontend.hub).views),
        .max_exports = (uint32_t)config->max_exports,
        .refuse_unknown_exports = config->unknown_exports == CONFIG_UNKNOWN_REFUSE,
        .max_producers = config->max_producers,
        .max_idempotency_keys = config->max_idempotency_keys,
        .views = hub_state(server->frontend.hub).views,
        .give_up = server->give_up,
        .max_array_length = (uint32_t)config->max_array_length,
        .max_entity_bytes = (size_t)config->max_entity_bytes,
        .max_merge_bytes = (size_t)config->max_merge_bytes,
        .queue_bytes = (size_t)config->queue_bytes,
        .queue_count = QUEUE_COUNT,
        .commit_mutations = (size_t)config->commit_mutations,
        .cache_bytes = (size_t)caches.entities,
        .events_bytes = EVENTS_BYTES,
        .retention = {.rows = config->retention_rows,
                      .age_ms = config->retention_seconds * 1000,
                      .bytes = config->retention_bytes,
                      .tombstone_age_ms = config->tombstone_seconds * 1000,
                      .tombstone_rows = TOMBSTONE_ROWS},
        .checkpoint_pages = (uint32_t)config->checkpoint_pages,
        .max_wal_bytes = config->max_wal_bytes,
        .readers = (uint32_t)config->readers,
        .notes_times = server->frontend.tracer != NULL,
        .on_commit = hub_commit,
        .argument = server->frontend.hub,
        .wake = wake,
        .on_drained = server_on_drained,
        .wake_argument = server,
    };
}

static bool tell_export(void *hub, const struct store_export *export)
{
    hub_add_export(hub, export);
    return true;
}

static struct engine_export_options options_of(const struct config *config, const char *name)
{
    struct engine_export_options options = {.name = span_of(name)};
    for (size_t i = 0; i < config->export_count; i++) {
        const struct config_export *export = &config->exports[i];
        if (strcmp(export->name, name) != 0)
            continue;
        options.max_entities = export->max_entities;
        options.null_removes = export->null_removes;
        options.own_array_length = export->max_array_length != CONFIG_INHERIT;
        if (options.own_array_length)
            options.max_array_length = (uint32_t) export->max_array_length;
    }
    return options;
}

/* Of each export, also those of stacks; the array is the caller's, its names are the views'. */
static struct engine_export_options *export_options(const struct view_set *views,
                                                    const struct config *config, size_t *count,
                                                    struct error *error)
{
    *count = 0;
    while (view_set_export_at(views, *count))
        ++*count;
    struct engine_export_options *exports = memory_new((*count + 1) * sizeof *exports);
    if (!exports)
        error_set(error, ERROR_MEMORY, "out of memory while reading the exports");
    for (size_t i = 0; exports && i < *count; i++)
        exports[i] = options_of(config, view_set_export_at(views, i)->name);
    return exports;
}

bool server_apply_export_limits(struct server *server, const struct config *config,
                                struct error *error)
{
    size_t count;
    struct engine_export_options *exports =
        export_options(hub_state(server->frontend.hub).views, config, &count, error);
    bool done = exports && engine_limit(server->frontend.engine, exports, count, error);
    memory_free(exports);
    return done;
}

/* What the source took is taken here, too, whatever the limits are: they are for producers. */
static void copy_all(struct engine_options *options)
{
    options->copies = true;
    options->max_exports = UINT32_MAX;
    options->max_entity_bytes = UINT32_MAX;
    options->max_merge_bytes = 0;
}

static bool open_engine(struct server *server, const struct config *config, struct error *error)
{
    struct engine_options options = engine_options(server, config);
    if (server->replica.replica)
        copy_all(&options);
    struct engine_export_options *exports =
        export_options(options.views, config, &options.export_count, error);
    if (!exports)
        return false;
    options.exports = exports;
    server->frontend.engine = engine_open(&options, error);
    memory_free(exports);
    if (!server->frontend.engine)
        return false;
    hub_attach(server->frontend.hub, server->frontend.engine);
    return engine_each_export(server->frontend.engine, tell_export, server->frontend.hub, error);
}

/* What decides how a request or a message of a log is decoded. */
static struct ingest_options ingest_options(const struct server *server,
                                            const struct config *config)
{
    return (struct ingest_options){
        .max_request_bytes = (size_t)config->max_request_bytes,
        .max_depth = (uint32_t)config->max_depth,
        .max_key_bytes = (size_t)config->max_key_bytes,
        .queue_bytes = (size_t)config->queue_bytes / DECODE_SHARE,
        .queue_count = DECODE_COUNT,
        .refusal = server->log.refusal,
        .log = server->log.follow ? follow_log(server->log.follow) : NULL,
        .digest = auth_digest,
    };
}

static bool open_ingest(struct server *server, const struct config *config, struct error *error)
{
    struct ingest_options options = ingest_options(server, config);
    server->frontend.ingest = ingest_open(server->frontend.engine, &options, error);
    return server->frontend.ingest != NULL;
}

/* Cursors are ahead of a node or a replica alone. */
static void take_cursor_wait(struct server *server, const struct config *config)
{
    if (server->log.follow || server->replica.replica)
        hub_set_cursor_wait(server->frontend.hub, config->cursor_wait_ms);
}

static bool start_log(struct server *server, const struct config *config, struct error *error)
{
    struct ingest_options options = ingest_options(server, config);
    take_cursor_wait(server, config);
    return server_start_log(server, config, &options, error);
}

/* A thread of their own serves outgoing requests: only where something needs it. */
static bool open_outbound(struct server *server, const struct config *config, struct error *error)
{
    struct outbound_options options = {
        .ca_file = config->outgoing_ca_file,
        .wake = wake,
        .wake_argument = server,
    };
    if (!config->auth.jwks_url && !config->usage_url && !server->frontend.telemetry)
        return true;
    server->outbound = outbound_open(&options, error);
    return server->outbound != NULL;
}

static uint64_t loop_now(void *server)
{
    return uv_now(&((struct server *)server)->loop);
}

static void rules_changed(void *server, const struct auth_static *tokens, bool needed)
{
    sessions_follow(&((struct server *)server)->frontend.sessions, tokens, needed);
}

static void revoked(void *server, struct span token_id)
{
    sessions_revoke(&((struct server *)server)->frontend.sessions, token_id);
}

static bool open_access(struct server *server, const struct config *config, struct error *error)
{
    struct access_context context = {
        .engine = server->frontend.engine,
        .outbound = server->outbound,
        .now_ms = loop_now,
        .rules_changed = rules_changed,
        .revoked = revoked,
        .argument = server,
    };
    server->frontend.access = access_new(&context, config, error);
    return server->frontend.access != NULL;
}

static bool open_usage(struct server *server, const struct config *config, struct error *error)
{
    struct usage_context context = {
        .engine = server->frontend.engine,
        .outbound = server->outbound,
        .now_ms = loop_now,
        .wake = wake,
        .argument = server,
    };
    return usage_open(&context, config, &server->frontend.usage, error);
}

/* ---- OpenTelemetry ---- */

static bool refresh_metrics(void *server, void (*ready)(void *telemetry), void *telemetry)
{
    return http_refresh_metrics(&((struct server *)server)->http, ready, telemetry);
}

static void each_metric(void *server, struct metric_sink *sink)
{
    http_each_metric(&((struct server *)server)->http, sink);
}

/* First of all, as the other parts record spans. */
static bool open_telemetry(struct server *server, const struct config *config, struct error *error)
{
    bool opened = telemetry_new(config, &server->frontend.telemetry, error);
    server->frontend.tracer = telemetry_tracer(server->frontend.telemetry);
    return opened;
}

static void start_telemetry(struct server *server)
{
    const struct telemetry_context context = {
        .outbound = server->outbound,
        .now_ms = loop_now,
        .refresh = refresh_metrics,
        .each_metric = each_metric,
        .argument = server,
    };
    if (server->frontend.telemetry)
        telemetry_start(server->frontend.telemetry, &context);
}

/* ---- the loop and the sockets ---- */

static bool open_loop(struct server *server, struct error *error)
{
    if (uv_loop_init(&server->loop) != 0)
        return error_set(error, ERROR_MEMORY, "cannot make an event loop");
    server->loop_open = true;
    server->async.data = server->tick.data = server->due.data = server;
    if (uv_async_init(&server->loop, &server->async, server_on_async) != 0)
        return error_set(error, ERROR_MEMORY, "cannot make an event loop");
    uv_timer_init(&server->loop, &server->tick);
    uv_timer_init(&server->loop, &server->due);
    loop_watch_start(&server->watch, &server->loop);
    server->handles_open = true;
    queue_on_fill(&server->posts, wake, server);
    return true;
}

static void on_main_socket(void *server, int socket)
{
    transport_adopt(((struct server *)server)->transport, TRANSPORT_MAIN, socket);
}

static void on_health_socket(void *server, int socket)
{
    transport_adopt(((struct server *)server)->transport, TRANSPORT_HEALTH, socket);
}

static bool open_sockets(struct server *server, const struct config *config, struct error *error)
{
    bool main = config->listen && *config->listen, health = config->health && *config->health;
    if (!main)
        return true;
    if (!tls_read(config, &server->certificate, error))
        return false;
    if (server->certificate)
        tls_tell(server->certificate);
    server->health_tls = config->health_tls;
    server->transport = transport_open(server, error);
    return server->transport &&
           listener_open(&server->main, &server->loop, config->listen, on_main_socket, server,
                         error) &&
           (!health || listener_open(&server->health, &server->loop, config->health,
                                     on_health_socket, server, error));
}

/* ---- open and close ---- */

static void warn_of_scopes(const struct config *config, const struct view_set *views)
{
    const struct view_export *export;
    for (size_t i = 0; (export = view_set_export_at(views, i)); i++)
        if (config->auth.mode == CONFIG_AUTH_NONE && export->scope)
            log_warning(
                "server", "scope-without-tokens", log_text("export", export->name),
                log_text("effect", "without authentication only its public rows are shown"));
}

/* The settings that may change while it runs; the rest is in struct limits. */
static void take_limits(struct server *server, const struct config *config)
{
    server->frontend.max_message_bytes = (size_t)config->max_message_bytes;
    server->frontend.client_timeout_ms = (uint64_t)config->client_timeout_seconds * 1000;
    server->frontend.incoming.limit = (size_t)config->incoming_bytes;
    server->frontend.incoming.patience_ms = config->incoming_seconds * 1000;
}

bool server_apply_limits(struct server *server, const struct config *config, struct error *error)
{
    if (!limits_apply(access_shown(server->frontend.access)->limits, config, error))
        return false;
    take_limits(server, config);
    take_cursor_wait(server, config);
    hub_set_max_subscriptions(server->frontend.hub, (uint32_t)config->max_subscriptions);
    return true;
}

void server_show_configuration(struct server *server, const struct config *config)
{
    enum { TEXT_LIMIT = 64 * 1024 * 1024 };
    struct buffer text;
    size_t length;
    buffer_init(&text, TEXT_LIMIT);
    bool printed = config_print(config, CONFIG_FOR_OTHERS, &text) && buffer_string(&text);
    http_show_configuration(&server->http, printed ? buffer_take(&text, &length) : NULL);
    buffer_fini(&text);
}

static bool open_parts(struct server *server, const struct config *config, struct error *error)
{
    if (!open_loop(server, error) || !open_telemetry(server, config, error) ||
        !open_hub(server, config, error) || !server_find_merging(server, config, error) ||
        !server_open_log(server, config, error) || !open_engine(server, config, error) ||
        !open_ingest(server, config, error))
        return false;
    if (!http_open(&server->http, &server->frontend))
        return error_set(error, ERROR_MEMORY, "out of memory while starting");
    if (config->static_files &&
        !http_serve_files(&server->http, config->folder, config->static_files, error))
        return error_prefix(error, "setting \"static_files\"");
    server_show_configuration(server, config);
    warn_of_scopes(config, hub_state(server->frontend.hub).views);
    config_warn_of_views(hub_state(server->frontend.hub).views);
    if (!open_outbound(server, config, error))
        return false;
    start_telemetry(server);
    return open_access(server, config, error) && open_usage(server, config, error) &&
           start_log(server, config, error) && open_sockets(server, config, error);
}

/* Check whether the stop can go on; called whenever something ended. */
static void advance(void *argument)
{
    struct server *server = argument;
    if (server->state >= SERVER_DRAINING)
        uv_async_send(&server->async);
}

/* The references of the parts to each other. */
static void init_parts(struct server *server)
{
    frontend_init(&server->frontend);
    sessions_init(&server->frontend.sessions);
    server->frontend.loop = &server->loop;
    server->frontend.ended = advance;
    server->frontend.due = server_arm;
    server->frontend.argument = server;
    server->http.main_address = server->main.address;
    server->http.merging = server->merging;
    server->http.health_address = server->health.address;
    server->http.certificate = &server->certificate;
    server->http.watch = &server->watch;
    server->http.started_us = clock_monotonic_us();
}

struct server *server_open(const struct config *config, const atomic_bool *give_up,
                           struct error *error)
{
    struct server *server = memory_new(sizeof *server);
    if (!server || !queue_init(&server->posts, SIZE_MAX, SIZE_MAX)) {
        memory_free(server);
        error_set(error, ERROR_MEMORY, "out of memory while starting");
        return NULL;
    }
    server->give_up = give_up;
    server->main.socket = server->health.socket = -1;
    init_parts(server);
    server->connection_room = (size_t)config->max_connections;
    server->frontend.max_request_bytes = (size_t)config->max_request_bytes;
    if (config->base_path)
        server->frontend.base_path =
            memory_copy_string(config->base_path, strlen(config->base_path));
    take_limits(server, config);
    if (open_parts(server, config, error))
        return server;
    server_close(server);
    return NULL;
}

static void close_loop(struct server *server)
{
    if (server->handles_open) {
        uv_close((uv_handle_t *)&server->async, NULL);
        uv_close((uv_handle_t *)&server->tick, NULL);
        uv_close((uv_handle_t *)&server->due, NULL);
        uv_close((uv_handle_t *)&server->watch.prepare, NULL);
    }
    if (server->loop_open) {
        uv_run(&server->loop, UV_RUN_DEFAULT);
        int status = uv_loop_close(&server->loop);
        assert(status == 0);
        (void)status;
    }
}

void server_close(struct server *server)
{
    if (!server)
        return;
    if (server->loop_open)
        server_leave(server);
    outbound_close(server->outbound);
    server->outbound = NULL;
    if (server->frontend.telemetry)
        telemetry_stop(server->frontend.telemetry);
    follow_stop(server->log.follow);
    replica_stop(server->replica.replica);
    ingest_close(server->frontend.ingest);
    server->frontend.ingest = NULL; /* who is answered below may ask for it */
    if (server->frontend.usage)
        usage_flush(server->frontend.usage);
    if (server->frontend.hub && server->frontend.engine)
        windows_keep_last(server->frontend.hub);
    http_end(&server->http);
    if (server->frontend.engine)
        engine_close(server->frontend.engine); /* answers what is still due */
    if (server->frontend.hub)
        hub_free(server->frontend.hub);
    follow_free(server->log.follow);
    replica_free(server->replica.replica);
    memory_free(server->log.refusal);
    usage_free(server->frontend.usage);
    telemetry_free(server->frontend.telemetry);
    http_close(&server->http);
    access_free(server->frontend.access);
    close_loop(server);
    certificate_free(server->certificate);
    queue_fini(&server->posts);
    frontend_fini(&server->frontend);
    memory_free(server);
}

struct server_lag server_lag(struct server *server)
{
    struct follow_state state = {.caught_up = true};
    if (server->frontend.follow)
        state = follow_state(server->frontend.follow);
    else if (server->frontend.replica)
        state = replica_state(server->frontend.replica);
    return (struct server_lag){state.lag_messages, state.position, state.caught_up};
}

struct server_parts server_parts(struct server *server)
{
    return (struct server_parts){.address = server->main.address,
                                 .health_address = server->health.address,
                                 .engine = server->frontend.engine,
                                 .ingest = server->frontend.ingest,
                                 .hub = server->frontend.hub};
}
