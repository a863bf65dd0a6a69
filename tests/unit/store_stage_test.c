/* Stages: their rows, turns and membership changes, how readers see them, and how retired ones go.
 */
#include "store/stage.h"
#include "store_fixture.h"

#define ERROR (&fixture.error)

static struct store_stage stage;

static void set_up_stage(void)
{
    set_up();
    begin();
    OK(store_stage_ensure(fixture.writer, SPAN("best"), fixture.quake, true, &stage, ERROR));
    commit();
}

TEST_EACH(set_up_stage, tear_down)

/* Entities k0 … k9 at places p0 … p9. */
static void fill(void)
{
    begin();
    for (int i = 0; i < 10; i++) {
        char key[] = {'k', (char)('0' + i), 0}, place[] = {'p', (char)('0' + i), 0};
        struct store_entity entity;
        bool found;
        put(fixture.quake, key, 1, i / 4, "{\"x\":1}");
        OK(store_read_entity(store_writer_reader(fixture.writer), fixture.quake, span_of(key),
                             &entity, &found, ERROR));
        OK(store_row_put(fixture.writer, stage.id, span_of(place), entity.id, ERROR));
    }
    OK(store_stage_note_built(fixture.writer, stage.id, stage.export_id, ERROR));
    commit();
}

struct seen {
    char keys[256];
    bool data;
    int most; /* 0: all */
};

static bool see(void *argument, const struct store_entity *entity)
{
    struct seen *seen = argument;
    size_t length = strlen(seen->keys);
    snprintf(seen->keys + length, sizeof seen->keys - length, "%.*s ", (int)entity->key.length,
             entity->key.data);
    assert_int_equal(entity->data.data != NULL, seen->data);
    assert_true(entity->change > 0 && entity->id > 0 && entity->seq.slot == 1);
    return --seen->most != 0;
}

static bool see_row(void *argument, struct span place, const struct store_entity *entity)
{
    assert_int_equal(place.length, 2);
    assert_int_equal(place.data[1], entity->key.data[1]);
    return see(argument, entity);
}

static void expect_scan(const char *after, int64_t skip, int64_t limit, bool backwards,
                        const char *keys)
{
    for (int data = 0; data < 2; data++) {
        struct seen seen = {.data = data};
        OK(store_scan_stage(fixture.reader, stage.id, span_of(after), skip, limit, backwards, data,
                            see_row, &seen, ERROR));
        assert_string_equal(seen.keys, keys);
    }
}

TEST(scans_a_stage_both_ways)
{
    fill();
    expect_scan(NULL, 0, 3, false, "k0 k1 k2 ");
    expect_scan(NULL, 8, -1, false, "k8 k9 ");
    expect_scan("p3", 0, 2, false, "k4 k5 ");
    expect_scan("p3", 2, 2, false, "k6 k7 ");
    expect_scan("p3x", 1, 2, false, "k5 k6 ");
    expect_scan("p3", 9, 2, false, "");
    expect_scan(NULL, 10, 2, false, "");
    expect_scan(NULL, 0, 2, true, "k9 k8 ");
    expect_scan(NULL, 7, -1, true, "k2 k1 k0 ");
    expect_scan("p3", 0, -1, true, "k2 k1 k0 ");
    expect_scan("p3", 1, 1, true, "k1 ");
    expect_scan("p3", 3, 1, true, "");
    struct seen seen = {.most = 2};
    OK(store_scan_stage(fixture.reader, stage.id, span_of(NULL), 0, -1, false, false, see_row,
                        &seen, ERROR));
    assert_string_equal(seen.keys, "k0 k1 ");
    int64_t entity;
    OK(store_read_row(fixture.reader, stage.id, SPAN("p7"), &entity, ERROR));
    assert_int_not_equal(entity, 0);
    OK(store_read_row(fixture.reader, stage.id, SPAN("p77"), &entity, ERROR));
    assert_int_equal(entity, 0);
}

