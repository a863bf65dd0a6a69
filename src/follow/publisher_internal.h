/*
 * What the files of the publisher share.
 *
 *   put --> waiting --sent--> sent --applied here--> answered, by who reads
 *                                  \--time is over, a broker refuses, or the end--> answered, here
 *
 *  1. A publication is pending from `put` on until it is taken out to be answered: once, under the
 *     lock, by the reading or by the thread that publishes.
 *  2. Messages are sent in the order in which they were put, each once. The connection keeps it.
 *  3. What was sent may be in the log, whatever became of the connection. Only the reading says
 *     that it is; nothing says that it is not, except a broker that refuses it.
 *  4. A publication is not looked at any more once it is sent: it may be answered, and gone.
 *
 *   publisher.c       putting, taking, life
 *   publisher_send.c  the thread
 *   pending.c         the publications
 */
#ifndef FOLLOW_PUBLISHER_INTERNAL_H
#define FOLLOW_PUBLISHER_INTERNAL_H

#include "follow/envelope.h"
#include "follow/follow_internal.h"

enum { PENDING_BUCKETS = 1024 };

/* Under the publisher's lock. */
struct pending {
    struct link waiting, sent; /* in order */
    struct publication *buckets[PENDING_BUCKETS];
    size_t count, bytes;
    uint64_t number; /* of the newest */
};

void pending_init(struct pending *pending);
bool pending_has_room(const struct pending *pending, enum publication_form form, size_t bytes);
/* It waits from now on, and has a number. */
void pending_add(struct pending *pending, struct publication *publication, size_t bytes);
/* NULL: there is none. */
struct publication *pending_find(const struct pending *pending, uint64_t number);
/* The first that waits counts as sent. NULL: none waits. */
struct publication *pending_send(struct pending *pending);
/* The first of one of the lists. NULL: it is empty. */
struct publication *pending_first(const struct link *list);
void pending_remove(struct pending *pending, struct publication *publication);

struct publisher {
    struct sender *sender;
    struct follow_start start;
    pthread_t thread;
    bool started;
    struct histogram wait; /* from put to answer */
    char node[ENVELOPE_NODE + 1];
    bool was_apart; /* which was logged, for this; the thread's */
    enum error_code apart_for;
    uint64_t tried_us;
    uint64_t heard_us; /* when a broker last acknowledged something; the thread's */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool takes, halted;
    struct pending pending;
    bool ready;
    uint64_t apart_us;    /* since when it is not; 0: it is */
    uint64_t settle_us;   /* when what waits is given up; 0: by its own time */
    struct error problem; /* why it is not ready */
    uint64_t published, failed;
};

/* With the lock: taken out, and answered on the loop, as its error says. */
void publisher_give_up(struct publisher *publisher, struct publication *publication);
/* With the lock: those of the list whose time is over, or all. Whether nothing was acknowledged
 * since one of them was sent. */
bool publisher_expire(struct publisher *publisher, struct link *list, bool all);

/* publisher_send.c */
void *publisher_main(void *publisher);

#endif
