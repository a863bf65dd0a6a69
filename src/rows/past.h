/*
 * What a row was at a former position of the log, as somebody saw it then who sees certain labels.
 * The log has patches, and no states: docs/history.md says when a state is known. A search goes in
 * steps, each a short transaction, so that others have their turn between them. On a reader.
 */
#ifndef ROWS_PAST_H
#define ROWS_PAST_H

#include "rows/replay.h"
#include "rows/view_state.h"

/* The first position of which anything is known: behind the newest trimmed change of the export.
 * For who sees some labels alone, it is not before the labels that count now. */
int64_t past_floor(bool scoped, const struct view_state *state);

enum past_stage {
    PAST_BEGIN,
    PAST_BACK,    /* from `at` backwards: where its state began */
    PAST_FORWARD, /* from there to `at` */
    PAST_BEHIND,  /* from `at` on: whether it was there, */
    PAST_SINCE,   /* ... or from where its state is known */
    PAST_DONE
};

struct row_past {
    /* what is asked; borrowed */
    const struct view *view;
    const struct row_scope *scope; /* NULL: all rows are seen */
    struct span key;
    int64_t at;        /* behind this change */
    int64_t scan_rows; /* of the log, that one step reads */
    int64_t most;      /* of the log, that all steps read; 0: no bound */
    bool explains;     /* look behind `at`, too: whether it was there, else from where on it is
                          known; false: what does not begin up to `at` is not known */
    /* between the steps; begins as zero, but for replay_init */
    enum past_stage stage;
    int64_t next, head, passed;
    uint32_t export_id;
    /* found: the row is replay.row */
    struct replay replay;
    bool too_far;   /* the bound was met, and it is not known therefore */
    int64_t since;  /* the first change behind which it is known, */
    struct seq seq; /* ... and its seq, */
    bool has_seq;   /* ... if that is a change of the key */
};

/* Begin with this; row_past_fini is due. */
void row_past_init(struct row_past *past);
void row_past_fini(struct row_past *past);
/* The next step, until `stage` is PAST_DONE. */
bool row_past_run(struct row_past *past, struct store_reader *reader, struct error *error);
/* It is not known: ERROR_HISTORY_TRIMMED says from where on it is, ERROR_TOO_LARGE that the bound
 * was met. Always false. */
bool row_past_refuse(const struct row_past *past, struct error *error);

#endif