TEST(lists_by_seq_then_key)
{
    struct seen all = {.data = true}, page = {.data = false}, keys = {.data = true};
    fill();
    OK(store_scan_list(fixture.reader, fixture.quake, 0, -1, true, see, &all, ERROR));
    assert_string_equal(all.keys, "k8 k9 k4 k5 k6 k7 k0 k1 k2 k3 ");
    OK(store_scan_list(fixture.reader, fixture.quake, 3, 4, false, see, &page, ERROR));
    assert_string_equal(page.keys, "k5 k6 k7 k0 ");
    OK(store_scan_keys(fixture.reader, fixture.quake, SPAN("k7"), 5, see, &keys, ERROR));
    OK(store_scan_keys(fixture.reader, fixture.quake, span_of(NULL), 1, see, &keys, ERROR));
    assert_string_equal(keys.keys, "k8 k9 k0 ");
}

TEST(a_stage_is_found_when_it_is_built)
{
    int64_t id, built;
    bool found;
    OK(store_read_stage(fixture.reader, SPAN("best"), &id, &built, &found, ERROR));
    assert_false(found);
    fill();
    OK(store_read_stage(fixture.reader, SPAN("best"), &id, &built, &found, ERROR));
    assert_true(found);
    assert_int_equal(id, stage.id);
    assert_int_equal(built, 10);
}

TEST(refuses_rows_that_cannot_be)
{
    fill();
    begin();
    assert_false(store_row_put(fixture.writer, stage.id, SPAN("p3"), 1, ERROR));
    store_rollback(fixture.writer);
    begin();
    assert_false(store_row_remove(fixture.writer, stage.id, SPAN("p33"), ERROR));
    assert_int_equal(fixture.error.code, ERROR_INTERNAL);
    assert_false(store_commit(fixture.writer, ERROR));
}

TEST(a_retired_stage_goes_in_steps)
{
    struct store_stage again;
    bool more = true;
    int64_t at;
    fill();
    begin();
    OK(store_recheck_put(fixture.writer, stage.id, 77, 1, ERROR));
    OK(store_recheck_at(fixture.writer, stage.id, 0, &at, ERROR));
    assert_int_equal(at, 77);
    OK(store_stage_retire_others(fixture.writer, NULL, 0, ERROR));
    OK(store_stage_ensure(fixture.writer, SPAN("best"), fixture.quake, true, &again, ERROR));
    assert_true(again.id > stage.id);
    assert_false(again.built);
    commit();
    int steps = 0;
    for (; more; steps++) {
        begin();
        OK(store_stage_sweep(fixture.writer, 4, &more, ERROR));
        commit();
    }
    assert_int_equal(steps, 3);
    expect_scan(NULL, 0, -1, false, "");
    begin();
    OK(store_recheck_at(fixture.writer, stage.id, 0, &at, ERROR));
    assert_int_equal(at, INT64_MAX);
    OK(store_stage_retire_others(fixture.writer, NULL, 0, ERROR));
    OK(store_stage_sweep(fixture.writer, 4, &more, ERROR));
    OK(store_stage_ensure(fixture.writer, SPAN("other"), fixture.quake, true, &stage, ERROR));
    commit();
    assert_true(stage.id > again.id);
}

static bool see_membership(void *argument, struct span key)
{
    char *text = argument;
    snprintf(text + strlen(text), 64 - strlen(text), "%.*s ", (int)key.length, key.data);
    return true;
}

static void expect_memberships(int64_t from, const char *keys)
{
    char seen[64] = "";
    OK(store_scan_memberships(fixture.reader, STORE_FROM_CHANGE, fixture.quake, from, -1,
                              see_membership, seen, ERROR));
    assert_string_equal(seen, keys);
}

static void expect_new_memberships(int64_t after, const char *keys)
{
    char seen[64] = "";
    OK(store_scan_memberships(fixture.reader, STORE_BEHIND_NUMBER, fixture.quake, after, -1,
                              see_membership, seen, ERROR));
    assert_string_equal(seen, keys);
}

static void membership(int64_t change, uint32_t export_id, const char *key)
{
    OK(store_membership_put(fixture.writer, change, export_id, span_of(key), ERROR));
}

