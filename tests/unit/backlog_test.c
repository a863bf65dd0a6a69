/* The backlog and the frame log: what is kept, what is dropped, and what a cursor sees of it. */
#include "backlog/backlog.h"
#include "memory_fault.h"
#include "random.h"
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

static const struct span no_name = {NULL, 0};

static bool add(struct frame_log *frame_log, int64_t id, const char *frame)
{
    struct frame_counts counts = {1, (uint32_t)strlen(frame)};
    return frame_log_add(frame_log, id, span_of(frame), counts);
}

/* Add `count` changes with every `step`-th shown, each "<id>;". */
static void fill(struct frame_log *frame_log, int64_t first, int64_t count, int64_t step)
{
    for (int64_t id = first; id < first + count; id++) {
        char frame[32];
        snprintf(frame, sizeof frame, "%lld;", (long long)id);
        if (id % step == 0)
            assert_true(add(frame_log, id, frame));
    }
    frame_log_pass(frame_log, first + count - 1);
}

/* Take everything; check that it is exactly the shown ids behind `from`, in order, and what it
 * counts. */
static void expect(const struct frame_log *frame_log, struct frame_log_cursor *cursor, int64_t from,
                   int64_t to, int64_t step)
{
    int64_t next = from + 1;
    struct frame_run run;
    while ((run = frame_log_take(frame_log, cursor, no_name)).bytes.length) {
        const char *at = run.bytes.data, *end = run.bytes.data + run.bytes.length;
        assert_int_equal(run.counts.payload, run.bytes.length);
        for (; at < end; run.counts.messages--) {
            char *rest;
            while (next % step)
                next++;
            assert_int_equal(strtoll(at, &rest, 10), next++);
            assert_int_equal(*rest, ';');
            at = rest + 1;
        }
        assert_int_equal(run.counts.messages, 0);
    }
    assert_false(run.behind);
    while (next <= to && next % step)
        next++;
    assert_int_equal(next, to + 1);
    assert_int_equal(cursor->id, to);
}

static void expect_behind(const struct frame_log *frame_log, struct frame_log_cursor *cursor)
{
    struct frame_run run = frame_log_take(frame_log, cursor, no_name);
    assert_true(run.behind);
    assert_int_equal(run.bytes.length, 0);
}

