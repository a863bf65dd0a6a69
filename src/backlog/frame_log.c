/*
 * A frame log: ready bytes of one view in blocks of FRAME_LOG_BLOCK (or a block of another size for
 * a change whose frames stand alone).
 *
 *   first = 7: [ids 90..104]   8: [ids 105..131]   9: [ids 132..140]   next = 10
 *
 * Invariants: a block's number is its place, so finding one is no search; within a block the marks
 * name, for every change in it, where its frames end and what they count, with growing ids; a block
 * has one mark at least; a block is only ever appended to, and only the last one. A cursor holds a
 * block's number and its mark's, never a pointer, so that dropping blocks needs no look at the
 * cursors.
 *
 * In a frame log with room each change is one frame, and behind the frame's header is room for a
 * name. Whoever takes frames has its name written there first. So all takers, each with a name of
 * that length, share one copy of what is long. A block knows which of its frames have which name,
 * so those of equal names write it once.
 */
#include "backlog/backlog.h"

#include "base/invariant.h"

struct mark {
    int64_t id;
    uint32_t end;               /* offset behind the change's last frame */
    uint16_t messages, payload; /* of the block up to there */
};
_Static_assert(FRAME_LOG_BLOCK <= UINT16_MAX, "what a block counts must fit its marks");

struct block {
    uint32_t used, capacity, room; /* room: the frame log's, behind the capacity */
    uint32_t mark_count, mark_capacity;
    int64_t start; /* the newest change before this block's first */
    struct mark *marks;
    struct text *whole; /* instead of data: the frames of one change that stand alone */
    uint32_t named_from,
        named_to; /* marks whose frames have the name that stands behind the data */
    char data[];
};

enum { FRAME_LOG_FIRST_CAPACITY = 16 };

static size_t block_memory(const struct block *block)
{
    return sizeof *block + block->capacity + block->room +
           block->mark_capacity * sizeof *block->marks;
}

static char *block_name(struct block *block)
{
    return block->data + block->capacity;
}

static const char *block_data(const struct block *block)
{
    return block->whole ? block->whole->data : block->data;
}

/* The last of the block's first marks; of none: zeroes. */
static struct mark block_mark_before(const struct block *block, uint32_t count)
{
    return count ? block->marks[count - 1] : (struct mark){0};
}

static void block_free(struct block *block)
{
    text_unref(block->whole);
    memory_free(block->marks);
    memory_free(block);
}

/* The block with that number, or NULL when it is not held. */
static struct block *frame_log_block(const struct frame_log *frame_log, uint64_t number)
{
    if (number < frame_log->first || number >= frame_log->next)
        return NULL;
    return frame_log->blocks[number & (frame_log->capacity - 1)];
}

void frame_log_init(struct frame_log *frame_log, int64_t head, size_t room)
{
    *frame_log =
        (struct frame_log){.start = head, .head = head, .first = 1, .next = 1, .room = room};
}

static void frame_log_drop_first(struct frame_log *frame_log)
{
    struct block *block = frame_log_block(frame_log, frame_log->first);
    INVARIANT(block->start >= frame_log->start);
    INVARIANT(frame_log->bytes >= block_memory(block));
    frame_log->bytes -= block_memory(block);
    frame_log->start = block->mark_count ? block->marks[block->mark_count - 1].id : block->start;
    frame_log->first++;
    block_free(block);
}

void frame_log_clear(struct frame_log *frame_log)
{
    while (frame_log->first < frame_log->next)
        frame_log_drop_first(frame_log);
    frame_log->start = frame_log->head;
}

void frame_log_fini(struct frame_log *frame_log)
{
    frame_log_clear(frame_log);
    memory_free(frame_log->blocks);
    frame_log->blocks = NULL;
    frame_log->capacity = 0;
}

bool frame_log_drop_oldest(struct frame_log *frame_log)
{
    if (frame_log->next - frame_log->first < 2)
        return false;
    frame_log_drop_first(frame_log);
    return true;
}

static bool frame_log_grow(struct frame_log *frame_log)
{
    size_t capacity = frame_log->capacity ? frame_log->capacity * 2 : FRAME_LOG_FIRST_CAPACITY;
    struct block **blocks = memory_new(capacity * sizeof *blocks);
    if (!blocks)
        return false;
    for (uint64_t number = frame_log->first; number < frame_log->next; number++)
        blocks[number & (capacity - 1)] = frame_log_block(frame_log, number);
    memory_free(frame_log->blocks);
    frame_log->blocks = blocks;
    frame_log->capacity = capacity;
    return true;
}