static int64_t last_membership(void)
{
    struct store_log_state log;
    OK(store_read_log(fixture.reader, &log, ERROR));
    return log.last_membership;
}

TEST(membership_changes_go_with_the_log)
{
    struct store_retention retention = {.rows = 4};
    struct store_export export;
    uint32_t other;
    bool more, found;
    fill();
    begin();
    OK(store_export_ensure(fixture.writer, span_of("Other"), &other, ERROR));
    membership(3, fixture.quake, "k1");
    membership(3, fixture.quake, "k1");
    membership(3, other, "k2");
    membership(6, fixture.quake, "k1");
    commit();
    expect_memberships(0, "k1 k1 ");
    expect_memberships(4, "k1 ");
    begin();
    OK(store_trim(fixture.writer, &retention, 1, 100, INT64_MAX, &more, ERROR));
    commit();
    /* A cursor at the floor, 6, may not have seen what turned when 6 was the newest. */
    expect_memberships(0, "k1 ");
    OK(store_read_export(fixture.reader, span_of("Other"), &export, &found, ERROR) && found);
    assert_int_equal(export.membership_floor, 3);
}

static bool count_membership(void *argument, struct span key)
{
    (void)key;
    ++*(int *)argument;
    return true;
}

static int memberships(void)
{
    int count = 0;
    OK(store_scan_memberships(fixture.reader, STORE_FROM_CHANGE, fixture.quake, 0, -1,
                              count_membership, &count, ERROR));
    return count;
}

static bool trim_step(const struct store_retention *retention, int64_t step)
{
    bool more;
    begin();
    OK(store_trim(fixture.writer, retention, 1, step, INT64_MAX, &more, ERROR));
    commit();
    return more;
}

/* Time can make any number of entities turn at one change. */
TEST(many_membership_changes_of_one_change_go_in_steps)
{
    struct store_retention retention = {.rows = 4};
    fill();
    begin();
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        membership(5, fixture.quake, key);
    }
    membership(6, fixture.quake, "k1");
    commit();
    assert_true(trim_step(&retention, 3)); /* changes 1 to 3 */
    assert_int_equal(memberships(), 101);
    assert_true(trim_step(&retention, 3)); /* and 4 to 6 */
    assert_int_equal(memberships(), 101 - 48);
    assert_true(trim_step(&retention, 3));
    assert_int_equal(memberships(), 101 - 96);
    assert_false(trim_step(&retention, 3));
    expect_memberships(0, "k1 ");
}

TEST(each_membership_change_is_read_once)
{
    struct store_retention retention = {.rows = 1};
    bool more;
    fill();
    begin();
    membership(10, fixture.quake, "k1");
    membership(10, fixture.quake, "k2");
    commit();
    int64_t first = last_membership();
    expect_new_memberships(0, "k1 k2 ");
    expect_new_memberships(first, "");
    begin();
    membership(10, fixture.quake, "k1");
    commit();
    assert_true(last_membership() > first);
    /* Once more at the same change: for who has read so far it is new, and there is but one. */
    expect_new_memberships(first, "k1 ");
    expect_new_memberships(0, "k2 k1 ");
    expect_memberships(10, "k1 k2 ");
    begin();
    membership(10, fixture.quake, "k3");
    store_rollback(fixture.writer);
    expect_new_memberships(first, "k1 ");
    /* Numbers go on after all membership changes were trimmed, and after the writer was opened
     * anew. */
    int64_t last = last_membership();
    begin();
    put(fixture.quake, "k9", 2, 0, "{}");
    put(fixture.quake, "k9", 2, 1, "{}");
    OK(store_trim(fixture.writer, &retention, 1, 100, INT64_MAX, &more, ERROR));
    commit();
    expect_new_memberships(0, "");
    store_writer_close(fixture.writer);
    fixture.writer = store_writer_open(fixture.database, ERROR);
    assert_non_null(fixture.writer);
    begin();
    membership(12, fixture.quake, "k4");
    commit();
    expect_new_memberships(last, "k4 ");
}