TEST(frame_log_gives_what_follows)
{
    struct frame_log frame_log;
    struct frame_log_cursor cursor;
    frame_log_init(&frame_log, 100, 0);
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
    frame_log_init(&frame_log, 0, 0);
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

/* ---- shown and taken in part ---- */

enum { PIECES = 3, SHOWN = 20000 };

/* Append to `text` what a socket gets that takes some of what is shown, and the rest of the frame
 * in which that ends. False: nothing is shown. */
static bool take_some(const struct frame_log *frame_log, struct frame_log_cursor *cursor,
                      struct buffer *text, size_t *messages)
{
    struct span pieces[PIECES];
    size_t count = frame_log_show(frame_log, cursor, no_name, pieces, PIECES);
    size_t length = 0, taken, before = text->length;
    for (size_t i = 0; i < count; i++)
        length += pieces[i].length;
    if (!count)
        return false;
    taken = random_below(3) ? (size_t)random_below(length + 1) : length;
    for (size_t i = 0, left = taken; i < count; i++) {
        size_t part = left < pieces[i].length ? left : pieces[i].length;
        buffer_add(text, pieces[i].data, part);
        left -= part;
    }
    struct frame_run run = frame_log_took(frame_log, cursor, taken, taken < length);
    assert_int_equal(run.bytes.length > 0, taken < length);
    buffer_add_span(text, run.bytes);
    assert_int_equal(text->data[text->length - 1], ';');
    assert_int_equal(run.counts.payload, text->length - before);
    *messages += run.counts.messages;
    return true;
}

TEST(frame_log_shows_blocks_that_are_taken_in_part)
{
    struct frame_log frame_log;
    struct frame_log_cursor cursor;
    struct buffer text;
    const char *at;
    buffer_init(&text, 1 << 24);
    random_start_anew();
    frame_log_init(&frame_log, 0, 0);
    for (int round = 0; round < 50; round++) {
        int64_t shown = frame_log.head + (int64_t)random_below(SHOWN), from = frame_log.head;
        size_t messages = 0, count = 0;
        assert_true(frame_log_seek(&frame_log, from, &cursor));
        assert_false(take_some(&frame_log, &cursor, &text, &messages));
        fill(&frame_log, from + 1, shown - from, 1);
        buffer_clear(&text);
        while (take_some(&frame_log, &cursor, &text, &messages))
            assert_true(cursor.id > from && cursor.id <= frame_log.head);
        buffer_add_char(&text, '\0');
        for (at = text.data; *at; at++, count++)
            assert_int_equal(strtoll(at, (char **)&at, 10), from + 1 + (int64_t)count);
        assert_int_equal(count, shown - from);
        assert_int_equal(messages, count);
        assert_int_equal(cursor.id, frame_log.head);
    }
    frame_log_clear(&frame_log);
    assert_true(frame_log_seek(&frame_log, frame_log.head, &cursor));
    buffer_fini(&text);
    frame_log_fini(&frame_log);
}

/* Neither frames that stand alone nor what was dropped. */
TEST(frame_log_shows_no_more_than_lies_ready)
{
    struct frame_log frame_log;
    struct frame_log_cursor cursor, behind;
    struct span pieces[PIECES];
    frame_log_init(&frame_log, 0, 0);
    assert_true(frame_log_seek(&frame_log, 0, &cursor));
    behind = cursor;
    assert_true(add(&frame_log, 1, "small;"));
    assert_true(frame_log_add_alone(&frame_log, 2, span_of("alone;")));
    assert_true(add(&frame_log, 3, "after;"));
    assert_int_equal(frame_log_show(&frame_log, &cursor, no_name, pieces, PIECES), 1);
    assert_int_equal(pieces[0].length, 6);
    assert_int_equal(frame_log_took(&frame_log, &cursor, 6, false).counts.messages, 1);
    assert_int_equal(cursor.id, 1);
    assert_int_equal(frame_log_show(&frame_log, &cursor, no_name, pieces, PIECES), 0);
    assert_non_null(frame_log_take(&frame_log, &cursor, no_name).whole);
    assert_int_equal(frame_log_show(&frame_log, &cursor, no_name, pieces, PIECES), 1);
    while (frame_log_drop_oldest(&frame_log))
        ;
    assert_int_equal(frame_log_show(&frame_log, &behind, no_name, pieces, PIECES), 0);
    frame_log_fini(&frame_log);
}

TEST(frame_log_tells_who_is_behind)
{
    struct frame_log frame_log;
    struct frame_log_cursor slow, level, later;
    frame_log_init(&frame_log, 0, 0);
    assert_true(frame_log_seek(&frame_log, 0, &slow));
    fill(&frame_log, 1, 20000, 1);
    assert_true(frame_log_seek(&frame_log, 20000, &level));
    while (frame_log_drop_oldest(&frame_log))
        ;
    expect_behind(&frame_log, &slow);
    fill(&frame_log, 20001, 20000, 1);
    while (frame_log_drop_oldest(&frame_log))
        ;
    /* Behind too, unless what was dropped had been taken wholly. */
    expect_behind(&frame_log, &level);
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
    struct frame_run run;
    size_t size = FRAME_LOG_BLOCK * 3;
    char *large = malloc(size);
    memset(large, 'x', size);
    frame_log_init(&frame_log, 0, 0);
    assert_true(frame_log_seek(&frame_log, 0, &cursor));
    assert_true(add(&frame_log, 1, "small;"));
    assert_true(frame_log_add_alone(&frame_log, 2, span_make(large, size)));
    assert_true(add(&frame_log, 3, "after;"));
    run = frame_log_take(&frame_log, &cursor, no_name);
    assert_int_equal(run.bytes.length, 6);
    assert_null(run.whole);
    assert_int_equal(cursor.id, 1);
    run = frame_log_take(&frame_log, &cursor, no_name);
    assert_int_equal(run.bytes.length, size);
    assert_non_null(run.whole);
    struct text *kept = text_ref(run.whole);
    while (frame_log_drop_oldest(&frame_log))
        ;
    assert_memory_equal(kept->data, large, size);
    text_unref(kept);
    assert_int_equal(frame_log_take(&frame_log, &cursor, no_name).bytes.length, 6);
    assert_int_equal(cursor.id, 3);
    frame_log_fini(&frame_log);
    free(large);
}

/* ---- names ---- */

enum { NAME = 6, TAKERS = 5, LONGEST = 300, STEPS = 4000 };

/* A frame of a header, whose length goes by the id as that of a real one does, the room, and the
 * id with some bytes more. */
static size_t header_of(int64_t id)
{
    return id % 3 ? 4 : 2;
}

static size_t make_frame(char *frame, int64_t id, struct span name)
{
    size_t header = header_of(id), length = (size_t)(id * 37 % LONGEST);
    memset(frame, '#', header);
    memcpy(frame + header, name.data, name.length);
    memset(frame + header + name.length, (char)('0' + id % 10), length);
    return header + name.length + length;
}

static void add_named(struct frame_log *frame_log, int64_t id)
{
    char frame[LONGEST * 2];
    struct span blank = span_of("......");
    size_t length = make_frame(frame, id, blank);
    if (id % 50 == 0) {
        assert_true(frame_log_add_alone(frame_log, id, span_make(frame, length)));
        return;
    }
    struct frame_counts counts = {1, (uint32_t)(length - header_of(id))};
    assert_true(frame_log_add(frame_log, id, span_make(frame, length), counts));
}

/* Everything behind the cursor is what was added, in the name of the taker. */
static void take_named(const struct frame_log *frame_log, struct frame_log_cursor *cursor,
                       struct span name)
{
    char frame[LONGEST * 2];
    int64_t id = cursor->id;
    struct frame_run run;
    while ((run = frame_log_take(frame_log, cursor, name)).bytes.length) {
        for (size_t at = 0; at < run.bytes.length; run.counts.messages--) {
            size_t length = make_frame(frame, ++id, run.whole ? span_of("......") : name);
            assert_true(length <= run.bytes.length - at);
            assert_memory_equal(run.bytes.data + at, frame, length);
            at += length;
            run.counts.payload -= run.whole ? 0 : (uint32_t)(length - header_of(id));
            run.counts.messages += run.whole != NULL;
        }
        assert_int_equal(run.counts.messages, 0);
        assert_int_equal(run.counts.payload, 0);
    }
    assert_false(run.behind);
    assert_int_equal(id, frame_log->head);
}

/* One piece, of which the socket takes nothing: the first frame is left to be sent. */
static void take_one_named(const struct frame_log *frame_log, struct frame_log_cursor *cursor,
                           struct span name)
{
    char frame[LONGEST * 2];
    struct span piece;
    int64_t id = cursor->id + 1;
    if (!frame_log_show(frame_log, cursor, name, &piece, 1))
        return;
    struct frame_run run = frame_log_took(frame_log, cursor, 0, true);
    assert_int_equal(run.bytes.length, make_frame(frame, id, name));
    assert_memory_equal(run.bytes.data, frame, run.bytes.length);
    assert_int_equal(run.counts.messages, 1);
    assert_int_equal(run.counts.payload, run.bytes.length - header_of(id));
    assert_int_equal(cursor->id, id);
}

/* Takers of equal and of different names, each at its own pace. */
TEST(frame_log_writes_the_name_of_who_takes)
{
    static const char *const names[TAKERS] = {"first;", "first;", "second", "third;", "first;"};
    struct frame_log_cursor cursors[TAKERS];
    struct frame_log frame_log;
    int64_t id = 0;
    random_start_anew();
    frame_log_init(&frame_log, 0, NAME);
    for (int i = 0; i < TAKERS; i++)
        assert_true(frame_log_seek(&frame_log, 0, &cursors[i]));
    for (int step = 0; step < STEPS; step++) {
        for (int64_t more = random_below(4); more; more--)
            add_named(&frame_log, ++id);
        int taker = (int)random_below(TAKERS);
        if (random_below(10) == 0)
            assert_true(frame_log_seek(&frame_log, id - id % 100, &cursors[taker]));
        for (int64_t some = random_below(3); some; some--)
            take_one_named(&frame_log, &cursors[taker], span_of(names[taker]));
        take_named(&frame_log, &cursors[taker], span_of(names[taker]));
    }
    frame_log_fini(&frame_log);
}
