/* What a traceparent must be, and which traces are sampled. */
#include "test.h"
#include "trace/trace.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static const struct {
    const char *text;
    int sampled; /* -1: refused */
} cases[] = {
    {"00-" TRACE "-" SPAN "-01", 1},
    {"00-" TRACE "-" SPAN "-00", 0},
    {"00-" TRACE "-" SPAN "-03", 1}, /* flags that are not known yet */
    {"00-" TRACE "-" SPAN "-fe", 0},
    {"01-" TRACE "-" SPAN "-01", -1},
    {"ff-" TRACE "-" SPAN "-01", -1},
    {"00-" TRACE "-" SPAN "-01-", -1},
    {"00-" TRACE "-" SPAN "-01-x", -1},
    {"00-" TRACE "-" SPAN "-0", -1},
    {"00-" TRACE "-" SPAN "-0g", -1},
    {"00-" TRACE "-" SPAN "", -1},
    {" 00-" TRACE "-" SPAN "-01", -1},
    {"00-" TRACE "-" SPAN "-01 ", -1},
    {"00_" TRACE "-" SPAN "-01", -1},
    {"00-" TRACE "_" SPAN "-01", -1},
    {"00-" TRACE "-" SPAN "_01", -1},
    {"00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", -1},
    {"00-" TRACE "-B7AD6B7169203331-01", -1},
    {"00-00000000000000000000000000000000-" SPAN "-01", -1},
    {"00-" TRACE "-0000000000000000-01", -1},
    {"00-" TRACE "-" SPAN "-0A", -1},
    {"", -1},
    {"garbage", -1},
};

TEST(a_traceparent_is_read_strictly)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trace_parent parent;
        bool read = trace_parent_parse(span_of(cases[i].text), &parent);
        if (read != (cases[i].sampled >= 0))
            fail_msg("'%s' is %s", cases[i].text, read ? "taken" : "refused");
        if (!read)
            continue;
        assert_int_equal(parent.sampled, cases[i].sampled);
        assert_memory_equal(parent.trace_id,
                            "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c"
                            "\x80\x31\x9c",
                            TRACE_ID_BYTES);
        assert_memory_equal(parent.span_id, "\xb7\xad\x6b\x71\x69\x20\x33\x31",
                            TRACE_SPAN_ID_BYTES);
    }
}

static struct trace trace_of(const struct trace_rule *rule, unsigned char high)
{
    struct trace trace = {.rule = rule};
    memset(trace.trace_id, 0xff, sizeof trace.trace_id);
    trace.trace_id[TRACE_ID_BYTES / 2] = high;
    return trace;
}

TEST(a_share_goes_by_the_id)
{
    struct trace_rule rule = trace_rule_of(0.25, false);
    int sampled = 0;
    for (int high = 0; high < 256; high++) {
        struct trace trace = trace_of(&rule, (unsigned char)high);
        trace_adopt(&trace, NULL);
        assert_int_equal(trace.sampled, high < 64);
        sampled += trace.sampled;
    }
    assert_int_equal(sampled, 64);
}

TEST(all_and_none)
{
    for (int all = 0; all < 2; all++) {
        struct trace_rule rule = trace_rule_of(all, false);
        for (int high = 0; high < 256; high += 51) {
            struct trace trace = trace_of(&rule, (unsigned char)high);
            trace_adopt(&trace, NULL);
            assert_int_equal(trace.sampled, all);
        }
        struct trace lowest = {.rule = &rule};
        trace_adopt(&lowest, NULL);
        assert_int_equal(lowest.sampled, all);
    }
}

/* parentbased or not, the parent's flag, the share: sampled. */
static const struct {
    bool parent_decides, parent_sampled;
    double share;
    bool expected;
} parents[] = {
    {true, true, 0, true},   {true, true, 1, true},    {true, false, 0, false},
    {true, false, 1, false}, {false, true, 0, false},  {false, true, 1, true},
    {false, false, 1, true}, {false, false, 0, false},
};

TEST(a_parent_decides_where_it_may)
{
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++) {
        struct trace_rule rule = trace_rule_of(parents[i].share, parents[i].parent_decides);
        struct trace trace = trace_of(&rule, 7);
        struct trace_parent parent;
        assert_true(trace_parent_parse(span_of("00-" TRACE "-" SPAN "-00"), &parent));
        parent.sampled = parents[i].parent_sampled;
        trace_adopt(&trace, &parent);
        assert_int_equal(trace.sampled, parents[i].expected);
        assert_true(trace.has_parent);
        assert_memory_equal(trace.trace_id, parent.trace_id, TRACE_ID_BYTES);
        assert_memory_equal(trace.parent_id, parent.span_id, TRACE_SPAN_ID_BYTES);
    }
}

TEST(without_a_tracer_nothing_is_sampled)
{
    struct trace_parent parent;
    assert_true(trace_parent_parse(span_of("00-" TRACE "-" SPAN "-01"), &parent));
    struct trace trace = trace_begin(NULL, &parent);
    assert_null(trace.rule);
    trace_adopt(&trace, &parent);
    assert_false(trace.sampled);
}
