/* The log: scanning it, finding seqs in it, trimming it. */
#include "store/store_internal.h"
#include "store_fixture.h"

TEST_EACH(set_up, tear_down)

static const int64_t everything = INT64_MAX;

static void append(const char *key, int64_t slot, int64_t index)
{
    struct seq seq = {slot, index};
    OK(try_append(fixture.quake, key, ROW_PATCH, seq, 1000 * (last_change() + 1), "{}"));
}

/* A change of each of the entities a, b, … at these slots. */
static void append_each(const int64_t *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char key[] = {(char)('a' + i), 0};
        append(key, slots[i], 1);
    }
}
#define APPEND_EACH(...)                                                                           \
    append_each((const int64_t[]){__VA_ARGS__},                                                    \
                sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static bool add_change(void *argument, const struct store_change *change,
                       const struct store_entity *entity)
{
    return add_line(argument, "%lld%.*s%s%.*s ", (long long)change->id, (int)change->key.length,
                    change->key.data, entity ? "=" : "", entity ? (int)entity->data.length : 0,
                    entity ? entity->data.data : "");
}

static void expect_changes(uint32_t export_id, const char *key, int64_t from, int64_t to,
                           int64_t limit, bool with_entities, const char *expected)
{
    struct lines lines = {.left = 99};
    OK(store_scan_changes(fixture.reader, export_id, span_of(key), from, to, limit, with_entities,
                          add_change, &lines, &fixture.error));
    assert_string_equal(lines.text, expected);
}

static void fill(uint32_t *other)
{
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("Other"), other, &fixture.error));
    put(fixture.quake, "a", 1, 1, "1");
    put(*other, "a", 1, 1, "2");
    put(fixture.quake, "b", 1, 2, "3");
    put(fixture.quake, "a", 1, 3, "4");
    take_away(fixture.quake, "b", 1, 4);
    commit();
}

TEST(every_variant_of_a_scan)
{
    uint32_t other = 0;
    fill(&other);
    expect_changes(0, NULL, 0, everything, -1, false, "1a 2a 3b 4a 5b ");
    expect_changes(0, NULL, 1, 4, -1, false, "2a 3b 4a ");
    expect_changes(0, NULL, 1, 4, 2, false, "2a 3b ");
    expect_changes(0, NULL, 1, 4, 0, false, "");
    expect_changes(fixture.quake, NULL, 0, everything, -1, false, "1a 3b 4a 5b ");
    expect_changes(0, "a", 0, everything, -1, false, "1a 2a 4a ");
    expect_changes(fixture.quake, "a", 0, everything, -1, false, "1a 4a ");
    expect_changes(0, NULL, 0, everything, -1, true, "1a=4 2a=2 3b 4a=4 5b ");
    expect_changes(other, NULL, 0, everything, -1, true, "2a=2 ");
    expect_changes(0, "b", 0, everything, -1, true, "3b 5b ");
    expect_changes(fixture.quake, "a", 1, everything, -1, true, "4a=4 ");
    struct lines one = {.left = 1};
    OK(store_scan_changes(fixture.reader, 0, SPAN("a"), 0, everything, -1, true, add_change, &one,
                          &fixture.error));
    assert_string_equal(one.text, "1a=4 ");
    check_whole();
}

static bool keep_change(void *argument, const struct store_change *change,
                        const struct store_entity *entity)
{
    (void)entity;
    return add_line(argument, "%d %lld %lld:%lld %s %s ", change->operation, (long long)change->at,
                    (long long)change->seq.slot, (long long)change->seq.index,
                    change->patch.data ? change->patch.data : "-",
                    change->append.data ? change->append.data : "-");
}

TEST(a_change_keeps_all_that_it_was_given)
{
    struct lines lines = {.left = 9};
    struct store_change change = {.id = 1,
                                  .export_id = fixture.quake,
                                  .operation = ROW_UPSERT,
                                  .seq = {-3, 4},
                                  .at = 5,
                                  .key = SPAN("k"),
                                  .patch = SPAN("{\"x\":[1]}"),
                                  .append = SPAN("{\"x\":7}")};
    begin();
    OK(store_change_append(fixture.writer, &change, &fixture.error));
    append("gone", -3, 5);
    commit();
    OK(store_scan_changes(fixture.reader, 0, span_make(NULL, 0), 0, 1, -1, false, keep_change,
                          &lines, &fixture.error));
    assert_string_equal(lines.text, "2 5 -3:4 {\"x\":[1]} {\"x\":7} ");
    assert_int_equal(store_writer_state(fixture.writer).log->head.slot, -3);
}

