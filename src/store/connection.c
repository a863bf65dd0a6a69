/* A connection: how it is opened, its prepared statements, and SQLite's errors in our terms. */
#include "store/store_internal.h"

#include <errno.h>

enum {
    BUSY_TIMEOUT_MS = 5000, /* somebody writes with the sqlite3 shell */
    READER_CACHE_MEBIBYTES = 16,
    DEFAULT_CACHE_MEBIBYTES = 64
};

/* ---- errors ---- */

/* The reason in errno's terms. SQLite's own note is of the last call of all, which need not be the
 * one that failed. */
static int cause_of(struct connection *connection, int result)
{
    if ((result & 0xff) != SQLITE_IOERR || !connection->database) {
        return 0;
    }
    int cause = wal_file_cause(connection->database);
    return cause ? cause : sqlite3_system_errno(connection->database);
}

/* A quota, and room for the shared-memory file, come as plain I/O errors. */
static bool disk_is_full(int result, int cause)
{
    return (result & 0xff) == SQLITE_FULL || cause == ENOSPC || cause == EDQUOT;
}

static bool set_error(struct connection *connection, int result, struct error *error)
{
    const char *path = connection->path;
    const char *said = connection->database && sqlite3_extended_errcode(connection->database)
                           ? sqlite3_errmsg(connection->database)
                           : sqlite3_errstr(result);
    int cause = cause_of(connection, result);
    if (disk_is_full(result, cause)) {
        return error_set(error, ERROR_DISK_FULL,
                         "no room to write to %s (%s): nothing of the transaction was kept; "
                         "make room on that disk",
                         path, said);
    }
    if (cause == EFBIG) {
        return error_set(error, ERROR_FILE_LIMIT, STORE_FILE_LIMIT_TEXT, path);
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
        if (sqlite3_system_errno(connection->database) == EMFILE ||
            sqlite3_system_errno(connection->database) == ENFILE) {
            said = error_reason(sqlite3_system_errno(connection->database));
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
    if (connection->damaged && (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB)) {
        atomic_store(connection->damaged, true);
    }
    if (connection->broken == ERROR_NONE) {
        connection->broken = error->code;
    }
    return false;
}

/* ---- statements ---- */

void connection_settle(struct connection *connection)
{
    if (connection->lent) {
        /* Its result only repeats what the last step said. */
        (void)sqlite3_reset(connection->lent);
        connection->lent = NULL;
    }
}

bool query_start(struct query *query, struct connection *connection, enum statement which,
                 const char *sql, struct error *error)
{
    connection_settle(connection);
    *query = (struct query){.connection = connection};
    sqlite3_stmt **slot = &connection->statements[which];
    if (!*slot) {
        int result = sqlite3_prepare_v3(connection->database, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                        slot, NULL);
        if (result != SQLITE_OK) {
            return connection_fail(connection, result, error);
        }
    }
    query->statement = *slot;
    return true;
}

void query_integer(struct query *query, int64_t value)
{
    int result = sqlite3_bind_int64(query->statement, ++query->bound, value);
    if (result != SQLITE_OK) {
        query->result = result;
    }
}

void query_text(struct query *query, struct span text)
{
    int place = ++query->bound;
    int result = text.data ? sqlite3_bind_text64(query->statement, place, text.data, text.length,
                                                 SQLITE_STATIC, SQLITE_UTF8)
                           : sqlite3_bind_null(query->statement, place);
    if (result != SQLITE_OK) {
        query->result = result;
    }
}

void query_bytes(struct query *query, struct span bytes)
{
    int place = ++query->bound;
    int result = bytes.data ? sqlite3_bind_blob64(query->statement, place, bytes.data, bytes.length,
                                                  SQLITE_STATIC)
                            : sqlite3_bind_null(query->statement, place);
    if (result != SQLITE_OK) {
        query->result = result;
    }
}

enum query_step query_row(struct query *query, struct error *error)
{
    if (query->result == SQLITE_OK) {
        query->result = sqlite3_step(query->statement);
        if (query->result == SQLITE_ROW) {
            query->result = SQLITE_OK;
            return QUERY_ROW;
        }
    }
    int result = query->result;
    if (result != SQLITE_DONE) {
        connection_fail(query->connection, result, error);
    }
    query_end(query);
    return result == SQLITE_DONE ? QUERY_DONE : QUERY_FAILED;
}

bool query_run(struct query *query, struct error *error)
{
    enum query_step step = query_row(query, error);
    if (step == QUERY_ROW) {
        query_end(query);
    }
    return step != QUERY_FAILED;
}

void query_end(struct query *query)
{
    /* Its result only repeats what the last step said. */
    (void)sqlite3_reset(query->statement);
}

void query_lend(struct query *query)
{
    query->connection->lent = query->statement;
}

struct span query_column_text(const struct query *query, int column)
{
    const char *text = (const char *)sqlite3_column_text(query->statement, column);
    return span_make(text, (size_t)sqlite3_column_bytes(query->statement, column));
}

struct span query_column_bytes(const struct query *query, int column)
{
    const char *bytes = sqlite3_column_blob(query->statement, column);
    return span_make(bytes ? bytes : "",
                     bytes ? (size_t)sqlite3_column_bytes(query->statement, column) : 0);
}

bool connection_execute(struct connection *connection, const char *sql, struct error *error)
{
    connection_settle(connection);
    int result = sqlite3_exec(connection->database, sql, NULL, NULL, NULL);
    return result == SQLITE_OK || connection_fail(connection, result, error);
}

bool connection_integer(struct connection *connection, const char *sql, int64_t *value,
                        struct error *error)
{
    connection_settle(connection);
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(connection->database, sql, -1, &statement, NULL);
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

void connection_rollback(struct connection *connection)
{
    connection_settle(connection);
    /* SQLite may have rolled back by itself. */
    if (sqlite3_get_autocommit(connection->database)) {
        return;
    }
    sqlite3_stmt *rollback = connection->statements[STATEMENT_ROLLBACK];
    /* What it reports is an error of before; the transaction is gone in any case. */
    (void)sqlite3_step(rollback);
    (void)sqlite3_reset(rollback);
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

static int open_file(struct connection *connection, const struct store *store, bool read_only)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    return store->immutable
               ? open_alone(store->file, &connection->database)
               : sqlite3_open_v2(store->file, &connection->database, flags, wal_file_layer());
}

/* These only read the file: whether it is ours is not known yet. */
static bool apply_settings(struct connection *connection, const struct store *store,
                           enum connection_kind kind, struct error *error)
{
    static const char *const synchronous[] = {"FULL", "NORMAL", "OFF"};
    static const char *const secure_delete[] = {"FAST", "ON", "OFF"};
    unsigned cache = READER_CACHE_MEBIBYTES;
    if (kind == CONNECTION_WRITER) {
        cache = store->options.cache_mebibytes ? store->options.cache_mebibytes
                                               : DEFAULT_CACHE_MEBIBYTES;
    }
    char sql[320];
    int64_t keep = store->options.wal_keep_bytes ? store->options.wal_keep_bytes : -1;
    /* The checkpoints have a connection of their own. A negative cache size counts KiB. */
    int length = snprintf(sql, sizeof sql,
                          "PRAGMA synchronous=%s; PRAGMA cache_size=-%llu; "
                          "PRAGMA secure_delete=%s; PRAGMA wal_autocheckpoint=0; "
                          "PRAGMA foreign_keys=0; PRAGMA temp_store=MEMORY; "
                          "PRAGMA journal_size_limit=%lld;%s",
                          synchronous[store->options.synchronous], cache * 1024ULL,
                          secure_delete[store->options.erase], (long long)keep,
                          kind == CONNECTION_READER ? " PRAGMA query_only=1;" : "");
    (void)length; /* a few words and numbers: it fits */
    return connection_execute(connection, sql, error);
}

bool connection_open(struct connection *connection, struct store *store, enum connection_kind kind,
                     struct error *error)
{
    *connection = (struct connection){.path = store->path, .damaged = &store->damaged};
    int result =
        open_file(connection, store, kind == CONNECTION_READER || store->options.read_only);
    if (result == SQLITE_OK) {
        result = sqlite3_busy_timeout(connection->database, BUSY_TIMEOUT_MS);
    }
    if (result != SQLITE_OK) {
        return connection_fail(connection, result, error);
    }
    struct query rollback;
    /* Prepared now, so that a rollback needs no memory when there is none. */
    return apply_settings(connection, store, kind, error) &&
           query_start(&rollback, connection, STATEMENT_ROLLBACK, "ROLLBACK", error);
}

void connection_close(struct connection *connection)
{
    connection->lent = NULL;
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(connection->statements[i]);
        connection->statements[i] = NULL;
    }
    /* Cannot be busy: every statement is finalized. */
    (void)sqlite3_close(connection->database);
    connection->database = NULL;
}