/* An empty block, or with `whole` a full one that holds just that. */
static struct block *frame_log_new_block(struct frame_log *frame_log, struct text *whole)
{
    if (frame_log->next - frame_log->first == frame_log->capacity && !frame_log_grow(frame_log))
        return NULL;
    size_t room = whole ? 0 : frame_log->room;
    struct block *block = memory_alloc(sizeof *block + (whole ? 0 : FRAME_LOG_BLOCK + room));
    if (!block)
        return NULL;
    *block = (struct block){.capacity = whole ? whole->length : FRAME_LOG_BLOCK,
                            .room = (uint32_t)room,
                            .used = whole ? whole->length : 0,
                            .start = frame_log->head,
                            .whole = whole};
    frame_log->blocks[frame_log->next & (frame_log->capacity - 1)] = block;
    frame_log->next++;
    frame_log->bytes += block_memory(block);
    return block;
}

/* The frames end where the block does for now. */
static bool block_mark(struct frame_log *frame_log, struct block *block, int64_t id,
                       struct frame_counts counts)
{
    if (block->mark_count == block->mark_capacity) {
        uint32_t capacity = block->mark_capacity ? block->mark_capacity * 2 : 64;
        struct mark *marks = memory_resize(block->marks, capacity * sizeof *marks);
        if (!marks)
            return false;
        frame_log->bytes += (capacity - block->mark_capacity) * sizeof *marks;
        block->marks = marks;
        block->mark_capacity = capacity;
    }
    struct mark before = block_mark_before(block, block->mark_count);
    INVARIANT(!block->mark_count || before.id < id);
    block->marks[block->mark_count++] =
        (struct mark){id, block->used, (uint16_t)(before.messages + counts.messages),
                      (uint16_t)(before.payload + counts.payload)};
    return true;
}

static bool frame_log_added(struct frame_log *frame_log, struct block *block, int64_t id,
                            struct frame_counts counts)
{
    bool added = block && block_mark(frame_log, block, id, counts);
    frame_log->head = id;
    if (!added)
        frame_log_clear(frame_log);
    return added;
}

bool frame_log_add_alone(struct frame_log *frame_log, int64_t id, struct span frames)
{
    INVARIANT(id > frame_log->head);
    struct text *whole = text_new(frames.data, frames.length);
    struct block *block = whole ? frame_log_new_block(frame_log, whole) : NULL;
    if (!block)
        text_unref(whole);
    return frame_log_added(frame_log, block, id, (struct frame_counts){0, 0});
}

bool frame_log_add(struct frame_log *frame_log, int64_t id, struct span frames,
                   struct frame_counts counts)
{
    INVARIANT(id > frame_log->head);
    INVARIANT(frames.length <= FRAME_LOG_BLOCK && counts.payload <= frames.length);
    INVARIANT(!frame_log->room || (counts.messages == 1 && counts.payload >= frame_log->room));
    struct block *block = frame_log_block(frame_log, frame_log->next - 1);
    if (!block || frames.length > block->capacity - block->used)
        block = frame_log_new_block(frame_log, NULL);
    if (block) {
        memcpy(block->data + block->used, frames.data, frames.length);
        block->used += (uint32_t)frames.length;
    }
    return frame_log_added(frame_log, block, id, counts);
}

void frame_log_pass(struct frame_log *frame_log, int64_t id)
{
    INVARIANT(id >= frame_log->head);
    frame_log->head = id;
}

/* How many marks are of changes with an id up to `id` that end within the first bytes, by binary
 * search. */
static uint32_t block_marks(const struct block *block, int64_t id, size_t end)
{
    uint32_t low = 0, high = block->mark_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block->marks[middle].id <= id && block->marks[middle].end <= end)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool frame_log_seek(const struct frame_log *frame_log, int64_t id, struct frame_log_cursor *cursor)
{
    if (id < frame_log->start)
        return false;
    uint64_t low = frame_log->first, high = frame_log->next;
    while (high - low > 1) { /* the last block that starts at or before the id */
        uint64_t middle = low + (high - low) / 2;
        if (frame_log_block(frame_log, middle)->start <= id)
            low = middle;
        else
            high = middle;
    }
    const struct block *block = frame_log_block(frame_log, low);
    *cursor = (struct frame_log_cursor){
        .id = id, .block = low, .mark = block ? block_marks(block, id, SIZE_MAX) : 0};
    return true;
}

/*
 * The block that holds the bytes next to the cursor, which must not be behind; the cursor is moved
 * to it. NULL when there are none. A block that is gone was taken wholly, or the cursor would be
 * behind.
 */
