/*
 * ingest: how mutations come in. Bytes in, reply out; it knows no socket library. A request is
 * decoded on a thread of its own, bounded, submitted to the engine, and answered on the loop
 * thread after its commit is on disk.
 *
 *   HTTP body / WebSocket message --> [queue] --> decoder --> engine --> reply, on the loop
 *
 * In a node of a log the decoder publishes the request instead, and it is answered when this node
 * has applied it (publication.h).
 *
 * Requests are decoded and submitted in the order in which they were handed over.
 */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include "engine/engine.h"
#include "ingest/publication.h"
#include "trace/trace.h"

struct ingest;
struct ingest_stream;

enum ingest_format {
    INGEST_LINES,      /* NDJSON: a mutation or a batch a line; POST /v1/mutations */
    INGEST_LINES_GZIP, /* the same, compressed */
    INGEST_MESSAGE     /* one JSON text: {"id":…,"mutations":[…],…}; /v1/ingest */
};

struct ingest_options {
    size_t max_request_bytes; /* larger: ERROR_TOO_LARGE */
    uint32_t max_depth;       /* of a patch */
    size_t max_key_bytes;
    size_t queue_bytes, queue_count; /* requests that wait to be decoded */
    /* Why nothing is taken in, as all comes from another server; NULL: it is taken in. Outlives the
     * ingest, as the log does. */
    const char *refusal;
    /* The log through which all goes; NULL: there is none. */
    const struct publication_log *log;
    /* SHA-256, for requests with a key. Any thread. */
    bool (*digest)(struct span bytes, unsigned char out[32]);
};

enum {
    INGEST_LONGEST_KEY = 64 * 1024 /* of an entity, whatever max_key_bytes says; for deletes */
};

/* The sender of a request. */
struct ingest_sender {
    /* Whose producers it may move: absent: there is no authentication; empty: the program itself */
    struct span subject;
    struct span key; /* Idempotency-Key; absent: none */
    /* See struct submission. */
    uint64_t number, share_owner;
    struct trace trace; /* of the request; a message that names a parent puts it below that */
};

/* What a sampled request took. */
struct ingest_traced {
    struct trace trace;
    uint64_t received_us;
    size_t bytes;                         /* of its body, as it came */
    const struct submission_times *times; /* NULL: it never was a submission */
};

/* The outcome of a request. Spans live until the callback returns. */
struct ingest_reply {
    struct error error; /* ERROR_NONE: committed, the counts hold */
    struct span id;     /* INGEST_MESSAGE: canonical JSON of "id"; absent when it had none */
    uint64_t applied, ignored, duplicate;
    uint64_t stale;     /* not newer, and only for what is older */
    uint64_t truncated; /* of the applied: those that cost an array elements */
    bool has_seq;
    struct seq seq;
    bool has_last; /* a batch was passed over or out of order: the last committed one, or -1 */
    int64_t last_batch;
    struct span last_mark;              /* and its mark; absent: none */
    const struct span *unknown_exports; /* some of those that mutations were ignored for */
    size_t unknown_count;
    /* Of a sampled request, what there is to tell of it; NULL: nothing. */
    const struct ingest_traced *traced;
    struct span answer; /* as it was given when the request was committed before, under its key */
};

typedef void (*ingest_done)(void *context, const struct ingest_reply *reply);

struct ingest *ingest_open(struct engine *engine, const struct ingest_options *options,
                           struct error *error);

/*
 * A pipeline of requests, e.g. one connection: behind a refused batch of a producer, later ones
 * of the same stream are refused too (ERROR_OUT_OF_ORDER) until the refused one comes again,
 * because it would else be taken for a repetition (see engine/batch_order.h). NULL when out of
 * memory. Loop thread.
 */
struct ingest_stream *ingest_stream_new(void);
/* Requests that are on their way keep what they need of it. */
void ingest_stream_free(struct ingest_stream *stream);

/*
 * Hand a request over; `body` and what `sender` has are copied, `stream` may be NULL. true: `done`
 * will be called once, later, on the loop thread. false, at once and without a callback:
 * ERROR_TOO_LARGE, ERROR_QUEUE_FULL, ERROR_SHUTTING_DOWN or ERROR_MEMORY. (What the disk refuses
 * comes back through `done`, since only a decoded request can be answered by its id.) Loop thread.
 */
bool ingest_submit(struct ingest *ingest, const struct ingest_sender *sender,
                   struct ingest_stream *stream, enum ingest_format format, struct span body,
                   ingest_done done, void *context, struct error *error);
/*
 * ingest_submit for the program that stele is a part of, which bounds what waits by itself and may
 * move every producer: without a stream, never ERROR_QUEUE_FULL.
 * `body` (of memory_alloc) is taken over when this returns true.
 */
bool ingest_submit_counted(struct ingest *ingest, enum ingest_format format, char *body,
                           size_t length, ingest_done done, void *context, struct error *error);
/* Whether a text can be the name of a producer. Any thread. */
bool ingest_is_producer(struct span name);
/* Whether requests are taken in at all; else ERROR_READ_ONLY with the refusal, which is the
 * answer to every request that could be read. Any thread. */
bool ingest_takes(const struct ingest *ingest, struct error *error);
/* The share of the queue that a request of that length takes. */
size_t ingest_request_bytes(size_t length);
/*
 * A message was refused before it got here (it was binary, say): it takes its turn in the stream,
 * is answered with `refusal`, and holds the numbered batches behind it, because nobody knows which
 * batch it was. The rest is as for ingest_submit.
 */
bool ingest_submit_refused(struct ingest *ingest, struct ingest_stream *stream,
                           const struct error *refusal, ingest_done done, void *context,
                           struct error *error);
/* How full the way in is, 0 to 1: callers stop reading their pipes above a half. */
double ingest_pressure(struct ingest *ingest);
/* No more requests; what is queued is decoded and submitted, then the engine is drained
 * (engine_drain). Returns at once. */
void ingest_drain(struct ingest *ingest);
/* Stop the thread and free; before engine_close. Callbacks that are still due are called by
 * engine_close. */
void ingest_close(struct ingest *ingest);

/* The decoder itself, pure: fills a submission (made by ingest_submission) from a request. When it
 * fails, *id and the batches that could be read are filled in all the same. */
bool ingest_decode(const struct ingest_options *options, enum ingest_format format,
                   struct span body, struct submission *submission, struct span *id,
                   struct error *error);
/* A submission with room for a body of that length; NULL when out of memory. */
struct submission *ingest_submission(size_t body_length);
/* Whose it is, and its key, if they are there; `body` is plain. false: out of memory. */
bool ingest_name_sender(const struct ingest_options *options, struct submission *submission,
                        struct span subject, struct span key, struct span body);
/* Whether all of it means something in a log; else ERROR_INVALID_MESSAGE. */
bool ingest_fits_log(const struct submission *submission, struct error *error);

/* Append a reply as JSON: {"applied":…,"ignored":…,"duplicate":…,"seq":…} or the fields of an error
 * for INGEST_LINES, {"ack":id,…} or {"nack":id,"error":{…}} for INGEST_MESSAGE. */
bool ingest_reply_print(struct buffer *out, enum ingest_format format,
                        const struct ingest_reply *reply);

#endif
