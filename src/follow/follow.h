/*
 * follow: log mode (docs/cluster.md). A node reads one stream of NATS JetStream from behind its own
 * position, on a thread of its own, and hands each message to the engine, in order. What it is
 * asked to write it publishes there, on another thread, and answers when it has read and applied
 * it.
 *
 *   stream --message--> [thread: decode, place] --submission--> engine --> deliver, on the loop
 *      ^---message---- [thread: publish] <--publication-- ingest                    |
 *                                               ^------------- answer --------------'
 *
 * Promises: nothing is applied but the message directly behind the last one that was (the engine
 * holds that, see engine/position.c); a message that is refused is refused by every node, counted,
 * and logged; a hole in the stream ends the following, and is never passed over. Memory is bounded:
 * by what the stream sends ahead, and by the engine's queue. Without a broker the thread tries
 * again, for ever.
 *
 * This folder alone knows libnats. A program that was built without it (STELE_LOG) refuses in
 * follow_open.
 */
#ifndef FOLLOW_FOLLOW_H
#define FOLLOW_FOLLOW_H

#include "ingest/ingest.h"

struct follow;

struct follow_options {
    const char *nats;             /* addresses, with commas between them */
    const char *stream;           /* its name */
    const char *subject;          /* to which it publishes; NULL: the only one of the stream */
    const char *credentials_file; /* NULL: none */
    const char *ca_file;          /* for tls://; NULL: the system's */
};

/* What it takes to read. */
struct follow_start {
    struct engine *engine;
    struct ingest_options ingest; /* what decides how a message is decoded */
    int64_t created;              /* the stream that is meant: see follow_ask */
    double max_lag;               /* seconds: a node that is more behind publishes nothing */
    int64_t max_write_ms;         /* for what it publishes to be applied here */
    /* A token was revoked, `at` in milliseconds; it is on disk. Loop thread. */
    void (*revoked)(void *argument, struct span token_id, int64_t expires_at, int64_t at);
    void *argument;
};

enum follow_condition {
    FOLLOW_APART,    /* the broker or the stream cannot be reached */
    FOLLOW_READING,  /* messages come, or would */
    FOLLOW_GAP,      /* the stream has not what comes behind this node's position */
    FOLLOW_REPLACED, /* another stream has the name */
    FOLLOW_NEWER,    /* what comes next is of a newer version, and may mean what this one misses */
    FOLLOW_CONDITIONS
};

/* Whether nothing more is applied until somebody does something. */
static inline bool follow_has_ended(enum follow_condition condition)
{
    return condition == FOLLOW_GAP || condition == FOLLOW_REPLACED || condition == FOLLOW_NEWER;
}

struct follow_state {
    enum follow_condition condition;
    bool caught_up;       /* it had all of the stream, at some time since the start */
    int64_t position;     /* the last message that is done with; -1: none */
    int64_t lag_messages; /* in the stream behind that, as far as is known */
    double lag_seconds;   /* how old what it shows may be: 0 while it has all */
    double heard_seconds; /* since a broker, or the source, was heard; 0 before the first time */
    uint64_t reconnects, refused;
    char problem[256]; /* what is wrong, and the remedy; of a node not in FOLLOW_APART */
};

/* What it publishes. */
struct follow_writes {
    uint64_t published;
    uint64_t failed; /* that nobody knows of, or that were not even published */
    size_t waiting;  /* to be published or applied here */
    size_t bytes;    /* of these */
};

/* Everything is copied. NULL with ERROR_CONFIGURATION, if the program was built without log mode.
 */
struct follow *follow_open(const struct follow_options *options, struct error *error);
/* Ask when the stream was made, in nanoseconds since 1970, for a few seconds at most, or until
 * *give_up. false: ERROR_NETWORK, it cannot be asked; ERROR_CONFIGURATION, there is no such stream.
 * Before follow_start. */
bool follow_ask(struct follow *follow, const atomic_bool *give_up, int64_t *created,
                struct error *error);
/* Start the thread, behind the engine's position. */
bool follow_start(struct follow *follow, const struct follow_start *start, struct error *error);
/* Ask the thread to end; returns at once. Any thread. */
void follow_halt(struct follow *follow);
/* The end of the thread; before engine_close, which delivers what is under way. NULL is fine. */
void follow_stop(struct follow *follow);
/* After engine_close. NULL is fine. */
void follow_free(struct follow *follow);
/* Any thread. */
struct follow_state follow_state(struct follow *follow);
struct follow_writes follow_writes(struct follow *follow);
/* From being handed over to the answer, of what was applied here. */
const struct histogram *follow_write_time(const struct follow *follow);
/* Whether what is published now would be applied soon, as far as is known; else why not. */
bool follow_takes(struct follow *follow, struct error *error);
/* The way to publish; it is the follow's, and its argument, too. */
const struct publication_log *follow_log(struct follow *follow);
/* Publish that a token is revoked, or a producer forgotten: `body` keeps what is printed, and
 * outlives the publication. As struct publication_log has it. */
bool follow_revoke(struct follow *follow, struct publication *publication, struct buffer *body,
                   struct span token_id, int64_t expires_at, struct error *error);
bool follow_forget(struct follow *follow, struct publication *publication, struct buffer *body,
                   struct span producer, struct error *error);
/* The name of the condition, as /ready and the log have it: "log-gap". */
const char *follow_condition_name(enum follow_condition condition);

#endif
