/*
 * A model of the past of rows, which keeps every state of each key, beside a real engine that trims
 * its log, evicts, and is started again with other lengths of arrays. Tests compare with it what is
 * made again from the log. One run at a time, whose viewers see rows by their tokens.
 */
#ifndef TESTS_PAST_MODEL_H
#define TESTS_PAST_MODEL_H

#include "delivery_fixture.h"

#include "rows/past.h"

enum { KEYS = 7, STEPS = 160, VIEWERS = 3, SCAN = 9 };

struct state {
    int64_t id; /* of the change that made it */
    enum row_operation operation;
    char *text; /* NULL: it is not there */
};

struct past_run {
    struct fixture engine;
    struct view_set *views;
    struct engine_export_options export;
    const struct view *view;
    struct map scopes;
    struct row_scope *viewers[VIEWERS]; /* the first is NULL, and sees all */
    int viewer_count;                   /* 1: rows have no scopes */
    struct state states[KEYS][STEPS * 4];
    size_t counts[KEYS];
    struct store_reader *reader;
    struct seq seqs[STEPS * 4]; /* of each change, by its id */
    _Atomic int64_t now;        /* the wall clock, which may go back */
};
extern struct past_run run;

/* Random runs, of STELE_SEEDS seeds from STELE_SEED on: `check` is called four times in each. A
 * failure prints the seed. */
void past_model_play(void (*check)(void));
/* One more random change; for a check that has the log trimmed under it. */
void past_model_feed(void);

/* One of those that see the run's rows. */
int past_model_viewer(void);
/* What a viewer saw of a key before and behind its change of this index; NULL: nothing. */
const char *seen_before(int viewer, int key, size_t index);
const char *seen_behind(int viewer, int key, size_t index);
/* What that change is for the viewer. */
enum replay_effect effect_of(int viewer, int key, size_t index);
/* What it saw at a position; NULL: nothing. */
const char *state_at(int viewer, int key, int64_t at);
/* Whether the log, and the present, tell that. `floor`: what the log has lost. */
bool is_known(int viewer, int key, int64_t at, int64_t floor);
/* The floor of a viewer, and the head, as the reader has them. */
int64_t floor_of(int viewer, int64_t *head);

#endif
