/*
 * Settings that are members of an object, "auth" or "log": the object of the file replaces all of
 * them. And "log", of which there is nothing else.
 */
#include "base/invariant.h"
#include "config/config_internal.h"

bool group_reset(struct config *config, const char *group, struct error *error)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_of(&config_settings[i], group) &&
            (!setting_set_default(config, &config_settings[i], error) ||
             !setting_read_variable(config, &config_settings[i], error)))
            return false;
    return true;
}

bool group_set_member(struct config *config, const char *group, const char *name,
                      const struct tree *value, bool *found, struct error *error)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_of(&config_settings[i], group) &&
            strcmp(config_settings[i].member, name) == 0) {
            *found = true;
            return setting_set_tree(config, &config_settings[i], value, error);
        }
    *found = false;
    return true;
}

bool group_unknown_member(const char *group, const char *name, const char *const *others,
                          struct error *error)
{
    const char *known[40] = {NULL};
    size_t count = 0;
    for (; others[count]; count++)
        known[count] = others[count];
    for (size_t i = 0; i < config_setting_count; i++)
        if (setting_is_of(&config_settings[i], group)) {
            INVARIANT(count + 1 < sizeof known / sizeof *known);
            known[count++] = config_settings[i].member;
        }
    return config_unknown_member(error, group, name, known);
}

/* ---- "log" ---- */

bool config_set_log(struct config *config, const struct tree *log, struct error *error)
{
    static const char *const no_others[] = {NULL};
    if (!group_reset(config, "log", error))
        return false;
    if (tree_type(log) != TREE_OBJECT)
        return config_wrong(error, "log", "must be an object with nats and stream");
    void *position = NULL;
    const char *name;
    const struct tree *value;
    bool found = true;
    while (tree_next(log, &position, &name, &value)) {
        if (!group_set_member(config, "log", name, value, &found, error))
            return false;
        if (!found)
            return group_unknown_member("log", name, no_others, error);
    }
    return true;
}

bool config_check_log(const struct config *config, struct error *error)
{
    const struct config_log *log = &config->log;
    if (log->nats && log->stream)
        return true;
    if (log->nats || log->stream)
        return error_set(error, ERROR_CONFIGURATION,
                         "setting \"log\": nats and stream go together; %s is missing",
                         log->nats ? "stream" : "nats");
    return (!log->subject && !log->credentials_file) ||
           error_set(error, ERROR_CONFIGURATION,
                     "setting \"log\": nats and stream are missing, without which there is no log");
}
