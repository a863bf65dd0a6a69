/*
 * subscription: a cursor over a view, and the reader that serves it.
 *
 * Each reader has a part of the subscription that it alone looks into; what others must know of it
 * they ask for by the functions below. A reader that is not at work keeps its part at rest.
 *
 *   part       belongs to
 *   live       live.c, and topic.c, which says that memory lacks a change
 *   log        catch_up.c
 *   snapshot   snapshot.c
 *   tape       tape.c, and log and live, which pass over what its filter does not let pass
 *   member     the folder window, which makes it when the subscription joins a window
 *   beside     key_owner.c; of an owner that is a window also window/state.c and window/member.c
 *   previous   previous.c
 */
#ifndef DELIVERY_SUBSCRIPTION_H
#define DELIVERY_SUBSCRIPTION_H

#include "backlog/backlog.h"
#include "base/link.h"
#include "delivery/cursor_wait.h"
#include "delivery/reader.h"
#include "delivery/view_epoch.h"
#include "rows/batch.h"
#include "rows/list_position.h"
#include "rows/resume_query.h"
#include "rows/row_scope.h"
#include "usage/usage.h"

struct topic;
struct topic_log;
struct hub;
struct key_group;
struct member;
struct read_task;
struct subscriber;

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

/* ---- subscriptions ---- */

/* Of a row that was stated: it may be any change that left it so, or none. */
#define KEY_STATED_UNKNOWN ((int64_t)-1)

/* ---- the parts of the readers ---- */

struct live_part {
    struct topic_log *log; /* of its topic; NULL: it takes from none yet */
    struct frame_log_cursor at;
    bool in_frame_log; /* `at` is where the cursor stands */
    bool missed;       /* memory lacks a change for it, which the database has */
};

/* The purpose of a read of the log. */
enum log_purpose {
    LOG_CATCHES_UP, /* it fell behind what memory has */
    LOG_ANSWERS,    /* its cursor was taken: what it is sent counts as the rows of its request */
    LOG_RESUMES,    /* likewise, and a complete batch tells where that ends */
    LOG_REPLAYS,    /* events of a tape, until a complete batch */
    LOG_DELETES,    /* what was deleted since `from`, up to `target` */
    LOG_OVERLAPS    /* its snapshot was of several states: whole rows until a complete batch */
};

struct log_part {
    enum log_purpose purpose;
    int64_t answered;        /* rows of the answer so far */
    int64_t from;            /* the change behind which the answer began */
    int64_t limit;           /* rows or events still wanted; -1: all; 0: it may end */
    int64_t target;          /* the newest change when it began */
    struct seq seq;          /* newest seq that was passed */
    int64_t true_from;       /* the events sent so far give a state that was from here on */
    int64_t ambiguous_until; /* what is up to here may be had already */
    bool only_greater;       /* the cursor's seq is not in the log: up to `target` only seqs beyond
                                `greater` count */
    struct seq greater;
    bool is_cut;     /* bodies: the rows of the resume ended at its limit */
    bool owes_state; /* bodies: the client is still to be told where it has a state that was */
    bool holds_grown_page; /* one of hub->grown_pages */
    unsigned page_growth;  /* doublings of the next page: see catch_up.c */
};

/* Of an append view, as bodies: events by their position in the log. */
struct tape_part {
    bool on;
    bool has_after;
    int64_t after;           /* the position that it came with */
    enum wire_refusal wrong; /* with that; 0: nothing */
    struct wire_tape window;
    char epoch[VIEW_EPOCH];
    struct view_query *query; /* of patches; NULL: all. One reference */
};

struct snapshot_part {
    struct snapshot_point point;
    struct snapshot_batch *batch; /* the next one, when a job brought it; one reference */
    struct link in_build;         /* waits for a snapshot job */
};

/* Its subscriber had another token, which showed other rows. */
struct moved_part {
    struct row_scope *was; /* it may hold what that one saw; one reference; NULL: it does not */
    int64_t from;          /* it has everything up to here; 0: unknown */
};

