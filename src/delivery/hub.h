/*
 * hub: subscribers as cursors over the log. It knows views, frame logs, snapshots and catching up,
 * but no socket: a subscriber gets text messages, and gives ready WebSocket bytes when it is pulled
 * (by writability). Everything here belongs to the loop thread.
 */
#ifndef DELIVERY_HUB_H
#define DELIVERY_HUB_H

#include "auth/auth.h"
#include "engine/engine.h"
#include "trace/trace.h"
#include "view/view.h"
#include "wire/wire.h"

struct hub;
struct subscriber;
struct usage_client;
struct allowance;
struct window_ops;

struct hub_options {
    size_t ring_bytes;           /* newest changes kept in memory */
    size_t channel_bytes;        /* ready frames kept, over all views */
    size_t snapshot_cache_bytes; /* snapshot batches kept for later subscribers */
    uint32_t max_subscriptions;  /* per subscriber */
    int64_t tombstone_ms;        /* a fresh snapshot has deletes that are younger than this */
    int64_t snapshot_rows;       /* rows that one job reads in one transaction; 0: 2,000 */
    int64_t scan_rows;           /* of the log, that one job reads; 0: 20,000 */
    size_t page_bytes;           /* of one page of catching up, or one frame; 0: 32 KiB */
    uint64_t refresh_us;     /* after so long a refresh of windows begins nothing more; 0: 20 ms */
    int64_t max_window_rows; /* of one window, or that pass a filter; 0: 10,000 */
    size_t max_windows;      /* different windows with subscribers; 0: 1,000 */
    size_t max_waiting;      /* exports that subscribers wait for before the first feed; 0: 1,000 */
    int64_t max_filter_rows; /* that filters read for a view read once; 0: 1,000,000 */
    int64_t sighted_changes; /* of the log, read to tell what a token saw; 0: 100,000 */
    struct tracer *tracer;   /* of snapshots and refreshes; NULL: none. Outlives the hub */
    void (*due)(void *argument); /* hub_due is sooner than it was; NULL: nobody wants to know */
    /* The last message of the log that is done with, if there is a log; NULL: it is not known. */
    int64_t (*log_position)(void *argument);
    /* All who wait for it in the hub know of a commit, of which this is the last change. NULL:
     * nobody else waits. */
    void (*committed)(void *argument, int64_t last_change);
    void *argument;                 /* of these */
    struct view_query_limits query; /* of queries of clients; depth 0: 8, terms 0: 256 */
};

/* The hub takes the view set over; the windows are those of the table (window/window.h). hub_new
 * starts nothing. */
struct hub *hub_new(const struct hub_options *options, struct view_set *views,
                    const struct window_ops *window_ops);
void hub_free(struct hub *hub);
/* For subscribers without an allowance of their own, from now on. */
void hub_set_max_subscriptions(struct hub *hub, uint32_t max_subscriptions);
/* The engine follows a log: a cursor that it does not have yet is waited for, for so long
 * (docs/cluster.md). Negative: it follows none, as at first. */
void hub_set_cursor_wait(struct hub *hub, int64_t ms);
/* Milliseconds until hub_take_due has something to do, which refuses cursors that were waited for
 * long enough; negative: it has nothing. */
int64_t hub_due(const struct hub *hub);
void hub_take_due(struct hub *hub);
/* The server stops: no request waits for its cursor any more. */
void hub_stop_waits(struct hub *hub);
/* Attach the engine, once open; existing exports follow one by one before the first message. */
void hub_attach(struct hub *hub, struct engine *engine);
void hub_add_export(struct hub *hub, const struct store_export *export);
/* For engine_options.on_commit (argument: the hub). */
void hub_commit(void *hub, struct engine_commit *commit);

/* ---- subscribers ---- */

/* What a subscriber needs of its owner; borrowed until subscriber_free. */
struct subscriber_options {
    /* There is something to pull; called often, and must only note it (e.g. net_want_write). */
    void (*wake)(void *argument);
    /* The token of a refresh_auth, which subscriber_tell must answer. NULL: it is refused. */
    void (*refresh)(void *argument, const char *token);
    /* Its token does not let it see a view; the client gets an error in any case, which may say
     * less. NULL: nobody is told. */
    void (*denied)(void *argument, const struct error *error);
    /* A cursor of its was waited for in vain: the client must go, and come back, here or at another
     * node. NULL: the subscription gets that error. */
    void (*behind)(void *argument, const struct error *error);
    void *argument;
    struct usage_client *usage;  /* it is metered as this client; NULL: it is not */
    struct allowance *allowance; /* NULL: only max_subscriptions limits it */
    bool sees_all;               /* it is the operator's own, and sees the rows of all scopes */
};
/* NULL when out of memory. */
struct subscriber *subscriber_new(struct hub *hub, const struct subscriber_options *options);
/* The owner of its shares of the readers' time and of the windows (see shares.h). */
void subscriber_set_owner(struct subscriber *subscriber, uint64_t owner);
/* Ends all its subscriptions. Read jobs on their way are forgotten safely, and `wake` is not called
 * any more, from the moment of this call on. */
