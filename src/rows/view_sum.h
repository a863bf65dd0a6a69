/*
 * The sums of the rows that a view, or a query of it, shows (docs/drift.md). In steps over one
 * state: the reader's transaction stays open from the first step to the last. On a reader.
 */
#ifndef ROWS_VIEW_SUM_H
#define ROWS_VIEW_SUM_H

#include "rows/row_scope.h"
#include "rows/row_sum.h"
#include "rows/view_state.h"

enum { SUM_PARTS = 256 };

struct sum_part {
    int64_t rows;
    struct sum sum;
};

struct view_sum {
    /* what is asked; borrowed */
    const struct view *view;
    const struct row_scope *scope; /* NULL: rows are not scoped */
    struct view_query *query;      /* NULL: all */
    struct span key;               /* absent: all */
    int64_t skip, take;            /* VIEW_ALL: no limit */
    int64_t now;                   /* unix seconds: the present of the query */
    int64_t most_sorted;           /* rows to put in an order of the query's own */
    bool with_parts, with_keys;    /* what the answer has */
    bool wanted[SUM_PARTS];        /* the parts whose keys it has */
    size_t most_bytes;             /* of them */
    int64_t most_rows;             /* that may be summed; VIEW_ALL: any number */
    /* between the steps */
    bool begun;
    int64_t stage, by_label;    /* their numbers; 0: none */
    int64_t looked;             /* rows */
    bool moved;                 /* some were read: */
    struct seq seq;             /* the last one, in an export's own order, */
    struct buffer at, from;     /* ... and its key; else its sort key */
    int64_t left;               /* rows of the view's own cut; VIEW_ALL: no limit */
    struct sorted_row **sorted; /* those in an order of the query's own */
    size_t sorted_count, sorted_capacity;
    uint64_t until_us;
    struct buffer shown, text, sort_key; /* of one row */
    struct error *error;
    /* found */
    bool done;
    struct view_state state;
    int64_t rows;
    struct sum sum, order;
    struct sum_part parts[SUM_PARTS];
    struct buffer keys; /* JSON: [key, sum], with commas between */
};

/* Read `keys`, "all" or "3f,a0": ERROR_INVALID_PARAMETER. */
bool view_sum_want(struct view_sum *sum, struct span keys, struct error *error);
/* Begin with this, then set what is asked; view_sum_fini is due. */
void view_sum_init(struct view_sum *sum);
void view_sum_fini(struct view_sum *sum);
/* The next step, until this time (monotonic), or `done`. ERROR_TOO_LARGE: a bound was met,
 * ERROR_SNAPSHOT_LIMIT: that of most_rows;
 * ERROR_INVALID_PARAMETER: the database has no rows of this view. */
bool view_sum_run(struct view_sum *sum, struct store_reader *reader, uint64_t until_us,
                  struct error *error);
/* Append the answer, a JSON object and a line's end. False when out of memory. */
bool view_sum_print(const struct view_sum *sum, struct span epoch, struct buffer *out);

#endif
