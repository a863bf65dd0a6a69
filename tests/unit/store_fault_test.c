/*
 * When something fails: each allocation in turn, each write and sync of the disk in turn. Every
 * run ends with the right answer or the right error, nothing leaks (the sanitizer tells), and the
 * database is whole and holds all that was committed.
 */
#include "database_layer.h"
#include "fault_sweep.h"
#include "sqlview/sqlview.h"
#include "store/producer.h"
#include "store/store_internal.h"
#include "store_fixture.h"

TEST_EACH(set_up, tear_down)

/* ---- a file system that fails when asked to ---- */

enum disk_fault { DISK_FINE, DISK_WRITE_FULL, DISK_WRITE_FAILS, DISK_SYNC_FAILS };

static struct {
    enum disk_fault fault;
    int after; /* calls that still go well */
    bool hit;
} disk;

static bool fails(enum disk_fault kind)
{
    if (disk.fault != kind || disk.after-- > 0) {
        return false;
    }
    disk.after = 0; /* and all that follow */
    disk.hit = true;
    return true;
}

static int fail_write(const char *name, const void *data, int size, sqlite3_int64 offset)
{
    (void)name;
    (void)data;
    (void)size;
    (void)offset;
    return fails(DISK_WRITE_FULL) ? SQLITE_FULL : fails(DISK_WRITE_FAILS) ? SQLITE_IOERR_WRITE : 0;
}

static int fail_sync(const char *name)
{
    (void)name;
    return fails(DISK_SYNC_FAILS) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static void put_layer_in(void)
{
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, NULL);
    layer.on_write = fail_write;
    layer.on_sync = fail_sync;
    assert_int_equal(layer_put_in("failing"), 0);
}

TEST_ALL(put_layer_in, NULL)

static void arm(enum disk_fault fault, int after)
{
    disk.fault = fault;
    disk.after = after;
    disk.hit = false;
}

/* ---- one batch, as the engine makes it ---- */

static bool tell_usage(void *argument, const struct store_usage_event *event)
{
    ++*(int *)argument;
    return event->event_id.length == 36;
}

/* One more event; of those that are there, one is delivered, and two at most are kept. */
static bool try_usage(int64_t slot)
{
    struct store_usage_event event = {.at = slot, .event = SPAN("{\"type\":\"update_sent\"}")};
    struct error *error = &fixture.error;
    return store_usage_put(fixture.writer, &event, error) &&
           store_usage_put(fixture.writer, &event, error) &&
           store_usage_remove(fixture.writer, slot, slot, error) &&
           store_usage_trim(fixture.writer, 2, 1 << 20, 10, error);
}

static bool tell_revocation(void *argument, const struct store_revocation *revocation)
{
    ++*(int *)argument;
    return revocation->token_id.length == 1;
}

/* One token is revoked, and one that has run out forgotten. */
static bool try_revocation(void)
{
    struct store_revocation a = {SPAN("a"), 0, 1}, b = {SPAN("b"), 5, 1};
    struct error *error = &fixture.error;
    bool kept, more;
    return store_revocation_put(fixture.writer, &a, &kept, error) && kept &&
           store_revocation_put(fixture.writer, &b, &kept, error) && kept &&
           store_revocation_trim(fixture.writer, 5 + STORE_REVOCATION_GRACE, 10, &more, error);
}

/* A key, and room for it. */
static bool try_key(int64_t slot)
{
    int64_t removed;
    bool found;
    struct store_key found_key, key = {.owner = SPAN("o"),
                                       .key = SPAN("k"),
                                       .body = SPAN("b"),
                                       .answer = SPAN("{}"),
                                       .at = slot};
    struct error *error = &fixture.error;
    return store_key_trim(fixture.writer, key.owner, slot, 10, &removed, error) &&
           store_key_put(fixture.writer, &key, error) &&
           store_key_get(fixture.writer, key.owner, key.key, &found_key, &found, error) && found;
}

static bool try_batch(int64_t slot)
{
    bool more = false, found = false;
    struct store_retention retention = {.rows = 6};
    struct store_tombstone tombstone;
    struct store_producer producer = {.name = SPAN("p"), .owner = SPAN("o"), .batch = slot};
    struct error *error = &fixture.error;
    return store_begin(fixture.writer, error) &&
           try_put(fixture.quake, "a", (struct seq){slot, 1}, 0, "{\"n\":1}") &&
           try_put(fixture.quake, "b", (struct seq){slot, 2}, 0, "{\"n\":2}") &&
           store_producer_put(fixture.writer, &producer, error) &&
           store_trim(fixture.writer, &retention, 0, 100, 0, &more, error) && try_usage(slot) &&
           try_revocation() && store_commit(fixture.writer, error) &&
           store_read_tombstone(fixture.reader, fixture.quake, SPAN("a"), &tombstone, &found,
                                error);
}

