/*
 * A model of derived views that sorts and filters everything anew, and random pipelines and
 * mutations for it.
 */
#ifndef TESTS_DERIVE_MODEL_H
#define TESTS_DERIVE_MODEL_H

#include "view/view.h"

#include <stdatomic.h>

enum { KEYS = 24, VIEWS = 5, STEPS = 4 };

struct row {
    bool alive;
    char key[16];
    int x, n;
    int64_t until;
    struct seq seq;
    int64_t change;
};

enum operation {
    FILTER_N,
    FILTER_X,
    FILTER_UNTIL,
    SORT_X,
    SORT_N,
    SKIP,
    TAKE,
    FIRST,
    LAST,
    MAX_BY,
    MIN_BY
};

struct step {
    enum operation operation;
    int argument;
    bool descending;
};

struct pipeline {
    int source; /* an earlier view; -1: the export */
    struct step steps[STEPS];
    int count;
};

struct model {
    struct row rows[KEYS];
    int64_t changes;
    struct seq head;
    int limit;
};

struct shown {
    const struct row *rows[KEYS];
    int count;
};

/* The present second, of the model and of the engine that it is held against. */
extern _Atomic int64_t clock_s;
int pick(int below);
/* What a view shows; -1: the export. */
void evaluate(const struct model *model, const struct pipeline *pipelines, int view,
              struct shown *shown);
void random_pipelines(struct pipeline *pipelines);
/* The pipelines as views "Q/v0", "Q/v1", … of a set, by way of a stack file. */
struct view_set *make_views(const struct pipeline *pipelines, int count);
/* A random mutation, applied to the model and appended as text (see engine_fixture.h). */
void mutate(struct model *model, struct buffer *text);
/* As the end of a transaction does where there is a limit. */
void evict(struct model *model);

#endif