static void expect_place(int64_t slot, int64_t index, int64_t first, int64_t last, bool torn)
{
    struct store_seq_range place;
    struct seq seq = {slot, index};
    OK(store_find_seq(fixture.reader, fixture.quake, seq, &place, &fixture.error));
    assert_int_equal(place.first, first);
    assert_int_equal(place.last, last);
    assert_int_equal(place.torn, torn);
}

/* In one step, and in steps that end everywhere, also among changes that share a seq. */
static void expect_after(int64_t slot, int64_t index, int64_t expected)
{
    for (int64_t limit = 1; limit < 10; limit++) {
        struct store_seq_walk walk = {.seq = {slot, index}, .export_id = UINT32_MAX};
        for (int i = 0; !walk.done; i++) {
            assert_true(i < 10);
            OK(store_walk_seqs(fixture.reader, fixture.quake, &walk, limit, &fixture.error));
        }
        assert_int_equal(walk.first, expected);
    }
}

TEST(a_seq_is_found_among_one_exports_changes)
{
    uint32_t other = 0;
    fill(&other);
    begin();
    append("z", 1, 2); /* late */
    commit();
    expect_place(1, 1, 1, 1, false);
    expect_place(1, 2, 3, 6, false);
    expect_place(7, 7, 0, 0, false);
    expect_after(0, 999, 1);
    expect_after(1, 1, 3);
    expect_after(1, 2, 4);
    expect_after(1, 4, 0);
}

static void trim(struct store_retention retention, int64_t now, int64_t step, bool expect_more)
{
    bool more = false;
    begin();
    OK(store_trim(fixture.writer, &retention, now, step, INT64_MAX, &more, &fixture.error));
    assert_int_equal(more, expect_more);
    commit();
    check_whole();
}

static void expect_floor(int64_t change, int64_t slot, int64_t index)
{
    struct store_log_state log;
    OK(store_read_log(fixture.reader, &log, &fixture.error));
    assert_int_equal(log.floor_change, change);
    assert_int_equal(log.floor_seq.slot, slot);
    assert_int_equal(log.floor_seq.index, index);
}

TEST(trimming_by_rows_goes_in_steps)
{
    begin();
    for (int i = 1; i <= 10; i++) {
        append("k", 1, i);
    }
    commit();
    trim((struct store_retention){.rows = 10}, 0, 3, false);
    expect_floor(0, 0, 0);
    trim((struct store_retention){.rows = 5}, 0, 3, true);
    expect_floor(3, 1, 3);
    trim((struct store_retention){.rows = 5}, 0, 3, false);
    expect_floor(5, 1, 5);
    trim((struct store_retention){0}, 0, 3, false);
    expect_changes(0, NULL, 0, everything, -1, false, "6k 7k 8k 9k 10k ");
    assert_int_equal(store_writer_state(fixture.writer).log->rows, 5);
    /* To the last row, and on from there: ids are never used again. */
    trim((struct store_retention){.bytes = 1}, 0, 100, false);
    expect_floor(10, 1, 10);
    assert_int_equal(store_writer_state(fixture.writer).log->bytes, 0);
    close_store();
    open_store();
    begin();
    append("k", 2, 1);
    commit();
    expect_changes(0, NULL, 0, everything, -1, false, "11k ");
    check_whole();
}

TEST(trimming_by_age_and_bytes)
{
    begin();
    for (int i = 1; i <= 6; i++) {
        append("k", 1, i); /* at 1000, 2000, … 67 bytes each */
    }
    commit();
    trim((struct store_retention){.age_ms = 1000}, 4000, 100, false);
    expect_floor(2, 1, 2);
    trim((struct store_retention){.bytes = 2 * 67}, 4000, 100, false);
    expect_floor(4, 1, 4);
    assert_int_equal(store_writer_state(fixture.writer).log->bytes, 2 * 67);
}

enum { DAY = 24 * 3600 * 1000, HOUR = 3600 * 1000 };

static void append_at(int64_t slot, int64_t at)
{
    OK(try_append(fixture.quake, "k", ROW_PATCH, (struct seq){slot, 1}, at, "{}"));
}

/* A clock that was wrong stamped them, and a later one tells how old they are at least. */
TEST(changes_that_are_ahead_go_by_the_next)
{
    const struct store_retention retention = {.age_ms = HOUR};
    begin();
    append_at(1, 1000);
    append_at(2, 2 * (int64_t)DAY);
    append_at(3, 3 * (int64_t)DAY);
    commit();
    /* Nothing came behind them yet. */
    trim(retention, HOUR + 2000, 100, false);
    expect_floor(1, 1, 1);
    begin();
    append_at(4, 5000);
    append_at(5, 2 * (int64_t)DAY);
    append_at(6, HOUR);
    commit();
    trim(retention, HOUR + 4000, 100, false);
    expect_floor(1, 1, 1);
    trim(retention, HOUR + 6000, 2, true);
    expect_floor(3, 3, 1);
    trim(retention, HOUR + 6000, 100, false);
    expect_floor(4, 4, 1);
    trim(retention, 2 * HOUR + 1000, 100, false);
    expect_floor(6, 6, 1);
}

