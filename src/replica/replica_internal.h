/* Shared by the files of this folder. Never included from outside. */
#ifndef REPLICA_REPLICA_INTERNAL_H
#define REPLICA_REPLICA_INTERNAL_H

#include "outbound/fetch.h"
#include "replica/lines.h"

#include <pthread.h>

/* What the loop and the thread both know. */
struct replica_shared {
    pthread_mutex_t lock;
    pthread_cond_t landed; /* nothing is under way */
    size_t under_way;
    bool failed; /* something was not taken: the round is over */
    struct error failure;
    struct follow_state state;
    int64_t head;    /* the newest change of the source, as far as is known, */
    bool head_known; /* ... of this round: else it may be one of long ago, or none */
    /* since when, about, there are changes that are not done with; monotonic, in ms */
    int64_t since;
    int64_t source_clock; /* of the source's clock, which dates changes: how far ahead of that */
    uint64_t readings;    /* that were begun */
    struct buffer chain;  /* of the source: see replica_print_chain; without brackets */
    uint64_t heard_us;    /* when the source was heard; 0: never */
};

struct replica {
    char *url, *token_file;
    char id[DATABASE_UUID_SIZE]; /* of this run */
    void (*revoked)(void *argument, struct span token_id, int64_t expires_at, int64_t at);
    void *argument;
    struct fetch *fetch;
    struct engine *engine;
    const char *epoch;
    char settings[65];
    pthread_t thread;
    bool started;
    atomic_bool halted;
    struct replica_shared shared;
    /* the thread's */
    struct buffer token, target, line;
    struct buffer former;          /* see struct replica_source */
    struct buffer changes, beside; /* lines of the transaction that is coming */
    char notes[64]; /* what the source told of notes, in this round; "": nothing yet */
    bool is_older;  /* ... it knows of none; told_older: so it was once */
    bool told_older;
    struct doc doc;
    int64_t received;            /* the last change that came, */
    int64_t handed;              /* ... and that was handed over */
    int64_t at;                  /* the time of the transaction that is coming */
    int64_t stuck_at;            /* behind this change is one that cannot be made here; -1: none */
    bool told_apart, told_alone; /* that it gets the changes alone */
    bool is_alone;               /* ... in this round */
    struct error apart_because;  /* what was told last, */
    uint64_t apart_us;           /* ... and when */
    bool has_heard;              /* in this round, so how far behind it is, is known */
    struct error problem;        /* of a line, while an answer is taken */
};

/* state.c: with the lock inside. */
void replica_note_handed(struct replica *replica, int by);
void replica_note_clock(struct replica *replica, int64_t now); /* of the source */
/* The list that the source tells; false: this replica is in it. */
bool replica_note_chain(struct replica *replica, struct span chain);
void replica_note_head(struct replica *replica, int64_t head);
void replica_deliver(struct engine_event *event);
bool replica_is_over(struct replica *replica);
void replica_wait_until_landed(struct replica *replica, struct error *failure);
/* Returns the condition before. */
enum follow_condition replica_change(struct replica *replica, enum follow_condition condition,
                                     const char *problem);

/* ask.c: read the token's file anew / the newest change of the source / what an answer that is no
 * 200 says: ERROR_LOG_GAP, ERROR_LOG_REPLACED, or ERROR_NETWORK for what may pass. */
enum { REPLICA_CONNECT_MS = 3000, REPLICA_WAIT_S = 5, REPLICA_SILENT_S = 12 };
bool replica_read_token(struct replica *replica, struct error *error);
bool replica_ask_head(struct replica *replica, int64_t *head, struct error *error);
void replica_print_refusal(const struct replica *replica, const struct fetch_answer *answer,
                           struct error *error);

#endif
