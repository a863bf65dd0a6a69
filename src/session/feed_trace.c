/* Spans of producers' requests: docs/telemetry.md has the list. */
#include "session/frontend.h"

/* The request's own, and below it decode, queue, commit and publish. */
enum { FEED_SPANS = 5 };

struct feed {
    struct trace_span spans[FEED_SPANS];
    size_t count;
};

/* One of the parts that it came to. */
static struct trace_span *add_part(struct feed *feed, const char *name, uint64_t begun_us,
                                   uint64_t ended_us)
{
    struct trace_span *span = &feed->spans[feed->count++];
    *span = (struct trace_span){
        .name = name, .kind = TRACE_INTERNAL, .begun_us = begun_us, .ended_us = ended_us};
    return span;
}

static void add_parts(struct feed *feed, const struct submission_times *times)
{
    struct trace_span *span;
    if (!times->decoded_us) /* memory lacked before there was anything to decode */
        return;
    add_part(feed, "decode", times->decoding_us, times->decoded_us);
    if (!times->committed_us)
        return;
    add_part(feed, "queue", times->decoded_us, times->begun_us);
    span = add_part(feed, "commit", times->begun_us, times->committed_us);
    span->attributes[0] = (struct trace_attribute){.name = "stele.commit.requests",
                                                   .number = (int64_t)times->requests};
    if (times->changes)
        span->attributes[1] =
            (struct trace_attribute){.name = "stele.commit.change", .number = times->last_change};
    if (!times->published_us) /* there was no memory to tell of the commit */
        return;
    span = add_part(feed, "publish", times->delivered_us, times->published_us);
    span->attributes[0] =
        (struct trace_attribute){.name = "stele.commit.changes", .number = (int64_t)times->changes};
}

static size_t copy(struct trace_attribute *to, const struct trace_attribute *attributes)
{
    size_t count = 0;
    for (; attributes[count].name; count++)
        to[count] = attributes[count];
    INVARIANT(count <= FEED_ATTRIBUTES);
    return count;
}

static void describe(struct trace_span *span, const struct trace_attribute *attributes,
                     const struct ingest_reply *reply)
{
    size_t count = copy(span->attributes, attributes);
    const struct error *error = &reply->error;
    span->attributes[count++] = (struct trace_attribute){.name = "stele.request.bytes",
                                                         .number = (int64_t)reply->traced->bytes};
    if (error->code != ERROR_NONE) {
        span->attributes[count] =
            (struct trace_attribute){.name = "error.type", .text = error_kind(error->code)->wire};
        span->failed = error_kind(error->code)->http_status >= 500;
        return;
    }
    span->attributes[count++] = (struct trace_attribute){.name = "stele.mutations.applied",
                                                         .number = (int64_t)reply->applied};
    span->attributes[count++] = (struct trace_attribute){.name = "stele.mutations.ignored",
                                                         .number = (int64_t)reply->ignored};
    span->attributes[count] = (struct trace_attribute){.name = "stele.mutations.duplicate",
                                                       .number = (int64_t)reply->duplicate};
}

void frontend_trace_feed(struct frontend *frontend, const char *name,
                         const struct trace_attribute *attributes, const struct ingest_reply *reply)
{
    const struct ingest_traced *traced = reply->traced;
    struct feed feed = {.count = 1};
    _Static_assert(FEED_ATTRIBUTES + 4 <= TRACE_ATTRIBUTES, "attributes of a request");
    feed.spans[0] = (struct trace_span){.name = name,
                                        .kind = TRACE_SERVER,
                                        .begun_us = traced->received_us,
                                        .ended_us = clock_monotonic_us()};
    describe(&feed.spans[0], attributes, reply);
    if (traced->times)
        add_parts(&feed, traced->times);
    trace_record(frontend->tracer, &traced->trace, feed.spans, feed.count);
}
