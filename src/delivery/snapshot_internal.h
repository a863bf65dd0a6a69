/*
 * Snapshots, and their files:
 *   snapshot.c         on the loop: asking, sharing a job, delivering
 *   snapshot_cache.c   on the loop: batches kept for later subscribers
 *   snapshot_query.c   on a reader: the next rows, in one short transaction
 *   rows/batch.c       on a reader: rows become batches, ready to send
 */
#ifndef DELIVERY_SNAPSHOT_INTERNAL_H
#define DELIVERY_SNAPSHOT_INTERNAL_H

#include "delivery/hub_internal.h"
#include "rows/batch.h"

/* ---- a batch ---- */

/* A finished batch: ready frames and the point where it ends. Counted, immutable. */
struct snapshot_batch {
    uint32_t references;
    struct text *frames;
    struct snapshot_point end;
    int64_t rows;  /* of the whole snapshot, as far as they were read when it was built */
    bool last;     /* there are no more rows */
    bool complete; /* and all were of one state, which the frames say */
};

/* ---- query ---- */

struct snapshot_query {
    struct span key;         /* absent: all; its bytes are owned by the job */
    struct row_scope *scope; /* of the client; NULL: all rows are seen */
    struct row_scope
        *was; /* what that one saw and sees no more is told as deletes; NULL: nothing */
    int64_t deleted_since; /* older deletes are left out; wall clock, ms */
    int64_t max_rows;      /* and as many deletes */
    struct snapshot_drafts drafts;
    int64_t deletes;        /* that were read */
    int64_t looked;         /* rows, also those not shown; scoped exports only */
    struct seq seen;        /* of the last of them, */
    struct buffer seen_key; /* ... and its key */
    struct buffer left;     /* keys that left a scope, each behind its length */
    bool stopped;           /* enough for one job; the snapshot goes on */
    struct error error;
};

/* Read the rows behind drafts.point, and encode them. */
bool snapshot_query_run(struct snapshot_query *query, struct store_reader *reader);

/* ---- cache ---- */

/* Ready batches by the name of the point where they begin; one cap for all, the least used go. */
struct snapshot_cache;
struct snapshot_cache *snapshot_cache_new(size_t max_bytes);
void snapshot_cache_free(struct snapshot_cache *cache);
/* Keep a batch (a reference of the cache's own) in place of an older one. Without memory for it,
 * it is not kept. */
void snapshot_cache_put(struct snapshot_cache *cache, struct span name,
                        struct snapshot_batch *batch);
/* The batch at that point (one reference), or NULL. One of an older state than `fresh` is dropped.
 */
struct snapshot_batch *snapshot_cache_get(struct snapshot_cache *cache, struct span name,
                                          int64_t fresh);

#endif
