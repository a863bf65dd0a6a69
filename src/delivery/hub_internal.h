/*
 * Shared by the hub's files. All of it belongs to the loop thread; jobs carry copies of their input
 * to the readers and come back.
 *
 *   subscriber (one per connection) --> subscriptions --> topic (one per view with subscribers)
 *                                                          |-- frame log: ready frames for all
 *                                                          |-- key groups: subscriptions to one key
 *
 * A subscription is served by one reader at a time (see reader.h); phase.c decides which.
 */
#ifndef DELIVERY_HUB_INTERNAL_H
#define DELIVERY_HUB_INTERNAL_H

#include "access/shares.h"
#include "base/link.h"
#include "delivery/cursor_wait.h"
#include "delivery/head_times.h"
#include "delivery/hub.h"
#include "delivery/previous.h"
#include "delivery/subscription.h"
#include "delivery/topic.h"
#include "delivery/view_epoch.h"
#include "delivery/window_ops.h"
#include "rows/row_scope.h"
#include "usage/usage.h"

enum {
    HUB_PULL = WIRE_FRAGMENT, /* about this many bytes per pull */
    HUB_CONTROL = 64 * 1024,  /* unread answers beyond this pause the reading of messages */
    HUB_BACKLOG_GAP = 1000,   /* a subscriber further behind than this is served from SQL */
    HUB_SCAN = 20000,         /* log rows that one job reads */
    HUB_SNAPSHOT_ROWS = 2000, /* rows, and deletes, that a snapshot job reads in one transaction */
    HUB_SNAPSHOT_BYTES = 4 << 20, /* and their JSON bytes */
    HUB_LIMITED_BYTES = 16 << 20, /* JSON bytes of a limited snapshot that are read at once */
    HUB_PAGE = 32 * 1024,         /* bytes of one catch-up page, or one frame */
    HUB_PAGE_GROWTH = 7,          /* doublings of a page's bytes, at most, */
    HUB_SCAN_GROWTH = 4,          /* ... and of the log rows that it reads */
    HUB_GROWN_PAGES = 16,         /* grown pages that all subscriptions together hold */
    HUB_WINDOW_ROWS = 10000,
    HUB_WINDOWS = 1000,
    HUB_FILTER_ROWS = 1000000,
    HUB_SIGHTED = 100000,
    HUB_QUERY_DEPTH = 8,
    HUB_QUERY_TERMS = 256,
    HUB_REFRESH_US = 20000,
    HUB_WAITING = 1000,     /* exports that subscribers wait for before they are first fed */
    HUB_WAITING_EACH = 100, /* and of one subscriber */
    HUB_SLOTS = 4,          /* subscriptions of one subscriber that the readers serve at once */
    HUB_PREVIOUS = 64,      /* ended subscriptions whose rows a connection is known to hold */
    HUB_PREVIOUS_BYTES =
        16384 /* and the bytes of their keys; beyond that it may be any of the view */
};

/* More rows than any view has; sums with what a view itself skips stay in range. */
#define HUB_SKIP ((int64_t)1 << 61)

struct subscription;
struct window;
struct windows;
struct window_request;

/* ---- subscribers ---- */

/* How bytes under way count. */
struct sending {
    struct usage_meter *meter; /* one reference; NULL: they are not counted */
    enum usage_kind kind;
    uint64_t rows;
    bool ends; /* a snapshot */
};

/* outbox.c: bytes under way to the client. */
struct outbox {
    struct buffer control; /* answers: errors, subscribed frames */
    size_t control_sent;
    struct text *rest; /* bytes that were pulled and go out in pieces; one reference */
    size_t rest_sent;
};

/* pull.c: how these bytes count. */
struct metering {
    struct usage_client *usage; /* NULL: none, and all else is zero */
    size_t pulled_length;       /* of the last pull, */
    struct sending pulled;      /* ... what it was; */
    struct sending rest_counts; /* ... and outbox.rest, as a whole */
    uint64_t rest_rows;         /* of those, that were given */
};

/* Reads that its subscriptions may have under way. */
struct read_slots {
    size_t taken;        /* HUB_SLOTS at most */
    struct link waiting; /* subscriptions that wait for one, in their order */
};

/* previous.c: rows that the client keeps of ended subscriptions. */
struct holdings {
    struct link list; /* struct previous; the oldest first */
    size_t count;     /* HUB_HELD at most, */
    size_t bytes;     /* ... and their keys: HUB_HELD_BYTES */
    bool any;         /* it may hold any row of any view, because they were of too many */
    uint64_t shown;   /* subscriptions that began to show rows, so far */
};

/* key_owner.c: its subscriptions that own their keys. */
struct key_owners {
    struct link list;
    bool pulled;       /* the last pull was of one of them, */
    bool opens;        /* ... a window, which does not state its row by it */
    bool passing_over; /* a frame of a key that is owned, whose other fragments follow */
};

