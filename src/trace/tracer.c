/* The ring of spans that wait to be sent, and the ids of new ones. */
#include "base/utf8.h"
#include "trace/trace.h"

#include <sys/random.h>
#include <unistd.h>

struct tracer *tracer_new(const struct trace_rule *rule)
{
    struct tracer *tracer = memory_new(sizeof *tracer);
    if (!tracer)
        return NULL;
    tracer->rule = *rule;
    /* Ids have to differ, and are no secret: without randomness the time will do. */
    if (getrandom(&tracer->random, sizeof tracer->random, GRND_NONBLOCK) !=
        (ssize_t)sizeof tracer->random)
        tracer->random =
            clock_monotonic_us() ^ (uint64_t)clock_wall_ms() << 20 ^ (uint64_t)getpid() << 44;
    return tracer;
}

void tracer_free(struct tracer *tracer)
{
    memory_free(tracer);
}

/* ---- ids ---- */

/* SplitMix64, which gives each number once; 0 is no id. */
static uint64_t next_random(struct tracer *tracer)
{
    uint64_t x = tracer->random += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return x ? x : 1;
}

static void make_id(struct tracer *tracer, unsigned char *id, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        uint64_t part = next_random(tracer);
        memcpy(id + i, &part, sizeof part);
    }
}

struct trace trace_begin(struct tracer *tracer, const struct trace_parent *parent)
{
    struct trace trace = {.rule = NULL};
    if (!tracer)
        return trace;
    trace.rule = &tracer->rule;
    if (!parent)
        make_id(tracer, trace.trace_id, sizeof trace.trace_id);
    make_id(tracer, trace.span_id, sizeof trace.span_id);
    trace_adopt(&trace, parent);
    return trace;
}

/* ---- the ring ---- */

void trace_span_text(struct trace_span *span, const char *name, struct span text)
{
    size_t length = text.length;
    if (length > TRACE_TEXT - 1)
        length = utf8_whole(text.data, TRACE_TEXT - 1);
    span->text_name = name;
    memcpy(span->text, text.data, length);
    span->text[length] = '\0';
}

static struct trace_span *append(struct tracer *tracer, const struct trace_span *span)
{
    struct trace_span *place = &tracer->spans[(tracer->first + tracer->waiting++) % TRACE_SPANS];
    *place = *span;
    return place;
}

void trace_record(struct tracer *tracer, const struct trace *trace, const struct trace_span *spans,
                  size_t count)
{
    INVARIANT(trace->sampled && count > 0);
    if (TRACE_SPANS - tracer->waiting < count) {
        counter_add(&tracer->counts.dropped, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct trace_span *span = append(tracer, &spans[i]);
        memcpy(span->trace_id, trace->trace_id, sizeof span->trace_id);
        if (i == 0) {
            memcpy(span->span_id, trace->span_id, sizeof span->span_id);
            memcpy(span->parent_id, trace->parent_id, sizeof span->parent_id);
            span->has_parent = span->parent_is_remote = trace->has_parent;
        } else {
            make_id(tracer, span->span_id, sizeof span->span_id);
            memcpy(span->parent_id, trace->span_id, sizeof span->parent_id);
            span->has_parent = true;
            span->parent_is_remote = false;
        }
    }
    counter_add(&tracer->counts.recorded, count);
    INVARIANT(tracer->waiting <= TRACE_SPANS);
}

const struct trace_span *tracer_take(struct tracer *tracer)
{
    if (!tracer->waiting)
        return NULL;
    const struct trace_span *span = &tracer->spans[tracer->first];
    tracer->first = (tracer->first + 1) % TRACE_SPANS;
    tracer->waiting--;
    return span;
}
