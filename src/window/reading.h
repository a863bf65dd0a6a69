/*
 * Windows on a reader: what a refresh reads of each window, its diff to the former rows, and the
 * further requests of members.
 */
#ifndef WINDOW_READING_H
#define WINDOW_READING_H

#include "rows/resume_query.h"
#include "rows/row_frames.h"
#include "window/window_internal.h"

/* A member that needs more than the diff. */
enum window_request_kind {
    WINDOW_BEHIND,   /* it has version `from` */
    WINDOW_RESUME,   /* it has the state of change `from` */
    WINDOW_FROM_NOW, /* it wants what came in or changed behind change `from` */
    WINDOW_MOVE,     /* it begins again, and has the rows of `previous` */
    WINDOW_STATE /* it has version `from`, and states the row of its key, which others of its client
                    may show */
};
/* The holder of a request. */
enum window_request_stage {
    REQUEST_QUEUED,  /* it is in windows.requests */
    REQUEST_TAKEN,   /* a refresh has it, and frees it if the member goes */
    REQUEST_RETURNED /* the refresh is done with it */
};

/* Of the one row of a member: see state.c. */
struct window_statement {
    bool unstated, restates;  /* as in the subscription */
    bool inherits;            /* it is an heir */
    int64_t stated;           /* as in the subscription; then what is stated now */
    int64_t since;            /* rows of others in batches are not older than this change */
    int64_t state;            /* the newest change of the state that was read */
    struct text *with_cursor; /* the same as the request's text */
};

struct window_request {
    struct link in_requests;
    struct window *window;
    struct subscription *subscription; /* NULL once it is gone */
    enum window_request_kind kind;
    enum window_request_stage stage;
    int64_t from;
    struct resume_query cursor; /* RESUME: what finds `from`, if it looks that up */
    size_t snapshot_bytes;      /* of its window's last one; 0: not known */
    bool looks_up;
    bool current;   /* RESUME: it is of the present view */
    bool as_frames; /* live frames instead of a snapshot's batch; WINDOW_RESUME */
    bool with_rows; /* MOVE: the rows are wanted too */
    bool announced;
    struct link previous;              /* struct previous, */
    uint64_t shown;                    /* ... as of subscriber.shown */
    struct window_statement statement; /* STATE */
    /* the refresh's */
    struct window_request *same; /* an equal one of this refresh, which is served for both */
    /* The rows of the request, until the transaction is over: drafts that it owns, or, of a view
     * that is read once, another sink. */
    struct snapshot_drafts *drafts;
    struct row_sink *sink;
    /* found */
    struct text *text; /* NULL: the member has everything */
    int64_t rows;      /* in it, but of WINDOW_BEHIND */
    int64_t version;
    bool done, refused;
};

/* The result of one window in a refresh. */
struct window_result {
    struct window *window;
    bool skipped;  /* it, or its members' requests, wait for the next refresh: time was up */
    bool unread;   /* and nothing of it was read */
    uint64_t asof; /* hub->commits when the refresh began */
    bool snapshot_wanted, differs;
    bool refill;     /* too much changed, or it is forgotten: its matches must be found again */
    int64_t version; /* after it */
    bool keeps;      /* rows that came and left are wanted: */
    struct window_rows moves; /* marked by enum window_move */
    struct text *frames;      /* the diff */
    size_t frame_count;
    struct row_sink *sink;         /* while snapshot_wanted: takes all rows; mostly */
    struct snapshot_drafts drafts; /* ... these */
    struct text *snapshot;
    struct window_measure measure;
    struct error error; /* why it cannot go on; ERROR_NONE: fine */
};

/* A row that came in or changed, and where its entity's text is in `data`. */
struct window_fresh {
    struct window_row *row;
    size_t at, length;
};

/* The texts of its first rows: see texts.c. */
enum { WINDOW_TEXTS = 64 };
struct window_text {
    struct store_entity entity; /* its data are at `at` of the bytes */
    size_t at;
};
struct window_texts {
    struct buffer bytes;
    size_t count, next; /* where the next one that is asked for may be */
    struct window_text list[WINDOW_TEXTS];
};

