/*
 * Rows in the order of a view, of which only so many are kept as the view, or who asks, wants: the
 * stages of a derived view over states that were. Memory alone, no database. Belongs to one thread.
 */
#ifndef ROWS_PAST_ROWS_H
#define ROWS_PAST_ROWS_H

#include "rows/row_scope.h"
#include "store/store.h"
#include "view/view.h"

struct past_row {
    struct span key, data; /* in `text` */
    struct seq seq;
    struct span sort_key; /* memory of its own */
    char text[];
};

enum { PAST_ROWS_BYTES = 64 << 20 /* of keys and texts, that one answer keeps */ };

struct past_rows {
    /* what is asked; borrowed */
    const struct view *view; /* not timed, and not keyed */
    const struct row_scope *scope;
    struct view_query *query; /* not timed; NULL: all */
    struct span key;          /* of a derived view: only this row; absent: all */
    int64_t skip, take;
    int64_t most;               /* rows that may be kept where nothing else bounds them */
    struct span behind;         /* only rows behind the one of this key; absent: all */
    struct buffer behind_place; /* its place; set by past_rows_begin_behind */
    /* found */
    struct past_row **list;
    size_t count, capacity;
    size_t bytes;  /* of their keys and texts, */
    size_t beside; /* ... and of texts that who adds rows keeps, in the same bound */
    bool more;     /* behind the last row there are others */
};

/* They begin as zero, with what is asked, and with room in `behind_place`. */
void past_rows_fini(struct past_rows *rows);
/* Take a row of the export; `once`: unless it is there already. ERROR_TOO_LARGE, ERROR_MEMORY. */
bool past_rows_add(struct past_rows *rows, struct span key, struct seq seq, struct span data,
                   bool once, struct error *error);
/* Of a view that is not cut: where the row of the key `behind` stood, of which this is what was, as
 * view_past_run_row finds it (absent: it was not there).
 * Before any other is added. False when the view does not show it, with the error. */
bool past_rows_begin_behind(struct past_rows *rows, struct seq seq, struct span data,
                            struct error *error);
bool past_rows_have(const struct past_rows *rows, struct span key);
/* Whether a row that comes behind all of the export's order so far cannot be among those wanted. */
bool past_rows_has_enough(const struct past_rows *rows);
/* All were added: make them the rows that the view shows. */
bool past_rows_end(struct past_rows *rows, struct error *error);
/* Whether the view is made of a stage that is cut: then rows decide about others. */
bool past_rows_are_cut(const struct view *view);
/* Whether a view that is not cut has a row of this text: no other row decides. */
bool past_rows_hold(const struct view *view, struct span data);

#endif
