/*
 * window: queries that subscribers share (a part of a view, sorted and filtered), and views read
 * once. Delivery reaches windows by window_ops alone.
 */
#ifndef WINDOW_WINDOW_H
#define WINDOW_WINDOW_H

#include "base/roster.h"
#include "delivery/hub.h"
#include "delivery/view_epoch.h"
#include "delivery/window_ops.h"

/* For hub_new. */
extern const struct window_ops window_ops;

/* ---- what the owner of the hub calls ---- */

/* Do the work that is due by time alone: start a refresh of what needs one, and fillings, unless
 * one is on its way. To be called when windows_due says so: milliseconds until there is some;
 * negative: nothing is waited for. */
void windows_refresh(struct hub *hub);
int64_t windows_due(const struct hub *hub);
/* Refuse who waits to have a view summed, and who comes: the server stops. */
void hub_stop_sums(struct hub *hub);
/* Write what is not written yet, before the engine is closed. */
void windows_keep_last(struct hub *hub);
/* Windows with members, and their members. */
void windows_count(const struct hub *hub, size_t *watched, size_t *members);

/* ---- facts for who watches the server; on the loop thread ---- */

struct window_facts {
    uint64_t number;
    struct asked_facts asked;
    bool is_scoped, is_v2; /* v2: its frames are bodies */
    uint64_t scope;        /* digest of whose rows it has, if it is scoped */
    size_t members;
    /* As of the last refresh: */
    size_t rows, matches, bytes;
    size_t sharing;                /* windows that have these matches; 0: it keeps none */
    uint64_t refreshes, rows_read; /* so far */
    uint64_t last_us, total_us;    /* the time that they took */
    int64_t refreshed_ms;          /* wall clock; -1: never */
};
/* All windows, in the order of their numbers, and the facts of one. */
struct roster *hub_windows_listed(struct hub *hub);
struct window_facts hub_window_facts(struct roster_item *item);

/* ---- a view read once ---- */

enum { HUB_TAG_SIZE = 160 };

/* The rows that were found. The body may be moved out of it. */
struct hub_answer {
    struct error error;     /* ERROR_NONE: fine */
    char tag[HUB_TAG_SIZE]; /* names the state of what was asked for; without quotes */
    bool unchanged;         /* the asker knows it: there is no body */
    bool silent;            /* behind the asker's cursor there is nothing */
    int64_t position;       /* of events: up to where the log was read */
    char seq[SEQ_SIZE];     /* of rows: the cursor of the state that was read, */
    char epoch[VIEW_EPOCH]; /* ... and its epoch */
    bool gzip;              /* the body is compressed */
    struct buffer body;
};

/* A window of a view, or what changed in it behind `wanted->after`, as JSON. */
struct hub_read {
    const struct wire_subscribe *wanted;  /* of the snapshot's parameters none counts */
    const struct auth_identity *identity; /* who asks; NULL: a stranger. Only until the call ends */
    uint64_t owner;                       /* of the readers' time; see struct read_job */
    bool rows_limited;                    /* more than max_rows are ERROR_SNAPSHOT_LIMIT */
    int64_t max_rows;
    const char *until;  /* of events: a cursor, the last that counts; NULL: none */
    const char *as_of;  /* of hub_read_as_of: the position; only until the call ends */
    const char *behind; /* likewise: only rows behind that of this key; NULL: all */
    bool gzip;          /* compress, where it pays */
    const char *known;  /* If-None-Match: tags in quotes, or "*"; NULL: none */
    bool (*is_wanted)(void *argument); /* still; else it may end early */
    /* It begins to wait for its cursor, which takes no reader, or is over with that; NULL: nobody
     * wants to know. On the loop thread. */
    void (*rests)(void *argument, bool begins);
    void (*done)(void *argument, struct hub_answer *answer);
    void *argument;
};

/* Have it read; `done` is called later, once. False with what is wrong: then it is not. */
bool hub_read_view(struct hub *hub, const struct hub_read *read, struct error *error);

/* The same for the events of an append view: its history, behind `wanted->after` and up to `until`,
 * both as cursors of its tape, which begins with the earliest event that the log has. */
bool hub_read_history(struct hub *hub, const struct hub_read *read, struct error *error);

/* The same for why the row `wanted->key` is in what is wanted, or not, and since when: the answer's
 * body is that of docs/explain.md. Of what the asker may not see it tells nothing. */
bool hub_explain(struct hub *hub, const struct hub_read *read, struct error *error);

/* The same for the sums of the rows that it shows, all of them without `wanted->take`: the answer's
 * body is that of docs/drift.md. `done` may be called at once. */
struct hub_sums {
    bool parts;         /* those of each part, too */
    struct span keys;   /* the parts whose keys are listed; absent: none */
    bool as_subscribed; /* of the rows that a subscription shows */
};
bool hub_sum(struct hub *hub, const struct hub_read *read, const struct hub_sums *sums,
             struct error *error);

/* The same for what the view was behind `as_of`, a former position. */
bool hub_read_as_of(struct hub *hub, const struct hub_read *read, struct error *error);

/* ---- all rows of a view, page by page, for the owner of the store ---- */

enum { HUB_PAGE_ROWS = 1000 };

struct hub_page_row {
    size_t key, key_length, data, data_length; /* in the page's text; a NUL is behind each */
    struct seq seq;
};
struct hub_page {
    struct buffer text;
    struct hub_page_row rows[HUB_PAGE_ROWS];
    size_t count;
    bool more;          /* another page may follow */
    struct seq seq;     /* the view's cursor as of the first page */
    const char *epoch;  /* to tell along with that; lives as long as the reading */
    struct error error; /* ERROR_NONE: fine */
};

/*
 * The view as its SQL view and HTTP show it: its order, its cut, its projection; of these the rows
 * that key and filters let pass, without the first `skip` of them, at most `take` (negative: all).
 * Which rows, and their order, is as of the first page, which notes 8 bytes for each; a row that
 * changed is shown as it is when its page is read, and left out if the view shows it no more.
 * NULL with the error. On the loop thread.
 */
struct hub_pages;
struct hub_pages *hub_pages_new(struct hub *hub, const struct wire_subscribe *wanted,
                                struct error *error);
/* Have the next page read; `done` is called once, on the loop thread, and the page is the caller's
 * until the next call. false with ERROR_QUEUE_FULL. On the loop thread. */
bool hub_pages_read(struct hub_pages *pages,
                    void (*done)(void *argument, const struct hub_page *page), void *argument,
                    struct error *error);
/* Any thread, while no page is being read. NULL is allowed. */
void hub_pages_free(struct hub_pages *pages);

#endif
