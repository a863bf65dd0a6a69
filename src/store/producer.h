/*
 * The store's state of producers: the last batch of each, and the requests that came with a key.
 * Both are written in the transaction of the batch or request.
 */
#ifndef STORE_PRODUCER_H
#define STORE_PRODUCER_H

#include "store/store.h"

/* ---- producers ---- */

/* The state of a producer. Absent texts: see the fields. */
struct store_producer {
    struct span name;
    struct span owner; /* subject that may use the name; absent: nobody's; empty: the host's */
    int64_t batch;     /* the last that was committed */
    struct span mark;  /* the mark of that batch; absent: none */
    bool has_seq;
    struct seq seq; /* of the newest change of its batches */
    int64_t at;     /* wall clock, ms */
    int64_t change; /* id of the newest change when it was written */
};

/* Write the whole row. In a transaction. */
bool store_producer_put(struct store_writer *writer, const struct store_producer *producer,
                        struct error *error);
/* How many names (of producers; absent: nobody's), or keys of requests, an owner has, counted up to
 * `most`. */
enum store_owned { STORE_PRODUCERS, STORE_KEYS };
bool store_owner_count(struct store_writer *writer, enum store_owned what, struct span owner,
                       int64_t most, int64_t *count, struct error *error);
/* Forget the owner's names of killed runs of `stele ingest`: made for one run, and not used
 * since `before` (ms). At most `step`; *removed says how many. In a transaction. */
bool store_producer_trim_runs(struct store_writer *writer, struct span owner, int64_t before,
                              int64_t step, int64_t *removed, struct error *error);
/* Forget one; one that is not there is fine. In a transaction. */
bool store_producer_remove(struct store_writer *writer, struct span name, struct error *error);
/* The texts are borrowed until the reader is used again. */
bool store_read_producer(struct store_reader *reader, struct span name,
                         struct store_producer *producer, bool *found, struct error *error);

struct store_producer_scan {
    struct span owner; /* owner of the names, and names of nobody; absent: every row */
    struct span after; /* behind this name; absent: from the first */
    int64_t limit;
};
/* In order of the names. A callback that returns false stops the scan early (no error). */
bool store_read_producers(struct store_reader *reader, const struct store_producer_scan *scan,
                          bool (*each)(void *argument, const struct store_producer *producer),
                          void *argument, struct error *error);
/* Every row that was written last when the newest change was one of these (`change`, of both ends),
 * in order of these changes. */
bool store_read_moved_producers(struct store_reader *reader, int64_t from, int64_t to,
                                bool (*each)(void *argument, const struct store_producer *producer),
                                void *argument, struct error *error);

/* ---- keys of requests (Idempotency-Key) ---- */

/* A committed request. */
struct store_key {
    struct span owner; /* subject; empty: there was no authentication */
    struct span key;
    struct span body;   /* digest of the request */
    struct span answer; /* the first answer */
    int64_t at;         /* wall clock, ms */
    int64_t change;     /* the newest change when it was written; of store_key_put alone */
};

/* Uncommitted ones included. `body` and `answer` are borrowed until the writer is used again. */
bool store_key_get(struct store_writer *writer, struct span owner, struct span key,
                   struct store_key *found_key, bool *found, struct error *error);
/* Add one, in place of an older use of the key. In a transaction. */
bool store_key_put(struct store_writer *writer, const struct store_key *key, struct error *error);
/* Stamp keys of an owner from behind `latest` with `at`: no right clock can have made them. In a
 * transaction. */
bool store_key_restamp(struct store_writer *writer, struct span owner, int64_t latest, int64_t at,
                       struct error *error);
/* Forget the oldest keys of an owner, at most `step`, of those from up to `before`. In a
 * transaction. */
bool store_key_trim(struct store_writer *writer, struct span owner, int64_t before, int64_t step,
                    int64_t *removed, struct error *error);

#endif
