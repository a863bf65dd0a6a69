/*
 * Room for what is to be written. After a disk was full, one row that fits into the end of the
 * write-ahead log says nothing about the transaction that waits. So the file system is asked to set
 * blocks aside behind what the log holds, where that transaction will be written.
 */
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { SHARED_MEMORY_BYTES = 64 * 1024 /* the -shm grows along */ };

int64_t store_writer_largest(const struct store_writer *writer)
{
    return writer->largest;
}

static bool is_full(const struct store *store, int64_t bytes, struct error *error)
{
    return error_set(error, ERROR_DISK_FULL,
                     "the disk of %s has no room for %lld bytes, which the next transaction may "
                     "take: make room on that disk",
                     store->path, (long long)bytes);
}

/* What is written next comes behind the pages that count; at a start that is not known yet. */
static int64_t end_of_log(const struct store *store)
{
    return store_wal_commits(store) ? (int64_t)store_wal_pages(store) * STORE_WAL_PAGE_BYTES
                                    : store_wal_bytes(store);
}

static bool set_aside(const struct store *store, int64_t bytes, struct error *error)
{
    char name[PATH_MAX + 8];
    snprintf(name, sizeof name, "%s-wal", store->file);
    /* SQLite has no locks on this file, so it may be closed again. */
    int file = open(name, O_RDWR | O_CLOEXEC);
    int result = -1, cause = errno;
    if (file >= 0) {
        result = fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)end_of_log(store), (off_t)bytes);
        cause = errno;
        close(file);
    }
    bool full = result != 0 && (cause == ENOSPC || cause == EDQUOT);
    return full ? is_full(store, bytes, error) : true;
}

static bool is_limited(const struct store *store, int64_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           (rlim_t)(end_of_log(store) + bytes) > limit.rlim_cur;
}

/* Free room is looked at behind the allocation, which has taken its own part of it. */
static bool has_rest(const struct store *store, int64_t bytes, struct error *error)
{
    struct statvfs disk;
    if (statvfs(store->file, &disk) != 0 ||
        (int64_t)disk.f_bavail * (int64_t)disk.f_frsize >= SHARED_MEMORY_BYTES) {
        return true;
    }
    return is_full(store, bytes, error);
}

bool store_reserve(struct store_writer *writer, int64_t bytes, struct error *error)
{
    const struct store *store = writer->store;
    if (is_limited(store, bytes)) {
        return error_set(error, ERROR_FILE_LIMIT, STORE_FILE_LIMIT_TEXT, store->path);
    }
    return set_aside(store, bytes, error) && has_rest(store, bytes, error);
}
