/* The table of figures, for whoever wants them; GET /metrics as the text that Prometheus reads. */
#include "http/metrics.h"
#include "delivery/hub.h"
#include "http/parts.h"

#include <math.h>

static const char *owner_of(struct http *http, enum metric_owner owner)
{
    switch (owner) {
    case METRIC_OF_SERVER:
        return (const char *)&http->frontend->counters;
    case METRIC_OF_ENGINE:
        return (const char *)engine_facts(http->frontend->engine)->metrics;
    case METRIC_OF_HUB:
        return (const char *)hub_state(http->frontend->hub).metrics;
    case METRIC_OF_AUDIT:
        return (const char *)access_shown(http->frontend->access)->audit;
    case METRIC_OF_USAGE:
        return (const char *)usage_metrics(http->frontend->usage);
    case METRIC_OF_TELEMETRY:
        return (const char *)telemetry_metrics(http->frontend->telemetry);
    }
    return NULL;
}

static double counter_at(const char *owner, size_t offset)
{
    return (double)counter_get((const struct counter *)(const void *)(owner + offset));
}

static void give_parts(const struct metric *metric, const char *owner, struct metric_sink *sink)
{
    for (const struct metric_part *part = metric->parts; part->value; part++)
        sink->sample(sink, metric->label, span_of(part->value), counter_at(owner, part->offset));
}

static void give(struct http *http, const struct metric *metric, struct metric_sink *sink)
{
    static const struct span none;
    const char *owner = owner_of(http, metric->owner);
    double value = metric->value ? metric->value(http) : 0;
    if (isnan(value))
        return;
    sink->begin(sink, metric->name, metric->type, metric->help);
    if (metric->print)
        metric->print(http, sink);
    else if (metric->value)
        sink->sample(sink, NULL, none, value);
    else if (metric->parts)
        give_parts(metric, owner, sink);
    else if (strcmp(metric->type, "histogram") == 0)
        sink->histogram(sink, (const struct histogram *)(const void *)(owner + metric->offset));
    else
        sink->sample(sink, NULL, none, counter_at(owner, metric->offset));
}

void http_each_metric(struct http *http, struct metric_sink *sink)
{
    for (size_t i = 0; i < metrics_count; i++)
        give(http, &metrics_table[i], sink);
}

void metrics_print(struct http *http, struct http_request *request)
{
    struct buffer out;
    struct metric_text text;
    buffer_init(&out, 8 * 1024 * 1024);
    metric_text_init(&text, &out);
    http_each_metric(http, &text.sink);
    struct http_content content = {.status = out.failed ? 500 : 200,
                                   .type = "text/plain; version=0.0.4; charset=utf-8",
                                   .headers = "Cache-Control: no-store\r\n",
                                   .body = buffer_span(&out)};
    http_request_respond(request, &content);
    buffer_fini(&out);
}
