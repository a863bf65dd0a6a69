/* Brings the tables of an older file up to date: forward only, each step in its own transaction. */
#include "database/database_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* An empty file for the copy, which SQLite would give to everybody. */
static bool make_file(const char *backup, struct error *error)
{
    int file = open(backup, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, DATABASE_FILE_MODE);
    if (file >= 0) {
        close(file);
        return true;
    }
    if (errno == EEXIST) {
        return error_set(error, ERROR_DATABASE,
                         "the backup %s exists already: move it away, or name another one", backup);
    }
    bool full = errno == ENOSPC || errno == EDQUOT;
    return error_set(error, full ? ERROR_DISK_FULL : ERROR_DATABASE,
                     "cannot create the backup of the database before a migration, %s (%s): look "
                     "at its folder",
                     backup, error_reason(errno));
}

static int copy_all(sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *copy = sqlite3_backup_init(to, "main", from, "main");
    if (!copy) {
        return sqlite3_extended_errcode(to);
    }
    int result = sqlite3_backup_step(copy, -1);
    int finished = sqlite3_backup_finish(copy);
    return result == SQLITE_DONE ? finished : result;
}

static bool back_up(struct connection *connection, const char *backup, struct error *error)
{
    if (!make_file(backup, error)) {
        return false;
    }
    struct connection target = {.path = backup};
    int result = sqlite3_open_v2(backup, &target.sqlite,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL);
    if (result == SQLITE_OK) {
        result = copy_all(connection->sqlite, target.sqlite);
    }
    if (result != SQLITE_OK) {
        connection_fail(&target, result, error);
        error_prefix(error, "backup of %s before a migration", connection->path);
    }
    connection_close(&target);
    if (result != SQLITE_OK && access(backup, F_OK) == 0) {
        /* It was made above, so it is ours to take away; half a backup is worse than none. */
        (void)unlink(backup);
    }
    return result == SQLITE_OK;
}

static bool migrate_step(struct connection *connection, const struct database_migration *migration,
                         struct error *error)
{
    if (connection_execute(connection, "BEGIN IMMEDIATE", error) &&
        connection_execute(connection, migration->sql, error) &&
        connection_execute(connection, "COMMIT", error)) {
        return true;
    }
    if (!sqlite3_get_autocommit(connection->sqlite)) {
        (void)sqlite3_exec(connection->sqlite, "ROLLBACK", NULL, NULL, NULL);
    }
    return error_prefix(error, "migration %s", migration->name);
}

bool migrate(struct connection *connection, const struct database_migration *migrations,
             size_t count, int64_t version, const char *backup, struct error *error)
{
    int64_t target = count ? migrations[count - 1].version : 0;
    if (backup && version > 0 && version < target && !back_up(connection, backup, error)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (migrations[i].version <= version) {
            continue;
        }
        if (!migrate_step(connection, &migrations[i], error)) {
            return false;
        }
        if (version > 0) {
            log_info("store", "migrated", log_text("file", connection->path),
                     log_word("migration", migrations[i].name));
        }
    }
    return true;
}
