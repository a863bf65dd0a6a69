/*
 * A stream of the broker, as reading.c reads it. Two files are behind this: stream_nats.c, and
 * stream_none.c in a program that was built without libnats. One thread at a time. Never included
 * from outside.
 */
#ifndef FOLLOW_STREAM_H
#define FOLLOW_STREAM_H

#include "follow/follow.h"

struct stream;

struct stream_facts {
    int64_t created;     /* nanoseconds since 1970 */
    int64_t first, last; /* sequences; of an empty stream first is last + 1 */
};

/* Where a message stands. */
struct stream_place {
    int64_t sequence; /* in the stream */
    int64_t delivery; /* in this reading: 1, 2, 3, … without a gap */
    int64_t at;       /* when the stream took it, milliseconds since 1970 */
    int64_t pending;  /* messages of the stream behind it */
};

struct stream_message {
    struct stream_place place;
    const char *envelope; /* the header of a node's (envelope.h); NULL: it has none */
    struct span body;
    void *handle;
};

enum stream_step {
    STREAM_MESSAGE, /* give it back with stream_release */
    STREAM_ALIVE,   /* the broker said that there is nothing */
    STREAM_NOTHING, /* nobody said anything */
    STREAM_BROKEN   /* the reading is over; begin another */
};

/* Nothing is connected yet; everything is copied. */
struct stream *stream_open(const struct follow_options *options, struct error *error);
void stream_close(struct stream *stream);
/* Connect if need be, and ask. Waits for seconds. ERROR_NETWORK, or ERROR_CONFIGURATION: there is
 * no such stream, or the credentials cannot be read. */
bool stream_ask(struct stream *stream, struct stream_facts *facts, struct error *error);
/* Begin to read from that sequence; the broker is heard every so often. */
enum { STREAM_HEARTBEAT_MS = 500 };
bool stream_read(struct stream *stream, int64_t from, struct error *error);
enum stream_step stream_next(struct stream *stream, int timeout_ms, struct stream_message *message);
void stream_release(struct stream_message *message);
/* End the reading, if there is one. */
void stream_rest(struct stream *stream);

/* The place of a message, from the subject by which it would be acknowledged, which ends with
 * …STREAM.CONSUMER.deliveries.sequence.delivery.nanoseconds.pending: of eight names, or of eleven
 * and more, where a domain and an account stand before STREAM. false: it is no such subject. */
bool stream_place_read(const char *subject, struct stream_place *place);

#endif
