#include "ingest/sent_order.h"

struct sent_producer {
    struct sent_producer *next;
    struct sent_batch *batches; /* under way */
    int64_t refused;            /* the lowest; -1: none */
    size_t length;
    char name[];
};

void sent_order_init(struct sent_order *order)
{
    *order = (struct sent_order){.producers = NULL};
    pthread_mutex_init(&order->lock, NULL);
}

void sent_order_fini(struct sent_order *order)
{
    while (order->producers) {
        struct sent_producer *next = order->producers->next;
        INVARIANT(!order->producers->batches);
        memory_free(order->producers);
        order->producers = next;
    }
    pthread_mutex_destroy(&order->lock);
}

static struct sent_producer *producer_of(struct sent_order *order, struct span name)
{
    struct sent_producer *producer = order->producers;
    while (producer && !span_equal(span_make(producer->name, producer->length), name))
        producer = producer->next;
    if (producer)
        return producer;
    producer = memory_new(sizeof *producer + name.length);
    if (!producer)
        return NULL;
    memcpy(producer->name, name.data, name.length);
    producer->length = name.length;
    producer->refused = -1;
    producer->next = order->producers;
    order->producers = producer;
    return producer;
}

/* Forget one of which nothing is known any more. */
static void tidy(struct sent_order *order, struct sent_producer *producer)
{
    struct sent_producer **at = &order->producers;
    if (producer->batches || producer->refused >= 0)
        return;
    while (*at != producer)
        at = &(*at)->next;
    *at = producer->next;
    memory_free(producer);
}

static int64_t greatest_below(const struct sent_producer *producer, int64_t number)
{
    int64_t found = producer->refused < number ? producer->refused : -1;
    for (const struct sent_batch *batch = producer->batches; batch; batch = batch->next)
        if (batch->number < number && batch->number > found)
            found = batch->number;
    return found;
}

static void forgive(struct sent_order *order, struct sent_producer *producer)
{
    if (producer->refused >= 0)
        order->refused--;
    producer->refused = -1;
}

static struct sent_batch *add(struct sent_order *order, struct span name, int64_t number,
                              int64_t *after, struct error *error)
{
    struct sent_batch *batch = memory_new(sizeof *batch);
    struct sent_producer *producer = batch ? producer_of(order, name) : NULL;
    if (!producer) {
        memory_free(batch);
        error_set(error, ERROR_MEMORY, "out of memory while taking a request");
        return NULL;
    }
    *after = greatest_below(producer, number);
    if (number <= producer->refused)
        forgive(order, producer);
    *batch = (struct sent_batch){producer->batches, producer, number};
    producer->batches = batch;
    return batch;
}

struct sent_batch *sent_order_add(struct sent_order *order, struct span producer, int64_t number,
                                  int64_t *after, struct error *error)
{
    struct sent_batch *batch = NULL;
    pthread_mutex_lock(&order->lock);
    if (order->unknown)
        error_set(error, ERROR_OUT_OF_ORDER,
                  "batches of too many producers were refused on this connection: connect again "
                  "and send what was not acknowledged");
    else
        batch = add(order, producer, number, after, error);
    pthread_mutex_unlock(&order->lock);
    return batch;
}

static void note_refused(struct sent_order *order, struct sent_producer *producer, int64_t number)
{
    if (producer->refused >= 0) {
        producer->refused = number < producer->refused ? number : producer->refused;
    } else if (order->refused == SENT_PRODUCERS) {
        order->unknown = true;
    } else {
        producer->refused = number;
        order->refused++;
    }
}

void sent_order_end(struct sent_order *order, struct sent_batch *batch, bool committed)
{
    pthread_mutex_lock(&order->lock);
    struct sent_producer *producer = batch->producer;
    struct sent_batch **at = &producer->batches;
    while (*at != batch)
        at = &(*at)->next;
    *at = batch->next;
    if (!committed)
        note_refused(order, producer, batch->number);
    else if (batch->number >= producer->refused)
        forgive(order, producer);
    tidy(order, producer);
    pthread_mutex_unlock(&order->lock);
    memory_free(batch);
}
