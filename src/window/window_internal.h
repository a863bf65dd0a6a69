/*
 * Windows: shared by subscribers of a part of a view (docs/views.md). The files:
 *   on the loop:
 *     ops.c         windows as delivery sees them, by a table
 *     window.c      finding, joining, leaving; share.c: owners of windows
 *     spec.c        the window of a subscribe message
 *     topics.c      the places where commits find windows
 *     refresh.c     what a commit touched; when to read it; what that brings
 *     member.c      one subscription in a window, from snapshot to live
 *     requests.c    requests of members to a refresh
 *     behind.c      cursors that are too far behind to be looked up
 *     keep.c        windows in the database, for after a restart (also on the writer)
 *     facts.c       what a window has and costs, for who watches the server
 *   on a reader:
 *     read.c        a refresh of several windows, in one short transaction: rows and diffs
 *     scan.c        rows of a view, in its order; bounds.c: those that its cut passes on
 *     filter.c      the rows of a whole view that pass a query; fill.c: finding them;
 *                   matches.c: who shares them
 *     frames.c      rows as frames
 *     texts.c       rows as they were read
 *     tombstones.c  deletes with a snapshot
 *     events.c      the events of append views, instead of a diff
 *     encode.c      the answers to requests of members, by
 *     resume.c      ... the log
 *     since.c       ... rows that may have gone and come
 *     previous.c    ... rows that the client has of other subscriptions;
 *     state.c       ... a row that two subscriptions of a client show
 *     recall.c      what the database kept of a window from before a restart
 *   on both sides:
 *     content.c     rows, and small questions about a window's spec
 *     time.c        when time alone changes the rows of a query
 *     once.c        a window that is read once, for plain HTTP
 *     search.c      what its filter lets pass
 *     as_of.c       what a view was
 *     history.c     the events of an append view
 *     explain.c     why a row is there
 *     answer.c      the answers of these four
 *     pages.c       a view page by page, for the owner of the store
 *
 * Invariants:
 *  1. The content of a window is the result of a query of the database at its `position`; nothing
 * is derived from two states. (Commits that do not touch it move the position alone.)
 *  2. Only a refresh uses the content of its windows, and one refresh at a time is under way, so
 * the content needs no lock. Matches, which windows share, are those of a refresh likewise, once
 * they are found; parts of the search for them run one at a time, by their lock.
 *  3. A window's version grows with every diff. A member is at a version: it has the content of
 * that version. The frame log leads from version to version.
 */
#ifndef WINDOW_WINDOW_INTERNAL_H
#define WINDOW_WINDOW_INTERNAL_H

#include "base/lanes.h"
#include "base/roster.h"
#include "delivery/hub_internal.h"
#include "rows/batch.h"
#include "rows/view_state.h"
#include "store/stage.h"
#include "window/content.h"
#include "window/window.h"

struct window_reading;
struct window_request;
struct window_result;

enum {
    WINDOW_REMOVALS = 4096,         /* keys that left lately, for members that fell behind */
    WINDOW_REMOVAL_BYTES = 1 << 18, /* and the bytes of their keys */
    WINDOW_TOMBSTONES = 10000,      /* deletes of entities with a snapshot, at most */
    WINDOW_LINGER = 256, /* windows without members that are kept for clients that come back */
    WINDOW_FILL = 20000, /* rows that one part of filling reads, at most */
    WINDOW_SCAN = 20000, /* rows that a scanning window skips in one refresh */
    WINDOW_SHORT = 10,   /* a cut to this part of the rows a window may have is short */
    WINDOW_KEPT_ROWS = 200000, /* rows of windows that are kept in the database */
    WINDOW_SUMS = 2,           /* answers with sums that are made at a time */
    WINDOW_PASTS = 2,          /* answers with what a whole view was that are made at a time */
    WINDOW_REFRESH = 64,       /* windows in one refresh */
    WINDOW_REQUESTS = 1024     /* and members that are served by it */
};

/* Whether the database has the rows of a window, for after a restart. */
enum window_kept {
    WINDOW_UNDECIDED, /* not decided yet */
    WINDOW_KEPT,
    WINDOW_NOT_KEPT /* there were too many of others */
};

