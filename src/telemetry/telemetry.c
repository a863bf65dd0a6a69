/* The life of telemetry, and its turns. */
#include "config/config.h"
#include "telemetry/telemetry_internal.h"

#include <stdlib.h>

bool telemetry_check(const struct config *config, struct error *error)
{
    struct telemetry_settings settings;
    bool good = telemetry_settings_read(&settings, config, error);
    telemetry_settings_fini(&settings);
    return good;
}

enum { NS_PER_US = 1000, CLOCK_SET_NS = 1000 * 1000 * 1000 };

static bool init(struct telemetry *it)
{
    telemetry_signal_init(&it->traces, it, TELEMETRY_TRACES);
    telemetry_signal_init(&it->figures, it, TELEMETRY_METRICS);
    it->start_us = clock_monotonic_us();
    it->offset_ns = telemetry_wall_offset_ns();
    it->random = it->start_us ^ (uint64_t)it->offset_ns << 20;
    if (it->settings.urls[TELEMETRY_TRACES])
        it->tracer = tracer_new(&it->settings.rule);
    return it->tracer || !it->settings.urls[TELEMETRY_TRACES];
}

bool telemetry_new(const struct config *config, struct telemetry **telemetry, struct error *error)
{
    struct telemetry_settings settings;
    *telemetry = NULL;
    bool good = telemetry_settings_read(&settings, config, error);
    bool sends = settings.urls[TELEMETRY_TRACES] || settings.urls[TELEMETRY_METRICS];
    if (!good || !sends) {
        telemetry_settings_fini(&settings);
        return good;
    }
    struct telemetry *it = memory_new(sizeof *it);
    if (!it) {
        telemetry_settings_fini(&settings);
        return error_set(error, ERROR_MEMORY, "out of memory while starting");
    }
    it->settings = settings;
    if (!init(it)) {
        telemetry_free(it);
        return error_set(error, ERROR_MEMORY, "out of memory for the spans of OpenTelemetry");
    }
    *telemetry = it;
    return true;
}

void telemetry_free(struct telemetry *telemetry)
{
    if (!telemetry)
        return;
    buffer_fini(&telemetry->traces.body);
    buffer_fini(&telemetry->figures.body);
    tracer_free(telemetry->tracer);
    telemetry_settings_fini(&telemetry->settings);
    memory_free(telemetry);
}

struct tracer *telemetry_tracer(struct telemetry *telemetry)
{
    return telemetry ? telemetry->tracer : NULL;
}

const struct telemetry_metrics *telemetry_metrics(const struct telemetry *telemetry)
{
    static const struct telemetry_metrics none;
    return telemetry ? &telemetry->metrics : &none;
}

static uint64_t now_of(const struct telemetry *telemetry)
{
    return telemetry->context.now_ms(telemetry->context.argument);
}

void telemetry_start(struct telemetry *telemetry, const struct telemetry_context *context)
{
    telemetry->context = *context;
    telemetry->spans_ms = now_of(telemetry);
    telemetry->figures_ms = telemetry->spans_ms + (uint64_t)telemetry->settings.metrics_ms;
}

void telemetry_stop(struct telemetry *telemetry)
{
    size_t waiting = telemetry->tracer ? telemetry->tracer->waiting : 0;
    size_t spans = telemetry->traces.items + waiting;
    bool figures = telemetry->refreshing || telemetry_signal_busy(&telemetry->figures);
    telemetry->context.outbound = NULL;
    if (spans || figures)
        log_warning("telemetry", "not-sent", log_number("spans", spans),
                    log_number("metrics", figures));
}

/* ---- what is sent when ---- */

static void print_failed(struct telemetry_signal *signal, const char *name)
{
    log_warning("telemetry", "export-failed", log_word("signal", name),
                log_text("error", "there is no memory for it, or it is too large"),
                log_word("effect", "dropped"));
    telemetry_signal_drop(signal, false);
}

