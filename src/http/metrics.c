/* GET /metrics: the table as the text that Prometheus reads. */
#include "http/metrics.h"
#include "delivery/hub.h"

#include <math.h>

const struct usage_metrics *metrics_usage(struct http *http)
{
    static const struct usage_metrics none;
    return http->frontend->usage ? usage_metrics(http->frontend->usage) : &none;
}

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
        return (const char *)metrics_usage(http);
    }
    return NULL;
}

static double counter_at(const char *owner, size_t offset)
{
    return (double)counter_get((const struct counter *)(const void *)(owner + offset));
}

static void print_parts(const struct metric *metric, const char *owner, struct buffer *out)
{
    char label[128];
    for (const struct metric_part *part = metric->parts; part->value; part++) {
        snprintf(label, sizeof label, "%s=\"%s\"", metric->label, part->value);
        metric_sample(out, metric->name, label, counter_at(owner, part->offset));
    }
}

static void print_metric(struct http *http, const struct metric *metric, struct buffer *out)
{
    const char *owner = owner_of(http, metric->owner);
    double value = metric->value ? metric->value(http) : 0;
    if (isnan(value))
        return;
    metric_head(out, metric->name, metric->type, metric->help);
    if (metric->print)
        metric->print(http, metric, out);
    else if (metric->value)
        metric_sample(out, metric->name, NULL, value);
    else if (metric->parts)
        print_parts(metric, owner, out);
    else if (strcmp(metric->type, "histogram") == 0)
        metric_histogram(out, metric->name, NULL,
                         (const struct histogram *)(const void *)(owner + metric->offset));
    else
        metric_sample(out, metric->name, NULL, counter_at(owner, metric->offset));
}

void metrics_print(struct http *http, struct http_request *request)
{
    struct buffer out;
    buffer_init(&out, 8 * 1024 * 1024);
    for (size_t i = 0; i < metrics_count; i++)
        print_metric(http, &metrics_table[i], &out);
    struct http_content content = {.status = out.failed ? 500 : 200,
                                   .type = "text/plain; version=0.0.4; charset=utf-8",
                                   .headers = "Cache-Control: no-store\r\n",
                                   .body = buffer_span(&out)};
    http_request_respond(request, &content);
    buffer_fini(&out);
}
