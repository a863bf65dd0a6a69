/*
 * A copy of a database, also of one that a server is writing. It is of one state: a read
 * transaction is held while it is made, so it never has to begin anew, however busy the server is.
 * The price is that the server's write-ahead log cannot be started afresh meanwhile and grows by
 * what is committed; a limit bounds that.
 */
#include "database/database_internal.h"

#include <unistd.h>

/* ---- the backup ---- */

enum { STEP_PAGES = 1024 };

struct backup {
    const struct database_backup_options *options;
    struct database *database;
    struct connection source;
    struct backup_file file;
    struct connection copy;
    int64_t wal_bytes; /* when it began */
    struct database_backup_result *result;
};

/* ---- the copy as a database ---- */

static bool copy_fail(struct backup *backup, int result, struct error *error)
{
    int what = result & 0xff;
    bool of_source = what == SQLITE_CORRUPT || what == SQLITE_NOTADB;
    if (what == SQLITE_FULL) {
        return error_set(error, ERROR_DISK_FULL,
                         "no room for a copy as %s: nothing is left of it; make room, or name a "
                         "file on another disk",
                         backup->options->to);
    }
    return connection_fail(of_source ? &backup->source : &backup->copy, result, error);
}

static bool open_copy(struct backup *backup, struct error *error)
{
    backup->copy.path = backup->file.partial;
    int result =
        sqlite3_open_v2(backup->file.partial, &backup->copy.sqlite,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    /* Until it has its name it is worth nothing, so nothing protects it; the end syncs it. */
    return result == SQLITE_OK ? connection_execute(&backup->copy,
                                                    "PRAGMA journal_mode=OFF; "
                                                    "PRAGMA synchronous=OFF; "
                                                    "PRAGMA locking_mode=EXCLUSIVE;",
                                                    error)
                               : copy_fail(backup, result, error);
}

/* A write-ahead log that grows for as long as a slow copy takes must not fill the disk. */
static bool check_wal(const struct backup *backup, struct error *error)
{
    int64_t grew = database_wal_bytes(backup->database) - backup->wal_bytes;
    backup->result->wal_growth = grew > 0 ? grew : 0;
    if (backup->options->wal_limit <= 0 || grew <= backup->options->wal_limit) {
        return true;
    }
    return error_set(error, ERROR_TOO_LARGE,
                     "given up: the write-ahead log of %s grew by %lld bytes while the copy was "
                     "made; copy to a quicker disk, at a quieter time, or with a greater "
                     "--wal-limit",
                     backup->options->from, (long long)grew);
}

static bool goes_on(const struct backup *backup, sqlite3_backup *copy, struct error *error)
{
    int64_t pages = sqlite3_backup_pagecount(copy);
    int64_t done = pages - sqlite3_backup_remaining(copy);
    const struct database_backup_options *options = backup->options;
    int64_t size = backup->result->page_bytes;
    if (options->progress && !options->progress(options->argument, done * size, pages * size)) {
        return error_set(error, ERROR_SHUTTING_DOWN, "interrupted: nothing is left of the copy");
    }
    return check_wal(backup, error);
}

static bool copy_pages(struct backup *backup, struct error *error)
{
    sqlite3 *from = backup->source.sqlite;
    sqlite3_backup *copy = sqlite3_backup_init(backup->copy.sqlite, "main", from, "main");
    if (!copy) {
        return copy_fail(backup, sqlite3_extended_errcode(backup->copy.sqlite), error);
    }
    int result = SQLITE_OK;
    bool good = true;
    while (good && result == SQLITE_OK) {
        result = sqlite3_backup_step(copy, STEP_PAGES);
        good = (result != SQLITE_OK && result != SQLITE_DONE) || goes_on(backup, copy, error);
    }
    int finished = sqlite3_backup_finish(copy);
    if (good && result != SQLITE_DONE) {
        return copy_fail(backup, result, error);
    }
    return good && (finished == SQLITE_OK || copy_fail(backup, finished, error));
}

/*
 * The copy becomes a plain file without a write-ahead log. A server that is started on it makes a
 * new epoch of this mark: from here on it may part from what the original tells its clients. That
 * of a replica has the mark anyway: so it is noted, too, that it is not in the original's file.
 */
static bool finish_copy(struct backup *backup, struct error *error)
{
    return connection_execute(&backup->copy, "PRAGMA journal_mode=MEMORY;", error) &&
           connection_execute(
               &backup->copy,
               "INSERT OR REPLACE INTO meta VALUES ('copied', '1'), ('file', 'none')", error);
}

static bool check_copy(struct backup *backup, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result =
        sqlite3_prepare_v2(backup->copy.sqlite, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    const char *line = result == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : "";
    bool good = line && strcmp(line, "ok") == 0;
    /* Want of memory is found, too: "unable to get the page", with SQLite's number for it. */
    bool starved = !line || strstr(line, "error code=7");
    if (result != SQLITE_ROW || starved) {
        copy_fail(backup, starved ? SQLITE_NOMEM : result, error);
    } else if (!good) {
        error_set(error, ERROR_DATABASE,
                  "the copy is damaged (%s), and so is %s: run `stele check` on it", line,
                  backup->options->from);
    }
    sqlite3_finalize(statement);
    return good;
}

/* ---- all of it ---- */

/* The newest change and the greatest seq of the log. */
static bool read_log(struct backup *backup, struct error *error)
{
    struct database_backup_result *result = backup->result;
    struct connection *source = &backup->source;
    if (!connection_integer(source, "SELECT last_change FROM log_state", &result->last_change,
                            error) ||
        !connection_integer(source, "SELECT head_slot FROM log_state", &result->head.slot, error) ||
        !connection_integer(source, "SELECT head_idx FROM log_state", &result->head.index, error)) {
        return false;
    }
    result->any = result->last_change > 0;
    return true;
}

static bool read_state(struct backup *backup, struct error *error)
{
    struct database_backup_result *result = backup->result;
    int64_t size, pages;
    if (!connection_begin(&backup->source, false, error) || !read_log(backup, error) ||
        !connection_integer(&backup->source, "PRAGMA page_size", &size, error) ||
        !connection_integer(&backup->source, "PRAGMA page_count", &pages, error)) {
        return false;
    }
    backup->wal_bytes = database_wal_bytes(backup->database);
    result->page_bytes = size;
    return backup_file_has_room(&backup->file, pages * size, error);
}

static bool run(struct backup *backup, struct error *error)
{
    const struct database_backup_options *options = backup->options;
    struct database_options source = {.path = options->from, .read_only = true};
    backup->database = database_open(&source, error);
    if (!backup->database || !backup_file_make(&backup->file, backup->database, error)) {
        return false;
    }
    if (!connection_open(&backup->source, backup->database, CONNECTION_READER, DATABASE_STATEMENTS,
                         error) ||
        !open_copy(backup, error) || !read_state(backup, error) || !copy_pages(backup, error)) {
        return false;
    }
    connection_rollback(&backup->source); /* the server's log is free again */
    if (!finish_copy(backup, error) || (options->check && !check_copy(backup, error))) {
        return false;
    }
    connection_close(&backup->copy);
    backup->result->bytes = (int64_t)lseek(backup->file.descriptor, 0, SEEK_END);
    if (!options->nameless) {
        return backup_file_keep(&backup->file, error);
    }
    backup->result->descriptor = backup->file.descriptor;
    backup->file.descriptor = -1; /* what it is of loses its name with the rest */
    return true;
}

bool database_backup(const struct database_backup_options *options,
                     struct database_backup_result *result, struct error *error)
{
    struct backup backup = {
        .options = options,
        .result = result,
        .file = {.to = options->to, .replace = options->replace, .descriptor = -1, .lock = -1},
    };
    *result = (struct database_backup_result){.descriptor = -1};
    bool done = run(&backup, error);
    connection_close(&backup.copy);
    connection_close(&backup.source);
    backup_file_fini(&backup.file);
    database_close(backup.database);
    return done;
}

void database_backup_clean(const char *to)
{
    struct backup_file file = {.to = to, .descriptor = -1, .lock = -1};
    file.made = backup_file_name(&file);
    backup_file_fini(&file);
}
