#include "engine/engine.h"

void batch_order_fini(struct batch_order *order)
{
    for (size_t i = 0; i < order->count; i++)
        memory_free(order->holds[i].producer);
    memory_free(order->holds);
    *order = (struct batch_order){.holds = NULL};
}

static struct batch_hold *find(const struct batch_order *order, struct span producer)
{
    for (size_t i = 0; i < order->count; i++)
        if (span_equal(span_make(order->holds[i].producer, order->holds[i].length), producer))
            return &order->holds[i];
    return NULL;
}

static bool may_pass(const struct batch_order *order, const struct submission_batch *batch,
                     struct error *error)
{
    if (order->unknown)
        return error_set(error, ERROR_OUT_OF_ORDER,
                         "a request before this one could not be read, so it is not known which "
                         "batch it was: connect again and send what was not acknowledged");
    const struct batch_hold *hold = find(order, batch->producer);
    if (!hold || batch->number <= hold->number)
        return true;
    return error_set(error, ERROR_OUT_OF_ORDER,
                     "batch %lld of producer \"%.*s\" comes after batch %lld, which was refused: "
                     "send again from batch %lld on",
                     (long long)batch->number, (int)batch->producer.length, batch->producer.data,
                     (long long)hold->number, (long long)hold->number);
}

static void release(struct batch_order *order, struct span producer)
{
    struct batch_hold *hold = find(order, producer);
    if (!hold)
        return;
    memory_free(hold->producer);
    *hold = order->holds[--order->count];
}

bool batch_order_admit(struct batch_order *order, const struct submission *submission,
                       struct error *error)
{
    if (!order || (!order->count && !order->unknown))
        return true;
    /* First all questions, then all consequences: a submission passes whole or not at all. */
    for (size_t i = 0; i < submission->batch_count; i++)
        if (submission->batches[i].producer.data &&
            !may_pass(order, &submission->batches[i], error))
            return false;
    for (size_t i = 0; i < submission->batch_count; i++)
        if (submission->batches[i].producer.data)
            release(order, submission->batches[i].producer);
    return true;
}

/* A hold that cannot be kept becomes one on everything: refusing too much is safe. */
static void hold(struct batch_order *order, const struct submission_batch *batch)
{
    struct batch_hold *known = find(order, batch->producer);
    if (known) {
        if (batch->number < known->number)
            known->number = batch->number;
        return;
    }
    if (!order->holds)
        order->holds = memory_new(BATCH_ORDER_HOLDS * sizeof *order->holds);
    char *producer = NULL;
    if (order->holds && order->count < BATCH_ORDER_HOLDS)
        producer = memory_copy_string(batch->producer.data, batch->producer.length);
    if (!producer) {
        order->unknown = true;
        return;
    }
    order->holds[order->count++] = (struct batch_hold){
        .producer = producer, .length = batch->producer.length, .number = batch->number};
}

void batch_order_refuse(struct batch_order *order, const struct submission *submission)
{
    for (size_t i = 0; order && i < submission->batch_count; i++)
        if (submission->batches[i].producer.data)
            hold(order, &submission->batches[i]);
}
