/*
 * The file of the write-ahead log, with its writes joined. SQLite writes each frame of the log as
 * two small pieces, a head and a page; here they are held and go out as few large writes.
 *
 * What another connection, a sync or a crash of this process may meet is always in the file:
 *  1. A transaction becomes visible after its last frame was written. That frame says so in its
 *     head (the size of the database, else 0), and with it everything is written.
 *  2. Before a read, a sync, a truncation or a question for the size, everything is written.
 *  3. Only what continues the write before it is held. Heads that are written again, when a page
 *     changed after it was written, go straight to the file.
 * So held are only frames of a transaction that is not committed. An error of a late write comes
 * back from the call that caused it, which is one of the same transaction or of a later one.
 *
 * A COMMIT can fail after its frames were written: its sync did, or what comes behind it. SQLite
 * goes on as if they were not there, but whoever opens the file after a crash would find the
 * transaction. So the head of its last frame is noted while it commits, and written over when it
 * failed (wal_file_take_back).
 */
#include "database/database_internal.h"

#include <errno.h>
#include <pthread.h>

enum {
    FRAME_HEAD = 24,
    SIZE_AT = 4, /* in the head: four bytes, the size of the database after a commit */
    HELD_BYTES = 31 * (FRAME_HEAD + 4096) /* SQLite's files take less than 128 KiB in a write */
};

/* SQLite's own file follows in the same block. */
struct wal_file {
    sqlite3_file base;
    char *held;
    size_t length;
    sqlite3_int64 end;   /* where the last write ended */
    int cause;           /* errno of the last write; 0: it went well */
    sqlite3_int64 given; /* bytes to write, ever, also those that could not be written */
    bool began;          /* its header was written since wal_file_began */
    char salt[WAL_SALT_SIZE];
    bool commits;            /* the last write was the head of the last frame of a transaction */
    sqlite3_int64 commit_at; /* where such a head was written since wal_file_expect; -1: none */
    char commit_head[FRAME_HEAD];
};

static struct {
    pthread_once_t once;
    sqlite3_vfs vfs;
    sqlite3_vfs *below;
    int result;
} layer = {.once = PTHREAD_ONCE_INIT};

static sqlite3_file *file_below(sqlite3_file *file)
{
    return (sqlite3_file *)((struct wal_file *)file + 1);
}

/* ---- writing ---- */

static int write_below(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    struct wal_file *wal = (struct wal_file *)file;
    sqlite3_file *below = file_below(file);
    int result = below->pMethods->xWrite(below, data, size, offset);
    wal->cause = result == SQLITE_OK ? 0 : errno;
    return result;
}

static int write_held(sqlite3_file *file)
{
    struct wal_file *wal = (struct wal_file *)file;
    if (wal->length == 0) {
        return SQLITE_OK;
    }
    int length = (int)wal->length;
    wal->length = 0;
    return write_below(file, wal->held, length, wal->end - length);
}

/* Whether there is room for `size` more, also after what is there was written. */
static bool can_hold(struct wal_file *wal, int size)
{
    if (!wal->held) {
        wal->held = memory_alloc(HELD_BYTES);
    }
    return wal->held && size <= HELD_BYTES;
}

static int write_through(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    int result = write_held(file);
    return result == SQLITE_OK ? write_below(file, data, size, offset) : result;
}

static int hold(sqlite3_file *file, const void *data, int size)
{
    struct wal_file *wal = (struct wal_file *)file;
    int result = wal->length + (size_t)size > HELD_BYTES ? write_held(file) : SQLITE_OK;
    if (result == SQLITE_OK) {
        memcpy(wal->held + wal->length, data, (size_t)size);
        wal->length += (size_t)size;
        wal->end += size;
    }
    return result;
}

static bool is_last_head(const void *data, int size)
{
    static const char none[4];
    return size == FRAME_HEAD && memcmp((const char *)data + SIZE_AT, none, sizeof none) != 0;
}

/* If a commit needs several such frames (to fill a sector), the first one counts. */
static void note_commit(struct wal_file *wal, const void *head, sqlite3_int64 offset)
{
    if (wal->commit_at < 0 || offset <= wal->commit_at) {
        wal->commit_at = offset;
        memcpy(wal->commit_head, head, FRAME_HEAD);
    }
}

static int wal_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    struct wal_file *wal = (struct wal_file *)file;
    bool last = wal->commits;
    int result;
    wal->given += size;
    if (offset == wal->end && can_hold(wal, size)) {
        result = hold(file, data, size);
        if (result == SQLITE_OK && last) {
            result = write_held(file);
        }
    } else {
        result = write_through(file, data, size, offset);
        wal->end = offset + size;
    }
    if (offset == 0 && size == WAL_HEADER_SIZE) {
        wal->began = true;
        memcpy(wal->salt, (const char *)data + WAL_SALT_AT, WAL_SALT_SIZE);
    }
    wal->commits = is_last_head(data, size);
    if (wal->commits) {
        note_commit(wal, data, offset);
    }
    return result;
}

/* ---- everything else: after what is held ---- */

static int wal_close(sqlite3_file *file)
{
    struct wal_file *wal = (struct wal_file *)file;
    sqlite3_file *below = file_below(file);
    /* The held frames are of a transaction that was rolled back. */
    memory_free(wal->held);
    wal->held = NULL;
    wal->length = 0;
    return below->pMethods->xClose(below);
}

static int wal_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
    sqlite3_file *below = file_below(file);
    int result = write_held(file);
    return result == SQLITE_OK ? below->pMethods->xRead(below, data, size, offset) : result;
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_file *below = file_below(file);
    int result = write_held(file);
    return result == SQLITE_OK ? below->pMethods->xTruncate(below, size) : result;
}

