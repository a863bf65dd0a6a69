/*
 * The environment names that operators of arete-server already use. Those whose feature exists are
 * a column of the table of settings; the others are told apart here, so that none is passed over
 * in silence.
 */
#include "server/config_internal.h"

#include <stdlib.h>

static const char *const not_in_force[] = {
    "ARETE_WS_MAX_CONNECTIONS_PER_IP",
    "ARETE_WS_MAX_CONNECTIONS_PER_METERING_KEY",
    "ARETE_WS_MAX_CONNECTIONS_PER_ORIGIN",
    "ARETE_WS_RATE_LIMIT_WINDOW_SECS",
    "ARETE_WS_DEFAULT_MAX_CONNECTIONS",
    "ARETE_WS_DEFAULT_MAX_SNAPSHOT_ROWS",
    "ARETE_WS_DEFAULT_MAX_MESSAGES_PER_MINUTE",
    "ARETE_WS_DEFAULT_MAX_BYTES_PER_MINUTE",
    "ARETE_RATE_LIMITING_ENABLED",
    "ARETE_RATE_LIMIT_HANDSHAKE_PER_IP_MAX",
    "ARETE_RATE_LIMIT_HANDSHAKE_PER_IP_WINDOW_SECS",
    "ARETE_RATE_LIMIT_CONNECTIONS_PER_SUBJECT_MAX",
    "ARETE_RATE_LIMIT_CONNECTIONS_PER_SUBJECT_WINDOW_SECS",
    "ARETE_RATE_LIMIT_CONNECTIONS_PER_METERING_KEY_MAX",
    "ARETE_RATE_LIMIT_CONNECTIONS_PER_METERING_KEY_WINDOW_SECS",
    "ARETE_RATE_LIMIT_SUBSCRIPTIONS_PER_CONNECTION_MAX",
    "ARETE_RATE_LIMIT_SUBSCRIPTIONS_PER_CONNECTION_WINDOW_SECS",
    "ARETE_RATE_LIMIT_MESSAGES_PER_CONNECTION_MAX",
    "ARETE_RATE_LIMIT_MESSAGES_PER_CONNECTION_WINDOW_SECS",
    "ARETE_RATE_LIMIT_SNAPSHOTS_PER_CONNECTION_MAX",
    "ARETE_RATE_LIMIT_SNAPSHOTS_PER_CONNECTION_WINDOW_SECS",
};

/* The name is also the event: the log holds back repetitions of one event, and with one event for
 * all, a host that sets more than ten of these would not see every name. */
static void tell_what_is_ignored(void)
{
    for (size_t i = 0; i < sizeof(not_in_force) / sizeof(not_in_force[0]); i++)
        if (getenv(not_in_force[i]))
            log_warning("config", not_in_force[i], "effect=\"not in force yet\"");
    if (getenv("ARETE_WS_MESSAGE_QUEUE_SIZE"))
        log_info("config", "ARETE_WS_MESSAGE_QUEUE_SIZE",
                 "effect=none reason=\"there is no queue per client\"");
}

bool config_read_environment(struct config *config, struct error *error)
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *setting = &config_settings[i];
        const char *value = setting->environment ? getenv(setting->environment) : NULL;
        if (value && !setting_set_text(config, setting, span_of(value), error))
            return error_prefix(error, "environment variable %s", setting->environment);
    }
    tell_what_is_ignored();
    return true;
}
