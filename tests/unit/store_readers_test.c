/* Readers beside the writer, scans of entities, checkpoints, and what store_check finds. */
#include "database/database_internal.h"
#include "store/stage.h"
#include "store/store_internal.h"
#include "store_fixture.h"

#include <pthread.h>

TEST_EACH(set_up, tear_down)

static bool add_entity(void *argument, const struct store_entity *entity)
{
    return add_line(argument, "%.*s ", (int)entity->key.length, entity->key.data);
}

static void expect_entities(const struct store_position *after, int64_t limit, const char *expected)
{
    struct lines lines = {.left = 99};
    OK(store_scan_entities(fixture.reader, fixture.quake, after, limit, add_entity, &lines,
                           &fixture.error));
    assert_string_equal(lines.text, expected);
}

static bool add_id(void *argument, int64_t id)
{
    return add_line(argument, "%lld ", (long long)id);
}

static void expect_key_order(int64_t skip, int64_t limit, const char *expected)
{
    struct lines lines = {.left = 99};
    OK(store_scan_key_order(fixture.reader, fixture.quake, skip, limit, add_id, &lines,
                            &fixture.error));
    assert_string_equal(lines.text, expected);
}

TEST(entities_come_in_order_of_seq)
{
    uint32_t other = 0;
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("Other"), &other, &fixture.error));
    put(fixture.quake, "c", 2, 1, "{}"); /* id 1 */
    put(other, "x", 2, 1, "{}");
    put(fixture.quake, "a", 1, 10, "{}"); /* id 3 */
    put(fixture.quake, "b", 1, 10, "{}"); /* id 4 */
    put(fixture.quake, "d", -1, 1, "{}"); /* id 5 */
    commit();
    expect_entities(NULL, -1, "c a b d ");
    expect_entities(NULL, 2, "c a ");
    expect_entities(NULL, 0, "");
    expect_entities(&(struct store_position){{1, 10}, SPAN("a")}, -1, "b d ");
    expect_entities(&(struct store_position){{1, 10}, SPAN("a")}, 1, "b ");
    expect_entities(&(struct store_position){{1, 10}, SPAN("b")}, -1, "d ");
    expect_entities(&(struct store_position){{1, 10}, SPAN("aa")}, -1, "b d ");
    expect_entities(&(struct store_position){{2, 1}, SPAN("c")}, 1, "a ");
    expect_key_order(0, -1, "3 4 1 5 ");
    expect_key_order(0, 2, "3 4 ");
    expect_key_order(1, 2, "4 1 ");
    expect_key_order(4, -1, "");
    struct store_entity entity;
    bool found;
    OK(store_read_entity_by_id(fixture.reader, fixture.quake, 4, &entity, &found, &fixture.error));
    assert_true(found && span_equal(entity.key, SPAN("b")));
    OK(store_read_entity_by_id(fixture.reader, other, 4, &entity, &found, &fixture.error));
    assert_false(found);
    struct lines stopped = {.left = 2};
    OK(store_scan_entities(fixture.reader, fixture.quake, NULL, -1, add_entity, &stopped,
                           &fixture.error));
    assert_string_equal(stopped.text, "c a ");
}

/* What a page ends with is where the next one begins. */
struct page {
    struct seq seq;
    char key[8];
    size_t length;
    int64_t count;
    struct lines *lines;
};

static bool add_to_page(void *argument, const struct store_entity *entity)
{
    struct page *page = argument;
    page->seq = entity->seq;
    page->length = entity->key.length;
    memcpy(page->key, entity->key.data, entity->key.length);
    page->count++;
    return add_line(page->lines, "%.*s ", (int)entity->key.length, entity->key.data);
}

static void read_by_pages(int64_t rows, struct lines *lines)
{
    struct page page = {.lines = lines};
    do {
        struct store_position after = {page.seq, span_make(page.key, page.length)};
        bool first = page.count == 0;
        page.count = 0;
        OK(store_scan_entities(fixture.reader, fixture.quake, first ? NULL : &after, rows,
                               add_to_page, &page, &fixture.error));
    } while (page.count == rows);
}

