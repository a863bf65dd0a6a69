/*
 * source: how mutations come in. Bytes in, reply out; it knows no socket library. A request is
 * decoded on a thread of its own, bounded, submitted to the engine, and answered on the loop
 * thread after its commit is on disk.
 *
 *   HTTP body / WebSocket message --> [queue] --> decoder --> engine --> reply, on the loop
 *
 * Requests are decoded and submitted in the order in which they were handed over.
 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include "engine/engine.h"

struct source;
struct source_lane;

enum source_format {
    SOURCE_LINES,      /* NDJSON: a mutation or a batch a line; POST /v1/mutations */
    SOURCE_LINES_GZIP, /* the same, compressed */
    SOURCE_MESSAGE     /* one JSON text: {"id":…,"mutations":[…],…}; /v1/ingest */
};

struct source_options {
    size_t max_request_bytes; /* larger: ERROR_TOO_LARGE */
    uint32_t max_depth;       /* of a patch */
    size_t max_key_bytes;
    size_t queue_bytes, queue_count; /* requests that wait to be decoded */
    /* SHA-256, for requests with a key. Any thread. */
    bool (*digest)(struct span bytes, unsigned char out[32]);
};

enum {
    SOURCE_MAX_KEY = 255,          /* bytes of an Idempotency-Key */
    SOURCE_LONGEST_KEY = 64 * 1024 /* of an entity, whatever max_key_bytes says; for deletes */
};

/* Who sends a request. */
struct source_sender {
    /* Whose producers it may move: absent: there is no authentication; empty: the program itself */
    struct span subject;
    struct span key; /* Idempotency-Key; absent: none */
    /* See struct submission. */
    uint64_t number, share_owner;
};

/* What became of a request. Spans live until the callback returns. */
struct source_reply {
    struct error error; /* ERROR_NONE: committed, the counts hold */
    struct span id;     /* SOURCE_MESSAGE: canonical JSON of "id"; absent when it had none */
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
    struct span answer; /* as it was given when the request was committed before, under its key */
};

typedef void (*source_done)(void *context, const struct source_reply *reply);

struct source *source_open(struct engine *engine, const struct source_options *options,
                           struct error *error);

/*
 * A pipeline of requests, e.g. one connection: behind a refused batch of a producer, later ones
 * of the same lane are refused too (ERROR_OUT_OF_ORDER) until the refused one comes again, because
 * it would else be taken for a repetition (see engine/batch_order.h). NULL when out of memory.
 * Loop thread.
 */
struct source_lane *source_lane_new(void);
/* Requests that are on their way keep what they need of it. */
void source_lane_free(struct source_lane *lane);

/*
 * Hand a request over; `body` and what `sender` has are copied, `lane` may be NULL. true: `done`
 * will be called once, later, on the loop thread. false, at once and without a callback:
 * ERROR_TOO_LARGE, ERROR_QUEUE_FULL, ERROR_SHUTTING_DOWN or ERROR_MEMORY. (What the disk refuses
 * comes back through `done`, since only a decoded request can be answered by its id.) Loop thread.
 */
bool source_submit(struct source *source, const struct source_sender *sender,
                   struct source_lane *lane, enum source_format format, struct span body,
                   source_done done, void *context, struct error *error);
/*
 * source_submit for the program that stele is a part of, which bounds what waits by itself and may
 * move every producer: without a lane, never ERROR_QUEUE_FULL.
 * `body` (of memory_alloc) is taken over when this returns true.
 */
bool source_submit_counted(struct source *source, enum source_format format, char *body,
                           size_t length, source_done done, void *context, struct error *error);
/* What of the queue a request of that length takes. */
size_t source_request_bytes(size_t length);
/* Whether a text may be an Idempotency-Key: 1 to SOURCE_MAX_KEY printable ASCII characters. */
bool source_key_check(struct span key, struct error *error);
/*
 * A message was refused before it got here (it was binary, say): it takes its turn in the lane, is
 * answered with `refusal`, and holds the numbered batches behind it, because nobody knows which
 * batch it was. The rest is as for source_submit.
 */
bool source_submit_refused(struct source *source, struct source_lane *lane,
                           const struct error *refusal, source_done done, void *context,
                           struct error *error);
/* How full the way in is, 0 to 1: callers stop reading their pipes above a half. */
double source_pressure(struct source *source);
/* No more requests; what is queued is decoded and submitted, then the engine is drained
 * (engine_drain). Returns at once. */
void source_drain(struct source *source);
/* Stop the thread and free; before engine_close. Callbacks that are still due are called by
 * engine_close. */
void source_close(struct source *source);

/* The decoder itself, pure: fills a submission (made by source_submission) from a request. When it
 * fails, *id and the batches that could be read are filled in all the same. */
bool source_decode(const struct source_options *options, enum source_format format,
                   struct span body, struct submission *submission, struct span *id,
                   struct error *error);
/* A submission with room for a body of that length; NULL when out of memory. */
struct submission *source_submission(size_t body_length);

/* Append a reply as JSON: {"applied":…,"ignored":…,"duplicate":…,"seq":…} or the fields of an error
 * for SOURCE_LINES, {"ack":id,…} or {"nack":id,"error":{…}} for SOURCE_MESSAGE. */
bool source_reply_print(struct buffer *out, enum source_format format,
                        const struct source_reply *reply);

#endif
