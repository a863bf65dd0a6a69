/* A connection: how it is opened, and SQLite's errors in our terms. */
#include "database/database_internal.h"

#include <errno.h>

enum {
    BUSY_TIMEOUT_MS = 5000, /* somebody writes with the sqlite3 shell */
    DEFAULT_CACHE_MEBIBYTES = 64
};

/* ---- errors ---- */

/* The reason in errno's terms. SQLite's own note is of the last call of all, which need not be the
 * one that failed. */
static int cause_of(struct connection *connection, int result)
{
    if ((result & 0xff) != SQLITE_IOERR || !connection->sqlite) {
        return 0;
    }
    int cause = wal_file_state(connection->sqlite).cause;
    return cause ? cause : sqlite3_system_errno(connection->sqlite);
}

/* A quota, and room for the shared-memory file, come as plain I/O errors. */
static bool disk_is_full(int result, int cause)
{
    return (result & 0xff) == SQLITE_FULL || cause == ENOSPC || cause == EDQUOT;
}

static bool set_error(struct connection *connection, int result, struct error *error)
{
    const char *path = connection->path;
    const char *said = connection->sqlite && sqlite3_extended_errcode(connection->sqlite)
                           ? sqlite3_errmsg(connection->sqlite)
                           : sqlite3_errstr(result);
    int cause = cause_of(connection, result);
    if (disk_is_full(result, cause)) {
        return error_set(error, ERROR_DISK_FULL,
                         "no room to write to %s (%s): nothing of the transaction was kept; "
                         "make room on that disk",
                         path, said);
    }
    if (cause == EFBIG) {
        return error_set(error, ERROR_FILE_LIMIT, DATABASE_FILE_LIMIT_TEXT, path);
    }
    switch (result & 0xff) {
    case SQLITE_NOMEM:
        return error_set(error, ERROR_MEMORY, "out of memory in the database %s", path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(error, ERROR_DATABASE_IN_USE,
                         "%s is locked by another program (%s): end what writes to it there", path,
                         said);
    case SQLITE_IOERR:
    case SQLITE_READONLY:
        return error_set(error, ERROR_DISK_FAILED,
                         "cannot write to or read from %s (%s): look at that disk, and at the "
                         "owner and permissions of the file",
                         path, said);
    case SQLITE_CORRUPT:
        return error_set(error, ERROR_DATABASE_DAMAGED,
                         "%s is damaged (%s): restore it from a backup, or save what can be read "
                         "with the sqlite3 shell's .dump",
                         path, said);
    case SQLITE_NOTADB:
        return error_set(error, ERROR_DATABASE,
                         "%s is not a SQLite database: name another file, or move this one away",
                         path);
    case SQLITE_CANTOPEN:
        if (sqlite3_system_errno(connection->sqlite) == EMFILE ||
            sqlite3_system_errno(connection->sqlite) == ENFILE) {
            said = error_reason(sqlite3_system_errno(connection->sqlite));
            return error_set(error, ERROR_DATABASE, "cannot open %s: %s", path, said);
        }
        return error_set(error, ERROR_DATABASE,
                         "cannot open %s (%s): check that the file and its folder may be read and "
                         "written",
                         path, said);
    case SQLITE_TOOBIG:
        return error_set(error, ERROR_TOO_LARGE, "a value is too large for the database %s", path);
    default:
        return error_set(error, ERROR_DATABASE, "database %s: %s", path, said);
    }
}

bool connection_fail(struct connection *connection, int result, struct error *error)
{
    struct error local;
    if (!error) {
        error = &local;
    }
    set_error(connection, result, error);
    int kind = result & 0xff;
    if (connection->database && (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB)) {
        atomic_store(&connection->database->damaged, true);
    }
    if (connection->broken == ERROR_NONE) {
        connection->broken = error->code;
    }
    return false;
}

/* ---- statements of the moment ---- */

bool connection_settle(struct connection *connection, struct error *error)
{
    connection_take_row(connection);
    if (connection->shared && !helper_finish(connection, error)) {
        return false;
    }
    return !connection->writes || connection_ready(connection, error);
}

bool connection_execute(struct connection *connection, const char *sql, struct error *error)
{
    if (!connection_settle(connection, error)) {
        return false;
    }
    int result = sqlite3_exec(connection->sqlite, sql, NULL, NULL, NULL);
    return result == SQLITE_OK || connection_fail(connection, result, error);
}

bool connection_integer(struct connection *connection, const char *sql, int64_t *value,
                        struct error *error)
{
    if (!connection_settle(connection, error)) {
        return false;
    }
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(connection->sqlite, sql, -1, &statement, NULL);
    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    if (result != SQLITE_ROW) {
        connection_fail(connection, result, error);
        sqlite3_finalize(statement);
        return false;
    }
    *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return true;
}

/* ---- opening ---- */

/* The name as a URI that promises SQLite that nobody changes the file. */
static bool immutable_name(const char *file, struct buffer *name)
{
    buffer_add_string(name, "file:");
    for (const char *c = file; *c; c++) {
        if (strchr("%?#", *c)) {
            buffer_printf(name, "%%%02x", (unsigned char)*c);
        } else {
            buffer_add_char(name, *c);
        }
    }
    buffer_add_string(name, "?immutable=1");
    return buffer_string(name) != NULL;
}

int open_alone(const char *file, sqlite3 **database)
{
    int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
    struct buffer name;
    buffer_init(&name, 1 << 16);
    int result = SQLITE_NOMEM;
    if (immutable_name(file, &name)) {
        result = sqlite3_open_v2(name.data, database, flags, NULL);
    }
    buffer_fini(&name);
    return result;
}

static int open_file(struct connection *connection, const struct database *database, bool read_only)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    return database->immutable
               ? open_alone(database->file, &connection->sqlite)
               : sqlite3_open_v2(database->file, &connection->sqlite, flags, wal_file_layer());
}

