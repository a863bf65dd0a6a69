/*
 * The invariants of the backlog fire. Each is reached by a fault planted in what the header shows,
 * but for the count of a slab, which is the first thing in it.
 */
#include "backlog/backlog.h"
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

static void break_backlog(int fault)
{
    struct change_backlog backlog;
    backlog_init(&backlog, 10, 1000 * 1000);
    backlog_add(&backlog, make(11));
    backlog_add(&backlog, make(12));
    switch (fault) {
    case GAP:
        backlog_add(&backlog, make(14));
        break;
    case HELD_TWICE:
        backlog_add(&backlog, make(12));
        break;
    case WRONG_AT_TAIL:
        backlog_get(&backlog, 11)->id = 9;
        backlog_fini(&backlog);
        break;
    case WRONG_IN_RING: {
        struct change *change = backlog_get(&backlog, 12);
        change->id = 7;
        backlog_get(&backlog, 12);
        break;
    }
    case TOO_FEW_BYTES:
        backlog.bytes = 1;
        backlog_fini(&backlog);
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

enum {
    BACK,
    SAME,
    ALONE_BACK,
    MARK_BACK,
    PASS_BACK,
    BLOCK_BEFORE,
    BYTES,
    MARKS,
    TOO_LONG,
    NO_ROOM,
    OTHER_NAME,
    TOOK_A_PART,
    TOOK_TOO_MUCH
};

static void break_frame_log(int fault)
{
    struct frame_log frame_log;
    struct frame_log_cursor cursor;
    struct span frame = span_of("frame");
    struct frame_counts one = {1, 4}, more = {1, FRAME_LOG_BLOCK};
    frame_log_init(&frame_log, 10, fault == NO_ROOM ? 5 : 0);
    frame_log_seek(&frame_log, 10, &cursor);
    frame_log_add(&frame_log, 15, frame, one);
    switch (fault) {
    case BACK:
        frame_log_add(&frame_log, 14, frame, one);
        break;
    case SAME:
        frame_log_add(&frame_log, 15, frame, one);
        break;
    case ALONE_BACK:
        frame_log_add_alone(&frame_log, 14, frame);
        break;
    case MARK_BACK:
        frame_log.head = 12;
        frame_log_add(&frame_log, 13, frame, one);
        break;
    case PASS_BACK:
        frame_log_pass(&frame_log, 14);
        break;
    case BLOCK_BEFORE:
        frame_log.start = 11;
        frame_log_clear(&frame_log);
        break;
    case BYTES:
        frame_log.bytes = 1;
        frame_log_clear(&frame_log);
        break;
    case MARKS:
        cursor.mark = 2;
        frame_log_take(&frame_log, &cursor, span_make(NULL, 0));
        break;
    case TOO_LONG:
        frame_log_add(&frame_log, 16, frame, more);
        break;
    case OTHER_NAME:
        frame_log_take(&frame_log, &cursor, frame);
        break;
    case TOOK_A_PART:
        frame_log_took(&frame_log, &cursor, frame.length - 1, false);
        break;
    case TOOK_TOO_MUCH:
        frame_log_took(&frame_log, &cursor, frame.length + 1, false);
        break;
    case NO_ROOM:
        break;
    }
}

static const struct broken_case cases[] = {
    {break_backlog, GAP, "change->id == backlog->last + 1"},
    {break_backlog, HELD_TWICE, "change->id == backlog->last + 1"},
    {break_backlog, WRONG_AT_TAIL, "(*slot)->id == backlog->first"},
    {break_backlog, WRONG_IN_RING, "change->id == id"},
    {break_backlog, TOO_FEW_BYTES, "backlog->bytes >= bytes"},
    {give_back_twice, 0, "references > 0"},
    {break_frame_log, BACK, "id > frame_log->head"},
    {break_frame_log, SAME, "id > frame_log->head"},
    {break_frame_log, ALONE_BACK, "id > frame_log->head"},
    {break_frame_log, MARK_BACK, "!block->mark_count || before.id < id"},
    {break_frame_log, PASS_BACK, "id >= frame_log->head"},
    {break_frame_log, BLOCK_BEFORE, "block->start >= frame_log->start"},
    {break_frame_log, BYTES, "frame_log->bytes >= block_memory(block)"},
    {break_frame_log, MARKS, "!block || cursor->mark <= block->mark_count"},
    {break_frame_log, TOO_LONG,
     "frames.length <= FRAME_LOG_BLOCK && counts.payload <= frames.length"},
    {break_frame_log, NO_ROOM,
     "!frame_log->room || (counts.messages == 1 && counts.payload >= frame_log->room)"},
    {break_frame_log, OTHER_NAME, "name.length == frame_log->room"},
    {break_frame_log, TOOK_A_PART, "cut || !ends"},
    {break_frame_log, TOOK_TOO_MUCH, "!length && !cut"},
};

TEST(all_fire)
{
    assert_all_broken(cases, sizeof cases / sizeof *cases, NULL, NULL);
}
