/*
 * What tests of the public C API share: stores in a folder of the test's own, and frames and rows,
 * collected.
 */
#ifndef API_FIXTURE_H
#define API_FIXTURE_H

#include "stele/stele.h"

#include <pthread.h>

/* The database opened last. */
extern char file[80];

/* Each test has a database of its own. */
stele *open_as(const char *name, stele_options options);
stele *open_with(const char *name, const char *const *settings, size_t count);
stele *open_store(const char *name);
/* With both addresses, on free ports. */
stele *open_serving(const char *name);
void apply(stele *store, const char *lines);

/* ---- frames ---- */

struct frames {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
    size_t rows;   /* in snapshots */
    bool complete; /* the last batch of the snapshot came */
    char last[4096];
    stele *store; /* for tests that call back */
    stele_subscription *subscription;
    int leave_after; /* frames; 0: stay */
};

#define FRAMES_INIT                                                                                \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                     \
    }

void on_frame(void *argument, const char *json, size_t length);
void wait_for(struct frames *frames, int count, bool complete);
stele_subscription *subscribe(stele *store, const char *view, struct frames *frames);

/* ---- requests without waiting, and their answers ---- */

struct flood {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int answered, refused;
    char code[32]; /* of a refusal */
};

#define FLOOD_INIT                                                                                 \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                     \
    }

void count_answer(void *argument, const stele_result *result, const stele_error *error);
void wait_answered(struct flood *flood, int count);
/* {"n":number} for key k of export E. */
bool feed_one(stele *store, int number, struct flood *flood, stele_error *error);

/* ---- rows ---- */

struct rows {
    int count, stop_after;
    char keys[256], last[256];
};

bool on_row(void *argument, const stele_row *row);
bool any_row(void *argument, const stele_row *row);

/* ---- refusals ---- */

/* Of the call at hand. */
extern stele_error refusal;

#define REFUSED(call, expected, named)                                                             \
    do {                                                                                           \
        refusal = (stele_error){.code = ""};                                                       \
        assert_false(call);                                                                        \
        assert_string_equal(refusal.code, expected);                                               \
        if (!strstr(refusal.message, named))                                                       \
            fail_msg("\"%s\" does not name %s", refusal.message, named);                           \
    } while (0)

#endif