static int wal_sync(sqlite3_file *file, int flags)
{
    sqlite3_file *below = file_below(file);
    int result = write_held(file);
    return result == SQLITE_OK ? below->pMethods->xSync(below, flags) : result;
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *size)
{
    sqlite3_file *below = file_below(file);
    int result = write_held(file);
    return result == SQLITE_OK ? below->pMethods->xFileSize(below, size) : result;
}

static int wal_control(sqlite3_file *file, int what, void *argument)
{
    sqlite3_file *below = file_below(file);
    return below->pMethods->xFileControl(below, what, argument);
}

static int wal_lock(sqlite3_file *file, int kind)
{
    sqlite3_file *below = file_below(file);
    return below->pMethods->xLock(below, kind);
}

static int wal_unlock(sqlite3_file *file, int kind)
{
    sqlite3_file *below = file_below(file);
    return below->pMethods->xUnlock(below, kind);
}

static int wal_is_reserved(sqlite3_file *file, int *reserved)
{
    sqlite3_file *below = file_below(file);
    return below->pMethods->xCheckReservedLock(below, reserved);
}

static int wal_sector_size(sqlite3_file *file)
{
    sqlite3_file *below = file_below(file);
    return below->pMethods->xSectorSize(below);
}

static int wal_characteristics(sqlite3_file *file)
{
    sqlite3_file *below = file_below(file);
    return below->pMethods->xDeviceCharacteristics(below);
}

/* ---- opening ---- */

static const sqlite3_io_methods methods = {
    .iVersion = 1, /* neither shared memory nor mapping: SQLite asks for them elsewhere */
    .xClose = wal_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = wal_size,
    .xLock = wal_lock,
    .xUnlock = wal_unlock,
    .xCheckReservedLock = wal_is_reserved,
    .xFileControl = wal_control,
    .xSectorSize = wal_sector_size,
    .xDeviceCharacteristics = wal_characteristics,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL)) {
        return layer.below->xOpen(layer.below, name, file, flags, out);
    }
    sqlite3_file *below = file_below(file);
    *(struct wal_file *)file = (struct wal_file){.end = -1, .commit_at = -1};
    memset(below, 0, (size_t)layer.below->szOsFile);
    int result = layer.below->xOpen(layer.below, name, below, flags, out);
    /* By SQLite's rules a file with methods is closed, also when opening it failed. */
    file->pMethods = below->pMethods ? &methods : NULL;
    return result;
}

static void put_layer(void)
{
    layer.below = sqlite3_vfs_find(NULL);
    if (!layer.below) {
        layer.result = SQLITE_ERROR;
        return;
    }
    layer.vfs = *layer.below;
    layer.vfs.pNext = NULL;
    layer.vfs.zName = "stele";
    layer.vfs.szOsFile = (int)sizeof(struct wal_file) + layer.below->szOsFile;
    layer.vfs.xOpen = open_file;
    layer.result = sqlite3_vfs_register(&layer.vfs, 0);
}

const char *wal_file_layer(void)
{
    pthread_once(&layer.once, put_layer);
    return layer.result == SQLITE_OK ? layer.vfs.zName : NULL;
}

/* ---- a commit that failed ---- */

/* The log of a connection; NULL before it has one. */
static struct wal_file *log_of(sqlite3 *database)
{
    sqlite3_file *file = NULL;
    int result = sqlite3_file_control(database, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
    return result == SQLITE_OK && file && file->pMethods == &methods ? (struct wal_file *)file
                                                                     : NULL;
}

void wal_file_expect(sqlite3 *database)
{
    struct wal_file *wal = log_of(database);
    if (wal) {
        wal->commit_at = -1;
    }
}

struct wal_file_state wal_file_state(sqlite3 *database)
{
    const struct wal_file *wal = log_of(database);
    return wal ? (struct wal_file_state){.given = wal->given, .cause = wal->cause}
               : (struct wal_file_state){.given = 0};
}

bool wal_file_began(sqlite3 *database, char salt[WAL_SALT_SIZE])
{
    struct wal_file *wal = log_of(database);
    if (!wal || !wal->began) {
        return false;
    }
    wal->began = false;
    memcpy(salt, wal->salt, WAL_SALT_SIZE);
    return true;
}

/* On disk, not only written: a power cut must not bring the frame back. */
static bool write_over(sqlite3_file *below, sqlite3_int64 offset)
{
    static const char none[FRAME_HEAD];
    return below->pMethods->xWrite(below, none, FRAME_HEAD, offset) == SQLITE_OK &&
           below->pMethods->xSync(below, SQLITE_SYNC_NORMAL) == SQLITE_OK;
}

bool wal_file_take_back(sqlite3 *database)
{
    struct wal_file *wal = log_of(database);
    char found[FRAME_HEAD];
    if (!wal || wal->commit_at < 0) {
        return true;
    }
    /* The held frames are of the transaction that failed. */
    wal->length = 0;
    wal->end = -1;
    /* SQLite has given the lock up; another program may have written there since. */
    if (sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        return false;
    }
    sqlite3_file *below = file_below(&wal->base);
    int result = below->pMethods->xRead(below, found, FRAME_HEAD, wal->commit_at);
    bool other = result == SQLITE_IOERR_SHORT_READ ||
                 (result == SQLITE_OK && memcmp(found, wal->commit_head, FRAME_HEAD) != 0);
    bool done = other || write_over(below, wal->commit_at);
    (void)sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    wal->commit_at = -1;
    return done;
}
