/*
 * Spans as the JSON of OTLP: ids in hexadecimal, 64-bit integers as strings, enums as numbers.
 */
#include "telemetry/telemetry_internal.h"
#include "json/json.h"

#include <time.h>

enum {
    NS_PER_US = 1000,
    FLAG_SAMPLED = 1,
    FLAG_KNOWS_PARENT = 0x100, /* whether the parent is remote is known, */
    FLAG_PARENT_IS_REMOTE = 0x200,
    STATUS_ERROR = 2
};

int64_t telemetry_wall_offset_ns(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec -
           (int64_t)clock_monotonic_us() * NS_PER_US;
}

void telemetry_add_attribute(struct buffer *out, struct span key, struct span value)
{
    buffer_add_string(out, "{\"key\":");
    doc_escape(out, key);
    buffer_add_string(out, ",\"value\":{\"stringValue\":");
    doc_escape(out, value);
    buffer_add_string(out, "}}");
}

static void add_id(struct buffer *out, const char *name, const unsigned char *id, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    buffer_printf(out, "\"%s\":\"", name);
    for (size_t i = 0; i < bytes; i++) {
        buffer_add_char(out, digits[id[i] >> 4]);
        buffer_add_char(out, digits[id[i] & 15]);
    }
    buffer_add_string(out, "\",");
}

static void add_attributes(struct buffer *out, const struct trace_span *span)
{
    const char *between = "";
    buffer_add_string(out, "\"attributes\":[");
    for (size_t i = 0; i < TRACE_ATTRIBUTES && span->attributes[i].name; i++) {
        const struct trace_attribute *it = &span->attributes[i];
        buffer_add_string(out, between);
        between = ",";
        if (it->text)
            telemetry_add_attribute(out, span_of(it->name), span_of(it->text));
        else
            buffer_printf(out, "{\"key\":\"%s\",\"value\":{\"intValue\":\"%lld\"}}", it->name,
                          (long long)it->number);
    }
    if (span->text_name) {
        buffer_add_string(out, between);
        telemetry_add_attribute(out, span_of(span->text_name), span_of(span->text));
    }
    buffer_add_char(out, ']');
}

static void add_span(struct buffer *out, const struct trace_span *span, int64_t offset_ns)
{
    int flags = FLAG_SAMPLED | FLAG_KNOWS_PARENT;
    buffer_add_char(out, '{');
    add_id(out, "traceId", span->trace_id, sizeof span->trace_id);
    add_id(out, "spanId", span->span_id, sizeof span->span_id);
    if (span->has_parent)
        add_id(out, "parentSpanId", span->parent_id, sizeof span->parent_id);
    flags |= span->parent_is_remote ? FLAG_PARENT_IS_REMOTE : 0;
    buffer_printf(out,
                  "\"flags\":%d,\"name\":\"%s\",\"kind\":%d,\"startTimeUnixNano\":\"%lld\","
                  "\"endTimeUnixNano\":\"%lld\",",
                  flags, span->name, (int)span->kind,
                  (long long)span->begun_us * NS_PER_US + offset_ns,
                  (long long)span->ended_us * NS_PER_US + offset_ns);
    add_attributes(out, span);
    if (span->failed)
        buffer_printf(out, ",\"status\":{\"code\":%d}", STATUS_ERROR);
    buffer_add_char(out, '}');
}

size_t telemetry_print_spans(struct buffer *out, const char *resource, struct tracer *tracer)
{
    int64_t offset_ns = telemetry_wall_offset_ns();
    const struct trace_span *span;
    size_t count = 0;
    buffer_printf(out,
                  "{\"resourceSpans\":[{\"resource\":%s,\"scopeSpans\":[{\"scope\":{\"name\":"
                  "\"stele\",\"version\":\"" STELE_VERSION "\"},\"spans\":[",
                  resource);
    while (count < TELEMETRY_BATCH && (span = tracer_take(tracer))) {
        buffer_add_string(out, count++ ? "," : "");
        add_span(out, span, offset_ns);
    }
    buffer_add_string(out, "]}]}]}");
    return count;
}
