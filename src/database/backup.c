/*
 * A copy of a database, also of one that a server is writing. It is of one state: a read
 * transaction is held while it is made, so it never has to begin anew, however busy the server is.
 * The price is that the server's write-ahead log cannot be started afresh meanwhile and grows by
 * what is committed; a limit bounds that.
 *
 * Nothing stands under the real name of the copy before it is whole and on disk.
 */
#include "database/database_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- the file, under its temporary name ---- */

struct backup_file {
    const char *to; /* as the operator named it */
    char *partial;  /* the temporary name beside it */
    int descriptor; /* of that, locked; -1: none */
    int lock;       /* of a database that is to be replaced; -1: there is none */
    bool replace;
    bool made; /* remove it at the end */
};

static bool fail(const char *what, const char *name, struct error *error)
{
    enum error_code code = errno == ENOSPC || errno == EDQUOT ? ERROR_DISK_FULL : ERROR_DISK_FAILED;
    return error_set(error, code, "cannot %s %s (%s)", what, name, error_reason(errno));
}

/* ---- what stands in the way ---- */

static const char *const companions[] = {"-wal", "-shm", "-journal", "-lock"};
enum { COMPANION_COUNT = sizeof companions / sizeof *companions };

static bool is_same(const char *name, const struct stat *other)
{
    struct stat status;
    return stat(name, &status) == 0 && status.st_dev == other->st_dev &&
           status.st_ino == other->st_ino;
}

/* A file of the copied database itself, by whatever name. */
static bool is_of(const struct database *database, const struct stat *file)
{
    char name[PATH_MAX + 16];
    bool found = is_same(database->file, file);
    for (size_t i = 0; i < COMPANION_COUNT && !found; i++) {
        snprintf(name, sizeof name, "%s%s", database->file, companions[i]);
        found = is_same(name, file);
    }
    return found;
}

/* The name that SQLite or a server gives a file beside a database that is there. Such a file is
 * taken for the database's own, also where none is yet. */
static bool check_name(const struct backup_file *file, struct error *error)
{
    char base[PATH_MAX];
    size_t length = strlen(file->to);
    for (size_t i = 0; i < COMPANION_COUNT; i++) {
        size_t ending = strlen(companions[i]);
        if (length <= ending || strcmp(file->to + length - ending, companions[i]) != 0) {
            continue;
        }
        snprintf(base, sizeof base, "%.*s", (int)(length - ending), file->to);
        if (access(base, F_OK) == 0) {
            return error_set(error, ERROR_DATABASE,
                             "%s is the name of a file that belongs to the database %s: name "
                             "another file",
                             file->to, base);
        }
    }
    return true;
}

/* The temporary file is emptied, so it must be nothing that is in use. */
static bool check_partial(const struct backup_file *file, const struct database *database,
                          struct error *error)
{
    struct stat status;
    if (stat(file->partial, &status) != 0 || !is_of(database, &status)) {
        return true;
    }
    return error_set(error, ERROR_DATABASE,
                     "the copy is written as %s first, which belongs to the database itself: name "
                     "another file",
                     file->partial);
}

/* A server that has the file must not lose it, and none may start on it meanwhile. */
static bool take_lock(struct backup_file *file, struct error *error)
{
    char name[PATH_MAX + 16];
    snprintf(name, sizeof name, "%s-lock", file->to);
    file->lock = open(name, O_RDWR | O_CLOEXEC);
    if (file->lock < 0 || flock(file->lock, LOCK_EX | LOCK_NB) == 0) {
        return true;
    }
    return error_set(error, ERROR_DATABASE_IN_USE,
                     "%s is in use by a server, which holds %s: name another file", file->to, name);
}

/* A write-ahead log or journal beside the copy would be taken for its own, and spoil it. */
static bool check_companions(struct backup_file *file, struct error *error)
{
    static const char *const endings[] = {"-wal", "-journal"};
    char name[PATH_MAX + 16];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        snprintf(name, sizeof name, "%s%s", file->to, endings[i]);
        if (access(name, F_OK) == 0) {
            return error_set(error, ERROR_DATABASE,
                             "%s is there, which belongs to another database of the name %s: name "
                             "another file, or remove both if they are not needed",
                             name, file->to);
        }
    }
    return take_lock(file, error);
}

