/*
 * Counters and histograms that any thread may add to, and their text for Prometheus. The
 * descriptors are one table, which the code of /metrics gives to whoever wants its figures.
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include "base/buffer.h"

#include <stdatomic.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t value;
};

static inline void counter_add(struct counter *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(&counter->value, amount, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

/* Durations in microseconds. Bucket i counts those below 2^i times the smallest bucket, the last
 * one all others: with the usual 50 µs that is up to 13 s. */
enum { HISTOGRAM_BUCKETS = 20, HISTOGRAM_SMALLEST_US = 50 };

struct histogram {
    uint32_t smallest_us; /* set before use; 0: HISTOGRAM_SMALLEST_US */
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_us;
};

void histogram_add(struct histogram *histogram, uint64_t duration_us);

/*
 * Where figures go, one metric after the other: `begin` (`type` is "counter", "gauge" or
 * "histogram"), and then its samples, or its one histogram. A sample has one label or none (`label`
 * NULL).
 */
struct metric_sink {
    void (*begin)(struct metric_sink *sink, const char *name, const char *type, const char *help);
    void (*sample)(struct metric_sink *sink, const char *label, struct span value, double number);
    void (*histogram)(struct metric_sink *sink, const struct histogram *histogram);
};

/* Figures as the text for Prometheus: a histogram with cumulative buckets, in seconds, their sum
 * and their count. */
struct metric_text {
    struct metric_sink sink;
    struct buffer *out;
    const char *name;
};
void metric_text_init(struct metric_text *text, struct buffer *out);

#endif
