/*
 * previous: what the client of a connection holds of a view beside what a subscription sent it. See
 * previous.c.
 */
#ifndef DELIVERY_PREVIOUS_H
#define DELIVERY_PREVIOUS_H

#include "base/link.h"
#include "rows/row_scope.h"
#include "view/view.h"

struct subscriber;
struct subscription;

/* Where rows came from that a client may hold: a window, which embeds it. */
struct previous_source {
    size_t pins;            /* struct previous of it that keep it, */
    struct link remembered; /* ... and those that do not */
};

/*
 * Rows of a view that a client may hold though the subscription at hand was never sent them: what
 * another subscription on the same connection showed, or shows still.
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
    bool shown; /* by a subscription that lives: it is to stay */
    struct previous_source *source;
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
void previous_remember(struct subscription *subscription);
/* What was noted for the view of a new subscription is what that one is to take away, or keeps. */
void previous_take(struct subscription *subscription);
/* Whether that is of another window than its own. */
bool previous_others(const struct subscription *subscription);
/* What a member has now, or may still have, is what it is to lose in the window that it goes to. */
void previous_move(struct subscription *subscription);
/* The subscriber has another token: what it held by the old one ends here. */
void previous_part(struct subscriber *subscriber);
/* The subscription begins to show rows. */
void previous_shows(struct subscription *subscription);
/* For a refresh: copies of what it is to take away, and of what other subscriptions of the
 * connection show of the view, which is to stay. False when out of memory. */
bool previous_lend(const struct subscription *subscription, struct link *list);
/* Whether others of the connection have begun to show rows of the view since subscriber.shown was
 * `shown`, so that what was lent then is not all that is to stay. */
bool previous_lacks(const struct subscription *subscription, uint64_t shown);
/* A copy of what `other` shows. False when out of memory. */
bool previous_lend_shown(const struct subscription *other, struct link *list);
void previous_free_all(struct link *list);
/* The source is freed, or what it held is: nothing is known of that any more. */
void previous_forget(struct previous_source *source);

#endif