static bool check_target(struct backup_file *file, const struct database *database,
                         struct error *error)
{
    struct stat target;
    if (strlen(file->to) > PATH_MAX - 32) {
        return error_set(error, ERROR_DATABASE, "the name of the copy is too long");
    }
    if (!check_name(file, error)) {
        return false;
    }
    if (stat(file->to, &target) != 0) {
        return errno == ENOENT ? check_companions(file, error) : fail("look at", file->to, error);
    }
    if (is_of(database, &target)) {
        return error_set(error, ERROR_DATABASE,
                         "%s is the database itself, or belongs to it: name another file",
                         file->to);
    }
    if (!S_ISREG(target.st_mode)) {
        return error_set(error, ERROR_DATABASE, "%s is no file: name another one", file->to);
    }
    if (!file->replace) {
        return error_set(error, ERROR_DATABASE,
                         "%s exists already: name another file, or say --force to replace it",
                         file->to);
    }
    return check_companions(file, error);
}

/* ---- the temporary file ---- */

/* SQLite's own files beside it, which a backup that was killed may have left. */
static void remove_companions(const struct backup_file *file)
{
    static const char *const endings[] = {"-wal", "-shm", "-journal"};
    char name[PATH_MAX + 32];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        snprintf(name, sizeof name, "%s%s", file->partial, endings[i]);
        (void)unlink(name); /* mostly there is none */
    }
}

