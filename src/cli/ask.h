/*
 * Requests of a command to a server's HTTP interface, one at a time.
 */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "cli/access.h"
#include "outbound/outbound.h"
#include "json/json.h"

#include <semaphore.h>

struct ask {
    struct outbound *outbound;
    sem_t news;
    struct buffer base, file;      /* the server's URL; the text of the token's file */
    struct span token;             /* with a NUL behind it; may be empty */
    struct outbound_answer answer; /* of the last request */
    bool answered, has_news;
    bool has_file; /* the command may read a database (--db) instead, which errors name */
    char code[48]; /* of the server's error, when it refused the last request; "" */
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
/* What came is no JSON of a stele: says whose it is. Always false. */
bool ask_is_strange(const struct ask *ask, struct error *error);
/* Ask for a path, and hand the answer on as JSON, until `take` returns; a path that failed is too
 * long. False with the error, which may be of `take`. */
typedef bool (*ask_take)(void *argument, const struct doc *doc, uint32_t root, struct error *error);
bool ask_json(struct ask *ask, struct buffer *path, ask_take take, void *argument,
              struct error *error);
void ask_close(struct ask *ask);

/* Append a part of a path or query, percent-encoded; */
void ask_encode(struct buffer *out, struct span text);
/* ... a view's id, whose slash stands as it is; */
void ask_add_view(struct buffer *path, const char *view);
/* ... a further parameter, unless its value is absent; */
void ask_add(struct buffer *path, const char *name, struct span value);
/* ... filters, each "path=value"; */
void ask_add_filters(struct buffer *path, const struct option_texts *filters);
/* ... and an order, each "path" or "-path". False when it is too long. */
bool ask_add_sorts(struct buffer *path, const struct option_texts *sorts);

#endif
