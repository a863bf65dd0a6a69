/*
 * Cursors that this node of a log does not have yet (docs/cluster.md, "Cursors"). Whoever comes
 * with one waits until the node is there, or until the time for it is over. A hub that is no node's
 * (hub_set_cursor_wait) has no such cursors. Loop thread.
 *
 * A wait is a member of what waits, so it needs no memory of its own, and is bounded as that is: by
 * the limits of subscriptions, and by the requests that may wait for a reader.
 */
#ifndef DELIVERY_CURSOR_WAIT_H
#define DELIVERY_CURSOR_WAIT_H

#include "base/error.h"
#include "base/heap.h"
#include "base/link.h"
#include "base/seq.h"

struct hub;

/* Where a cursor is in the log: at a change by its number; 0: at a seq. */
struct cursor_place {
    int64_t change;
    struct seq seq;
};

/* Zeroed: it waits for nothing. */
struct cursor_wait {
    struct heap_entry entry; /* by its place; in no heap: it waits for nothing */
    struct link in_line;     /* the oldest first */
    struct hub *hub;
    struct cursor_place place;
    uint64_t since_us;
    /* Who waits may be gone, which is looked at now and then; NULL: it says so itself. */
    bool (*is_wanted)(const struct cursor_wait *wait);
    /* Called once, when it is over already: NULL, the node is there, or nobody
     * wants it any more; or why it will not be waited for any more: ERROR_NODE_BEHIND,
     * ERROR_SHUTTING_DOWN. */
    void (*done)(struct cursor_wait *wait, const struct error *error);
};

struct cursor_waits {
    int64_t ms; /* for so long; negative: never, because the hub is no node's */
    struct heap seqs, changes;
    struct link line;
    size_t count;
};

void cursor_waits_init(struct cursor_waits *waits);
/* Whether a cursor of the right epoch is beyond what this node has. */
bool cursor_is_ahead(const struct hub *hub, struct cursor_place place);
/* Wait until it is not. */
void cursor_wait_begin(struct hub *hub, struct cursor_wait *wait, struct cursor_place place,
                       void (*done)(struct cursor_wait *wait, const struct error *error));
/* `done` will not be called any more. */
void cursor_wait_end(struct cursor_wait *wait);
/* The hub has more of the log than before. */
void cursor_waits_wake(struct hub *hub);

#endif
