/* The ring and the channel: what is kept, what is dropped, and what a cursor sees of it. */
#include "bus/bus.h"
#include "test.h"

static struct change *make(int64_t id, size_t size)
{
    char *patch = calloc(1, size);
    struct change_slab *slab = NULL;
    struct change_texts texts = {.key = span_of("key"), .patch = span_make(patch, size)};
    struct change *change = change_new(&slab, &texts);
    change_slab_release(slab);
    free(patch);
    change->id = id;
    return change;
}

TEST(ring_holds_the_newest)
{
    struct ring ring;
    ring_init(&ring, 41, 100 * 1000);
    for (int64_t id = 42; id < 5042; id++)
        ring_add(&ring, make(id, 100));
    assert_int_equal(ring.last, 5041);
    assert_true(ring.bytes <= 100 * 1000);
    assert_null(ring_get(&ring, ring.first - 1));
    assert_null(ring_get(&ring, ring.last + 1));
    for (int64_t id = ring.first; id <= ring.last; id++)
        assert_int_equal(ring_get(&ring, id)->id, id);
    ring_fini(&ring);
}

TEST(ring_keeps_one_that_is_too_large)
{
    struct ring ring;
    ring_init(&ring, 0, 1000);
    ring_add(&ring, make(1, 10));
    ring_add(&ring, make(2, 5000));
    assert_int_equal(ring.first, 2);
    assert_int_equal(ring_get(&ring, 2)->patch_length, 5000);
    ring_add(&ring, make(3, 10));
    assert_int_equal(ring.first, 3);
    ring_fini(&ring);
}

TEST(ring_survives_lack_of_memory)
{
    struct ring ring;
    ring_init(&ring, 0, 1000 * 1000);
    struct change *change = make(1, 10);
    memory_fail_at(1, 1);
    ring_add(&ring, change);
    memory_fail_at(0, 0);
    assert_int_equal(ring.last, 1);
    assert_int_equal(ring.first, 2);
    ring_add(&ring, make(2, 10));
    assert_int_equal(ring_get(&ring, 2)->id, 2);
    ring_fini(&ring);
}

/* Add `count` changes with every `step`-th shown, each "<id>;". */
static void fill(struct channel *channel, int64_t first, int64_t count, int64_t step)
{
    for (int64_t id = first; id < first + count; id++) {
        char frame[32];
        int length = snprintf(frame, sizeof frame, "%lld;", (long long)id);
        if (id % step == 0)
            assert_true(channel_add(channel, id, span_make(frame, (size_t)length)));
    }
    channel_pass(channel, first + count - 1);
}

/* Take everything; check that it is exactly the shown ids behind `from`, in order. */
static void expect(const struct channel *channel, struct channel_cursor *cursor, int64_t from,
                   int64_t to, int64_t step)
{
    int64_t next = from + 1;
    bool behind = false;
    struct text *whole;
    struct span bytes;
    while ((bytes = channel_take(channel, cursor, &behind, &whole)).length) {
        const char *at = bytes.data, *end = bytes.data + bytes.length;
        while (at < end) {
            char *rest;
            while (next % step)
                next++;
            assert_int_equal(strtoll(at, &rest, 10), next++);
            assert_int_equal(*rest, ';');
            at = rest + 1;
        }
    }
    assert_false(behind);
    while (next <= to && next % step)
        next++;
    assert_int_equal(next, to + 1);
    assert_int_equal(cursor->id, to);
}

TEST(channel_gives_what_follows)
{
    struct channel channel;
    struct channel_cursor cursor;
    channel_init(&channel, 100);
    assert_true(channel_seek(&channel, 100, &cursor));
    fill(&channel, 101, 50000, 1);
    expect(&channel, &cursor, 100, 50100, 1);
    fill(&channel, 50101, 10, 1);
    expect(&channel, &cursor, 50100, 50110, 1);
    for (int64_t id = 100; id <= 50110; id += 997) {
        assert_true(channel_seek(&channel, id, &cursor));
        expect(&channel, &cursor, id, 50110, 1);
    }
    assert_false(channel_seek(&channel, 99, &cursor));
    channel_fini(&channel);
}

TEST(channel_passes_what_it_does_not_show)
{
    struct channel channel;
    struct channel_cursor cursor, idle;
    channel_init(&channel, 0);
    assert_true(channel_seek(&channel, 0, &cursor));
    assert_true(channel_seek(&channel, 0, &idle));
    fill(&channel, 1, 4, 5); /* nothing shown */
    expect(&channel, &cursor, 0, 4, 5);
    fill(&channel, 5, 20000, 5);
    expect(&channel, &cursor, 4, 20004, 5);
    expect(&channel, &idle, 0, 20004, 5);
    assert_true(channel_seek(&channel, 2, &cursor)); /* before the first block begins */
    expect(&channel, &cursor, 2, 20004, 5);
    channel_fini(&channel);
}

TEST(channel_tells_who_is_behind)
{
    struct channel channel;
    struct channel_cursor slow, level, later;
    bool behind;
    struct text *whole;
    channel_init(&channel, 0);
    assert_true(channel_seek(&channel, 0, &slow));
    fill(&channel, 1, 20000, 1);
    assert_true(channel_seek(&channel, 20000, &level));
    while (channel_drop_oldest(&channel))
        ;
    assert_int_equal(channel_take(&channel, &slow, &behind, &whole).length, 0);
    assert_true(behind);
    fill(&channel, 20001, 20000, 1);
    while (channel_drop_oldest(&channel))
        ;
    /* Behind too, unless what was dropped had been taken wholly. */
    assert_int_equal(channel_take(&channel, &level, &behind, &whole).length, 0);
    assert_true(behind);
    assert_true(channel_seek(&channel, channel.start, &later));
    expect(&channel, &later, channel.start, 40000, 1);
    channel_clear(&channel);
    assert_true(channel_seek(&channel, 40000, &later));
    fill(&channel, 40001, 3, 1);
    expect(&channel, &later, 40000, 40003, 1);
    channel_fini(&channel);
}

TEST(channel_keeps_large_frames_apart)
{
    struct channel channel;
    struct channel_cursor cursor;
    bool behind;
    struct text *whole;
    size_t size = CHANNEL_BLOCK * 3;
    char *large = malloc(size);
    memset(large, 'x', size);
    channel_init(&channel, 0);
    assert_true(channel_seek(&channel, 0, &cursor));
    assert_true(channel_add(&channel, 1, span_of("small;")));
    assert_true(channel_add(&channel, 2, span_make(large, size)));
    assert_true(channel_add(&channel, 3, span_of("after;")));
    assert_int_equal(channel_take(&channel, &cursor, &behind, &whole).length, 6);
    assert_null(whole);
    assert_int_equal(cursor.id, 1);
    struct span bytes = channel_take(&channel, &cursor, &behind, &whole);
    assert_int_equal(bytes.length, size);
    assert_non_null(whole);
    struct text *kept = text_ref(whole);
    while (channel_drop_oldest(&channel))
        ;
    assert_memory_equal(kept->data, large, size);
    text_unref(kept);
    assert_int_equal(channel_take(&channel, &cursor, &behind, &whole).length, 6);
    assert_int_equal(cursor.id, 3);
    channel_fini(&channel);
    free(large);
}
