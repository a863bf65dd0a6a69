/* The life of usage, and its turns. */
#include "usage/usage_internal.h"

struct usage *usage_new(const struct usage_options *options)
{
    struct usage *usage = memory_new(sizeof *usage);
    if (!usage)
        return NULL;
    usage->options = *options;
    link_init(&usage->due);
    buffer_init(&usage->line, USAGE_EVENT_BYTES);
    usage_spool_init(&usage->spool);
    usage_delivery_init(&usage->delivery, options->seed);
    return usage;
}

void usage_turn(struct usage *usage)
{
    uint64_t now = usage_now(usage);
    if (usage_tell_due(usage, now))
        usage->options.wake(usage->options.argument);
    usage_spool_turn(usage, now);
    usage_delivery_turn(usage, now);
}

void usage_finish(struct usage *usage)
{
    if (usage->finishing)
        return;
    usage->finishing = true;
    usage_turn(usage);
}

bool usage_settled(const struct usage *usage)
{
    const struct usage_spool *spool = &usage->spool;
    bool spooled = !spool->open && !spool->first && !spool->writing;
    return spooled && usage_delivery_settled(&usage->delivery);
}

void usage_flush(struct usage *usage)
{
    usage->closing = true;
    usage_spool_flush(usage);
}

void usage_set_limits(struct usage *usage, int64_t spool_rows, int64_t spool_bytes)
{
    usage->options.spool_rows = spool_rows;
    usage->options.spool_bytes = spool_bytes;
}

void usage_free(struct usage *usage)
{
    if (!usage)
        return;
    usage_spool_fini(&usage->spool);
    usage_delivery_fini(&usage->delivery);
    buffer_fini(&usage->line);
    usage_endpoint_free(usage->endpoint);
    memory_free(usage);
}

const struct usage_metrics *usage_metrics(struct usage *usage)
{
    int64_t oldest = usage_delivery_oldest(&usage->delivery);
    int64_t age = oldest ? usage->options.wall_ms(usage->options.argument) - oldest : 0;
    usage->metrics.oldest_ms = age > 0 ? age : 0;
    return &usage->metrics;
}
