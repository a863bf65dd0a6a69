/* Transactions, entities, exports, producers, tombstones and meta values. */
#include "store/producer.h"
#include "store/store_internal.h"
#include "store_fixture.h"

TEST_EACH(set_up, tear_down)

static struct store_export read_quake(void)
{
    struct store_export export;
    bool found = false;
    OK(store_read_export(fixture.reader, SPAN("Quake"), &export, &found, &fixture.error));
    assert_true(found);
    return export;
}

static void read_entity(const char *key, struct store_entity *entity, bool *found)
{
    OK(store_read_entity(fixture.reader, fixture.quake, span_of(key), entity, found,
                         &fixture.error));
}

TEST_WITH(seqs_compare_as_pairs_of_numbers, NULL, NULL)
{
    struct seq a = {1, 9}, b = {2, 1}, c = {2, 10};
    assert_true(seq_compare(a, b) < 0);
    assert_true(seq_compare(c, b) > 0);
    assert_int_equal(seq_compare(c, c), 0);
}

TEST(entity_is_inserted_updated_and_deleted)
{
    struct store_entity entity;
    bool found = false;
    begin();
    put(fixture.quake, "a", 1, 1, "{\"n\":1}");
    put(fixture.quake, "b", 1, 2, "{\"n\":2}");
    put(fixture.quake, "a", 2, 1, "{\"n\":3}");
    read_entity("a", &entity, &found);
    assert_false(found); /* not before the commit */
    commit();
    read_entity("a", &entity, &found);
    assert_true(found);
    assert_true(span_equal(entity.key, SPAN("a")));
    assert_true(span_equal(entity.data, SPAN("{\"n\":3}")));
    assert_int_equal(entity.change, 3);
    assert_int_equal(entity.seq.slot, 2);
    assert_int_equal(entity.seq.index, 1);
    begin();
    take_away(fixture.quake, "a", 3, 0);
    commit();
    read_entity("a", &entity, &found);
    assert_false(found);
    assert_int_equal(store_export_counts(fixture.writer, fixture.quake).entities, 1);
    assert_int_equal(store_export_counts(fixture.writer, 99).entities, 0);
    check_whole();
}

TEST(keys_and_data_may_hold_any_byte)
{
    struct store_entity entity = {.key = SPAN("a\0b"), .data = SPAN("{\"x\":\"\\u0000\"}")};
    bool found = false;
    entity.change = 1;
    entity.seq = (struct seq){1, 1};
    begin();
    OK(store_entity_insert(fixture.writer, fixture.quake, &entity, &fixture.error));
    assert_true(entity.id > 0);
    OK(store_read_entity(store_writer_reader(fixture.writer), fixture.quake, SPAN("a\0b"), &entity,
                         &found, &fixture.error));
    assert_true(found);
    assert_int_equal(entity.key.length, 3);
    OK(store_read_entity(store_writer_reader(fixture.writer), fixture.quake, SPAN("a"), &entity,
                         &found, &fixture.error));
    assert_false(found);
    store_rollback(fixture.writer);
}

TEST(counters_follow_and_survive_a_restart)
{
    begin();
    put(fixture.quake, "a", 5, 1, "{}");
    put(fixture.quake, "b", 5, 1, "{}");
    commit();
    struct store_export export = read_quake();
    assert_int_equal(export.entities, 2);
    assert_int_equal(export.last_change, 2);
    assert_int_equal(export.last_seq.slot, 5);
    assert_true(export.last_seq_shared);
    begin();
    put(fixture.quake, "a", 5, 2, "{}");
    commit();
    assert_false(read_quake().last_seq_shared);
    char epoch[40];
    snprintf(epoch, sizeof epoch, "%s", database_state(fixture.database).epoch);
    assert_int_equal(strlen(epoch), 36);
    close_store();
    open_store();
    assert_string_equal(database_state(fixture.database).epoch, epoch);
    assert_string_equal(database_state(fixture.database).path, fixture.path);
    const struct store_log_state *log = store_writer_state(fixture.writer).log;
    assert_true(log->any);
    assert_int_equal(log->last_change, 3);
    assert_int_equal(log->head.slot, 5);
    assert_int_equal(log->head.index, 2);
    assert_int_equal(log->rows, 3);
    assert_int_equal(log->bytes, 3 * (1 + 2 + 64));
    assert_int_equal(store_export_counts(fixture.writer, fixture.quake).entities, 2);
    check_whole();
}

