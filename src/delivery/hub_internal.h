/*
 * What the hub's files share. All of it belongs to the loop thread; jobs carry copies of what they
 * need to the readers and come back.
 *
 *   subscriber (one per connection) --> subscriptions --> feed (one per view that is listened to)
 *                                                          |-- channel: ready frames for all
 *                                                          |-- key groups: who wants one key
 *
 * A subscription is served by one reader at a time (see reader.h); phase.c says by which.
 */
#ifndef DELIVERY_HUB_INTERNAL_H
#define DELIVERY_HUB_INTERNAL_H

#include "access/shares.h"
#include "base/link.h"
#include "delivery/feed.h"
#include "delivery/held.h"
#include "delivery/hub.h"
#include "delivery/reader.h"
#include "delivery/view_epoch.h"
#include "delivery/window_ops.h"
#include "rows/batch.h"
#include "rows/list_position.h"
#include "rows/row_scope.h"
#include "usage/usage.h"

enum {
    HUB_PULL = WIRE_FRAGMENT, /* about this many bytes per pull */
    HUB_CONTROL = 64 * 1024,  /* unread answers beyond this pause the reading of messages */
    HUB_RING_GAP = 1000,      /* a subscriber further behind than this is served from SQL */
    HUB_SCAN = 20000,         /* log rows that one job looks at */
    HUB_SNAPSHOT_ROWS = 2000, /* rows, and deletes, that a snapshot job reads in one transaction */
    HUB_SNAPSHOT_BYTES = 4 << 20, /* and their JSON bytes */
    HUB_LIMITED_BYTES = 16 << 20, /* JSON bytes of a limited snapshot that are read at once */
    HUB_PAGE = 32 * 1024,         /* bytes of one catch-up page, or one frame */
    HUB_PAGE_GROWTH = 7,          /* doublings of a page's bytes, at most, */
    HUB_SCAN_GROWTH = 4,          /* ... and of the log rows that it looks at */
    HUB_GROWN_PAGES = 16,         /* grown pages that all subscriptions together hold */
    HUB_WINDOW_ROWS = 10000,
    HUB_WINDOWS = 1000,
    HUB_FILTER_ROWS = 1000000,
    HUB_LOOK_US = 20000,
    HUB_WAITING = 1000,     /* exports that subscribers wait for before they are first fed */
    HUB_WAITING_EACH = 100, /* and of one subscriber */
    HUB_SLOTS = 4,          /* subscriptions of one subscriber that the readers serve at once */
    HUB_HELD = 64,          /* subscriptions that ended whose rows a connection is known to hold */
    HUB_HELD_BYTES = 16384  /* and the bytes of their keys; beyond that it may be any of the view */
};

/* More rows than any view has; sums with what a view itself skips stay in range. */
#define HUB_SKIP ((int64_t)1 << 61)

struct subscription;
struct window;
struct windows;
struct window_request;

/* ---- what a subscriber knows of a view's keys, without remembering them ---- */

/*
 * A key was sent whole to the subscriber when `full`; or when the entity's last change before the
 * one at hand came after `since` (that change was sent, whole), or after `resumed_from` up to
 * `resumed_to` (a limited resume sent it); or when its position in the list lies within what
 * a limited snapshot sent, up to and with `bound`.
 */
struct knowledge {
    bool full;
    bool resumed; /* it may also hold what it was sent before it came with a cursor */
    bool bounded;
    bool begun;    /* something was sent, or live frames begin at `since` */
    int64_t since; /* a change id */
    int64_t resumed_from, resumed_to;
    struct list_position bound; /* its own reference */
};

/* Of the entity as it was just before a change. */
enum key_state { KEY_NEVER_SENT, KEY_MAY_BE_HELD, KEY_SENT_WHOLE };
enum key_state knowledge_of(const struct knowledge *knowledge, const struct change *change);

/* ---- subscriptions ---- */

