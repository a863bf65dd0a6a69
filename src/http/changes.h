/*
 * GET /v1/changes: the log of changes of all exports, from behind a cursor, for replicas
 * (docs/protocol.md, section 13). An answer ends between two transactions, except where one of them
 * is larger than an answer may be; whoever has all of the log may wait for more.
 */
#ifndef HTTP_CHANGES_H
#define HTTP_CHANGES_H

#include "http/http_internal.h"

/* Something happened beside the changes. */
void http_changes_wake(struct http *http);

/* ---- changes_read.c: one answer, on a reading thread ---- */

struct changes_answer {
    /* what is asked for */
    int64_t after;                 /* change.id, */
    bool at_head;                  /* ... or behind the newest one */
    int64_t limit;                 /* changes; a transaction is not divided by it */
    const char *epoch;             /* of the database, */
    const char *merging;           /* ... and the digest of its settings */
    int64_t since;                 /* from when these hold */
    const struct database *former; /* tell the databases that this one is a copy of; NULL: do not */
    struct replica *replica;       /* that this server is; NULL: none */
    const struct engine *engine;   /* ... which knows what the replica lacks */
    bool is_node;                  /* other nodes of its log may be ahead of it */
    bool all;                      /* every line; else the changes alone */
    bool wants_notes;              /* if every line: what happened beside the changes, too, */
    const char *notes_of;          /* ... as this run of the server counts it, */
    int64_t notes_behind;          /* ... behind this one; -1: nothing was told yet */
    /* what there is */
    struct buffer out;
    int64_t last;  /* change.id of the last one that was printed, or `after` */
    int64_t count; /* of changes and notes */
    int64_t head;  /* the newest change */
    struct error error;
};

void changes_read(struct changes_answer *answer, struct store_reader *reader);

#endif
