/* Spans and figures as the JSON of OTLP: read back by another parser, member by member. */
#include "telemetry/telemetry_internal.h"
#include "test.h"
#include "json/json.h"

static struct buffer out;
static struct tree *read_back;

static void start(void)
{
    buffer_init(&out, 1 << 20);
    read_back = NULL;
}

static void stop(void)
{
    tree_free(read_back);
    buffer_fini(&out);
}

TEST_EACH(start, stop)

/* What is at a path of names and indexes, "resourceSpans.0.resource"; it must be there. */
static const struct tree *at(const struct tree *tree, const char *path)
{
    char name[64];
    while (*path) {
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        tree = tree_type(tree) == TREE_ARRAY ? tree_element(tree, strtoul(name, NULL, 10))
                                             : tree_member(tree, name);
        if (!tree)
            fail_msg("no %s in %s", name, buffer_string(&out));
        path += length + (path[length] == '.');
    }
    return tree;
}

static void expect_text(const struct tree *tree, const char *path, const char *expected)
{
    struct span text = tree_string(at(tree, path));
    if (!span_equal(text, span_of(expected)))
        fail_msg("%s is %.*s, not %s", path, (int)text.length, text.data, expected);
}

static void expect_number(const struct tree *tree, const char *path, int64_t expected)
{
    assert_int_equal(tree_integer(at(tree, path), -1), expected);
}

static const struct tree *parse(void)
{
    struct error error = {0};
    read_back = tree_parse(buffer_span(&out), &error);
    if (!read_back)
        fail_msg("%s: %s", error.message, buffer_string(&out));
    return read_back;
}

/* ---- spans ---- */

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static struct tracer *tracer_with_spans(void)
{
    struct trace_rule rule = trace_rule_of(1, true);
    struct tracer *tracer = tracer_new(&rule);
    struct trace_parent parent;
    struct trace_span spans[] = {
        {.name = "POST /v1/mutations",
         .kind = TRACE_SERVER,
         .begun_us = 1000,
         .ended_us = 3500,
         .failed = true,
         .attributes = {{.name = "error.type", .text = "disk-full"},
                        {.name = "stele.request.bytes", .number = INT64_MAX}}},
        {.name = "decode", .kind = TRACE_INTERNAL, .begun_us = 1500, .ended_us = 2000}};
    trace_span_text(&spans[0], "stele.view", span_of("Q\"\n/list"));
    assert_true(trace_parent_parse(span_of(PARENT), &parent));
    struct trace trace = trace_begin(tracer, &parent);
    trace_record(tracer, &trace, spans, 2);
    trace = trace_begin(tracer, NULL);
    trace_record(tracer, &trace, &spans[1], 1);
    return tracer;
}

static bool is_hex(const struct tree *tree, size_t digits)
{
    struct span text = tree_string(tree);
    return text.length == digits && strspn(text.data, "0123456789abcdef") >= digits;
}

static int64_t time_at(const struct tree *tree, const char *path)
{
    struct span text = tree_string(at(tree, path));
    assert_in_range(text.length, 19, 19);
    return strtoll(text.data, NULL, 10);
}

TEST(spans_are_what_was_recorded)
{
    struct tracer *tracer = tracer_with_spans();
    int64_t before = telemetry_wall_offset_ns();
    assert_int_equal(telemetry_print_spans(&out, "{\"attributes\":[]}", tracer), 3);
    assert_int_equal(tracer->waiting, 0);
    tracer_free(tracer);
    const struct tree *root = parse();
    at(root, "resourceSpans.0.resource.attributes");
    expect_text(root, "resourceSpans.0.scopeSpans.0.scope.name", "stele");
    const struct tree *spans = at(root, "resourceSpans.0.scopeSpans.0.spans");
    assert_int_equal(tree_count(spans), 3);
    const struct tree *first = tree_element(spans, 0);
    expect_text(first, "traceId", "0af7651916cd43dd8448eb211c80319c");
    expect_text(first, "parentSpanId", "b7ad6b7169203331");
    assert_true(is_hex(at(first, "spanId"), 16));
    expect_text(first, "name", "POST /v1/mutations");
    expect_number(first, "kind", 2);
    expect_number(first, "flags", 0x301);
    expect_number(first, "status.code", 2);
    assert_int_equal(time_at(first, "endTimeUnixNano") - time_at(first, "startTimeUnixNano"),
                     2500 * 1000);
    assert_true(time_at(first, "startTimeUnixNano") >= before);
    expect_text(first, "attributes.0.key", "error.type");
    expect_text(first, "attributes.0.value.stringValue", "disk-full");
    expect_text(first, "attributes.1.value.intValue", "9223372036854775807");
    expect_text(first, "attributes.2.key", "stele.view");
    expect_text(first, "attributes.2.value.stringValue", "Q\"\n/list");
    const struct tree *child = tree_element(spans, 1);
    assert_true(
        span_equal(tree_string(at(child, "parentSpanId")), tree_string(at(first, "spanId"))));
    expect_text(child, "traceId", "0af7651916cd43dd8448eb211c80319c");
    expect_number(child, "flags", 0x101);
    assert_null(tree_member(child, "status"));
    const struct tree *other = tree_element(spans, 2);
    assert_null(tree_member(other, "parentSpanId"));
    assert_true(is_hex(at(other, "traceId"), 32));
}

