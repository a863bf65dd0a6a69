/*
 * The lock file beside the database: one writing program per name, and the place where its process
 * and state are noted. The kernel drops the lock with the process, however it ends, so there are no
 * stale locks and the file may stay. What holds for the file under all its names is in inode.c.
 */
#include "database/database_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

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

/* For the message above in another process; the lock itself does not depend on it. What identity.c
 * notes stands behind it. */
static void write_holder(struct database *database)
{
    char text[40];
    int length = snprintf(text, sizeof text, "%-31ld\n", (long)getpid());
    if (pwrite(database->lock, text, (size_t)length, 0) != length) {
        log_warning("store", "lock-holder-not-written", log_beside("file", database->file, "-lock"),
                    log_text("cause", error_reason(errno)));
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
    identity_read_mark(database);
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
