/*
 * The invariants of the bus fire. Each is reached by a fault planted in what the header shows, but
 * for the count of a slab, which is the first thing in it.
 */
#include "bus/bus.h"
#include "test.h"

#include "invariant_fixture.h"

static struct change *make(int64_t id)
{
    struct change_slab *slab = NULL;
    struct change_texts texts = {.key = span_of("key")};
    struct change *change = change_new(&slab, &texts);
    change_slab_release(slab);
    change->id = id;
    return change;
}

enum { GAP, HELD_TWICE, WRONG_AT_TAIL, WRONG_IN_RING, TOO_FEW_BYTES };

static void break_ring(int fault)
{
    struct ring ring;
    ring_init(&ring, 10, 1000 * 1000);
    ring_add(&ring, make(11));
    ring_add(&ring, make(12));
    switch (fault) {
    case GAP:
        ring_add(&ring, make(14));
        break;
    case HELD_TWICE:
        ring_add(&ring, make(12));
        break;
    case WRONG_AT_TAIL:
        ring_get(&ring, 11)->id = 9;
        ring_fini(&ring);
        break;
    case WRONG_IN_RING: {
        struct change *change = ring_get(&ring, 12);
        change->id = 7;
        ring_get(&ring, 12);
        break;
    }
    case TOO_FEW_BYTES:
        ring.bytes = 1;
        ring_fini(&ring);
        break;
    }
}

static void give_back_twice(int fault)
{
    struct change *change = make(1);
    (void)fault;
    *(_Atomic uint32_t *)(void *)change->slab = 0;
    change_unref(change);
}

enum { BACK, SAME, MARK_BACK, PASS_BACK, BLOCK_BEFORE, BYTES, OFFSET };

static void break_channel(int fault)
{
    struct channel channel;
    struct channel_cursor cursor;
    struct text *whole;
    bool behind;
    channel_init(&channel, 10);
    channel_seek(&channel, 10, &cursor);
    channel_add(&channel, 15, span_of("frame"));
    switch (fault) {
    case BACK:
        channel_add(&channel, 14, span_of("frame"));
        break;
    case SAME:
        channel_add(&channel, 15, span_of("frame"));
        break;
    case MARK_BACK:
        channel.head = 12;
        channel_add(&channel, 13, span_of("frame"));
        break;
    case PASS_BACK:
        channel_pass(&channel, 14);
        break;
    case BLOCK_BEFORE:
        channel.start = 11;
        channel_clear(&channel);
        break;
    case BYTES:
        channel.bytes = 1;
        channel_clear(&channel);
        break;
    case OFFSET:
        cursor.offset = 1000;
        channel_take(&channel, &cursor, &behind, &whole);
        break;
    }
}

static const struct broken_case cases[] = {
    {break_ring, GAP, "change->id == ring->last + 1"},
    {break_ring, HELD_TWICE, "change->id == ring->last + 1"},
    {break_ring, WRONG_AT_TAIL, "(*slot)->id == ring->first"},
    {break_ring, WRONG_IN_RING, "change->id == id"},
    {break_ring, TOO_FEW_BYTES, "ring->bytes >= bytes"},
    {give_back_twice, 0, "references > 0"},
    {break_channel, BACK, "id > channel->head"},
    {break_channel, SAME, "id > channel->head"},
    {break_channel, MARK_BACK, "!block->mark_count || block->marks[block->mark_count - 1].id < id"},
    {break_channel, PASS_BACK, "id >= channel->head"},
    {break_channel, BLOCK_BEFORE, "block->start >= channel->start"},
    {break_channel, BYTES, "channel->bytes >= block_memory(block)"},
    {break_channel, OFFSET, "!block || cursor->offset <= block->used"},
};

TEST(all_fire)
{
    assert_all_broken(cases, sizeof cases / sizeof *cases);
}
