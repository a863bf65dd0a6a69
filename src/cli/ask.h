/*
 * Requests of a command to a server's HTTP interface, one at a time.
 */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "cli/access.h"
#include "outbound/outbound.h"

#include <semaphore.h>

struct ask {
    struct outbound *outbound;
    sem_t news;
    struct buffer base, file;      /* the server's URL; the text of the token's file */
    struct span token;             /* with a NUL behind it; may be empty */
    struct outbound_answer answer; /* of the last request */
    bool answered, has_news;
};

struct ask_request {
    const char *method; /* NULL: GET, or POST with a body */
    const char *path;   /* percent-encoded */
    struct span body;   /* JSON; absent: none */
    int64_t total_ms;   /* until its answer is there; 0: some time */
};

/* `url` may also name the server as ws:// or wss://. ask_close is due in either case. */
bool ask_open(struct ask *ask, const struct access_options *access, const char *url,
              struct error *error);
/* Wait for an answer of 200; its body, borrowed until the next request. Else the error has the
 * server's error. */
bool ask_server(struct ask *ask, const struct ask_request *request, struct span *body,
                struct error *error);
void ask_close(struct ask *ask);
/* Append a part of a path or query, percent-encoded. */
void ask_encode(struct buffer *out, struct span text);

#endif