/* Pages end within what shares a seq, and at its ends; skipping does, too. */
TEST(what_shares_a_seq_comes_in_order_of_key)
{
    static const char all[] = "y a aa b \xc3\xa4 \xf0\x9f\x98\x80 a0 b0 c0 d0 x ";
    static const char *const keys[] = {"\xf0\x9f\x98\x80", "b", "aa", "\xc3\xa4", "a"};
    static const char *const old[] = {"c0", "a0", "d0", "b0"};
    begin();
    put(fixture.quake, "x", 1, 1, "{}");
    for (size_t i = 0; i < 4; i++) {
        put(fixture.quake, old[i], 2, 0, "{}");
    }
    put(fixture.quake, "y", 3, 2, "{}");
    for (size_t i = 0; i < 5; i++) {
        put(fixture.quake, keys[i], 3, 1, "{}");
    }
    commit();
    for (int64_t rows = 1; rows <= 12; rows++) {
        struct lines lines = {.left = 99};
        read_by_pages(rows, &lines);
        assert_string_equal(lines.text, all);
    }
    const char *rest = all;
    for (int64_t skip = 0; skip <= 11; skip++) {
        struct lines lines = {.left = 99};
        OK(store_scan_list(fixture.reader, fixture.quake, skip, -1, skip % 2, add_entity, &lines,
                           &fixture.error));
        assert_string_equal(lines.text, rest);
        rest = *rest ? strchr(rest, ' ') + 1 : rest;
    }
}

TEST(the_queries_use_their_indexes)
{
    static const char *const queries[] = {
        "SELECT data FROM entity INDEXED BY entity_seq WHERE export = ?1 AND "
        "(slot, idx) < (?2, ?3) ORDER BY slot DESC, idx DESC, key LIMIT ?5",
        "SELECT data FROM entity INDEXED BY entity_seq WHERE export = ?1 AND "
        "slot = ?2 AND idx = ?3 AND key > ?4 ORDER BY key LIMIT ?5",
        "SELECT data FROM entity INDEXED BY entity_seq WHERE export = ? "
        "ORDER BY slot DESC, idx DESC, key LIMIT ? OFFSET ?",
        "SELECT id FROM entity WHERE export = ? ORDER BY key LIMIT ? OFFSET ?",
        "SELECT * FROM \"Quake/list\"",
        "SELECT key, at FROM tombstone INDEXED BY tombstone_recent WHERE export = ? AND "
        "change < ? ORDER BY change DESC LIMIT ?",
        "SELECT id FROM change WHERE slot = ?1 AND idx = ?2 AND export = ?3 ORDER BY id LIMIT 1",
        "SELECT id, slot, idx, export FROM change INDEXED BY change_seq "
        "WHERE (slot, idx, export) > (?, ?, ?) ORDER BY slot, idx, export, id LIMIT ?",
        "SELECT place, entity FROM derived_row WHERE stage = ?1 AND place >= ?2 ORDER BY place "
        "LIMIT ?3 OFFSET ?4",
        "SELECT d.place, e.data FROM derived_row AS d CROSS JOIN entity AS e ON e.id = d.entity "
        "WHERE d.stage = ?1 AND d.place < ?2 ORDER BY d.place DESC LIMIT ?3",
        "SELECT key FROM derived_flip WHERE export = ? AND change >= ? ORDER BY change, key "
        "LIMIT ?",
        "SELECT key FROM derived_flip WHERE export = ? AND number > ? ORDER BY number LIMIT ?",
    };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        char sql[512];
        sqlite3_stmt *statement = NULL;
        snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", queries[i]);
        assert_int_equal(
            sqlite3_prepare_v2(fixture.reader->connection.sqlite, sql, -1, &statement, NULL), 0);
        while (sqlite3_step(statement) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(statement, 3);
            if (strstr(step, "TEMP B-TREE") || strncmp(step, "SCAN entity", 11) == 0) {
                fail_msg("%s: %s", queries[i], step);
            }
        }
        sqlite3_finalize(statement);
    }
}