/* Of a member of a window. */
enum member_phase {
    MEMBER_NEW,      /* takes a snapshot */
    MEMBER_UNTOLD,   /* wants none: begins at the present */
    MEMBER_RESUMING, /* has a cursor: is to ask a look what it lacks */
    MEMBER_BEHIND,   /* fell off the channel: likewise */
    MEMBER_MOVED,    /* has rows of another window: likewise */
    MEMBER_WAITING,  /* a look finds what it lacks */
    MEMBER_LIVE      /* takes from the window's channel */
};

/* Instead of the change at which a row was stated: it may be any, or none. */
#define KEY_STATED_UNKNOWN ((int64_t)-1)

struct subscription {
    struct subscriber *subscriber;
    struct feed *feed;
    struct usage_meter *meter; /* NULL: it is not metered */
    struct link in_subscriber, in_ready, in_rest, in_group;
    struct link in_waiting;          /* for a read slot: see subscriber_take_slot */
    struct key_group *group;         /* NULL without a key */
    char *parameters;                /* equal texts: the same subscription again */
    enum reader_kind reading;        /* assigned by phase.c alone, */
    const struct reader_ops *reader; /* ... with this; NULL before it begins */
    bool failed;                     /* the reader cannot go on: */
    struct error *failure;           /* ... for this; NULL: no memory for the reason. Owned */
    enum member_phase member_phase;
    bool has_slot; /* of the reads that its subscriber may have on their way */
    bool with_snapshot;
    bool in_channel;
    bool missed;         /* memory lacks a change for it, which the database has */
    bool resuming;       /* the end of catching up is told by a complete batch */
    bool overlaps;       /* the snapshot was of several states: whole rows until it ends */
    bool only_greater;   /* the cursor's seq is not in the log: up to resume_target only seqs beyond
                            `greater` count */
    bool resume_current; /* its cursor is known to be of the view as it is now */
    bool answering; /* what it is sent from the log answers its request, and counts as its rows */
    int64_t rows;   /* of that, so far */
    int64_t limit;  /* of the snapshot; -1: none */
    int64_t cursor; /* everything up to this change was given */
    struct channel_cursor place;
    struct knowledge knowledge;
    /* snapshot */
    struct snapshot_place snapshot;
    struct row_scope *was; /* it may hold what that one saw, as its token listed other scopes;
                              one reference; NULL: it does not */
    int64_t moved_from;    /* with `was`: it has everything up to here; 0: unknown */
    struct snapshot_batch *batch; /* the next one, when a job brought it; one reference */
    struct link in_build;         /* waits for a snapshot job */
    /* resuming and catching up */
    struct read_task *task;  /* a read on its way, or what it brought; NULL: none */
    int64_t resume_from;     /* the change behind which it began */
    int64_t resume_limit;    /* rows or events still wanted; -1: all; 0: it may end */
    int64_t resume_target;   /* the newest change when it began */
    int64_t true_from;       /* the events sent so far give a state that was from here on */
    unsigned page_growth;    /* doublings of the next page: see catch_up.c */
    bool holds_grown_page;   /* one of hub->grown_pages */
    struct seq resume_seq;   /* newest seq that was passed */
    int64_t ambiguous_until; /* what is up to here may be had already */
    struct seq greater;      /* see only_greater */
    /* as a member of a window */
    struct window *window; /* NULL: none */
    struct link in_window;
    int64_t version; /* of the window, that it has */
    uint64_t asked;  /* hub->commits when it asked for a snapshot */
    struct window_request *request;
    struct link held; /* struct held: rows to lose where the window does not have them */
    uint64_t shown;   /* subscriber.shown when it began to show rows; 0: it shows none yet */
    /* Beside others of its view on the connection: see key_owner.c. */
    struct link in_owners; /* subscriber.owners, while it owns its key */
    char *owned;           /* its view and key, as they stand in frames; NULL: it owns none */
    size_t owned_length;
    bool restates; /* another may have sent an older or newer state of its row */
    bool beside;   /* others of the connection showed rows of its view, or do */
    bool leaving;  /* unsubscribed: it goes when the other can take over */
    bool inherits; /* of an owner that failed: it states the row once, and shows none itself */
    /* An owner that is a window: see window/state.c. */
    bool unstated;     /* the row may be another than was stated */
    int64_t stated;    /* it was this change that left it so; 0: there was none; -1: unknown */
    int64_t stated_at; /* the newest change of then */
    int64_t begun;     /* the hub's newest change when it last began */
};