/* The rows of one window as they are read. */
struct window_reading {
    struct window *window;
    struct window_result *result;
    struct store_reader *reader;
    const struct view_state *state;
    int64_t stage; /* number in the database, of a derived view; 0: not there yet */
    int64_t built; /* change at which that was built */
    int64_t max_rows, tombstone_ms;
    int64_t now; /* unix seconds */
    uint32_t max_array;
    int64_t budget; /* rows that a filter may look at; 0: as many as there are */
    int64_t looked; /* and has */
    bool exhausted; /* that was too few */
    bool outlived;  /* some clients may hold rows from before the window was made */
    bool listed;    /* some client had a list of the whole view */
    bool refused;   /* members are to begin with a snapshot: their cursors were no use */
    /* in the making */
    struct window_rows rows;
    struct window_rows left; /* of the old ones; borrowed until the reading ends */
    struct map old;          /* the window's rows until now, by key; made when it is needed */
    bool old_on;
    int64_t skipped;    /* rows that passed the filter and were skipped */
    bool more;          /* there is a row behind the window, */
    struct buffer next; /* at this sort key */
    struct window_fresh *fresh;
    size_t fresh_count, fresh_capacity;
    struct buffer data;
    struct window_texts *texts; /* NULL: none are kept */
};

static inline bool out_of_memory(struct window_reading *reading)
{
    return error_set(&reading->result->error, ERROR_MEMORY, "out of memory for a window");
}

/* A refresh of several windows: refresh.c starts it and delivers it, read.c is its work. */
struct window_refresh {
    struct read_job read;
    struct hub *hub;
    int64_t max_rows, tombstone_ms;
    int64_t now;   /* unix seconds */
    bool outlived; /* as in struct window_reading */
    struct window_result *results;
    size_t count;
    struct link requests; /* window_request.in_requests */
    uint64_t until_us;    /* its time is up */
    size_t served;        /* requests */
    struct error error;   /* the refresh itself failed */
    struct trace trace;
    struct {
        const struct view *view; /* of its one window; NULL: there are several. A reference */
        uint64_t asked_us, reading_us, read_us;
    } traced; /* if it is sampled */
};

enum { WINDOW_FEW_BYTES = 1024 };
/* Whether a snapshot, by the last one of the window, is shorter than what a client with a cursor
 * lacks. Of few bytes it does not matter. */
static inline bool window_is_too_long(const struct window_request *request, size_t bytes)
{
    return request->kind == WINDOW_RESUME && !request->as_frames &&
           link_alone(&request->previous) && bytes > WINDOW_FEW_BYTES && request->snapshot_bytes &&
           request->snapshot_bytes < bytes;
}

static inline bool window_refresh_is_late(const struct window_refresh *refresh)
{
    return clock_monotonic_us() >= refresh->until_us;
}

/* trace.c: what is told of a refresh that is sampled. */
void window_trace_asked(struct window_refresh *refresh);
void window_trace_record(const struct window_refresh *refresh);

/* read.c */
void window_refresh_run(struct read_job *read, struct store_reader *reader);
void window_reading_init(struct window_reading *reading);
/* Read the window's rows in the open transaction: the new ones, what is fresh among them, a
 * snapshot's rows when wanted. False with result->error; the window is as before until window_diff.
 */
bool window_read(struct window_reading *reading);
/* Encode the diff and take the new rows over; rows that left become removals. */
bool window_diff(struct window_reading *reading);
void window_reading_fini(struct window_reading *reading);

/* scan.c */
/* The stage that has the window's rows by label: its number in the database; 0: none. */
bool window_find_labelled(const struct window *window, struct store_reader *reader,
                          int64_t *by_label, struct error *error);
/* Give the rows of a part of the view's stage or list; with `by_label` all rows of that stage that
 * the window's labels show. A callback that returns false ends it, with an error or without. */
bool window_scan(struct window_reading *reading, int64_t by_label, const struct view_cut *part,
                 bool with_data, store_each_row each, void *argument);
/* Give rows beside those of a window that keeps no matches: of the visible ones, from number
 * `first` up to `end` in the view's order. *too_many if they are too far away. */
bool window_scan_seen(struct window_reading *reading, int64_t first, int64_t end,
                      store_each_row each, void *argument, bool *too_many);

/* previous.c */
/* Remove each row that the request's client may hold, and that neither the window nor another of
 * its subscriptions has; possibly some more than once. Of a list only with `deleted` also the
 * deleted rows: else window_encode_tombstones has them. */
bool window_each_previous(struct window_reading *reading, const struct window_request *request,
                          const struct map *rows, bool deleted, struct row_sink *sink);
/* Serve a member that begins again with rows of other subscriptions. */
bool window_encode_move(struct window_reading *reading, struct window_request *request);

/* filter.c */
/* Bring the matches up to date with what changed since. */
bool window_matches_update(struct window_reading *reading);
/* Do a part of that, for a search that is through; *near: the rest is for a refresh. */
bool window_matches_approach(struct window_reading *reading, bool *near);
/* A new match as the entity stands; *row is NULL when it does not pass. / Put it in; it is taken
 * over. `max_rows`: of the window. */
