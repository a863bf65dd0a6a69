/* Opening: whose file it is, who else has it, where it lies, how old it is. */
#include "database/database_internal.h"
#include "store/store_internal.h"
#include "store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

TEST_EACH(set_up_folder, tear_down)

static void expect_refusal(const char *path, bool read_only, enum error_code code,
                           const char *remedy)
{
    struct database *store = open_path(path, read_only);
    if (store) {
        database_close(store);
        fail_msg("%s was opened", path);
    }
    if (fixture.error.code != code || !strstr(fixture.error.message, remedy)) {
        fail_msg("code %d, not %d: %s", fixture.error.code, code, fixture.error.message);
    }
    if (!strstr(fixture.error.message, path)) {
        fail_msg("does not name %s: %s", path, fixture.error.message);
    }
}

static void in_folder(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", fixture.folder, name);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

TEST(a_new_file_and_an_empty_one_become_databases)
{
    open_store();
    assert_false(store_writer_state(fixture.writer).log->any);
    assert_int_equal(last_change(), 0);
    check_whole();
    close_store();
    char path[128];
    in_folder(path, sizeof path, "empty.db");
    write_file(path, "");
    struct database *store = open_path(path, false);
    OK(store);
    database_close(store);
    OK(store = open_path(path, true));
    database_close(store);
}

TEST(closing_folds_the_log_in)
{
    char wal[128];
    uint32_t id = 0;
    open_store();
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("Quake"), &id, &fixture.error));
    put(id, "a", 1, 1, "{}");
    commit();
    assert_true(database_wal_bytes(fixture.database) > 0);
    close_store();
    snprintf(wal, sizeof wal, "%s-wal", fixture.path);
    assert_int_not_equal(access(wal, F_OK), 0);
}

TEST(folders_that_will_not_do)
{
    char path[128];
    in_folder(path, sizeof path, "nowhere/x.db");
    expect_refusal(path, false, ERROR_DATABASE, "create it");
    expect_refusal(path, true, ERROR_DATABASE, "create it");
    expect_refusal("", false, ERROR_DATABASE, "name");
    in_folder(path, sizeof path, "");
    expect_refusal(path, false, ERROR_DATABASE, "name");
    expect_refusal(fixture.folder, false, ERROR_DATABASE, "not a file");
    in_folder(path, sizeof path, "absent.db");
    expect_refusal(path, true, ERROR_DATABASE, "no database");
}

TEST(files_of_others_are_refused)
{
    char path[128];
    in_folder(path, sizeof path, "text.db");
    write_file(path, "This is a letter, and quite long enough not to be taken for a new file. It "
                     "goes on for a while, as letters do.");
    expect_refusal(path, false, ERROR_DATABASE, "not a SQLite database");
    expect_refusal(path, true, ERROR_DATABASE, "not a SQLite database");
    in_folder(path, sizeof path, "tables.db");
    run_sql(path, "CREATE TABLE t (x)");
    expect_refusal(path, false, ERROR_DATABASE, "another program");
    in_folder(path, sizeof path, "tagged.db");
    run_sql(path, "PRAGMA application_id = 77");
    expect_refusal(path, false, ERROR_DATABASE, "another program");
}

/* Also an empty one, and one that says that it is ours. */
TEST(texts_as_utf_16_are_refused)
{
    static const char *const made[] = {
        "PRAGMA encoding = 'UTF-16'; CREATE TABLE t (x); DROP TABLE t",
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (x); DROP TABLE t; VACUUM",
        "PRAGMA encoding = 'UTF-16be'; PRAGMA application_id = 1398031692; CREATE TABLE t (x)",
    };
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char path[128], name[16];
        snprintf(name, sizeof name, "wide%zu.db", i);
        in_folder(path, sizeof path, name);
        run_sql(path, made[i]);
        expect_refusal(path, false, ERROR_DATABASE, "UTF-16");
        expect_refusal(path, true, ERROR_DATABASE, "UTF-16");
    }
}

TEST(a_newer_database_is_refused)
{
    open_store();
    close_store();
    run_sql(fixture.path, "PRAGMA user_version = 1000");
    expect_refusal(fixture.path, false, ERROR_DATABASE_NEWER, "newer stele");
    expect_refusal(fixture.path, true, ERROR_DATABASE_NEWER, "newer stele");
    run_sql(fixture.path, "PRAGMA user_version = 0");
    expect_refusal(fixture.path, true, ERROR_DATABASE, "older schema");
}