static struct block *frame_log_next(const struct frame_log *frame_log,
                                    struct frame_log_cursor *cursor)
{
    if (cursor->block < frame_log->first) {
        cursor->block = frame_log->first;
        cursor->mark = 0;
    }
    struct block *block = frame_log_block(frame_log, cursor->block);
    if (block && cursor->mark == block->mark_count && cursor->block + 1 < frame_log->next) {
        block = frame_log_block(frame_log, ++cursor->block);
        cursor->mark = 0;
    }
    INVARIANT(!block || cursor->mark <= block->mark_count);
    return block && cursor->mark < block->mark_count ? block : NULL;
}

/* The header's length is what is no payload of a frame. */
static void block_write_name(struct block *block, uint32_t from, uint32_t to, struct span name)
{
    struct mark before = block_mark_before(block, from);
    for (uint32_t i = from; i < to; i++) {
        struct mark mark = block->marks[i];
        uint32_t header = mark.end - before.end - (uint16_t)(mark.payload - before.payload);
        memcpy(block->data + before.end + header, name.data, name.length);
        before = mark;
    }
}

/* All frames behind the first marks get the name, as far as they have another. */
static void block_take_name(struct block *block, uint32_t first, struct span name)
{
    if (block->named_from == block->named_to ||
        memcmp(block_name(block), name.data, name.length) != 0) {
        memcpy(block_name(block), name.data, name.length);
        block->named_from = block->named_to = first;
    }
    block_write_name(block, first, block->named_from, name);
    block_write_name(block, block->named_to, block->mark_count, name);
    if (first < block->named_from)
        block->named_from = first;
    block->named_to = block->mark_count;
}

struct frame_run frame_log_take(const struct frame_log *frame_log, struct frame_log_cursor *cursor,
                                struct span name)
{
    struct frame_run run = {.behind = cursor->id < frame_log->start};
    INVARIANT(name.length == frame_log->room);
    if (run.behind || cursor->id >= frame_log->head)
        return run;
    struct block *block = frame_log_next(frame_log, cursor);
    if (!block) {
        cursor->id = frame_log->head; /* what came since was passed, not shown */
        return run;
    }
    struct mark before = block_mark_before(block, cursor->mark);
    const struct mark *last = &block->marks[block->mark_count - 1];
    if (name.length && !block->whole)
        block_take_name(block, cursor->mark, name);
    run.bytes = span_make(block_data(block) + before.end, block->used - before.end);
    run.counts = (struct frame_counts){(uint32_t)(last->messages - before.messages),
                                       (uint32_t)(last->payload - before.payload)};
    run.whole = block->whole;
    cursor->id = cursor->block + 1 == frame_log->next ? frame_log->head : last->id;
    cursor->mark = block->mark_count;
    return run;
}

/* ---- several blocks at once ---- */

size_t frame_log_show(const struct frame_log *frame_log, const struct frame_log_cursor *cursor,
                      struct span name, struct span *pieces, size_t most)
{
    struct frame_log_cursor at = *cursor;
    struct block *block;
    size_t count = 0;
    INVARIANT(name.length == frame_log->room);
    if (cursor->id < frame_log->start || cursor->id >= frame_log->head)
        return 0;
    while (count < most && (block = frame_log_next(frame_log, &at)) && !block->whole) {
        size_t from = block_mark_before(block, at.mark).end;
        if (name.length)
            block_take_name(block, at.mark, name);
        pieces[count++] = span_make(block->data + from, block->used - from);
        at.mark = block->mark_count;
    }
    return count;
}

struct frame_run frame_log_took(const struct frame_log *frame_log, struct frame_log_cursor *cursor,
                                size_t length, bool cut)
{
    struct frame_run run = {.behind = false};
    const struct block *block;
    while ((length || cut) && (block = frame_log_next(frame_log, cursor))) {
        struct mark before = block_mark_before(block, cursor->mark);
        size_t end = before.end + length;
        bool ends = end < block->used;
        uint32_t count = ends ? block_marks(block, INT64_MAX, end) + 1 : block->mark_count;
        struct mark last = block_mark_before(block, count);
        INVARIANT(cut || !ends);
        run.counts.messages += (uint16_t)(last.messages - before.messages);
        run.counts.payload += (uint16_t)(last.payload - before.payload);
        if (ends)
            run.bytes = span_make(block->data + end, last.end - end);
        length = ends ? 0 : length - (block->used - before.end);
        cut = cut && !ends;
        cursor->mark = count;
        cursor->id = count == block->mark_count && cursor->block + 1 == frame_log->next
                         ? frame_log->head
                         : last.id;
    }
    INVARIANT(!length && !cut);
    return run;
}
