/*
 * The environment names that operators of arete-server already use: a column of the table of
 * settings. One of them sets nothing here, and is told so, because none is passed over in silence.
 */
#include "config/config_internal.h"

#include <stdlib.h>

/* Their switch is true or false; ours has a third word. */
static const char *word_of(const char *name, const char *value)
{
    if (strcmp(name, "ARETE_RATE_LIMITING_ENABLED") != 0)
        return value;
    if (strcmp(value, "true") == 0)
        return "on";
    return strcmp(value, "false") == 0 ? "off" : value;
}

static void tell_what_is_ignored(void)
{
    if (getenv("ARETE_WS_MESSAGE_QUEUE_SIZE"))
        log_info("config", "ARETE_WS_MESSAGE_QUEUE_SIZE",
                 "effect=none reason=\"there is no queue per client\"");
}

bool config_read_environment(struct config *config, struct error *error)
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *setting = &config_settings[i];
        const char *value = setting->environment ? getenv(setting->environment) : NULL;
        if (value && !setting_set_text(config, setting,
                                       span_of(word_of(setting->environment, value)), error))
            return error_prefix(error, "environment variable %s", setting->environment);
    }
    tell_what_is_ignored();
    return true;
}