/* All windows over one stage, whatever their views cut of it: topics.c. */
struct stage_topic {
    struct link windows;         /* window.listing.in_list */
    struct label_index by_label; /* the same */
    size_t length;
    char definition[];
};

/* The places where commits find it: topics.c. */
struct window_listing {
    struct link in_list;        /* topic.list_windows, or stage_topic.windows */
    struct label_member labels; /* of a derived view: its sort keys in stage_topic.by_label */
    struct stage_topic *stage;
};

/* Its owner, for when max_windows is used up: share.c. */
struct window_share {
    struct subscriber *holder; /* counted as one of its windows; NULL: nobody's */
    struct subscriber *first;  /* of the members; NULL: none, or not known yet: */
    struct link in_unsettled;  /* ... windows.unsettled. Of the members: */
    size_t others, strangers;  /* subscriptions of other subscribers, and other owners */
};

/* The part of it in the database: keep.c. */
struct window_keeping {
    enum window_kept state;
    struct map moves;     /* struct window_row: what is not written yet of a key */
    struct link in_moved; /* windows.moved, while there is something to write */
    size_t rows;          /* that it counts for */
    uint64_t us;          /* when it was last written, */
    bool told;            /* ... at least once */
};

/* The newest snapshot for members that begin. */
struct window_snapshot {
    struct text *text; /* as of `version`; NULL: none */
    int64_t version, rows;
    size_t bytes;     /* of the last one, also when it is gone; 0: there was none, */
    size_t row_bytes; /* ... and of a row in it, on an average, before it was compressed */
    uint64_t asof;    /* no commit up to this number changed it: see hub->commits */
    bool more;        /* whether it says that rows are behind it */
    bool wanted, unused;
};

/* The state that members have been sent. */
struct window_published {
    int64_t version; /* of the last refresh; 0: there was none */
    int64_t change;  /* position of the state that members have been shown */
    int64_t passed;  /* nothing up to here was for members that rest: they have everything */
    int64_t joined;  /* the newest version at which a member may have begun, of a partial window */
    bool joining;    /* the refresh under way serves members that may begin with it */
};

/* What one refresh read, or a part of finding matches; and what the window has after it. */
struct window_measure {
    uint64_t rows_read, us;
    size_t rows, matches, bytes; /* bytes: of keys, also of those that left lately */
};

/* What its refreshes cost so far, for who watches the server. */
struct window_cost {
    uint64_t refreshes, rows_read, us;
    struct window_measure last;
};

/* The user of the content. */
enum window_busy { WINDOW_AT_REST, WINDOW_REFRESHED, WINDOW_FILLED_UP };

struct window {
    struct hub *hub;
    struct topic *topic; /* counted by the window as by a subscription */
    struct window_spec spec;
    char *name; /* the whole spec, as text; NULL: read once, for nobody in particular */
    enum wire_mode mode;
    struct link in_windows;
    struct roster_item in_listed; /* windows.listed; with its number */
    struct link in_active;        /* windows.active */
    struct link in_lingering;     /* windows.lingerers, without members */
    struct window_listing listing;
    struct link members;          /* member.in_window */
    struct link waiting, resting; /* subscription.in_rest */
    size_t member_count;
    size_t request_count; /* of members, not yet in a refresh */
    struct window_share share;
    struct previous_source source; /* of what clients hold */
    struct frame_log frame_log;    /* frames by version; its head is what members may have */
    bool frame_log_on;
    struct window_snapshot snapshot;
    struct window_published published;
    bool stale; /* it was touched since the last refresh */
    enum window_busy busy;
    uint64_t refreshed_us; /* when the last refresh came back */
    struct window_cost cost;
    struct window_keeping kept;
    struct window_content content;
    enum window_matching matching;
    struct window_matches *matches; /* counted; NULL: none yet */
    struct window_time time;
};

/* ---- members ---- */

enum member_phase {
    MEMBER_NEW,      /* takes a snapshot */
    MEMBER_FROM_NOW, /* wants none: begins at the present */
    MEMBER_RESUMING, /* has a cursor: must ask a refresh for what it lacks */
    MEMBER_BEHIND,   /* fell off the frame log: likewise */
    MEMBER_MOVED,    /* has rows of another window: likewise */
    MEMBER_WAITING,  /* a refresh finds what it lacks */
    MEMBER_LIVE      /* takes from the window's frame log */
};

