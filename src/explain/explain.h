/*
 * explain: why one entity is in a view, or not, and since when (docs/explain.md has the answer's
 * form and its promises). It follows the entity through the stages of the view, and through a
 * query, by the evaluation, the sort keys and the rows that the view itself is read by.
 *
 * On a reading thread, or on a file. Nothing is kept between two questions.
 */
#ifndef EXPLAIN_EXPLAIN_H
#define EXPLAIN_EXPLAIN_H

#include "rows/row_scope.h"
#include "store/store.h"
#include "view/view.h"
#include "wire/wire.h"

/* A question; all of it is borrowed. */
struct explain {
    const struct view *view;
    const struct row_scope *scope; /* rows that the asker sees; NULL: all */
    struct view_sight sight; /* members that the asker sees: of rows of the view by its first view,
                                of any row by its second */
    bool sees_others; /* the asker may read rows that the view does not show, by another one */
    struct span key;
    const struct view_query *query; /* NULL: none */
    int64_t take, skip;             /* the part of the view; VIEW_ALL: no limit */
    int64_t now;                    /* unix seconds: the present of the query */
    int64_t max_rows;               /* that it may look at; 0: any number */
    int64_t max_changes;            /* of the log, likewise */
};

/* Fill in query, take and skip from what a client wants of the view, whose key counts for nothing
 * here. The query is the caller's. ERROR_INVALID_PARAMETER names what the view cannot be asked. */
struct explain_limits {
    struct view_query_limits query;
    int64_t max_take;
};
bool explain_ask(struct explain *explain, const struct wire_subscribe *wanted,
                 const struct explain_limits *limits, struct view_query **query,
                 struct error *error);
/* Append the answer, a JSON object and a line's end. In the reader's open transaction. False with
 * an error: ERROR_INVALID_PARAMETER if the database has no rows of this view. */
bool explain_read(const struct explain *explain, struct store_reader *reader, struct buffer *out,
                  struct error *error);

#endif
