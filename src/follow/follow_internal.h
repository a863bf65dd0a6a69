/*
 * What the files of this folder share.
 *
 *   follow.c      life, and what others are told
 *   reading.c     the thread that reads, in rounds
 *   condition.c   whether the stream is as it should be, and how far behind the node is
 *   message.c     a message becomes a submission, and what becomes of that
 *   publisher…c   the thread that publishes, and who waits for what it published
 */
#ifndef FOLLOW_INTERNAL_H
#define FOLLOW_INTERNAL_H

#include "follow/publisher.h"
#include "follow/stream.h"

#include <pthread.h>

enum {
    FOLLOW_SILENCE_MS = 2000, /* of a broker that should be heard every STREAM_HEARTBEAT_MS */
    FOLLOW_END_MS = 3000,     /* after so long without messages none will come; and that long a
                               * stream that ends too early may be a broker that does not know
                               * better yet */
    FOLLOW_QUIET_MS = 2000,   /* without messages: then the stream's leader is asked */
    FOLLOW_RETRY_MS = 500     /* between attempts */
};

/* What the loop is told and what the threads do meet here, under its lock. */
struct follow_shared {
    pthread_mutex_t lock;
    pthread_cond_t landed; /* nothing is under way */
    size_t under_way;
    bool failed; /* a message was not taken: the round is over */
    struct follow_state state;
    int64_t since;     /* the time of the oldest message that is not done with, about */
    int64_t last;      /* the greatest sequence that the stream is known to have */
    uint64_t heard_us; /* when the broker was heard; 0: never */
};

struct follow {
    struct stream *stream;
    struct publisher *publisher;
    struct publication_log log; /* this, for who publishes */
    struct follow_start start;
    pthread_t thread;
    bool started;
    atomic_bool halted;
    struct follow_shared shared;
    /* the reading thread's */
    uint64_t readings; /* that were begun */
    int64_t handed; /* the last message that was handed over in this round, or what it began with */
    bool was_apart; /* which was logged */
    uint64_t message_us; /* when this round had a message, or began */
    uint64_t short_us;   /* since when the stream ends before the position; 0: it does not */
    uint64_t asked_us;   /* when the stream's leader answered, in this round */
};

/* ---- reading.c ---- */

void *follow_read(void *follow);

/* ---- condition.c, which calls none of the others ---- */

void follow_pause(int ms);
/* The next message of this round. */
int64_t follow_next(const struct follow *follow);

/* With the lock. */
int64_t follow_messages_behind(const struct follow_shared *shared);
double follow_seconds_behind(const struct follow_shared *shared);
void follow_note_last(struct follow_shared *shared, int64_t last);
/* Without it. */
void follow_be_apart(struct follow *follow, const struct error *error);
void follow_be_reading(struct follow *follow);
bool follow_is_stopped(struct follow *follow);
/* Whether it is the stream that is meant, and goes on behind the position. */
bool follow_goes_on(struct follow *follow, const struct stream_facts *facts);
/* Whether this version understands the message, if it is the next one. */
bool follow_is_known(struct follow *follow, const struct stream_message *message);
/* The stream passes over a message that it has not, and the node does not. */
bool follow_is_next(struct follow *follow, const struct stream_place *place);
/* The broker is there and says that there is nothing: whether that can be. */
bool follow_is_whole(struct follow *follow);
bool follow_is_led(struct follow *follow);
bool follow_is_silent(struct follow *follow);

/* ---- message.c ---- */

/* A message for the engine; one that cannot be read becomes an empty submission with why. NULL when
 * out of memory. */
struct submission *follow_submission(struct follow *follow, const struct stream_message *message);

#endif