TEST(a_late_seq_knows_that_it_is_shared)
{
    begin();
    put(fixture.quake, "a", 1, 1, "{}");
    put(fixture.quake, "a", 3, 1, "{}");
    put(fixture.quake, "b", 2, 1, "{}"); /* late, but alone */
    commit();
    assert_false(read_quake().last_seq_shared);
    assert_int_equal(store_writer_state(fixture.writer).log->head.slot, 3);
    begin();
    put(fixture.quake, "c", 1, 1, "{}"); /* as the first */
    commit();
    assert_true(read_quake().last_seq_shared);
    check_whole();
}

TEST(rollback_takes_everything_back)
{
    uint32_t other = 0;
    struct store_entity entity;
    bool found = false;
    begin();
    put(fixture.quake, "a", 1, 1, "{\"n\":1}");
    commit();
    begin();
    put(fixture.quake, "a", 2, 1, "{\"n\":2}");
    put(fixture.quake, "b", 2, 2, "{}");
    OK(store_export_ensure(fixture.writer, SPAN("Other"), &other, &fixture.error));
    assert_int_equal(other, 2);
    store_rollback(fixture.writer);
    assert_int_equal(last_change(), 1);
    assert_int_equal(store_writer_state(fixture.writer).log->rows, 1);
    assert_int_equal(store_writer_state(fixture.writer).log->head.slot, 1);
    assert_int_equal(store_export_counts(fixture.writer, fixture.quake).entities, 1);
    read_entity("a", &entity, &found);
    assert_true(span_equal(entity.data, SPAN("{\"n\":1}")));
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("Another"), &other, &fixture.error));
    assert_int_equal(other, 2);
    put(other, "x", 2, 1, "{}");
    commit();
    check_whole();
}

TEST(a_change_needs_a_transaction)
{
    struct seq seq = {1, 1};
    assert_false(try_put(fixture.quake, "a", seq, 0, "{}"));
    assert_int_equal(fixture.error.code, ERROR_INTERNAL);
    assert_false(store_commit(fixture.writer, &fixture.error));
    begin();
    assert_false(store_begin(fixture.writer, &fixture.error));
    put(fixture.quake, "a", 1, 1, "{}");
    commit();
}

TEST(a_failed_step_spoils_the_transaction)
{
    struct store_entity missing = {.id = 77, .key = SPAN("x"), .data = SPAN("{}"), .change = 2};
    struct store_change change = {.id = 9, .export_id = fixture.quake, .key = SPAN("x")};
    begin();
    put(fixture.quake, "a", 1, 1, "{}");
    assert_false(store_entity_update(fixture.writer, fixture.quake, &missing, &fixture.error));
    assert_false(store_commit(fixture.writer, &fixture.error));
    assert_int_equal(last_change(), 0);
    begin();
    assert_false(store_entity_delete(fixture.writer, fixture.quake, 77, &fixture.error));
    store_rollback(fixture.writer);
    begin();
    assert_false(store_change_append(fixture.writer, &change, &fixture.error));
    assert_false(store_commit(fixture.writer, &fixture.error));
    begin();
    assert_false(store_entity_insert(fixture.writer, 42, &missing, &fixture.error));
    put(fixture.quake, "a", 1, 1, "{}");
    commit();
    check_whole();
}

static bool note_id(void *argument, int64_t id, int64_t change)
{
    int64_t *found = argument;
    found[0] = id;
    found[1] = change;
    return false;
}

/* The first behind `after` is that key's; returns its change. */
static int64_t expect_oldest(int64_t after, const char *expected)
{
    struct store_entity entity;
    int64_t found[2] = {0, 0};
    bool there = false;
    OK(store_export_oldest(fixture.writer, fixture.quake, after, 5, note_id, found,
                           &fixture.error));
    assert_int_equal(found[0] != 0, expected != NULL);
    if (expected) {
        OK(store_read_entity_by_id(store_writer_reader(fixture.writer), 0, found[0], &entity,
                                   &there, &fixture.error));
        assert_true(there && span_equal(entity.key, span_of(expected)));
        assert_int_equal(entity.change, found[1]);
    }
    return found[1];
}

