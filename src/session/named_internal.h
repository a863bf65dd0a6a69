/* Shared by named.c and named_head.c. */
#ifndef SESSION_NAMED_INTERNAL_H
#define SESSION_NAMED_INTERNAL_H

#include "session/frontend.h"
#include "session/named.h"

enum { NAMED_ANSWERS = 64 * 1024 /* unread ones beyond this pause the reading of messages */ };

struct named {
    struct link in_set, in_ready;
    struct named_set *set;
    struct subscriber *subscriber;
    struct wire_message asked; /* its message, owned */
    struct hub_facts facts;    /* of its view, when it began */
    struct buffer head;        /* of what names only the subscription */
    struct buffer batch_head;  /* empty: the next batch begins a snapshot */
    struct wire_joint joint;
    bool accepted;    /* the client was told `subscribed` */
    bool resumes;     /* its snapshot adds to what the client has */
    bool replaced;    /* its rows are others than `subscribed` announced, of another epoch maybe */
    bool unfinished;  /* a batch was sent, and not the one that completes the snapshot */
    bool leaves;      /* goes when the message that is being sent is whole, */
    bool begins_anew; /* ... or begins anew then */
};

struct named_set {
    struct session *session;
    struct usage_client *usage;
    struct link all, ready;
    size_t count;
    struct named *inside;               /* a message of it is being sent */
    struct named *pulled;               /* the last pull was of it */
    size_t pulled_length, ready_length; /* of what it gave, and of that as it is sent */
    bool is_shared;                     /* what it gave needed no head */
    struct buffer answers;
    size_t answers_sent;
    bool broken;
};

/* Whether the heads of all messages of a subscription have room (WIRE_HEAD): to be asked before it
 * is made. */
bool named_heads_fit(const struct wire_message *asked);
/* Put all live frames that `bytes` begin with behind their heads, or the first frame of another
 * kind, into frontend->joined; *joined is how many bytes those are. False when out of memory, and
 * the set is broken. */
bool named_join(struct named *named, struct span bytes, size_t *joined);

#endif