static bool open_partial(struct backup_file *file, const struct stat *source, struct error *error)
{
    mode_t mode = source->st_mode & DATABASE_FILE_MODE;
    file->descriptor = open(file->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
    if (file->descriptor < 0) {
        return fail("create", file->partial, error);
    }
    if (flock(file->descriptor, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK
                   ? error_set(error, ERROR_DATABASE_IN_USE,
                               "another backup is writing %s: wait for it", file->partial)
                   : fail("lock", file->partial, error);
    }
    file->made = true;
    remove_companions(file);
    if (ftruncate(file->descriptor, 0) != 0 || fchmod(file->descriptor, mode) != 0) {
        return fail("empty", file->partial, error);
    }
    return true;
}

/* Make an empty file under the temporary name, with the permissions of the database; or refuse,
 * with the obstacle. The file of an interrupted backup is reused. */
static bool backup_file_make(struct backup_file *file, const struct database *database,
                             struct error *error)
{
    struct stat source;
    if (stat(database->file, &source) != 0) {
        return fail("look at", database->path, error);
    }
    if (!check_target(file, database, error)) {
        return false;
    }
    char name[PATH_MAX + 16];
    int length = snprintf(name, sizeof name, "%s.partial", file->to);
    file->partial = memory_copy_string(name, (size_t)length);
    if (!file->partial) {
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    return check_partial(file, database, error) && open_partial(file, &source, error);
}

/* Filling up the disk would stop the server, if it is the same one: better to say it before. */
static bool backup_file_has_room(const struct backup_file *file, int64_t bytes, struct error *error)
{
    struct statvfs disk;
    if (fstatvfs(file->descriptor, &disk) != 0) {
        return true;
    }
    unsigned long long room = (unsigned long long)disk.f_bavail * disk.f_frsize;
    return room > (unsigned long long)bytes ||
           error_set(error, ERROR_DISK_FULL,
                     "no room for a copy as %s: it takes %lld bytes, there are %llu; make room, or "
                     "name a file on another disk",
                     file->to, (long long)bytes, room);
}

/* ---- the real name ---- */

static bool rename_it(struct backup_file *file, struct error *error)
{
    if (file->replace) {
        return rename(file->partial, file->to) == 0 || fail("write", file->to, error);
    }
    /* Somebody may have made the file meanwhile; it is not ours to replace. */
    if (renameat2(AT_FDCWD, file->partial, AT_FDCWD, file->to, RENAME_NOREPLACE) == 0) {
        return true;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return fail("write", file->to, error);
    }
    return (link(file->partial, file->to) == 0 && unlink(file->partial) == 0) ||
           fail("write", file->to, error);
}

static bool sync_folder(const struct backup_file *file, struct error *error)
{
    char folder[PATH_MAX + 16];
    const char *slash = strrchr(file->to, '/');
    size_t length = !slash ? 1 : slash == file->to ? 1 : (size_t)(slash - file->to);
    memcpy(folder, slash ? file->to : ".", length);
    folder[length] = 0;
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return fail("open the folder", folder, error);
    }
    bool done = fsync(descriptor) == 0 || fail("write the folder", folder, error);
    close(descriptor);
    return done;
}

/* Everything on disk, then its real name, and that on disk too. */
static bool backup_file_keep(struct backup_file *file, struct error *error)
{
    if (fsync(file->descriptor) != 0) {
        return fail("write", file->partial, error);
    }
    if (!rename_it(file, error)) {
        return false;
    }
    file->made = false;
    return sync_folder(file, error);
}

/* Remove it unless it was kept, and free the names. */
static void backup_file_fini(struct backup_file *file)
{
    if (file->made) {
        (void)unlink(file->partial);
        remove_companions(file);
    }
    if (file->lock >= 0) {
        close(file->lock);
    }
    if (file->descriptor >= 0) {
        close(file->descriptor);
    }
    memory_free(file->partial);
}

/* ---- the backup ---- */

enum { STEP_PAGES = 1024 };

struct backup {
    const struct database_backup_options *options;
    struct database *database;
    struct connection source;
    struct backup_file file;
    struct connection copy;
    int64_t wal_bytes; /* when it began */
    struct database_backup_result *result;
};

/* ---- the copy as a database ---- */

static bool copy_fail(struct backup *backup, int result, struct error *error)
{
    int what = result & 0xff;
    bool of_source = what == SQLITE_CORRUPT || what == SQLITE_NOTADB;
    if (what == SQLITE_FULL) {
        return error_set(error, ERROR_DISK_FULL,
                         "no room for a copy as %s: nothing is left of it; make room, or name a "
                         "file on another disk",
                         backup->options->to);
    }
    return connection_fail(of_source ? &backup->source : &backup->copy, result, error);
}

static bool open_copy(struct backup *backup, struct error *error)
{
    backup->copy.path = backup->file.partial;
    int result =
        sqlite3_open_v2(backup->file.partial, &backup->copy.sqlite,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    /* Until it has its name it is worth nothing, so nothing protects it; the end syncs it. */
    return result == SQLITE_OK ? connection_execute(&backup->copy,
                                                    "PRAGMA journal_mode=OFF; "
                                                    "PRAGMA synchronous=OFF; "
                                                    "PRAGMA locking_mode=EXCLUSIVE;",
                                                    error)
                               : copy_fail(backup, result, error);
}

/* A write-ahead log that grows for as long as a slow copy takes must not fill the disk. */
static bool check_wal(const struct backup *backup, struct error *error)
{
    int64_t grew = database_wal_bytes(backup->database) - backup->wal_bytes;
    backup->result->wal_growth = grew > 0 ? grew : 0;
    if (backup->options->wal_limit <= 0 || grew <= backup->options->wal_limit) {
        return true;
    }
    return error_set(error, ERROR_TOO_LARGE,
                     "given up: the write-ahead log of %s grew by %lld bytes while the copy was "
                     "made; copy to a quicker disk, at a quieter time, or with a greater "
                     "--wal-limit",
                     backup->options->from, (long long)grew);
}

static bool goes_on(const struct backup *backup, sqlite3_backup *copy, struct error *error)
{
    int64_t pages = sqlite3_backup_pagecount(copy);
    int64_t done = pages - sqlite3_backup_remaining(copy);
    const struct database_backup_options *options = backup->options;
    int64_t size = backup->result->page_bytes;
    if (options->progress && !options->progress(options->argument, done * size, pages * size)) {
        return error_set(error, ERROR_SHUTTING_DOWN, "interrupted: nothing is left of the copy");
    }
    return check_wal(backup, error);
}

static bool copy_pages(struct backup *backup, struct error *error)
{
    sqlite3 *from = backup->source.sqlite;
    sqlite3_backup *copy = sqlite3_backup_init(backup->copy.sqlite, "main", from, "main");
    if (!copy) {
        return copy_fail(backup, sqlite3_extended_errcode(backup->copy.sqlite), error);
    }
    int result = SQLITE_OK;
    bool good = true;
    while (good && result == SQLITE_OK) {
        result = sqlite3_backup_step(copy, STEP_PAGES);
        good = (result != SQLITE_OK && result != SQLITE_DONE) || goes_on(backup, copy, error);
    }
    int finished = sqlite3_backup_finish(copy);
    if (good && result != SQLITE_DONE) {
        return copy_fail(backup, result, error);
    }
    return good && (finished == SQLITE_OK || copy_fail(backup, finished, error));
}

/*
 * The copy becomes a plain file without a write-ahead log. A server that is started on it makes a
 * new epoch of this mark: from here on it may part from what the original tells its clients.
 */
static bool finish_copy(struct backup *backup, struct error *error)
{
    return connection_execute(&backup->copy, "PRAGMA journal_mode=MEMORY;", error) &&
           connection_execute(&backup->copy, "INSERT OR REPLACE INTO meta VALUES ('copied', '1')",
                              error);
}

static bool check_copy(struct backup *backup, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result =
        sqlite3_prepare_v2(backup->copy.sqlite, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    const char *line = result == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : "";
    bool good = line && strcmp(line, "ok") == 0;
    /* Want of memory is found, too: "unable to get the page", with SQLite's number for it. */
    bool starved = !line || strstr(line, "error code=7");
    if (result != SQLITE_ROW || starved) {
        copy_fail(backup, starved ? SQLITE_NOMEM : result, error);
    } else if (!good) {
        error_set(error, ERROR_DATABASE,
                  "the copy is damaged (%s), and so is %s: run `stele check` on it", line,
                  backup->options->from);
    }
    sqlite3_finalize(statement);
    return good;
}

/* ---- all of it ---- */

/* The newest change and the greatest seq of the log. */
static bool read_log(struct backup *backup, struct error *error)
{
    struct database_backup_result *result = backup->result;
    struct connection *source = &backup->source;
    if (!connection_integer(source, "SELECT last_change FROM log_state", &result->last_change,
                            error) ||
        !connection_integer(source, "SELECT head_slot FROM log_state", &result->head.slot, error) ||
        !connection_integer(source, "SELECT head_idx FROM log_state", &result->head.index, error)) {
        return false;
    }
    result->any = result->last_change > 0;
    return true;
}

static bool read_state(struct backup *backup, struct error *error)
{
    struct database_backup_result *result = backup->result;
    int64_t size, pages;
    if (!connection_begin(&backup->source, false, error) || !read_log(backup, error) ||
        !connection_integer(&backup->source, "PRAGMA page_size", &size, error) ||
        !connection_integer(&backup->source, "PRAGMA page_count", &pages, error)) {
        return false;
    }
    backup->wal_bytes = database_wal_bytes(backup->database);
    result->page_bytes = size;
    return backup_file_has_room(&backup->file, pages * size, error);
}

static bool run(struct backup *backup, struct error *error)
{
    const struct database_backup_options *options = backup->options;
    struct database_options source = {.path = options->from, .read_only = true};
    backup->database = database_open(&source, error);
    if (!backup->database || !backup_file_make(&backup->file, backup->database, error)) {
        return false;
    }
    if (!connection_open(&backup->source, backup->database, CONNECTION_READER, DATABASE_STATEMENTS,
                         error) ||
        !open_copy(backup, error) || !read_state(backup, error) || !copy_pages(backup, error)) {
        return false;
    }
    connection_rollback(&backup->source); /* the server's log is free again */
    if (!finish_copy(backup, error) || (options->check && !check_copy(backup, error))) {
        return false;
    }
    connection_close(&backup->copy);
    backup->result->bytes = (int64_t)lseek(backup->file.descriptor, 0, SEEK_END);
    return backup_file_keep(&backup->file, error);
}

bool database_backup(const struct database_backup_options *options,
                     struct database_backup_result *result, struct error *error)
{
    struct backup backup = {
        .options = options,
        .result = result,
        .file = {.to = options->to, .replace = options->replace, .descriptor = -1, .lock = -1},
    };
    *result = (struct database_backup_result){.bytes = 0};
    bool done = run(&backup, error);
    connection_close(&backup.copy);
    connection_close(&backup.source);
    backup_file_fini(&backup.file);
    database_close(backup.database);
    return done;
}
