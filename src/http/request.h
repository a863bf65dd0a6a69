/*
 * HTTP answers. Most requests are answered at once (http_respond). A request with a body, or with a
 * later answer, has a struct http_request: the data of its connection until it is answered.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "access/access.h"
#include "net/net.h"
#include "session/incoming.h"

struct http;
struct http_changes;
struct http_file;
struct http_listing;
struct http_request;
struct http_wait;

#define HTTP_JSON "application/json; charset=utf-8" /* a Content-Type */

struct http_content {
    int status;
    const char *type;    /* Content-Type; NULL: a status that has no body */
    const char *headers; /* further lines, each with its CRLF; or NULL */
    struct span body;
    uint64_t whole; /* the length of a body that comes in pieces, of which `body` is the first; 0:
                       `body` is all of it */
};

/* Answer the present request. If its body has not come, the connection ends with the answer. */
void http_respond(struct net_connection *connection, const struct http_content *content);
void http_respond_error(struct net_connection *connection, const struct error *error,
                        const char *headers);

/* Begin an answer that lasts: its body has no length, and ends with the connection. `line`: its
 * first bytes. */
void http_respond_stream(struct net_connection *connection, const char *type, struct span line);

/* The part that answers a request later: at a change of a view, step by step, or piece by piece. */
struct http_source {
    /* Of a request that watches: the socket takes bytes. Else: the client has taken a piece, and
     * the next is due by http_request_continue. */
    void (*go_on)(struct http_request *request);
    /* The request is being freed. */
    void (*free)(struct http_request *request);
};

struct http_request {
    struct http *http;
    struct net_connection *connection; /* NULL once the client is gone */
    struct principal principal;
    char *cors;                                 /* lines for the header of its answer; NULL: none */
    struct intake intake;                       /* the body of the request */
    void (*take)(struct http_request *request); /* the whole body has come: an answer is due */
    struct buffer reply;                        /* the whole response, once it exists, */
    struct buffer large;                        /* ... except for a body that was given apart */
    size_t written;                             /* of both */
    uint64_t left;                              /* bytes of the body in pieces yet to come */
    uint64_t owner;                             /* of its shares: */
    struct share share;                         /* ... of the memory of answers */
    struct share reading;                       /* ... of the requests that readers work on */
    struct share writing;                       /* ... of those that wait to be committed */
    enum permission permission;                 /* for which it was accepted, with a body */
    const struct http_source *source;           /* NULL: none; else it owns: */
    struct http_wait *wait;                     /* ... the wait for a change, */
    struct http_file *file;                     /* ... or the file whose bytes are asked for, */
    struct http_listing *listing;               /* ... or a list of what the loop has, */
    struct http_changes *changes;               /* ... or the log of changes */
    bool form;                                  /* it claims to be a form, as curl -d does */
    bool head;                                  /* answered without the body */
    bool awaited;                               /* http_request_respond will follow */
    bool watches; /* go_on leads on to its answer: no thread works for it */
};

/* The request was refused (not its sender): if it is a producer's, the audit gets it. */
void http_request_note_refused(struct http_request *request, const struct error *error);

/* Make the struct of the present request. NULL when out of memory. `limit` bounds the body. The
 * principal is moved, in either case. */
struct http_request *http_request_new(struct http *http, struct net_connection *connection,
                                      size_t limit, struct principal *principal);
/* Answer a request whose body is still coming, and free the request. The other bytes are read
 * and dropped for some seconds, so that the client sees the answer; then the connection ends. */
void http_request_refuse(struct http_request *request, const struct error *error);
/* http_request_respond is due from now on, also when the client goes. */
void http_request_await(struct http_request *request);
/* The awaited answer. If the client has gone in the meantime, the request is freed. */
void http_request_respond(struct http_request *request, const struct http_content *content);
/* The same with a body (for content->body) that is moved out of the buffer and written bit by bit,
 * as fast as the client reads. All bytes of such bodies that clients have not read are bounded.
 * Beyond the bound, the largest answer of the owner who has most is broken off.
 *
 * With content->whole, the body is the first piece of it. When the client has taken a piece and
 * more are due, the source has the next one come by http_request_continue. */
void http_request_respond_large(struct http_request *request, struct http_content *content,
                                struct buffer *body);
/* The awaited next piece, moved out of the buffer. */
void http_request_continue(struct http_request *request, struct buffer *piece);
void http_request_respond_error(struct http_request *request, const struct error *error);
/* A reader begins to work for it / has ended. False when out of memory. */
bool http_request_begin_read(struct http_request *request);
void http_request_end_read(struct http_request *request);
/* Of a hub_read, whose argument is the struct http_request. While it rests, no reader works for it.
 */
void http_request_rests(void *request, bool begins);
/* Whether somebody waits for the awaited answer, a struct http_request's, which takes long: from
 * now on a client that ends its side does not. */
bool http_request_is_wanted(void *argument);
/* The client has gone. */
void http_request_gone(struct http_request *request);

#endif
