/* What telemetry makes of the configuration, and every allocation of its start made to fail. */
#include "config/config.h"
#include "memory_fault.h"
#include "telemetry/telemetry_internal.h"
#include "test.h"

static struct config config;
static struct telemetry_settings settings;
static struct error error;

static void start(void)
{
    error = (struct error){.code = ERROR_NONE};
    assert_true(config_init(&config, &error));
}

static void stop(void)
{
    config_fini(&config);
}

TEST_EACH(start, stop)

static void set(const char *name, const char *value)
{
    if (value && !config_set(&config, name, value, &error))
        fail_msg("%s", error.message);
}

static const char *shown(const char *text)
{
    return text ? text : "-";
}

/* ---- endpoints ---- */

static const struct {
    const char *base, *traces, *metrics; /* as they are set */
    const char *expected;                /* the URLs that are used, or what is wrong */
} endpoints[] = {
    {NULL, NULL, NULL, "- -"},
    {"http://c:4318", NULL, NULL, "http://c:4318/v1/traces http://c:4318/v1/metrics"},
    {"http://c:4318/", NULL, NULL, "http://c:4318/v1/traces http://c:4318/v1/metrics"},
    {"https://c/otlp", NULL, NULL, "https://c/otlp/v1/traces https://c/otlp/v1/metrics"},
    {"http://c", "http://t/", NULL, "http://t/ http://c/v1/metrics"},
    {"http://c", NULL, "http://m/x?key=1", "http://c/v1/traces http://m/x?key=1"},
    {NULL, "http://t", NULL, "http://t -"},
    {NULL, NULL, "http://m", "- http://m"},
    {"http://c/?key=1", NULL, NULL, "setting \"otlp_endpoint\": a base URL has no '?'"},
    {"http://c/#x", NULL, NULL, "setting \"otlp_endpoint\""},
    {"c:4317", NULL, NULL, "setting \"otlp_endpoint\""},
    {"ftp://c", NULL, NULL, "setting \"otlp_endpoint\""},
    {NULL, "c:4317", NULL, "setting \"otlp_traces_endpoint\""},
    {"http://c", NULL, "m", "setting \"otlp_metrics_endpoint\""},
};

TEST(paths_are_appended_to_the_base_alone)
{
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        char text[256];
        stop();
        start();
        set("otlp_endpoint", endpoints[i].base);
        set("otlp_traces_endpoint", endpoints[i].traces);
        set("otlp_metrics_endpoint", endpoints[i].metrics);
        if (telemetry_settings_read(&settings, &config, &error))
            snprintf(text, sizeof text, "%s %s", shown(settings.urls[TELEMETRY_TRACES]),
                     shown(settings.urls[TELEMETRY_METRICS]));
        else
            snprintf(text, strlen(endpoints[i].expected) + 1, "%s", error.message);
        telemetry_settings_fini(&settings);
        assert_string_equal(text, endpoints[i].expected);
    }
}

TEST(disabled_there_is_no_endpoint)
{
    set("otlp_endpoint", "http://c");
    set("otlp_disabled", "true");
    assert_true(telemetry_settings_read(&settings, &config, &error));
    assert_null(settings.urls[TELEMETRY_TRACES]);
    assert_null(settings.urls[TELEMETRY_METRICS]);
    telemetry_settings_fini(&settings);
}

/* ---- headers, and the resource ---- */

TEST(headers_are_lines)
{
    set("otlp_headers", " Authorization = Bearer%20a%2Cb , x-empty= ,,");
    assert_true(telemetry_settings_read(&settings, &config, &error));
    assert_string_equal(settings.headers, "Authorization: Bearer a,b\nx-empty;\n");
    telemetry_settings_fini(&settings);
}

static const struct {
    const char *service, *resource;
    const char *with, *without; /* what the JSON has, and what not */
} resources[] = {
    {NULL, NULL, "\"service.name\",\"value\":{\"stringValue\":\"stele\"}", "quakes"},
    {"quakes", NULL, "\"service.name\",\"value\":{\"stringValue\":\"quakes\"}",
     "\"stringValue\":\"x\""},
    {NULL, "service.name=x", "\"service.name\",\"value\":{\"stringValue\":\"x\"}", "quakes"},
    {"quakes", "service.name=x,a=b", "\"a\",\"value\":{\"stringValue\":\"b\"}",
     "\"stringValue\":\"x\""},
    {NULL, "a=%22b%5C", "\"a\",\"value\":{\"stringValue\":\"\\\"b\\\\\"}", "%22"},
    {NULL, "service.instance.id=7", "\"service.instance.id\",\"value\":{\"stringValue\":\"7\"}",
     "quakes"},
    {NULL, "service.name=", "\"service.name\",\"value\":{\"stringValue\":\"stele\"}", "quakes"},
    {NULL, "x=1,x=2", "\"x\",\"value\":{\"stringValue\":\"1\"}", "\"stringValue\":\"2\""},
    {NULL, "telemetry.sdk.name=x,telemetry.sdk.language=x",
     "\"telemetry.sdk.language\",\"value\":{\"stringValue\":\"c\"}", "\"stringValue\":\"x\""},
};

static size_t times_in(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

TEST(a_resource_has_one_name_and_one_instance)
{
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        stop();
        start();
        set("otlp_service", resources[i].service);
        set("otlp_resource", resources[i].resource);
        assert_true(telemetry_settings_read(&settings, &config, &error));
        if (!strstr(settings.resource, resources[i].with) ||
            strstr(settings.resource, resources[i].without))
            fail_msg("case %zu: %s", i, settings.resource);
        assert_int_equal(times_in(settings.resource, "\"service.name\""), 1);
        assert_int_equal(times_in(settings.resource, "\"service.instance.id\""), 1);
        telemetry_settings_fini(&settings);
    }
}

/* ---- without memory ---- */

static void set_all(void)
{
    set("otlp_endpoint", "http://c");
    set("otlp_headers", "a=b");
    set("otlp_resource", "c=d");
}

TEST(a_start_without_memory_says_so)
{
    struct telemetry *telemetry;
    bool opened = false;
    set_all();
    for (uint64_t nth = 1; !opened; nth++) {
        assert_in_range(nth, 1, 100);
        memory_fail_at(nth, false);
        opened = telemetry_new(&config, &telemetry, &error);
        if (!opened) {
            assert_true(memory_fault_hit());
            assert_int_equal(error.code, ERROR_MEMORY);
            assert_null(telemetry);
        }
        memory_fail_at(0, false);
    }
    assert_non_null(telemetry_tracer(telemetry));
    telemetry_free(telemetry);
}

TEST(a_body_without_memory_has_failed_and_its_spans_are_gone)
{
    struct telemetry *telemetry;
    struct trace_span span = {.name = "read", .kind = TRACE_INTERNAL};
    bool printed = false;
    set_all();
    assert_true(telemetry_new(&config, &telemetry, &error));
    struct tracer *tracer = telemetry_tracer(telemetry);
    for (uint64_t nth = 1; !printed; nth++) {
        struct buffer body;
        struct trace trace = trace_begin(tracer, NULL);
        assert_in_range(nth, 1, 100);
        trace_record(tracer, &trace, &span, 1);
        buffer_init(&body, TELEMETRY_SPANS_BYTES);
        memory_fail_at(nth, false);
        assert_int_equal(telemetry_print_spans(&body, telemetry->settings.resource, tracer), 1);
        printed = !memory_fault_hit();
        memory_fail_at(0, false);
        assert_int_equal(body.failed, !printed);
        assert_int_equal(tracer->waiting, 0);
        buffer_fini(&body);
    }
    telemetry_free(telemetry);
}
