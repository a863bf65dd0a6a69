/* Whether there is room for a request, by the state of the server and by shares. */
#include "http/http_internal.h"

enum { MOST_READS = 256 /* that wait for a reader, or have one; but one for each owner */ };

/* An owner's share is what there is by how many there are. */
static bool may_read(const struct http *http, const struct principal *principal,
                     struct error *error)
{
    size_t own = shares_amount(&http->reads, shares_owner_of(principal));
    size_t owners = http->reads.owners.count + !own;
    return own < (owners < MOST_READS ? MOST_READS / owners : 1) ||
           error_set(error, ERROR_QUEUE_FULL,
                     "%zu requests for views or files wait already, the most that one client may "
                     "have now; "
                     "try again later, with fewer at a time",
                     own);
}

bool http_admit(const struct http *http, const struct principal *principal,
                enum http_purpose purpose, struct error *error)
{
    if (!http->frontend->running)
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    return purpose != HTTP_READ || may_read(http, principal, error);
}
