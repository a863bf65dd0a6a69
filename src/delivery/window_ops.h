/*
 * window_ops: how delivery reaches the windows, which stand above it and register by this table. A
 * member of a window is a subscription with `member` set; all else of windows is theirs.
 */
#ifndef DELIVERY_WINDOW_OPS_H
#define DELIVERY_WINDOW_OPS_H

#include "delivery/reader.h"
#include "engine/engine.h"
#include "rows/row_scope.h"
#include "wire/wire.h"

struct previous_source;
struct hub;
struct cursor_origin;
struct subscriber;
struct subscription;
struct subscription_facts;
struct window_spec;
struct windows;

/* The rows that a member has of its window, or may still have. */
struct window_shown {
    struct previous_source *source; /* NULL: nothing */
    int64_t version;                /* it has the rows of this one, */
    bool former;                    /* ... or of any before */
};

/* Where a cursor stands, as far as the newest changes in memory show. */
enum window_cursor {
    WINDOW_CURSOR_FAR,   /* it is to be looked up */
    WINDOW_CURSOR_NEAR,  /* among them, with little behind it: a refresh looks it up as well */
    WINDOW_CURSOR_BEHIND /* wherever it stands, so much changed behind it that it is refused */
};

struct window_ops {
    /* ---- life ---- */

    struct windows *(*open)(void); /* NULL when out of memory */
    void (*close)(struct windows *windows);
    /* Mark what a commit touched, and refresh it. */
    void (*commit)(struct hub *hub, const struct engine_commit *commit);
    /* Free what lingers without members, as far as it may go. */
    void (*end_lingering)(struct windows *windows);

    /* ---- joining and leaving; a spec that is returned is owned by the caller ---- */

    /* The window that a subscribe message asks for; *spec NULL: none. */
    bool (*wanted)(const struct hub *hub, const struct view *view,
                   const struct wire_subscribe *message, struct row_scope *scope,
                   struct window_spec **spec, struct error *error);
    /* For an heir of a key; see key_owner.c. NULL with an error. */
    struct window_spec *(*of_key)(const struct hub *hub, const struct view *view,
                                  const struct wire_subscribe *message, struct row_scope *scope,
                                  struct error *error);
    /* The member's own, for who sees another scope. NULL when out of memory. */
    struct window_spec *(*moved)(const struct subscription *member, struct row_scope *scope);
    void (*drop)(struct window_spec *spec); /* NULL is fine */
    /* The spec's content is taken over in any case; it is to be dropped all the same. */
    bool (*join)(struct subscription *subscription, struct window_spec *spec, struct error *error);
    void (*leave)(struct subscription *member);
    /* The owner of the subscriber is about to be another. */
    void (*disown)(struct subscriber *subscriber);

    /* ---- the reader, and how it begins ---- */

    const struct reader_ops *reader;
    void (*begin)(struct subscription *member);
    /* It has rows of another window, from which it was moved. */
    void (*begin_moved)(struct subscription *member);
    /* Its cursor was found: at this change; `current`: it is of the view as it is now. */
    void (*resume)(struct subscription *member, int64_t from, bool current);
    /* The same, where its cursor is one that a refresh finds. */
    void (*resume_near)(struct subscription *member, struct seq after,
                        const struct cursor_origin *origin);
    /* Live from the start, with no rows but the one that it is to state. */
    void (*inherit)(struct subscription *member);

    /* ---- questions ---- */

    enum window_cursor (*find_cursor)(const struct subscription *member, struct seq after);

    struct span (*key)(const struct subscription *member); /* absent: every key */
    /* The part of its view: rows at most, and how many come before them. False: all that there
     * are, or the one of its key. */
    bool (*part)(const struct subscription *member, int64_t *take, int64_t *skip);
    /* The query that its rows are sorted by; NULL: they are in the view's order. */
    const struct view_query *(*order)(const struct subscription *member);
    struct previous_source *(*source)(const struct subscription *member);
    struct window_shown (*shown)(const struct subscription *member);
    bool (*has_shown)(const struct subscription *member); /* anything to any member */
    int64_t (*newest_state)(const struct subscription *member);
    /* Its number, query and part, and the change up to which the member has everything. */
    void (*describe)(const struct subscription *member, struct subscription_facts *facts);
    /* Whether what it is sent next states the row of its key. */
    bool (*states_row)(const struct subscription *member);
};

#endif
