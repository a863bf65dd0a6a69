/*
 * The file of a copy, until it has its name. Nothing stands under the real name of the copy before
 * it is whole and on disk.
 */
#include "database/database_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

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
    bool found = database && is_same(database->file, file);
    for (size_t i = 0; database && i < COMPANION_COUNT && !found; i++) {
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

bool backup_file_name(struct backup_file *file)
{
    char name[PATH_MAX + 16];
    int length = snprintf(name, sizeof name, "%s.partial", file->to);
    bool fits = length > 0 && (size_t)length < sizeof name;
    file->partial = fits ? memory_copy_string(name, (size_t)length) : NULL;
    return file->partial != NULL;
}

bool backup_file_make(struct backup_file *file, const struct database *database,
                      struct error *error)
{
    struct stat source = {.st_mode = DATABASE_FILE_MODE};
    if (database && stat(database->file, &source) != 0) {
        return fail("look at", database->path, error);
    }
    if (!check_target(file, database, error)) {
        return false;
    }
    if (!backup_file_name(file)) {
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    return check_partial(file, database, error) && open_partial(file, &source, error);
}

bool backup_file_has_room(const struct backup_file *file, int64_t bytes, struct error *error)
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

bool backup_file_keep(struct backup_file *file, struct error *error)
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

void backup_file_fini(struct backup_file *file)
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
