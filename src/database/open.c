/* Opening and closing a database: whose it is, how old it is, and the settings of the file. */
#include "database/database_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- where the file is ---- */

/* The folder of a path as an absolute name without symbolic links. */
static bool real_folder(const char *path, char real[PATH_MAX])
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
    memcpy(folder, slash ? path : ".", length);
    folder[length] = 0;
    return realpath(folder, real) != NULL;
}

static bool check_folder(const struct database *database, const char *path, char real[PATH_MAX],
                         struct error *error)
{
    if (!real_folder(path, real)) {
        return error_set(error, ERROR_DATABASE, "cannot reach the folder of %s (%s): create it",
                         database->path, error_reason(errno));
    }
    if (!database->options.read_only && faccessat(AT_FDCWD, real, W_OK | X_OK, AT_EACCESS) != 0) {
        return error_set(error, ERROR_DATABASE,
                         "cannot write in the folder of %s (%s): the user that runs the server "
                         "must be allowed to create files in %s",
                         database->path, error_reason(errno), real);
    }
    return true;
}

/* Symbolic links are followed, so that two names of one file share one lock. */
static bool find_file(struct database *database, struct error *error)
{
    char real[PATH_MAX], folder[PATH_MAX];
    const char *path = database->path;
    size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/' || length > PATH_MAX - 16) {
        return error_set(error, ERROR_DATABASE, "\"%s\" cannot be the name of a database file",
                         path);
    }
    const char *file = realpath(path, real) ? real : path;
    if (!check_folder(database, file, folder, error)) {
        return false;
    }
    const char *slash = strrchr(file, '/');
    struct buffer name;
    buffer_init(&name, PATH_MAX - 16); /* "-wal" and the like must fit behind it */
    buffer_printf(&name, "%s/%s", strcmp(folder, "/") ? folder : "", slash ? slash + 1 : file);
    if (buffer_string(&name)) {
        database->file = buffer_take(&name, &length);
    }
    buffer_fini(&name);
    return database->file ||
           error_set(error, ERROR_MEMORY, "no memory for the name of %s, or it is too long",
                     database->path);
}

static bool locate(struct database *database, struct error *error)
{
    struct stat status;
    if (!find_file(database, error)) {
        return false;
    }
    bool there = stat(database->file, &status) == 0;
    if (there && !S_ISREG(status.st_mode)) {
        return error_set(error, ERROR_DATABASE, "%s is not a file: name another one",
                         database->path);
    }
    if (database->options.read_only && (!there || status.st_size == 0)) {
        return error_set(error, ERROR_DATABASE,
                         "there is no database in %s: check the name, or start a server with it",
                         database->path);
    }
    return true;
}

/* ---- whose it is ---- */

/* Reads the first page, which is where a file that is no database shows. */
static bool identify(struct database *database, int64_t *version, struct error *error)
{
    struct connection *main = &database->main;
    int64_t application = 0, entries = 0, is_utf8 = 0,
            newest = database_migrations[database_migration_count - 1].version;
    if (!connection_integer(main, "PRAGMA application_id", &application, error) ||
        !connection_integer(main, "PRAGMA user_version", version, error) ||
        !connection_integer(main, "SELECT count(*) FROM sqlite_schema", &entries, error) ||
        !connection_integer(main, "SELECT encoding = 'UTF-8' FROM pragma_encoding", &is_utf8,
                            error)) {
        return false;
    }
    if (application != DATABASE_APPLICATION_ID && (application || *version || entries)) {
        return error_set(error, ERROR_DATABASE,
                         "%s is the database of another program: name another file",
                         database->path);
    }
    /* Texts would be stored and ordered by other bytes than all of stele counts on. */
    if (!is_utf8) {
        return error_set(error, ERROR_DATABASE,
                         "%s keeps its texts as UTF-16, so another program made it: name another "
                         "file, and let stele make it",
                         database->path);
    }
    if (*version > newest) {
        return error_set(error, ERROR_DATABASE_NEWER,
                         "%s was written by a newer stele (schema %lld, this one knows %lld): use "
                         "that program, or a backup from before",
                         database->path, (long long)*version, (long long)newest);
    }
    if (database->options.read_only && *version < newest) {
        return error_set(error, ERROR_DATABASE,
                         "%s has the older schema %lld: start the server with it once, which "
                         "brings it up to date",
                         database->path, (long long)*version);
    }
    return true;
}

/* ---- opening ---- */