/* A step of the eviction order, which writes no more than that; whether it was the last. */
static bool order_step(int64_t limit)
{
    int64_t rows;
    int before = sqlite3_total_changes(fixture.writer->connection.sqlite);
    OK(store_export_order(fixture.writer, fixture.quake, limit, &rows, &fixture.error));
    assert_true(sqlite3_total_changes(fixture.writer->connection.sqlite) - before <= limit);
    return !store_export_counts(fixture.writer, fixture.quake).order_waits;
}

static void finish_order(int64_t limit)
{
    while (!order_step(limit)) {
    }
}

TEST(eviction_follows_the_last_change)
{
    begin();
    put(fixture.quake, "a", 9, 1, "{}"); /* the greatest seq, and yet the oldest change */
    put(fixture.quake, "b", 1, 1, "{}");
    expect_oldest(0, NULL);
    OK(store_export_limit(fixture.writer, fixture.quake, 10, false, &fixture.error));
    expect_oldest(expect_oldest(0, "a"), "b");
    put(fixture.quake, "a", 1, 2, "{}");
    expect_oldest(expect_oldest(0, "b"), "a");
    put(fixture.quake, "c", 1, 3, "{}");
    take_away(fixture.quake, "b", 1, 4);
    expect_oldest(expect_oldest(expect_oldest(0, "a"), "c"), NULL);
    commit();
    assert_int_equal(read_quake().max_entities, 10);
    check_whole();
    begin();
    OK(store_export_limit(fixture.writer, fixture.quake, 0, false, &fixture.error));
    finish_order(100);
    expect_oldest(0, NULL);
    commit();
    assert_int_equal(read_quake().max_entities, 0);
    check_whole();
}

enum { MANY = 100, STEP = 30 };

static void put_many(uint32_t export_id, int64_t slot)
{
    for (int i = 0; i < MANY; i++) {
        char key[8];
        snprintf(key, sizeof key, "m%03d", i);
        put(export_id, key, slot, i, "{}");
    }
}

static void limit_later(int64_t max_entities)
{
    begin();
    OK(store_export_limit(fixture.writer, fixture.quake, max_entities, true, &fixture.error));
    commit();
}

static bool order_waits(void)
{
    return store_export_counts(fixture.writer, fixture.quake).order_waits;
}

TEST(a_limit_holds_when_the_order_was_made_in_steps)
{
    uint32_t other;
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("Other"), &other, &fixture.error));
    put_many(fixture.quake, 1);
    put_many(other, 1);
    put(fixture.quake, "last", 1, MANY, "{}");
    commit();
    limit_later(10);
    assert_true(order_waits());
    assert_int_equal(read_quake().max_entities, 0);
    begin();
    assert_false(order_step(STEP));
    store_rollback(fixture.writer);
    begin();
    assert_false(order_step(STEP));
    commit();
    /* Behind the step and before it, new and gone: all that is written is in order at once. */
    begin();
    put(fixture.quake, "m001", 2, 1, "{}");
    put(fixture.quake, "last", 2, 2, "{}");
    put(fixture.quake, "new", 2, 3, "{}");
    take_away(fixture.quake, "m000", 2, 4);
    finish_order(STEP);
    assert_int_equal(store_export_counts(fixture.writer, fixture.quake).max_entities, 10);
    expect_oldest(0, "m002");
    commit();
    assert_int_equal(read_quake().max_entities, 10);
    check_whole();
    /* Another limit changes nothing of the order; none clears it, over a restart too. */
    limit_later(20);
    assert_false(order_waits());
    assert_int_equal(read_quake().max_entities, 20);
    limit_later(0);
    assert_int_equal(read_quake().max_entities, 0);
    begin();
    assert_false(order_step(STEP));
    put(fixture.quake, "last", 3, 1, "{}");
    commit();
    check_whole();
    close_store();
    open_store();
    assert_true(order_waits());
    begin();
    finish_order(STEP);
    expect_oldest(0, NULL);
    commit();
    close_store();
    open_store();
    assert_false(order_waits());
    check_whole();
}