static int64_t last_batch(void)
{
    struct store_producer producer;
    bool found;
    OK(store_read_producer(store_writer_reader(fixture.writer), SPAN("p"), &producer, &found,
                           &fixture.error));
    return found ? producer.batch : -1;
}

/* ---- memory ---- */

/* What may fail, and how to be back where it started, failed or not. Each is swept alone, because
 * a sweep costs the square of the allocations that it goes through. */
struct step {
    bool (*attempt)(void);
    void (*undo)(void);
};

static bool attempt_open(void)
{
    struct database_options options = {.path = fixture.path,
                                       .synchronous = DATABASE_SYNCHRONOUS_OFF};
    return (fixture.database = database_open(&options, &fixture.error)) != NULL;
}

static void undo_open(void)
{
    close_store();
}

/* Half a database may be left of a failed start; the next start goes on from there. (Tried after
 * every eighth failure, because it takes longest of all.) */
static void undo_create(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    static int calls;
    close_store();
    if (calls++ % 8 == 0) {
        assert_true(attempt_open());
        close_store();
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", fixture.path, suffixes[i]);
        (void)unlink(name); /* some are gone already */
    }
}

static bool attempt_connections(void)
{
    return (fixture.writer = store_writer_open(fixture.database, &fixture.error)) &&
           (fixture.reader = store_reader_open(fixture.database, &fixture.error));
}

static void undo_connections(void)
{
    store_reader_close(fixture.reader);
    store_writer_close(fixture.writer);
    fixture.reader = NULL;
    fixture.writer = NULL;
}

static bool attempt_define(void)
{
    struct error *error = &fixture.error;
    struct span path = SPAN("n");
    uint32_t id = 0;
    return store_begin(fixture.writer, error) &&
           store_export_ensure(fixture.writer, SPAN("Other"), &id, error) &&
           sql_view_define(store_writer_state(fixture.writer).sql_views, SPAN("Other/some"), id,
                           &path, 1, NULL, 0, error) &&
           sql_views_drop_others(store_writer_state(fixture.writer).sql_views, NULL, 0, error);
}

static bool attempt_key(void)
{
    return store_begin(fixture.writer, &fixture.error) && try_key(1);
}

static void undo_transaction(void)
{
    store_rollback(fixture.writer);
    /* Prepared anew by the next attempt, which is part of what may fail. */
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        if (i != STATEMENT_ROLLBACK) {
            sqlite3_finalize(fixture.writer->connection.statements[i]);
            fixture.writer->connection.statements[i] = NULL;
        }
    }
}

static int64_t swept_slot;

static bool attempt_batch(void)
{
    return try_batch(++swept_slot);
}

/* Whether it was committed or not, the entity, its change and the producer agree. */
static void undo_batch(void)
{
    struct store_entity entity;
    bool found = false;
    undo_transaction();
    OK(store_read_entity(store_writer_reader(fixture.writer), fixture.quake, SPAN("b"), &entity,
                         &found, &fixture.error));
    assert_int_equal(found ? entity.seq.slot : -1, last_batch());
    assert_int_equal(found ? entity.change : 0, last_change());
    check_whole();
}

static bool tell_nothing(void *argument, const struct store_change *change,
                         const struct store_entity *entity)
{
    (void)argument;
    return change && (!entity || entity->data.data);
}

static bool attempt_reads(void)
{
    struct store_reader *reader = fixture.reader;
    struct error *error = &fixture.error;
    struct store_export export;
    struct store_entity entity;
    struct store_seq_range place;
    struct store_log_state log;
    struct lines lines = {.left = 99};
    bool found = false;
    int events = 0, revocations = 0;
    return store_read_begin(reader, error) &&
           store_read_revocations(reader, tell_revocation, &revocations, error) &&
           revocations == 1 && store_read_usage(reader, 0, 10, tell_usage, &events, error) &&
           events == 2 && store_read_log(reader, &log, error) &&
           store_read_export(reader, SPAN("Quake"), &export, &found, error) &&
           store_read_entity(reader, fixture.quake, SPAN("a"), &entity, &found, error) &&
           store_scan_changes(reader, fixture.quake, SPAN("a"), 0, INT64_MAX, -1, true,
                              tell_nothing, &lines, error) &&
           store_find_seq(reader, fixture.quake, log.head, &place, error) &&
           place.first == place.last;
}

static void undo_reads(void)
{
    store_read_end(fixture.reader);
    store_reader_close(fixture.reader);
    OK(fixture.reader = store_reader_open(fixture.database, &fixture.error));
}

