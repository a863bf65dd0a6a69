/*
 * The variables of OpenTelemetry. Many programs read them, so they go by its rules, not by ours: an
 * empty one counts as none, and one that is of no use here is told of and ignored.
 */
#include "config/config_internal.h"

#include <stdlib.h>
#include <strings.h>

static const char prefix[] = "OTEL_";
static const char endpoint[] = "OTEL_EXPORTER_OTLP_ENDPOINT";

/* What goes to an endpoint of its own. */
static const struct signal {
    const char *endpoint, *protocol, *exporter;
} signals[] = {
    {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
     "OTEL_TRACES_EXPORTER"},
    {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
     "OTEL_METRICS_EXPORTER"},
};
enum { SIGNALS = sizeof signals / sizeof *signals };

static const char *const without_effect[] = {
    "OTEL_EXPORTER_OTLP_CERTIFICATE",    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",     "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
};

/* NULL: there is none, or it is empty. */
static const char *value_of(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

bool setting_is_otel(const struct setting *setting)
{
    return setting->environment && strncmp(setting->environment, prefix, strlen(prefix)) == 0;
}

/* ---- endpoints ---- */

/* JSON and protobuf have the same port, and what takes the one takes the other. */
static bool is_over_http(const char *protocol)
{
    return !protocol || strcmp(protocol, "http/json") == 0 ||
           strcmp(protocol, "http/protobuf") == 0;
}

/* Why nothing of the signal goes to an endpoint of the environment: the variable; NULL: it does. */
static const char *obstacle(const struct signal *signal)
{
    const char *name =
        value_of(signal->protocol) ? signal->protocol : "OTEL_EXPORTER_OTLP_PROTOCOL";
    const char *exporter = value_of(signal->exporter);
    if (exporter && strcmp(exporter, "otlp") != 0)
        return signal->exporter;
    return is_over_http(value_of(name)) ? NULL : name;
}

static bool put(struct config *config, const char *variable, const char *value, struct error *error)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (config_settings[i].environment && strcmp(config_settings[i].environment, variable) == 0)
            return setting_set_text(config, &config_settings[i], span_of(value), error);
    return true;
}

/* Below the base, as the settings would have it. */
static bool put_below(struct config *config, size_t signal, const char *base, struct error *error)
{
    static const char *const paths[SIGNALS] = {"/v1/traces", "/v1/metrics"};
    struct buffer url;
    size_t length = strlen(base);
    buffer_init(&url, 8 * 1024);
    buffer_add(&url, base, length - (length && base[length - 1] == '/'));
    buffer_add_string(&url, paths[signal]);
    const char *text = buffer_string(&url);
    bool done = !text || put(config, signals[signal].endpoint, text, error);
    buffer_fini(&url);
    return done;
}

/*
 * The base is a setting where both signals go below it. Where one of them does not, the other has
 * the whole URL.
 */
static bool read_endpoint(struct config *config, const char *name, const char *value,
                          struct error *error)
{
    bool goes[SIGNALS];
    if (strncasecmp(value, "http://", 7) != 0 && strncasecmp(value, "https://", 8) != 0)
        return error_set(error, ERROR_CONFIGURATION, "it is no URL with http:// or https://");
    for (size_t i = 0; i < SIGNALS; i++)
        goes[i] = !obstacle(&signals[i]);
    if (strcmp(name, endpoint) != 0)
        return !goes[strcmp(name, signals[0].endpoint) != 0] || put(config, name, value, error);
    if (goes[0] && goes[1])
        return put(config, name, value, error);
    for (size_t i = 0; i < SIGNALS; i++)
        if (goes[i] && !value_of(signals[i].endpoint))
            return put_below(config, i, value, error);
    return true;
}

/* ---- one setting ---- */

static bool is_endpoint(const char *name)
{
    bool is = strcmp(name, endpoint) == 0;
    for (size_t i = 0; i < SIGNALS; i++)
        is = is || strcmp(name, signals[i].endpoint) == 0;
    return is;
}

bool setting_read_otel(struct config *config, const struct setting *setting, struct error *error)
{
    const char *name = setting->environment, *value = value_of(name);
    struct error problem = {.code = ERROR_NONE};
    if (!value)
        return true;
    if (setting->type == SETTING_FLAG) /* all but true is false */
        value = strcasecmp(value, "true") == 0 ? "true" : "false";
    if (is_endpoint(name) ? read_endpoint(config, name, value, &problem)
                          : setting_set_text(config, setting, span_of(value), &problem))
        return true;
    if (problem.code == ERROR_MEMORY) {
        *error = problem;
        return false;
    }
    log_warning("config", "otel-variable-ignored", log_word("name", name),
                log_text("reason", problem.message));
    return true;
}

/* ---- what has no effect ---- */

static bool has_endpoint(const struct signal *signal)
{
    return value_of(endpoint) || value_of(signal->endpoint);
}

void config_tell_otel(void)
{
    bool used = false;
    for (size_t i = 0; i < SIGNALS; i++) {
        const char *why = has_endpoint(&signals[i]) ? obstacle(&signals[i]) : NULL;
        used = used || has_endpoint(&signals[i]);
        if (!why || strcmp(value_of(why), "none") == 0)
            continue;
        log_warning("config", "otel-protocol", log_word("name", why),
                    log_text("value", value_of(why)),
                    log_text("effect", i ? "no metrics are sent to an endpoint of the environment"
                                         : "no traces are sent to an endpoint of the environment"),
                    log_text("reason", "OTLP is sent over HTTP only, as JSON"));
    }
    for (size_t i = 0; used && i < sizeof without_effect / sizeof *without_effect; i++)
        if (value_of(without_effect[i]))
            log_info("config", "otel-variable-ignored", log_word("name", without_effect[i]),
                     log_text("reason", "it has no effect here; see docs/telemetry.md"));
}