/* ---- subscribers ---- */

/* What bytes on their way count as. */
struct sending {
    struct usage_meter *meter; /* one reference; NULL: they are not counted */
    enum usage_kind kind;
    uint64_t rows;
    bool ends; /* a snapshot */
};

struct subscriber {
    struct hub *hub;
    struct auth_identity *identity; /* NULL: a stranger */
    struct allowance *allowance;    /* NULL: it may do all */
    struct row_scope *scope;        /* what it sees of scoped exports; one reference */
    uint64_t owner;                 /* of what it takes; 0: the server's own */
    struct share windows;           /* those that it holds: see window/share.c */
    struct link in_hub;
    void (*wake)(void *argument);
    void (*refresh)(void *argument, const char *token);        /* NULL: it is refused */
    void (*denied)(void *argument, const struct error *error); /* NULL: nobody asks */
    void *argument;
    bool ended; /* it is being freed: nobody may be woken, nor told anything */
    struct link subscriptions;
    size_t count;
    struct link ready;
    size_t slots;          /* of reads, taken; HUB_SLOTS at most */
    struct link waiting;   /* subscriptions that want one, in the order in which they get it */
    struct link held;      /* struct held: of subscriptions that ended; the oldest first */
    size_t held_count;     /* HUB_HELD at most, */
    size_t held_bytes;     /* ... and their keys: HUB_HELD_BYTES */
    bool holds_any;        /* it may hold any row of any view, for they were of too many */
    uint64_t shown;        /* subscriptions that began to show rows, so far */
    struct link owners;    /* subscriptions that own their keys: see key_owner.c */
    bool from_owner;       /* what was pulled last is of one of them, */
    bool from_opening;     /* ... a window, which does not state its row by it */
    bool passing_over;     /* a frame of a key that is owned, whose other fragments follow */
    struct buffer control; /* answers: errors, subscribed frames */
    size_t control_sent;
    struct text *rest; /* bytes that were taken and go out in pieces; one reference */
    size_t rest_sent;
    /* metering */
    struct usage_client *usage; /* NULL: none, and the rest is zero */
    size_t pulled_length;       /* of the last pull, */
    struct sending pulled;      /* ... what it was; */
    struct sending rest_counts; /* ... and `rest`, as a whole */
    uint64_t rest_rows;         /* of those, that were given */
};

/* Tell the client about an error of a subscription that it has not, or no more. */
void subscriber_error_about(struct subscriber *subscriber, const struct error *error,
                            const struct wire_about *about);
/* Append ready bytes to subscriber->control, then call this. */
void subscriber_answered(struct subscriber *subscriber);
/* Hand a text over to be sent in pieces of whole frames; takes the reference. Nothing may be
 * pending. Returns the first piece. */
struct span subscriber_send(struct subscriber *subscriber, struct text *text);
/* The client has something to pull. */
void subscriber_wake(struct subscriber *subscriber);
/* outbox.c: the next piece of what was answered / of a text that goes in pieces. */
struct span outbox_answers(struct subscriber *subscriber);
struct span outbox_rest(struct subscriber *subscriber);
/* Its turn to pull came. */
void subscriber_ready(struct subscription *subscription);
/* The same, before all others that are ready. */
void subscriber_ready_first(struct subscription *subscription);
/*
 * A subscription that wants something from the readers takes a slot first, and gives it back when
 * what they brought is on its way out. So a client that does not read pins a few pages only,
 * however many subscriptions it has. When all slots are taken the subscription stands in line, and
 * is made ready when it is handed one. Both may be called again.
 */
