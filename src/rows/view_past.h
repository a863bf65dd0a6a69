/*
 * What a view was at a former position: the states of all rows of its export there, and of them
 * what the view shows. Rows that did not change since are the present ones. The others are made
 * again from the log; a row that is not known refuses the whole. In steps, each a short
 * transaction. On a reader.
 */
#ifndef ROWS_VIEW_PAST_H
#define ROWS_VIEW_PAST_H

#include "rows/past.h"
#include "rows/past_rows.h"

enum view_past_stage {
    VIEW_PAST_PRESENT, /* the present rows that have not changed behind `at` */
    VIEW_PAST_CHANGED, /* which have, and whether they were there */
    VIEW_PAST_MADE,    /* what these were */
    VIEW_PAST_REFUSED, /* from where on one of them is known */
    VIEW_PAST_DONE
};

struct view_past {
    /* what is asked; `rows` has the rest */
    int64_t at;
    int64_t scan_rows; /* of the log, or of entities, that one step reads */
    int64_t most;      /* ... and all of them */
    bool names_rows;   /* the asker may read all rows of the export: a refusal may name any */
    /* between the steps */
    enum view_past_stage stage;
    bool begun;
    bool in_between;   /* it began behind a row in the order of the export */
    struct seq seq;    /* of the last present row that was looked at, */
    struct buffer key; /* ... and its key */
    int64_t next, passed;
    uint32_t export_id;
    int64_t head;       /* when it began */
    struct map changed; /* struct changed_row */
    size_t found;       /* of them */
    size_t needed;      /* that were there, or may have been */
    struct replay replay;
    struct row_past past; /* of one that is not known */
    /* found */
    struct past_rows rows; /* rows.beside: the texts in `changed` */
};

/* Begin with this, then set what is asked; view_past_fini is due. */
void view_past_init(struct view_past *past);
void view_past_fini(struct view_past *past);
/* Before the first step: only rows behind the one of the key rows.behind are wanted, of which this
 * is what was (absent: nothing), in a view that is not cut. */
bool view_past_begin_behind(struct view_past *past, struct span data, struct error *error);
/* The next step, until `stage` is VIEW_PAST_DONE. ERROR_HISTORY_TRIMMED names a row that is not
 * known; ERROR_TOO_LARGE: a bound was met. */
bool view_past_run(struct view_past *past, struct store_reader *reader, struct error *error);

/* The same for the row of one key, of a view that is not cut: no other row decides. */
bool view_past_run_row(struct row_past *row, struct store_reader *reader, struct error *error);
/* It is not known. Always false. */
bool view_past_refuse_row(const struct row_past *row, bool names_rows, struct error *error);

#endif
