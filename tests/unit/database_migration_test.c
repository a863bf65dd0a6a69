/* The migrations lead to schema/schema.sql; a failing one leaves the file as it was. */
#include "database/database_internal.h"
#include "store/producer.h"
#include "store_fixture.h"

#include <sys/stat.h>

TEST_EACH(set_up_folder, tear_down)

/* Tables, indexes and the two numbers of the file, one text. */
static void describe(sqlite3 *database, struct buffer *out)
{
    static const char entries[] =
        "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') "
        "FROM sqlite_schema WHERE type <> 'view' ORDER BY type, name";
    static const char *const questions[] = {entries, "PRAGMA application_id", "PRAGMA user_version",
                                            "SELECT count(*) FROM log_state"};
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        sqlite3_stmt *statement = NULL;
        assert_int_equal(sqlite3_prepare_v2(database, questions[i], -1, &statement, NULL), 0);
        while (sqlite3_step(statement) == SQLITE_ROW) {
            buffer_printf(out, "%s\n", (const char *)sqlite3_column_text(statement, 0));
        }
        assert_int_equal(sqlite3_finalize(statement), 0);
    }
    assert_non_null(buffer_string(out));
}

static char *read_schema_file(void)
{
    FILE *file = fopen(STELE_SOURCE_DIR "/schema/schema.sql", "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

TEST(migrating_an_empty_file_gives_the_schema)
{
    struct buffer migrated, expected;
    sqlite3 *memory = NULL;
    buffer_init(&migrated, 1 << 16);
    buffer_init(&expected, 1 << 16);
    OK(fixture.database = open_path(fixture.path, false));
    describe(fixture.database->main.sqlite, &migrated);
    assert_int_equal(sqlite3_open(":memory:", &memory), 0);
    char *schema = read_schema_file();
    if (sqlite3_exec(memory, schema, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("schema.sql: %s", sqlite3_errmsg(memory));
    }
    describe(memory, &expected);
    assert_string_equal(migrated.data, expected.data);
    sqlite3_close(memory);
    free(schema);
    buffer_fini(&migrated);
    buffer_fini(&expected);
}

static void open_bare(struct database *database, struct connection *connection)
{
    *database = (struct database){.path = fixture.path, .file = fixture.path};
    database_setup();
    OK(connection_open(connection, database, CONNECTION_MAIN, DATABASE_STATEMENTS, &fixture.error));
}

/* A file of the first version: what its producers delivered is still known, and is nobody's. */
TEST(producers_of_an_older_file_are_kept)
{
    struct database database;
    struct connection connection;
    struct store_producer producer;
    bool found;
    log_configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT, NULL);
    open_bare(&database, &connection);
    OK(migrate(&connection, database_migrations, 1, 0, NULL, &fixture.error));
    OK(connection_execute(&connection, "INSERT INTO producer VALUES ('p', 7, 1000), ('q', 0, 2000)",
                          &fixture.error));
    connection_close(&connection);
    OK(fixture.database = open_path(fixture.path, false));
    OK(fixture.reader = store_reader_open(fixture.database, &fixture.error));
    OK(store_read_begin(fixture.reader, &fixture.error));
    OK(store_read_producer(fixture.reader, SPAN("p"), &producer, &found, &fixture.error));
    assert_true(found && !producer.owner.data && !producer.mark.data && !producer.has_seq);
    assert_int_equal(producer.batch, 7);
    assert_int_equal(producer.at, 1000);
    OK(store_read_producer(fixture.reader, SPAN("q"), &producer, &found, &fixture.error));
    assert_true(found);
    assert_int_equal(producer.batch, 0);
    store_read_end(fixture.reader);
}

static const struct database_migration steps[] = {
    {1, "0001_first", "CREATE TABLE a (x); PRAGMA user_version = 1;"},
    {2, "0002_second", "CREATE TABLE b (x); INSERT INTO b VALUES (5); PRAGMA user_version = 2;"},
    {3, "0003_broken", "CREATE TABLE c (x); SELECT nonsense; PRAGMA user_version = 3;"},
};

static int64_t ask(struct connection *connection, const char *sql)
{
    int64_t value = -1;
    OK(connection_integer(connection, sql, &value, &fixture.error));
    return value;
}

TEST(each_migration_is_whole_or_not_at_all)
{
    struct database database;
    struct connection connection;
    open_bare(&database, &connection);
    assert_false(migrate(&connection, steps, 3, 0, NULL, &fixture.error));
    assert_non_null(strstr(fixture.error.message, "0003_broken"));
    assert_int_equal(ask(&connection, "PRAGMA user_version"), 2);
    assert_int_equal(ask(&connection, "SELECT count(*) FROM sqlite_schema"), 2);
    OK(migrate(&connection, steps, 2, 2, NULL, &fixture.error));
    connection_close(&connection);
}

TEST(a_copy_is_made_before_a_migration)
{
    char backup[128];
    struct database database;
    struct connection connection, copy;
    snprintf(backup, sizeof backup, "%s/copy.db", fixture.folder);
    open_bare(&database, &connection);
    log_configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT, NULL);
    OK(migrate(&connection, steps, 1, 0, backup, &fixture.error));
    assert_int_not_equal(access(backup, F_OK), 0); /* a new file needs none */
    OK(migrate(&connection, steps, 2, 1, backup, &fixture.error));
    database.file = backup;
    OK(connection_open(&copy, &database, CONNECTION_MAIN, DATABASE_STATEMENTS, &fixture.error));
    struct stat status;
    assert_int_equal(stat(backup, &status), 0);
    assert_int_equal(status.st_mode & 0777 & ~0640U, 0);
    assert_int_equal(ask(&copy, "PRAGMA user_version"), 1);
    assert_int_equal(ask(&copy, "SELECT count(*) FROM sqlite_schema"), 1);
    connection_close(&copy);
    /* Not over another one, and then no migration either. */
    assert_false(migrate(&connection, steps, 2, 1, backup, &fixture.error));
    assert_non_null(strstr(fixture.error.message, "exists already"));
    assert_false(migrate(&connection, steps, 2, 1, "/nonexistent/copy.db", &fixture.error));
    assert_non_null(strstr(fixture.error.message, "backup of"));
    connection_close(&connection);
}

static bool add_key(void *argument, const struct store_entity *entity)
{
    return add_line(argument, "%.*s ", (int)entity->key.length, entity->key.data);
}

/* Before, what shares a seq was in the order in which it was made. */
TEST(an_older_file_gets_the_order_of_keys)
{
    static const char rows[] =
        "INSERT INTO export (name, entities, max_entities, last_change, last_slot, last_idx, "
        "last_shared, head_slot, head_idx, floor_change, floor_slot, floor_idx) "
        "VALUES ('Quake', 4, 0, 4, 5, 0, 1, 5, 0, 0, 0, 0);"
        "INSERT INTO entity (export, key, slot, idx, change, data) VALUES (1, 'b', 5, 0, 1, '{}'), "
        "(1, 'c', 5, 0, 2, '{}'), (1, 'a', 5, 0, 3, '{}'), (1, 'd', 6, 0, 4, '{}');";
    struct database database;
    struct connection connection;
    struct lines lines = {.left = 99};
    open_bare(&database, &connection);
    OK(migrate(&connection, database_migrations, 6, 0, NULL, &fixture.error));
    OK(connection_execute(&connection, rows, &fixture.error));
    connection_close(&connection);
    open_store();
    OK(store_scan_entities(fixture.reader, 1, NULL, -1, add_key, &lines, &fixture.error));
    OK(store_scan_entities(fixture.reader, 1, &(struct store_position){{5, 0}, SPAN("a")}, 1,
                           add_key, &lines, &fixture.error));
    assert_string_equal(lines.text, "d a b c b ");
}