/* Whether it stays when it is not asked for any more. */
enum beside_stay {
    BESIDE_STAYS,
    BESIDE_LEAVES, /* unsubscribed: it goes when the other can take over */
    BESIDE_HEIR    /* of an owner that failed: it states the row once, shows none, and goes */
};

/* Beside others of its view on the connection: see key_owner.c. */
struct beside_part {
    struct link in_owners; /* subscriber.owners, while it owns its key */
    char *names;           /* its view and key, as they stand in frames; NULL: it owns none */
    size_t names_length;
    enum beside_stay stay;
    bool restates;     /* another may have sent an older or newer state of its row */
    bool others;       /* others of the connection showed rows of its view, or do */
    bool unstated;     /* of a window: the row may be another than was stated */
    int64_t stated;    /* it was this change that left it so; 0: there was none */
    int64_t stated_at; /* the newest change of then */
    int64_t begun;     /* the hub's newest change when it last began */
};

struct previous_part {
    struct link rows; /* struct previous: to lose where its window does not have them */
    uint64_t shown;   /* subscriber.shown when it began to show rows; 0: it shows none yet */
};

/* ---- the subscription ---- */

/* By its message. */
struct asked {
    char *parameters; /* equal texts: the same subscription again */
    bool with_snapshot;
    int64_t limit; /* of the snapshot; -1: none */
};

struct subscription {
    struct subscriber *subscriber;
    struct topic *topic;
    struct usage_meter *meter; /* NULL: it is not metered */
    struct link in_subscriber, in_ready, in_rest, in_waiting;
    struct key_group *group; /* NULL without a key */
    struct link in_group;
    struct asked asked;
    /* who serves it */
    enum reader_kind reading;        /* assigned by phase.c alone, */
    const struct reader_ops *reader; /* ... with this; NULL before it begins */
    struct error *failure;           /* the reader cannot go on: see reader_fail */
    struct read_task *task;          /* a read on its way, or what it brought; NULL: none */
    struct held_cursor *held;        /* this node has not come to its cursor; NULL: not so */
    bool has_slot;                   /* of the reads that its subscriber may have on their way */
    /* where it stands */
    int64_t cursor; /* everything up to this change was given */
    struct knowledge knowledge;
    /* what is known to one reader alone */
    struct live_part live;
    struct log_part log;
    struct snapshot_part snapshot;
    struct tape_part tape;
    struct moved_part moved;
    struct member *member; /* of a window; NULL: of none */
    struct beside_part beside;
    struct previous_part previous;
};

static inline bool subscription_leaves(const struct subscription *subscription)
{
    return subscription->beside.stay != BESIDE_STAYS;
}
static inline bool subscription_owns_key(const struct subscription *subscription)
{
    return subscription->beside.names != NULL;
}

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
/* Free one that belongs to no topic any more, and has no work on its way. */
void subscription_drop(struct subscription *subscription);
/* announce.c: send `subscribed`; resumed as in struct wire_subscribed. */
void subscription_announce(struct subscription *subscription, int resumed);
/* move.c: the subscriber sees other rows than before: go over to those. The subscription may be
 * gone afterwards. */
void subscription_move(struct subscription *subscription);
/* The client got the deletes for its former token. */
void subscription_lost_was(struct subscription *subscription);
/* pull.c: its next bytes, borrowed until the next call; it may be gone afterwards. */
struct span subscription_pull(struct subscription *subscription);

/* phase.c: who serves it. */
/* Its cursor is being looked up (READER_RESUME), or the start of the tape (READER_TAPE). */
void phase_look_up(struct subscription *subscription, enum reader_kind kind);
/* Begin from the start; `moved`: among those who see other rows; what it had is noted in `was`, or
 * `previous`. */
void phase_begin(struct subscription *subscription, bool moved);
/* The same, after the client was told that its cursor is of no use. */
void phase_refuse_cursor(struct subscription *subscription);
/* A member of a window has a cursor that the next refresh finds. */
void phase_resume_near(struct subscription *subscription, struct seq after,
                       const struct cursor_origin *origin);
