/*
 * The way to the log for what this node publishes: a connection of its own, so that a broker that
 * takes nothing does not keep the node from reading. sender_nats.c is behind it, or stream_none.c.
 * One thread at a time. Never included from outside.
 */
#ifndef FOLLOW_SENDER_H
#define FOLLOW_SENDER_H

#include "follow/follow.h"

struct sender;

/* What a broker says of a message. */
struct sender_ack {
    uint64_t number;
    int64_t sequence;   /* of the message in the log; 0: it is not there, and `error` says why */
    bool unheard;       /* nobody took it, nor would the next one be taken */
    struct error error; /* ERROR_TOO_LARGE or ERROR_LOG_UNAVAILABLE */
};

/* Nothing is connected yet; everything is copied. */
struct sender *sender_open(const struct follow_options *options, struct error *error);
void sender_close(struct sender *sender);
/* Connect if need be, and ask whether the stream is there, has a leader, and takes this subject
 * from this node: *created is its time. Whether it is full is not told before a message. Waits for
 * seconds. ERROR_NETWORK; ERROR_NOT_IMPLEMENTED: no subject is known to publish to;
 * ERROR_LOG_FORBIDDEN: it may not publish there. */
bool sender_ask(struct sender *sender, int64_t *created, struct error *error);
bool sender_is_connected(const struct sender *sender);
/* Publish. It may wait while the broker takes nothing, a second or two. ERROR_TOO_LARGE: it was not
 * published. ERROR_NETWORK: nobody knows, and the connection is gone. */
bool sender_send(struct sender *sender, uint64_t number, const char *envelope, struct span body,
                 struct error *error);
/* The next word of a broker, if there is one already. */
bool sender_next(struct sender *sender, struct sender_ack *ack);

#endif
