/*
 * The content of subscribers' windows, and the entities that changed behind it, for clients that
 * come back after a restart without a cursor. Nothing else depends on it.
 */
#ifndef STORE_WATCHED_H
#define STORE_WATCHED_H

#include "store/store.h"

/* ---- windows that are watched ---- */

struct store_watched {
    struct span name; /* all that decides which rows it has */
    int64_t change;   /* its rows are of that change; below 0: they are not kept */
    int64_t at;       /* when it last had subscribers: wall clock, ms */
    bool renewed;     /* it was put before: if it was forgotten since, its rows are not kept */
};
/* Put the window, or what it is now; *id is its number, *kept whether its rows are kept. */
bool store_watched_put(struct store_writer *writer, const struct store_watched *window, int64_t *id,
                       bool *kept, struct error *error);
/* A row came in (`left_at` 0), or left then. *grown is one more if it is a new one. */
bool store_watched_row(struct store_writer *writer, int64_t id, struct span key, int64_t left_at,
                       int64_t *grown, struct error *error);
/* Forget rows that left before that time, and all but the `keep` that left last; *grown is so much
 * less. */
bool store_watched_trim(struct store_writer *writer, int64_t id, int64_t before, int64_t keep,
                        int64_t *grown, struct error *error);

/* The bounds, and how much goes in one call. */
struct store_watched_limits {
    int64_t before;                /* windows that last had subscribers before that time go, */
    int64_t rows, windows;         /* ... and the oldest others while there are more than so many */
    int64_t row_step, window_step; /* in one call */
    int64_t now;
};
struct store_watched_state {
    int64_t rows, windows; /* that there are */
    int64_t oldest_at;     /* when the first to go last had subscribers; INT64_MAX: there is none */
    bool more;             /* some are to go in the next call */
};
/* When the last window was forgotten before its time (a fact by name: wall clock, ms). */
#define STORE_WATCHED_FORGOTTEN "watched_forgotten"
/* Forget windows, the oldest first. `grown`: rows that the calls above added in this transaction.
 */
bool store_watched_forget(struct store_writer *writer, const struct store_watched_limits *limits,
                          int64_t grown, struct store_watched_state *state, struct error *error);
bool store_read_watched(struct store_reader *reader, struct span name, int64_t *id, int64_t *change,
                        bool *found, struct error *error);
typedef bool (*store_each_watched)(void *argument, struct span key, int64_t left_at);
bool store_scan_watched(struct store_reader *reader, int64_t id, store_each_watched each,
                        void *argument, struct error *error);

/* ---- entities that changed behind what is noted of windows ---- */

/*
 * The table watched_key keeps what the log loses of changes that may have been shown unnoted: the
 * entities, in bounds. Those of a crash's moment are *pinned*; of the others the newest stay.
 */
enum { STORE_WATCHED_PINNED = 10000, STORE_WATCHED_CHANGES = 50000 };

/* At a start, in the open transaction: whether such are kept from now on. *anew: they were not
 * kept before. */
bool store_watched_keys_start(struct store_writer *writer, bool keep, bool *anew,
                              struct error *error);
/* Pin the entities that changed behind `from` up to `to`, or were moved by time since `from`,
 * each once: the newest, of STORE_WATCHED_CHANGES changes. */
bool store_watched_keys_pin(struct store_writer *writer, int64_t from, int64_t to,
                            struct error *error);
/* Unpin those of changes before this one, a few at a time. */
bool store_watched_keys_unpin(struct store_writer *writer, int64_t before, int64_t step,
                              struct error *error);
/* The change from which on the log and the unpinned keys have everything; -1: never. */
bool store_read_watched_floor(struct store_reader *reader, int64_t *floor, struct error *error);
/* `label`: as in struct store_change, under which
 * it was seen, or STORE_WATCHED_MOVED; empty where rows are not scoped. */
#define STORE_WATCHED_MOVED "~" /* by time; nobody knows who saw it */
typedef bool (*store_each_watched_key)(void *argument, struct span key, struct span label,
                                       int64_t change);
/* Those of an export with from <= change <= to, the oldest first. */
bool store_scan_watched_keys(struct store_reader *reader, bool pinned, uint32_t export_id,
                             int64_t from, int64_t to, store_each_watched_key each, void *argument,
                             struct error *error);

#endif
