/*
 * telemetry: traces and metrics for an OpenTelemetry collector, by OTLP over HTTP as JSON
 * (docs/telemetry.md).
 *
 *   tracer's ring ----512 spans----> [body of traces]  --POST--> endpoint
 *   figures of /metrics --visited--> [body of metrics] --POST-->
 *
 * All functions belong to the loop thread and never wait. Each of the two signals has one body at
 * most, which is kept until the endpoint has taken it or there is no use in another attempt.
 *
 *   settings.c   the configuration's part: URLs, headers, the resource
 *   spans.c      spans as JSON; figures.c metrics as JSON
 *   signal.c     one signal: sending, answers, attempts
 *   telemetry.c  its life, and when what is sent
 */
#ifndef TELEMETRY_TELEMETRY_H
#define TELEMETRY_TELEMETRY_H

#include "outbound/outbound.h"
#include "trace/trace.h"

struct config;
struct telemetry;

/* What telemetry needs of the server. All of it outlives telemetry, but `outbound`: until
 * telemetry_stop. */
struct telemetry_context {
    struct outbound *outbound;
    uint64_t (*now_ms)(void *argument); /* a clock that nobody sets */
    /* Have the figures fresh, and call `ready` then, perhaps at once. False: not now. */
    bool (*refresh)(void *argument, void (*ready)(void *telemetry), void *telemetry);
    void (*each_metric)(void *argument, struct metric_sink *sink);
    void *argument;
};

/* ERROR_CONFIGURATION for an endpoint that is no usable URL. */
bool telemetry_check(const struct config *config, struct error *error);
/* By the configuration; *telemetry is NULL if it names no endpoint. Nothing is sent yet. */
bool telemetry_new(const struct config *config, struct telemetry **telemetry, struct error *error);
/* Where spans are recorded; NULL: there are no traces. `telemetry` may be NULL. */
struct tracer *telemetry_tracer(struct telemetry *telemetry);
/* From now on it sends. The context is copied. */
void telemetry_start(struct telemetry *telemetry, const struct telemetry_context *context);
/* Do what is due. To be called once a second, and after what may have recorded spans. */
void telemetry_turn(struct telemetry *telemetry);
/* Clients are being parted from: send what there is and the figures once more, each with one
 * attempt. Whether waiting longer would achieve nothing; else ask again. */
bool telemetry_finish(struct telemetry *telemetry);
/* There is no `outbound` any more: nothing is sent from now on, and the log has what was not. */
void telemetry_stop(struct telemetry *telemetry);
/* After engine_close and hub_free, which may still record spans. NULL is fine. */
void telemetry_free(struct telemetry *telemetry);

struct telemetry_metrics {
    struct counter requests, failures;
    struct counter spans_dropped; /* that the endpoint did not take */
};
/* NULL: all zero. */
const struct telemetry_metrics *telemetry_metrics(const struct telemetry *telemetry);

#endif
