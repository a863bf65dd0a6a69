/*
 * Checkpoints: the thread that moves the write-ahead log into the database, and the gate at which
 * the writer leaves the database to it between two transactions. It knows the database and the
 * state of the intake, no writer and no engine.
 */
#ifndef ENGINE_CHECKPOINTS_H
#define ENGINE_CHECKPOINTS_H

#include "engine/engine.h"

#include <pthread.h>

/* The state of giving back the room of the write-ahead log. */
struct give_back {
    uint64_t commits;  /* those that it knows of */
    uint64_t since_us; /* when the last of them was noticed, or the last attempt; 0: never */
    bool done;         /* nothing is left to give back since */
};

/* Embedded, zeroed at first. */
struct checkpoints {
    /* Set before checkpoints_start; all outlive the thread. */
    struct database *database;
    struct engine_metrics *metrics;
    const _Atomic int *intake; /* an enum error_code: why no mutations are accepted (see disk.h) */
    /* The thread's. */
    struct database_checkpointer *checkpointer;
    struct give_back give_back;
    pthread_t thread;
    bool started;
    /* The gate, under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool wanted, open, stopping;
    /* For the writer. */
    _Atomic bool is_near;      /* one is nearly through: transactions are kept short */
    _Atomic unsigned failures; /* in a row */
};

bool checkpoints_init(struct checkpoints *checkpoints);
void checkpoints_fini(struct checkpoints *checkpoints);
/* A checkpoint is due when the log has more than so many pages. */
bool checkpoints_start(struct checkpoints *checkpoints, uint32_t pages, struct error *error);
/* Waits for the thread; harmless where it was not started. */
void checkpoints_stop(struct checkpoints *checkpoints);
/* Between two transactions, on the writer: let a waiting checkpoint have the database. */
void checkpoints_pass(struct checkpoints *checkpoints);
/* Whether several in a row failed: writes to the log succeed, those to the database's own file
 * do not. */
bool checkpoints_fail(const struct checkpoints *checkpoints);

#endif
