/*
 * The database's inode: one writing program per file, whatever its name. The lock file (lock.c)
 * belongs to a name; a hard link or a bind mount gives a file a second one, and a lock file can be
 * removed. So the inode is locked, too: with an open file description lock on one byte far behind
 * any end that a database can have. SQLite's own locks are POSIX locks on other bytes; the two do
 * not meet.
 *
 * POSIX locks have a trap: closing any descriptor of a file drops all locks that the process has on
 * it, those of SQLite too. So each inode has one entry for the whole process, whose descriptors
 * stay open until the last database of this process has closed its connections.
 *
 * The second half: whether the open files are still those that have the names, and hold what they
 * held. When the database or its write-ahead log is removed, moved or replaced under a server,
 * nobody will find its files after its end: whatever the server acknowledged then would be lost.
 * While the server lives, the data can be saved from the open files, which /proc shows.
 */
#include "database/database_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* SQLite's files end before 2^48. */
#define LOCK_AT ((off_t)1 << 62)

enum { HEADER_SIZE = 20, WRITE_VERSION_AT = 18 };

struct inode {
    struct inode *next;
    dev_t device;
    ino_t number;
    pid_t owner;  /* after a fork, the entry means nothing to the child */
    int users;    /* that are open on it, in this process */
    int readable; /* descriptors; -1: none */
    int writable;
    bool locked;
};

static struct {
    pthread_mutex_t mutex;
    struct inode *first;
} inodes = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- the entries of this process ---- */

static struct inode *find(const struct stat *status)
{
    for (struct inode *inode = inodes.first; inode; inode = inode->next) {
        if (inode->owner == getpid() && inode->device == status->st_dev &&
            inode->number == status->st_ino) {
            return inode;
        }
    }
    return NULL;
}

static struct inode *add(const struct stat *status)
{
    struct inode *inode = memory_new(sizeof *inode);
    if (inode) {
        *inode = (struct inode){.next = inodes.first,
                                .device = status->st_dev,
                                .number = status->st_ino,
                                .owner = getpid(),
                                .readable = -1,
                                .writable = -1};
        inodes.first = inode;
    }
    return inode;
}

static void close_inode(struct inode *inode)
{
    struct inode **slot = &inodes.first;
    while (*slot != inode) {
        slot = &(*slot)->next;
    }
    *slot = inode->next;
    if (inode->readable >= 0)
        close(inode->readable);
    if (inode->writable >= 0)
        close(inode->writable);
    memory_free(inode);
}

/* ---- what may be opened ---- */

/* The same for everybody who opens the file: a server, a check, a backup. */
static bool check_wal(const struct database *database, const struct stat *status, int descriptor,
                      struct error *error)
{
    unsigned char header[HEADER_SIZE] = {0};
    if (database_wal_bytes(database) == 0) {
        return true;
    }
    if (status->st_size == 0) {
        return error_set(error, ERROR_DATABASE,
                         "%s is empty, but there is %s-wal: the newest commits of the database "
                         "that was here may be in it. Put that database back, or move the -wal "
                         "away to begin with an empty one",
                         database->path, database->file);
    }
    if (pread(descriptor, header, sizeof header, 0) != HEADER_SIZE ||
        memcmp(header, "SQLite format 3", 16) != 0 || header[WRITE_VERSION_AT] != 1) {
        return true; /* what is no database is told later */
    }
    return error_set(error, ERROR_DATABASE,
                     "%s is a copy that no server has opened, so %s-wal belongs to another "
                     "database, which was here before, and would spoil the copy: move %s-wal and "
                     "%s-shm away (with the database that they belong to, if it is still needed)",
                     database->path, database->file, database->file, database->file);
}

static bool check_links(const struct database *database, const struct stat *status,
                        struct error *error)
{
    if (status->st_nlink <= 1) {
        return true;
    }
    return error_set(error, ERROR_DATABASE,
                     "%s has %lu names (hard links), each with a write-ahead log of its own, so "
                     "commits would be lost: keep one name (`find -samefile %s` finds the others), "
                     "or make a copy with `stele backup`",
                     database->path, (unsigned long)status->st_nlink, database->file);
}

/* ---- the lock ---- */

static bool set_lock(int descriptor, short kind)
{
    struct flock lock = {
        .l_type = kind, .l_whence = SEEK_SET, .l_start = LOCK_AT, .l_len = 1, .l_pid = 0};
    return fcntl(descriptor, F_OFD_SETLK, &lock) == 0;
}

static bool refuse(const struct database *database, struct error *error)
{
    return error_set(error, ERROR_DATABASE_IN_USE,
                     "%s is in use by another server, which has the same file under another name "
                     "(a bind mount, another path) or whose lock file was removed: stop that one, "
                     "or use another file",
                     database->path);
}

