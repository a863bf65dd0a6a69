/*
 * The server as a replica of another one (docs/cluster.md): what that says of itself at the start,
 * and the thread that copies its changes.
 */
#include "delivery/hub.h"
#include "server/server_internal.h"

#include <sys/stat.h>

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
static bool ask(struct server *server, const struct config *config, struct error *error)
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

bool server_open_replica(struct server *server, const struct config *config, struct error *error)
{
    struct server_replica *replica = &server->replica;
    struct replica_options options = {.url = config->log.from,
                                      .token_file = config->log.token_file,
                                      .ca_file = config->log.ca_file,
                                      .revoked = server_note_revoked,
                                      .argument = server};
    if (!config->log.from)
        return true;
    replica->replica = replica_open(&options, error);
    if (!replica->replica)
        return false;
    replica->origin = (struct database_origin){.url = config->log.from};
    if (!find_refusal(server, config->log.from))
        return error_set(error, ERROR_MEMORY, "out of memory while opening the log");
    return ask(server, config, error);
}

bool server_start_replica(struct server *server, const struct config *config, struct error *error)
{
    if (!server->replica.replica)
        return true;
    server->replica.origin = (struct database_origin){.url = NULL}; /* its texts are the caller's */
    server->frontend.replica = server->replica.replica;
    server->frontend.max_lag = (double)config->log.max_lag_seconds;
    return replica_start(server->replica.replica, server->frontend.engine, server->merging, error);
}