/* A subscription in its window: made when it joins, freed when it leaves. */
struct member {
    struct subscription *subscription;
    struct window *window;
    struct link in_window;
    enum member_phase phase;
    int64_t version; /* of the window, that it has, */
    int64_t change;  /* ... and the change up to which it had everything; 0: not known */
    struct frame_log_cursor at;
    bool in_frame_log; /* `at` is behind that version */
    int64_t from;      /* of one that begins without a version: it has all up to this change, */
    bool current;      /* ... and its cursor is known to be of the view as it is now; */
    bool looks_up;     /* ... or all up to this cursor, */
    struct seq after;
    int64_t parted; /* ... of another database; see struct cursor_origin */
    uint64_t asked; /* hub->commits when it last asked a refresh for something, */
    bool refused;   /* ... which had nothing but a snapshot for it */
    struct window_request *request;
};

static inline struct subscription *window_member(const struct link *in_window)
{
    return LINK_OWNER(struct member, in_window, in_window)->subscription;
}

void window_spec_fini(struct window_spec *spec);
/* Find its stage: an index where one has the order of its query, and it is of a part of the rows.
 * Again after `take` was changed. */
void window_spec_seek_order(const struct hub *hub, struct window_spec *spec);
/* Append which rows of its view pass: for names of what equal queries share. */
void window_spec_print_rows(const struct window_spec *spec, struct buffer *out);
/* What to do for an index of the order that a query asks for: part of an error. */
const char *window_spec_index_remedy(const struct window_spec *spec);
struct asked_facts window_spec_asked(const struct window_spec *spec);
/* Copy the members that the spec owns, for another row scope. False when out of memory. */
bool window_spec_copy(const struct window_spec *spec, struct row_scope *scope,
                      struct window_spec *copy);
/* The part of its view that the window is: rows at most, and how many come before them. False:
 * all rows, or the one of its key. */
bool window_part(const struct window *window, int64_t *take, int64_t *skip);
/* time.c: of queries that ask for the time. */
struct span window_turn_map_key(const void *turn);
void window_turns_clear(struct window_matches *matches);
/* Keep the turn of a row that is checked as of time.now, if it has one; `data` absent: the row
 * is gone. `max_rows`: of the window. */
bool window_note_turn(struct window *window, struct span key, struct span data, int64_t max_rows,
                      struct error *error);
/* The same if matches are not kept. */
void window_expect_turn(struct window *window, struct span data);
/* Bring the window's rows to `now`: give the keys of those whose turn is due. */
bool window_take_rechecks(struct window *window, int64_t now,
                          bool (*each)(void *argument, struct span key), void *argument);
/* Set when time may next change the rows, by the turns of its matches. */
void window_expect_first_turn(struct window *window);
/* Whether the window is of a time so far ahead of `now` that it must be filled again. */
bool window_is_ahead(const struct window *window, int64_t now);
/* In how many milliseconds time may change a window that no reader has; INT64_MAX: never. */
int64_t window_turns_in(const struct window *window, int64_t now_ms);

/* ---- content ---- */

static inline struct span window_row_key(const struct window_row *row)
{
    return span_make(row->bytes, row->key_length);
}
static inline struct span window_row_sort_key(const struct window_row *row)
{
    return span_make(row->bytes + row->key_length, row->sort_key_length);
}
struct window_row *window_row_new(struct span key, struct span sort_key, int64_t change);
bool window_rows_add(struct window_rows *rows, struct window_row *row);
/* Add one of which only the key and the mark count; NULL when out of memory. */
struct window_row *window_rows_note(struct window_rows *rows, struct span key, int mark);
/* The rows by key; false when out of memory. The map is to be ended in any case. */
bool window_rows_index(const struct window_rows *rows, struct map *map);
void window_rows_fini(struct window_rows *rows);
/* Whether its members ask by the value of a field, and so know its one row by that. */
static inline bool window_is_keyed_by_field(const struct window *window)
{
    return window->spec.key.data && window->spec.view->output == VIEW_KEYED;
}
/* For struct map. */
struct span window_row_map_key(const void *row);
/* Whether a query puts its rows in an order of their own, and whether the window itself must sort
 * them for that, because no index has the order. */
