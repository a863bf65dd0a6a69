/*
 * hub: subscribers as cursors over the log. It knows views, channels, snapshots and catch-up,
 * but no socket: a subscriber takes text messages in and gives ready WebSocket bytes out, when it
 * is asked (pulled by writability). Everything here belongs to the loop thread.
 */
#ifndef DELIVERY_HUB_H
#define DELIVERY_HUB_H

#include "auth/auth.h"
#include "engine/engine.h"
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
    size_t snapshot_cache_bytes; /* snapshot batches kept for others that come */
    uint32_t max_subscriptions;  /* per subscriber */
    int64_t tombstone_ms;        /* deletes this young are told with a fresh snapshot */
    int64_t snapshot_rows;       /* rows that one job reads in one transaction; 0: 2,000 */
    int64_t scan_rows;           /* of the log, that one job looks at; 0: 20,000 */
    size_t page_bytes;           /* of one page of catching up, or one frame; 0: 32 KiB */
    uint64_t refresh_us;     /* after so long a refresh of windows begins nothing more; 0: 20 ms */
    int64_t max_window_rows; /* of one window, or that a filter lets pass; 0: 10,000 */
    size_t max_windows;      /* different ones that are watched; 0: 1,000 */
    size_t max_waiting;      /* exports that are waited for before they are fed; 0: 1,000 */
    int64_t max_filter_rows; /* that filters look at for a view read once; 0: 1,000,000 */
    int64_t sighted_changes; /* of the log, read to tell what a token saw; 0: 100,000 */
    struct view_query_limits query; /* of what clients ask for; depth 0: 8, terms 0: 256 */
};

/* The hub takes the view set over; the windows are those of the table (window/window.h). hub_new
 * does not start anything. */
struct hub *hub_new(const struct hub_options *options, struct view_set *views,
                    const struct window_ops *window_ops);
void hub_free(struct hub *hub);
/* For subscribers without an allowance of their own, from now on. */
void hub_set_max_subscriptions(struct hub *hub, uint32_t max_subscriptions);
/* The engine, once open; exports that exist are told one by one before the first message. */
void hub_attach(struct hub *hub, struct engine *engine);
void hub_add_export(struct hub *hub, const struct store_export *export);
/* For engine_options.on_commit (argument: the hub). */
void hub_commit(void *hub, struct engine_commit *commit);

/* Write down what is still to be written, before the engine is closed. */
void hub_close(struct hub *hub);

/* What is due by time alone: windows that coalesce. To be called when `hub_due` says so. */
void hub_tick(struct hub *hub);
/* Milliseconds until hub_tick has something to do; negative: nothing is waited for. */
int64_t hub_due(const struct hub *hub);

/* ---- subscribers ---- */

/* `wake` is called when there is something to pull; it may be called often, and must only note it
 * (e.g. net_want_write). NULL when out of memory. */
struct subscriber *subscriber_new(struct hub *hub, void (*wake)(void *argument), void *argument);
/* Whose share of the readers' time and of the windows it takes (see shares.h). */
void subscriber_set_owner(struct subscriber *subscriber, uint64_t owner);
/* Ends all its subscriptions. Read jobs on their way are forgotten safely, and `wake` is not called
 * any more, from the moment of this call on. */
void subscriber_free(struct subscriber *subscriber);
/*
 * Who the client is, from now on; a reference of its own is taken. Until the first call it is a
 * stranger, who sees the public rows of all views. Subscriptions to views that it may not see are
 * ended with an error; where it may see other rows than before, its subscriptions go over to
 * those. False when out of memory: then all subscriptions are ended, it is who it was, and the
 * connection must be ended.
 */
bool subscriber_set_identity(struct subscriber *subscriber, struct auth_identity *identity);
/* Tell usage what the subscriber does and is sent, as this client, which must outlive it. To be
 * called before anything else, if at all. */
void subscriber_meter(struct subscriber *subscriber, struct usage_client *client);
size_t subscriber_subscriptions(const struct subscriber *subscriber);
/* What the client may still do; borrowed until subscriber_free. Without it, it may do all, but for
 * max_subscriptions. */
void subscriber_set_allowance(struct subscriber *subscriber, struct allowance *allowance);
/* What is to be done with the token of a refresh_auth, with the argument of subscriber_new: it is
 * to be answered by subscriber_tell. Without this, it is refused. */
void subscriber_on_refresh(struct subscriber *subscriber,
                           void (*refresh)(void *argument, const char *token));
/* Who is to be told when its token does not let it see a view, with the argument of subscriber_new;
 * the client is told in any case, and may be told less. */
void subscriber_on_denied(struct subscriber *subscriber,
                          void (*denied)(void *argument, const struct error *error));
