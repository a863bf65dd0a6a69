/*
 * Rows of a view as batches, ready to send: the encoding side of snapshots. On a reader thread, or
 * on the thread of its owner.
 */
#ifndef ROWS_BATCH_H
#define ROWS_BATCH_H

#include "rows/list_position.h"
#include "rows/row_sink.h"
#include "store/store.h"
#include "view/view.h"
#include "wire/wire.h"

/* ---- where a snapshot stands ---- */

/* The progress of a snapshot: first the rows, then the deletes, newest first, so that the first
 * row waits for no delete. Equal points get equal batches, so batches can be shared. */
struct snapshot_point {
    int64_t limit;              /* rows still wanted; -1: all */
    int64_t rows;               /* sent so far */
    bool begun;                 /* rows were read: `at` counts */
    bool rows_read;             /* there are no more of them */
    struct list_position at;    /* behind this row; its own reference */
    struct list_position bound; /* the last row that was sent; likewise */
    int64_t change;  /* position of the first batch's transaction, or an earlier one: changes behind
                        it follow the rows; 0 before it */
    int64_t latest;  /* position of the newest transaction; 0 before the first */
    struct seq seq;  /* the cursor of `change` */
    int64_t deletes; /* the deletes before this change are still to be sent; 0: all were */
};

/* A copy with references of its own. */
struct snapshot_point snapshot_point_ref(const struct snapshot_point *point);
void snapshot_point_unref(struct snapshot_point *point);

/* ---- batches ---- */

/* A batch in the making: rows now, frames when the transaction is over. */
struct snapshot_draft {
    struct wire_batch rows;
    struct snapshot_point start, end;
    bool last, complete; /* as in struct snapshot_batch */
    struct text *frames;
};

/*
 * The batches of one job, in order: a row_sink. Removals before the end of the rows go out before
 * the first row of the job: keys that may come again among the rows, or that the client must not
 * hold while it gets them. Later removals go out behind the rows, and before the batch that
 * completes the snapshot: keys that are not among the rows. Removals have no cursor. Bodies have
 * them only if the rows amend others.
 */
struct snapshot_drafts {
    struct row_sink sink;
    struct snapshot_point point; /* behind the last row */
    bool amends;                 /* clients of bodies keep rows that are not among these */
    bool is_one;                 /* one batch, however long */
    bool ends_at_limit;          /* else the reader of the rows ends there */
    struct seq row_seq;          /* of the last row, */
    struct buffer row_key;       /* ... and its key */
    bool row_noted;              /* `point` has its position, or there was none */
    struct snapshot_draft *list;
    size_t count, capacity;
    enum wire_more more;   /* rows of the view behind a window's */
    bool without_cursor;   /* what is to come behind the batches belongs to their state */
    size_t full_bytes;     /* JSON bytes of all drafts but the last */
    size_t json_bytes;     /* JSON bytes of those that were framed */
    struct buffer deletes; /* before the first row */
    struct buffer gone;    /* behind the last */
};

void snapshot_drafts_init(struct snapshot_drafts *drafts, const struct view *view,
                          enum wire_mode mode, const struct snapshot_point *point);
void snapshot_drafts_fini(struct snapshot_drafts *drafts);
/* These are false when out of memory. */
/* A row that is not shown, behind the last one: the point is behind it from now on. */
bool snapshot_drafts_pass(struct snapshot_drafts *drafts, struct seq seq, struct span key);
/* There are no more rows: point.bound is the last of them from now on. */
bool snapshot_drafts_rows_read(struct snapshot_drafts *drafts);
/* The bytes that its frames will have at least, but for a few; 0: they may be compressed. */
size_t snapshot_drafts_bytes(const struct snapshot_drafts *drafts);
/* Frame and compress; there is one batch at least, even if only of deletes. `last`: the snapshot
 * has neither more rows nor more deletes. */
bool snapshot_drafts_end(struct snapshot_drafts *drafts, bool last);

#endif