static void sweep_memory(struct step step, int sticky)
{
    sweep_begin(sticky);
    while (sweep_goes_on()) {
        fixture.error = (struct error){0};
        sweep_arm();
        bool ok = step.attempt();
        bool hit = sweep_disarm();
        /* SQLite gets over some failures by itself; an error must come from the fault. */
        if (!ok && (!hit || fixture.error.code != ERROR_MEMORY)) {
            fail_msg("run %d: code %d: %s", sweep_run(), fixture.error.code, fixture.error.message);
        }
        step.undo();
    }
    sweep_end();
}

static void sweep_both(struct step step)
{
    sweep_memory(step, 0);
    sweep_memory(step, 1);
}

TEST_WITH(memory_while_creating, set_up_folder, tear_down)
{
    sweep_memory((struct step){attempt_open, undo_create}, 0);
}

TEST(memory_while_opening)
{
    close_store();
    sweep_both((struct step){attempt_open, undo_open});
    assert_true(attempt_open());
    sweep_both((struct step){attempt_connections, undo_connections});
    assert_true(attempt_connections());
    check_whole();
}

TEST(memory_while_writing_and_reading)
{
    sweep_memory((struct step){attempt_define, undo_transaction}, 0);
    sweep_memory((struct step){attempt_key, undo_transaction}, 0);
    sweep_both((struct step){attempt_batch, undo_batch});
    sweep_memory((struct step){attempt_reads, undo_reads}, 0); /* of what the batches wrote */
}

/* ---- the disk ---- */

static void sweep_disk(enum disk_fault fault, enum error_code expected)
{
    int64_t batch = 1;
    bool through = false;
    assert_true(try_batch(batch));
    for (int after = 0; !through; after++) {
        int64_t before = last_change();
        arm(fault, after);
        bool ok = try_batch(batch + 1);
        through = !disk.hit;
        arm(DISK_FINE, 0);
        if (ok) {
            batch++;
        } else {
            if (fixture.error.code != expected || !strstr(fixture.error.message, fixture.path)) {
                fail_msg("after %d: code %d: %s", after, fixture.error.code, fixture.error.message);
            }
            store_rollback(fixture.writer);
            assert_true(sqlite3_get_autocommit(fixture.writer->connection.sqlite));
            assert_int_equal(last_change(), before);
        }
        assert_int_equal(last_batch(), batch);
        check_whole();
        /* The next one goes through as if nothing had been. */
        assert_true(try_batch(++batch));
    }
    close_store();
    open_store();
    assert_int_equal(last_batch(), batch);
    check_whole();
}

TEST(the_disk_is_full)
{
    sweep_disk(DISK_WRITE_FULL, ERROR_DISK_FULL);
}

TEST(the_disk_does_not_write)
{
    sweep_disk(DISK_WRITE_FAILS, ERROR_DISK_FAILED);
}

TEST(the_disk_does_not_sync)
{
    sweep_disk(DISK_SYNC_FAILS,
               ERROR_OUTCOME_UNKNOWN); /* all of them, also the one that takes back */
}

TEST(the_file_may_not_grow)
{
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    OK(connection_execute(&fixture.writer->connection, "PRAGMA max_page_count = 40",
                          &fixture.error));
    bool ok = true;
    int64_t committed = 0;
    for (int i = 0; ok && i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        committed = last_change();
        ok = store_begin(fixture.writer, &fixture.error) &&
             try_put(fixture.quake, key, (struct seq){1, i}, 0, big) &&
             store_commit(fixture.writer, &fixture.error);
    }
    assert_false(ok);
    assert_int_equal(fixture.error.code, ERROR_DISK_FULL);
    /* SQLite rolled back by itself: what follows must not commit on its own. */
    assert_false(try_put(fixture.quake, "z", (struct seq){2, 1}, 0, "{}"));
    assert_false(store_commit(fixture.writer, &fixture.error));
    assert_int_equal(fixture.error.code, ERROR_DISK_FULL);
    assert_int_equal(last_change(), committed);
    check_whole();
    OK(connection_execute(&fixture.writer->connection, "PRAGMA max_page_count = 4000",
                          &fixture.error));
    begin();
    put(fixture.quake, "z", 2, 1, "{}");
    commit();
    check_whole();
}

TEST_WITH(a_new_database_on_a_full_disk, set_up_folder, tear_down)
{
    arm(DISK_WRITE_FULL, 0);
    fixture.database = open_path(fixture.path, false);
    arm(DISK_FINE, 0);
    assert_null(fixture.database);
    assert_int_equal(fixture.error.code, ERROR_DISK_FULL);
    open_store();
    check_whole();
}
