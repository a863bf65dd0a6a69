/*
 * A former position as people name it, and the search for it in the log. docs/history.md has the
 * meaning of each form. The search goes in steps, each a short transaction. On a reader.
 */
#ifndef ROWS_PAST_POINT_H
#define ROWS_PAST_POINT_H

#include "rows/view_state.h"

enum past_form {
    PAST_OFFSET, /* "@17": behind the change of that id */
    PAST_SEQ,    /* "1517967904:000000000000" */
    PAST_TIME    /* "2018-02-06T18:00:00Z", or milliseconds since 1970 UTC */
};

struct past_point {
    enum past_form form;
    struct seq seq;
    int64_t number; /* of the others: an id, or milliseconds */
};

/* ERROR_INVALID_PARAMETER says which forms there are. Pure. */
bool past_point_read(struct span text, struct past_point *point, struct error *error);

struct past_search {
    const struct view *view; /* of an export, or derived from it */
    struct past_point point;
    int64_t now_ms;    /* the wall clock; a time that is not before it is refused */
    int64_t scan_rows; /* of the log, that one step reads */
    int64_t most;      /* ... and all of them; 0: no bound */
    /* between the steps */
    bool begun;
    struct store_seq_walk walk;
    int64_t next, head, passed;
    /* found */
    bool done;
    int64_t at; /* the position: behind this change */
};

/* The next step, until `done`. ERROR_HISTORY_TRIMMED: the log does not reach back so far;
 * ERROR_INVALID_PARAMETER: it is not there yet; ERROR_TOO_LARGE: the bound was met. */
bool past_search_run(struct past_search *search, struct store_reader *reader, struct error *error);

#endif
