/* Since when a row is in a view, or not: shared by since.c and since_cut.c. */
#ifndef EXPLAIN_SINCE_H
#define EXPLAIN_SINCE_H

#include "explain/explain_internal.h"
#include "rows/past.h"

/* Why no move was found: nothing moved, as far as the log was read, or ever. */
#define EXPLAIN_EARLIER "it has been so since before the changes that were read"
#define EXPLAIN_ALWAYS "it was always so"

enum explain_by { SINCE_CHANGE, SINCE_ANOTHER, SINCE_TIME };

struct explain_since {
    int64_t from, to; /* the changes of the log that are read: from < id <= to */
    bool timed;       /* some condition asks for now() */
    bool known;
    const char *why; /* it is not known */
    bool gone;       /* but the change that deleted the row is: */
    enum explain_by by;
    int64_t change, time; /* time: ms */
    struct seq seq;
    enum row_operation operation;
    int64_t newest; /* the newest change of the row that was read */
};

/* Say why it is not known. Always true. */
static inline bool explain_since_fail(struct explain_since *since, const char *why)
{
    since->known = false;
    since->why = why;
    return true;
}

/* since_cut.c: of a view with one cut, without time. False with the error. */
bool explain_since_cut(struct explaining *explaining, struct explain_since *since);

#endif