bool subscriber_take_slot(struct subscription *subscription);
void subscriber_give_slot(struct subscription *subscription);

/* meter.c: what a pull gives counts as an update of this subscription's view, or, when this is
 * called later in the same pull, as (part of) a snapshot. */
void meter_pull(struct subscription *subscription);
void meter_snapshot(struct subscription *subscription, uint64_t rows, bool ends);
/* ... as answers, which are counted apart. */
void meter_answers(struct subscriber *subscriber);
/* A text is about to be given in pieces / a piece of it was taken. */
void meter_rest(struct subscriber *subscriber);
void meter_piece(struct subscriber *subscriber);
void meter_forget(struct subscriber *subscriber);

/* ---- the hub ---- */

struct hub {
    struct hub_options options;
    struct view_set *views;
    struct engine *engine;
    struct ring ring;
    struct seq head;
    uint64_t commits;          /* so many were told, also those that only time made */
    int64_t opened_change;     /* newest change when the engine was opened */
    uint64_t opened_us;        /* and when that was: monotonic */
    struct map exports;        /* struct hub_export by name */
    struct hub_export **by_id; /* the same; ids are small and dense */
    size_t by_id_count;
    size_t waiting;            /* exports that are waited for; options.max_waiting at most */
    uint64_t waiting_asks;     /* see hub_may_wait */
    struct map feeds;          /* struct feed by name */
    struct link touched;       /* feed.in_touched: those that the commit at hand is for */
    size_t channel_bytes;      /* of the channels of all feeds */
    struct link long_channels; /* feed.in_long: those that can drop their oldest block */
    struct map row_scopes;     /* those that somebody has, by name */
    struct link subscribers;
    size_t subscriber_count, subscription_count;
    size_t grown_pages; /* that subscriptions hold; HUB_GROWN_PAGES at most */
    struct snapshots *snapshots;
    struct buffer frame; /* one change's frames */
    struct buffer shown; /* a projected object */
    struct buffer paths; /* projected append paths */
    struct buffer out;   /* what a pull returns when it is put together */
    struct buffer left;  /* or what is left of it when frames of owned keys were taken out */
    const struct window_ops *window_ops;
    struct windows *windows;
    struct hub_metrics metrics;
};

/* exports.c */
void exports_init(struct hub *hub);
void exports_fini(struct hub *hub);
struct hub_export *hub_find_export(struct hub *hub, struct span name);
struct hub_export *hub_export_by_id(struct hub *hub, uint32_t id);

/* The view of that id, also one that an export will have when it is first fed: one reference, or
 * NULL with ERROR_VIEW_NOT_FOUND or out of memory. */
const struct view *hub_find_view(const struct hub *hub, const struct auth_identity *identity,
                                 struct span id, struct error *error);
/* Say that there is none, in the same words whether it is so or must not be known, and which may be
 * meant of those that the identity (NULL: everybody's) may see. */
bool hub_view_unknown(const struct hub *hub, const struct auth_identity *identity, struct span id,
                      struct error *error);
/* Whether there is one. */
bool hub_has_view(const struct hub *hub, struct span id);
/* Whether the subscriber may subscribe to the view, where that means to wait for its export. */
bool hub_may_wait(struct subscriber *subscriber, const struct view *view, struct error *error);
/* The view's export, to be waited for from now on if it was never fed; NULL when out of memory. */
struct hub_export *hub_await(struct hub *hub, const struct view *view);
/* It is in no feed any more: nobody waits for it. */
void hub_stop_waiting(struct hub *hub, struct hub_export *export);

/* frames.c */
/* The change as the feed's view shows it, appended to out: a patch, or the whole entity when the
 * subscriber may lack it, or nothing: to one that holds nothing of the key a delete is none. False
 * when out of memory, or when the entity is not at hand: then the subscriber is to be served from
 * the database. */
