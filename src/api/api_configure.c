/*
 * From the options of the public API to a configuration: the environment below the file, the file
 * below the settings, those below the fields.
 */
#include "api/api_internal.h"
#include "telemetry/telemetry.h"
#include "usage/usage.h"

static bool apply_setting(struct config *config, const char *setting, struct error *error)
{
    const char *equals = setting ? strchr(setting, '=') : NULL;
    if (!setting)
        return api_refuse_null(error, "one of the settings");
    if (!equals)
        return error_set(error, ERROR_CONFIGURATION, "\"%.100s\" is not NAME=VALUE", setting);
    char *name = memory_copy_string(setting, (size_t)(equals - setting));
    if (!name)
        return error_set(error, ERROR_MEMORY, "out of memory");
    bool done = config_set(config, name, equals + 1, error);
    memory_free(name);
    return done;
}

static bool apply_field(struct config *config, const char *name, const char *value,
                        struct error *error)
{
    return !value || config_set(config, name, value, error);
}

static bool apply_all(const stele_options *options, struct config *config, struct error *error)
{
    if (options->use_environment && !config_read_environment(config, error))
        return false;
    if (options->config_file && !config_read_file(config, options->config_file, error))
        return false;
    if (options->setting_count > 0 && !options->settings)
        return api_refuse_null(error, "settings");
    for (size_t i = 0; i < options->setting_count; i++)
        if (!apply_setting(config, options->settings[i], error))
            return false;
    const char *otherwise = options->serve ? NULL : "";
    if (!apply_field(config, "database", options->database, error) ||
        !apply_field(config, "listen", options->listen ? options->listen : otherwise, error) ||
        !apply_field(config, "health", options->health ? options->health : otherwise, error))
        return false;
    if (!config->database)
        return error_set(error, ERROR_CONFIGURATION,
                         "no database is named: set \"database\" (--db FILE)");
    if (!config_check_log(config, error) || !usage_check(config, error) ||
        !telemetry_check(config, error))
        return false;
    if (config_check_exposure(config, error))
        return true;
    if (options->insecure)
        log_warning("server", "insecure", log_word("listen", config->listen),
                    log_word("health", config->health), log_text("reason", "no authentication"));
    return options->insecure;
}

bool api_configure(const stele_options *options, int folder, struct config *config,
                   struct error *error)
{
    if (!config_init(config, error))
        return false;
    config->folder = folder;
    if (apply_all(options, config, error))
        return true;
    config_fini(config);
    return false;
}
