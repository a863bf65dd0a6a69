/* The content of a window, and its spec. */
#ifndef WINDOW_CONTENT_H
#define WINDOW_CONTENT_H

#include "base/base.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/seq.h"
#include "rows/row_scope.h"
#include "view/view.h"

#include <pthread.h>

/* The parameters that decide the content of a window. Owned by it. */
struct window_spec {
    const struct view *view; /* one reference */
    /* Whose rows it reads: the view's, or those of an index, in the order of the query; NULL: the
     * entities of an export. */
    const struct view_stage *stage;
    int64_t skip, take; /* take VIEW_ALL: all */
    int64_t limit;      /* rows of a snapshot; -1: all */
    bool is_extra;      /* max_windows does not count for it */
    bool is_short;   /* the view is cut to so few rows that a filter reads them at each refresh */
    bool is_partial; /* events, whose members did not begin with all rows */
    struct view_query *query; /* NULL: all rows, in the view's order */
    struct span key;          /* absent: every key */
    struct row_scope *scope;  /* of its rows; one reference; NULL: they are not scoped */
    const struct wire_encoding *encoding; /* of its frames */
};

/* The mark of a window's row: its fate in the present refresh. */
enum window_fate {
    FATE_LEFT,     /* the start value: nothing has found it again. The reason is not kept */
    FATE_REPLACED, /* its entity changed: another object stands for it now */
    FATE_CARRIED   /* the same, possibly at another sort key */
};

/* The mark of a key that came into the window or left it. */
enum window_move { MOVE_LEFT, MOVE_CAME };

/* A row as members were sent it, or as a filter found it; or a key that was noted, and its mark. */
struct window_row {
    int64_t change;  /* the entity's last one at that time */
    int64_t version; /* of the window, when the row came in or changed */
    int64_t entered; /* and when it came in */
    int mark;        /* by the list that has it: one of the enums above, or of its own */
    uint32_t key_length, sort_key_length;
    char bytes[]; /* key, sort key */
};

struct window_rows {
    struct window_row **list;
    size_t count, capacity;
};

struct window_removal {
    int64_t version;
    int64_t entered, told, change; /* the row's, as it left: entered, version and change */
    int64_t at;                    /* wall clock, ms */
    uint32_t key_length;
    char *key;
};

/* The sort keys that mark the ends of a cut: behind `low` (empty: from the first), up to and with
 * `high`. */
struct window_bounds {
    bool nothing; /* no sort key at all */
    bool open;    /* no end: `high` means nothing */
    struct buffer low, high;
};

/* How a filter over a whole view finds its rows. */
enum window_matching {
    MATCHES_WANTED, /* they must be found, in parts, if the window keeps any */
    MATCHES_KEPT,   /* all are here */
    MATCHES_PASSED  /* none are kept: each refresh skips unseen rows */
};

/* The progress of finding them. */
struct window_fill_point {
    bool begun, all_seen;
    int64_t news;        /* changes behind the matches at the part before; 0: none was made */
    int64_t looked;      /* rows, when it goes by label */
    int64_t id;          /* by file: behind this entity, */
    struct buffer after; /* or behind this key or sort key */
    bool by_file;        /* it goes in the order of the file */
};

/*
 * The rows that a query finds in a whole view, up to date with the change `position`. Windows of
 * equal queries share them, whatever part of them each shows; those that are read once, by HTTP,
 * share others. Three parts of the program use them, never two at once: filling (fill.c), under the
 * lock, until they are found; then the one refresh that is under way, or, of windows that are read
 * once, whoever has the lock; and the loop, which counts references.
 */
struct window_matches {
    size_t references; /* windows; the loop's */
    char *name;        /* what equal queries have in common */
    pthread_mutex_t lock;
    bool once;   /* of windows that are read once: search.c */
    bool found;  /* under the lock: all are here, for good */
    bool broken; /* a part or an update failed halfway, so they must be found again */
    int64_t position, membership; /* the newest change and membership change at that time */
    _Atomic int64_t passed;       /* no change up to this one touched them since; the loop's */
    struct window_rows rows;      /* in order of sort key */
    struct map by_key;
    struct window_bounds bounds; /* that they are within, of a cut view */
    struct window_fill_point fill;
    int64_t now;            /* unix seconds as of which they pass */
    struct heap turns;      /* of a query that asks for the time: struct window_turn (time.c), */
    struct map turn_by_key; /* ... the same by key */
    /* Of windows that are read once, set under the lock: */
    _Atomic int64_t far;  /* a look does not find so many rows, from the first on; INT64_MAX: none
                             has failed */
    struct error failure; /* why the search cannot go on; ERROR_NONE: it can */
};

/* Of a query that asks for the time: time.c. */
struct window_time {
    int64_t now;  /* unix seconds as of which rows pass */
    int64_t turn; /* the next second at which it may change them */
};

/* Keys that left lately: encode.c. */
struct window_removals {
    struct window_removal *list; /* the oldest first */
    size_t count, capacity, bytes;
    int64_t floor; /* those of versions up to this may be forgotten; 0: none is */
};

/* Keys that left before the first refresh, as far as the database knew: recall.c. */
struct window_previous {
    struct window_rows rows;
    uint64_t us; /* when that was found */
    bool all;    /* these are all rows that a client may hold */
};

/* The content of a window. A reader's while the window is busy, else the loop's. */
struct window_content {
    bool known; /* it was read: rows and position are valid */
    bool more;  /* the view has rows behind these */
    bool gap;   /* it was filled again: the changes of the meantime are not known one by one */
    int64_t version;
    int64_t position;       /* the newest change at that time */
    int64_t first_position; /* the first refresh's: before it nothing was in this window */
    struct seq cursor;
    struct window_rows rows;
    struct buffer next; /* the sort key of the first row behind these; empty: not known */
    struct window_removals removals;
    struct window_previous previous;
};

/* How a part of finding matches ended. */
enum window_filled {
    WINDOW_FILLED,    /* all rows were read */
    WINDOW_FILL_MORE, /* it goes on */
    WINDOW_FILL_ENDS  /* the view has more rows than may be read */
};

#endif
