/* What happened between two samples, and who comes first in the picture. */
#include "cli/top.h"

#include <math.h>
#include <stdlib.h>

static const bool counts[] = {
#define X(name, metric, counts) counts,
    TOP_FIGURES(X)
#undef X
};

/* A server that was started anew begins to count again. */
static double rate(double now, double before, double seconds)
{
    return now >= before && seconds > 0 ? (now - before) / seconds : NAN;
}

/* ---- the same one, before: both lists are by id ---- */

static const struct top_client *client_before(const struct top_sample *before, uint64_t id,
                                              size_t *at)
{
    while (*at < before->client_count && before->clients[*at].id < id)
        ++*at;
    return *at < before->client_count && before->clients[*at].id == id ? &before->clients[*at]
                                                                       : NULL;
}

static int by_window_id(const void *one, const void *other)
{
    uint64_t a = ((const struct top_window *)one)->id, b = ((const struct top_window *)other)->id;
    return a < b ? -1 : a > b;
}

static int by_client_id(const void *one, const void *other)
{
    uint64_t a = ((const struct top_client *)one)->id, b = ((const struct top_client *)other)->id;
    return a < b ? -1 : a > b;
}

static void compare_clients(struct top_sample *sample, const struct top_sample *before,
                            double seconds)
{
    size_t at = 0;
    for (size_t i = 0; i < sample->client_count; i++) {
        struct top_client *client = &sample->clients[i];
        const struct top_client *was = client_before(before, client->id, &at);
        if (was)
            client->sent_rate = rate(client->sent, was->sent, seconds);
    }
}

static void compare_windows(struct top_sample *sample, const struct top_sample *before,
                            double seconds)
{
    size_t at = 0;
    for (size_t i = 0; i < sample->window_count; i++) {
        struct top_window *window = &sample->windows[i];
        while (at < before->window_count && before->windows[at].id < window->id)
            at++;
        if (at == before->window_count || before->windows[at].id != window->id)
            continue;
        const struct top_window *was = &before->windows[at];
        window->refresh_rate = rate(window->refreshes, was->refreshes, seconds);
        window->read_rate = rate(window->rows_read, was->rows_read, seconds);
        window->ms_rate = rate(window->ms, was->ms, seconds);
    }
}

/* ---- who comes first ---- */

static int descending(double one, double other)
{
    return one > other ? -1 : one < other;
}

static int by_lag(const void *one, const void *other)
{
    const struct top_client *a = one, *b = other;
    int order = descending((double)a->behind, (double)b->behind);
    order = order ? order : descending(a->queued, b->queued);
    order = order ? order
                  : descending(isnan(a->sent_rate) ? 0 : a->sent_rate,
                               isnan(b->sent_rate) ? 0 : b->sent_rate);
    return order ? order : by_client_id(one, other);
}

static int by_cost(const void *one, const void *other)
{
    const struct top_window *a = one, *b = other;
    int order = descending(isnan(a->ms_rate) ? 0 : a->ms_rate, isnan(b->ms_rate) ? 0 : b->ms_rate);
    order = order ? order : descending(a->ms, b->ms);
    return order ? order : by_window_id(one, other);
}

/* ---- all of it ---- */

static void sort(void *list, size_t count, size_t size, int (*order)(const void *, const void *))
{
    if (count)
        qsort(list, count, size, order);
}

void top_compare(struct top_sample *sample, struct top_sample *before)
{
    double seconds = before ? (double)(sample->us - before->us) / 1e6 : 0;
    if (before) {
        for (size_t i = 0; i < TOP_FIGURE_COUNT; i++)
            if (counts[i])
                sample->rates[i] = rate(sample->figures[i], before->figures[i], seconds);
        sort(before->clients, before->client_count, sizeof *before->clients, by_client_id);
        sort(before->windows, before->window_count, sizeof *before->windows, by_window_id);
        compare_clients(sample, before, seconds);
        compare_windows(sample, before, seconds);
    }
    sort(sample->clients, sample->client_count, sizeof *sample->clients, by_lag);
    sort(sample->windows, sample->window_count, sizeof *sample->windows, by_cost);
}
