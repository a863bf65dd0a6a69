/*
 * The uuid of a database's life, and those of the databases that it is a copy of; and of its file,
 * which tells it from the others of a history that several follow: nodes of a log, replicas.
 *
 * Whether the database file is the one that the last server had, or a copy that was put in its
 * place. A copy is the database of some time ago: from there on the two tell different things
 * under the same seq, so it needs an epoch of its own. Three notes tell:
 *
 *  - In the database (meta.file): which file it is in, by inode and time of birth. Whoever copies
 *    it makes another file: cp, rsync, tar, reflinks, the shell's .backup. A move keeps both.
 *  - Beside it, in the lock file (lock.c): its epoch and newest change. What is copied into the
 *    file itself (cp onto it keeps the inode) is behind that, or of another epoch.
 *  - In the database (meta.running): the start of the machine on which a server has it open. The
 *    note goes at an orderly stop. A volume that was brought back to a snapshot of a running server
 *    looks as after a power cut: the note is there, the machine was started anew.
 */
#include "database/database_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

/* ---- which file it is ---- */

enum { FILE_SIZE = 80 };

/* "inode birth", where the file system knows when a file was made. Without opening the file, which
 * would drop SQLite's locks. */
static bool read_file(const struct database *database, char text[FILE_SIZE])
{
    struct statx found;
    if (statx(AT_FDCWD, database->file, 0, STATX_INO | STATX_BTIME, &found) != 0) {
        return false;
    }
    bool has_birth = found.stx_mask & STATX_BTIME;
    snprintf(text, FILE_SIZE, "%llu %lld.%09u", (unsigned long long)found.stx_ino,
             has_birth ? (long long)found.stx_btime.tv_sec : 0LL,
             has_birth ? found.stx_btime.tv_nsec : 0);
    return true;
}

/* ---- the notes in it ---- */

static bool identity_check(struct database *database, int64_t last_change, const char **cause,
                           struct error *error)
{
    char file[FILE_SIZE], boot[CLOCK_BOOT_ID_SIZE];
    bool same_file = true, same_boot = true;
    *cause = NULL;
    if ((read_file(database, file) &&
         !meta_says(&database->main, "file", file, &same_file, error)) ||
        (clock_boot_id(boot) && !meta_says(&database->main, "running", boot, &same_boot, error))) {
        return false;
    }
    bool has_mark = database->mark_epoch[0] != 0;
    if (!same_file) {
        *cause = "it is in another file than before";
    } else if (has_mark && strcmp(database->mark_epoch, database->epoch) != 0) {
        *cause = "another database was here before";
    } else if (has_mark && database->mark_change > last_change) {
        *cause = "a later state of it was here before";
    } else if (!same_boot) {
        *cause = "a server had it open when the machine, or the copied one, ended";
    }
    return true;
}

static bool identity_note(struct database *database, struct error *error)
{
    char file[FILE_SIZE], boot[CLOCK_BOOT_ID_SIZE];
    bool same = true;
    struct connection *main = &database->main;
    return (!read_file(database, file) || meta_put(main, "file", span_of(file), error)) &&
           (clock_boot_id(boot) ? meta_put(main, "running", span_of(boot), error)
                                : meta_says(&database->main, "running", "", &same, error));
}

/* ---- epochs ---- */

enum { MOST_FORMER = 1000 };

void database_new_uuid(char *text)
{
    uuid_t id;
    uuid_generate_random(id);
    uuid_unparse_lower(id, text);
}

static bool put_uuid(struct connection *main, const char *name, struct error *error)
{
    char text[DATABASE_UUID_SIZE];
    database_new_uuid(text);
    return meta_put(main, name, span_of(text), error);
}

/* Into `uuid`; *found: there is one. */
static bool get_uuid(struct connection *main, const char *name, char uuid[EPOCH_LENGTH + 1],
                     bool *found, struct error *error)
{
    struct buffer value;
    buffer_init(&value, EPOCH_LENGTH);
    bool ok = meta_get(main, name, &value, found, error);
    *found = ok && value.length == EPOCH_LENGTH;
    if (*found) {
        memcpy(uuid, value.data, EPOCH_LENGTH);
    }
    buffer_fini(&value);
    return ok;
}

static bool read_own(struct database *database, struct error *error)
{
    bool found = false;
    return get_uuid(&database->main, "epoch", database->epoch, &found, error) &&
           (found || error_set(error, ERROR_DATABASE,
                               "%s has no epoch: it is damaged; use a backup", database->path));
}

/* A new file has none, nor has one of an older version. */
static bool read_file_uuid(struct database *database, bool make, struct error *error)
{
    struct connection *main = &database->main;
    bool found = false;
    return get_uuid(main, "file_uuid", database->file_uuid, &found, error) &&
           (found || !make ||
            (put_uuid(main, "file_uuid", error) &&
             get_uuid(main, "file_uuid", database->file_uuid, &found, error)));
}

/*
 * Its history is shared, so a copy of it keeps the epoch; but not the uuid of the file: from there
 * on the two commit the same changes in different transactions. Where a copy parts, the uuid may
 * stay: with the new epoch it is told from that of the original.
 */
static bool note_shared(struct database *database, int64_t last_change, struct error *error)
{
    const char *cause = NULL;
    return read_own(database, error) && identity_check(database, last_change, &cause, error) &&
           (!cause || put_uuid(&database->main, "file_uuid", error)) &&
           identity_note(database, error);
}

