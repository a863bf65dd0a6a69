/*
 * outbound: HTTP and HTTPS requests that the server itself makes (libcurl). They run on one thread
 * of their own, many at a time, so neither the loop nor another request waits for an endpoint that
 * hangs. The answers come back to the loop.
 *
 * The bounds of a request are narrow: http and https only, certificates are verified, redirects are
 * not followed, no proxy of the environment is used, no cookies, no compression. The answer and its
 * headers are bounded, and so is the time. A token or a header never appears in an error or a log
 * line.
 */
#ifndef OUTBOUND_OUTBOUND_H
#define OUTBOUND_OUTBOUND_H

#include "base/base.h"

struct outbound;

enum {
    OUTBOUND_AT_ONCE = 16, /* requests under way */
    OUTBOUND_WAITING = 256 /* and requests that wait for that */
};

struct outbound_options {
    const char *ca_file; /* certificates to trust instead of the system's; NULL: the system's */
    void (*wake)(void *argument); /* any thread: there is something for outbound_deliver */
    void *wake_argument;
};

struct outbound_answer {
    struct error error;  /* ERROR_NONE: the server answered, whatever its status is */
    int status;          /* of HTTP; with an error, too, if it came before that; else 0 */
    int64_t retry_after; /* seconds that the answer asks for; 0: none */
    struct buffer body;  /* may be moved out */
};

typedef void (*outbound_done)(void *argument, struct outbound_answer *answer);

struct outbound_request {
    const char *url;
    const char *method;       /* NULL: GET, or POST with a body */
    struct span body;         /* to be posted; absent: GET */
    const char *content_type; /* of the body */
    const char *token;        /* for "Authorization: Bearer"; NULL: none */
    const char *headers;      /* further ones, "Name: value" with a line end behind each; or NULL */
    size_t max_bytes;         /* of the answer's body; a larger one is an error */
    int64_t connect_ms;       /* until there is a connection, TLS included */
    int64_t total_ms;         /* until the whole answer has come */
    /* Called once, on the loop, from outbound_deliver or outbound_close. */
    outbound_done done;
    void *argument;
};

/* ERROR_CONFIGURATION unless it is an http or https URL with a host and without a password in it.
 */
bool outbound_check_url(const char *url, struct error *error);

/* Starts the thread. NULL with an error. */
struct outbound *outbound_open(const struct outbound_options *options, struct error *error);
/* Everything is copied. False when too many wait or there is no memory: then `done` is not called.
 */
bool outbound_send(struct outbound *outbound, const struct outbound_request *request,
                   struct error *error);
/* Call `done` for answered requests. On the loop. */
void outbound_deliver(struct outbound *outbound);
/* Cancel requests under way, end the thread, answer the others with ERROR_SHUTTING_DOWN. Does
 * not wait for the network. NULL is fine. */
void outbound_close(struct outbound *outbound);

#endif
