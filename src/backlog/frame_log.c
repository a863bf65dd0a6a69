/*
 * A frame log: ready bytes of one view in blocks of FRAME_LOG_BLOCK (one larger block for a change
 * whose frames alone are larger).
 *
 *   first = 7: [ids 90..104]   8: [ids 105..131]   9: [ids 132..140]   next = 10
 *
 * Invariants: a block's number is its place, so finding one is no search; within a block the marks
 * name, for every change in it, where its frames end, with growing ids; a block is only ever
 * appended to, and only the last one. A cursor holds a block's number, never a pointer, so that
 * dropping blocks needs no look at the cursors.
 */
#include "backlog/backlog.h"

#include "base/invariant.h"

struct mark {
    int64_t id;
    uint32_t end; /* offset behind the change's last frame */
};

struct block {
    uint32_t used, capacity;
    uint32_t mark_count, mark_capacity;
    int64_t start; /* the newest change before this block's first */
    struct mark *marks;
    struct text *whole; /* instead of data: the frames of one large change */
    char data[];
};

enum { FRAME_LOG_FIRST_CAPACITY = 16 };

static size_t block_memory(const struct block *block)
{
    return sizeof *block + block->capacity + block->mark_capacity * sizeof *block->marks;
}

static const char *block_data(const struct block *block)
{
    return block->whole ? block->whole->data : block->data;
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

void frame_log_init(struct frame_log *frame_log, int64_t head)
{
    *frame_log = (struct frame_log){.start = head, .head = head, .first = 1, .next = 1};
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
    struct block *block = memory_alloc(sizeof *block + (whole ? 0 : FRAME_LOG_BLOCK));
    if (!block)
        return NULL;
    *block = (struct block){.capacity = whole ? whole->length : FRAME_LOG_BLOCK,
                            .used = whole ? whole->length : 0,
                            .start = frame_log->head,
                            .whole = whole};
    frame_log->blocks[frame_log->next & (frame_log->capacity - 1)] = block;
    frame_log->next++;
    frame_log->bytes += block_memory(block);
    return block;
}

static bool block_mark(struct frame_log *frame_log, struct block *block, int64_t id)
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
    INVARIANT(!block->mark_count || block->marks[block->mark_count - 1].id < id);
    block->marks[block->mark_count++] = (struct mark){id, block->used};
    return true;
}

static struct block *frame_log_add_large(struct frame_log *frame_log, struct span frames)
{
    struct text *whole = text_new(frames.data, frames.length);
    struct block *block = whole ? frame_log_new_block(frame_log, whole) : NULL;
    if (!block)
        text_unref(whole);
    return block;
}

static struct block *frame_log_add_small(struct frame_log *frame_log, struct span frames)
{
    struct block *block = frame_log_block(frame_log, frame_log->next - 1);
    if (!block || frames.length > block->capacity - block->used)
        block = frame_log_new_block(frame_log, NULL);
    if (!block)
        return NULL;
    memcpy(block->data + block->used, frames.data, frames.length);
    block->used += (uint32_t)frames.length;
    return block;
}

bool frame_log_add(struct frame_log *frame_log, int64_t id, struct span frames)
{
    INVARIANT(id > frame_log->head);
    struct block *block = frames.length > FRAME_LOG_BLOCK ? frame_log_add_large(frame_log, frames)
                                                          : frame_log_add_small(frame_log, frames);
    bool added = block && block_mark(frame_log, block, id);
    frame_log->head = id;
    if (!added)
        frame_log_clear(frame_log);
    return added;
}

void frame_log_pass(struct frame_log *frame_log, int64_t id)
{
    INVARIANT(id >= frame_log->head);
    frame_log->head = id;
}

/* The offset behind the last change with an id up to `id`, by binary search. */
static uint32_t block_offset(const struct block *block, int64_t id)
{
    uint32_t low = 0, high = block->mark_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block->marks[middle].id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? block->marks[low - 1].end : 0;
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
        .id = id, .block = low, .offset = block ? block_offset(block, id) : 0};
    return true;
}

/*
 * The block that holds the bytes next to the cursor, which must not be behind; the cursor is moved
 * to it. NULL when there are none. A block that is gone was taken wholly, or the cursor would be
 * behind.
 */
static const struct block *frame_log_next(const struct frame_log *frame_log,
                                          struct frame_log_cursor *cursor)
{
    if (cursor->block < frame_log->first) {
        cursor->block = frame_log->first;
        cursor->offset = 0;
    }
    const struct block *block = frame_log_block(frame_log, cursor->block);
    if (block && cursor->offset == block->used && cursor->block + 1 < frame_log->next) {
        block = frame_log_block(frame_log, ++cursor->block);
        cursor->offset = 0;
    }
    INVARIANT(!block || cursor->offset <= block->used);
    return block && cursor->offset < block->used ? block : NULL;
}

struct span frame_log_take(const struct frame_log *frame_log, struct frame_log_cursor *cursor,
                           bool *behind, struct text **whole)
{
    *whole = NULL;
    *behind = cursor->id < frame_log->start;
    if (*behind || cursor->id >= frame_log->head)
        return span_make(NULL, 0);
    const struct block *block = frame_log_next(frame_log, cursor);
    if (!block) {
        cursor->id = frame_log->head; /* what came since was passed, not shown */
        return span_make(NULL, 0);
    }
    struct span bytes = span_make(block_data(block) + cursor->offset, block->used - cursor->offset);
    bool newest = cursor->block + 1 == frame_log->next;
    cursor->offset = block->used;
    cursor->id = newest ? frame_log->head : block->marks[block->mark_count - 1].id;
    *whole = block->whole;
    return bytes;
}
