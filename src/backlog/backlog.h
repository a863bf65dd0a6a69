/*
 * backlog: the newest changes in memory. A change is immutable and counted; the backlog holds the
 * last ones by id; a frame log holds what one view's subscribers get, as ready bytes in blocks.
 * Nobody queues anything per subscriber: a subscriber is a cursor into a frame log or into the
 * backlog, and one that falls off the tail is served from the database until it has caught up.
 *
 * Changes are made on the writer thread; backlog, frame logs and cursors belong to the loop thread.
 * backlog knows bytes and integers only; what the bytes mean is its users' business.
 */
#ifndef BACKLOG_BACKLOG_H
#define BACKLOG_BACKLOG_H

#include "base/base.h"
#include "base/row_operation.h"

/* ---- the change record ---- */

/*
 * Changes lie in slabs: memory for many, freed when the last of them is given back. The writer
 * makes changes and the loop drops them, and with a heap block each the two threads would meet at
 * the allocator's lock for every one.
 */
struct change_slab;

struct change {
    struct change_slab *slab;
    enum row_operation operation;
    uint32_t export_id;
    uint32_t key_length, patch_length, append_length, entity_length;
    uint16_t scope_length, scope_left_length;
    int64_t id;          /* position in the log */
    int64_t slot, index; /* its seq */
    /* The entity just before: id of the change that made it so (0: there was none), its seq, its
     * row number. By these a subscriber's knowledge of a key is decided without remembering keys.
     */
    int64_t previous_change;
    int64_t previous_slot, previous_index;
    uint64_t received_us; /* monotonic, when its request came in; for the latency metrics */
    char bytes[];         /* key, patch as subscribers get it, append paths, entity, scopes */
};

/* The bytes of a change. Absent: none. */
struct change_texts {
    struct span key, patch, append, entity;
    struct span scope, scope_left; /* where the export's rows are scoped; as in the log */
};

/* A new change with one reference, in *slab or, when that is full, a new one that takes its place;
 * *slab starts as NULL and ends with change_slab_release. The texts are copied. NULL when out of
 * memory. The caller fills in the numbers before sharing it. Not two threads with one slab. */
struct change *change_new(struct change_slab **slab, const struct change_texts *texts);
/* Give the reference back. Any thread. NULL is allowed. */
void change_unref(struct change *change);
/* No more changes will be made in it. NULL is allowed. */
void change_slab_release(struct change_slab *slab);

static inline struct span change_key(const struct change *change)
{
    return span_make(change->bytes, change->key_length);
}

/* Canonical JSON object with "_seq"; empty for deletes. */
static inline struct span change_patch(const struct change *change)
{
    return span_make(change->bytes + change->key_length, change->patch_length);
}

/* Canonical JSON array of the append paths that a client must append at; absent when none. */
static inline struct span change_append(const struct change *change)
{
    size_t at = (size_t)change->key_length + change->patch_length;
    return change->append_length ? span_make(change->bytes + at, change->append_length)
                                 : span_make(NULL, 0);
}

/* The whole entity just after a ROW_PATCH, if it is not large; else absent. */
static inline struct span change_entity(const struct change *change)
{
    size_t at = (size_t)change->key_length + change->patch_length + change->append_length;
    return change->entity_length ? span_make(change->bytes + at, change->entity_length)
                                 : span_make(NULL, 0);
}

/* Whom the row is for, where rows are scoped, else absent: after the change, or of a delete before
 * it; and before a change that moved it to another scope. */
static inline struct span change_scope(const struct change *change)
{
    size_t at = (size_t)change->key_length + change->patch_length + change->append_length +
                change->entity_length;
    return change->scope_length ? span_make(change->bytes + at, change->scope_length)
                                : span_make(NULL, 0);
}

static inline struct span change_scope_left(const struct change *change)
{
    size_t at = (size_t)change->key_length + change->patch_length + change->append_length +
                change->entity_length + change->scope_length;
    return change->scope_left_length ? span_make(change->bytes + at, change->scope_left_length)
                                     : span_make(NULL, 0);
}

/* Bytes that it takes in its slab. */
size_t change_memory(const struct change *change);

/* ---- the backlog ---- */

/* The newest changes, ids without a gap from first to last. */
struct change_backlog {
    struct change **slots; /* by id, modulo capacity */
    size_t capacity;       /* a power of two, or 0 */
    int64_t first, last;   /* ids held; first == last + 1 when empty */
    size_t bytes, max_bytes;
};

