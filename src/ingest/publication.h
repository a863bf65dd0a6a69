/*
 * Publications: requests that do not go to the engine here, but through the log that this node
 * follows (docs/cluster.md). Every node applies them, this one too, and only then they are
 * answered.
 *
 * Ingest, and whoever else makes one, knows the log by struct publication_log alone.
 */
#ifndef INGEST_PUBLICATION_H
#define INGEST_PUBLICATION_H

#include "base/link.h"
#include "engine/engine.h"

enum publication_form {
    PUBLICATION_LINES,   /* as INGEST_LINES; also that of a message that no node made */
    PUBLICATION_MESSAGE, /* as INGEST_MESSAGE */
    PUBLICATION_REVOKE,  /* {"jti":…,"expires_at":…}: a token is revoked */
    PUBLICATION_FORGET,  /* {"producer":…}: the subject's producer is forgotten */
    PUBLICATION_FORMS
};

/* Embed it in what waits for the answer. */
struct publication {
    struct engine_event event; /* by which a failure comes to the loop */
    enum publication_form form;
    struct span body;         /* outlives the publication, like the two below */
    struct span subject, key; /* as in struct ingest_sender */
    size_t beside;            /* bytes that are kept for it, beside these */
    /* The batch is applied only if its producer's last committed one is this or a later one. */
    bool has_after;
    int64_t after;
    /* Called once, on the loop thread: this node has applied or refused it, as every node does; or
     * NULL: *error says why that is not known. */
    void (*answer)(struct publication *publication, const struct submission *applied);
    struct error *error; /* outlives the publication, too */
    /* the log's */
    struct link in_order;
    struct publication *in_bucket;
    uint64_t number, put_us;
    size_t bytes;
    uint64_t sent_us; /* 0: it was not */
    int64_t stored;   /* its sequence, when a broker has said it; 0 before */
};

struct publication_log {
    /* Hand a publication over; false, and it stays the caller's: nothing of it was published.
     * ERROR_QUEUE_FULL, ERROR_LOG_UNAVAILABLE, ERROR_NODE_BEHIND, ERROR_SHUTTING_DOWN,
     * ERROR_NOT_IMPLEMENTED or an error of the disk. Any thread. */
    bool (*publish)(void *argument, struct publication *publication, struct error *error);
    /* Take no more, and return when all are answered, or can be no more; after some seconds. Not on
     * the loop thread, which answers them. */
    void (*settle)(void *argument);
    void *argument;
};

#endif