struct subscriber {
    struct hub *hub;
    struct auth_identity *identity; /* NULL: an unknown client */
    struct row_scope *scope;        /* the rows that it sees of scoped exports; one reference */
    const struct wire_encoding *encoding; /* of its frames; NULL: as version 1 has them */
    struct span head;           /* which goes before bodies; borrowed. Absent: none does */
    struct frame_counts pulled; /* by the last pull; no messages: nobody counted them */
    uint64_t owner;             /* of its shares; 0: the server itself */
    struct share windows;       /* those that it holds: see window/share.c */
    struct link in_hub;
    struct subscriber_options calls; /* of the session */
    bool ended;                      /* it is being freed: nothing may wake it or send to it */
    struct link subscriptions;
    size_t count;
    struct link ready;
    struct read_slots slots;
    struct holdings previous;
    struct key_owners owners;
    struct outbox outbox;
    struct metering metering;
};

/* For a client of bodies: the end of a subscription, with the reason. */
void subscriber_problem(struct subscriber *subscriber, const struct wire_problem *problem);
/* Append ready bytes to subscriber->outbox.control, then call this. */
void subscriber_answered(struct subscriber *subscriber);
/* Its turn to pull has come. */
void subscriber_ready(struct subscription *subscription);
/* The same, before all others that are ready. */
void subscriber_ready_first(struct subscription *subscription);
/*
 * A subscription takes a slot before it asks the readers for anything, and gives it back when the
 * result is on its way out. So a client that does not read pins a few pages only, however many
 * subscriptions it has. When all slots are taken the subscription waits in line, and becomes ready
 * when it gets one. Both may be called again.
 */
bool subscriber_take_slot(struct subscription *subscription);
void subscriber_give_slot(struct subscription *subscription);

/* Nothing that was pulled counts any more. */
void meter_forget(struct subscriber *subscriber);

/* ---- the hub ---- */

struct export_registry {
    struct map by_name;        /* struct hub_export */
    struct hub_export **by_id; /* the same; ids are small and dense */
    size_t by_id_count;
    size_t waiting; /* that are waited for; options.max_waiting at most */
    uint64_t asks;  /* see hub_may_wait */
};

struct topic_registry {
    struct map by_name;          /* struct topic */
    struct link touched;         /* topic.in_touched: those that the present commit touched */
    size_t channel_bytes;        /* of the frame logs of all */
    struct link long_frame_logs; /* topic_log.in_long: those that can drop their oldest block */
};

/* Room for bytes in the making, until the next time. */
struct hub_scratch {
    struct buffer frame; /* one change's frames */
    struct buffer roomy; /* the same, with room for heads */
    struct buffer shown; /* a projected object */
    struct buffer paths; /* projected append paths */
    struct buffer out;   /* what a pull returns when it is put together */
    struct buffer left;  /* or the rest of it without frames of owned keys */
};

struct hub {
    struct hub_options options;
    struct view_set *views;
    struct engine *engine;
    struct change_backlog backlog;
    struct seq head;
    struct head_times head_times;
    struct wire_encoding encoding; /* of bodies */
    uint64_t commits;              /* commits so far, also those by time alone */
    int64_t opened_change;         /* newest change when the engine was opened */
    uint64_t opened_us;            /* and when that was: monotonic */
    struct export_registry exports;
    struct topic_registry topics;
    struct map row_scopes; /* row scopes in use, by name */
    struct cursor_waits waits;
    struct link subscribers;
    size_t subscriber_count, subscription_count;
    size_t grown_pages; /* that subscriptions hold; HUB_GROWN_PAGES at most */
    struct snapshots *snapshots;
    struct hub_scratch scratch;
    const struct window_ops *window_ops;
    struct windows *windows;
    struct hub_metrics metrics;
};

/* exports.c */
void exports_init(struct hub *hub);
void exports_fini(struct hub *hub);

/* The view of that id, also one that an export will have when it is first fed: one reference, or
 * NULL with ERROR_VIEW_NOT_FOUND or out of memory. */
const struct view *hub_find_view(const struct hub *hub, const struct auth_identity *identity,
                                 struct span id, struct error *error);
/* Set the error that there is no such view, in the same words whether it does not exist or must
 * stay unknown, with the likely meant one of those that the identity (NULL: everybody's) may
 * see. */
bool hub_view_unknown(const struct hub *hub, const struct auth_identity *identity, struct span id,
                      struct error *error);
/* Whether the subscriber may subscribe to the view, if it has to wait for its export. */
bool hub_may_wait(struct subscriber *subscriber, const struct view *view, struct error *error);
/* The view's export, which counts as awaited from now on if it was never fed; NULL when out of
 * memory. */
struct hub_export *hub_await(struct hub *hub, const struct view *view);
/* It is in no topic any more: no subscriber waits for it. */
void hub_stop_waiting(struct hub *hub, struct hub_export *export);

/* shown.c: of subscriber_supply. */
size_t subscriber_show(void *supply, struct span *pieces, size_t most);
struct supply_taken subscriber_took(void *supply, size_t length, bool all);

/* frames.c */
/* Append the change as the topic's view shows it to out: a patch; or the whole entity if the
 * subscriber may lack it; or nothing: a delete of a key that the subscriber does not hold. False
 * when out of memory, or when the entity is not at hand: then the database must serve the
 * subscriber. */
bool frame_change(struct topic *topic, const struct change *change, enum key_state state,
                  struct buffer *out);
/* Add the frames of a change to a frame log without room, counted, or alone when they are long. */
bool frames_add(struct frame_log *frame_log, int64_t change, struct span frames);
#endif