bool frame_change(struct feed *feed, const struct change *change, enum key_state state,
                  struct buffer *out);
/* subscription.c */
/* Find the view, if they may see it (NULL: a stranger), and read the cursor where the view takes
 * one. The view is a reference. */
bool subscription_check(const struct hub *hub, const struct auth_identity *identity,
                        const struct wire_subscribe *message, const struct view **view,
                        bool *has_after, struct seq *after, struct error *error);
bool subscription_open(struct subscriber *subscriber, const struct wire_subscribe *message,
                       struct error *error);
struct subscription *subscription_find(struct subscriber *subscriber, struct span view,
                                       const char *key);
/* Tell the client what became of it, by its view and key. It is not closed by that. */
void subscription_error(const struct subscription *subscription, const struct error *error);
/* The key it asked for; absent: all. Borrowed. */
struct span subscription_key(const struct subscription *subscription);
void subscription_close(struct subscription *subscription);
/* Tell the client, and close it. */
void subscription_fail(struct subscription *subscription, const struct error *error);
/* Free one that belongs to no feed any more, and has no work on its way. */
void subscription_drop(struct subscription *subscription);
/* announce.c: send `subscribed`; resumed as in struct wire_subscribed. */
void subscription_announce(struct subscription *subscription, int resumed);
/* move.c: the subscriber sees other rows than before: go over to those. The subscription may be
 * gone afterwards. */
void subscription_move(struct subscription *subscription);
/* pull.c: the next bytes, borrowed until the next call; it may be gone afterwards. */
struct span subscription_pull(struct subscription *subscription);

/* phase.c: who serves it. */
/* Its cursor is being looked up. */
void phase_resume(struct subscription *subscription);
/* Begin from the start. */
void phase_begin(struct subscription *subscription);
/* The same, after the client was told that its cursor is of no use. */
void phase_refuse_cursor(struct subscription *subscription);
/* Begin among those who see other rows; what it had is noted in `was`, or `held`. */
void phase_begin_moved(struct subscription *subscription);
/* An heir begins live, with the row of its key alone; see key_owner.c. */
void phase_inherit(struct subscription *subscription);
/* A live one says its row anew. */
void phase_restate(struct subscription *subscription);
/* What a step with STEP_NEXT says. */
void phase_next(struct subscription *subscription, const struct reader_step *step);
/* Nothing that was asked for it is wanted any more. */
void phase_stop(struct subscription *subscription);
/* The change up to which the client has everything; 0: unknown; negative: that is not said. */
int64_t phase_position(const struct subscription *subscription);

/* The readers begin; called by phase.c. */
void snapshot_begin(struct subscription *subscription);
void log_begin(struct subscription *subscription, int64_t from);
void live_begin(struct subscription *subscription, int64_t from);

/* Take over what it knows of the view's keys, in the place of what it knew. */
void subscription_know(struct subscription *subscription, struct knowledge knowledge);

/* snapshot.c */
/* A batch that was built: ready frames and where it ends. Counted, immutable. */
struct snapshot_batch {
    uint32_t references;
    struct text *frames;
    struct snapshot_place end;
    int64_t rows;  /* that the whole snapshot has, as far as they were read when it was built */
    bool last;     /* there are no more rows */
    bool complete; /* and all were of one state, so the frames said so */
};
struct snapshots *snapshots_new(struct hub *hub, size_t max_bytes);
void snapshots_free(struct snapshots *snapshots);
void snapshot_batch_unref(struct snapshot_batch *batch);
/* The subscription no longer waits for a job. */
void snapshot_forget(struct subscription *subscription);

/* resume.c */
/* Look the cursor up; continues the subscription by itself. */
bool resume_start(struct subscription *subscription, struct seq after, struct cursor_origin origin);

/* catch_up.c: the page that it took last has gone out, or is not wanted any more. */
void log_release(struct subscription *subscription);

#endif