/* A text message to the client. */
void subscriber_tell(struct subscriber *subscriber, struct span json);
/* End all its subscriptions without a word: only answers are sent from now on. */
void subscriber_silence(struct subscriber *subscriber);
/* The subscriber is the operator's own, and sees the rows of all scopes: before its first message.
 * False when out of memory: then it sees what a stranger does. */
bool subscriber_see_all(struct subscriber *subscriber);
/*
 * It gets bodies (struct wire_encoding) instead of ready messages, and has one subscription, by
 * subscriber_subscribe: whoever sends those puts heads before them, and may have several of these
 * for one client. To be called before anything else.
 */
void subscriber_write_bodies(struct subscriber *subscriber);
/* Open its subscription. false: the error is for the client. */
bool subscriber_subscribe(struct subscriber *subscriber, const struct wire_subscribe *message,
                          struct error *error);
/* What is to be known of a view before it is asked for. */
struct hub_facts {
    bool is_found; /* else the rest is zero */
    enum wire_mode mode;
    bool needs_key;  /* it shows one entity */
    bool has_tape;   /* its events are told by position to who gets bodies */
    bool is_scoped;  /* who sees which rows depends on their token */
    int64_t take;    /* rows, where the view itself sets a limit; 0: it sets none */
    int64_t longest; /* window of it */
};
struct hub_facts hub_describe(const struct hub *hub, const struct auth_identity *identity,
                              struct span view);
/* Whether that identity sees the same rows. */
bool subscriber_sees_same(const struct subscriber *subscriber, struct auth_identity *identity);
/* The encoding of bodies. */
const struct wire_encoding *hub_bodies(const struct hub *hub);
/* A message came that the hub does not get to see. */
void hub_count_message(struct hub *hub, bool refused);
/* A text message from the client. What is wrong with it is answered with an error frame. */
void subscriber_message(struct subscriber *subscriber, struct span text);
/* The same for one that was read already; an error is returned and not answered. */
bool subscriber_take(struct subscriber *subscriber, const struct wire_message *message,
                     struct error *error);
/* The same when it was read, with wire_message_read; `wrong` NULL: well. */
void subscriber_handle(struct subscriber *subscriber, const struct wire_message *message,
                       const struct error *wrong);
/* Tell the client about an error (a text frame); also used by the transport. */
void subscriber_error(struct subscriber *subscriber, const struct error *error, bool fatal);
/* Forget what waits to be sent, answers too. */
void subscriber_drop(struct subscriber *subscriber);
/*
 * The next bytes to send: whole ready frames, at most about WIRE_FRAGMENT bytes (one frame at
 * least). Empty: nothing now; wake tells when. Borrowed until the next call on the hub.
 */
struct span subscriber_pull(struct subscriber *subscriber);
/* Whether the next pull had better wait a moment, so that the client can show what it has. */
bool subscriber_rests(const struct subscriber *subscriber);
/* So much of what the last pull gave was handed to the connection, all of it mostly. For metering;
 * to be called before the next pull. */
void subscriber_sent(struct subscriber *subscriber, size_t length, const struct wire_run *run);
/* Whether an answer was lost, for lack of memory or because the client reads none: it must be told
 * by ending the connection, with nothing pulled any more. */
bool subscriber_broken(const struct subscriber *subscriber);
/* Whether unread answers pile up, so that reading from this client should pause until a pull. */
bool subscriber_congested(const struct subscriber *subscriber);

/* ---- facts for /status and /metrics ---- */

struct hub_metrics {
    struct counter messages_in, messages_refused;
    struct counter frames[3]; /* published, by mode: state, list, append */
    struct counter bytes_out;
    /* Refused: asked for by a message; not those that a new token ended. */
    struct counter subscriptions_made, subscriptions_refused;
    struct counter snapshot_batches_built, snapshot_batches_shared;
    struct counter catch_ups, resumes, resumes_refused;
    struct counter resumes_shared; /* of windows: an equal one was served for it */
    struct counter window_refreshes;
    struct counter topics_offered;     /* topics and windows that changes were held against */
    struct counter windows_broken_off; /* given up for others */
    struct histogram publish_latency;  /* from a request's arrival to its frames being ready */
};
const struct hub_metrics *hub_metrics(const struct hub *hub);
size_t hub_subscribers(const struct hub *hub);
size_t hub_subscriptions(const struct hub *hub);
/* Windows that somebody watches, and subscriptions that are members of one. */
void hub_windows(const struct hub *hub, size_t *windows, size_t *members);
/* Changes between the head and the slowest live subscription. */
int64_t hub_slowest_lag(const struct hub *hub);
/* Head of the log as the loop knows it. */
int64_t hub_last_change(const struct hub *hub);
struct seq hub_head(const struct hub *hub);
/* Live subscriptions of a view. */
size_t hub_view_subscriptions(const struct hub *hub, struct span view_id);
const struct view_set *hub_views(const struct hub *hub);

#endif
