/* The requests of ingest.c, for publish.c. Never included from outside. */
#ifndef INGEST_INTERNAL_H
#define INGEST_INTERNAL_H

#include "ingest/ingest.h"
#include "ingest/sent_order.h"

#include <stdatomic.h>

enum { INGEST_FULL_WAIT_MS = 2 };

/* Counted, because requests on their way point to it after its owner has gone. */
struct ingest_stream {
    uint32_t references;        /* loop thread only: requests are made and answered there */
    struct batch_order decoder; /* decoder thread only */
    struct batch_order writer;  /* the engine's writer only */
    struct sent_order sent;     /* instead of the writer's, in a node of a log */
};

struct ingest_request {
    struct engine_event event; /* in the queue, and to answer when there is no submission */
    struct ingest_stream *stream;
    enum ingest_format format;
    char *body;
    size_t length;
    struct buffer plain;      /* what a compressed body holds */
    struct span subject, key; /* behind the body; absent as in ingest_sender */
    uint64_t sender, share_owner;
    uint64_t received_us;
    struct trace trace;
    ingest_done done;
    void *context;
    struct submission *submission;
    struct span id; /* into the submission, or a copy on the heap */
    struct error error;
    /* in a node of a log */
    struct publication publication;
    struct sent_batch *sent;          /* NULL: it needs no order */
    struct submission_times decoding; /* of the submission that was only looked at */
    char *id_copy;
};

struct ingest {
    struct engine *engine;
    struct ingest_options options;
    struct queue queue;
    pthread_t thread;
    _Atomic uint64_t
        drained_us;      /* drain the engine when the queue is done; since then; 0: not yet */
    atomic_bool closing; /* wait for nothing any more */
};

/* What the request's body holds. */
struct span ingest_body_of(const struct ingest_request *request);
/* Answer, on the loop, by what became of its submission, or by its own error; and free it. */
void ingest_answer(struct ingest_request *request, const struct submission *submission,
                   const struct submission_times *times);
/* publish.c: hand a decoded request over to the log; false: it is refused, with its error. */
bool ingest_publish(struct ingest *ingest, struct ingest_request *request);

#endif