TEST(tombstones_that_are_ahead_go_by_the_next)
{
    const struct store_retention retention = {.tombstone_age_ms = 1000};
    static const int64_t at[] = {DAY, DAY, 1000};
    begin();
    for (int i = 1; i <= 3; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        OK(try_append(fixture.quake, key, ROW_DELETE, (struct seq){i, 1}, at[i - 1], NULL));
        OK(store_tombstone_put(fixture.writer, fixture.quake, span_of(key), span_make(NULL, 0), i,
                               (struct seq){i, 1}, at[i - 1], &fixture.error));
    }
    commit();
    trim(retention, 1500, 100, false);
    assert_int_equal(store_writer_state(fixture.writer).log->tombstone_floor, 0);
    trim(retention, 2500, 2, true);
    assert_int_equal(store_writer_state(fixture.writer).log->tombstone_floor, 2);
    trim(retention, 2500, 2, false);
    assert_int_equal(store_writer_state(fixture.writer).log->tombstone_floor, 3);
}

/* Keys k<first> to k<last>, deleted by the changes of these numbers. */
static void delete_at(int first, int last, int64_t at)
{
    begin();
    for (int i = first; i <= last; i++) {
        char key[8];
        struct seq seq = {i, 1};
        snprintf(key, sizeof key, "k%d", i);
        OK(try_append(fixture.quake, key, ROW_DELETE, seq, at, NULL));
        OK(store_tombstone_put(fixture.writer, fixture.quake, span_of(key), span_make(NULL, 0), i,
                               seq, at, &fixture.error));
    }
    commit();
}

static int count_step(void *steps)
{
    ++*(int64_t *)steps;
    return 0;
}

/* The steps that SQLite's machine takes for one trimming. */
static int64_t steps_to_trim(const struct store_retention *retention, int64_t now, bool more)
{
    int64_t steps = 0;
    sqlite3 *database = fixture.writer->connection.sqlite;
    sqlite3_progress_handler(database, 1, count_step, &steps);
    trim(*retention, now, 10, more);
    sqlite3_progress_handler(database, 0, NULL, NULL);
    return steps;
}

enum { MANY = 2000 };

/* After a start with a clock that is not believed yet, all that is new is later than now. */
TEST(rows_that_are_ahead_are_looked_at_once)
{
    const struct store_retention both[] = {{.age_ms = HOUR}, {.tombstone_age_ms = HOUR}};
    delete_at(1, MANY, 2 * (int64_t)DAY);
    for (size_t i = 0; i < 2; i++) {
        assert_true(steps_to_trim(&both[i], DAY, false) > MANY);
        assert_true(steps_to_trim(&both[i], DAY + 1000, false) < MANY / 4);
    }
    delete_at(MANY + 1, MANY + 1, 2 * (int64_t)DAY);
    for (size_t i = 0; i < 2; i++) {
        assert_true(steps_to_trim(&both[i], DAY + 2000, false) < MANY / 4);
    }
    /* One that is not ahead tells of all of them; the search for it is not repeated for each. */
    delete_at(MANY + 2, MANY + 2, 1000);
    for (size_t i = 0; i < 2; i++) {
        assert_true(steps_to_trim(&both[i], DAY + 3000, true) < MANY / 2);
        assert_true(steps_to_trim(&both[i], DAY + 4000, true) < MANY / 2);
    }
    expect_floor(20, 20, 1);
    assert_int_equal(store_writer_state(fixture.writer).log->tombstone_floor, 20);
}

TEST(a_clock_that_is_moved_looks_again)
{
    const struct store_retention retention = {.age_ms = HOUR, .tombstone_age_ms = HOUR};
    delete_at(1, 1, 9 * (int64_t)DAY);
    delete_at(2, 2, 2 * (int64_t)DAY);
    trim(retention, DAY, 100, false);
    assert_int_equal(store_writer_state(fixture.writer).log->tombstone_floor, 0);
    /* Now the second is not ahead any more, and due. */
    trim(retention, 3 * (int64_t)DAY, 100, false);
    expect_floor(2, 2, 1);
    assert_int_equal(store_writer_state(fixture.writer).log->tombstone_floor, 2);
    /* What tells is ahead itself when the clock goes back. */
    delete_at(3, 3, 9 * (int64_t)DAY);
    delete_at(4, 4, 4 * (int64_t)DAY);
    trim(retention, 4 * (int64_t)DAY, 100, false);
    delete_at(5, 5, DAY);
    trim(retention, 2 * (int64_t)DAY, 100, false);
    expect_floor(5, 5, 1);
    assert_int_equal(store_writer_state(fixture.writer).log->tombstone_floor, 5);
}

