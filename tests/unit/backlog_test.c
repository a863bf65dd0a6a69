/* The backlog and the frame log: what is kept, what is dropped, and what a cursor sees of it. */
#include "backlog/backlog.h"
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

TEST(backlog_holds_the_newest)
{
    struct change_backlog backlog;
    backlog_init(&backlog, 41, 100 * 1000);
    for (int64_t id = 42; id < 5042; id++)
        backlog_add(&backlog, make(id, 100));
    assert_int_equal(backlog.last, 5041);
    assert_true(backlog.bytes <= 100 * 1000);
    assert_null(backlog_get(&backlog, backlog.first - 1));
    assert_null(backlog_get(&backlog, backlog.last + 1));
    for (int64_t id = backlog.first; id <= backlog.last; id++)
        assert_int_equal(backlog_get(&backlog, id)->id, id);
    backlog_fini(&backlog);
}

TEST(backlog_keeps_one_that_is_too_large)
{
    struct change_backlog backlog;
    backlog_init(&backlog, 0, 1000);
    backlog_add(&backlog, make(1, 10));
    backlog_add(&backlog, make(2, 5000));
    assert_int_equal(backlog.first, 2);
    assert_int_equal(backlog_get(&backlog, 2)->patch_length, 5000);
    backlog_add(&backlog, make(3, 10));
    assert_int_equal(backlog.first, 3);
    backlog_fini(&backlog);
}

TEST(backlog_survives_lack_of_memory)
{
    struct change_backlog backlog;
    backlog_init(&backlog, 0, 1000 * 1000);
    struct change *change = make(1, 10);
    memory_fail_at(1, 1);
    backlog_add(&backlog, change);
    memory_fail_at(0, 0);
    assert_int_equal(backlog.last, 1);
    assert_int_equal(backlog.first, 2);
    backlog_add(&backlog, make(2, 10));
    assert_int_equal(backlog_get(&backlog, 2)->id, 2);
    backlog_fini(&backlog);
}

/* Add `count` changes with every `step`-th shown, each "<id>;". */
static void fill(struct frame_log *frame_log, int64_t first, int64_t count, int64_t step)
{
    for (int64_t id = first; id < first + count; id++) {
        char frame[32];
        int length = snprintf(frame, sizeof frame, "%lld;", (long long)id);
        if (id % step == 0)
            assert_true(frame_log_add(frame_log, id, span_make(frame, (size_t)length)));
    }
    frame_log_pass(frame_log, first + count - 1);
}

/* Take everything; check that it is exactly the shown ids behind `from`, in order. */
static void expect(const struct frame_log *frame_log, struct frame_log_cursor *cursor, int64_t from,
                   int64_t to, int64_t step)
{
    int64_t next = from + 1;
    bool behind = false;
    struct text *whole;
    struct span bytes;
    while ((bytes = frame_log_take(frame_log, cursor, &behind, &whole)).length) {
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

TEST(frame_log_gives_what_follows)
{
    struct frame_log frame_log;
    struct frame_log_cursor cursor;
    frame_log_init(&frame_log, 100);
    assert_true(frame_log_seek(&frame_log, 100, &cursor));
    fill(&frame_log, 101, 50000, 1);
    expect(&frame_log, &cursor, 100, 50100, 1);
    fill(&frame_log, 50101, 10, 1);
    expect(&frame_log, &cursor, 50100, 50110, 1);
    for (int64_t id = 100; id <= 50110; id += 997) {
        assert_true(frame_log_seek(&frame_log, id, &cursor));
        expect(&frame_log, &cursor, id, 50110, 1);
    }
    assert_false(frame_log_seek(&frame_log, 99, &cursor));
    frame_log_fini(&frame_log);
}

TEST(frame_log_passes_what_it_does_not_show)
{
    struct frame_log frame_log;
    struct frame_log_cursor cursor, idle;
    frame_log_init(&frame_log, 0);
    assert_true(frame_log_seek(&frame_log, 0, &cursor));
    assert_true(frame_log_seek(&frame_log, 0, &idle));
    fill(&frame_log, 1, 4, 5); /* nothing shown */
    expect(&frame_log, &cursor, 0, 4, 5);
    fill(&frame_log, 5, 20000, 5);
    expect(&frame_log, &cursor, 4, 20004, 5);
    expect(&frame_log, &idle, 0, 20004, 5);
    assert_true(frame_log_seek(&frame_log, 2, &cursor)); /* before the first block begins */
    expect(&frame_log, &cursor, 2, 20004, 5);
    frame_log_fini(&frame_log);
}

TEST(frame_log_tells_who_is_behind)
{
    struct frame_log frame_log;
    struct frame_log_cursor slow, level, later;
    bool behind;
    struct text *whole;
    frame_log_init(&frame_log, 0);
    assert_true(frame_log_seek(&frame_log, 0, &slow));
    fill(&frame_log, 1, 20000, 1);
    assert_true(frame_log_seek(&frame_log, 20000, &level));
    while (frame_log_drop_oldest(&frame_log))
        ;
    assert_int_equal(frame_log_take(&frame_log, &slow, &behind, &whole).length, 0);
    assert_true(behind);
    fill(&frame_log, 20001, 20000, 1);
    while (frame_log_drop_oldest(&frame_log))
        ;
    /* Behind too, unless what was dropped had been taken wholly. */
    assert_int_equal(frame_log_take(&frame_log, &level, &behind, &whole).length, 0);
    assert_true(behind);
    assert_true(frame_log_seek(&frame_log, frame_log.start, &later));
    expect(&frame_log, &later, frame_log.start, 40000, 1);
    frame_log_clear(&frame_log);
    assert_true(frame_log_seek(&frame_log, 40000, &later));
    fill(&frame_log, 40001, 3, 1);
    expect(&frame_log, &later, 40000, 40003, 1);
    frame_log_fini(&frame_log);
}

TEST(frame_log_keeps_large_frames_apart)
{
    struct frame_log frame_log;
    struct frame_log_cursor cursor;
    bool behind;
    struct text *whole;
    size_t size = FRAME_LOG_BLOCK * 3;
    char *large = malloc(size);
    memset(large, 'x', size);
    frame_log_init(&frame_log, 0);
    assert_true(frame_log_seek(&frame_log, 0, &cursor));
    assert_true(frame_log_add(&frame_log, 1, span_of("small;")));
    assert_true(frame_log_add(&frame_log, 2, span_make(large, size)));
    assert_true(frame_log_add(&frame_log, 3, span_of("after;")));
    assert_int_equal(frame_log_take(&frame_log, &cursor, &behind, &whole).length, 6);
    assert_null(whole);
    assert_int_equal(cursor.id, 1);
    struct span bytes = frame_log_take(&frame_log, &cursor, &behind, &whole);
    assert_int_equal(bytes.length, size);
    assert_non_null(whole);
    struct text *kept = text_ref(whole);
    while (frame_log_drop_oldest(&frame_log))
        ;
    assert_memory_equal(kept->data, large, size);
    text_unref(kept);
    assert_int_equal(frame_log_take(&frame_log, &cursor, &behind, &whole).length, 6);
    assert_int_equal(cursor.id, 3);
    frame_log_fini(&frame_log);
    free(large);
}
