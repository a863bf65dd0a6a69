/*
 * The server as a node of a log, or as a replica (docs/cluster.md): the settings that must be the
 * same elsewhere, what the history of its file is made from, and the thread that follows the log.
 *
 * All nodes whose messages do the same have the same epoch, and no others. So it is made from the
 * stream, the time at which that was made, and every setting that decides what a message does.
 */
#include "access/revocations.h"
#include "auth/auth.h"
#include "base/invariant.h"
#include "delivery/hub.h"
#include "follow/follow.h"
#include "server/server_internal.h"

#include <stdlib.h>
#include <sys/stat.h>

enum { DIGEST = 32, SETTINGS_BYTES = 64 * 1024 * 1024 };

/* ---- the settings that decide ---- */

static int compare_names(const void *a, const void *b)
{
    const struct view_export *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static void print_export(struct buffer *out, const struct view_export *shown,
                         const struct config *config, bool evictions)
{
    doc_escape(out, span_of(shown->name));
    for (size_t i = 0; i < config->export_count; i++) {
        const struct config_export *export = &config->exports[i];
        if (strcmp(export->name, shown->name) != 0)
            continue;
        if (evictions)
            buffer_printf(out, " %lld", (long long)export->max_entities);
        buffer_printf(out, " %lld %d", (long long)export->max_array_length, export->null_removes);
    }
    buffer_printf(out, " %s\n", shown->scope ? view_scope_text(shown->scope) : "");
}

/* The exports with what decides merging, a line each; with how many entities they keep, where it is
 * not the log that says what was evicted. By name: their order in a file decides nothing. */
static bool print_exports(struct buffer *out, const struct view_set *views,
                          const struct config *config, bool evictions)
{
    size_t count = 0;
    while (view_set_export_at(views, count))
        count++;
    const struct view_export **exports = memory_new((count + 1) * sizeof *exports);
    if (!exports)
        return false;
    for (size_t i = 0; i < count; i++)
        exports[i] = view_set_export_at(views, i);
    qsort(exports, count, sizeof *exports, compare_names);
    for (size_t i = 0; i < count; i++)
        print_export(out, exports[i], config, evictions);
    memory_free(exports);
    return true;
}

/* 16 bytes of the SHA-256 of a text. False without memory. */
static bool digest_of(const struct buffer *text, char hex[33])
{
    unsigned char digest[DIGEST];
    if (text->failed || !auth_digest(buffer_span(text), digest))
        return false;
    for (size_t i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return true;
}

static bool print_settings(struct buffer *out, const struct view_set *views,
                           const struct config *config)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"open", view_set_is_open(views)},
        {"max_array_length", config->max_array_length},
        {"max_entity_bytes", config->max_entity_bytes},
        {"max_merge_bytes", config->max_merge_bytes},
        {"max_request_bytes", config->max_request_bytes},
        {"max_depth", config->max_depth},
        {"max_key_bytes", config->max_key_bytes},
        {"max_exports", config->max_exports},
        {"unknown_exports", config->unknown_exports},
        {"max_producers", config->max_producers},
        {"max_idempotency_keys", config->max_idempotency_keys},
    };
    buffer_add_string(out, "3\n"); /* of this list */
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        buffer_printf(out, "%s %lld\n", numbers[i].name, (long long)numbers[i].value);
    return print_exports(out, views, config, true) && !out->failed;
}

/* A replica makes the changes of its source again, so it must have the same settings that decide
 * what a change does to an entity. A message is not a change yet, so there are more of them for a
 * node. */
bool server_find_merging(struct server *server, const struct config *config, struct error *error)
{
    const struct view_set *views = hub_state(server->frontend.hub).views;
    struct buffer text;
    buffer_init(&text, SETTINGS_BYTES);
    buffer_printf(&text, "2 %d %lld\n", view_set_is_open(views),
                  (long long)config->max_array_length);
    bool done = print_exports(&text, views, config, false) && digest_of(&text, server->merging);
    buffer_fini(&text);
    return done || error_set(error, ERROR_MEMORY, "out of memory while starting");
}

/* ---- the history ---- */

static bool find_settings(struct server_log *log, const struct view_set *views,
                          const struct config *config)
{
    struct buffer text;
    buffer_init(&text, SETTINGS_BYTES);
    bool done = print_settings(&text, views, config) && digest_of(&text, log->settings);
    buffer_fini(&text);
    return done;
}

static bool find_epoch(struct server_log *log)
{
    struct buffer text;
    char hex[33];
    buffer_init(&text, 4096);
    buffer_printf(&text, "%s\n%lld\n%s\n", log->history.stream, (long long)log->history.created,
                  log->settings);
    bool done = digest_of(&text, hex);
    buffer_fini(&text);
    if (done)
        snprintf(log->epoch, sizeof log->epoch, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                 hex + 16, hex + 20);
    return done;
}

/* Without its broker the history in the file is taken at its word, and checked when there is one.
 */
static bool ask(struct server *server, struct error *error)
{
    struct server_log *log = &server->log;
    struct error problem;
    if (follow_ask(log->follow, server->give_up, &log->history.created, &problem)) {
        log->history.epoch = log->epoch;
        return find_epoch(log) || error_set(error, ERROR_MEMORY, "out of memory");
    }
    if (problem.code != ERROR_NETWORK) {
        *error = problem;
        return false;
    }
    log_warning("follow", "log-apart", log_text("error", problem.message),
                log_text("effect", "reads go on, and it is tried again"));
    return true;
}

