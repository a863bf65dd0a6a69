/*
 * The environment: STELE_<SETTING> for each row of the table, and the names that operators of
 * arete-server and of OpenTelemetry already use, a column of it. Some of these set nothing here,
 * and are told so, because none is passed over in silence.
 */
#include "config/config_internal.h"

#include <ctype.h>
#include <stdlib.h>

extern char **environ;

static const char prefix[] = "STELE_";

/* Variables that are no settings. */
static const char *const others[] = {"STELE_TOKEN", "STELE_USAGE_TOKEN"};

const char *setting_variable(const struct setting *setting, char room[SETTING_VARIABLE])
{
    size_t at = strlen(prefix);
    INVARIANT(strlen(prefix) + strlen(setting->name) < SETTING_VARIABLE);
    memcpy(room, prefix, at);
    for (const char *from = setting->name; *from; from++)
        room[at++] = (char)(*from == '.' ? '_' : toupper((unsigned char)*from));
    room[at] = '\0';
    return room;
}

/* ---- one setting ---- */

/* Their switch is true or false; ours has a third word. */
static const char *word_of(const char *name, const char *value)
{
    if (strcmp(name, "ARETE_RATE_LIMITING_ENABLED") != 0)
        return value;
    if (strcmp(value, "true") == 0)
        return "on";
    return strcmp(value, "false") == 0 ? "off" : value;
}

/* Of arete-server: those of OpenTelemetry have rules of their own. */
static bool read_theirs(struct config *config, const struct setting *setting, struct error *error)
{
    bool is_arete = setting->environment && strncmp(setting->environment, "OTEL_", 5) != 0;
    const char *value = is_arete ? getenv(setting->environment) : NULL;
    return !value ||
           setting_set_text(config, setting, span_of(word_of(setting->environment, value)),
                            error) ||
           error_prefix(error, "environment variable %s", setting->environment);
}

bool setting_read_variable(struct config *config, const struct setting *setting,
                           struct error *error)
{
    char name[SETTING_VARIABLE];
    const char *value = setting->older || !config->reads_environment
                            ? NULL
                            : getenv(setting_variable(setting, name));
    return !value || setting_set_text(config, setting, span_of(value), error) ||
           error_prefix(error, "environment variable %s", name);
}

/* ---- what sets nothing ---- */

static void tell_what_is_ignored(void)
{
    if (getenv("ARETE_WS_MESSAGE_QUEUE_SIZE"))
        log_info("config", "ARETE_WS_MESSAGE_QUEUE_SIZE", log_word("effect", "none"),
                 log_text("reason", "there is no queue per client"));
}

static bool is_known(const char *name)
{
    char variable[SETTING_VARIABLE];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i], name) == 0)
            return true;
    for (size_t i = 0; i < config_setting_count; i++)
        if (!config_settings[i].older &&
            strcmp(setting_variable(&config_settings[i], variable), name) == 0)
            return true;
    return false;
}

/* Told only where a setting may be meant: container systems set names of this kind by themselves,
 * such as STELE_SERVICE_HOST. */
static void tell_what_may_be_misspelt(const char *entry)
{
    char name[SETTING_VARIABLE], best[SETTING_VARIABLE], variable[SETTING_VARIABLE];
    size_t length = strcspn(entry, "=");
    if (strncmp(entry, prefix, strlen(prefix)) != 0 || length >= sizeof name)
        return;
    memcpy(name, entry, length);
    name[length] = '\0';
    if (is_known(name))
        return;
    struct nearest nearest = {.given = name + strlen(prefix)};
    for (size_t i = 0; i < config_setting_count; i++) {
        setting_variable(&config_settings[i], variable);
        nearest_offer(&nearest, variable + strlen(prefix));
        if (nearest.name == variable + strlen(prefix)) {
            memcpy(best, variable, sizeof best);
            nearest.name = best + strlen(prefix);
        }
    }
    if (nearest.name)
        log_warning("config", "unknown-variable", log_word("name", name), log_word("meant", best));
}

/* ---- all ---- */

bool config_read_environment(struct config *config, struct error *error)
{
    config->reads_environment = true;
    if (!config_read_otel(config, error))
        return false;
    for (size_t i = 0; i < config_setting_count; i++)
        if (!read_theirs(config, &config_settings[i], error))
            return false;
    for (size_t i = 0; i < config_setting_count; i++)
        if (!setting_read_variable(config, &config_settings[i], error))
            return false;
    tell_what_is_ignored();
    for (char **entry = environ; entry && *entry; entry++)
        tell_what_may_be_misspelt(*entry);
    return true;
}
