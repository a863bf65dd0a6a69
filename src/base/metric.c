#include "base/metric.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t smallest_us(const struct histogram *histogram)
{
    return histogram->smallest_us ? histogram->smallest_us : HISTOGRAM_SMALLEST_US;
}

void histogram_add(struct histogram *histogram, uint64_t duration_us)
{
    uint64_t ratio = duration_us / smallest_us(histogram);
    /* The bit length of the ratio is the number of doublings that it takes to exceed it. */
    int bucket = ratio ? 64 - __builtin_clzll(ratio) : 0;
    if (bucket >= HISTOGRAM_BUCKETS)
        bucket = HISTOGRAM_BUCKETS - 1;
    atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_us, duration_us, memory_order_relaxed);
}

/* Append with a backslash before a backslash and, if asked for, a quote, and \n for a new line:
 * the only characters that the text format cannot hold as they are. */
static void add_escaped(struct buffer *out, struct span text, bool quotes)
{
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (c == '\\' || c == '\n' || (quotes && c == '"'))
            buffer_add_char(out, '\\');
        buffer_add_char(out, c == '\n' ? 'n' : c);
    }
}

/* The shortest of two precisions that reads back as the same number. */
static void add_number(struct buffer *out, double value)
{
    char text[40];
    if (isnan(value)) {
        buffer_add_string(out, "NaN");
    } else if (isinf(value)) {
        buffer_add_string(out, value > 0 ? "+Inf" : "-Inf");
    } else {
        snprintf(text, sizeof text, "%.15g", value);
        if (strtod(text, NULL) != value)
            snprintf(text, sizeof text, "%.17g", value);
        /* The program around this library may have a locale with another point. */
        size_t point = strcspn(text, ",");
        if (text[point])
            text[point] = '.';
        buffer_add_string(out, text);
    }
}

/* What is behind the name of the metric. */
static void add_sample(struct buffer *out, const char *suffix, double value)
{
    buffer_printf(out, "%s ", suffix);
    add_number(out, value);
    buffer_add_char(out, '\n');
}

/* ---- the sink ---- */

static struct metric_text *text_of(struct metric_sink *sink)
{
    return (struct metric_text *)sink;
}

static void begin(struct metric_sink *sink, const char *name, const char *type, const char *help)
{
    struct buffer *out = text_of(sink)->out;
    text_of(sink)->name = name;
    buffer_printf(out, "# HELP %s ", name);
    add_escaped(out, span_of(help), false);
    buffer_printf(out, "\n# TYPE %s %s\n", name, type);
}

static void sample(struct metric_sink *sink, const char *label, struct span value, double number)
{
    const struct metric_text *text = text_of(sink);
    buffer_add_string(text->out, text->name);
    if (label) {
        buffer_printf(text->out, "{%s=\"", label);
        add_escaped(text->out, value, true);
        buffer_add_string(text->out, "\"}");
    }
    add_sample(text->out, "", number);
}

static void add_bucket(const struct metric_text *text, double limit, uint64_t count)
{
    buffer_printf(text->out, "%s_bucket{le=\"", text->name);
    add_number(text->out, limit);
    buffer_printf(text->out, "\"} %" PRIu64 "\n", count);
}

/* The count is counted here and not kept beside the buckets, so that it always equals the last
 * bucket, however many threads are adding just now. */
static void tell_histogram(struct metric_sink *sink, const struct histogram *histogram)
{
    const struct metric_text *text = text_of(sink);
    uint64_t sum_us = atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
    uint64_t count = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        bool last = i == HISTOGRAM_BUCKETS - 1;
        add_bucket(text, last ? INFINITY : (double)(smallest_us(histogram) << i) / 1e6, count);
    }
    buffer_add_string(text->out, text->name);
    add_sample(text->out, "_sum", (double)sum_us / 1e6);
    buffer_printf(text->out, "%s_count %" PRIu64 "\n", text->name, count);
}

void metric_text_init(struct metric_text *text, struct buffer *out)
{
    *text = (struct metric_text){{begin, sample, tell_histogram}, out, NULL};
}
