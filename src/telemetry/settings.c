/* What the configuration says of OpenTelemetry, as it is used. */
#include "base/pairs.h"
#include "config/config.h"
#include "telemetry/telemetry_internal.h"

#include <stdio.h>
#include <sys/random.h>

enum { TEXT_LIMIT = 256 * 1024, INSTANCE_BYTES = 16 };

static bool lacks_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory while reading the settings of otlp");
}

/* ---- the endpoints ---- */

static bool keep_url(char **kept, const char *setting, const char *base, const char *path,
                     struct error *error)
{
    struct buffer url;
    size_t length = strlen(base);
    bool has_end = *path && length && base[length - 1] == '/';
    if (!outbound_check_url(base, error))
        return error_prefix(error, "setting \"%s\"", setting);
    if (*path && strpbrk(base, "?#"))
        return error_set(error, ERROR_CONFIGURATION,
                         "setting \"%s\": a base URL has no '?' and no '#', because %s is appended",
                         setting, path);
    buffer_init(&url, TEXT_LIMIT);
    buffer_add(&url, base, length - has_end);
    buffer_add_string(&url, path);
    *kept = buffer_string(&url) ? buffer_take(&url, NULL) : NULL;
    buffer_fini(&url);
    return *kept || lacks_memory(error);
}

static bool read_urls(struct telemetry_settings *settings, const struct config *config,
                      struct error *error)
{
    const char *const whole[] = {config->otlp_traces_endpoint, config->otlp_metrics_endpoint};
    static const char *const names[] = {"otlp_traces_endpoint", "otlp_metrics_endpoint"};
    static const char *const paths[] = {"/v1/traces", "/v1/metrics"};
    for (size_t i = 0; i < 2 && !config->otlp_disabled; i++) {
        if (whole[i] && !keep_url(&settings->urls[i], names[i], whole[i], "", error))
            return false;
        if (!whole[i] && config->otlp_endpoint &&
            !keep_url(&settings->urls[i], "otlp_endpoint", config->otlp_endpoint, paths[i], error))
            return false;
    }
    return true;
}

/* ---- headers ---- */

static bool add_header(void *argument, struct span name, struct span value, struct error *error)
{
    struct buffer *out = argument;
    buffer_add_span(out, name);
    buffer_add_string(out, value.length ? ": " : ";"); /* libcurl's way of an empty one */
    buffer_add_span(out, value);
    return buffer_add_char(out, '\n') || lacks_memory(error);
}

static bool read_headers(struct telemetry_settings *settings, const struct config *config,
                         struct error *error)
{
    struct buffer lines;
    if (!config->otlp_headers)
        return true;
    buffer_init(&lines, TEXT_LIMIT);
    bool good = pairs_each(span_of(config->otlp_headers), add_header, &lines, error);
    if (good && lines.length &&
        !(buffer_string(&lines) && (settings->headers = buffer_take(&lines, NULL))))
        good = lacks_memory(error);
    buffer_fini(&lines);
    return good;
}

/* ---- the resource ---- */

static const char service_name[] = "service.name";

/* Behind the others, unless it is there: the first of a name counts. */
static void add_once(struct buffer *out, struct span name, struct span value)
{
    struct buffer attribute;
    buffer_init(&attribute, TEXT_LIMIT);
    telemetry_add_attribute(&attribute, name, value);
    /* Up to where the value begins: no value holds that, as its quotes are escaped. */
    const char *text = buffer_string(&attribute),
               *behind = text ? strstr(text, ",\"value\"") : NULL;
    if (!behind || out->failed) {
        out->failed = true;
    } else if (!memmem(out->data, out->length, text, (size_t)(behind - text))) {
        buffer_add_char(out, ',');
        buffer_add_string(out, text);
    }
    buffer_fini(&attribute);
}

static bool add_pair(void *argument, struct span name, struct span value, struct error *error)
{
    struct buffer *out = argument;
    if (value.length || !span_equal(name, span_of(service_name)))
        add_once(out, name, value);
    return !out->failed || lacks_memory(error);
}

/* A name of this start: two servers with the same attributes would be taken for one. */
static void add_instance(struct buffer *out)
{
    unsigned char bytes[INSTANCE_BYTES];
    char text[2 * INSTANCE_BYTES + 1];
    uint64_t now = clock_monotonic_us() ^ (uint64_t)clock_wall_ms() << 20;
    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != (ssize_t)sizeof bytes) {
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes, &now, sizeof now);
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    add_once(out, span_of("service.instance.id"), span_of(text));
}

static bool read_resource(struct telemetry_settings *settings, const struct config *config,
                          struct error *error)
{
    struct buffer text;
    buffer_init(&text, TEXT_LIMIT);
    buffer_add_string(&text, "{\"attributes\":[");
    telemetry_add_attribute(&text, span_of("telemetry.sdk.name"), span_of("stele"));
    add_once(&text, span_of("telemetry.sdk.language"), span_of("c"));
    add_once(&text, span_of("telemetry.sdk.version"), span_of(STELE_VERSION));
    if (config->otlp_service)
        add_once(&text, span_of(service_name), span_of(config->otlp_service));
    bool good = pairs_each(span_of(config->otlp_resource ? config->otlp_resource : ""), add_pair,
                           &text, error);
    add_once(&text, span_of(service_name), span_of("stele"));
    add_instance(&text);
    buffer_add_string(&text, "]}");
    if (good && !(buffer_string(&text) && (settings->resource = buffer_take(&text, NULL))))
        good = lacks_memory(error);
    buffer_fini(&text);
    return good;
}

/* ---- all ---- */

static struct trace_rule rule_of(const struct config *config)
{
    double share = 1;
    config_read_share(config->otlp_sample, &share); /* which was checked */
    switch (config->otlp_sampler) {
    case CONFIG_SAMPLER_ON:
        return trace_rule_of(1, false);
    case CONFIG_SAMPLER_OFF:
        return trace_rule_of(0, false);
    case CONFIG_SAMPLER_RATIO:
        return trace_rule_of(share, false);
    case CONFIG_SAMPLER_PARENT_ON:
        return trace_rule_of(1, true);
    case CONFIG_SAMPLER_PARENT_OFF:
        return trace_rule_of(0, true);
    case CONFIG_SAMPLER_PARENT_RATIO:
        break;
    }
    return trace_rule_of(share, true);
}

bool telemetry_settings_read(struct telemetry_settings *settings, const struct config *config,
                             struct error *error)
{
    *settings = (struct telemetry_settings){.timeout_ms = config->otlp_timeout_ms,
                                            .metrics_ms = config->otlp_metrics_ms,
                                            .rule = rule_of(config)};
    return read_urls(settings, config, error) && read_headers(settings, config, error) &&
           read_resource(settings, config, error);
}

void telemetry_settings_fini(struct telemetry_settings *settings)
{
    memory_free(settings->urls[0]);
    memory_free(settings->urls[1]);
    memory_free(settings->headers);
    memory_free(settings->resource);
}