/* A copy parts from its original here. */
static bool part(struct database *database, const char *cause, int64_t last_change,
                 struct error *error)
{
    static const char note[] =
        "INSERT OR REPLACE INTO former_epoch SELECT value, last_change FROM meta, log_state "
        "WHERE name = 'epoch'";
    struct connection *main = &database->main;
    log_warning("store", "epoch-parted", log_text("file", database->path),
                log_number("change", last_change), log_text("cause", cause));
    return connection_execute(main, note, error) && put_uuid(main, "epoch", error) &&
           connection_execute(main, "DELETE FROM meta WHERE name IN ('copied', 'origin')", error);
}

static bool find_cause(struct database *database, int64_t last_change, const char **cause,
                       struct error *error)
{
    int64_t copied = 0;
    if (!read_own(database, error) || !identity_check(database, last_change, cause, error) ||
        !connection_integer(&database->main, "SELECT count(*) FROM meta WHERE name = 'copied'",
                            &copied, error)) {
        return false;
    }
    if (copied) {
        *cause = "it is marked as a copy";
    }
    return log_history_left(database, cause, error);
}

static bool settle(struct database *database, int64_t last_change, struct error *error)
{
    int64_t epochs = 0;
    const char *cause = NULL;
    struct connection *main = &database->main;
    if (!connection_integer(main, "SELECT count(*) FROM meta WHERE name = 'epoch'", &epochs,
                            error)) {
        return false;
    }
    const struct database_log *log = database->options.log;
    if (log) {
        return (epochs == 0 ? log_history_begin(database, log, error)
                            : log_history_check(database, log, error)) &&
               note_shared(database, last_change, error);
    }
    if (database->options.origin) {
        return origin_take(database, database->options.origin, epochs == 0, error) &&
               note_shared(database, last_change, error);
    }
    if (epochs == 0) {
        return put_uuid(main, "epoch", error) && identity_note(database, error);
    }
    bool stays = false;
    if (database->options.keeps_log && !(log_history_there(database, &stays, error) &&
                                         (stays || origin_there(database, &stays, error)))) {
        return false;
    }
    if (stays) {
        return note_shared(database, last_change, error);
    }
    return find_cause(database, last_change, &cause, error) &&
           (!cause || part(database, cause, last_change, error)) && identity_note(database, error);
}

/* Whose life it is, and which file: found out and noted in one transaction. */
static bool begin(struct database *database, struct error *error)
{
    int64_t last_change = 0;
    struct connection *main = &database->main;
    if (connection_execute(main, "BEGIN IMMEDIATE", error) &&
        connection_integer(main, "SELECT last_change FROM log_state", &last_change, error) &&
        settle(database, last_change, error) && read_file_uuid(database, true, error) &&
        merging_note(database, last_change, error) && connection_execute(main, "COMMIT", error) &&
        read_own(database, error)) {
        database->is_noted = true;
        lock_write_mark(database, last_change);
        return true;
    }
    connection_rollback(main);
    return false;
}

static void keep_former(struct database *database, sqlite3_stmt *statement)
{
    const char *epoch = (const char *)sqlite3_column_text(statement, 0);
    struct former_epoch *former = &database->former[database->former_count];
    if (!epoch || strlen(epoch) != EPOCH_LENGTH) {
        return;
    }
    memcpy(former->epoch, epoch, EPOCH_LENGTH + 1);
    former->last_change = sqlite3_column_int64(statement, 1);
    database->former_count++;
}

static bool read_former(struct database *database, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int64_t count = 0;
    struct connection *main = &database->main;
    if (!connection_integer(main, "SELECT count(*) FROM former_epoch", &count, error)) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    count = count < MOST_FORMER ? count : MOST_FORMER;
    database->former = memory_new((size_t)count * sizeof *database->former);
    if (!database->former) {
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    int result = sqlite3_prepare_v2(main->sqlite,
                                    "SELECT epoch, last_change FROM former_epoch "
                                    "ORDER BY last_change DESC",
                                    -1, &statement, NULL);
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = (int64_t)database->former_count < count ? sqlite3_step(statement) : SQLITE_DONE;
        if (result == SQLITE_ROW) {
            keep_former(database, statement);
        }
    }
    sqlite3_finalize(statement);
    return result == SQLITE_DONE || connection_fail(main, result, error);
}

bool epoch_read(struct database *database, struct error *error)
{
    return (database->options.read_only || begin(database, error)) && read_own(database, error) &&
           read_file_uuid(database, false, error) && read_former(database, error);
}

bool database_former_epoch(const struct database *database, const char *epoch, int64_t *last_change)
{
    if (!epoch && database->former_count > 0) {
        *last_change = database->former[database->former_count - 1].last_change;
        return true;
    }
    for (size_t i = 0; epoch && i < database->former_count; i++) {
        if (strcmp(database->former[i].epoch, epoch) == 0) {
            *last_change = database->former[i].last_change;
            return true;
        }
    }
    return false;
}

const char *database_former_at(const struct database *database, size_t index, int64_t *last_change)
{
    if (index >= database->former_count) {
        return NULL;
    }
    *last_change = database->former[index].last_change;
    return database->former[index].epoch;
}
