/*
 * fetch: a GET whose answer is as long as it likes, taken as it comes, on the thread that asks. The
 * same bounds hold as for outbound, except for the length and the time. One thread at a time.
 */
#ifndef OUTBOUND_FETCH_H
#define OUTBOUND_FETCH_H

#include "base/base.h"

#include <stdatomic.h>

struct fetch;

struct fetch_request {
    const char *url;
    const char *token;          /* for "Authorization: Bearer"; NULL: none */
    int64_t connect_ms;         /* until there is a connection, TLS included */
    int64_t silent_s;           /* and then, give up when nothing comes for so long */
    const atomic_bool *give_up; /* may be NULL */
    /* The next bytes of the body of a 200, in order; false: give up. */
    bool (*take)(void *argument, struct span bytes);
    void *argument;
};

enum { FETCH_HEADER = 128, FETCH_PROBLEM = 4096 };
struct fetch_answer {
    int status;     /* of HTTP; 0: there was none */
    int64_t length; /* of the body, as was said before it; -1: it was not */
    char cursor[FETCH_HEADER], sha256[FETCH_HEADER]; /* Stele-Cursor, Stele-SHA-256; "": none */
    char problem[FETCH_PROBLEM];                     /* the body of another status, cut */
};

/* `ca_file`: authorities to trust instead of the system's; NULL: the system's. Keeps its
 * connection between requests. */
struct fetch *fetch_open(const char *ca_file, struct error *error);
void fetch_close(struct fetch *fetch);
/* Whether the whole body of a 200 was taken. Else ERROR_NETWORK: it broke off, or could not be
 * asked for; ERROR_NONE with a status: the server refused it; ERROR_SHUTTING_DOWN: *give_up, or
 * `take` was false. The head of the answer is known from the first `take` on. */
bool fetch_get(struct fetch *fetch, const struct fetch_request *request,
               struct fetch_answer *answer, struct error *error);

#endif
