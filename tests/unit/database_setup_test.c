/* The blocks that SQLite gets for the hash tables of a schema, and nothing else. */
#include "database/database_internal.h"
#include "store_fixture.h"

#include <sqlite3.h>

/* What SQLite asks for when it makes a table, and what it gets at first. */
enum { ASKED = 1024, FIRST = 16 << 10 };

static sqlite3 *database;

static void open_memory(void)
{
    database_setup();
    assert_int_equal(sqlite3_open(":memory:", &database), SQLITE_OK);
}

static void close_memory(void)
{
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

TEST_EACH(open_memory, close_memory)

static void execute(const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(database, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

static sqlite3_uint64 table_size(void)
{
    void *table = sqlite3_malloc(ASKED);
    assert_non_null(table);
    sqlite3_uint64 size = sqlite3_msize(table);
    sqlite3_free(table);
    return size;
}

/* A copy ends with a journal in memory, of pieces that have the size of a table. */
TEST_WITH(copies_do_not_make_tables_larger, set_up, tear_down)
{
    char copy[128];
    snprintf(copy, sizeof copy, "%s/copy.db", fixture.folder);
    struct database_backup_options options = {.from = fixture.path, .to = copy, .replace = true};
    struct database_backup_result result;
    for (int i = 0; i < 3; i++)
        OK(database_backup(&options, &result, &fixture.error));
    assert_int_equal(table_size(), FIRST);
}

TEST(a_table_that_outgrew_its_block_gets_a_larger_one)
{
    char sql[64];
    execute("BEGIN");
    for (int i = 0; i < 2 * (FIRST / 16) + 100; i++) { /* two names a chain, of 16 bytes each */
        snprintf(sql, sizeof sql, "CREATE VIEW v%d AS SELECT 1", i);
        execute(sql);
    }
    execute("COMMIT");
    assert_int_equal(table_size(), 2 * FIRST);
}
