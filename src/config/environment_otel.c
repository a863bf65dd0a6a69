/*
 * The variables of OpenTelemetry. Many programs read them, so they go by its rules, not by ours: an
 * empty one counts as none, and one that is of no use here is told of and ignored.
 */
#include "base/address.h"
#include "config/config_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const char prefix[] = "OTEL_";
static const char endpoint[] = OTEL_ENDPOINT;

/* What goes to an endpoint of its own. */
static const struct signal {
    const char *endpoint, *protocol, *exporter;
} signals[] = {
    {OTEL_TRACES_ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_TRACES_EXPORTER"},
    {OTEL_METRICS_ENDPOINT, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_METRICS_EXPORTER"},
};
enum { SIGNALS = sizeof signals / sizeof *signals };

/* Behind OTEL_EXPORTER_OTLP_, _TRACES_ or _METRICS_; and whole names. */
static const char *const parts_without_effect[] = {
    "CERTIFICATE",
    "CLIENT_CERTIFICATE",
    "CLIENT_KEY",
    "COMPRESSION",
    "TEMPORALITY_PREFERENCE",
    "DEFAULT_HISTOGRAM_AGGREGATION",
    "HEADERS",
    "TIMEOUT",
};
static const char *const without_effect[] = {
    "OTEL_BSP_SCHEDULE_DELAY",    "OTEL_BSP_EXPORT_TIMEOUT",        "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_METRIC_EXPORT_TIMEOUT", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
};

/* NULL: there is none, or it is empty. */
static const char *value_of(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* ---- endpoints ---- */

static bool is_port(struct span text)
{
    int64_t port;
    return typed_number(text, &port) && port > 0 && port <= 65535;
}

/* NAME, NAME:PORT, [ADDRESS] or [ADDRESS]:PORT. */
static bool is_place(struct span text)
{
    struct address address;
    size_t length = 0;
    if (text.length && text.data[0] == '[')
        return address_parse(&address, text);
    while (length < text.length &&
           (isalnum((unsigned char)text.data[length]) || strchr("-._~", text.data[length])))
        length++;
    return length > 0 && (length == text.length ||
                          (text.data[length] == ':' &&
                           is_port(span_make(text.data + length + 1, text.length - length - 1))));
}

/*
 * No less strict than what the settings are held against at the start: what passes here is no error
 * there, since a variable that cannot be used stops no server.
 */
static bool is_url(const char *url, bool is_base)
{
    size_t scheme = strncasecmp(url, "http://", 7) == 0 ? 7 : 8;
    if (scheme == 8 && strncasecmp(url, "https://", 8) != 0)
        return false;
    for (const char *at = url; *at; at++)
        if (*at <= ' ' || *at > '~' || (is_base && strchr("?#", *at)))
            return false;
    return is_place(span_make(url + scheme, strcspn(url + scheme, "/?#")));
}

/* JSON and protobuf have the same port, and what takes the one takes the other. */
static bool is_over_http(const char *protocol)
{
    return !protocol || strcmp(protocol, "http/json") == 0 ||
           strcmp(protocol, "http/protobuf") == 0;
}

/* Of several exporters, with commas between them, the others are not here. */
static bool has_word(const char *list, const char *word)
{
    for (; *list; list += strspn(list, ", ")) {
        size_t length = strcspn(list, ", ");
        if (span_equal(span_make(list, length), span_of(word)))
            return true;
        list += length;
    }
    return false;
}

/* Why nothing of the signal goes to an endpoint of the environment: the variable; NULL: it does. */
static const char *obstacle(const struct signal *signal)
{
    const char *name =
        value_of(signal->protocol) ? signal->protocol : "OTEL_EXPORTER_OTLP_PROTOCOL";
    const char *exporter = value_of(signal->exporter);
    if (exporter && !has_word(exporter, "otlp"))
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
    config->otel_below = (unsigned char)(done ? 1 + signal : 0);
    return done;
}

/*
 * The base is a setting where both signals go below it. Where one of them does not, the other has
 * the whole URL.
 */
static bool read_endpoint(struct config *config, const char *name, const char *value,
                          struct error *error)
{
    bool goes[SIGNALS], is_base = strcmp(name, endpoint) == 0;
    if (!is_url(value, is_base))
        return error_set(error, ERROR_CONFIGURATION,
                         "it is no URL with http:// or https://, a host, no user and no blank%s",
                         is_base ? "; a base URL has no '?' and no '#'" : "");
    for (size_t i = 0; i < SIGNALS; i++)
        goes[i] = !obstacle(&signals[i]);
    if (!is_base)
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

static bool read_setting(struct config *config, const struct setting *setting, struct error *error)
{
    const char *name = setting->environment, *value = value_of(name);
    struct error problem = {.code = ERROR_NONE};
    if (!value)
        return true;
    if (strcmp(name, "OTEL_TRACES_SAMPLER_ARG") == 0 && !value_of("OTEL_TRACES_SAMPLER"))
        return true;                   /* it is of no sampler; tell_without_effect says so */
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

static void tell_ignored(const char *name, const char *reason)
{
    if (value_of(name))
        log_info("config", "otel-variable-ignored", log_word("name", name),
                 log_text("reason", reason));
}

static void tell_without_effect(void)
{
    static const char *const kinds[] = {"", "TRACES_", "METRICS_"};
    static const char reason[] = "it has no effect here; see docs/telemetry.md";
    char name[80];
    for (size_t i = 0; i < sizeof without_effect / sizeof *without_effect; i++)
        tell_ignored(without_effect[i], reason);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; i < sizeof parts_without_effect / sizeof *parts_without_effect; i++) {
            const char *part = parts_without_effect[i];
            bool is_common = strcmp(part, "HEADERS") == 0 || strcmp(part, "TIMEOUT") == 0;
            snprintf(name, sizeof name, "OTEL_EXPORTER_OTLP_%s%s", kinds[k], part);
            if (*kinds[k] || !is_common)
                tell_ignored(name, reason);
        }
    if (!value_of("OTEL_TRACES_SAMPLER"))
        tell_ignored("OTEL_TRACES_SAMPLER_ARG", "it is the argument of OTEL_TRACES_SAMPLER, which "
                                                "is not set");
}

static void tell_what_is_ignored(void)
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
                    log_text("reason", why == signals[i].exporter
                                           ? "the only exporter is otlp"
                                           : "OTLP is sent over HTTP only, as JSON"));
    }
    if (used)
        tell_without_effect();
}

bool config_read_otel(struct config *config, struct error *error)
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const char *name = config_settings[i].environment;
        if (name && strncmp(name, prefix, strlen(prefix)) == 0 &&
            !read_setting(config, &config_settings[i], error))
            return false;
    }
    tell_what_is_ignored();
    return true;
}
