/*
 * Whether the schema is the one that stele makes. Another program can drop a table, or put an index
 * or a trigger on one, under a server: then commits fail that will never succeed. To tell that from
 * a request that is to blame itself, the schema is held against one that is made anew in memory.
 */
#include "database/database_internal.h"

/* One line for each column, index and trigger of the tables of main; views are left out, since
 * everybody may add some, and so are tables of others. */
static const char listing_sql[] =
    "SELECT DISTINCT s.type || ' ' || s.name || "
    "CASE WHEN s.type = 'table' THEN ', column ' || c.name ELSE '' END, s.tbl_name "
    "FROM sqlite_schema AS s LEFT JOIN pragma_table_xinfo(s.name) AS c ON s.type = 'table' "
    "WHERE s.type IN ('table', 'index', 'trigger') AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

struct listing {
    struct connection *into; /* with a temporary table of that name */
    const char *table;
};

static int add_line(void *argument, int count, char **values, char **names)
{
    const struct listing *listing = argument;
    char *sql = sqlite3_mprintf("INSERT INTO temp.%s VALUES (%Q, %Q)", listing->table, values[0],
                                values[1]);
    (void)count;
    (void)names;
    int result = sql ? sqlite3_exec(listing->into->sqlite, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(sql);
    return result != SQLITE_OK;
}

static bool list(struct connection *from, struct listing *listing, struct error *error)
{
    int result = sqlite3_exec(from->sqlite, listing_sql, add_line, listing, NULL);
    return result == SQLITE_OK || connection_fail(from, result, error);
}

static bool make_expected(struct connection *expected, struct error *error)
{
    int result =
        sqlite3_open_v2(":memory:", &expected->sqlite,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (result != SQLITE_OK) {
        return connection_fail(expected, result, error);
    }
    return migrate(expected, database_migrations, database_migration_count, 0, NULL, error) &&
           connection_execute(expected,
                              "CREATE TEMP TABLE expected (line TEXT, on_table TEXT);"
                              "CREATE TEMP TABLE found (line TEXT, on_table TEXT)",
                              error);
}

static const struct {
    const char *sql, *what;
} differences[] = {
    {"SELECT max(line) FROM (SELECT line FROM temp.expected EXCEPT SELECT line FROM temp.found)",
     "is not there any more"},
    {"SELECT min(line) FROM (SELECT line FROM temp.found WHERE on_table IN (SELECT on_table FROM "
     "temp.expected) EXCEPT SELECT line FROM temp.expected)",
     "was not made by stele"},
};

/* *line: the first that differs, NULL: none; it is the statement's. */
static bool compare(struct connection *expected, const char *path, struct error *error)
{
    for (size_t i = 0; i < sizeof differences / sizeof *differences; i++) {
        sqlite3_stmt *statement = NULL;
        int result = sqlite3_prepare_v2(expected->sqlite, differences[i].sql, -1, &statement, NULL);
        if (result == SQLITE_OK) {
            result = sqlite3_step(statement);
        }
        const char *line =
            result == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
        if (result != SQLITE_ROW) {
            connection_fail(expected, result, error);
        } else if (line) {
            error_set(error, ERROR_DATABASE_UNUSABLE,
                      "%s was changed by another program (%.120s %s), so it takes no commit: stop "
                      "the server and put it back, or restore a backup",
                      path, line, differences[i].what);
        }
        sqlite3_finalize(statement);
        if (result != SQLITE_ROW || line) {
            return false;
        }
    }
    return true;
}

bool schema_check(struct connection *connection, struct error *error)
{
    struct connection expected = {.path = connection->path};
    struct listing want = {&expected, "expected"}, have = {&expected, "found"};
    bool done = make_expected(&expected, error) && list(&expected, &want, error) &&
                list(connection, &have, error) && compare(&expected, connection->path, error);
    connection_close(&expected);
    return done;
}
