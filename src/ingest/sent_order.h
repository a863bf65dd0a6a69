/*
 * Batches of a connection that are published one behind the other. Whether one is refused is known
 * only when the log is applied, on every node alike; what was published behind it must be refused
 * then, too (see engine/batch_order.h for why). So each batch travels with the number of the one
 * that its connection sent before it: `after`. It is applied only if that one was committed.
 *
 * The greatest smaller number counts, of those that are under way and the lowest refused one. One
 * that was not answered in time counts as refused: if it was stored nevertheless, the batches
 * behind it are applied. A batch at or below a refused one ends that refusal.
 *
 * The decoder adds, the loop ends.
 */
#ifndef INGEST_SENT_ORDER_H
#define INGEST_SENT_ORDER_H

#include "base/base.h"

#include <pthread.h>

struct sent_producer;

struct sent_batch {
    struct sent_batch *next;
    struct sent_producer *producer;
    int64_t number;
};

enum { SENT_PRODUCERS = 64 }; /* with a refused batch, that one connection is remembered for */

struct sent_order {
    pthread_mutex_t lock;
    struct sent_producer *producers;
    size_t refused; /* producers with a refused batch */
    bool unknown;   /* a refused one is not remembered: no batch passes */
};

void sent_order_init(struct sent_order *order);
/* Nothing is under way any more. */
void sent_order_fini(struct sent_order *order);
/* A batch is to be published: *after is the number that it must come behind, -1: any. NULL with
 * ERROR_MEMORY or ERROR_OUT_OF_ORDER. */
struct sent_batch *sent_order_add(struct sent_order *order, struct span producer, int64_t number,
                                  int64_t *after, struct error *error);
/* It was committed, now or before; or it was refused, or nobody knows. */
void sent_order_end(struct sent_order *order, struct sent_batch *batch, bool committed);

#endif
