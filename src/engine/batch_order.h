/*
 * Batches of a pipeline in order, across refusals.
 *
 * A producer numbers its batches. A batch that is not above the last committed number counts as a
 * repetition. Batch 5 may be refused while 6 is already under way behind it. Then 6 must not be
 * applied: the 5 that is sent again would count as a repetition, and be lost silently.
 *
 * Each stage of the way in that can refuse (the decoder, the writer) keeps one of these per
 * pipeline, and consults it in the order in which requests pass. Stages need not know of each
 * other: behind a refused batch nothing with a higher number leaves a stage before that number, or
 * a lower one, has left it. One thread at a time.
 */
#ifndef ENGINE_BATCH_ORDER_H
#define ENGINE_BATCH_ORDER_H

#include "base/base.h"

struct submission;

/* A producer whose batch was refused. */
struct batch_hold {
    char *producer; /* heap copy */
    size_t length;
    int64_t number; /* the lowest that was refused */
};

enum { BATCH_ORDER_HOLDS = 64 };

/* Zeroed, it holds nothing. */
struct batch_order {
    struct batch_hold *holds;
    size_t count;
    /* The refused batch could not be read, or not be remembered, so no numbered batch passes. Who
     * cannot read a message sets it. */
    bool unknown;
};

void batch_order_fini(struct batch_order *order);
/* Below, NULL is an order that holds nothing. */

/* Whether the submission may pass; false with ERROR_OUT_OF_ORDER, which names the batch to send
 * again. A submission that passes ends the holds that it answers. */
bool batch_order_admit(struct batch_order *order, const struct submission *submission,
                       struct error *error);
/* The submission was refused: hold later batches of its producers. */
void batch_order_refuse(struct batch_order *order, const struct submission *submission);

#endif