TEST(a_second_opening_is_refused)
{
    char pid[32], alias[128];
    open_store();
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    expect_refusal(fixture.path, false, ERROR_DATABASE_IN_USE, pid);
    in_folder(alias, sizeof alias, "alias.db");
    assert_int_equal(symlink(fixture.path, alias), 0);
    expect_refusal(alias, false, ERROR_DATABASE_IN_USE, pid);
}

/* Another process opens the store, says so through a pipe, and holds it until it is killed or this
 * one ends, which it sees by the end of a second pipe. */
static pid_t hold_in_child(void)
{
    int ready[2], hold[2];
    char byte = 0;
    assert_int_equal(pipe(ready) | pipe(hold), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(hold[1]);
        struct database *store = open_path(fixture.path, false);
        byte = store ? 'y' : 'n';
        if (write(ready[1], &byte, 1) != 1 || read(hold[0], &byte, 1) != 0) {
            _exit(1);
        }
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    close(hold[0]); /* the other end stays open as long as this process */
    assert_int_equal(byte, 'y');
    return child;
}

TEST(another_process_holds_the_lock_until_it_dies)
{
    char pid[32];
    pid_t child = hold_in_child();
    snprintf(pid, sizeof pid, "process %ld", (long)child);
    expect_refusal(fixture.path, false, ERROR_DATABASE_IN_USE, pid);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    open_store();
}

TEST(reading_works_beside_a_server_and_alone)
{
    uint32_t id = 0;
    struct store_log_state log;
    open_store();
    begin();
    OK(store_export_ensure(fixture.writer, SPAN("Quake"), &id, &fixture.error));
    put(id, "a", 1, 1, "{}");
    commit();
    for (int alone = 0; alone <= 1; alone++) {
        struct database *store = open_path(fixture.path, true);
        OK(store);
        assert_null(store_writer_open(store, &fixture.error));
        struct store_reader *reader = store_reader_open(store, &fixture.error);
        OK(reader);
        OK(store_read_log(reader, &log, &fixture.error));
        assert_int_equal(log.last_change, 1);
        assert_string_not_equal(database_state(store).epoch, "");
        store_reader_close(reader);
        database_close(store);
        if (!alone) {
            close_store();
        }
    }
}

/* The exit code of a test in a child, as root or as somebody who owns nothing. */
static int run_as(uid_t user, int (*test)(void))
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (user && (setegid(user) || seteuid(user))) {
            _exit(99);
        }
        _exit(test());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* 0: read; 3: refused because the folder is not writable. */
static int read_store(void)
{
    struct database *store = open_path(fixture.path, true);
    struct store_log_state log;
    if (!store) {
        return strstr(fixture.error.message, "writable folder") ? 3 : 1;
    }
    struct store_reader *reader = store_reader_open(store, &fixture.error);
    bool ok = reader && store_read_log(reader, &log, &fixture.error);
    store_reader_close(reader);
    database_close(store);
    return ok ? 0 : 2;
}

static int be_refused(void)
{
    struct database *store = open_path(fixture.path, false);
    database_close(store);
    return !store && strstr(fixture.error.message, "cannot write in the folder") ? 0 : 1;
}

static void may(const char *suffix, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s", fixture.path, suffix);
    assert_int_equal(chmod(path, mode), 0);
}

static int open_and_close(void)
{
    struct database *store = open_path(fixture.path, false);
    database_close(store);
    return store ? 0 : 1;
}

/* All in children: a fork would inherit SQLite's picture of a file that this process has open. */
TEST(a_folder_that_may_only_be_read)
{
    if (geteuid() != 0) {
        skip(); /* nobody else to be */
    }
    pid_t server = hold_in_child();
    assert_int_equal(chmod(fixture.folder, 0555), 0);
    may("", 0644);
    may("-wal", 0644);
    may("-shm", 0644);
    assert_int_equal(run_as(65534, read_store), 0); /* beside a server */
    may("-shm", 0600);
    assert_int_equal(run_as(65534, read_store), 3);
    assert_int_equal(kill(server, SIGKILL), 0);
    assert_int_equal(waitpid(server, NULL, 0), server);
    assert_int_equal(run_as(65534, read_store), 3); /* after a crash */
    assert_int_equal(run_as(0, open_and_close), 0);
    assert_int_equal(run_as(65534, read_store), 0); /* after a clean end */
    assert_int_equal(run_as(65534, be_refused), 0);
    assert_int_equal(chmod(fixture.folder, 0755), 0);
}

/* ---- the file under other names ---- */

TEST(a_file_with_two_names_is_refused)
{
    char other[128];
    open_store();
    close_store();
    in_folder(other, sizeof other, "other.db");
    assert_int_equal(link(fixture.path, other), 0);
    expect_refusal(fixture.path, false, ERROR_DATABASE, "hard links");
    expect_refusal(other, false, ERROR_DATABASE, "keep one name");
    struct database *store = open_path(other, true); /* who only reads it may */
    OK(store);
    database_close(store);
    assert_int_equal(unlink(other), 0);
    open_store();
}

static void remove_file(const char *suffix)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s", fixture.path, suffix);
    assert_int_equal(unlink(path), 0);
}