static bool prepare_file(struct database *database, int64_t version, const char *backup,
                         struct error *error)
{
    struct connection *main = &database->main;
    if (sqlite3_db_readonly(main->sqlite, "main")) {
        return error_set(error, ERROR_DATABASE,
                         "%s may not be written: give its permissions to the user that runs the "
                         "server",
                         database->path);
    }
    /* The page size counts only before the first page, and the journal mode stays in the file. */
    if (!connection_execute(main, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL;", error)) {
        return false;
    }
    int64_t wal = 0;
    const char *question = "SELECT journal_mode = 'wal' FROM pragma_journal_mode";
    if (!connection_integer(main, question, &wal, error)) {
        return false;
    }
    if (!wal) {
        return error_set(error, ERROR_DATABASE,
                         "%s cannot have a write-ahead log here: put it on a local disk",
                         database->path);
    }
    return migrate(main, database_migrations, database_migration_count, version, backup, error);
}

static bool wal_is_empty(const struct database *database)
{
    return database_wal_bytes(database) == 0;
}

/*
 * A read-only connection still needs SQLite's shared-memory file. If it cannot be made (folder and
 * files belong to somebody else) but the WAL is empty, the database file alone is complete.
 */
static bool open_main(struct database *database, int64_t *version, struct error *error)
{
    if (connection_open(&database->main, database, CONNECTION_MAIN, DATABASE_STATEMENTS, error) &&
        identify(database, version, error)) {
        return true;
    }
    int result = sqlite3_errcode(database->main.sqlite) & 0xff;
    if (!database->options.read_only || (result != SQLITE_CANTOPEN && result != SQLITE_READONLY)) {
        return false;
    }
    if (!wal_is_empty(database)) {
        return error_set(error, ERROR_DATABASE,
                         "%s has a write-ahead log, which needs a writable folder: run this as the "
                         "user that owns the files, or on a copy of the database and its -wal file",
                         database->path);
    }
    connection_close(&database->main);
    database->immutable = true;
    return connection_open(&database->main, database, CONNECTION_MAIN, DATABASE_STATEMENTS,
                           error) &&
           identify(database, version, error);
}

static bool open_all(struct database *database, const char *backup, struct error *error)
{
    int64_t version = 0;
    if (!locate(database, error) || (!database->options.read_only && !lock_take(database, error)) ||
        !inode_enter(database, error) || !wal_base_check(database, error) ||
        !open_main(database, &version, error)) {
        return false;
    }
    if (!database->options.read_only && !prepare_file(database, version, backup, error)) {
        return false;
    }
    if (!epoch_read(database, error)) {
        return false;
    }
    wal_base_open(database);
    presence_note(database);
    return true;
}

struct database *database_open(const struct database_options *options, struct error *error)
{
    database_setup();
    struct database *database = memory_new(sizeof *database);
    if (!database) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    database->lock = -1;
    database->options = *options;
    database->path = memory_copy_string(options->path, strlen(options->path));
    if (!database->path) {
        error_set(error, ERROR_MEMORY, "out of memory");
    } else if (open_all(database, options->backup_before_migration, error)) {
        database->options.path = database->path;
        database->options.backup_before_migration = NULL;
        database->options.log = NULL;
        database->options.origin = NULL;
        database->options.merging = NULL;
        return database;
    }
    database_close(database);
    return NULL;
}

/* At an orderly stop, note in the database that it is closed. */
static void note_stop(struct database *database)
{
    struct error error;
    if (!connection_execute(&database->main, "DELETE FROM meta WHERE name = 'running'", &error)) {
        log_warning("store", "stop-not-noted", log_text("error", error.message));
    }
}

void database_close(struct database *database)
{
    if (!database) {
        return;
    }
    if (database->is_noted && database->lock_owner == getpid()) {
        note_stop(database);
    }
    presence_before_close(database);
    connection_close(&database->main);
    /* After the database: until then nobody else may have it. */
    inode_leave(database);
    lock_drop(database);
    memory_free(database->former);
    memory_free(database->file);
    memory_free(database->path);
    memory_free(database);
}

struct database_state database_state(const struct database *database)
{
    return (struct database_state){
        .path = database->path,
        .file = database->file,
        .epoch = database->epoch,
        .file_uuid = database->file_uuid,
        .log_created = database->log_created,
        .is_replica = database->is_replica,
        .merging_since = database->merging_since,
        .wal_pages = atomic_load_explicit(&database->wal_pages, memory_order_relaxed),
        .wal_commits = atomic_load_explicit(&database->wal_commits, memory_order_relaxed)};
}
