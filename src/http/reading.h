/* The parameters that say how a view is read, beside those that say what of it is read
 * (http/query.h): wait, events, until, as_of, behind. Pure. */
#ifndef HTTP_READING_H
#define HTTP_READING_H

#include "base/base.h"

struct http_reading {
    int wait;              /* seconds for which the answer may wait for a change; 0: it may not */
    bool events;           /* the history of an append view, instead of rows */
    char until[128];       /* a cursor of that, the last that counts; "": none */
    char as_of[64];        /* a former position of the log; "": the present */
    char behind[8 * 1024]; /* with as_of: only rows behind the one of this key; "": all */
};

/* The "name=" of an argument, "name=value", that is one of these; NULL: it is not. */
const char *http_reading_name(struct span argument);
/* Take all of a query; `by_row`: it is for events in any case. ERROR_INVALID_PARAMETER names the
 * fault. */
bool http_reading_read(struct http_reading *reading, struct span query, bool by_row,
                       struct error *error);

#endif
