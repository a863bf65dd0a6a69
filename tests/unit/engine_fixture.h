/* A real engine on a real file in a folder of its own, and submissions made by hand. */
#ifndef TESTS_ENGINE_FIXTURE_H
#define TESTS_ENGINE_FIXTURE_H

#include "engine/engine.h"

struct fixture {
    char folder[64];
    char path[96];
    struct engine *engine;
    struct engine_options options;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool events, drained;
    int64_t last_change; /* of the commits delivered */
    size_t commits, changes;
    void (*on_change)(void *argument, const struct change *change);
    void *on_change_argument;
};

/* A folder and default options; then fixture_open. */
void fixture_init(struct fixture *fixture);
void fixture_open(struct fixture *fixture);
/* Close the engine without a drain; the file stays. */
void fixture_close(struct fixture *fixture);
/* Close and remove the folder. */
void fixture_fini(struct fixture *fixture);
/* Deliver events until `*done`; fails the test when that takes a minute. */
void fixture_wait(struct fixture *fixture, const bool *done);

/* What became of a submission. */
struct outcome {
    bool done;
    struct error error;
    uint64_t applied, ignored, duplicate;
    bool has_seq;
    struct seq seq;
};

/*
 * Build a submission from text: mutations as "export key op json [append…]", one a line; a line
 * "@producer number" starts a batch, "=slot:index" sets the seq of the next mutation.
 */
struct submission *fixture_submission(const char *text, struct outcome *outcome);
/* Submit and wait. */
struct outcome fixture_apply(struct fixture *fixture, const char *text);
/* A write that fails: what else its transaction has is undone. */
struct spoiler {
    struct write_job job;
    bool done;
};
/* Have one written. False: nothing is taken now. */
bool fixture_spoil(struct fixture *fixture, struct spoiler *spoiler);
/* The entity's data as a heap string, or NULL; read by a reader of its own. */
char *fixture_entity(struct fixture *fixture, const char *export, const char *key);

#endif