TEST(so_many_at_a_time_and_no_more_bytes_than_are_allowed)
{
    struct trace_rule rule = trace_rule_of(1, true);
    struct tracer *tracer = tracer_new(&rule);
    struct trace_span span = {.name = "read", .kind = TRACE_INTERNAL};
    char text[TRACE_TEXT];
    for (int i = 0; i < TRACE_ATTRIBUTES; i++)
        span.attributes[i] =
            (struct trace_attribute){.name = "stele.mutations.duplicate", .number = INT64_MIN};
    memset(text, 1, sizeof text); /* six bytes each in JSON */
    trace_span_text(&span, "stele.view", span_make(text, sizeof text));
    for (int i = 0; i < TRACE_SPANS; i++) {
        struct trace trace = trace_begin(tracer, NULL);
        trace_record(tracer, &trace, &span, 1);
    }
    for (int i = 0; i < TRACE_SPANS / TELEMETRY_BATCH; i++) {
        buffer_fini(&out);
        buffer_init(&out, TELEMETRY_SPANS_BYTES);
        assert_int_equal(telemetry_print_spans(&out, "{}", tracer), TELEMETRY_BATCH);
        assert_false(out.failed);
    }
    assert_int_equal(tracer->waiting, 0);
    tracer_free(tracer);
}

/* ---- figures ---- */

TEST(figures_are_sums_gauges_and_histograms)
{
    struct telemetry_figures figures;
    struct histogram histogram = {0};
    static const struct span none;
    histogram_add(&histogram, 10);
    histogram_add(&histogram, 60);
    histogram_add(&histogram, 70);
    histogram_add(&histogram, UINT64_C(3600) * 1000 * 1000);
    telemetry_figures_init(&figures, &out, "{}", 5, 7);
    struct metric_sink *sink = &figures.sink;
    sink->begin(sink, "stele_commits_total", "counter", "Transactions \"on disk\".");
    sink->sample(sink, NULL, none, 9007199254740991.0);
    sink->begin(sink, "stele_mutations_total", "counter", "By result.");
    sink->sample(sink, "result", span_of("a\"b"), 1);
    sink->sample(sink, "result", span_of("other"), 2);
    sink->begin(sink, "stele_wal_bytes", "gauge", "Size.");
    sink->sample(sink, NULL, none, 0.5);
    sink->begin(sink, "stele_view_rows", "gauge", "None.");
    sink->begin(sink, "stele_t_seconds", "histogram", "Time.");
    sink->histogram(sink, &histogram);
    sink->begin(sink, "process_cpu_seconds_total", "counter", "Time.");
    sink->sample(sink, NULL, none, 3);
    telemetry_figures_end(&figures);
    const struct tree *list = at(parse(), "resourceMetrics.0.scopeMetrics.0.metrics");
    assert_int_equal(tree_count(list), 6);
    expect_text(list, "0.name", "stele_commits_total");
    expect_text(list, "0.description", "Transactions \"on disk\".");
    expect_number(list, "0.sum.aggregationTemporality", 2);
    assert_true(tree_boolean(at(list, "0.sum.isMonotonic"), false));
    expect_text(list, "0.sum.dataPoints.0.asInt", "9007199254740991");
    expect_text(list, "0.sum.dataPoints.0.startTimeUnixNano", "5");
    expect_text(list, "0.sum.dataPoints.0.timeUnixNano", "7");
    assert_int_equal(tree_count(at(list, "1.sum.dataPoints")), 2);
    expect_text(list, "1.sum.dataPoints.0.attributes.0.key", "result");
    expect_text(list, "1.sum.dataPoints.0.attributes.0.value.stringValue", "a\"b");
    expect_text(list, "2.unit", "By");
    assert_int_equal(tree_type(at(list, "2.gauge.dataPoints.0.asDouble")), TREE_REAL);
    assert_null(tree_member(at(list, "2.gauge.dataPoints.0"), "startTimeUnixNano"));
    assert_int_equal(tree_count(at(list, "3.gauge.dataPoints")), 0);
    expect_text(list, "4.unit", "s");
    const struct tree *point = at(list, "4.histogram.dataPoints.0");
    expect_text(point, "count", "4");
    assert_int_equal(tree_count(at(point, "bucketCounts")), HISTOGRAM_BUCKETS);
    assert_int_equal(tree_count(at(point, "explicitBounds")), HISTOGRAM_BUCKETS - 1);
    expect_text(point, "bucketCounts.0", "1");
    expect_text(point, "bucketCounts.1", "2");
    expect_text(point, "bucketCounts.19", "1");
    expect_number(list, "5.sum.dataPoints.0.asDouble", 3);
}
