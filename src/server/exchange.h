/*
 * HTTP answers. Most requests are answered on the spot (exchange_reply); one that has a body, or
 * whose answer comes later, is an exchange. All bytes of a response are ours, so that they are the
 * same whatever libwebsockets would add.
 */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include "server/door.h"
#include "server/incoming.h"

struct lws;
struct server;

struct exchange_content {
    int status;
    const char *type;    /* Content-Type; NULL: a status that has no body */
    const char *headers; /* further lines, each with its CRLF; or NULL */
    struct span body;
};

/* Answer a request in its own callback. Returns what that callback returns: 0, or -1 to close. */
int exchange_reply(struct lws *wsi, const struct exchange_content *content);
int exchange_reply_error(struct lws *wsi, const struct error *error, const char *headers);
/* The same for a request whose body has no known end: nothing after it can be read, so the
 * connection ends once the client has seen the answer. */
int exchange_reply_and_part(struct lws *wsi, const struct error *error, const char *headers);
/* One or the other, by what the request has. */
int exchange_refuse(struct lws *wsi, const struct error *error, const char *headers);
/* The same for a request that asked to become something else: a positive value, which tells
 * libwebsockets that it was answered; or -1. */
int exchange_refuse_upgrade(struct lws *wsi, const struct error *error);

struct exchange {
    struct server *server;
    struct lws *wsi; /* NULL once the client is gone */
    struct visitor visitor;
    char *key;                               /* its Idempotency-Key; NULL: none */
    char *cors;                              /* lines for the header of its answer; NULL: none */
    struct intake intake;                    /* the body of the request */
    void (*take)(struct exchange *exchange); /* the whole body is there: an answer is owed */
    struct buffer reply;                     /* the whole response, when it is there, */
    struct buffer large;                     /* ... but for a body that was given apart */
    size_t written;                          /* of both */
    enum door_wish wish;                     /* that it was let in for, with a body */
    bool complete;                           /* the whole body has come */
    bool head;                               /* answered without the body */
    bool awaited;                            /* somebody will call exchange_answer */
    bool refused;                            /* before the body was whole; the rest is dropped */
};

/* NULL when out of memory. `limit` bounds the body. The visitor is moved, in either case. */
struct exchange *exchange_new(struct server *server, struct lws *wsi, size_t limit,
                              struct visitor *visitor);
/* Answer a request whose body is still coming. The rest is read and dropped for some seconds, so
 * that the client sees the answer; then the connection is cut. */
void exchange_break_off(struct exchange *exchange, const struct error *error);
/* Nothing more is read until the answer is there; exchange_answer is owed from now on. */
void exchange_await(struct exchange *exchange);
/* The answer that was awaited. When the client has gone in the meantime, the exchange is freed. */
void exchange_answer(struct exchange *exchange, const struct exchange_content *content);
/* The same with a body (for content->body) that is moved out of the buffer and written piece by
 * piece, as fast as the client reads. */
void exchange_answer_large(struct exchange *exchange, struct exchange_content *content,
                           struct buffer *body);
void exchange_answer_error(struct exchange *exchange, const struct error *error);
/* The socket takes bytes. When the answer is there it is written on, and in the end the exchange is
 * freed; *slot is NULL then. Returns what the callback returns. */
int exchange_writable(struct exchange **slot);
/* The client has gone. */
void exchange_gone(struct exchange *exchange);

#endif
