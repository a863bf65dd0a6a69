/*
 * reader: gives a subscription its bytes. A subscription is a cursor and a reader: the reader gives
 * what comes behind the cursor, one step for each pull, and never moves the subscription on by
 * itself. When it is through, or cannot go on, the step says so, and phase.c decides who is next.
 */
#ifndef DELIVERY_READER_H
#define DELIVERY_READER_H

#include "backlog/backlog.h"
#include "base/error.h"
#include "base/span.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

struct subscription;

enum reader_kind {
    READER_RESUME,   /* looks a cursor up in the log */
    READER_TAPE,     /* looks up where the log begins */
    READER_SNAPSHOT, /* batches of rows */
    READER_LOG,      /* pages of the log, from the database */
    READER_LIVE,     /* ready frames, or changes that memory has */
    READER_WINDOW,   /* a member of a window, which has phases of its own */
    READER_KINDS
};

enum step_then {
    STEP_MORE,    /* pull again: there is more, or may be */
    STEP_WAIT,    /* a read is under way, and wakes it */
    STEP_SLOT,    /* it needs a read slot; pull again with one */
    STEP_IDLE,    /* everything was given; the next change wakes it */
    STEP_NEXT,    /* `next` goes on, behind the change `from` */
    STEP_REFUSED, /* its cursor is of no use */
    STEP_FAILED   /* see reader_fail */
};

/* The result of one pull. */
struct reader_step {
    struct span bytes;          /* whole frames, borrowed until the next step; may be empty */
    struct text *text;          /* or one reference to a text, to be sent in pieces; NULL: none */
    struct frame_counts counts; /* of the bytes; no messages: nobody counted them */
    enum step_then then;
    enum reader_kind next;
    int64_t from;
    bool current;     /* the cursor at `from` is known to be of the present view */
    bool resumed;     /* the client must hear that its cursor is good */
    bool read_ended;  /* its read has come back: its slot is free */
    bool is_snapshot; /* it counts as (a part of) a snapshot, of so many rows, */
    uint64_t rows;
    bool ends;      /* ... its last part */
    bool is_answer; /* the answer to the request has so many rows by now */
    int64_t answered;
};

struct reader_ops {
    /* The next step. A reader without a slot (subscription->has_slot) begins no read. */
    struct reader_step (*pull)(struct subscription *subscription);
    /* Instead of pulls, where what comes next lies ready in a frame log: up to `most` pieces that
     * follow each other. 0: pull. NULL, both: always pull. */
    size_t (*show)(struct subscription *subscription, struct span *pieces, size_t most);
    /* So many bytes of these were taken; see frame_log_took. It rests if that is everything. */
    struct frame_run (*took)(struct subscription *subscription, size_t length, bool all);
    /* Whether its rows may still come in batches; NULL: they may. */
    bool (*is_opening)(const struct subscription *subscription);
    /* Whether only changes are still to come; NULL: not so. */
    bool (*is_live)(const struct subscription *subscription);
    /* Whether it has sent everything; NULL: not so. */
    bool (*has_all)(const struct subscription *subscription);
};

/* It cannot go on, for this reason, which is copied: its next step is STEP_FAILED. */
void reader_fail(struct subscription *subscription, const struct error *error);
void reader_forget_failure(struct subscription *subscription);
/* The same as a step. */
struct reader_step reader_failed(struct subscription *subscription, const struct error *error);

extern const struct reader_ops resume_reader, tape_reader, snapshot_reader, log_reader, live_reader;

#endif
