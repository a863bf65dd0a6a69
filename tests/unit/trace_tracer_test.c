/* The ring of spans: what a recorded span has, its bound, and that a trace is whole or absent. */
#include "test.h"
#include "trace/trace.h"

static struct tracer *tracer;

static void open_tracer(void)
{
    struct trace_rule rule = trace_rule_of(1, true);
    assert_non_null(tracer = tracer_new(&rule));
}

static void close_tracer(void)
{
    tracer_free(tracer);
}

TEST_EACH(open_tracer, close_tracer)

static const struct trace_span five[] = {
    {.name = "all", .kind = TRACE_SERVER, .begun_us = 1, .ended_us = 9},
    {.name = "a", .kind = TRACE_INTERNAL, .begun_us = 2, .ended_us = 3},
    {.name = "b", .kind = TRACE_INTERNAL, .begun_us = 3, .ended_us = 4},
    {.name = "c", .kind = TRACE_INTERNAL, .begun_us = 4, .ended_us = 5},
    {.name = "d", .kind = TRACE_INTERNAL, .begun_us = 5, .ended_us = 6},
};

TEST(children_are_below_the_first)
{
    struct trace trace = trace_begin(tracer, NULL);
    assert_true(trace.sampled && !trace.has_parent);
    trace_record(tracer, &trace, five, 5);
    assert_int_equal(tracer->waiting, 5);
    struct trace_span root = *tracer_take(tracer);
    assert_string_equal(root.name, "all");
    assert_memory_equal(root.trace_id, trace.trace_id, TRACE_ID_BYTES);
    assert_memory_equal(root.span_id, trace.span_id, TRACE_SPAN_ID_BYTES);
    assert_false(root.has_parent);
    for (int i = 1; i < 5; i++) {
        const struct trace_span *child = tracer_take(tracer);
        assert_string_equal(child->name, five[i].name);
        assert_memory_equal(child->trace_id, trace.trace_id, TRACE_ID_BYTES);
        assert_memory_equal(child->parent_id, trace.span_id, TRACE_SPAN_ID_BYTES);
        assert_memory_not_equal(child->span_id, trace.span_id, TRACE_SPAN_ID_BYTES);
        assert_true(child->has_parent && !child->parent_is_remote);
    }
    assert_null(tracer_take(tracer));
}

TEST(a_client_is_a_remote_parent)
{
    struct trace_parent parent;
    assert_true(trace_parent_parse(
        span_of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), &parent));
    struct trace trace = trace_begin(tracer, &parent);
    trace_record(tracer, &trace, five, 1);
    const struct trace_span *root = tracer_take(tracer);
    assert_memory_equal(root->trace_id, parent.trace_id, TRACE_ID_BYTES);
    assert_memory_equal(root->parent_id, parent.span_id, TRACE_SPAN_ID_BYTES);
    assert_true(root->has_parent && root->parent_is_remote);
}

TEST(a_trace_is_whole_or_absent)
{
    size_t traces = 3 * TRACE_SPANS / 5, fit = TRACE_SPANS / 5;
    for (size_t i = 0; i < traces; i++) {
        struct trace trace = trace_begin(tracer, NULL);
        trace_record(tracer, &trace, five, 5);
    }
    assert_int_equal(tracer->waiting, 5 * fit);
    assert_int_equal(counter_get(&tracer->counts.recorded), 5 * fit);
    assert_int_equal(counter_get(&tracer->counts.dropped), 5 * (traces - fit));
    for (size_t i = 0; i < 5 * fit; i++)
        assert_string_equal(tracer_take(tracer)->name, five[i % 5].name);
    assert_null(tracer_take(tracer));
}

TEST(it_goes_round)
{
    for (int i = 0; i < 3 * TRACE_SPANS; i++) {
        struct trace trace = trace_begin(tracer, NULL);
        trace_record(tracer, &trace, five, 2);
        assert_string_equal(tracer_take(tracer)->name, "all");
        assert_string_equal(tracer_take(tracer)->name, "a");
    }
    assert_int_equal(counter_get(&tracer->counts.dropped), 0);
}

TEST(a_long_text_is_cut_between_characters)
{
    char text[2 * TRACE_TEXT + 1];
    struct trace_span span = five[0];
    text[0] = 'x';
    for (size_t i = 1; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xbc", 2);
    trace_span_text(&span, "view", span_make(text, sizeof text - 1));
    assert_int_equal(strlen(span.text), TRACE_TEXT - 1);
    trace_span_text(&span, "view", span_make(text + 1, sizeof text - 2));
    assert_int_equal(strlen(span.text), TRACE_TEXT - 2);
    trace_span_text(&span, "view", span_of("E/list"));
    assert_string_equal(span.text, "E/list");
}

TEST(ids_differ)
{
    enum { COUNT = 500 };
    unsigned char seen[COUNT][TRACE_SPAN_ID_BYTES];
    for (int i = 0; i < COUNT; i++) {
        struct trace trace = trace_begin(tracer, NULL);
        memcpy(seen[i], trace.span_id, TRACE_SPAN_ID_BYTES);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(seen[i], seen[j], TRACE_SPAN_ID_BYTES);
    }
}