TEST(a_seq_that_is_cut_in_two_is_torn)
{
    begin();
    APPEND_EACH(1, 2, 2, 2, 3);
    commit();
    trim((struct store_retention){.rows = 4}, 0, 100, false);
    expect_place(2, 1, 2, 4, false);
    trim((struct store_retention){.rows = 3}, 0, 100, false);
    expect_place(2, 1, 3, 4, true);
    trim((struct store_retention){.rows = 2}, 0, 100, false);
    expect_place(2, 1, 4, 4, true);
    expect_place(3, 1, 5, 5, false);
    trim((struct store_retention){.rows = 1}, 0, 100, false);
    expect_place(2, 1, 0, 0, false);
    expect_place(3, 1, 5, 5, false);
}

/* What stays may be lower than what goes; each seq of the step is then looked at. */
TEST(seqs_out_of_order_are_torn)
{
    begin();
    APPEND_EACH(5, 9, 3, 9, 5, 2);
    commit();
    trim((struct store_retention){.rows = 4}, 0, 100, false);
    expect_place(5, 1, 5, 5, true);
    expect_place(9, 1, 4, 4, true);
    expect_place(2, 1, 6, 6, false);
    expect_place(3, 1, 3, 3, false);
}

TEST(only_the_same_export_tears)
{
    uint32_t other = 0;
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("Other"), &other, &fixture.error));
    OK(try_append(other, "o", ROW_PATCH, (struct seq){1, 1}, 0, "{}"));
    append("a", 1, 1);
    commit();
    trim((struct store_retention){.rows = 1}, 0, 100, false);
    expect_place(1, 1, 2, 2, false);
}

TEST(a_late_seq_that_was_trimmed_is_torn_from_birth)
{
    uint32_t other = 0;
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("Other"), &other, &fixture.error));
    append("a", 5, 1);
    OK(try_append(other, "o", ROW_PATCH, (struct seq){9, 1}, 0, "{}"));
    append("a", 8, 1);
    commit();
    trim((struct store_retention){.rows = 1}, 0, 100, false);
    expect_floor(2, 9, 1); /* the greatest seq of all exports */
    begin();
    append("b", 5, 1); /* again: what was trimmed had the same seq */
    append("b", 6, 1); /* above the floor of this export, though below that of the other */
    commit();
    expect_place(5, 1, 4, 4, true);
    expect_place(6, 1, 5, 5, false);
    check_whole();
}

TEST(the_floor_is_the_greatest_trimmed_seq)
{
    begin();
    APPEND_EACH(9, 2, 10);
    commit();
    trim((struct store_retention){.rows = 1}, 0, 100, false);
    expect_floor(2, 9, 1);
}

TEST(tombstones_are_trimmed_with_their_floor)
{
    struct store_log_state log;
    begin();
    for (int i = 0; i < 5; i++) {
        char key[2] = {(char)('a' + i), 0};
        put(fixture.quake, key, 1, 2 * i, "{}");
        take_away(fixture.quake, key, 1, 2 * i + 1); /* at 2000, 4000, … */
    }
    commit();
    trim((struct store_retention){.tombstone_age_ms = 1000}, 5500, 1, true);
    trim((struct store_retention){.tombstone_age_ms = 1000}, 5500, 1, false);
    OK(store_read_log(fixture.reader, &log, &fixture.error));
    assert_int_equal(log.tombstone_floor, 4);
    trim((struct store_retention){.tombstone_rows = 1}, 0, 100, false);
    OK(store_read_log(fixture.reader, &log, &fixture.error));
    assert_int_equal(log.tombstone_floor, 8);
    assert_int_equal(log.floor_change, 0);
}

TEST(a_rolled_back_trim_leaves_the_floor)
{
    bool more = false;
    begin();
    append("a", 1, 1);
    append("a", 1, 2);
    commit();
    begin();
    OK(store_trim(fixture.writer, &(struct store_retention){.rows = 1}, 0, 9, INT64_MAX, &more,
                  &fixture.error));
    assert_int_equal(store_writer_state(fixture.writer).log->rows, 1);
    store_rollback(fixture.writer);
    assert_int_equal(store_writer_state(fixture.writer).log->rows, 2);
    expect_floor(0, 0, 0);
    check_whole();
}
