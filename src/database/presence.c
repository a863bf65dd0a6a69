/*
 * Whether the open files are still those that have the names, and hold what they held. When the
 * database or its write-ahead log is removed, moved or replaced under a server, nobody will find
 * its files after its end: whatever it acknowledged then would be lost. While the server lives, the
 * data can be saved from the open files, which /proc shows.
 */
#include "database/database_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = PATH_MAX + 8 };

/* Of a database's first page (the SQLite file format). */
enum { MAGIC_SIZE = 16, PAGE_SIZE_AT = 16, WRITE_VERSION_AT = 18, PAGES_AT = 28, HEADER_SIZE = 32 };

enum presence { PRESENT, ABSENT, REPLACED };

static enum presence look(const char *name, const struct file_identity *file)
{
    struct stat status;
    if (stat(name, &status) != 0) {
        /* An error of the disk says nothing about the name. */
        return errno == ENOENT || errno == ENOTDIR ? ABSENT : PRESENT;
    }
    bool same = status.st_dev == file->device && status.st_ino == file->number;
    return same ? PRESENT : REPLACED;
}

static void note(const struct database *database, const char *ending, struct file_identity *file)
{
    char name[NAME_SIZE];
    struct stat status;
    snprintf(name, sizeof name, "%s%s", database->file, ending);
    if (stat(name, &status) == 0) {
        *file = (struct file_identity){true, status.st_dev, status.st_ino};
    }
}

void presence_note(struct database *database)
{
    if (!database->options.read_only) {
        note(database, "-wal", &database->wal);
        note(database, "-shm", &database->shm);
    }
}

/* A descriptor of this process that has the file open; -1: none. */
static int find_descriptor(const struct file_identity *file)
{
    int found = -1;
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    while (folder && found < 0 && (entry = readdir(folder))) {
        struct stat status;
        if (fstatat(dirfd(folder), entry->d_name, &status, 0) == 0 &&
            status.st_dev == file->device && status.st_ino == file->number) {
            found = atoi(entry->d_name);
        }
    }
    if (folder)
        closedir(folder);
    return found;
}

static bool tell(const struct database *database, const char *what, enum presence presence,
                 struct error *error)
{
    struct stat status;
    int descriptor = inode_descriptor(database), wal = find_descriptor(&database->wal);
    bool linked = descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_nlink > 0;
    const char *how = presence == REPLACED ? "was replaced by another file"
                      : *what || !linked   ? "was removed"
                                           : "was moved away";
    long process = (long)getpid();
    return error_set(error, ERROR_DATABASE_GONE,
                     "%.120s%s %s while the server has it open. The server still has all data: "
                     "before you stop it, save them: cp /proc/%ld/fd/%d saved.db && cp "
                     "/proc/%ld/fd/%d saved.db-wal; then start it with saved.db",
                     database->path, what, how, process, descriptor, process, wal);
}

/* ---- what was put over it ---- */

/* While it is open the first page says that the file has a write-ahead log. A copy that `stele
 * backup` or VACUUM INTO made says that it has none. */
static bool is_ours(const unsigned char *header)
{
    return memcmp(header, "SQLite format 3", MAGIC_SIZE) == 0 && header[WRITE_VERSION_AT] == 2;
}

/* Bytes that the first page says the file has. A checkpoint writes that page before the others, so
 * a file that grows may have less for a while; one that was cut by VACUUM has as many. */
static off_t size_told(const unsigned char *header)
{
    off_t page = header[PAGE_SIZE_AT] << 8 | header[PAGE_SIZE_AT + 1], pages = 0;
    for (int i = 0; i < 4; i++) {
        pages = pages << 8 | header[PAGES_AT + i];
    }
    return pages * (page == 1 ? 65536 : page);
}

/* `cp` over the open file, or a redirection to it, leaves its name and its inode alone, and
 * SQLite's cache hides it. A part that the disk cannot read says nothing. */
static bool is_overwritten(struct database *database)
{
    unsigned char header[HEADER_SIZE] = {0};
    int descriptor = inode_descriptor(database);
    struct stat status;
    if (database->options.read_only || descriptor < 0 || fstat(descriptor, &status) != 0) {
        return false;
    }
    off_t before = database->seen_size;
    database->seen_size = status.st_size;
    ssize_t length = pread(descriptor, header, sizeof header, 0);
    if (length < 0 || before == 0) {
        return false;
    }
    return length < HEADER_SIZE || !is_ours(header) ||
           (status.st_size < before && status.st_size < size_told(header));
}

bool database_check_content(struct database *database, struct error *error)
{
    if (!is_overwritten(database)) {
        return true;
    }
    atomic_store(&database->damaged, true);
    return error_set(error, ERROR_DATABASE_DAMAGED,
                     "%.120s was overwritten or cut by another program while the server has it "
                     "open: stop the server, keep its files (the newest commits are in the "
                     "-wal), and restore it from a backup",
                     database->path);
}

static bool check_damage(struct database *database, struct error *error)
{
    return !atomic_load(&database->damaged) ||
           error_set(error, ERROR_DATABASE_DAMAGED,
                     "%s is damaged: stop the server, keep its files, and restore it from a "
                     "backup, or save what can be read with the sqlite3 shell's .dump",
                     database->path);
}

/* ---- all of it ---- */

bool database_check_files(struct database *database, struct error *error)
{
    char name[NAME_SIZE];
    const struct {
        const char *ending;
        struct file_identity file;
    } files[] = {{"", inode_identity(database)}, {"-wal", database->wal}, {"-shm", database->shm}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(name, sizeof name, "%s%s", database->file, files[i].ending);
        enum presence presence = files[i].file.known ? look(name, &files[i].file) : PRESENT;
        if (presence != PRESENT) {
            return tell(database, files[i].ending, presence, error);
        }
    }
    return database_check_content(database, error) && check_damage(database, error);
}

void presence_before_close(struct database *database)
{
    char name[NAME_SIZE];
    int persist = 1;
    if (!database->wal.known || !database->main.sqlite) {
        return;
    }
    snprintf(name, sizeof name, "%s-wal", database->file);
    if (look(name, &database->wal) == REPLACED) {
        (void)sqlite3_file_control(database->main.sqlite, "main", SQLITE_FCNTL_PERSIST_WAL,
                                   &persist);
    }
}
