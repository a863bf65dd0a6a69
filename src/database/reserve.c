/*
 * Room for what is to be written, and what the files take. After a disk was full, one row that fits
 * into the end of the write-ahead log says nothing about the transaction that waits. So the file
 * system is asked to set blocks aside behind what the log holds, where that transaction will be
 * written.
 */
#include "database/database_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { SHARED_MEMORY_BYTES = 64 * 1024 /* the -shm grows along */ };

static bool is_full(const struct database *database, int64_t bytes, struct error *error)
{
    return error_set(error, ERROR_DISK_FULL,
                     "the disk of %s has no room for %lld bytes, which the next transaction may "
                     "take: make room on that disk",
                     database->path, (long long)bytes);
}

/* The next pages come behind those that count; at a start that is not known yet. */
static int64_t end_of_log(const struct database *database)
{
    return atomic_load(&database->wal_commits)
               ? (int64_t)atomic_load(&database->wal_pages) * DATABASE_WAL_PAGE_BYTES
               : database_wal_bytes(database);
}

static bool set_aside(const struct database *database, int64_t bytes, struct error *error)
{
    char name[PATH_MAX + 8];
    snprintf(name, sizeof name, "%s-wal", database->file);
    /* SQLite has no locks on this file, so it may be closed again. */
    int file = open(name, O_RDWR | O_CLOEXEC);
    int result = -1, cause = errno;
    if (file >= 0) {
        result = fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)end_of_log(database), (off_t)bytes);
        cause = errno;
        close(file);
    }
    bool full = result != 0 && (cause == ENOSPC || cause == EDQUOT);
    return full ? is_full(database, bytes, error) : true;
}

static bool is_limited(const struct database *database, int64_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           (rlim_t)(end_of_log(database) + bytes) > limit.rlim_cur;
}

/* Free room is looked at behind the allocation, which has taken its own part of it. */
static bool has_rest(const struct database *database, int64_t bytes, struct error *error)
{
    struct statvfs disk;
    if (statvfs(database->file, &disk) != 0 ||
        (int64_t)disk.f_bavail * (int64_t)disk.f_frsize >= SHARED_MEMORY_BYTES) {
        return true;
    }
    return is_full(database, bytes, error);
}

bool database_reserve(const struct database *database, int64_t bytes, struct error *error)
{
    if (is_limited(database, bytes)) {
        return error_set(error, ERROR_FILE_LIMIT, DATABASE_FILE_LIMIT_TEXT, database->path);
    }
    return set_aside(database, bytes, error) && has_rest(database, bytes, error);
}

void database_read_sizes(const struct database *database, struct database_sizes *sizes)
{
    struct stat status;
    struct statvfs disk;
    *sizes = (struct database_sizes){-1, database_wal_bytes(database), -1, -1};
    if (stat(database->file, &status) == 0) {
        sizes->database_bytes = (int64_t)status.st_size;
    }
    if (statvfs(database->file, &disk) == 0) {
        sizes->free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
        sizes->disk_bytes = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
    }
}
