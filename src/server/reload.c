/*
 * Another configuration for a running server. The thread that asked reads and checks its files
 * before; the loop only puts the checked result in force.
 */
#include "server/server_internal.h"
#include "server/tls.h"
#include "telemetry/telemetry.h"
#include "usage/usage.h"

struct server_reload {
    struct config config;
    struct certificate *certificate;
    struct access_rules *rules;
    struct usage_endpoint *usage;
};

/* ---- before ---- */

/* All of it must be good, also what cannot change now: a file that would not start the server again
 * is better known today. */
static bool check(struct server_reload *reload, struct error *error)
{
    struct view_set *views = config_views(&reload->config, error);
    view_set_free(views);
    if (!views || !tls_read(&reload->config, &reload->certificate, error))
        return false;
    reload->rules = access_rules_new(&reload->config, error);
    return reload->rules && telemetry_check(&reload->config, error) &&
           usage_endpoint_read(&reload->config, &reload->usage, error);
}

struct server_reload *server_reload_new(struct config *config, struct error *error)
{
    struct server_reload *reload = memory_new(sizeof *reload);
    if (!reload) {
        config_fini(config);
        error_set(error, ERROR_MEMORY, "out of memory while reading the configuration again");
        return NULL;
    }
    reload->config = *config;
    *config = (struct config){.database = NULL};
    if (check(reload, error))
        return reload;
    server_reload_free(reload);
    return NULL;
}

void server_reload_free(struct server_reload *reload)
{
    if (!reload)
        return;
    config_fini(&reload->config);
    certificate_free(reload->certificate);
    access_rules_free(reload->rules);
    usage_endpoint_free(reload->usage);
    memory_free(reload);
}

/* ---- on the loop ---- */

struct judgement {
    struct server *server;
    const struct config *fresh;
    bool exports;          /* limits of exports were taken */
    struct buffer changed; /* names of what was taken, with a space between them */
};

static bool is_possible(const struct judgement *judgement, enum config_change change)
{
    switch (change) {
    case CONFIG_RESTART:
        return false;
    case CONFIG_LIVE:
    case CONFIG_LIVE_WHILE_SET:
        return true;
    case CONFIG_LIVE_WITHIN_ROOM: /* among the descriptors, made at the start */
        return (size_t)judgement->fresh->max_connections <= judgement->server->connection_room;
    case CONFIG_LIVE_WITH_OUTGOING:
        return judgement->server->outbound || !judgement->fresh->auth.jwks_url;
    }
    return false;
}

/* The name is also the event: the log holds back repetitions of one event. */
static bool judge(void *argument, const char *name, enum config_change change, const char *restart)
{
    struct judgement *judgement = argument;
    bool taken = is_possible(judgement, change);
    if (taken)
        buffer_printf(&judgement->changed, "%s%s", judgement->changed.length ? " " : "", name);
    else
        log_warning("config", name, log_text("effect", "needs a restart"),
                    log_text("reason", restart));
    judgement->exports = judgement->exports || (taken && strcmp(name, "exports") == 0);
    return taken;
}

static void show_certificate(struct server *server, struct server_reload *reload)
{
    if (!server->certificate || !reload->certificate)
        return;
    struct certificate *before = server->certificate;
    server->certificate = reload->certificate;
    reload->certificate = before;
    server->certificate_due_ms = 0;
    tls_tell(server->certificate);
}

/* The log names the settings that it cannot take. */
static void change_rules(struct server *server, struct server_reload *reload)
{
    struct error error;
    bool done = access_apply(server->frontend.access, reload->rules, &error);
    reload->rules = NULL;
    if (!done && error.code == ERROR_MEMORY)
        log_error("config", "auth", log_text("effect", "not taken"),
                  log_text("reason", error.message));
}

static void change_limits(struct server *server, const struct config *config)
{
    struct error error;
    if (!server_apply_limits(server, config, &error))
        log_error("config", "limits", log_text("effect", "not taken"),
                  log_text("reason", error.message));
    if (server->state == SERVER_RUNNING)
        server_start_tick(server); /* it goes by the time-out of clients */
}

static void change_export_limits(struct server *server, const struct config *config)
{
    struct error error;
    if (!server_apply_export_limits(server, config, &error))
        log_error("config", "exports", log_text("effect", "not taken"),
                  log_text("reason", error.message));
}

void server_reload_apply(struct server *server, struct server_reload *reload,
                         struct config *in_force)
{
    enum { NAMES_LIMIT = 2048 };
    struct judgement judgement = {.server = server, .fresh = &reload->config};
    buffer_init(&judgement.changed, NAMES_LIMIT);
    /* First, so that what is told of the others is told as it is wanted from now on. */
    log_configure(reload->config.log_level, reload->config.log_format,
                  reload->config.log_levels); /* which was checked */
    config_take_live(in_force, &reload->config, judge, &judgement);
    change_limits(server, in_force);
    if (judgement.exports)
        change_export_limits(server, in_force);
    show_certificate(server, reload);
    change_rules(server, reload);
    usage_change(server->frontend.usage, in_force, reload->usage);
    reload->usage = NULL;
    server_show_configuration(server, in_force);
    const char *changed = buffer_string(&judgement.changed);
    audit_write(access_shown(server->frontend.access)->audit, AUDIT_RELOADED,
                &(struct audit_details){.changed = changed ? changed : ""});
    buffer_fini(&judgement.changed);
}

void server_reload_refused(struct server *server, const struct error *error)
{
    audit_write(access_shown(server->frontend.access)->audit, AUDIT_RELOAD_REFUSED,
                &(struct audit_details){.error = error});
}