/* ---- what the log says ---- */

static void note_revoked(void *argument, struct span token_id, int64_t expires_at, int64_t at)
{
    struct server *server = argument;
    struct error error;
    if (!revocations_note(server->frontend.access, token_id, expires_at, at, &error))
        log_error("follow", "revocation-not-noted", log_text("error", error.message),
                  log_text("effect", "the token is accepted here until the next start"));
}

/* ---- a node ---- */

static bool open_log(struct server *server, const struct config *config, struct error *error)
{
    struct server_log *log = &server->log;
    struct follow_options options = {.nats = config->log.nats,
                                     .stream = config->log.stream,
                                     .subject = config->log.subject,
                                     .credentials_file = config->log.credentials_file,
                                     .ca_file = config->log.ca_file};
    if (!config->log.stream)
        return true;
    log->follow = follow_open(&options, error);
    if (!log->follow)
        return false;
    log->history = (struct database_log){.stream = config->log.stream, .settings = log->settings};
    if (!find_settings(log, hub_state(server->frontend.hub).views, config))
        return error_set(error, ERROR_MEMORY, "out of memory while opening the log");
    return ask(server, error);
}

static bool start_log(struct server *server, const struct config *config,
                      const struct ingest_options *ingest, struct error *error)
{
    struct engine *engine = server->frontend.engine;
    struct follow_start start = {.engine = engine,
                                 .ingest = *ingest,
                                 .created =
                                     database_state(engine_facts(engine)->database).log_created,
                                 .max_lag = (double)config->log.max_lag_seconds,
                                 .max_write_ms = config->log.max_write_seconds * 1000,
                                 .revoked = note_revoked,
                                 .argument = server};
    if (!server->log.follow)
        return true;
    server->log.history = (struct database_log){.created = 0}; /* its texts are the caller's */
    server->frontend.follow = server->log.follow;
    server->frontend.max_lag = (double)config->log.max_lag_seconds;
    return follow_start(server->log.follow, &start, error);
}

/* ---- a replica ---- */

static bool find_refusal(struct server *server, const char *url)
{
    struct buffer text;
    buffer_init(&text, 8192);
    buffer_printf(&text, "this server is a replica and takes no mutations: send them to %s", url);
    server->log.refusal = buffer_string(&text) ? buffer_take(&text, NULL) : NULL;
    buffer_fini(&text);
    return server->log.refusal;
}

static bool check_settings(const struct server *server, const struct config *config,
                           struct error *error)
{
    return strcmp(server->replica.source.settings, server->merging) == 0 ||
           error_set(error, ERROR_CONFIGURATION,
                     "setting \"log.from\": %.200s has other settings that decide how changes are "
                     "merged (docs/cluster.md lists them): set them here as they are there",
                     config->log.from);
}

/* Without its source the history in the file is taken at its word, and checked when there is one. A
 * first start fails before there is a file. */
static bool ask_source(struct server *server, const struct config *config, struct error *error)
{
    struct server_replica *replica = &server->replica;
    struct stat status;
    struct error problem;
    bool is_new = stat(config->database, &status) != 0 || status.st_size == 0;
    if (replica_ask(replica->replica, is_new, server->give_up, &replica->source, &problem)) {
        replica->origin.epoch = replica->source.epoch;
        replica->origin.former = replica->source.former;
        return check_settings(server, config, error);
    }
    if (problem.code != ERROR_NETWORK || is_new) {
        *error = problem;
        return problem.code == ERROR_NETWORK
                   ? error_prefix(error, "%.200s is new, and its first start needs the source",
                                  config->database)
                   : false;
    }
    log_warning("follow", "log-apart", log_text("error", problem.message),
                log_text("effect", "reads go on, and it is tried again"));
    return true;
}

static bool open_replica(struct server *server, const struct config *config, struct error *error)
{
    struct server_replica *replica = &server->replica;
    struct replica_options options = {.url = config->log.from,
                                      .token_file = config->log.token_file,
                                      .ca_file = config->log.ca_file,
                                      .revoked = note_revoked,
                                      .argument = server};
    if (!config->log.from)
        return true;
    replica->replica = replica_open(&options, error);
    if (!replica->replica)
        return false;
    replica->origin = (struct database_origin){.url = config->log.from};
    if (!find_refusal(server, config->log.from))
        return error_set(error, ERROR_MEMORY, "out of memory while opening the log");
    return ask_source(server, config, error);
}

static bool start_replica(struct server *server, const struct config *config, struct error *error)
{
    if (!server->replica.replica)
        return true;
    server->replica.origin = (struct database_origin){.url = NULL}; /* its texts are the caller's */
    server->frontend.replica = server->replica.replica;
    server->frontend.max_lag = (double)config->log.max_lag_seconds;
    return replica_start(server->replica.replica, server->frontend.engine, server->merging, error);
}

/* ---- either, or neither ---- */

bool server_open_log(struct server *server, const struct config *config, struct error *error)
{
    return open_log(server, config, error) && open_replica(server, config, error);
}

bool server_start_log(struct server *server, const struct config *config,
                      const struct ingest_options *ingest, struct error *error)
{
    return start_log(server, config, ingest, error) && start_replica(server, config, error);
}