void subscriber_free(struct subscriber *subscriber);
/*
 * Set the client's identity; the subscriber has a reference of its own. Until the first call the
 * client is unknown, and sees the public rows of all views. Subscriptions to views that it may not
 * see end with an error. If it may see other rows than before, its subscriptions move to those.
 * False when out of memory: then all subscriptions are ended, the identity is the former one, and
 * the connection must be ended.
 */
bool subscriber_set_identity(struct subscriber *subscriber, struct auth_identity *identity);
/* A text message to the client. */
void subscriber_tell(struct subscriber *subscriber, struct span json);
/*
 * It gets bodies (struct wire_encoding) instead of ready messages, and has one subscription, by
 * subscriber_subscribe. The sender puts heads before the bodies, and may have several of these for
 * one client. `head`, borrowed while there is the subscriber, is the head of live frames: where it
 * can be, these come as ready messages (WIRE_WHOLE) that have it. To be called first.
 */
void subscriber_write_bodies(struct subscriber *subscriber, struct span head);
/* Open its subscription. false: the error is for the client. */
bool subscriber_subscribe(struct subscriber *subscriber, const struct wire_subscribe *message,
                          struct error *error);
/* The facts of a view that a client needs before it subscribes. */
struct hub_facts {
    bool is_found; /* else the rest is zero */
    enum wire_mode mode;
    bool needs_key;  /* it shows one entity */
    bool has_tape;   /* clients of bodies get its events by position */
    bool is_scoped;  /* the token decides which rows are seen */
    int64_t take;    /* rows, where the view itself sets a limit; 0: it sets none */
    int64_t longest; /* window of it */
};
struct hub_facts hub_describe(const struct hub *hub, const struct auth_identity *identity,
                              struct span view);
/* Whether that identity sees the same rows. */
bool subscriber_sees_same(const struct subscriber *subscriber, struct auth_identity *identity);
/* The epoch of the cursors of its one subscription; false: there is none any more. */
enum { HUB_EPOCH = 64 };
bool subscriber_epoch(const struct subscriber *subscriber, char epoch[HUB_EPOCH]);
/* A message came that does not reach the hub (`is_new`), or one that was counted is refused after
 * all. `subscribes`: it would have made a subscription. */
void hub_count_message(struct hub *hub, bool is_new, bool refused, bool subscribes);
/* A text message from the client. A fault of it is answered with an error frame. */
void subscriber_message(struct subscriber *subscriber, struct span text);
/* The same for one that was read already; an error is returned and not answered. */
bool subscriber_take(struct subscriber *subscriber, const struct wire_message *message,
                     struct error *error);
/* The same when it was read, with wire_message_read; `wrong` NULL: well. */
void subscriber_handle(struct subscriber *subscriber, const struct wire_message *message,
                       const struct error *wrong);
/* Send the client an error (a text frame), about what it asked for (NULL: unknown); the transport
 * uses it, too. */
void subscriber_error(struct subscriber *subscriber, const struct error *error,
                      const struct wire_about *about, bool fatal);

/* ---- what a connection sends ---- */

struct supply_state {
    size_t subscriptions;
    bool is_idle; /* it has nothing to send for now */
    bool rests;   /* the next pull should wait a moment, so that the client can show its rows */
    /* An answer was lost, because memory was missing or the client reads none: the connection must
     * end, without another pull. */
    bool is_broken;
    /* Unread answers pile up, so reading from this client should pause until a pull. */
    bool is_congested;
};
/* Of pieces that were shown, so many bytes were given to the connection. */
struct supply_taken {
    struct span rest;    /* unless it was all: the rest of a frame, which must be sent next */
    struct wire_run run; /* what was in them, and in the rest */
    bool more;           /* there may be more to send; else a wake follows */
};
/*
 * A supply gives a connection the bytes that it sends. A subscriber is one; so is whatever puts
 * several of them together, or their frames into another form. The connection knows the supply by
 * this table alone. NULL where it says so.
 */