/* These only read the file: whether it is ours is not known yet. */
static bool apply_settings(struct connection *connection, const struct database *database,
                           enum connection_kind kind, struct error *error)
{
    static const char *const synchronous[] = {"FULL", "NORMAL", "OFF"};
    static const char *const secure_delete[] = {"FAST", "ON", "OFF"};
    bool writer = kind == CONNECTION_WRITER;
    unsigned wish = writer ? database->options.cache_mebibytes : database->options.reader_mebibytes;
    unsigned otherwise = writer ? DEFAULT_CACHE_MEBIBYTES : DATABASE_READER_MEBIBYTES;
    unsigned cache = wish ? wish : otherwise;
    char sql[320];
    int64_t keep = database->options.wal_keep_bytes ? database->options.wal_keep_bytes : -1;
    /* The checkpoints have a connection of their own. A negative cache size counts KiB. */
    int length = snprintf(sql, sizeof sql,
                          "PRAGMA synchronous=%s; PRAGMA cache_size=-%llu; "
                          "PRAGMA secure_delete=%s; PRAGMA wal_autocheckpoint=0; "
                          "PRAGMA foreign_keys=0; PRAGMA temp_store=MEMORY; "
                          "PRAGMA journal_size_limit=%lld;%s",
                          synchronous[database->options.synchronous], cache * 1024ULL,
                          secure_delete[database->options.erase], (long long)keep,
                          kind == CONNECTION_READER ? " PRAGMA query_only=1;" : "");
    (void)length; /* a few words and numbers: it fits */
    return connection_execute(connection, sql, error);
}

/* SQLite's way to learn the length of the WAL without asking: called after each commit. */
static int note_wal(void *argument, sqlite3 *sqlite, const char *name, int pages)
{
    struct database *database = argument;
    (void)sqlite;
    (void)name;
    atomic_store_explicit(&database->wal_pages, (uint32_t)pages, memory_order_relaxed);
    atomic_fetch_add_explicit(&database->wal_commits, 1, memory_order_relaxed);
    return SQLITE_OK;
}

/* Prepared at once, so that a rollback needs no memory when there is none. */
static int prepare_rollback(struct connection *connection, size_t statements)
{
    connection->statements = memory_new(statements * sizeof(*connection->statements));
    if (!connection->statements) {
        return SQLITE_NOMEM;
    }
    connection->statement_count = statements;
    return sqlite3_prepare_v3(connection->sqlite, "ROLLBACK", -1, SQLITE_PREPARE_PERSISTENT,
                              &connection->statements[STATEMENT_ROLLBACK], NULL);
}

bool connection_open(struct connection *connection, struct database *database,
                     enum connection_kind kind, size_t statements, struct error *error)
{
    bool read_only = database->options.read_only;
    *connection = (struct connection){.path = database->path, .database = database};
    if (read_only && kind == CONNECTION_WRITER) {
        return error_set(error, ERROR_DATABASE, "%s is open for reading only", database->path);
    }
    int result = open_file(connection, database, kind == CONNECTION_READER || read_only);
    if (result == SQLITE_OK) {
        result = sqlite3_busy_timeout(connection->sqlite, BUSY_TIMEOUT_MS);
    }
    if (result != SQLITE_OK) {
        return connection_fail(connection, result, error);
    }
    if (!apply_settings(connection, database, kind, error)) {
        return false;
    }
    if (kind == CONNECTION_WRITER) {
        sqlite3_wal_hook(connection->sqlite, note_wal, database);
    }
    result = prepare_rollback(connection, statements);
    return result == SQLITE_OK || connection_fail(connection, result, error);
}

void connection_close(struct connection *connection)
{
    helper_stop(connection);
    statements_free(connection);
    /* Cannot be busy: every statement is finalized. */
    (void)sqlite3_close(connection->sqlite);
    connection->sqlite = NULL;
}