static bool lock(const struct database *database, struct inode *inode, struct error *error)
{
    if (inode->locked) {
        return refuse(database, error);
    }
    if (!set_lock(inode->writable, F_WRLCK)) {
        return errno == EAGAIN || errno == EACCES
                   ? refuse(database, error)
                   : error_set(error, ERROR_DATABASE,
                               "cannot lock %s (%s): put the database on a local disk",
                               database->path, error_reason(errno));
    }
    inode->locked = true;
    return true;
}

/* ---- opening ---- */

static bool cannot_open(const struct database *database, struct error *error)
{
    if (errno == ENOSPC || errno == EDQUOT) {
        return error_set(error, ERROR_DISK_FULL, "no room to create %s: make room on that disk",
                         database->path);
    }
    if (errno == EACCES || errno == EPERM || errno == EROFS) {
        return error_set(error, ERROR_DATABASE,
                         "%s may not be written: give its permissions to the user that runs the "
                         "server",
                         database->path);
    }
    return error_set(error, ERROR_DATABASE, "cannot open %s (%s)", database->path,
                     error_reason(errno));
}

/* A descriptor of this entry with enough rights; an entry has at most one of each kind. The name
 * may lead to another file since it was looked at: *status says which one was opened. */
static int open_descriptor(const struct database *database, struct inode *inode,
                           struct stat *status)
{
    bool writes = !database->options.read_only;
    int had = inode ? writes ? inode->writable : inode->readable : -1;
    if (had >= 0 || (inode && !writes && inode->writable >= 0)) {
        return had >= 0 ? had : inode->writable;
    }
    int flags = writes ? O_RDWR | O_CREAT : O_RDONLY;
    int descriptor = open(database->file, flags | O_CLOEXEC | O_NONBLOCK, DATABASE_FILE_MODE);
    if (descriptor >= 0 && fstat(descriptor, status) != 0) {
        close(descriptor);
        descriptor = -1;
    }
    return descriptor;
}

static void keep(struct inode *inode, int descriptor, bool writes)
{
    int *slot = writes ? &inode->writable : &inode->readable;
    /* If the name was given to another known inode just now, the second descriptor stays open:
     * it must not be closed. */
    if (*slot < 0 && descriptor != inode->writable) {
        *slot = descriptor;
    }
}

static bool enter(struct database *database, struct error *error)
{
    bool writes = !database->options.read_only;
    struct stat status;
    bool there = stat(database->file, &status) == 0;
    if (there && writes && !check_links(database, &status, error)) {
        return false;
    }
    struct inode *inode = there ? find(&status) : NULL;
    int descriptor = open_descriptor(database, inode, &status);
    if (descriptor < 0) {
        /* Why it cannot be read is told by SQLite. */
        return !writes || cannot_open(database, error);
    }
    inode = find(&status);
    if (!inode && !(inode = add(&status))) {
        close(descriptor);
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    keep(inode, descriptor, writes);
    inode->users++;
    database->inode = inode;
    return check_wal(database, &status, descriptor, error) &&
           (!writes || (check_links(database, &status, error) && lock(database, inode, error) &&
                        (database->locks_inode = true)));
}

bool inode_enter(struct database *database, struct error *error)
{
    pthread_mutex_lock(&inodes.mutex);
    bool done = enter(database, error);
    pthread_mutex_unlock(&inodes.mutex);
    return done;
}

static struct file_identity inode_identity(const struct database *database)
{
    const struct inode *inode = database->inode;
    return inode ? (struct file_identity){true, inode->device, inode->number}
                 : (struct file_identity){.known = false};
}

/* A descriptor of the database; -1: none. It may be read and never closed. */
static int inode_descriptor(const struct database *database)
{
    const struct inode *inode = database->inode;
    return !inode ? -1 : inode->writable >= 0 ? inode->writable : inode->readable;
}

void inode_leave(struct database *database)
{
    struct inode *inode = database->inode;
    if (!inode) {
        return;
    }
    pthread_mutex_lock(&inodes.mutex);
    /* A child of fork() shares the lock; its parent still needs it. */
    if (database->locks_inode && inode->owner == getpid()) {
        (void)set_lock(inode->writable, F_UNLCK);
    }
    if (database->locks_inode) {
        inode->locked = false;
    }
    if (--inode->users == 0) {
        close_inode(inode);
    }
    pthread_mutex_unlock(&inodes.mutex);
    database->inode = NULL;
}

enum { NAME_SIZE = PATH_MAX + 8 };

/* Of a database's first page (the SQLite file format). */
enum { MAGIC_SIZE = 16, PAGE_SIZE_AT = 16, PAGES_AT = 28, HEAD_SIZE = 32 };

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
    unsigned char header[HEAD_SIZE] = {0};
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
    return length < HEAD_SIZE || !is_ours(header) ||
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
