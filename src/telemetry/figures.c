/*
 * The figures of /metrics as the JSON of OTLP: a counter is a monotonic sum, a histogram has
 * explicit bounds; both are cumulative.
 */
#include "telemetry/telemetry_internal.h"
#include "json/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { CUMULATIVE = 2 };
static const double largest_whole = 9007199254740992.0; /* 2^53 */

static struct telemetry_figures *figures_of(struct metric_sink *sink)
{
    return (struct telemetry_figures *)sink;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t wanted = strlen(end);
    return length >= wanted && memcmp(text + length - wanted, end, wanted) == 0;
}

/* A number that JSON has, or the names that protobuf's JSON has for the others. */
static void add_double(struct buffer *out, double number)
{
    char text[40];
    if (isnan(number) || isinf(number)) {
        buffer_add_string(out, isnan(number) ? "\"NaN\""
                               : number > 0  ? "\"Infinity\""
                                             : "\"-Infinity\"");
        return;
    }
    snprintf(text, sizeof text, "%.17g", number);
    /* The program around this library may have a locale with another point. */
    size_t point = strcspn(text, ",");
    if (text[point])
        text[point] = '.';
    buffer_add_string(out, text);
}

/* The unit by the name, which has it by Prometheus' custom. */
static const char *unit_of(const char *name)
{
    size_t length = strlen(name);
    if (ends_with(name, length, "_total"))
        length -= strlen("_total");
    return ends_with(name, length, "_seconds") ? "s"
           : ends_with(name, length, "_bytes") ? "By"
                                               : "";
}

static void close_metric(struct telemetry_figures *figures)
{
    if (!figures->open)
        return;
    buffer_add_char(figures->out, ']');
    if (figures->is_counter)
        buffer_printf(figures->out, ",\"aggregationTemporality\":%d,\"isMonotonic\":true",
                      CUMULATIVE);
    buffer_add_string(figures->out, "}}");
    figures->open = false;
}

static void begin(struct metric_sink *sink, const char *name, const char *type, const char *help)
{
    struct telemetry_figures *figures = figures_of(sink);
    bool is_first = !figures->name;
    close_metric(figures);
    figures->name = name;
    figures->points = 0;
    figures->is_counter = strcmp(type, "counter") == 0;
    buffer_printf(figures->out, "%s{\"name\":\"%s\",\"description\":", is_first ? "" : ",", name);
    doc_escape(figures->out, span_of(help));
    buffer_printf(figures->out, ",\"unit\":\"%s\",", unit_of(name));
    if (strcmp(type, "histogram") == 0)
        return;
    buffer_printf(figures->out, "\"%s\":{\"dataPoints\":[", figures->is_counter ? "sum" : "gauge");
    figures->open = true;
}

static void add_times(struct telemetry_figures *figures, bool since_start)
{
    if (since_start)
        buffer_printf(figures->out, "\"startTimeUnixNano\":\"%" PRIu64 "\",", figures->start_ns);
    buffer_printf(figures->out, "\"timeUnixNano\":\"%" PRIu64 "\",", figures->now_ns);
}

/* What is counted is whole; seconds are not. */
static void add_number(struct telemetry_figures *figures, double number)
{
    struct buffer *out = figures->out;
    bool counts = figures->is_counter && *unit_of(figures->name) != 's';
    if (counts && number >= 0 && number <= largest_whole) {
        buffer_printf(out, "\"asInt\":\"%" PRIu64 "\"", (uint64_t)number);
    } else {
        buffer_add_string(out, "\"asDouble\":");
        add_double(out, number);
    }
}

static void sample(struct metric_sink *sink, const char *label, struct span value, double number)
{
    struct telemetry_figures *figures = figures_of(sink);
    struct buffer *out = figures->out;
    buffer_add_string(out, figures->points++ ? ",{" : "{");
    if (label) {
        buffer_add_string(out, "\"attributes\":[");
        telemetry_add_attribute(out, span_of(label), value);
        buffer_add_string(out, "],");
    }
    add_times(figures, figures->is_counter);
    add_number(figures, number);
    buffer_add_char(out, '}');
}

static void add_histogram(struct metric_sink *sink, const struct histogram *histogram)
{
    struct telemetry_figures *figures = figures_of(sink);
    struct buffer *out = figures->out;
    uint64_t buckets[HISTOGRAM_BUCKETS], count = 0;
    uint64_t smallest = histogram->smallest_us ? histogram->smallest_us : HISTOGRAM_SMALLEST_US;
    /* The sum first, and the count from the buckets: it always equals them, however many threads
     * are adding just now. */
    uint64_t sum_us = atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        buckets[i] = atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        count += buckets[i];
    }
    buffer_add_string(out, "\"histogram\":{\"dataPoints\":[{");
    add_times(figures, true);
    buffer_printf(out, "\"count\":\"%" PRIu64 "\",\"sum\":", count);
    add_double(out, (double)sum_us / 1e6);
    buffer_add_string(out, ",\"bucketCounts\":[");
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        buffer_printf(out, "%s\"%" PRIu64 "\"", i ? "," : "", buckets[i]);
    buffer_add_string(out, "],\"explicitBounds\":[");
    for (size_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        buffer_add_string(out, i ? "," : "");
        add_double(out, (double)(smallest << i) / 1e6);
    }
    buffer_printf(out, "]}],\"aggregationTemporality\":%d}}", CUMULATIVE);
}

void telemetry_figures_init(struct telemetry_figures *figures, struct buffer *out,
                            const char *resource, uint64_t start_ns, uint64_t now_ns)
{
    *figures = (struct telemetry_figures){
        .sink = {begin, sample, add_histogram}, .out = out, .start_ns = start_ns, .now_ns = now_ns};
    buffer_printf(out,
                  "{\"resourceMetrics\":[{\"resource\":%s,\"scopeMetrics\":[{\"scope\":{\"name\":"
                  "\"stele\",\"version\":\"" STELE_VERSION "\"},\"metrics\":[",
                  resource);
}

void telemetry_figures_end(struct telemetry_figures *figures)
{
    close_metric(figures);
    buffer_add_string(figures->out, "]}]}]}");
}
