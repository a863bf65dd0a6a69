/*
 * When the disk or the file refuses. Submissions are answered at once with that error, and the disk
 * is tried again, every second at first, until it takes a write and has room for one as large as
 * the largest so far. A file that is gone is waited for, too: it may be moved back. A write-ahead
 * log at its limit is waited for until it was moved into the database. A damaged file stays so
 * until the server is stopped, and so does one that another program changed.
 */
#include "engine/disk.h"

#include "base/invariant.h"

enum { PROBE_US = 1000 * 1000, LONGEST_PROBE_US = 60 * PROBE_US, WATCH_US = 250 * 1000 };
/* The free room that intake needs after a full disk: twice the largest transaction so far, and
 * again twice as much if that was not enough. */
#define LEAST_ROOM ((int64_t)1 << 20)
#define MOST_ROOM ((int64_t)1 << 30)

static bool wal_error(const struct disk *disk, struct error *error)
{
    const char *why =
        checkpoints_fail(disk->checkpoints)
            ? "the disk does not take it; the log says more under checkpoints-fail"
            : "a program has been reading for long, a backup or an sqlite3 shell perhaps (lsof on "
              "the file tells which): end it, or raise max_wal_bytes";
    return error_set(error, ERROR_WAL_LIMIT,
                     "the write-ahead log of %.120s has reached max_wal_bytes (%lld) and cannot be "
                     "moved into the database: %s. Intake goes on by itself",
                     database_state(disk->database).path, (long long)disk->max_wal_bytes, why);
}

bool disk_error(const struct disk *disk, enum error_code state, struct error *error)
{
    const char *path = database_state(disk->database).path;
    INVARIANT(state != ERROR_NONE);
    switch (state) {
    case ERROR_DATABASE_GONE:
        return error_set(error, state,
                         "the database file %s was removed, moved or replaced under the server; "
                         "its log says how to save the data",
                         path);
    case ERROR_DATABASE_DAMAGED:
        return error_set(error, state, "the database %s is damaged and must be restored", path);
    case ERROR_DATABASE_UNUSABLE:
        return error_set(error, state,
                         "the database %s was changed by another program and takes no commit; the "
                         "server's log says what was changed",
                         path);
    case ERROR_FILE_LIMIT:
        return error_set(error, state,
                         "%s or its -wal may not grow beyond the limit of the size of files "
                         "(ulimit -f, LimitFSIZE=); intake goes on by itself once it may",
                         path);
    case ERROR_WAL_LIMIT:
        return wal_error(disk, error);
    default:
        return error_set(error, state,
                         "the disk of %s does not take writes; intake goes on by itself when it "
                         "does",
                         path);
    }
}

/* ---- stopping ---- */

static bool is_for_good(enum error_code state)
{
    return state == ERROR_DATABASE_DAMAGED || state == ERROR_DATABASE_UNUSABLE;
}

/* One that fails again and again is tried less and less often. */
static void set_probe(struct disk *disk)
{
    if (disk->probe_rest_us < PROBE_US)
        disk->probe_rest_us = PROBE_US;
    disk->probe_us = clock_monotonic_us() + disk->probe_rest_us;
}

static void stop(struct disk *disk, enum error_code state, const struct error *error)
{
    set_probe(disk);
    if (disk_state(disk) == state || is_for_good(disk_state(disk)))
        return;
    atomic_store(&disk->state, (int)state);
    log_error("engine", "intake-stopped", log_text("error", error->message));
}

/* Intake went on, and no commit succeeded since: neither the rest nor the room were enough. */
static void expect_more(struct disk *disk)
{
    int64_t room = 2 * store_writer_state(disk->store).largest;
    if (disk->on_trial) {
        disk->probe_rest_us *= disk->probe_rest_us < LONGEST_PROBE_US ? 2 : 1;
        disk->room *= 2;
    }
    disk->on_trial = false;
    disk->room = disk->room > room ? disk->room : room;
    if (disk->room < LEAST_ROOM)
        disk->room = LEAST_ROOM;
    if (disk->room > MOST_ROOM)
        disk->room = MOST_ROOM;
}

void disk_committed(struct disk *disk)
{
    disk->on_trial = false;
    disk->probe_rest_us = 0;
    disk->room = 0;
}

bool disk_stop_intake(struct disk *disk, const struct error *error)
{
    struct error schema = {.code = ERROR_NONE}, cause;
    switch (error->code) {
    case ERROR_OUTCOME_UNKNOWN:
        expect_more(disk);
        stop(disk, ERROR_DISK_FAILED, error);
        return true;
    case ERROR_DISK_FULL:
    case ERROR_DISK_FAILED:
    case ERROR_FILE_LIMIT:
        expect_more(disk);
        stop(disk, error->code, error);
        return true;
    case ERROR_DATABASE_DAMAGED: /* what was done to the file says more than what SQLite met */
        stop(disk, error->code, database_check_content(disk->database, &cause) ? error : &cause);
        return true;
    case ERROR_DATABASE:
        if (store_check_schema(disk->store, &schema) || schema.code != ERROR_DATABASE_UNUSABLE)
            return false;
        stop(disk, schema.code, &schema);
        return true;
    default:
        return false;
    }
}

/* ---- looking ---- */

/* The content of the file counts, not its size. */
static bool wal_exceeds(const struct disk *disk, int64_t bytes)
{
    return disk->max_wal_bytes &&
           (int64_t)database_state(disk->database).wal_pages * DATABASE_WAL_PAGE_BYTES > bytes;
}

void disk_watch(struct disk *disk)
{
    struct error error;
    uint64_t now = clock_monotonic_us();
    if (disk_state(disk) == ERROR_NONE && wal_exceeds(disk, disk->max_wal_bytes)) {
        wal_error(disk, &error);
        stop(disk, error.code, &error);
    }
    if (now < disk->watch_us)
        return;
    disk->watch_us = now + WATCH_US;
    if (!database_check_files(disk->database, &error))
        stop(disk, error.code, &error);
}

/* ---- going on ---- */

static bool write_one(struct disk *disk, struct error *error)
{
    checkpoints_pass(disk->checkpoints);
    return store_begin(disk->store, error) &&
           store_meta_put(disk->store, "disk_probe", span_of("ok"), error) &&
           store_commit(disk->store, error);
}

static bool may_go_on(struct disk *disk, struct error *error)
{
    if (!database_check_files(disk->database, error))
        return false;
    if (disk_state(disk) == ERROR_WAL_LIMIT)
        return !wal_exceeds(disk, disk->max_wal_bytes / 2) || wal_error(disk, error);
    return (disk->room == 0 || database_reserve(disk->database, disk->room, error)) &&
           write_one(disk, error);
}

void disk_probe(struct disk *disk)
{
    struct error error;
    enum error_code state = disk_state(disk);
    if (state == ERROR_NONE || is_for_good(state) || clock_monotonic_us() < disk->probe_us)
        return;
    if (!may_go_on(disk, &error)) {
        store_rollback(disk->store);
        if (error.code == ERROR_DATABASE_GONE || error.code == ERROR_WAL_LIMIT)
            stop(disk, error.code, &error);
        else if (!disk_stop_intake(disk, &error))
            set_probe(disk);
        return;
    }
    disk->on_trial = state != ERROR_WAL_LIMIT;
    atomic_store(&disk->state, ERROR_NONE);
    log_info("engine", "intake-resumed", log_text("file", database_state(disk->database).path));
}