TEST(a_read_transaction_sees_one_state)
{
    struct store_log_state log;
    struct store_entity entity;
    bool found = true;
    begin();
    put(fixture.quake, "a", 1, 1, "{\"n\":1}");
    commit();
    OK(store_read_begin(fixture.reader, &fixture.error));
    OK(store_read_log(fixture.reader, &log, &fixture.error));
    begin();
    put(fixture.quake, "a", 1, 2, "{\"n\":2}");
    commit();
    OK(store_read_entity(fixture.reader, fixture.quake, SPAN("a"), &entity, &found,
                         &fixture.error));
    assert_true(span_equal(entity.data, SPAN("{\"n\":1}")));
    store_read_end(fixture.reader);
    store_read_end(fixture.reader); /* harmless */
    OK(store_read_entity(fixture.reader, fixture.quake, SPAN("a"), &entity, &found,
                         &fixture.error));
    assert_true(span_equal(entity.data, SPAN("{\"n\":2}")));
}

enum { ROUNDS = 300, KEYS = 20 };
static _Atomic bool finished;

/* In every state that a reader sees, the counters and the rows agree. */
static void *read_on(void *argument)
{
    struct store_reader *reader = argument;
    struct error error = {0};
    bool ok = true;
    while (ok && !finished) {
        struct store_log_state log;
        struct store_export export;
        struct lines lines = {.left = KEYS + 1};
        bool found = false;
        ok = store_read_begin(reader, &error) && store_read_log(reader, &log, &error) &&
             store_read_export(reader, SPAN("Quake"), &export, &found, &error) && found &&
             log.last_change == export.last_change && log.last_change % KEYS == 0 &&
             log.rows == log.last_change - log.floor_change &&
             store_scan_entities(reader, fixture.quake, NULL, -1, add_entity, &lines, &error) &&
             lines.left == KEYS + 1 - export.entities;
        store_read_end(reader);
    }
    return ok ? NULL : "a reader saw a state that never was";
}

