/*
 * The range of a client's cursor in the log: the reading side of resume.c. Long searches go in
 * steps, each a short transaction and a job of its own, so that other work is served between them.
 */
#ifndef ROWS_RESUME_QUERY_H
#define ROWS_RESUME_QUERY_H

#include "rows/view_state.h"
#include "store/store.h"
#include "view/view.h"

/* The verdict of the epoch on the cursor that came with it. */
struct cursor_origin {
    int64_t parted; /* it is of another database, which has the changes up to this one; or -1 */
    bool current;   /* it is of the present view; else it may be of an earlier one */
};

struct resume_query {
    const struct view *view;
    struct seq after;  /* the cursor as it was presented */
    int64_t scan_rows; /* of the log, that one step reads */
    struct cursor_origin origin;
    /* between steps */
    bool begun;
    struct store_seq_walk walk;
    /* found */
    bool done;               /* else another step is needed */
    bool accepted;           /* else the client must start with a snapshot */
    int64_t from;            /* everything behind this change is new to the client, */
    int64_t ambiguous_until; /* ... but changes up to this one it may have had; 0: none */
    bool only_greater;       /* ... and up to `to` only changes with a greater seq are */
    int64_t to;              /* the newest change at the beginning */
};

/* The first step, in the open transaction of that state. */
bool resume_query_look(struct resume_query *query, const struct view_state *state,
                       struct store_reader *reader, struct error *error);
/* The first or next step, in one short transaction. */
bool resume_query_run(struct resume_query *query, struct store_reader *reader, struct error *error);

#endif