struct supply_ops {
    /* The next bytes to send: whole ready frames, at most about WIRE_FRAGMENT bytes (one frame at
     * least). Empty: nothing now; a wake follows. Borrowed until the next call. */
    struct span (*pull)(void *supply);
    /*
     * Where the next bytes are a run of shared frames, and nothing else is due, they need not be
     * pulled one block after the other: up to `most` pieces of them, which follow each other and
     * are borrowed until the next call. 0: pull. NULL: always pull, and `took` is NULL, too.
     */
    size_t (*show)(void *supply, struct span *pieces, size_t most);
    struct supply_taken (*took)(void *supply, size_t length, bool all);
    /* What is in the last pull, if it has so many bytes and what is in them is known without a
     * look. NULL: never. */
    bool (*counted)(const void *supply, size_t length, struct wire_run *run);
    /* So much of the last pull was given to the connection, mostly all of it, and its content. To
     * be called before the next pull. NULL: not needed. */
    void (*sent)(void *supply, size_t length, const struct wire_run *run);
    /* NULL: nothing of it is ever so. */
    struct supply_state (*state)(const void *supply);
    /* Drop bytes that are not sent yet, except answers: the client may see nothing more. NULL:
     * there are only answers. */
    void (*silence)(void *supply);
    /* Drop bytes that wait to be sent, answers too. NULL: no limit of bytes holds for them, and no
     * limit of messages ends their connection. */
    void (*drop)(void *supply);
};
/* Of a struct subscriber; what silences it ends all its subscriptions without a message. */
extern const struct supply_ops subscriber_supply;
/* The same, for who has no connection. */
struct span subscriber_pull(struct subscriber *subscriber);
struct supply_state subscriber_state(const struct subscriber *subscriber);

/* ---- facts for who watches the server ---- */

/* What of a view was asked for. Borrowed. */
struct asked_facts {
    struct span view, key; /* key absent: all */
    struct span query;     /* canonical; absent: none */
    int64_t take, skip;    /* take -1: not cut */
};

/* A subscription, and how far it is behind. Borrowed during the call. */
struct subscription_facts {
    struct span id; /* of a client that names its subscriptions; else absent */
    struct asked_facts asked;
    uint64_t window;   /* the number of its window; 0: it is none */
    const char *state; /* "resuming", "snapshot", "catching-up" or "live" */
    int64_t change;    /* its client was given everything up to here; -1: not known */
    bool has_seq;
    struct seq seq; /* the cursor there */
    /* Behind the head, each -1 if it is not known: changes of the log; slots; and for how long
     * there has been something that it lacks. 0: it was given everything that is for it. */
    int64_t behind, slots_behind;
    double seconds_behind;
};
typedef void (*subscription_each)(void *argument, const struct subscription_facts *facts);
/* Describe up to `most` subscriptions, under that id; how many they were. */
size_t subscriber_describe(const struct subscriber *subscriber, struct span id, size_t most,
                           subscription_each each, void *argument);

/* ---- facts for /status and /metrics ---- */

struct hub_metrics {
    struct counter messages_in, messages_refused;
    struct counter frames[3]; /* published, by mode: state, list, append */
    struct counter bytes_out;
    /* Refused subscriptions of messages; not those that a new token ended. */
    struct counter subscriptions_made, subscriptions_refused;
    struct counter snapshot_batches_built, snapshot_batches_shared;
    struct counter catch_ups, resumes, resumes_refused;
    struct counter resumes_shared;                 /* of windows: an equal one was served for it */
    struct counter cursors_waited, cursors_behind; /* waited for: well, and in vain */
    struct counter window_refreshes;
    struct counter topics_offered;     /* topics and windows that were compared with changes */
    struct counter windows_broken_off; /* ended for others */
    struct histogram publish_latency;  /* from a request's arrival to its frames being ready */
};
struct hub_state {
    const struct hub_metrics *metrics;
    const struct view_set *views;
    const struct wire_encoding *encoding; /* of bodies */
    size_t subscribers, subscriptions;
    size_t cursors_waiting; /* for this node to be there */
    int64_t last_change;    /* the head of the log as the loop knows it, */
    struct seq head;        /* ... and the greatest seq */
};
struct hub_state hub_state(const struct hub *hub);
/* Changes between the head and the slowest live subscription. */
int64_t hub_slowest_lag(const struct hub *hub);
/* Live subscriptions of a view; changes of the export that it is over, since the start. */
struct hub_view_counts {
    size_t subscriptions;
    uint64_t changes;
};
struct hub_view_counts hub_view_counts(const struct hub *hub, struct span view_id);

#endif