TEST(two_readers_beside_a_writer_and_a_checkpointer)
{
    pthread_t threads[2];
    struct store_reader *readers[2];
    struct store_retention retention = {.rows = 5 * KEYS};
    struct database_checkpointer *checkpointer =
        database_checkpointer_open(fixture.database, 50, &fixture.error);
    uint32_t left = 0;
    OK(checkpointer);
    finished = false;
    for (int i = 0; i < 2; i++) {
        OK(readers[i] = store_reader_open(fixture.database, &fixture.error));
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, readers[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        bool more = false;
        begin();
        for (int key = 0; key < KEYS; key++) {
            char name[16];
            snprintf(name, sizeof name, "%d", key);
            put(fixture.quake, name, round, key, "{\"some\":\"data\"}");
        }
        OK(store_trim(fixture.writer, &retention, 0, 50, INT64_MAX, &more, &fixture.error));
        commit();
        OK(database_checkpoint(checkpointer, false, &left, &fixture.error));
    }
    finished = true;
    for (int i = 0; i < 2; i++) {
        void *complaint = NULL;
        assert_int_equal(pthread_join(threads[i], &complaint), 0);
        assert_null(complaint);
        store_reader_close(readers[i]);
    }
    database_checkpointer_close(checkpointer);
    check_whole();
}

TEST(a_checkpoint_waits_for_its_size_and_empties_the_wal)
{
    struct database_checkpointer *checkpointer =
        database_checkpointer_open(fixture.database, 150, &fixture.error);
    uint32_t left = 0;
    OK(checkpointer);
    begin();
    put(fixture.quake, "a", 1, 1, "{}");
    commit();
    uint32_t before = fixture.database->wal_pages;
    OK(database_checkpoint(checkpointer, false, &left, &fixture.error));
    assert_int_equal(fixture.database->wal_pages, before);
    assert_int_equal(left, 0);
    for (int i = 0; i < 60; i++) {
        begin();
        put(fixture.quake, "a", 2, i, "{}");
        commit();
    }
    assert_true(fixture.database->wal_pages > 150);
    int64_t size = database_wal_bytes(fixture.database);
    OK(database_checkpoint(checkpointer, false, &left, &fixture.error));
    assert_int_equal(fixture.database->wal_pages, 0);
    begin();
    put(fixture.quake, "a", 3, 1, "{}");
    commit();
    assert_true(fixture.database->wal_pages < 60); /* from the beginning again */
    assert_int_equal(database_wal_bytes(fixture.database), size);
    database_checkpointer_close(checkpointer);
}

static void expect_finding(const char *damage, const char *repair)
{
    int findings = 0;
    sqlite3 *database = fixture.writer->connection.sqlite;
    assert_int_equal(sqlite3_exec(database, damage, NULL, NULL, NULL), 0);
    OK(store_check(fixture.reader, count_finding, &findings, &fixture.error));
    if (!findings) {
        fail_msg("not found: %s", damage);
    }
    assert_int_equal(sqlite3_exec(database, repair, NULL, NULL, NULL), 0);
    check_whole();
}

TEST(the_check_finds_what_is_wrong)
{
    begin();
    OK(store_export_limit(fixture.writer, fixture.quake, 100, false, &fixture.error));
    put(fixture.quake, "a", 1, 1, "{}");
    put(fixture.quake, "b", 1, 2, "{}");
    put(fixture.quake, "c", 1, 3, "{}");
    take_away(fixture.quake, "c", 1, 4);
    commit();
    check_whole();
    expect_finding("UPDATE log_state SET rows = 5", "UPDATE log_state SET rows = 4");
    expect_finding("UPDATE log_state SET bytes = bytes + 1",
                   "UPDATE log_state SET bytes = bytes - 1");
    expect_finding("UPDATE log_state SET last_change = 9", "UPDATE log_state SET last_change = 4");
    expect_finding("UPDATE log_state SET head_idx = 2", "UPDATE log_state SET head_idx = 4");
    expect_finding("UPDATE log_state SET tombstones = 0", "UPDATE log_state SET tombstones = 1");
    expect_finding("UPDATE export SET entities = 3", "UPDATE export SET entities = 2");
    expect_finding("UPDATE export SET last_change = 3, last_idx = 3",
                   "UPDATE export SET last_change = 4, last_idx = 4");
    expect_finding("UPDATE export SET last_idx = 3", "UPDATE export SET last_idx = 4");
    expect_finding("UPDATE entity SET change = 1, evict_order = 1 WHERE key = 'b'",
                   "UPDATE entity SET change = 2, evict_order = 2 WHERE key = 'b'");
    expect_finding("UPDATE entity SET change = 77, evict_order = 77 WHERE key = 'b'",
                   "UPDATE entity SET change = 2, evict_order = 2 WHERE key = 'b'");
    expect_finding("UPDATE entity SET idx = 1 WHERE key = 'b'",
                   "UPDATE entity SET idx = 2 WHERE key = 'b'");
    expect_finding("UPDATE entity SET evict_order = NULL WHERE key = 'b'",
                   "UPDATE entity SET evict_order = 2 WHERE key = 'b'");
    expect_finding("UPDATE change SET op = 3 WHERE id = 2",
                   "UPDATE change SET op = 0 WHERE id = 2");
    expect_finding("UPDATE change SET id = 9 WHERE id = 3",
                   "UPDATE change SET id = 3 WHERE id = 9");
    expect_finding("UPDATE change SET export = 9 WHERE id = 3",
                   "UPDATE change SET export = 1 WHERE id = 3");
    expect_finding("UPDATE tombstone SET change = 3", "UPDATE tombstone SET change = 4");
    expect_finding("UPDATE tombstone SET key = 'a'", "UPDATE tombstone SET key = 'c'");
    expect_finding("UPDATE tombstone SET scope = 'x'", "UPDATE tombstone SET scope = ''");
    begin();
    OK(store_membership_put(fixture.writer, 3, fixture.quake, SPAN("a"), &fixture.error));
    OK(store_membership_put(fixture.writer, 4, fixture.quake, SPAN("a"), &fixture.error));
    commit();
    expect_finding("UPDATE log_state SET last_flip = 1", "UPDATE log_state SET last_flip = 2");
    expect_finding("UPDATE derived_flip SET number = 2",
                   "UPDATE derived_flip SET number = change - 2");
    expect_finding("UPDATE derived_flip SET change = 5 WHERE change = 4",
                   "UPDATE derived_flip SET change = 4 WHERE change = 5");
}
