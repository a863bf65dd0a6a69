/*
 * Requests about what a view shows, which name it in the query (`view=`), beside what a read of it
 * may ask for, and are answered by one read: explanations and sums. The answers are JSON, and never
 * cached.
 */
#ifndef HTTP_ABOUT_H
#define HTTP_ABOUT_H

#include "http/request.h"
#include "window/window.h"

struct http_about {
    const char *path;
    const char *what;    /* "an explanation" */
    const char *missing; /* what is missing without `view` */
    const char *uses;    /* the parameters that it has, for an error */
    /* Take an argument of its own into `own`, all zero at first; *taken false: it is none. False
     * with ERROR_INVALID_PARAMETER. NULL: there are none. */
    bool (*take)(void *own, struct span argument, bool *taken, struct error *error);
    /* Have it read, as hub_read_view and its like do. */
    bool (*ask)(struct hub *hub, const struct hub_read *read, void *own, struct error *error);
};

enum { HTTP_ABOUT_OWN = 1024 /* bytes of `own` */ };

/* Answer a request for its path, now or when it was read. False if the path is another one. */
bool http_about_request(const struct http_about *about, struct http *http,
                        struct net_connection *connection, struct span path);

#endif
