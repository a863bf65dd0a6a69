/*
 * Subscribers of the list view, all on one loop. What they get is counted by frame headers and a
 * glance at two fixed places of each frame: the operation, and the seq at its end.
 */
#ifndef BENCH_AUDIENCE_H
#define BENCH_AUDIENCE_H

#include "bench/connection.h"

/* Subscribes to the whole list view by version 2 of the protocol, with an id of one letter. */
#define AUDIENCE_NAMED(id)                                                                         \
    "{\"type\":\"subscribe\",\"protocolVersion\":2,\"subscriptionId\":\"" id "\","                 \
    "\"query\":{\"view\":\"Item/list\"}}"

struct audience;

struct subscriber {
    struct connection connection; /* first: callbacks come with it */
    struct audience *audience;
    uint64_t position; /* index of the newest seq seen; without a server, frames seen */
    uint32_t batches;  /* of the snapshot, complete ones */
    bool in_batch;     /* the message that is on its way in is a batch */
};

struct audience {
    struct loop *loop;
    struct connection_target target;
    struct subscriber *members;
    size_t count, started, opened;
    bool subscribe_when_open;
    const char *const *paths; /* one for each, in place of the target's; NULL: that one */
    /* What they subscribe to, in turns; by default the whole list view. The id of each view must
     * be as long as that one's, because frames are looked at by fixed places. */
    const char *const *subscriptions;
    size_t subscription_count;
    bool named; /* by version 2, with AUDIENCE_NAMED, or another of an id as long */
    /* What came to all of them together. */
    uint64_t frames, upserts, bytes; /* live frames; bytes with headers */
    uint64_t snapshot_bytes;
    /* What is waited for. */
    uint32_t batches_wanted;
    size_t without_snapshot;
    uint64_t position_wanted;
    size_t behind;
    /* Live frames of the first member are kept here, whole, up to the buffer's limit. */
    struct buffer *record;
    /* Called for each live frame, when set. */
    void (*on_change)(void *context, struct span payload);
    void *context;
};

/* So many subscribers of that server; receive_buffer 0: as the kernel likes. With `path` NULL they
 * are plain sockets that count frames. audience_close is due in any case. */
bool audience_init(struct audience *audience, struct loop *loop, const struct sockaddr_in *server,
                   const char *path, size_t count, struct error *error);
void audience_close(struct audience *audience);
/* Start to connect all, at most so many at a time; each next one when one is through. */
void audience_start(struct audience *audience, size_t at_a_time);
/* Start, and wait until all are connected. */
bool audience_connect(struct audience *audience, struct error *error);
/* Send all subscriptions. */
void audience_subscribe(struct audience *audience);
/* Set before subscribing: how many rows the view has. */
void audience_expect_snapshot(struct audience *audience, uint64_t rows);
bool audience_wait_snapshot(struct audience *audience, double seconds, struct error *error);
/* Connect, subscribe and wait for the snapshots. */
bool audience_settle(struct audience *audience, uint64_t rows, struct error *error);
/* Wait until everybody has seen that position. expect first, then feed, then wait. */
void audience_expect(struct audience *audience, uint64_t position);
/* Stop or go on reading from all. */
void audience_set_deaf(struct audience *audience, bool deaf);
bool audience_wait(struct audience *audience, double seconds, struct error *error);

#endif