bool window_match_make(struct window *window, const struct store_entity *entity, int64_t max_rows,
                       struct window_row **row, struct error *error);
bool window_match_put(struct window *window, struct window_row *row, int64_t max_rows,
                      struct error *error);
/* Whether a match is in the stage of its view, wherever that is cut. */
bool window_match_in_stage(const struct window *window, struct store_reader *reader,
                           uint32_t export_id, int64_t stage, const struct window_row *row,
                           bool *found, struct error *error);

/* fill.c: find the next part of the matches. */
struct window_fill_limits {
    int64_t matches;   /* most that may be kept */
    int64_t rows;      /* rows that the view may have */
    uint64_t until_us; /* when it has taken long enough: monotonic; 0: never */
    int64_t now;       /* unix seconds */
};
bool window_matches_fill(struct window *window, struct store_reader *reader,
                         const struct window_fill_limits *limits, enum window_filled *filled,
                         struct error *error);
/* The same as a job; refresh.c starts it and delivers it. */
struct window_fill {
    struct read_job read;
    struct window *window;
    bool done;
    enum window_filled filled;
    struct window_measure measure;
    struct error error;
};
void window_fill_run(struct read_job *read, struct store_reader *reader);

/* search.c */
struct window_search {
    struct window *window;
    bool looked; /* a brief look was not enough */
    bool wanted; /* its matches must be found: no look would do */
    bool locked; /* it has their lock */
    int refills;
};
void window_search_init(struct window_search *search, struct window *window);
/* On the loop, before each of its jobs: share the search of others. False when out of memory. */
bool window_search_join(struct window_search *search);
/* On a reader: around all of a job that uses the window. */
void window_search_begin(struct window_search *search);
void window_search_end(struct window_search *search);
/* Within that, while it is locked: find a part of the matches. *more: another one has to go on. */
bool window_search_run(struct window_search *search, struct store_reader *reader, bool *more,
                       struct error *error);
/* Rows that a filter looks at in one transaction; 0: its matches are there. / It was too few. */
int64_t window_search_look(const struct window_search *search);
void window_search_missed(struct window_search *search);
/* Too much changed since the matches were found. False with the error: too often. */
bool window_search_anew(struct window_search *search, struct error *error);

/* bounds.c */
void window_bounds_init(struct window_bounds *bounds);
void window_bounds_fini(struct window_bounds *bounds);
/* The ends of the cut in the open transaction. */
bool window_bounds_read(struct window_bounds *bounds, struct store_reader *reader, int64_t stage,
                        const struct view_cut *cut, struct error *error);
bool window_bounds_have(const struct window_bounds *bounds, struct span sort_key);
/* Whether an entity stands in the view's stage / and within its cut. The entity's texts are the
 * reader's no more afterwards. */
bool window_stage_has(const struct window *window, struct store_reader *reader, int64_t stage,
                      const struct store_entity *entity, bool *found, struct error *error);
bool window_view_has(const struct window *window, struct store_reader *reader, int64_t stage,
                     const struct store_entity *entity, bool *found, struct error *error);
/* Whether neither this sort key nor any behind it is within. */
bool window_bounds_end(const struct window_bounds *bounds, struct span sort_key);
/* The rows that are within `is` but were not within `was`; possibly some more than once. False
 * from `each` with an error ends it. */
bool window_bounds_newcomers(const struct window_bounds *was, const struct window_bounds *is,
                             struct store_reader *reader, int64_t stage, store_each_row each,
                             void *argument, struct error *error);

/* texts.c: keep the texts of rows if the refresh has requests to the window; not a must. */
void window_texts_begin(struct window_reading *reading, const struct window_refresh *refresh);
void window_texts_end(struct window_reading *reading);
void window_texts_note(struct window_reading *reading, const struct window_row *row,
                       const struct store_entity *entity);
/* The row of that key, borrowed, if it was kept. */
bool window_texts_find(const struct window_reading *reading, struct span key,
                       struct store_entity *entity);

/* frames.c */
/* The text of an entity of the window; borrowed until the reader's next call. */
bool window_fetch(struct window_reading *reading, struct span key, struct store_entity *entity);
/* Make `reading->old`: the former rows. */
bool window_index_old(struct window_reading *reading);
/* Put into a snapshot whether the view has more rows. */
void window_say_more(const struct window *window, struct snapshot_drafts *drafts);
/* Live frames for one member: only the last carries a cursor. */
void window_frames_init(struct row_frames *frames, const struct window_reading *reading);
/* Batches of the state that is read. */
void window_drafts_init(struct snapshot_drafts *drafts, const struct window_reading *reading,
                        int64_t limit);
