/*
 * The log behind a cursor, as frames: the encoding side of catching up, and of windows with events.
 * On a reader thread.
 */
#ifndef ROWS_LOG_FRAMES_H
#define ROWS_LOG_FRAMES_H

#include "base/base.h"
#include "rows/batch.h"
#include "rows/row_frames.h"
#include "rows/row_scope.h"
#include "store/store.h"
#include "view/view.h"
#include "wire/wire.h"
#include "json/json.h"

/*
 * The content of a page, of the changes behind the cursor:
 *   WHOLE   each entity that changed, once, at its present state, as an upsert (or a delete), in
 *           the order of the entities' last changes: so every frame's seq is a good cursor;
 *   RESUME  the same as snapshot rows; only the batch that ends it carries a cursor, so a client
 *           that is cut off before it resumes from its old cursor;
 *   EVENTS  (append views) every change, in order, as it was. A client may lack some keys
 *           (`partial`). Then an entity whose events it did not get from the creation on comes
 * whole in place of its first patch: in its present state, so its later events are left out.
 */
enum catch_up_part {
    CATCH_UP_ALL,
    CATCH_UP_ROWS, /* what is there: RESUME as bodies, whose clients take rows all at once, ... */
    CATCH_UP_GONE  /* ... and then WHOLE: what is not, up to `resume_target` */
};
enum catch_up_style { CATCH_UP_WHOLE, CATCH_UP_RESUME, CATCH_UP_EVENTS };

/* The request; a copy, so that a reader needs nothing of the loop's. struct subscription
 * explains the members that it has too. */
struct catch_up_request {
    const struct view *view; /* the job has a reference */
    const struct wire_encoding *encoding;
    enum wire_mode mode;
    enum catch_up_style style;
    struct row_scope *scope; /* of the client; the job has a reference; NULL: all rows are seen */
    struct row_scope *was;   /* likewise: see struct subscription */
    struct span key;         /* absent: all; its bytes are owned by the job */
    int64_t from;
    int64_t resume_from; /* as in struct subscription */
    size_t page_bytes;
    int64_t scan_rows; /* of the log, that one page reads */
    uint32_t max_array;
    bool resuming;
    enum catch_up_part part;
    struct view_query *query; /* of EVENTS: of their patches; the job has a reference; NULL: all */
    bool as_list;             /* EVENTS are elements of a JSON list instead of frames, */
    int64_t most;             /* ... at most so many, */
    int64_t last;             /* ... up to this change */
    bool partial;             /* the client may lack rows of its cursor's state */
    bool tells_state;         /* an empty batch says where it has a state that was, */
    bool is_cut;              /* ... or that it has all of a resume that ended at its limit */
    int64_t resume_target, resume_limit, ambiguous_until, true_from;
    bool only_greater;
    struct seq greater, resume_seq;
};

/* Frames in the making. After a failure *error has the reason. */
struct catch_up_frames {
    const struct catch_up_request *request;
    struct error *error;
    struct row_frames frames;    /* of EVENTS and WHOLE, and */
    struct snapshot_drafts rows; /* ... of RESUME: rows and deletes go into one of them */
    struct buffer shown, paths;
    int64_t put;       /* entities and events; not deletes of entities */
    int64_t listed;    /* all that is in a list */
    int64_t head;      /* the newest change as the page's transaction sees it */
    int64_t true_from; /* as in struct subscription */
    struct doc doc;
};

void catch_up_frames_init(struct catch_up_frames *frames, const struct catch_up_request *request,
                          struct error *error);
void catch_up_frames_fini(struct catch_up_frames *frames);
bool catch_up_put_whole(struct catch_up_frames *frames, const struct store_entity *entity);
/* ROW_DELETE: the row is gone; ROW_REMOVE: it may be there, but out of sight. */
bool catch_up_put_leaving(struct catch_up_frames *frames, enum row_operation operation,
                          struct span key, struct seq seq);
/* The change as it was, to a client that sees the row behind it; `entity` is the key's present
 * one if that is seen too, or NULL. `leaves`: it took the row out of sight, and is an event alone.
 */
bool catch_up_put_event(struct catch_up_frames *frames, const struct store_change *change,
                        bool leaves, const struct store_entity *entity);
/* Close the page: RESUME's rows become a batch, and the last batch of a resume carries the
 * cursor. *text is a reference, or NULL if the page is empty. */
bool catch_up_frames_end(struct catch_up_frames *frames, bool ended, struct seq cursor,
                         struct text **text);

#endif
