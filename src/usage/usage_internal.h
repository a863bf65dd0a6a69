/* Shared by the files of usage; see usage.h. */
#ifndef USAGE_USAGE_INTERNAL_H
#define USAGE_USAGE_INTERNAL_H

#include "base/link.h"
#include "usage/usage.h"
#include "json/json.h"

enum {
    USAGE_SUM_MS = 10 * 1000,  /* for which updates are summed */
    USAGE_SUMS_PER_TURN = 500, /* reported in one turn of the loop, at most */
    USAGE_SPOOL_MS = 1000,     /* for which events wait for others on their way to the database */
    USAGE_BATCH_EVENTS = 1000, /* or until there are so many, which are one job for the writer */
    USAGE_PENDING_EVENTS = 200 * 1000, /* on their way to the database, at most */
    USAGE_PENDING_BYTES = 64 << 20,
    USAGE_EVENT_BYTES = 64 * 1024, /* of the longest */
    USAGE_PACKET_EVENTS = 50,      /* of one request to the endpoint */
    USAGE_PACKET_MS = 2000,        /* for which fewer wait for others */
    USAGE_AT_ONCE = 4,             /* requests to the endpoint, while it is well */
    USAGE_BACK_OFF_MS = 1000,      /* after the first failure, doubled by each further one */
    USAGE_BACK_OFF_MOST_MS = 60 * 1000,
    USAGE_RETRY_AFTER_MOST_MS = 600 * 1000, /* however long the endpoint asks for */
    USAGE_REFUSED_MS = 3600 * 1000          /* until a refused event is tried again */
};

/* ---- pace: pure ---- */

/*
 * When the next request to the endpoint may go. While the endpoint is well, several requests may be
 * under way. After a failure one at a time goes, and only after a wait that doubles up to a cap.
 * Half of the wait is random, so many servers do not come back in step.
 */
struct usage_pace {
    uint32_t failures; /* in a row; a success sets it to 0 */
    uint64_t retry_at; /* when there were some */
    uint64_t seed;     /* of its owner; the rest begins zeroed */
};

bool usage_pace_may_send(const struct usage_pace *pace, uint64_t now, size_t under_way);
/* `failures` as they were when the request was sent: requests that were under way together fail
 * together, which is one failure. `retry_after`: seconds that the endpoint asks for; 0: none.
 * Returns the wait in ms. */
uint64_t usage_pace_failed(struct usage_pace *pace, uint64_t now, uint32_t failures,
                           int64_t retry_after);

/* ---- clients ---- */

struct usage_client {
    struct usage *usage;
    struct link meters;
    char *identity; /* the members of all its events, as JSON with a comma before each */
    uint64_t since_ms;
    bool announced; /* some meter has messages that wait among answers */
};

struct usage_sum {
    uint64_t rows, messages, bytes;
};

/* Messages of one view to a client that are not in an event yet. */
struct usage_meter {
    struct usage_client *client;
    uint32_t references;
    struct link in_client;
    struct link in_due; /* while there is something to report */
    uint64_t due_ms;
    struct usage_sum sums[2];   /* by enum usage_kind */
    struct usage_sum announced; /* not sent yet */
    char view[]; /* its id: the view itself may be gone before the sums are reported */
};

/* Report the sums whose time has come, a bounded number at once. True: there are more. */
bool usage_tell_due(struct usage *usage, uint64_t now);

/* ---- the spool ---- */

struct usage_batch;

struct usage_spool {
    struct usage_batch *open;  /* takes events; NULL: none */
    struct usage_batch *first; /* closed ones that wait for the writer, in order */
    struct usage_batch **last;
    size_t writing;       /* batches that the writer has */
    size_t events, bytes; /* in all of these */
    uint64_t opened_ms;   /* when `open` got its first event */
    uint64_t retry_ms;    /* not before, after a failure */
    bool is_known;        /* the metrics say what the database has */
};

/* Note for the metrics what the database has of events now. */
void usage_note_spool(struct usage *usage, const struct store_usage_state *state);
void usage_spool_fini(struct usage_spool *spool);
/* A whole event as JSON. */
void usage_spool_add(struct usage *usage, struct span event);
void usage_spool_turn(struct usage *usage, uint64_t now);
/* Hand everything to the writer, now. */
void usage_spool_flush(struct usage *usage);

/* ---- packets ---- */

enum packet_state { PACKET_WAITING, PACKET_UNDER_WAY, PACKET_DELIVERED };

/* Events that were read from the spool, to be sent in one request. */
struct usage_packet {
    struct write_job removal; /* from the spool */
    struct link in_packets;
    struct usage *usage;
    enum packet_state state;
    bool removing;
    struct store_usage_state left; /* in the spool when it was removed */
    uint32_t failures;             /* of the pace, when it was sent */
    int64_t oldest_at;
    struct buffer text; /* the events as they are sent, with commas between */
    size_t count;
    struct {
        int64_t id;
        size_t end; /* in the text */
    } events[USAGE_PACKET_EVENTS];
};

/* ---- delivery ---- */

struct usage_delivery {
    struct link packets; /* in the order of the spool */
    size_t under_way;    /* packets at the endpoint */
    size_t removing;     /* packets that the writer is removing from the spool */
    bool reading;        /* a read of the spool is under way */
    int64_t after;       /* events up to this id were read */
    int64_t waiting;     /* events behind it, as far as known */
    int64_t news;        /* of them, those that came since the present read began */
    uint64_t read_ms;    /* when the spool was last read */
    uint64_t retry_ms;   /* not before, after a failure of the database */
    bool any_refused;    /* refused events stay in the spool, and are skipped until ... */
    uint64_t again_ms;   /* ... then */
    struct usage_pace pace;
};

void usage_delivery_fini(struct usage_delivery *delivery);
void usage_delivery_turn(struct usage *usage, uint64_t now);
/* ---- all of it ---- */

struct usage {
    struct usage_endpoint *endpoint; /* the destination; NULL: the options alone have it */
    struct usage_options options;
    struct usage_metrics metrics;
    bool finishing;  /* no clients are left */
    bool closing;    /* nothing new begins */
    struct link due; /* usage_meter.in_due, in the order of their time */
    struct buffer line;
    struct usage_spool spool;
    struct usage_delivery delivery;
};

static inline uint64_t usage_now(const struct usage *usage)
{
    return usage->options.now_ms(usage->options.argument);
}

#endif
