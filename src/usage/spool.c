/*
 * Events on their way into the database. They are gathered for a second, or until there are many,
 * and handed to the writer as one job; one job at a time, so that mutations are not held up. Events
 * that the disk does not take are tried again, and kept in memory meanwhile, up to a limit.
 */
#include "usage/usage_internal.h"

enum { RETRY_MS = 1000, TRIM_STEP = 1000 };

struct usage_batch {
    struct write_job job;
    struct usage *usage;
    struct usage_batch *next;
    struct buffer text; /* the events, one behind the other */
    struct {
        int64_t at;
        size_t end;
    } events[USAGE_BATCH_EVENTS];
    size_t count;
    int64_t max_rows, max_bytes;
    /* found */
    struct store_usage_state state;
    int64_t dropped;
};

static void batch_free(struct usage_batch *batch)
{
    buffer_fini(&batch->text);
    memory_free(batch);
}

void usage_spool_fini(struct usage_spool *spool)
{
    if (spool->open)
        batch_free(spool->open);
    while (spool->first) {
        struct usage_batch *batch = spool->first;
        spool->first = batch->next;
        batch_free(batch);
    }
}

/* ---- on the writer ---- */

static bool run(struct write_job *job, struct store_writer *store, struct error *error)
{
    struct usage_batch *batch = (struct usage_batch *)job;
    int64_t dropped = store_writer_state(store).usage->dropped;
    size_t from = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct store_usage_event event = {
            .at = batch->events[i].at,
            .event = span_make(batch->text.data + from, batch->events[i].end - from)};
        if (!store_usage_put(store, &event, error))
            return false;
        from = batch->events[i].end;
    }
    if (!store_usage_trim(store, batch->max_rows, batch->max_bytes,
                          (int64_t)batch->count * 2 + TRIM_STEP, error))
        return false;
    batch->state = *store_writer_state(store).usage;
    batch->dropped = batch->state.dropped - dropped;
    return true;
}

/* ---- on the loop ---- */

static void forget(struct usage *usage, struct usage_batch *batch)
{
    usage->spool.events -= batch->count;
    usage->spool.bytes -= batch->text.length;
    batch_free(batch);
}

void usage_note_spool(struct usage *usage, const struct store_usage_state *state)
{
    usage->spool.is_known = true;
    usage->metrics.spool_rows = state->rows;
    usage->metrics.spool_bytes = state->bytes;
}

static void spooled(struct usage *usage, struct usage_batch *batch)
{
    struct usage_metrics *metrics = &usage->metrics;
    counter_add(&metrics->spooled, batch->count);
    counter_add(&metrics->dropped, (uint64_t)batch->dropped);
    usage_note_spool(usage, &batch->state);
    if (batch->dropped)
        log_warning("usage", "events-dropped", log_number("events", batch->dropped),
                    log_text("cause", "the spool is full"));
    usage->delivery.waiting += (int64_t)batch->count;
    usage->delivery.news += (int64_t)batch->count;
    forget(usage, batch);
}

static void not_spooled(struct usage *usage, struct usage_batch *batch)
{
    struct usage_spool *spool = &usage->spool;
    log_warning("usage", "spool-failed", log_number("events", batch->count),
                log_text("error", batch->job.error.message));
    if (usage->closing) {
        counter_add(&usage->metrics.dropped, batch->count);
        log_error("usage", "events-lost", log_number("events", batch->count),
                  log_text("cause", "the server stops"));
        forget(usage, batch);
        return;
    }
    batch->next = spool->first;
    if (!spool->first)
        spool->last = &batch->next;
    spool->first = batch;
    spool->retry_ms = usage_now(usage) + RETRY_MS;
}

static void deliver(struct engine_event *event)
{
    struct usage_batch *batch = (struct usage_batch *)event;
    struct usage *usage = batch->usage;
    usage->spool.writing--;
    if (batch->job.error.code == ERROR_NONE)
        spooled(usage, batch);
    else
        not_spooled(usage, batch);
    if (!usage->closing)
        usage->options.wake(usage->options.argument);
}

static struct usage_batch *batch_new(struct usage *usage)
{
    struct usage_batch *batch = memory_new(sizeof *batch);
    if (!batch)
        return NULL;
    batch->usage = usage;
    batch->job.run = run;
    batch->job.event.deliver = deliver;
    buffer_init(&batch->text, USAGE_PENDING_BYTES);
    return batch;
}

static void close_batch(struct usage_spool *spool)
{
    struct usage_batch *batch = spool->open;
    if (!batch)
        return;
    spool->open = NULL;
    batch->next = NULL;
    *spool->last = batch;
    spool->last = &batch->next;
}

/* The first of the closed ones goes to the writer. False: it cannot take any. */
static bool submit(struct usage *usage)
{
    struct usage_spool *spool = &usage->spool;
    struct usage_batch *batch = spool->first;
    batch->max_rows = usage->options.spool_rows;
    batch->max_bytes = usage->options.spool_bytes;
    if (!engine_write(usage->options.engine, &batch->job))
        return false;
    spool->first = batch->next;
    if (!spool->first)
        spool->last = &spool->first;
    spool->writing++;
    return true;
}

void usage_spool_turn(struct usage *usage, uint64_t now)
{
    struct usage_spool *spool = &usage->spool;
    if (spool->writing || now < spool->retry_ms)
        return;
    if (!spool->first && (usage->finishing || now - spool->opened_ms >= USAGE_SPOOL_MS))
        close_batch(spool);
    if (spool->first)
        submit(usage);
}

void usage_spool_flush(struct usage *usage)
{
    struct usage_spool *spool = &usage->spool;
    close_batch(spool);
    while (spool->first && submit(usage))
        continue;
}

static bool add(struct usage *usage, struct span event)
{
    struct usage_spool *spool = &usage->spool;
    if (spool->events >= USAGE_PENDING_EVENTS || spool->bytes >= USAGE_PENDING_BYTES)
        return false;
    if (!spool->open) {
        spool->open = batch_new(usage);
        spool->opened_ms = usage_now(usage);
    }
    struct usage_batch *batch = spool->open;
    size_t before = batch ? batch->text.length : 0;
    if (!batch || !buffer_add_span(&batch->text, event)) {
        if (batch) {
            batch->text.length = before;
            batch->text.failed = false;
        }
        return false;
    }
    batch->events[batch->count].at = usage->options.wall_ms(usage->options.argument);
    batch->events[batch->count++].end = batch->text.length;
    spool->events++;
    spool->bytes += event.length;
    if (batch->count == USAGE_BATCH_EVENTS)
        close_batch(spool);
    return true;
}

void usage_spool_add(struct usage *usage, struct span event)
{
    if (!add(usage, event)) {
        counter_add(&usage->metrics.dropped, 1);
        log_warning("usage", "events-dropped", log_word("events", "1"),
                    log_text("cause", "too many wait for the disk"));
        return;
    }
    if (usage->spool.first && !usage->spool.writing && !usage->closing)
        usage_spool_turn(usage, usage_now(usage));
}
