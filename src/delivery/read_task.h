/*
 * A read for one subscription, which may be gone before it returns. The task is at
 * subscription->task from its start until the reader takes it off. Closing the subscription forgets
 * the task, and a forgotten one frees itself when it comes back.
 */
#ifndef DELIVERY_READ_TASK_H
#define DELIVERY_READ_TASK_H

#include "delivery/hub_internal.h"

/* First member of each kind of task. */
struct read_task {
    struct read_job read;
    struct subscription *subscription; /* NULL once it is gone */
    const char *what;                  /* for the log: "catch-up" */
    /* On a reader thread: false fills `error`. Opens and ends its own read transactions. */
    bool (*run)(struct read_task *task, struct store_reader *reader);
    /* Back on the loop: whether it goes on with another part; NULL: it has only one. */
    bool (*again)(const struct read_task *task);
    /* Frees it. */
    void (*dropped)(struct read_task *task);
    _Atomic bool forgotten; /* nothing waits any more: the readers skip it */
    bool done;              /* it ran well */
    bool returned;          /* it is back, and its subscription was woken */
    struct error error;     /* unless it is done */
};

/* Hand the task over. False when too many wait: then it is freed. */
bool read_task_start(struct subscription *subscription, struct read_task *task);
/* The step of a subscription whose task could not be started. */
struct reader_step read_task_refused(struct subscription *subscription);
/* Take the returned task off its subscription; the caller frees it. NULL: none has returned. */
struct read_task *read_task_take(struct subscription *subscription);
/* The subscription no longer waits for its read. */
void read_task_forget(struct subscription *subscription);

#endif
