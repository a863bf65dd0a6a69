/* Shared by the files of telemetry; see telemetry.h. */
#ifndef TELEMETRY_TELEMETRY_INTERNAL_H
#define TELEMETRY_TELEMETRY_INTERNAL_H

#include "telemetry/telemetry.h"

enum {
    TELEMETRY_BATCH = 512,     /* spans in one request */
    TELEMETRY_SPANS_MS = 1000, /* for which fewer wait for others */
    TELEMETRY_SPANS_BYTES = 1 << 20,
    TELEMETRY_FIGURES_BYTES = 16 << 20,
    TELEMETRY_ATTEMPTS = 5,
    TELEMETRY_BACK_OFF_MS = 1000, /* after the first failure, doubled by each further one */
    TELEMETRY_RETRY_AFTER_MOST_MS = 300 * 1000
};

/* ---- settings.c ---- */

struct telemetry_settings {
    char *urls[2];  /* by enum telemetry_kind; NULL: nothing of that is sent */
    char *headers;  /* as outbound_request has them; NULL: none */
    char *resource; /* JSON: what all that is sent is about */
    int64_t timeout_ms, metrics_ms;
    struct trace_rule rule;
};

/* False with an error; what was taken is freed by telemetry_settings_fini in any case. */
bool telemetry_settings_read(struct telemetry_settings *settings, const struct config *config,
                             struct error *error);
void telemetry_settings_fini(struct telemetry_settings *settings);

/* ---- spans.c ---- */

/* What monotonic times are in nanoseconds since 1970: so many are to be added. */
int64_t telemetry_wall_offset_ns(void);
/* Append {"key":…,"value":{…}}; the first span is the key, the second a text. */
void telemetry_add_attribute(struct buffer *out, struct span key, struct span value);
/* Take up to TELEMETRY_BATCH spans off the tracer, as the body of a request. Returns how many; the
 * buffer has failed if memory or its limit was not enough for them. */
size_t telemetry_print_spans(struct buffer *out, const char *resource, struct tracer *tracer);

/* ---- figures.c ---- */

/* Prints what it is given as the body of a request: init, figures, end. */
struct telemetry_figures {
    struct metric_sink sink;
    struct buffer *out;
    uint64_t start_ns, now_ns;
    const char *name;
    size_t points; /* of the present metric */
    bool is_counter, open;
};
void telemetry_figures_init(struct telemetry_figures *figures, struct buffer *out,
                            const char *resource, uint64_t start_ns, uint64_t now_ns);
void telemetry_figures_end(struct telemetry_figures *figures);

/* ---- signal.c ---- */

enum telemetry_kind { TELEMETRY_TRACES, TELEMETRY_METRICS };

/* What is sent to one endpoint, one body after the other. */
struct telemetry_signal {
    struct telemetry *telemetry;
    enum telemetry_kind kind;
    struct buffer body; /* to be sent, or under way; empty: nothing is */
    size_t items;       /* spans in it */
    bool under_way;
    unsigned attempts; /* that failed, of this body */
    uint64_t retry_ms; /* not before */
    bool failing;      /* the last request failed: the next success is told */
};

void telemetry_signal_init(struct telemetry_signal *signal, struct telemetry *telemetry,
                           enum telemetry_kind kind);
/* Send the body, if it is time for that. */
void telemetry_signal_send(struct telemetry_signal *signal);
/* Make room for a newer body, which is not sent before the present one would have been. */
void telemetry_signal_renew(struct telemetry_signal *signal);
/* Forget the body, which is not under way. `taken`: else its spans count as dropped. */
void telemetry_signal_drop(struct telemetry_signal *signal, bool taken);
static inline bool telemetry_signal_busy(const struct telemetry_signal *signal)
{
    return signal->body.length > 0;
}

/* ---- all of it ---- */

struct telemetry {
    struct telemetry_settings settings;
    struct telemetry_context context; /* zeroed until it starts */
    struct tracer *tracer;            /* NULL: no traces */
    struct telemetry_signal traces, figures;
    struct telemetry_metrics metrics;
    uint64_t random;     /* of the pauses between attempts */
    uint64_t start_us;   /* since when the figures count: monotonic */
    int64_t offset_ns;   /* telemetry_wall_offset_ns, as it was when the clock was last set */
    uint64_t spans_ms;   /* when spans were last taken */
    uint64_t figures_ms; /* when figures are due */
    bool refreshing;     /* they were asked for */
    bool finishing;
    bool last_figures; /* were asked for, while it finishes */
};

#endif
