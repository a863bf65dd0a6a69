/*
 * The changes of one row as JSON, each with what it changed: what a history of a key shows.
 * docs/history.md has the form. On a reader.
 */
#ifndef ROWS_ROW_HISTORY_H
#define ROWS_ROW_HISTORY_H

#include "rows/past.h"

struct row_history {
    /* What is asked; borrowed. A reading that goes on in steps changes `from`. */
    const struct view *view;       /* an append view of an export */
    const struct row_scope *scope; /* NULL: all rows are seen */
    struct span key;
    struct view_query *query; /* of the patches; NULL: all */
    int64_t from, last;       /* changes with from < id <= last */
    int64_t most;             /* as many of them, at most */
    size_t most_bytes;        /* of JSON; then it ends */
    int64_t scan_rows;        /* of the log, that one step reads */
    int64_t most_scanned;     /* of the log, that all steps read to find the row before `from` */
    /* between the steps */
    struct row_past past; /* the row at `from`, which leads on */
    struct buffer scratch, data, append, shown[2];
    /* found */
    struct buffer events; /* with commas between */
    int64_t listed;
    bool expired; /* the log does not reach back to `from` any more */
};

/* Begin with this, then set what is asked; row_history_fini is due. */
void row_history_init(struct row_history *history);
void row_history_fini(struct row_history *history);
/* The next step, in one short transaction, of at most `scan_rows` changes. */
bool row_history_run(struct row_history *history, struct store_reader *reader, struct error *error);

#endif
