/*
 * Snapshots, and who does what for them:
 *   snapshot.c         on the loop: asking, sharing a job, delivering
 *   snapshot_cache.c   on the loop: batches kept for others that come
 *   snapshot_query.c   on a reader: the rows that come next, in one short transaction
 *   snapshot_encode.c  on a reader: rows become batches, ready to send
 */
#ifndef DELIVERY_SNAPSHOT_INTERNAL_H
#define DELIVERY_SNAPSHOT_INTERNAL_H

#include "delivery/hub_internal.h"

/* ---- encode ---- */

/* A batch as it is built: rows now, frames when the transaction is over. */
struct snapshot_draft {
    struct wire_batch rows;
    struct snapshot_place start, end;
    bool last, complete; /* as in struct snapshot_batch */
    struct text *frames;
};

/* Rows and deletes as plain JSON instead of frames. */
struct plain_rows {
    struct wire_batch rows; /* of its JSON the rows are appended, with commas between */
    struct buffer deleted;  /* keys, the same way */
    size_t max_bytes;       /* of both; a first row may be longer */
    bool too_large;         /* more were wanted */
};

/* The batches of one job, in order. */
struct snapshot_drafts {
    struct plain_rows *plain; /* NULL: batches; else everything goes there */
    const struct view *view;
    enum wire_mode mode;
    struct snapshot_place place; /* behind the last row */
    struct seq row_seq;          /* of the last row, */
    struct buffer row_key;       /* ... and its key */
    bool row_noted;              /* `place` has its position, or there was none */
    struct snapshot_draft *list;
    size_t count, capacity;
    int64_t rows;
    enum wire_more more;   /* rows of the view behind a window's */
    size_t full_bytes;     /* JSON bytes of all drafts but the last */
    struct buffer deletes; /* before the first row */
    struct buffer gone;    /* behind the last */
    struct buffer shown;
};

void snapshot_drafts_init(struct snapshot_drafts *drafts, const struct view *view,
                          enum wire_mode mode, const struct snapshot_place *place);
void snapshot_drafts_fini(struct snapshot_drafts *drafts);
/* These are false when out of memory. */
bool snapshot_drafts_row(struct snapshot_drafts *drafts, const struct store_entity *row);
/* A row that is not shown, behind the last one: the place is behind it from now on. */
bool snapshot_drafts_pass(struct snapshot_drafts *drafts, struct seq seq, struct span key);
/* Deletes have no cursor. These go out before the rows of the job: of keys that may come again
 * among them, or that the client must not hold while it gets those. */
bool snapshot_drafts_delete(struct snapshot_drafts *drafts, struct span key);
/* There are no more rows: place.bound is the last of them from now on. */
bool snapshot_drafts_rows_read(struct snapshot_drafts *drafts);
/* A delete behind the rows, and before the batch that completes the snapshot: of a key that is not
 * among the rows. */
bool snapshot_drafts_gone(struct snapshot_drafts *drafts, struct span key);
/* Frame and compress; there is one batch at least, if only of deletes. `last`: the snapshot has
 * neither more rows nor more deletes. */
bool snapshot_drafts_end(struct snapshot_drafts *drafts, bool last);

/* ---- query ---- */

struct snapshot_query {
    struct span key;         /* absent: all; its bytes are owned by the job */
    struct row_scope *scope; /* of whom; NULL: all see all */
    struct row_scope
        *was; /* what that one saw and sees no more is told as deletes; NULL: nothing */
    int64_t deleted_since; /* older deletes are not told; wall clock, ms */
    int64_t max_rows;      /* and as many deletes */
    struct snapshot_drafts drafts;
    int64_t deletes;        /* looked at */
    int64_t looked;         /* rows, also those not shown; scoped exports only */
    struct seq seen;        /* of the last of them, */
    struct buffer seen_key; /* ... and its key */
    struct buffer left;     /* keys that left a scope, each behind its length */
    bool stopped;           /* enough for one job; the snapshot goes on */
    struct error error;
};

/* Read what comes behind drafts.place, and encode it. */
bool snapshot_query_run(struct snapshot_query *query, struct store_reader *reader);

/* ---- cache ---- */

/* Ready batches by the name of the place where they begin; one cap for all, the least used go. */
struct snapshot_cache;
struct snapshot_cache *snapshot_cache_new(size_t max_bytes);
void snapshot_cache_free(struct snapshot_cache *cache);
/* Keep a batch (a reference of the cache's own) in the place of an older one. When there is no
 * memory for it, it is not kept: it is only a kindness to others. */
void snapshot_cache_put(struct snapshot_cache *cache, struct span name,
                        struct snapshot_batch *batch);
/* The batch at that place (one reference), or NULL. One of an older state than `fresh` is dropped.
 */
struct snapshot_batch *snapshot_cache_get(struct snapshot_cache *cache, struct span name,
                                          int64_t fresh);

#endif