/* An heir begins live, with the row of its key alone; see key_owner.c. */
void phase_inherit(struct subscription *subscription);
/* A live one says its row anew. */
void phase_restate(struct subscription *subscription);
/* The move that a step with STEP_NEXT asks for. */
void phase_next(struct subscription *subscription, const struct reader_step *step);
/* Nothing that was asked for it is wanted any more. */
void phase_stop(struct subscription *subscription);

/* The readers begin; called by phase.c. */
void snapshot_begin(struct subscription *subscription);
void log_begin(struct subscription *subscription, int64_t from);

/* Take over what it knows of the view's keys, in the place of what it knew. */
void subscription_know(struct subscription *subscription, struct knowledge knowledge);

/* snapshot.c */
struct snapshot_batch;
struct snapshots *snapshots_new(struct hub *hub, size_t max_bytes);
void snapshots_free(struct snapshots *snapshots);
void snapshot_batch_unref(struct snapshot_batch *batch);
/* The subscription no longer waits for a job. */
void snapshot_forget(struct subscription *subscription);

/* resume.c */
/* A cursor came: look it up, or refuse it if its epoch does not fit; continues the subscription by
 * itself. */
bool resume_begin(struct subscription *subscription, struct seq after, const char *epoch);

/* held.c: a cursor that this node does not have yet. */
struct held_cursor {
    struct cursor_wait wait;
    struct subscription *subscription;
    struct seq after; /* not of a tape */
    struct cursor_origin origin;
    bool fits; /* it is of the view as it is now, as far as its epoch says */
    /* The node is there; false: too many are read for. */
    bool (*go_on)(struct subscription *subscription, const struct held_cursor *held);
};
/* Keep a copy until the node is at the place; false when out of memory. */
bool held_begin(struct subscription *subscription, struct cursor_place place,
                const struct held_cursor *held);
void held_forget(struct subscription *subscription);

/* tape.c */
/* Whether the view's events are told by position to who gets bodies. */
static inline bool tape_is_of(const struct view *view)
{
    return view->mode == VIEW_APPEND && !view->stage;
}
/* What a cursor, "<epoch>:<position>", is worth here: whether it is of this database, and of what
 * these clients see of the view. *position is what it says in any case, 0 for none. */
enum tape_cursor { TAPE_NO_CURSOR, TAPE_CURSOR_FOREIGN, TAPE_CURSOR_FITS };
enum tape_cursor tape_cursor_read(const char *text, const struct hub *hub, const struct view *view,
                                  const struct row_scope *scope, int64_t *position);
/* A query of patches, which has one reference. NULL with the error. */
struct view_query *tape_query_new(const struct hub *hub, const struct view *view, const char *text,
                                  struct error *error);
/* The events that there are: those behind `floor`, up to the newest of the export, which was fed.
 * Read in a transaction of its own. */
struct tape_reach {
    int64_t floor, newest;
    int64_t head; /* the newest change of all exports */
    bool is_fed;
};
bool tape_reach_read(struct tape_reach *reach, const struct view *view, struct store_reader *reader,
                     struct error *error);
/* Read the tape's part of the message; false: it asks for something that a tape does not have. */
bool tape_open(struct subscription *subscription, const struct wire_subscribe *message,
               struct error *error);
/* Find out where it may begin. */
bool tape_start(struct subscription *subscription);
/* Tell the client why it cannot begin or go on where it stands. */
void tape_tell_refusal(struct subscription *subscription);

/* catch_up.c: the page that it took last has gone out, or is not wanted any more. */
void log_release(struct subscription *subscription);
/* The next part of the log to read: only changes that memory does not have any more / the changes
 * since a snapshot's first state, up to its last at least. */
void log_reset(struct subscription *subscription);
void log_overlap(struct subscription *subscription, int64_t target, struct seq seq);

#endif
