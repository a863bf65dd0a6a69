/*
 * HTTP answers. Most requests are answered on the spot (exchange_reply); one that has a body, or
 * whose answer comes later, is an exchange: the data of its connection until it is answered.
 */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include "access/access.h"
#include "net/net.h"
#include "server/incoming.h"

struct server;

struct exchange_content {
    int status;
    const char *type;    /* Content-Type; NULL: a status that has no body */
    const char *headers; /* further lines, each with its CRLF; or NULL */
    struct span body;
};

/* Answer the request at hand. Where its body has not come, the connection ends with the answer. */
void exchange_reply(struct net_connection *connection, const struct exchange_content *content);
void exchange_reply_error(struct net_connection *connection, const struct error *error,
                          const char *headers);

struct exchange {
    struct server *server;
    struct net_connection *connection; /* NULL once the client is gone */
    struct principal principal;
    char *cors;                              /* lines for the header of its answer; NULL: none */
    struct intake intake;                    /* the body of the request */
    void (*take)(struct exchange *exchange); /* the whole body is there: an answer is owed */
    struct buffer reply;                     /* the whole response, when it is there, */
    struct buffer large;                     /* ... but for a body that was given apart */
    size_t written;                          /* of both */
    uint64_t owner;                          /* of its shares: */
    struct share share;                      /* ... of the memory of answers */
    struct share reading;                    /* ... of the requests that readers work on */
    enum permission permission;              /* that it was let in for, with a body */
    bool form;                               /* it says to be a form, as curl -d does */
    bool head;                               /* answered without the body */
    bool awaited;                            /* somebody will call exchange_answer */
};

/* A producer's request was refused (not its sender): count it and tell the audit. */
void server_note_refused(struct server *server, const struct principal *principal, const char *kind,
                         const struct error *error);
/* The same for one that came with this request, if it is a producer's. */
void exchange_note_refused(struct exchange *exchange, const struct error *error);

/* The exchange of the request at hand. NULL when out of memory. `limit` bounds the body. The
 * principal is moved, in either case. */
struct exchange *exchange_new(struct server *server, struct net_connection *connection,
                              size_t limit, struct principal *principal);
/* Answer a request whose body is still coming, and free the exchange. The rest is read and dropped
 * for some seconds, so that the client sees the answer; then the connection ends. */
void exchange_break_off(struct exchange *exchange, const struct error *error);
/* Somebody owes exchange_answer from now on, also when the client goes. */
void exchange_await(struct exchange *exchange);
/* The answer that was awaited. When the client has gone in the meantime, the exchange is freed. */
void exchange_answer(struct exchange *exchange, const struct exchange_content *content);
/* The same with a body (for content->body) that is moved out of the buffer and written piece by
 * piece, as fast as the client reads. What of all these bodies is not taken yet is bounded: beyond
 * that, the largest answer of the owner who has most is broken off. */
void exchange_answer_large(struct exchange *exchange, struct exchange_content *content,
                           struct buffer *body);
void exchange_answer_error(struct exchange *exchange, const struct error *error);
/* A reader begins to work for it / has ended. False when out of memory. */
bool exchange_begin_read(struct exchange *exchange);
void exchange_end_read(struct exchange *exchange);
/* The socket takes bytes. When the answer is there it is written on; in the end the exchange is
 * freed. */
void exchange_writable(struct exchange *exchange);
/* The client has gone. */
void exchange_gone(struct exchange *exchange);

#endif