static inline bool window_has_order(const struct window *window)
{
    return view_query_traits(window->spec.query).sorts && !window->spec.key.data;
}
static inline bool window_is_sorted(const struct window *window)
{
    return window_has_order(window) && window->spec.stage == window->spec.view->stage;
}
/* Whether its view is cut. */
static inline bool window_is_cut(const struct window *window)
{
    return window->spec.stage && window->spec.stage->has_cut;
}
/* Whether the window is a query over a whole view, or over a cut that is not short, and whether
 * its matches are kept for that: a window that is read only once tries without. */
bool window_filters_all(const struct window *window);
bool window_keeps_matches(const struct window *window);
/* Whether it needs no matches, at first: only its scope leaves rows out. Mostly many are visible,
 * and the view is read in its order until there are enough. If that is far, it keeps its matches.
 */
bool window_may_scan(const struct window *window);
/* Whether its view may have rows behind the last one that it takes. */
bool window_may_have_more(const struct window *window);
/* The part of its view's order that the view itself passes on. */
struct view_cut window_view_cut(const struct window *window);
/* Whether its members may see an entity (key, canonical text) at all, */
bool window_sees(const struct window *window, struct span key, struct span data);
/* and whether it is among their rows, as of time.now. */
bool window_passes(const struct window *window, struct span key, struct span data);

/* ---- the loop ---- */

struct window_newest;
struct windows {
    struct map by_name;
    struct map matches;      /* struct window_matches that windows may join, by name */
    struct link all;         /* window.in_windows */
    struct roster listed;    /* the same, for who watches the server */
    struct link active;      /* window.in_active: all that may need a refresh, and a few others */
    struct link lingerers;   /* window.in_lingering: without members, the longest so first */
    struct map stages;       /* struct stage_topic by the definition of the stage */
    struct link requests;    /* window_request.in_requests: for the next refresh */
    size_t count, lingering; /* all of them, and those without members */
    size_t extra;            /* with members, and made for heirs: see key_owner.c */
    uint64_t ended_us;       /* when one was last forgotten, with its removals; 0: never */
    size_t timed;            /* whose query asks for the time */
    size_t members;          /* of all */
    bool refreshing;         /* a refresh is under way */
    struct link moved;       /* window.kept.in_moved */
    struct shares shares;    /* subscriber.windows, by owner: share.c */
    struct link unsettled;   /* window.share.in_unsettled */
    size_t kept_rows;        /* of windows that are kept */
    bool keeping;            /* the writer has a part of that */
    uint64_t kept_us;        /* when it got it, */
    int64_t kept_change;     /* ... and up to which change everything is written, */
    int64_t kept_coalesced;  /* ... also of views that coalesce */
    uint64_t forget_us;      /* when something in it is old; UINT64_MAX: it has nothing */
    bool crowded;            /* it has more than it may */
    unsigned forget_slices;  /* jobs that only forget, before more is written */
    struct lane_ring past;   /* who waits to read what a whole view was, and holds no rows, */
    size_t past_count;       /* ... and how many read: WINDOW_PASTS at most. as_of.c */
    struct lane_ring sums;   /* who waits to sum a view, */
    size_t sum_count;        /* ... and how many do: WINDOW_SUMS at most. sum.c */
    uint64_t sums_held_us;   /* since when all wait for the write-ahead log; 0: they do not */
    bool sums_stopped;       /* the server stops */
    struct window_newest *newest; /* changes that were looked at: behind.c. NULL: none were */
};

/* sum.c: begin those that wait, if they may; when that is to be looked at again: monotonic,
 * UINT64_MAX: not by time. */
void window_sums_take_turn(struct hub *hub);
uint64_t window_sums_due(const struct hub *hub, uint64_t now_us);

/* window.c */
struct windows *windows_new(void);
void windows_free(struct windows *windows);
/* Make the subscription a member of the window of its spec, a new one if need be; members of the
 * spec are taken over in any case. */
