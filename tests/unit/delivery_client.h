/*
 * A client of the hub as the published npm client is one: it keeps rows by key, replaces them on
 * snapshot rows and upserts, merges patches with append, forgets on delete. It remembers the last
 * seq of any frame and the epoch, as a client that resumes would.
 *
 * One of version 2 gets bodies. It takes a snapshot when that is complete, which replaces its rows
 * unless it is a resume, and leaves a row as it is that has the version of a frame, or a newer one.
 * Of an append view it has the tape: it makes its rows of the events, from its cursor on, or from
 * the earliest one. A cursor that is refused, or a log that left it behind, makes it forget its
 * rows.
 */
#ifndef TESTS_DELIVERY_CLIENT_H
#define TESTS_DELIVERY_CLIENT_H

#include "delivery/hub.h"

#include <jansson.h>

struct client {
    const char *view, *key; /* key NULL: all */
    bool v2;                /* speaks version 2 of the protocol */
    bool tape;              /* ... and the view is an append view: no limit */
    bool resumes;           /* asks with its cursor; else afresh, keeping its rows */
    bool with_snapshot;
    int limit;  /* 0: none */
    bool pages; /* with a limit, from the first change on: hears a page and no more */
    int take;   /* 0: all */
    struct auth_identity *identity; /* borrowed; NULL: a stranger */
    /* Refreshes at each row as it is shown (NULL: a delete of that key), and notes a problem. */
    void (*judge)(struct client *client, const char *key, json_t *row);
    /* Called when a complete batch was applied. */
    void (*completed)(struct client *client);
    void *judge_argument; /* of both */
    struct hub *hub;
    struct subscriber *subscriber; /* NULL while cut off */
    bool woken;
    struct buffer shown;   /* bytes that it took by `show` */
    struct buffer message; /* its frames so far, and */
    enum wire_part part;   /* ... what they are */
    json_t *rows;
    char seq[64], epoch[64];
    char asked[64]; /* the cursor that it came with; empty: none */
    bool complete;  /* a complete batch came since it subscribed; version 2: and a cursor */
    bool keeps;     /* until then, its rows, also where it is told that they are void */
    struct {
        json_t *staged, *versions; /* rows of the snapshot under way; of rows that it holds */
        bool adds;                 /* the next snapshot does not replace them */
        bool begun;                /* a snapshot was complete since it subscribed */
        struct buffer head;        /* of live frames */
    } of_v2;
    struct {
        json_t *whole;      /* key -> true: it was told all that this row has */
        long long position; /* of the last event */
        bool from_start;    /* its first event was the first of all, and it missed none since */
        bool ended;         /* by an error: the subscriber is to go */
    } of_tape;
    size_t frames, patches, upserts, deletes, resumed, refused;
    char problem[1024]; /* what the server should never send; "" when fine */
};

void client_init(struct client *client);
void client_fini(struct client *client);
void client_connect(struct client *client, struct hub *hub);
/* The same in two parts, where the second needs no memory of the client's own: prepare gives the
 * message, to be freed; false: there is no memory for the subscriber. */
char *client_prepare(struct client *client);
bool client_subscribe(struct client *client, struct hub *hub, const char *message);
/* Apply whole frames that were pulled from its subscriber. */
void client_take(struct client *client, struct span bytes);
/* Pull and apply; at most `frames` frames of what was pulled are applied, the others are lost, as
 * in a cut connection (negative: all). Returns whether anything came. */
bool client_pull(struct client *client, long frames);
/* Pull and apply all: whether a complete batch was among it. For hub_fixture_until. */
bool client_is_complete(void *client);
void client_cut(struct client *client);

/* Add an entity to the rows that a client should have, as the view shows it. */
void client_expect(json_t *rows, const struct view *view, const struct store_entity *entity);

/* A token with these row scopes, with spaces between (NULL: none); the caller releases it. */
struct auth_identity *client_token(const char *row_scopes);

#endif
