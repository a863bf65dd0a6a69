/*
 * A channel: ready bytes of one view in blocks of CHANNEL_BLOCK (one larger block for a change
 * whose frames alone are larger).
 *
 *   first = 7: [ids 90..104]   8: [ids 105..131]   9: [ids 132..140]   next = 10
 *
 * Invariants: a block's number is its place, so finding one is no search; within a block the marks
 * name, for every change in it, where its frames end, with growing ids; a block is only ever
 * appended to, and only the last one. A cursor holds a block's number, never a pointer, so that
 * dropping blocks needs no look at the cursors.
 */
#include "bus/bus.h"

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

enum { CHANNEL_FIRST_CAPACITY = 16 };

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
static struct block *channel_block(const struct channel *channel, uint64_t number)
{
    if (number < channel->first || number >= channel->next)
        return NULL;
    return channel->blocks[number & (channel->capacity - 1)];
}

void channel_init(struct channel *channel, int64_t head)
{
    *channel = (struct channel){.start = head, .head = head, .first = 1, .next = 1};
}

static void channel_drop_first(struct channel *channel)
{
    struct block *block = channel_block(channel, channel->first);
    INVARIANT(block->start >= channel->start);
    INVARIANT(channel->bytes >= block_memory(block));
    channel->bytes -= block_memory(block);
    channel->start = block->mark_count ? block->marks[block->mark_count - 1].id : block->start;
    channel->first++;
    block_free(block);
}

void channel_clear(struct channel *channel)
{
    while (channel->first < channel->next)
        channel_drop_first(channel);
    channel->start = channel->head;
}

void channel_fini(struct channel *channel)
{
    channel_clear(channel);
    memory_free(channel->blocks);
    channel->blocks = NULL;
    channel->capacity = 0;
}

bool channel_drop_oldest(struct channel *channel)
{
    if (channel->next - channel->first < 2)
        return false;
    channel_drop_first(channel);
    return true;
}

static bool channel_grow(struct channel *channel)
{
    size_t capacity = channel->capacity ? channel->capacity * 2 : CHANNEL_FIRST_CAPACITY;
    struct block **blocks = memory_new(capacity * sizeof *blocks);
    if (!blocks)
        return false;
    for (uint64_t number = channel->first; number < channel->next; number++)
        blocks[number & (capacity - 1)] = channel_block(channel, number);
    memory_free(channel->blocks);
    channel->blocks = blocks;
    channel->capacity = capacity;
    return true;
}

/* An empty block, or with `whole` a full one that holds just that. */
static struct block *channel_new_block(struct channel *channel, struct text *whole)
{
    if (channel->next - channel->first == channel->capacity && !channel_grow(channel))
        return NULL;
    struct block *block = memory_alloc(sizeof *block + (whole ? 0 : CHANNEL_BLOCK));
    if (!block)
        return NULL;
    *block = (struct block){.capacity = whole ? whole->length : CHANNEL_BLOCK,
                            .used = whole ? whole->length : 0,
                            .start = channel->head,
                            .whole = whole};
    channel->blocks[channel->next & (channel->capacity - 1)] = block;
    channel->next++;
    channel->bytes += block_memory(block);
    return block;
}

static bool block_mark(struct channel *channel, struct block *block, int64_t id)
{
    if (block->mark_count == block->mark_capacity) {
        uint32_t capacity = block->mark_capacity ? block->mark_capacity * 2 : 64;
        struct mark *marks = memory_resize(block->marks, capacity * sizeof *marks);
        if (!marks)
            return false;
        channel->bytes += (capacity - block->mark_capacity) * sizeof *marks;
        block->marks = marks;
        block->mark_capacity = capacity;
    }
    INVARIANT(!block->mark_count || block->marks[block->mark_count - 1].id < id);
    block->marks[block->mark_count++] = (struct mark){id, block->used};
    return true;
}

static struct block *channel_add_large(struct channel *channel, struct span frames)
{
    struct text *whole = text_new(frames.data, frames.length);
    struct block *block = whole ? channel_new_block(channel, whole) : NULL;
    if (!block)
        text_unref(whole);
    return block;
}

static struct block *channel_add_small(struct channel *channel, struct span frames)
{
    struct block *block = channel_block(channel, channel->next - 1);
    if (!block || frames.length > block->capacity - block->used)
        block = channel_new_block(channel, NULL);
    if (!block)
        return NULL;
    memcpy(block->data + block->used, frames.data, frames.length);
    block->used += (uint32_t)frames.length;
    return block;
}

bool channel_add(struct channel *channel, int64_t id, struct span frames)
{
    INVARIANT(id > channel->head);
    struct block *block = frames.length > CHANNEL_BLOCK ? channel_add_large(channel, frames)
                                                        : channel_add_small(channel, frames);
    bool added = block && block_mark(channel, block, id);
    channel->head = id;
    if (!added)
        channel_clear(channel);
    return added;
}

void channel_pass(struct channel *channel, int64_t id)
{
    INVARIANT(id >= channel->head);
    channel->head = id;
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

bool channel_seek(const struct channel *channel, int64_t id, struct channel_cursor *cursor)
{
    if (id < channel->start)
        return false;
    uint64_t low = channel->first, high = channel->next;
    while (high - low > 1) { /* the last block that starts at or before the id */
        uint64_t middle = low + (high - low) / 2;
        if (channel_block(channel, middle)->start <= id)
            low = middle;
        else
            high = middle;
    }
    const struct block *block = channel_block(channel, low);
    *cursor = (struct channel_cursor){
        .id = id, .block = low, .offset = block ? block_offset(block, id) : 0};
    return true;
}

/*
 * The block that holds the bytes next to the cursor, which must not be behind; the cursor is moved
 * to it. NULL when there are none. A block that is gone was taken wholly, or the cursor would be
 * behind.
 */
static const struct block *channel_next(const struct channel *channel,
                                        struct channel_cursor *cursor)
{
    if (cursor->block < channel->first) {
        cursor->block = channel->first;
        cursor->offset = 0;
    }
    const struct block *block = channel_block(channel, cursor->block);
    if (block && cursor->offset == block->used && cursor->block + 1 < channel->next) {
        block = channel_block(channel, ++cursor->block);
        cursor->offset = 0;
    }
    INVARIANT(!block || cursor->offset <= block->used);
    return block && cursor->offset < block->used ? block : NULL;
}

struct span channel_take(const struct channel *channel, struct channel_cursor *cursor, bool *behind,
                         struct text **whole)
{
    *whole = NULL;
    *behind = cursor->id < channel->start;
    if (*behind || cursor->id >= channel->head)
        return span_make(NULL, 0);
    const struct block *block = channel_next(channel, cursor);
    if (!block) {
        cursor->id = channel->head; /* what came since was passed, not shown */
        return span_make(NULL, 0);
    }
    struct span bytes = span_make(block_data(block) + cursor->offset, block->used - cursor->offset);
    bool newest = cursor->block + 1 == channel->next;
    cursor->offset = block->used;
    cursor->id = newest ? channel->head : block->marks[block->mark_count - 1].id;
    *whole = block->whole;
    return bytes;
}
