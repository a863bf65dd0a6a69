/*
 * previous: rows of a view that the client of a connection holds beside those of a subscription.
 * See previous.c.
 */
#ifndef DELIVERY_PREVIOUS_H
#define DELIVERY_PREVIOUS_H

#include "base/link.h"
#include "rows/row_scope.h"
#include "view/view.h"

struct subscriber;
struct subscription;

/* The source of rows that a client may hold: a window, which embeds it. */
struct previous_source {
    size_t pins;            /* struct previous of it that keep it, */
    struct link remembered; /* ... and those that do not keep it */
};

/*
 * Rows of a view that a client may hold although the present subscription never sent them: another
 * subscription on the same connection showed them, or still does.
 */
enum previous_kind {
    PREVIOUS_WINDOW, /* what a window had at `version`; `former`: or at any before, also in a former
                    life of the server; 0: only in such a one */
    PREVIOUS_KEY,    /* the row of `key` */
    PREVIOUS_ALL     /* any row of the view that `scope` sees */
};
struct previous {
    struct link in_list;     /* of a subscriber, a subscription or a request, which owns it */
    const struct view *view; /* one reference */
    enum previous_kind kind;
    bool shown; /* by a living subscription: it must stay */
    struct previous_source *source;
    int64_t version;
    bool former;
    struct row_scope *scope; /* the rows that its client saw then; one reference, or NULL */
    int64_t until; /* it saw that up to this change, before it had another token; 0: it still does,
                      negative: before the first change */
    bool pinned;   /* it keeps the window; else the window may be forgotten */
    struct link in_source; /* held_source.remembered, unless it is pinned */
    size_t key_length;
    char key[];
};

/* The subscription ends, the connection goes on: note the rows that its client keeps. */
void previous_remember(struct subscription *subscription);
/* The notes about the view of a new subscription become rows that it must remove, or keeps. */
void previous_take(struct subscription *subscription);
/* The rows that a member has now, or may still have, are those that it must lose in its next
 * window. */
void previous_move(struct subscription *subscription);
/* The subscriber has another token: its notes by the old one end here. */
void previous_part(struct subscriber *subscriber);
/* The subscription begins to show rows. */
void previous_shows(struct subscription *subscription);
/* For a refresh: copies of the rows to remove, and of the rows that other subscriptions of the
 * connection show of the view, which must stay. False when out of memory. */
bool previous_lend(const struct subscription *subscription, struct link *list);
/* Whether others of the connection have begun to show rows of the view since subscriber.shown
 * was `shown`. Then the lent copies are not all rows that must stay. */
bool previous_lacks(const struct subscription *subscription, uint64_t shown);
/* A copy of the rows that `other` shows. False when out of memory. */
bool previous_lend_shown(const struct subscription *other, struct link *list);
void previous_free_all(struct link *list);
/* The source is freed, or its rows are: nothing is known of them any more. */
void previous_forget(struct previous_source *source);

#endif
