/*
 * Settings that are members of an object, "auth" or "log": the object of the file replaces all of
 * them. And "log", of which there is nothing else.
 */
#include "base/invariant.h"
#include "config/config_internal.h"

static bool reset(struct config *config, const char *group, struct error *error)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_of(&config_settings[i], group) &&
            (!setting_set_default(config, &config_settings[i], error) ||
             !setting_read_variable(config, &config_settings[i], error)))
            return false;
    return true;
}

/* A name that is none of the group's settings, nor of its others. */
static bool refuse_name(const struct config_group *group, const char *name, struct error *error)
{
    const char *known[40] = {NULL};
    size_t count = 0;
    for (; group->others[count]; count++)
        known[count] = group->others[count];
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_of(&config_settings[i], group->name)) {
            INVARIANT(count + 1 < sizeof known / sizeof *known);
            known[count++] = config_settings[i].member;
        }
    return config_unknown_member(error, group->name, name, known);
}

static bool set_member(struct config *config, const struct config_group *group, const char *name,
                       const struct tree *value, struct error *error)
{
    for (size_t i = 0; group->others[i]; i++)
        if (strcmp(group->others[i], name) == 0)
            return group->set_other(config, name, value, error);
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_of(&config_settings[i], group->name) &&
            strcmp(config_settings[i].member, name) == 0)
            return setting_set_tree(config, &config_settings[i], value, error);
    return refuse_name(group, name, error);
}

bool config_set_group(struct config *config, const struct config_group *group,
                      const struct tree *object, struct error *error)
{
    if (!reset(config, group->name, error))
        return false;
    if (tree_type(object) != TREE_OBJECT)
        return config_wrong(error, group->name, group->must);
    void *position = NULL;
    const char *name;
    const struct tree *value;
    while (tree_next(object, &position, &name, &value))
        if (!set_member(config, group, name, value, error))
            return false;
    return true;
}

/* ---- "log" ---- */

bool config_set_log(struct config *config, const struct tree *log, struct error *error)
{
    static const struct config_group group = {
        .name = "log", .must = "must be an object with nats and stream, or from"};
    return config_set_group(config, &group, log, error);
}

bool config_check_log(const struct config *config, struct error *error)
{
    const struct config_log *log = &config->log;
    if (log->from && (log->nats || log->stream || log->subject || log->credentials_file))
        return error_set(error, ERROR_CONFIGURATION,
                         "setting \"log\": a server follows a stream (nats, stream) or another "
                         "server (from); leave one of them out");
    if (!log->from && log->token_file)
        return error_set(error, ERROR_CONFIGURATION,
                         "setting \"log\": token_file goes with from, which is missing");
    if (log->from || (log->nats && log->stream))
        return true;
    if (log->nats || log->stream)
        return error_set(error, ERROR_CONFIGURATION,
                         "setting \"log\": nats and stream go together; %s is missing",
                         log->nats ? "stream" : "nats");
    return (!log->subject && !log->credentials_file && !log->ca_file) ||
           error_set(error, ERROR_CONFIGURATION,
                     "setting \"log\": nats and stream are missing, without which there is no log");
}