/* Empty; the next change to come has id `last` + 1. */
void backlog_init(struct change_backlog *backlog, int64_t last, size_t max_bytes);
void backlog_fini(struct change_backlog *backlog);
/* Append, taking over the caller's reference; its id must be last + 1. Drops the oldest beyond
 * max_bytes, but always keeps the newest. When memory runs out the backlog becomes empty behind
 * this change (subscribers then catch up from the database), so it never fails. */
void backlog_add(struct change_backlog *backlog, struct change *change);
/* The change with that id, borrowed, or NULL when it is not held. */
struct change *backlog_get(const struct change_backlog *backlog, int64_t id);

/* ---- frame logs ---- */

struct block;

/* Ready bytes in commit order, one or more frames per change. */
struct frame_log {
    struct block **blocks; /* by number, modulo capacity */
    size_t capacity;       /* a power of two, or 0 */
    uint64_t first, next;  /* numbers held: first … next - 1 */
    int64_t start;         /* every change with a greater id that this frame log shows is in it */
    int64_t head;          /* the newest change that was offered to it, shown or not */
    size_t bytes;          /* held in blocks */
    size_t room;           /* bytes for a name in each frame; 0: none */
};

/* A place in a frame log: everything up to change `id` was taken. */
struct frame_log_cursor {
    uint64_t block; /* number */
    uint32_t mark;  /* changes of that block that were taken */
    int64_t id;
};

enum { FRAME_LOG_BLOCK = 32 * 1024 };

/* What the user of the frame log counts of frames: noted with them, so that nobody walks them. */
struct frame_counts {
    uint32_t messages;
    uint32_t payload; /* bytes of the frames without their headers */
};

/* What was taken at once. */
struct frame_run {
    struct span bytes;
    struct text *whole;         /* the text that holds them, when they stand alone; else NULL */
    struct frame_counts counts; /* of the bytes, unless they stand alone */
    bool behind;                /* what the cursor stood at is gone */
};

/* Empty, as of change `head`: changes from head + 1 on will be offered. With `room`, each frame has
 * that many bytes behind its header for the name of who takes it. */
void frame_log_init(struct frame_log *frame_log, int64_t head, size_t room);
void frame_log_fini(struct frame_log *frame_log);
/* The frames of change `id`, ready bytes that end at a frame boundary, at most FRAME_LOG_BLOCK.
 * With room it is one frame, which has the room. false when out of memory; then the frame log is
 * emptied, and its cursors fall behind. */
bool frame_log_add(struct frame_log *frame_log, int64_t id, struct span frames,
                   struct frame_counts counts);
/* The same of any length: they will be taken by themselves. They have no room. */
bool frame_log_add_alone(struct frame_log *frame_log, int64_t id, struct span frames);
/* The change was offered and this frame log shows nothing of it. */
void frame_log_pass(struct frame_log *frame_log, int64_t id);
/* Drop the oldest block; false when there is none but the newest. */
bool frame_log_drop_oldest(struct frame_log *frame_log);
/* Drop everything: cursors that are not at the head fall behind. */
void frame_log_clear(struct frame_log *frame_log);
/* Place the cursor just behind change `id`; false when the frame log does not reach back so far. */
bool frame_log_seek(const struct frame_log *frame_log, int64_t id, struct frame_log_cursor *cursor);
/*
 * The bytes from the cursor to the end of its block, at a frame boundary at both ends; the cursor
 * moves behind them. Empty when it is at the head. The bytes are borrowed until the frame log
 * changes, or the next one takes from it. `name` is as long as the frame log's room, and is written
 * into that of each frame. With a reference to a text that stands alone its frames can be sent in
 * pieces while the frame log goes on.
 */
struct frame_run frame_log_take(const struct frame_log *frame_log, struct frame_log_cursor *cursor,
                                struct span name);
/*
 * The same without moving the cursor: up to `most` pieces that follow each other, each the rest of
 * a block, none of frames that stand alone. 0: there are none here, or the cursor is behind.
 */
size_t frame_log_show(const struct frame_log *frame_log, const struct frame_log_cursor *cursor,
                      struct span name, struct span *pieces, size_t most);
/*
 * So many bytes of the pieces that were just shown were taken; the cursor moves behind them. `cut`:
 * they were not all. Then it moves behind the next frames that were not taken whole, too, and
 * run.bytes is what is left of these. The counts are of all that the cursor passes.
 */
struct frame_run frame_log_took(const struct frame_log *frame_log, struct frame_log_cursor *cursor,
                                size_t length, bool cut);

#endif
