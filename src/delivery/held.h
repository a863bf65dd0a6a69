/*
 * held: what the client of a connection holds of a view beside what a subscription sent it. See
 * held.c.
 */
#ifndef DELIVERY_HELD_H
#define DELIVERY_HELD_H

#include "base/link.h"
#include "rows/row_scope.h"
#include "view/view.h"

struct subscriber;
struct subscription;

/* Where rows came from that a client may hold: a window, which embeds it. */
struct held_source {
    size_t pins;            /* struct held of it that keep it, */
    struct link remembered; /* ... and those that do not */
};

/*
 * Rows of a view that a client may hold though the subscription at hand was never sent them: what
 * another subscription on the same connection showed, or shows still.
 */
enum held_kind {
    HELD_WINDOW, /* what a window had at `version`; `former`: or at any before, also in a former
                    life of the server; 0: only in such a one */
    HELD_KEY,    /* the row of `key` */
    HELD_ALL     /* any row of the view that `scope` sees */
};
struct held {
    struct link in_list;     /* of a subscriber, a subscription or a request, which owns it */
    const struct view *view; /* one reference */
    enum held_kind kind;
    bool shown; /* by a subscription that lives: it is to stay */
    struct held_source *source;
    int64_t version;
    bool former;
    struct row_scope *scope; /* what its client saw then; one reference, or NULL */
    int64_t until; /* it saw that up to this change, before it had another token; 0: it still does,
                      negative: before the first change */
    bool pinned;   /* the window stays for it; else it may be forgotten */
    struct link in_source; /* held_source.remembered, unless it is pinned */
    size_t key_length;
    char key[];
};

/* The subscription ends, the connection goes on: note what its client keeps. */
void held_remember(struct subscription *subscription);
/* What was noted for the view of a new subscription is what that one is to take away, or keeps. */
void held_take(struct subscription *subscription);
/* Whether that is of another window than its own. */
bool held_others(const struct subscription *subscription);
/* What a member has now, or may still have, is what it is to lose in the window that it goes to. */
void held_move(struct subscription *subscription);
/* The subscriber has another token: what it held by the old one ends here. */
void held_part(struct subscriber *subscriber);
/* The subscription begins to show rows. */
void held_shows(struct subscription *subscription);
/* For a refresh: copies of what it is to take away, and of what other subscriptions of the
 * connection show of the view, which is to stay. False when out of memory. */
bool held_lend(const struct subscription *subscription, struct link *list);
/* Whether others of the connection have begun to show rows of the view since subscriber.shown was
 * `shown`, so that what was lent then is not all that is to stay. */
bool held_lacks(const struct subscription *subscription, uint64_t shown);
/* A copy of what `other` shows. False when out of memory. */
bool held_lend_shown(const struct subscription *other, struct link *list);
void held_free_all(struct link *list);
/* The source is freed, or what it held is: nothing is known of that any more. */
void held_forget(struct held_source *source);

#endif