static void take_spans(struct telemetry *telemetry, uint64_t now)
{
    struct telemetry_signal *signal = &telemetry->traces;
    size_t waiting = telemetry->tracer ? telemetry->tracer->waiting : 0;
    bool due = waiting >= TELEMETRY_BATCH || telemetry->finishing ||
               now - telemetry->spans_ms >= TELEMETRY_SPANS_MS;
    if (!waiting || !due || telemetry_signal_busy(signal))
        return;
    telemetry->spans_ms = now;
    signal->items =
        telemetry_print_spans(&signal->body, telemetry->settings.resource, telemetry->tracer);
    if (signal->body.failed)
        print_failed(signal, "traces");
}

/*
 * Print the figures. Their start is moved with the clock when somebody sets that, or it might be
 * later than the figures. A slow correction does not move it: each other start reads as a restart.
 */
static void print_figures(struct telemetry *telemetry, struct buffer *out)
{
    struct telemetry_figures figures;
    int64_t offset_ns = telemetry_wall_offset_ns();
    if (llabs(offset_ns - telemetry->offset_ns) > CLOCK_SET_NS)
        telemetry->offset_ns = offset_ns;
    int64_t now_ns = offset_ns + (int64_t)clock_monotonic_us() * NS_PER_US;
    int64_t start_ns = telemetry->offset_ns + (int64_t)telemetry->start_us * NS_PER_US;
    telemetry_figures_init(&figures, out, telemetry->settings.resource,
                           (uint64_t)(start_ns < now_ns ? start_ns : now_ns), (uint64_t)now_ns);
    telemetry->context.each_metric(telemetry->context.argument, &figures.sink);
    telemetry_figures_end(&figures);
}

/* The figures are fresh. Older ones, which wait for another attempt, give way to them. */
static void on_refreshed(void *argument)
{
    struct telemetry *telemetry = argument;
    struct telemetry_signal *signal = &telemetry->figures;
    telemetry->refreshing = false;
    if (!telemetry->context.outbound)
        return;
    INVARIANT(!signal->under_way);
    telemetry_signal_renew(signal);
    print_figures(telemetry, &signal->body);
    if (signal->body.failed)
        print_failed(signal, "metrics");
    telemetry_signal_send(signal);
}

static bool want_figures(struct telemetry *telemetry, uint64_t now)
{
    if (!telemetry->settings.urls[TELEMETRY_METRICS] || telemetry->refreshing ||
        telemetry->figures.under_way)
        return false;
    return telemetry->finishing ? !telemetry->last_figures : now >= telemetry->figures_ms;
}

static void ask_for_figures(struct telemetry *telemetry, uint64_t now)
{
    const struct telemetry_context *context = &telemetry->context;
    if (!want_figures(telemetry, now))
        return;
    telemetry->figures_ms = now + (uint64_t)telemetry->settings.metrics_ms;
    telemetry->refreshing = true; /* before, as it may be ready at once */
    telemetry->last_figures = telemetry->finishing;
    if (!context->refresh(context->argument, on_refreshed, telemetry))
        telemetry->refreshing = false;
}

void telemetry_turn(struct telemetry *telemetry)
{
    if (!telemetry->context.outbound) /* not yet, or not any more */
        return;
    uint64_t now = now_of(telemetry);
    take_spans(telemetry, now);
    ask_for_figures(telemetry, now);
    telemetry_signal_send(&telemetry->traces);
    if (!telemetry->refreshing) /* or newer ones take their place in a moment */
        telemetry_signal_send(&telemetry->figures);
}

/* What waits for another attempt has it now, and none after it. */
static void begin_to_finish(struct telemetry *telemetry)
{
    telemetry->finishing = true;
    telemetry->traces.retry_ms = telemetry->figures.retry_ms = 0;
    telemetry_turn(telemetry);
}

bool telemetry_finish(struct telemetry *telemetry)
{
    if (!telemetry->finishing)
        begin_to_finish(telemetry);
    bool spans = telemetry->tracer && telemetry->tracer->waiting;
    bool figures = telemetry->settings.urls[TELEMETRY_METRICS] && !telemetry->last_figures;
    return !spans && !figures && !telemetry->refreshing &&
           !telemetry_signal_busy(&telemetry->traces) &&
           !telemetry_signal_busy(&telemetry->figures);
}
