/*
 * Copies of a database when something fails: each allocation and each write of the copy in turn.
 * Whatever happens there is a whole copy under its name, or nothing.
 */
#include "database/database_internal.h"
#include "database_layer.h"
#include "fault_sweep.h"
#include "store/store_internal.h"
#include "store_fixture.h"

static struct {
    int after; /* writes of the copy that still go well; negative: all */
    int result;
    bool hit;
} disk = {.after = -1};

static int fail_write(const char *name, const void *data, int size, sqlite3_int64 offset)
{
    (void)data;
    (void)size;
    (void)offset;
    if (disk.after < 0 || !name || !strstr(name, ".partial"))
        return SQLITE_OK;
    if (disk.after > 0) {
        disk.after--;
        return SQLITE_OK;
    }
    disk.hit = true;
    return disk.result;
}

static void put_layer_in(void)
{
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, NULL);
    layer.on_write = fail_write;
    assert_int_equal(layer_put_in("failing"), 0);
}

TEST_ALL(put_layer_in, NULL)

static char copy[128], partial[160];

static void set_up_some(void)
{
    set_up();
    snprintf(copy, sizeof copy, "%s/copy.db", fixture.folder);
    snprintf(partial, sizeof partial, "%s.partial", copy);
    begin();
    for (int i = 0; i < 400; i++) {
        char key[16], data[600];
        snprintf(key, sizeof key, "k%d", i);
        snprintf(data, sizeof data, "{\"pad\":\"%0500d\"}", i);
        put(fixture.quake, key, 1, i, data);
    }
    commit();
}

TEST_EACH(set_up_some, tear_down)

static bool back_up(struct database_backup_options options, struct database_backup_result *result)
{
    options.from = fixture.path;
    options.to = copy;
    options.replace = true;
    fixture.error = (struct error){0};
    return database_backup(&options, result, &fixture.error);
}

static void is_whole(int64_t changes)
{
    struct database *database;
    OK(database = open_path(copy, true));
    struct store_reader *reader;
    struct store_log_state log;
    OK(reader = store_reader_open(database, &fixture.error));
    OK(store_read_log(reader, &log, &fixture.error));
    assert_int_equal(log.last_change, changes);
    store_reader_close(reader);
    database_close(database);
}

static bool tell(void *argument, int64_t done, int64_t total)
{
    int64_t *seen = argument;
    assert_true(done > seen[0] || done == total);
    assert_true(done <= total);
    seen[0] = done;
    seen[1] = total;
    return true;
}

TEST(a_copy_is_of_one_state_and_tells_of_it)
{
    struct database_backup_result result;
    int64_t seen[2] = {0, 0};
    OK(back_up((struct database_backup_options){.check = true, .progress = tell, .argument = seen},
               &result));
    assert_int_equal(result.last_change, 400);
    assert_int_equal(result.head.index, 399);
    assert_int_equal(seen[0], seen[1]);
    assert_int_equal(result.bytes, seen[1]);
    is_whole(400);
    assert_int_equal(access(partial, F_OK), -1);
}

static bool stop(void *argument, int64_t done, int64_t total)
{
    (void)argument;
    (void)done;
    (void)total;
    return false;
}

TEST(one_that_is_given_up_leaves_nothing)
{
    struct database_backup_result result;
    assert_false(back_up((struct database_backup_options){.progress = stop}, &result));
    assert_int_equal(fixture.error.code, ERROR_SHUTTING_DOWN);
    assert_int_equal(access(copy, F_OK), -1);
    assert_int_equal(access(partial, F_OK), -1);
}

TEST(every_write_may_fail)
{
    struct database_backup_result result;
    const int results[] = {SQLITE_FULL, SQLITE_IOERR_WRITE};
    const enum error_code codes[] = {ERROR_DISK_FULL, ERROR_DISK_FAILED};
    for (size_t i = 0; i < 2; i++) {
        bool done = false;
        for (int after = 0; !done; after += after < 8 ? 1 : 7) {
            disk.after = after;
            disk.result = results[i];
            disk.hit = false;
            done = back_up((struct database_backup_options){.check = true}, &result);
            assert_int_equal(done, !disk.hit);
            disk.after = -1;
            assert_int_equal(access(partial, F_OK), -1);
            if (done)
                break;
            assert_int_equal(fixture.error.code, codes[i]);
            assert_non_null(strstr(fixture.error.message, "copy.db"));
            assert_int_equal(access(copy, F_OK), -1);
        }
        is_whole(400);
        assert_int_equal(unlink(copy), 0);
    }
}

TEST(every_allocation_may_fail)
{
    struct database_backup_result result;
    sweep_begin(0);
    while (sweep_goes_on()) {
        sweep_arm();
        bool done = back_up((struct database_backup_options){.check = true}, &result);
        bool hit = sweep_disarm();
        if (!done && (!hit || fixture.error.code != ERROR_MEMORY))
            fail_msg("run %d: code %d: %s", sweep_run(), fixture.error.code, fixture.error.message);
        assert_int_equal(access(partial, F_OK), -1);
        assert_int_equal(access(copy, F_OK), done ? 0 : -1);
        if (done)
            unlink(copy);
    }
    sweep_end();
}

TEST(a_copy_gets_an_epoch_of_its_own_once)
{
    struct database_backup_result result;
    char old[40], new[40];
    int64_t change = 0;
    snprintf(old, sizeof old, "%s", database_state(fixture.database).epoch);
    assert_false(database_former_epoch(fixture.database, old, &change));
    OK(back_up((struct database_backup_options){.check = true}, &result));
    struct database *database;
    /* Looking at it changes nothing. */
    OK(database = open_path(copy, true));
    assert_string_equal(database_state(database).epoch, old);
    database_close(database);
    OK(database = open_path(copy, false));
    snprintf(new, sizeof new, "%s", database_state(database).epoch);
    assert_string_not_equal(new, old);
    assert_true(database_former_epoch(database, old, &change));
    assert_int_equal(change, 400);
    assert_false(database_former_epoch(database, new, &change));
    database_close(database);
    OK(database = open_path(copy, false));
    assert_string_equal(database_state(database).epoch, new);
    assert_true(database_former_epoch(database, old, &change));
    database_close(database);
}
