/*
 * The database that a write-ahead log follows. SQLite puts any log with right checksums over any
 * database of that name. So an older copy beside the log of the present file (`cp` of a stopped
 * database, later cp back after kill -9) would become a mixture of the two.
 *
 * A log begins anew only when all of the one before is in the database file. Then the lock file
 * gets its salts and the newest change at that moment: from then on the file itself, read without
 * its log, never shows an older one. A file that shows one is not the file that this log follows.
 * Nor is a copy that went on elsewhere: it is a database of its own, and knows the one of the lock
 * file as its origin. If the lock file knows another log or none, nothing can be told.
 */
#include "database/database_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

/* lock.c's part of the lock file begins with the epoch; behind it stands "salts change". */
enum { MARK_AT = 32, BASE_AT = 96, BASE_SIZE = 48, SALT_TEXT = 2 * WAL_SALT_SIZE };

static void print_salt(const char salt[WAL_SALT_SIZE], char text[SALT_TEXT + 1])
{
    for (int i = 0; i < WAL_SALT_SIZE; i++) {
        snprintf(text + 2 * (ptrdiff_t)i, 3, "%02x", (unsigned char)salt[i]);
    }
}

/* Not synced, as the other note there: after a power cut it may be of an earlier log. */
static void note(struct database *database, const char salt[WAL_SALT_SIZE], int64_t change)
{
    char salt_text[SALT_TEXT + 1], text[BASE_SIZE + 1];
    print_salt(salt, salt_text);
    snprintf(text, sizeof text, "%s %*lld\n", salt_text, BASE_SIZE - SALT_TEXT - 2,
             (long long)change);
    if (pwrite(database->lock, text, BASE_SIZE, BASE_AT) != BASE_SIZE && !database->mark_failed) {
        database->mark_failed = true;
        log_warning("store", "mark-not-written", log_beside("file", database->file, "-lock"));
    }
}

void wal_base_note(struct database *database, sqlite3 *sqlite, int64_t change)
{
    char salt[WAL_SALT_SIZE];
    if (database->lock >= 0 && wal_file_began(sqlite, salt)) {
        note(database, salt, change);
    }
}

/* Some bytes of a file beside the database; false: it has not so many. */
static bool read_beside(const struct database *database, const char *ending, char *bytes,
                        size_t size, off_t at)
{
    char name[PATH_MAX + 8];
    snprintf(name, sizeof name, "%s%s", database->file, ending);
    int file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        return false;
    }
    ssize_t length = pread(file, bytes, size, at);
    close(file);
    return length == (ssize_t)size;
}

static bool read_salt(const struct database *database, char salt[WAL_SALT_SIZE])
{
    char header[WAL_HEADER_SIZE];
    if (!read_beside(database, "-wal", header, sizeof header, 0)) {
        return false;
    }
    memcpy(salt, header + WAL_SALT_AT, WAL_SALT_SIZE);
    return true;
}

/* The change that the present log follows, where that is known. */
static bool read_base(const struct database *database, long long *change)
{
    char salt[WAL_SALT_SIZE], text[BASE_SIZE + 1] = "", noted[SALT_TEXT + 1], found[SALT_TEXT + 1];
    if (!read_salt(database, salt) || !read_beside(database, "-lock", text, BASE_SIZE, BASE_AT) ||
        sscanf(text, "%16s %lld", noted, change) != 2) {
        return false;
    }
    print_salt(salt, found);
    return strcmp(noted, found) == 0;
}

/* A log that had begun before is known from here on, but not what it follows. */
void wal_base_open(struct database *database)
{
    char salt[WAL_SALT_SIZE];
    long long change;
    if (database->lock >= 0 && !read_base(database, &change) && read_salt(database, salt)) {
        note(database, salt, 0);
    }
}

/* The content of the file without its log; unreadable parts are reported elsewhere. */
struct alone {
    long long change;
    bool went_on; /* as a database of its own, copied from the one that the lock file names */
};

static bool read_alone(const struct database *database, const char *epoch, struct alone *alone)
{
    static const char sql[] =
        "SELECT last_change, EXISTS (SELECT 1 FROM former_epoch WHERE epoch = ?1) "
        "AND NOT EXISTS (SELECT 1 FROM meta WHERE name = 'epoch' AND value = ?1) FROM log_state";
    sqlite3 *sqlite = NULL;
    sqlite3_stmt *statement = NULL;
    bool done = open_alone(database->file, &sqlite) == SQLITE_OK &&
                sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_bind_text(statement, 1, epoch, -1, SQLITE_STATIC) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW;
    if (done) {
        alone->change = sqlite3_column_int64(statement, 0);
        alone->went_on = sqlite3_column_int(statement, 1) != 0;
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(sqlite);
    return done;
}

/* In this order, since a server may be at work: what the file shows only grows. */
bool wal_base_check(struct database *database, struct error *error)
{
    long long base;
    struct alone alone;
    char epoch[EPOCH_LENGTH + 1] = "";
    if (!read_base(database, &base) ||
        !read_beside(database, "-lock", epoch, EPOCH_LENGTH, MARK_AT) ||
        !read_alone(database, epoch, &alone)) {
        return true;
    }
    if (alone.went_on) {
        return error_set(error, ERROR_DATABASE,
                         "%s is a copy that went on by itself, and not the database that %s-wal "
                         "belongs to: the two would be mixed. Put that database back, or move "
                         "%s-wal and %s-shm away to start with the copy",
                         database->path, database->file, database->file, database->file);
    }
    return alone.change >= base ||
           error_set(error, ERROR_DATABASE,
                     "%s is an older copy (its newest change is %lld) than the database that "
                     "%s-wal belongs to (which had %lld): the two would be mixed. Put that "
                     "database back, or move %s-wal and %s-shm away to start with the copy",
                     database->path, alone.change, database->file, base, database->file,
                     database->file);
}
