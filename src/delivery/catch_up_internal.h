/*
 * A page of catching up, and who does what for it:
 *   catch_up.c         on the loop: asks for pages, takes what they found, delivers
 *   catch_up_query.c   on a reader: what is read from the store, and how far it gets
 *   catch_up_encode.c  on a reader: rows and events become frames
 */
#ifndef DELIVERY_CATCH_UP_INTERNAL_H
#define DELIVERY_CATCH_UP_INTERNAL_H

#include "delivery/hub_internal.h"

/*
 * What a page holds of the changes behind the cursor:
 *   WHOLE   each entity that changed, once, at its present state, as an upsert (or a delete), in
 *           the order of the entities' last changes: so every frame's seq is a good cursor;
 *   RESUME  the same as snapshot rows; only the batch that ends it carries a cursor, so a client
 *           that is cut off before it asks again from where it was;
 *   EVENTS  (append views) every change, in order, as it was. To a client that may lack some keys
 *           (`partial`), an entity that it was not told about from its creation on comes whole in
 *           place of its first patch: as it is now, so that its later events are left out.
 */
enum catch_up_style { CATCH_UP_WHOLE, CATCH_UP_RESUME, CATCH_UP_EVENTS };

/* What is asked; a copy, so that a reader needs nothing of the loop's. The members that are also
 * in struct subscription are explained there. */
struct catch_up_request {
    const struct view *view; /* the job has a reference */
    enum wire_mode mode;
    enum catch_up_style style;
    struct row_scope *scope; /* of whom; the job has a reference; NULL: all see all */
    struct row_scope *was;   /* likewise: see struct subscription */
    struct span key;         /* absent: all; its bytes are owned by the job */
    int64_t from;
    int64_t resume_from; /* as in struct subscription */
    size_t page_bytes;
    int64_t scan_rows; /* of the log, that one page looks at */
    uint32_t max_array;
    bool resuming;
    bool partial; /* it may lack what was there at its cursor */
    int64_t resume_target, resume_limit, ambiguous_until, true_from;
    bool only_greater;
    struct seq greater, resume_seq;
};

/* ---- encode ---- */

/* What a page has told of a key. */
enum told { TOLD_NOTHING, TOLD_EVENTS, TOLD_WHOLE };

/* Frames in the making. After a failure *error says why. */
struct catch_up_frames {
    const struct catch_up_request *request;
    struct error *error;
    struct buffer out, shown, paths;
    struct wire_batch rows; /* of RESUME */
    int64_t put;            /* entities and events; not deletes of entities */
    int64_t head;           /* the newest change as the page's transaction sees it */
    int64_t true_from;      /* as in struct subscription */
    struct doc doc;
    struct map told; /* of partial EVENTS: struct told_key */
};

bool catch_up_frames_init(struct catch_up_frames *frames, const struct catch_up_request *request,
                          struct error *error);
void catch_up_frames_fini(struct catch_up_frames *frames);
bool catch_up_put_whole(struct catch_up_frames *frames, const struct store_entity *entity);
bool catch_up_put_delete(struct catch_up_frames *frames, struct span key, struct seq seq);
/* The change as it was, to who sees the row behind it; `entity` is the key's present one if that is
 * seen too, or NULL. */
bool catch_up_put_event(struct catch_up_frames *frames, const struct store_change *change,
                        const struct store_entity *entity);
/* A change that took the row away, as an event. */
bool catch_up_put_gone(struct catch_up_frames *frames, const struct store_change *change);
/* catch_up_told.c: false when out of memory. */
enum told catch_up_told(const struct catch_up_frames *frames, struct span key);
bool catch_up_note_told(struct catch_up_frames *frames, struct span key, enum told told);
void catch_up_told_init(struct catch_up_frames *frames);
void catch_up_told_fini(struct catch_up_frames *frames);
/* Bytes so far, and whether anything was put. */
size_t catch_up_frames_length(const struct catch_up_frames *frames);
/* Close the page: RESUME's rows become a batch, and what ends a resume carries the cursor. *text
 * is a reference, or NULL when the page is empty. */
bool catch_up_frames_end(struct catch_up_frames *frames, bool ended, struct seq cursor,
                         struct text **text);

/* ---- query ---- */

struct catch_up_page {
    struct catch_up_request request;
    struct store_reader *reader; /* while it is read */
    uint32_t export_id;
    struct catch_up_frames frames;
    struct error *error;
    /* found */
    bool expired;   /* the log no longer reaches back to `from` */
    bool at_head;   /* nothing is left behind `to` */
    bool ended;     /* this page ends the resume */
    bool limit_hit; /* because of its limit */
    int64_t to;     /* the cursor behind this page */
    int64_t target; /* request.resume_target, or a later one where that gave no state that was */
    int64_t resume_limit;
    struct seq resume_seq;
    struct store_seq_place group; /* of the seq `group_seq`, once one was looked up */
    struct seq group_seq;
    int64_t looks;     /* changes that it may still look at; negative: those that it is given */
    uint64_t rows;     /* in snapshot batches */
    struct text *text; /* NULL when nothing was for the view */
};

/* Read the page in one short transaction, and encode it. */
bool catch_up_query(struct catch_up_page *page, struct store_reader *reader);

static inline bool is_delete(const struct store_change *change)
{
    return change->operation == STORE_DELETE || change->operation == STORE_EVICT;
}

#endif
