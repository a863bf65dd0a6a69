/*
 * trace: spans of OpenTelemetry, from where time is spent to where they are sent from.
 *
 *   who is asked --trace_begin--> [struct trace travels with the work] --trace_record--> ring
 *
 * A trace is a value that travels with the work through the queues between threads. Other threads
 * only note times in the work itself; all spans of it are recorded at its end, on the loop. So the
 * tracer belongs to the loop thread, and needs no lock.
 *
 * Invariants:
 *   1. The spans of one trace_record are in the ring together, or none of them is.
 *   2. The ring has TRACE_SPANS places from its start to its end; nothing is allocated in between.
 *   3. A span holds names of the program, numbers, and one copied text of at most TRACE_TEXT - 1
 *      bytes. It never holds what clients send.
 */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include "base/base.h"

enum {
    TRACE_SPANS = 2048,
    TRACE_ATTRIBUTES = 7,
    TRACE_TEXT = 128,
    TRACE_ID_BYTES = 16,
    TRACE_SPAN_ID_BYTES = 8
};

/* ---- the client's part: pure ---- */

/* What a traceparent says. */
struct trace_parent {
    unsigned char trace_id[TRACE_ID_BYTES], span_id[TRACE_SPAN_ID_BYTES];
    bool sampled;
};

/* W3C Trace Context, version 00 alone; strict. False: it is as if there were none. */
bool trace_parent_parse(struct span text, struct trace_parent *parent);

/* ---- sampling: pure ---- */

/* Which traces are recorded. */
struct trace_rule {
    bool parent_decides; /* where there is one; else: */
    bool all;            /* ... every trace, or */
    uint64_t below;      /* ... those whose id is below it, in the lower 63 bits */
};

/* A share of all traces, 0 to 1. */
struct trace_rule trace_rule_of(double share, bool parent_decides);

/* The first span of a piece of work. Zeroed: there is no tracer. */
struct trace {
    const struct trace_rule *rule; /* NULL: nothing is to be noted; borrowed from the tracer */
    bool sampled;
    bool has_parent;
    unsigned char trace_id[TRACE_ID_BYTES], span_id[TRACE_SPAN_ID_BYTES],
        parent_id[TRACE_SPAN_ID_BYTES];
};

/* Put a trace that has begun below a parent, before anything of it is recorded. Any thread. */
void trace_adopt(struct trace *trace, const struct trace_parent *parent);

/* ---- spans ---- */

/* The numbers of OTLP. */
enum trace_kind { TRACE_INTERNAL = 1, TRACE_SERVER = 2 };

struct trace_attribute {
    const char *name; /* NULL ends the list */
    const char *text; /* of the program, lives for ever; NULL: the number */
    int64_t number;
};

struct trace_span {
    const char *name;            /* of the program */
    uint64_t begun_us, ended_us; /* monotonic */
    struct trace_attribute attributes[TRACE_ATTRIBUTES];
    const char *text_name; /* of an attribute more, which is copied; NULL: none */
    char text[TRACE_TEXT];
    enum trace_kind kind;
    bool failed;
    /* Set by trace_record. */
    bool has_parent, parent_is_remote;
    unsigned char trace_id[TRACE_ID_BYTES], span_id[TRACE_SPAN_ID_BYTES],
        parent_id[TRACE_SPAN_ID_BYTES];
};

/* The copied attribute; a longer text is cut between two characters. */
void trace_span_text(struct trace_span *span, const char *name, struct span text);

/* ---- the tracer: on the loop ---- */

struct tracer_counts {
    struct counter recorded, dropped;
};

/* Others read how many wait, and the counts. */
struct tracer {
    struct trace_rule rule;
    uint64_t random;
    size_t first, waiting; /* in `spans`: to be taken */
    struct tracer_counts counts;
    struct trace_span spans[TRACE_SPANS];
};

/* Takes all its memory now. NULL when there is none. */
struct tracer *tracer_new(const struct trace_rule *rule);
void tracer_free(struct tracer *tracer);
/* Begin a trace, below `parent` if it is not NULL. `tracer` NULL: zeroed. */
struct trace trace_begin(struct tracer *tracer, const struct trace_parent *parent);
/* Record what a sampled trace was about: the first span is its own, the others are below that. All
 * are copied; without room for all of them they are counted as dropped. */
void trace_record(struct tracer *tracer, const struct trace *trace, const struct trace_span *spans,
                  size_t count);

/* Take the oldest, or NULL. Borrowed until the next trace_record. */
const struct trace_span *tracer_take(struct tracer *tracer);

#endif