/* All false with result->error: */
/* Make them the request's. */
bool window_request_drafts(struct window_reading *reading, struct window_request *request,
                           int64_t limit);
/* The row of that key, fetched. */
bool window_put_row(struct window_reading *reading, struct span key, struct row_sink *sink);
bool window_encode_events(struct window_reading *reading, struct text **text, size_t *count);
/* Deletes behind the rows of a snapshot, into its drafts. */
bool window_encode_tombstones(struct window_reading *reading, struct snapshot_drafts *drafts);
/* encode.c */
/* A row left the window: its key is remembered for members that fell behind. */
bool window_note_removal(struct window *window, const struct window_row *row);
/* Serve a request from the content just read; rows to be compressed stay in its drafts. */
bool window_encode_request(struct window_reading *reading, struct window_request *request);
/* Of a refresh: find equal requests, which are served once. / Serve those to the window just read,
 * until time is up. / After the transaction: encode and compress them. */
void window_requests_pair(struct window_refresh *refresh);
bool window_requests_serve(struct window_refresh *refresh, struct window_reading *reading);
void window_requests_finish(struct window_refresh *refresh);
/* resume.c: of a member with a cursor; of one that holds nothing: what came in or changed. */
bool window_encode_resume(struct window_reading *reading, struct window_request *request);
bool window_encode_from_now(struct window_reading *reading, struct window_request *request);

/* requests.c, on the loop: for the next refresh / into this one / back from one that is over, or
 * was not started. */
void window_request_queue(struct window_request *request);
void window_requests_take(struct window_refresh *refresh);
void window_requests_deliver(struct window_refresh *refresh);
/* The refresh is over: the request was served, or goes into the next one. */
void window_request_done(struct window_request *request);
void window_request_free(struct window_request *request);

/* since.c: how far the window can have moved behind a change. All false with result->error. */
struct window_since {
    struct window_reading *reading;
    int64_t from;
    struct map rows;               /* the window's, by key */
    struct map changed;            /* struct window_row; only key and mark count */
    struct window_rows keys;       /* the same, owned */
    int64_t scanned, most_scanned; /* rows of the log; the most are scaled by what they cost */
    int64_t max_changed;           /* entities */
    bool too_many;
    bool may_refuse;       /* a snapshot is told instead, if that costs no more; */
    int64_t left;          /* ... and what its rows leave for deletes and rows */
    bool only_rows;        /* the client holds no row that could go */
    bool only_removals;    /* more than these would cost more than a snapshot */
    struct row_sink *sink; /* takes rows that go and rows that come */
};
/* So many entities may have changed before a snapshot costs no more, of a window with these rows;
 * `more`: there are rows behind them. `anywhere`: one that changed is mostly not among them. */
int64_t window_since_affords(int64_t rows, bool more, bool anywhere);
/* Find the changes, or that they are too many. To be ended in any case. */
bool window_since_find(struct window_since *since);
void window_since_fini(struct window_since *since);
/* The rows that may have gone, and those that may have come. */
bool window_since_put(struct window_since *since);
/* The log lacks something of the export that came behind this change / or of the view's former
 * content; `current`: as in struct member. */
bool window_since_is_trimmed(const struct window_reading *reading, int64_t from);
bool window_since_is_unknown(const struct window_reading *reading, int64_t from, bool current);
/* The rows that may have left the window behind the change `from`, into `lost`; *all false: they
 * are too many, or not known any more, and `lost` is empty. */
bool window_find_lost(struct window_reading *reading, int64_t from, struct window_rows *lost,
                      bool *all);
/* recall.c: at a window's first refresh, the rows that a client may hold from before:
 * window->content.previous.rows. */
bool window_recall(struct window_reading *reading);
/* Give the keys that a client may hold of another window, which had shown it nothing since the
 * server was started; *all: and other rows of its view. */
bool window_recall_other(const struct window_reading *reading, const struct window *other,
                         bool (*each)(void *argument, struct span key), void *argument, bool *all);

/* state.c */
bool window_encode_state(struct window_reading *reading, struct window_request *request);
/* Fill in what a refresh needs for it. False when out of memory. */
bool window_state_ask(struct subscription *subscription, struct window_request *request);
/* Whether a member that states its row has something to state. */
bool window_state_due(struct subscription *subscription);

#endif
