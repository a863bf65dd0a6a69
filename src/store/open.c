/* Opening and closing a database: whose it is, how old it is, and the settings of the file. */
#include "store/store_internal.h"

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

static bool check_folder(const struct store *store, const char *path, char real[PATH_MAX],
                         struct error *error)
{
    if (!real_folder(path, real)) {
        return error_set(error, ERROR_DATABASE, "cannot reach the folder of %s (%s): create it",
                         store->path, error_reason(errno));
    }
    if (!store->options.read_only && faccessat(AT_FDCWD, real, W_OK | X_OK, AT_EACCESS) != 0) {
        return error_set(error, ERROR_DATABASE,
                         "cannot write in the folder of %s (%s): the user that runs the server "
                         "must be allowed to create files in %s",
                         store->path, error_reason(errno), real);
    }
    return true;
}

/* Symbolic links are followed, so that two names of one file share one lock. */
static bool find_file(struct store *store, struct error *error)
{
    char real[PATH_MAX], folder[PATH_MAX];
    const char *path = store->path;
    size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/' || length > PATH_MAX - 16) {
        return error_set(error, ERROR_DATABASE, "\"%s\" cannot be the name of a database file",
                         path);
    }
    const char *file = realpath(path, real) ? real : path;
    if (!check_folder(store, file, folder, error)) {
        return false;
    }
    const char *slash = strrchr(file, '/');
    struct buffer name;
    buffer_init(&name, PATH_MAX - 16); /* "-wal" and the like must fit behind it */
    buffer_printf(&name, "%s/%s", strcmp(folder, "/") ? folder : "", slash ? slash + 1 : file);
    if (buffer_string(&name)) {
        store->file = buffer_take(&name, &length);
    }
    buffer_fini(&name);
    return store->file || error_set(error, ERROR_MEMORY,
                                    "no memory for the name of %s, or it is too long", store->path);
}

static bool locate(struct store *store, struct error *error)
{
    struct stat status;
    if (!find_file(store, error)) {
        return false;
    }
    bool there = stat(store->file, &status) == 0;
    if (there && !S_ISREG(status.st_mode)) {
        return error_set(error, ERROR_DATABASE, "%s is not a file: name another one", store->path);
    }
    if (store->options.read_only && (!there || status.st_size == 0)) {
        return error_set(error, ERROR_DATABASE,
                         "there is no database in %s: check the name, or start a server with it",
                         store->path);
    }
    return true;
}

/* ---- whose it is ---- */

/* Reads the first page, which is where a file that is no database shows. */
static bool identify(struct store *store, int64_t *version, struct error *error)
{
    struct connection *main = &store->main;
    int64_t application = 0, entries = 0, is_utf8 = 0,
            newest = store_migrations[store_migration_count - 1].version;
    if (!connection_integer(main, "PRAGMA application_id", &application, error) ||
        !connection_integer(main, "PRAGMA user_version", version, error) ||
        !connection_integer(main, "SELECT count(*) FROM sqlite_schema", &entries, error) ||
        !connection_integer(main, "SELECT encoding = 'UTF-8' FROM pragma_encoding", &is_utf8,
                            error)) {
        return false;
    }
    if (application != STORE_APPLICATION_ID && (application || *version || entries)) {
        return error_set(error, ERROR_DATABASE,
                         "%s is the database of another program: name another file", store->path);
    }
    /* Texts would be stored and ordered by other bytes than all of stele counts on. */
    if (!is_utf8) {
        return error_set(error, ERROR_DATABASE,
                         "%s keeps its texts as UTF-16, so another program made it: name another "
                         "file, and let stele make it",
                         store->path);
    }
    if (*version > newest) {
        return error_set(error, ERROR_DATABASE_NEWER,
                         "%s was written by a newer stele (schema %lld, this one knows %lld): use "
                         "that program, or a backup from before",
                         store->path, (long long)*version, (long long)newest);
    }
    if (store->options.read_only && *version < newest) {
        return error_set(error, ERROR_DATABASE,
                         "%s has the older schema %lld: start the server with it once, which "
                         "brings it up to date",
                         store->path, (long long)*version);
    }
    return true;
}

/* ---- opening ---- */

static bool prepare_file(struct store *store, int64_t version, const char *backup,
                         struct error *error)
{
    struct connection *main = &store->main;
    if (sqlite3_db_readonly(main->database, "main")) {
        return error_set(error, ERROR_DATABASE,
                         "%s may not be written: give its permissions to the user that runs the "
                         "server",
                         store->path);
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
                         store->path);
    }
    return migrate(main, store_migrations, store_migration_count, version, backup, error);
}

static bool wal_is_empty(const struct store *store)
{
    return store_wal_bytes(store) == 0;
}

/*
 * A read-only connection still needs SQLite's shared-memory file. Where it cannot be made (folder
 * and files belong to somebody else) but the WAL is empty, the database file alone is complete.
 */
static bool open_main(struct store *store, int64_t *version, struct error *error)
{
    if (connection_open(&store->main, store, CONNECTION_MAIN, error) &&
        identify(store, version, error)) {
        return true;
    }
    int result = sqlite3_errcode(store->main.database) & 0xff;
    if (!store->options.read_only || (result != SQLITE_CANTOPEN && result != SQLITE_READONLY)) {
        return false;
    }
    if (!wal_is_empty(store)) {
        return error_set(error, ERROR_DATABASE,
                         "%s has a write-ahead log, which needs a writable folder: run this as the "
                         "user that owns the files, or on a copy of the database and its -wal file",
                         store->path);
    }
    connection_close(&store->main);
    store->immutable = true;
    return connection_open(&store->main, store, CONNECTION_MAIN, error) &&
           identify(store, version, error);
}

static bool open_all(struct store *store, const char *backup, struct error *error)
{
    int64_t version = 0;
    if (!locate(store, error) || (!store->options.read_only && !lock_take(store, error)) ||
        !inode_enter(store, error) || !wal_base_check(store, error) ||
        !open_main(store, &version, error)) {
        return false;
    }
    if (!store->options.read_only && !prepare_file(store, version, backup, error)) {
        return false;
    }
    if (!epoch_read(store, error)) {
        return false;
    }
    wal_base_open(store);
    presence_note(store);
    return true;
}

struct store *store_open(const struct store_options *options, struct error *error)
{
    store_setup();
    struct store *store = memory_new(sizeof *store);
    if (!store) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    store->lock = -1;
    store->options = *options;
    store->path = memory_copy_string(options->path, strlen(options->path));
    if (!store->path) {
        error_set(error, ERROR_MEMORY, "out of memory");
    } else if (open_all(store, options->backup_before_migration, error)) {
        store->options.path = store->path;
        store->options.backup_before_migration = NULL;
        return store;
    }
    store_close(store);
    return NULL;
}

void store_close(struct store *store)
{
    if (!store) {
        return;
    }
    if (store->is_noted && store->lock_owner == getpid()) {
        identity_stop(store);
    }
    presence_before_close(store);
    connection_close(&store->main);
    /* After the database: until then nobody else may have it. */
    inode_leave(store);
    lock_drop(store);
    memory_free(store->former);
    memory_free(store->file);
    memory_free(store->path);
    memory_free(store);
}

const char *store_epoch(const struct store *store)
{
    return store->epoch;
}

const char *store_path(const struct store *store)
{
    return store->path;
}