TEST(a_limit_changes_while_its_order_is_made)
{
    begin();
    put_many(fixture.quake, 1);
    commit();
    limit_later(10);
    begin();
    assert_false(order_step(STEP));
    commit();
    limit_later(20);
    begin();
    assert_false(order_step(STEP));
    commit();
    /* Lifted before it held, and back again while its order is cleared. */
    limit_later(0);
    begin();
    assert_false(order_step(STEP / 2));
    put(fixture.quake, "m099", 2, 1, "{}");
    commit();
    limit_later(30);
    begin();
    finish_order(STEP);
    expect_oldest(0, "m000");
    commit();
    assert_int_equal(read_quake().max_entities, 30);
    check_whole();
    /* One that waits is forgotten with its writer; at the start it is made whole. */
    limit_later(0);
    limit_later(5);
    begin();
    assert_false(order_step(STEP));
    commit();
    close_store();
    open_store();
    assert_int_equal(read_quake().max_entities, 0);
    begin();
    put(fixture.quake, "m000", 3, 1, "{}");
    OK(store_export_limit(fixture.writer, fixture.quake, 5, false, &fixture.error));
    assert_false(order_waits());
    expect_oldest(0, "m001");
    commit();
    check_whole();
}

static bool add_export(void *argument, const struct store_export *export)
{
    return add_line(argument, "%u=%.*s ", export->id, (int)export->name.length, export->name.data);
}

TEST(exports_are_found_and_listed)
{
    uint32_t id = 0;
    struct lines all = {.left = 9}, one = {.left = 1};
    struct store_export export;
    bool found = true;
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("B c\"d"), &id, &fixture.error));
    OK(store_export_ensure(fixture.writer, SPAN("Quake"), &id, &fixture.error));
    assert_int_equal(id, fixture.quake);
    commit();
    OK(store_read_exports(fixture.reader, add_export, &all, &fixture.error));
    assert_string_equal(all.text, "1=Quake 2=B c\"d ");
    OK(store_read_exports(fixture.reader, add_export, &one, &fixture.error));
    assert_string_equal(one.text, "1=Quake ");
    OK(store_read_export(fixture.reader, SPAN("Nobody"), &export, &found, &fixture.error));
    assert_false(found);
}

static void put_producer(const char *name, const char *owner, int64_t batch, const char *mark)
{
    struct store_producer row = {.name = span_of(name), .batch = batch, .at = batch + 1};
    if (owner)
        row.owner = span_of(owner);
    if (mark)
        row.mark = span_of(mark);
    row.has_seq = batch > 7;
    row.seq = (struct seq){batch, 2};
    OK(store_producer_put(fixture.writer, &row, &fixture.error));
}

TEST(producers_are_remembered)
{
    struct store_producer row;
    bool found;
    OK(store_read_producer(store_writer_reader(fixture.writer), SPAN("p"), &row, &found,
                           &fixture.error));
    assert_false(found);
    begin();
    put_producer("p", NULL, 7, NULL);
    OK(store_read_producer(store_writer_reader(fixture.writer), SPAN("p"), &row, &found,
                           &fixture.error));
    assert_true(found && !row.owner.data && !row.mark.data && !row.has_seq);
    put_producer("p", "ann", 8, "x");
    commit();
    begin();
    put_producer("p", "bob", 9, NULL);
    OK(store_producer_remove(fixture.writer, SPAN("q"), &fixture.error));
    store_rollback(fixture.writer);
    close_store();
    open_store();
    OK(store_read_producer(store_writer_reader(fixture.writer), SPAN("p"), &row, &found,
                           &fixture.error));
    assert_true(found && row.has_seq);
    assert_int_equal(row.batch, 8);
    assert_int_equal(row.at, 9);
    assert_int_equal(row.seq.slot, 8);
    assert_true(span_equal(row.owner, SPAN("ann")) && span_equal(row.mark, SPAN("x")));
}

static bool add_producer(void *argument, const struct store_producer *row)
{
    strncat(argument, row->name.data, row->name.length);
    return true;
}

