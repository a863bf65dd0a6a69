/*
 * A page of catching up, and its files:
 *   catch_up.c         on the loop: asks for pages, takes over their results, delivers
 *   catch_up_query.c   on a reader: reads the store, and notes how far it got
 *   rows/log_frames.c  on a reader: rows and events become frames
 */
#ifndef DELIVERY_CATCH_UP_INTERNAL_H
#define DELIVERY_CATCH_UP_INTERNAL_H

#include "delivery/hub_internal.h"
#include "rows/log_frames.h"

/* ---- query ---- */

struct catch_up_page {
    struct catch_up_request request;
    struct store_reader *reader; /* while it is read */
    uint32_t export_id;
    struct catch_up_frames frames;
    struct map told; /* of partial events: struct told_key */
    struct error *error;
    /* found */
    bool expired;     /* the log no longer reaches back to `from` */
    bool at_head;     /* nothing is left behind `to` */
    bool ended;       /* this page ends the resume */
    bool limit_hit;   /* because of its limit */
    bool tells_state; /* it ends with an empty batch, and its cursor */
    int64_t to;       /* the cursor behind this page */
    int64_t target;   /* request.resume_target, or a later one where that gave no state that was */
    int64_t resume_limit;
    struct seq resume_seq;
    struct store_seq_range group; /* of the seq `group_seq`, once it was looked up */
    struct seq group_seq;
    int64_t looks;     /* changes that it may still read; negative: those that it is given */
    uint64_t rows;     /* in snapshot batches */
    struct text *text; /* NULL if nothing was for the view */
};

/* Read the page in one short transaction, and encode it. */
bool catch_up_query(struct catch_up_page *page, struct store_reader *reader);

#endif
