/* The interface of producers.c for apply.c while it applies a submission; the rules are in
 * producers.c. Never included from outside. */
#ifndef ENGINE_PRODUCERS_H
#define ENGINE_PRODUCERS_H

#include "engine/engine_internal.h"
#include "store/producer.h"

/* A producer that the submission names. */
struct producer_state {
    struct store_producer row; /* as it is with the batches of this submission so far */
    bool advanced;             /* these batches moved it on */
};

struct producer_table {
    struct map map;
    struct producer_state *states;
    size_t count;
    int64_t owned; /* names that the submission's owner has by now; -1: not asked yet */
};

bool producer_table_init(struct producer_table *table, const struct submission *submission);
void producer_table_fini(struct producer_table *table);
/* Whether the batch is to be applied. *state stays NULL if it names no producer, and for a
 * repetition, which the submission counts. false: the submission is refused. */
bool producer_admit(struct writer *writer, struct submission *submission,
                    const struct submission_batch *batch, struct producer_table *table,
                    struct producer_state **state, bool *repeated, struct error *error);
/* Its batch was applied; `changed`: something changed, the last with the submission's seq. */
void producer_advance(struct producer_state *state, const struct submission *submission,
                      const struct submission_batch *batch, bool changed);
/* Note them in the store, once all of the submission is accepted. */
bool producers_store(struct writer *writer, const struct producer_table *table,
                     struct error *error);

/* known_producers.c: where a producer is in the open transaction, its texts borrowed until the next
 * call / where it is now. */
bool known_producer_read(struct writer *writer, struct span name, struct store_producer *row,
                         bool *found, struct error *error);
bool known_producer_put(struct writer *writer, const struct store_producer *row,
                        struct error *error);
/* The writer removes rows by these alone: those that moved are in the table before. */
bool known_producer_remove(struct writer *writer, struct span name, struct error *error);
bool known_producers_trim_runs(struct writer *writer, struct span owner, int64_t before,
                               int64_t step, int64_t *removed, struct error *error);

/* keyed.c: a request with a key. Before it is applied: *replayed if it was committed before; the
 * submission then has the answer. */
bool keyed_admit(struct writer *writer, struct submission *submission, bool *replayed,
                 struct error *error);
/* After all checks that can refuse it: note the key with the answer. */
bool keyed_store(struct writer *writer, struct submission *submission, struct error *error);
/* Keep a key that another server has. */
bool keyed_copy(struct writer *writer, const struct store_key *key, struct error *error);

/* command.c: do what a message says that is no mutation. */
bool command_apply(struct writer *writer, struct submission *submission, struct error *error);

#endif