TEST(producers_are_listed_by_owner_and_in_pages)
{
    static const struct {
        const char *owner, *after;
        int64_t limit;
        const char *names;
    } cases[] = {
        {NULL, NULL, 10, "abcd"}, {"ann", NULL, 10, "abc"}, {"ann", "a", 10, "bc"},
        {"ann", NULL, 1, "a"},    {NULL, "b", 1, "c"},      {"bob", "d", 10, ""},
        {"", NULL, 10, "b"},
    };
    int64_t count;
    begin();
    put_producer("c", "ann", 1, NULL);
    put_producer("a", "ann", 1, NULL);
    put_producer("b", NULL, 1, NULL);
    put_producer("d", "bob", 1, NULL);
    commit();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char names[16] = "";
        struct store_producer_scan scan = {.limit = cases[i].limit};
        if (cases[i].owner)
            scan.owner = span_of(cases[i].owner);
        if (cases[i].after)
            scan.after = span_of(cases[i].after);
        OK(store_read_producers(fixture.reader, &scan, add_producer, names, &fixture.error));
        assert_string_equal(names, cases[i].names);
    }
    OK(store_owner_count(fixture.writer, STORE_PRODUCERS, SPAN("ann"), 10, &count, &fixture.error));
    assert_int_equal(count, 2);
    OK(store_owner_count(fixture.writer, STORE_PRODUCERS, span_make(NULL, 0), 10, &count,
                         &fixture.error));
    assert_int_equal(count, 1);
    OK(store_owner_count(fixture.writer, STORE_PRODUCERS, SPAN("ann"), 1, &count, &fixture.error));
    assert_int_equal(count, 1);
    begin();
    OK(store_producer_remove(fixture.writer, SPAN("c"), &fixture.error));
    commit();
    OK(store_owner_count(fixture.writer, STORE_PRODUCERS, SPAN("ann"), 10, &count, &fixture.error));
    assert_int_equal(count, 1);
}

TEST(keys_of_requests_are_kept_and_the_oldest_go)
{
    struct store_key key = {.owner = SPAN("ann"), .body = SPAN("digest"), .answer = SPAN("{}")};
    int64_t count, removed;
    bool found;
    begin();
    for (int64_t i = 0; i < 5; i++) {
        char name[] = {(char)('a' + i), '\0'};
        key.key = span_of(name);
        key.at = 10 * i;
        OK(store_key_put(fixture.writer, &key, &fixture.error));
    }
    key.owner = SPAN("bob");
    key.key = SPAN("e");
    OK(store_key_put(fixture.writer, &key, &fixture.error));
    OK(store_key_trim(fixture.writer, SPAN("ann"), 20, 2, &removed, &fixture.error));
    assert_int_equal(removed, 2);
    OK(store_key_trim(fixture.writer, SPAN("ann"), 20, 2, &removed, &fixture.error));
    assert_int_equal(removed, 1);
    commit();
    OK(store_owner_count(fixture.writer, STORE_KEYS, SPAN("ann"), 10, &count, &fixture.error));
    assert_int_equal(count, 2);
    OK(store_key_get(fixture.writer, SPAN("ann"), SPAN("a"), &key, &found, &fixture.error));
    assert_false(found);
    OK(store_key_get(fixture.writer, SPAN("ann"), SPAN("d"), &key, &found, &fixture.error));
    assert_true(found && span_equal(key.body, SPAN("digest")) &&
                span_equal(key.answer, SPAN("{}")));
}

TEST(meta_values_are_kept)
{
    struct buffer value;
    bool found = true;
    buffer_init(&value, 100);
    OK(store_read_meta(store_writer_reader(fixture.writer), "views", &value, &found,
                       &fixture.error));
    assert_false(found);
    begin();
    OK(store_meta_put(fixture.writer, "views", SPAN("one"), &fixture.error));
    OK(store_meta_put(fixture.writer, "views", SPAN("two"), &fixture.error));
    commit();
    OK(store_read_meta(fixture.reader, "views", &value, &found, &fixture.error));
    assert_true(found);
    assert_true(span_equal(buffer_span(&value), SPAN("two")));
    buffer_fini(&value);
}

TEST(cursors_are_refused_from_now_on)
{
    struct store_log_state log;
    begin();
    put(fixture.quake, "a", 1, 1, "{}");
    put(fixture.quake, "a", 1, 2, "{}");
    OK(store_writer_refuse_cursors(fixture.writer, &fixture.error));
    commit();
    OK(store_read_log(fixture.reader, &log, &fixture.error));
    assert_int_equal(log.cursor_floor, 3);
}

static bool add_tombstone(void *argument, const struct store_tombstone *tombstone)
{
    return add_line(argument, "%.*s@%lld ", (int)tombstone->key.length, tombstone->key.data,
                    (long long)tombstone->change);
}

static void expect_tombstones(int64_t before, int64_t limit, const char *expected)
{
    struct lines lines = {.left = 9};
    OK(store_scan_tombstones(fixture.reader, fixture.quake, before, limit, add_tombstone, &lines,
                             &fixture.error));
    assert_string_equal(lines.text, expected);
}