/* Whether another process sees a lock of SQLite's on the file. */
static int sees_lock(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_start = 0x40000000, .l_len = 512};
    int file = open(fixture.path, O_RDWR);
    return file >= 0 && fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

TEST(a_removed_lock_file_lets_nobody_else_in)
{
    pid_t child = hold_in_child();
    remove_file("-lock");
    expect_refusal(fixture.path, false, ERROR_DATABASE_IN_USE, "lock file was removed");
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    open_store();
    remove_file("-lock");
    expect_refusal(fixture.path, false, ERROR_DATABASE_IN_USE, "under another name");
    assert_int_equal(run_as(0, sees_lock), 1); /* a refused opening drops no lock */
}

/* Also one that is in the same process, and whatever is closed first. */
TEST(readers_that_close_drop_no_lock)
{
    open_store();
    struct database *reader = open_path(fixture.path, true);
    OK(reader);
    database_close(reader);
    assert_int_equal(run_as(0, sees_lock), 1);
    OK(reader = open_path(fixture.path, true));
    close_store();
    assert_int_equal(run_as(0, sees_lock), 1);
    open_store();
    database_close(reader);
    assert_int_equal(run_as(0, sees_lock), 1);
    remove_file("-lock");
    expect_refusal(fixture.path, false, ERROR_DATABASE_IN_USE, "another server");
}

TEST(a_child_does_not_drop_the_lock)
{
    open_store();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        database_close(fixture.database);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    remove_file("-lock");
    expect_refusal(fixture.path, false, ERROR_DATABASE_IN_USE, "another server");
}

/* ---- a write-ahead log of another database ---- */

static void write_wal(const char *path)
{
    char wal[160];
    snprintf(wal, sizeof wal, "%s-wal", path);
    write_file(wal, "frames of another database");
}

TEST(a_copy_beside_an_old_log_is_refused)
{
    char copy[128], wal[160];
    struct database_backup_result result;
    open_store();
    close_store();
    in_folder(copy, sizeof copy, "copy.db");
    struct database_backup_options options = {.from = fixture.path, .to = copy};
    OK(database_backup(&options, &result, &fixture.error));
    write_wal(copy);
    expect_refusal(copy, false, ERROR_DATABASE, "move ");
    expect_refusal(copy, true, ERROR_DATABASE, "another database");
    snprintf(wal, sizeof wal, "%s-wal", copy);
    assert_int_equal(unlink(wal), 0);
    struct database *store = open_path(copy, false);
    OK(store);
    database_close(store);
    in_folder(copy, sizeof copy, "lost.db");
    write_wal(copy);
    expect_refusal(copy, false, ERROR_DATABASE, "Put that database back");
    snprintf(wal, sizeof wal, "%s-wal", copy);
    assert_int_equal(access(wal, F_OK), 0);
}

/* ---- permissions ---- */

static mode_t mode_of(const char *path, const char *suffix)
{
    char name[160];
    struct stat status;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    if (stat(name, &status) != 0) {
        fail_msg("%s is not there", name);
    }
    return status.st_mode & 0777;
}

TEST(new_files_are_not_for_everybody)
{
    static const struct {
        mode_t mask, mode;
    } cases[] = {{0, 0640}, {022, 0640}, {027, 0640}, {077, 0600}};
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    mode_t before = umask(0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct database_backup_result result;
        char copy[128];
        umask(cases[i].mask);
        snprintf(fixture.path, sizeof fixture.path, "%s/mask%zu.db", fixture.folder, i);
        snprintf(copy, sizeof copy, "%s/copy%zu.db", fixture.folder, i);
        open_store();
        for (size_t j = 0; j < sizeof suffixes / sizeof *suffixes; j++) {
            assert_int_equal(mode_of(fixture.path, suffixes[j]), cases[i].mode);
        }
        assert_int_equal(chmod(fixture.path, 0666), 0);
        struct database_backup_options options = {.from = fixture.path, .to = copy};
        OK(database_backup(&options, &result, &fixture.error));
        assert_int_equal(mode_of(copy, "") & ~0640U, 0);
        close_store();
    }
    umask(before);
}
