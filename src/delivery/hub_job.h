/*
 * A read for one subscription, which may be gone before it returns. The job is at
 * subscription->job from its start until the loop side takes it off; who closes the subscription
 * forgets the job, and a forgotten one frees itself when it comes back.
 */
#ifndef DELIVERY_HUB_JOB_H
#define DELIVERY_HUB_JOB_H

#include "delivery/hub_internal.h"

/* First member of each kind of job. */
struct hub_job {
    struct read_job read;
    struct subscription *subscription; /* NULL once it is gone */
    const char *what;                  /* for the log: "catch-up" */
    /* On a reader: false fills `error`. Opens and ends its own read transactions. */
    bool (*run)(struct hub_job *job, struct store_reader *reader);
    /* On the loop, when it ran well and the subscription is still there. */
    void (*finish)(struct hub_job *job);
    void (*destroy)(struct hub_job *job);
    _Atomic bool forgotten; /* nobody waits any more: the readers skip it */
    bool done, returned;
    struct error error;
};

/* Hand the job over, for the first time or once more; false when too many wait: then it is freed.
 * When it fails in the reader, the subscription is told and closed. */
bool hub_job_start(struct subscription *subscription, struct hub_job *job);
/* Tell the client that its job was not taken, and close the subscription. */
void hub_job_refused(struct subscription *subscription);
/* Take the returned job off its subscription; the caller destroys it. */
void hub_job_take(struct hub_job *job);

#endif
