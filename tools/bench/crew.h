/*
 * Producers: connections to /v1/ingest that keep requests on their way, bounded by count and by
 * bytes, and count what is acknowledged. A refused request is a failure of the loop.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include "bench/connection.h"
#include "bench/message.h"

struct crew_plan {
    unsigned producers;
    size_t batch; /* mutations of a request */
    enum message_content content;
    uint64_t first_key, keys; /* they are first_key … first_key + keys - 1 */
    bool in_order;            /* one key after the other, instead of at random */
    size_t requests_in_flight,
        bytes_in_flight; /* of each producer; one request is always allowed */
};

struct crew;

struct producer {
    struct connection connection; /* first: callbacks come with it */
    struct crew *crew;
    struct message *messages;
    size_t message_count, most_in_flight;
    uint64_t to_send;            /* requests that may still be made */
    uint64_t sent, acknowledged; /* requests */
    struct random random;
    uint64_t next_key;
};

struct crew {
    struct loop *loop;
    struct crew_plan plan;
    struct producer *producers;
    unsigned opened;
    uint64_t acknowledged; /* mutations */
    uint64_t last_index;   /* the greatest index of a seq that was acknowledged */
    /* Called for each acknowledged request with its place (0, 1, …), when set. */
    void (*on_acknowledged)(void *context, uint64_t request);
    void *context;
};

/* Connect and make the messages. crew_close is due in any case. */
bool crew_open(struct crew *crew, struct loop *loop, const struct sockaddr_in *server,
               const struct crew_plan *plan, struct error *error);
void crew_close(struct crew *crew);
/* Let every producer send so many more requests; UINT64_MAX: until crew_stop. */
void crew_start(struct crew *crew, uint64_t requests);
/* Make no more requests. */
void crew_stop(struct crew *crew);
/* Wait until all that was to be sent is acknowledged. */
bool crew_finish(struct crew *crew, double seconds, struct error *error);
/* Send one request of one mutation, now, whatever is in flight; for MESSAGE_STAMPS. */
void crew_send_stamp(struct crew *crew, uint64_t microseconds);

#endif
