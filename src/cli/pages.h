/* Pages of events, by which a server answers for a history, one behind the other. */
#ifndef CLI_PAGES_H
#define CLI_PAGES_H

#include "json/json.h"

struct pages {
    struct buffer cursor; /* behind what was read; empty: the beginning */
    bool more;            /* the answer was not the last */
};

/* An answer: its list of events, or, with DOC_NONE, the log does not reach back to the cursor,
 * which stays. False with the error if it is none. */
bool pages_take(struct pages *pages, const struct doc *doc, uint32_t root, uint32_t *events,
                struct error *error);

#endif