TEST(tombstones_are_put_read_and_removed)
{
    struct store_tombstone tombstone;
    bool found = false;
    begin();
    put(fixture.quake, "a", 1, 1, "{}");
    put(fixture.quake, "b", 1, 2, "{}");
    put(fixture.quake, "c", 1, 3, "{}");
    take_away(fixture.quake, "a", 2, 1);
    take_away(fixture.quake, "b", 2, 2);
    take_away(fixture.quake, "c", 2, 3);
    put(fixture.quake, "b", 3, 1, "{}"); /* back again */
    commit();
    expect_tombstones(INT64_MAX, 9, "c@6 a@4 ");
    expect_tombstones(INT64_MAX, 1, "c@6 ");
    expect_tombstones(6, 9, "a@4 ");
    expect_tombstones(4, 9, "");
    OK(store_read_tombstone(fixture.reader, fixture.quake, SPAN("a"), &tombstone, &found,
                            &fixture.error));
    assert_true(found);
    assert_int_equal(tombstone.change, 4);
    assert_int_equal(tombstone.seq.slot, 2);
    assert_int_equal(tombstone.at, 4000);
    OK(store_read_tombstone(fixture.reader, fixture.quake, SPAN("b"), &tombstone, &found,
                            &fixture.error));
    assert_false(found);
    begin();
    /* Deleted twice: the newer delete counts. */
    OK(try_append(fixture.quake, "a", ROW_DELETE, (struct seq){3, 2}, 1, NULL));
    OK(store_tombstone_put(fixture.writer, fixture.quake, SPAN("a"), span_make(NULL, 0), 8,
                           (struct seq){3, 2}, 1, &fixture.error));
    commit();
    expect_tombstones(INT64_MAX, 9, "a@8 c@6 ");
    check_whole();
}

/* One line for each change: its scopes. */
static bool add_scopes(void *argument, const struct store_change *change,
                       const struct store_entity *entity)
{
    (void)entity;
    return add_line(argument, "%.*s<%.*s ", (int)change->scope.length, change->scope.data,
                    (int)change->scope_left.length, change->scope_left.data);
}

TEST(scopes_are_kept_with_changes_and_tombstones)
{
    struct lines lines = {.left = 9};
    struct store_entity entity;
    struct store_change change = {.id = 2,
                                  .export_id = fixture.quake,
                                  .operation = ROW_UPSERT,
                                  .seq = {1, 2},
                                  .key = SPAN("a"),
                                  .patch = SPAN("{}"),
                                  .scope = SPAN("new"),
                                  .scope_left = SPAN("old")};
    struct span left[] = {SPAN("old"), SPAN("older")};
    bool found = false;
    begin();
    put(fixture.quake, "a", 1, 1, "{}");
    OK(store_read_entity(store_writer_reader(fixture.writer), fixture.quake, SPAN("a"), &entity,
                         &found, &fixture.error));
    entity = (struct store_entity){
        .id = entity.id, .change = 2, .seq = {1, 2}, .key = SPAN("a"), .data = SPAN("{}")};
    OK(store_entity_update(fixture.writer, fixture.quake, &entity, &fixture.error));
    OK(store_change_append(fixture.writer, &change, &fixture.error));
    OK(store_tombstone_put(fixture.writer, fixture.quake, SPAN("a"), left[0], 2, (struct seq){1, 2},
                           5, &fixture.error));
    commit();
    /* The entity is there, but elsewhere. */
    check_whole();
    OK(store_scan_changes(fixture.reader, fixture.quake, span_make(NULL, 0), 0, 2, -1, true,
                          add_scopes, &lines, &fixture.error));
    assert_string_equal(lines.text, "< new<old ");
    expect_tombstones(INT64_MAX, 9, "a@2 ");
    begin();
    OK(store_tombstone_put(fixture.writer, fixture.quake, SPAN("a"), left[1], 1, (struct seq){1, 1},
                           5, &fixture.error));
    OK(store_tombstone_remove(fixture.writer, fixture.quake, SPAN("a"), left[0], &fixture.error));
    OK(store_tombstone_remove(fixture.writer, fixture.quake, SPAN("a"), SPAN("other"),
                              &fixture.error));
    commit();
    expect_tombstones(INT64_MAX, 9, "a@1 ");
    begin();
    OK(store_tombstones_clear(fixture.writer, &fixture.error));
    commit();
    expect_tombstones(INT64_MAX, 9, "");
    assert_int_equal(store_writer_state(fixture.writer).log->tombstone_floor, 2);
    check_whole();
}
