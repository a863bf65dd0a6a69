/* An engine that keeps derived views, beside the model of them. */
#ifndef TESTS_DERIVE_RUN_H
#define TESTS_DERIVE_RUN_H

#include "derive_model.h"
#include "engine_fixture.h"

struct run {
    struct fixture f;
    struct view_set *views;
    struct pipeline pipelines[VIEWS];
    int view_count;
    struct model model;
    struct engine_export_options limit;
    struct buffer told[16]; /* lowest place that commits told of, per stage; empty: none */
    struct buffer rows[16]; /* each stage's rows when they were last looked at */
    struct sqlite3 *file;   /* to look into it: kept, because each opening reads the whole schema */
    struct store_reader *reader;
    size_t touches;
    bool touched;
    void (*on_commit)(void *argument, struct engine_commit *commit);
};

/* Whoever holds it stops the writer before its next transaction. */
extern pthread_mutex_t clock_held;

void run_init(struct run *run, const struct pipeline *pipelines, int count);
/* Before it is opened: the export has at most `most` entities, in the model too. */
void run_limit(struct run *run, int most);
void run_open(struct run *run);
void run_close(struct run *run);
/* Close it and check its file. */
void run_fini(struct run *run);
/* The integer that a SELECT on the file yields. */
int64_t ask(const struct run *run, const char *sql);
/* Every view in SQL is what the model says, and commits told of every row that is another. */
void expect_all(struct run *run);
/* Mutations that must be taken. */
void expect_applied(struct run *run, const char *text);
/* Several mutations in one transaction; `fault`: with the Nth allocation failing. */
void apply_some(struct run *run, int most, int fault);

#endif