bool window_join(struct subscription *subscription, struct window_spec *spec, struct error *error);
void window_leave(struct subscription *subscription);
/* Set up the content that refreshes keep; for all zeroes. */
void window_content_init(struct window *window);
void window_content_fini(struct window *window);
/* Whether clients may hold rows of windows from before these were made. */
bool windows_outlived(const struct hub *hub);

/* spec.c: read the query of a subscribe message, whether it is a window or not. */
bool window_spec_make(const struct hub *hub, const struct view *view,
                      const struct wire_subscribe *message, struct window_spec *spec,
                      struct error *error);

/* member.c */
extern const struct reader_ops window_reader;
void window_begin(struct subscription *subscription);
/* The change up to which it has everything; -1: not known. */
int64_t member_has(const struct subscription *subscription);
/* The content that it has, or may still have. Beside others it may be more than it was sent
 * itself: an owner states its row as of a refresh that is ahead of it (state.c). */
struct window_shown window_shown(const struct subscription *subscription);

/* behind.c: where a cursor stands, as far as the newest changes in memory show. */
enum window_cursor window_find_cursor(const struct subscription *subscription, struct seq after);

/* refresh.c: mark what a commit touched, and refresh it. */
void windows_commit(struct hub *hub, const struct engine_commit *commit);

/* The window of what is held; NULL: it is of none. */
static inline struct window *window_of_previous(const struct previous *previous)
{
    return previous->source ? LINK_OWNER(struct window, source, previous->source) : NULL;
}

/* share.c: a member has come, has gone and does not count any more / the window is freed. */
void window_share_joined(struct window *window, struct subscriber *subscriber);
void window_share_left(struct window *window, struct subscriber *subscriber);
void window_share_end(struct window *window);
/* The owner of the subscriber is about to change. */
void windows_share_unsettle(struct subscriber *subscriber);
/* Make room for one more of the taker's, if need be by ending another's. False with
 * ERROR_SUBSCRIPTION_LIMIT: the taker is refused; nothing else refuses by max_windows. */
bool windows_make_room(struct hub *hub, struct subscriber *taker, struct error *error);

/* matches.c */
void windows_matches_init(struct windows *windows);
void windows_matches_fini(struct windows *windows);
void window_matches_unref(struct window_matches *matches, struct windows *windows);
/* Make them as new, to be found again. */
void window_matches_reset(struct window_matches *matches);
/* Have those of windows of an equal query, or new ones. False when out of memory. */
bool window_matches_join(struct window *window);
/* The same for a window that is read once, of others that are; without `makes` none if there are
 * none. */
bool window_matches_join_once(struct window *window, bool makes);
/* No other window joins those that it has. */
void window_matches_withdraw(struct window *window);
/* Have none, so that they are found again; no other window joins those that it had. */
void window_matches_drop(struct window *window);

/* topics.c */
void window_topics_init(struct windows *windows);
void window_topics_fini(struct windows *windows);
/* The places where commits find the window. False when out of memory; then it has none. */
bool window_topic_join(struct window *window);
void window_topic_leave(struct window *window);
/* It may need a refresh: the next windows_refresh decides. */
static inline void window_activate(struct window *window)
{
    if (link_alone(&window->in_active))
        link_append(&window->hub->windows->active, &window->in_active);
}
/* facts.c: on a reader, before and after a read of it; and on the loop, when that came back. */
struct window_clock {
    uint64_t us, rows;
};
struct window_clock window_clock_start(const struct store_reader *reader);
struct window_measure window_measure(const struct window *window, const struct store_reader *reader,
                                     struct window_clock start);
void window_count(struct window *window, const struct window_measure *measure);

/* Free what lingers beyond WINDOW_LINGER. */
void windows_end_lingering(struct windows *windows);

/* All members get the error and are gone; possibly the window too. */
void window_fail(struct window *window, const struct error *error);
/* keep.c: note the result of a refresh to be written. Takes the moves. */
void window_keep(struct window *window, struct window_result *result);
/* The window is freed. */
void window_keep_end(struct window *window);
/* Hand the noted results to the writer, when it is time; and when that is: monotonic, or
 * UINT64_MAX. */
void windows_keep(struct hub *hub);
uint64_t windows_keep_due(const struct hub *hub);

#endif
