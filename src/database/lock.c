/*
 * The lock file beside the database: one writing program per name, and the notes of its process and
 * state. The kernel drops the lock with the process, however it ends, so there are no stale locks
 * and the file may stay. inode.c has the rules for the file under all its names.
 */
#include "database/database_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

/* The mark of the database's state stands behind the holder's pid; wal_base.c reads its epoch. */
enum { MARK_AT = 32, MARK_SIZE = 64 };

/* The pid that the holder wrote there; 0 when it cannot be read. */
static long holder_of(int lock)
{
    char text[32] = "";
    ssize_t length = pread(lock, text, sizeof text - 1, 0);
    long holder = 0;
    if (length <= 0 || sscanf(text, "%ld", &holder) != 1 || holder < 0) {
        return 0;
    }
    return holder;
}

static bool refuse(struct database *database, const char *name, struct error *error)
{
    long holder = holder_of(database->lock);
    char who[48] = "another server";
    if (holder) {
        snprintf(who, sizeof who, "another server (process %ld)", holder);
    }
    return error_set(error, ERROR_DATABASE_IN_USE,
                     "%s is in use by %s, which holds %s: stop that one, or use another file",
                     database->path, who, name);
}

/* For the message above in another process; the lock itself does not depend on it. The
 * mark stands behind it. */
static void write_holder(struct database *database)
{
    char text[40];
    int length = snprintf(text, sizeof text, "%-31ld\n", (long)getpid());
    if (pwrite(database->lock, text, (size_t)length, 0) != length) {
        log_warning("store", "lock-holder-not-written", log_beside("file", database->file, "-lock"),
                    log_text("cause", error_reason(errno)));
    }
}

static void read_mark(struct database *database)
{
    char text[MARK_SIZE + 1] = "";
    long long change;
    char epoch[EPOCH_LENGTH + 1];
    ssize_t length = pread(database->lock, text, MARK_SIZE, MARK_AT);
    if (length == MARK_SIZE && sscanf(text, "%36s %lld", epoch, &change) == 2 &&
        strlen(epoch) == EPOCH_LENGTH) {
        memcpy(database->mark_epoch, epoch, sizeof epoch);
        database->mark_change = change;
    }
}

bool lock_take(struct database *database, struct error *error)
{
    char name[PATH_MAX + 8];
    snprintf(name, sizeof name, "%s-lock", database->file);
    database->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, DATABASE_FILE_MODE);
    if (database->lock < 0) {
        enum error_code code = errno == ENOSPC ? ERROR_DISK_FULL : ERROR_DATABASE;
        return error_set(error, code,
                         "cannot create %s (%s): the folder of the database must be writable for "
                         "the user that runs the server",
                         name, error_reason(errno));
    }
    if (flock(database->lock, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK
                   ? refuse(database, name, error)
                   : error_set(error, ERROR_DATABASE,
                               "cannot lock %s (%s): put the database on a local disk", name,
                               error_reason(errno));
    }
    read_mark(database);
    write_holder(database);
    database->lock_owner = getpid();
    return true;
}

/* A child of fork() shares the lock, and would keep it as long as it lives: so it is given back,
 * not only closed; and never by the child, whose parent still needs it. */
void lock_drop(struct database *database)
{
    if (database->lock >= 0) {
        if (database->lock_owner == getpid())
            flock(database->lock, LOCK_UN);
        close(database->lock);
        database->lock = -1;
    }
}

/* Not synced: after a power cut it may be behind, which is as if less was copied away. */
void lock_write_mark(struct database *database, int64_t change)
{
    char text[MARK_SIZE + 1];
    if (database->lock < 0) {
        return;
    }
    snprintf(text, sizeof text, "%s %*lld\n", database->epoch, MARK_SIZE - EPOCH_LENGTH - 2,
             (long long)change);
    if (pwrite(database->lock, text, MARK_SIZE, MARK_AT) != MARK_SIZE && !database->mark_failed) {
        database->mark_failed = true;
        log_warning("store", "mark-not-written", log_beside("file", database->file, "-lock"));
    }
}
