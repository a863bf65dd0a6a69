/* A traceparent: "00-<32 hex digits>-<16>-<2>", lower case alone; and what a share of traces is. */
#include "trace/trace.h"

enum {
    VERSION_AT = 0,
    TRACE_AT = 3,
    SPAN_AT = TRACE_AT + 2 * TRACE_ID_BYTES + 1,
    FLAGS_AT = SPAN_AT + 2 * TRACE_SPAN_ID_BYTES + 1,
    LENGTH = FLAGS_AT + 2,
    FLAG_SAMPLED = 1
};

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_bytes(const char *text, unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool is_zero(const unsigned char *bytes, size_t count)
{
    unsigned char any = 0;
    for (size_t i = 0; i < count; i++)
        any |= bytes[i];
    return !any;
}

bool trace_parent_parse(struct span text, struct trace_parent *parent)
{
    unsigned char version, flags;
    if (text.length != LENGTH || text.data[TRACE_AT - 1] != '-' || text.data[SPAN_AT - 1] != '-' ||
        text.data[FLAGS_AT - 1] != '-')
        return false;
    if (!read_bytes(text.data + VERSION_AT, &version, 1) || version != 0 ||
        !read_bytes(text.data + TRACE_AT, parent->trace_id, TRACE_ID_BYTES) ||
        !read_bytes(text.data + SPAN_AT, parent->span_id, TRACE_SPAN_ID_BYTES) ||
        !read_bytes(text.data + FLAGS_AT, &flags, 1))
        return false;
    parent->sampled = flags & FLAG_SAMPLED;
    return !is_zero(parent->trace_id, TRACE_ID_BYTES) &&
           !is_zero(parent->span_id, TRACE_SPAN_ID_BYTES);
}

struct trace_rule trace_rule_of(double share, bool parent_decides)
{
    struct trace_rule rule = {.parent_decides = parent_decides, .all = share >= 1};
    if (share > 0 && share < 1)
        rule.below = (uint64_t)(share * (double)(UINT64_C(1) << 63));
    return rule;
}

/* As other implementations do: the lower half of the id, without its last bit. */
static bool is_chosen(const struct trace_rule *rule, const unsigned char *trace_id)
{
    uint64_t low = 0;
    for (size_t i = TRACE_ID_BYTES / 2; i < TRACE_ID_BYTES; i++)
        low = low << 8 | trace_id[i];
    return rule->all || low >> 1 < rule->below;
}

void trace_adopt(struct trace *trace, const struct trace_parent *parent)
{
    if (!trace->rule)
        return;
    if (parent) {
        trace->has_parent = true;
        memcpy(trace->trace_id, parent->trace_id, sizeof trace->trace_id);
        memcpy(trace->parent_id, parent->span_id, sizeof trace->parent_id);
    }
    trace->sampled = parent && trace->rule->parent_decides
                         ? parent->sampled
                         : is_chosen(trace->rule, trace->trace_id);
}
