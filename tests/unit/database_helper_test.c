/*
 * The helper of a connection: what it is given is done in order before the owner's next statement,
 * and what fails there ends the transaction.
 */
#include "database/database_internal.h"
#include "store_fixture.h"

#include <time.h>
#include <unistd.h>

static struct connection connection;

enum { STATEMENT_PUT = DATABASE_STATEMENTS, STATEMENT_LAST, STATEMENT_ALL, STATEMENTS };

static void set_up_connection(void)
{
    set_up_folder();
    OK(fixture.database = open_path(fixture.path, false));
    OK(connection_open(&connection, fixture.database, CONNECTION_WRITER, STATEMENTS,
                       &fixture.error));
    OK(connection_execute(&connection, "CREATE TABLE number (id INTEGER PRIMARY KEY, n)",
                          &fixture.error));
}

static void tear_down_connection(void)
{
    connection_close(&connection);
    database_close(fixture.database);
    folder_remove(fixture.folder);
}

TEST_EACH(set_up_connection, tear_down_connection)

/* ---- tasks ---- */

struct put {
    struct connection_task task;
    int64_t n;
    long delay_us;
    pthread_t ran_on;
    bool fails, ran;
};

static bool run_put(struct connection_task *task, struct connection *on, struct error *error)
{
    struct put *put = (struct put *)task;
    struct timespec delay = {.tv_nsec = put->delay_us * 1000};
    struct query query;
    put->ran_on = pthread_self();
    put->ran = true;
    nanosleep(&delay, NULL);
    if (put->fails) {
        return error_set(error, ERROR_DISK_FULL, "planted");
    }
    if (!query_start(&query, on, STATEMENT_PUT, "INSERT INTO number (n) VALUES (?)", error)) {
        return false;
    }
    query_integer(&query, put->n);
    return query_run(&query, error);
}

static bool give(struct put *put, int64_t n)
{
    *put =
        (struct put){.task.run = run_put, .n = n, .delay_us = put->delay_us, .fails = put->fails};
    return connection_give(&connection, &put->task);
}

static bool is_alone(void)
{
    return sysconf(_SC_NPROCESSORS_ONLN) < 2;
}

static int64_t sum_of_all(void)
{
    int64_t sum = -1;
    OK(connection_integer(&connection, "SELECT coalesce(sum(id * n), 0) FROM number", &sum,
                          &fixture.error));
    return sum;
}

static void begin_writing(void)
{
    OK(connection_begin(&connection, true, &fixture.error));
}

/* ---- tests ---- */

TEST(tasks_are_done_in_order_before_the_next_statement)
{
    enum { COUNT = 20 };
    static struct put puts[COUNT];
    int64_t expected = 0;
    if (is_alone()) {
        skip();
    }
    begin_writing();
    for (int64_t i = 0; i < COUNT; i++) {
        puts[i].delay_us = i % 5 * 200;
        assert_true(give(&puts[i], i * i));
        expected += (i + 1) * i * i;
    }
    assert_int_equal(sum_of_all(), expected);
    for (int i = 0; i < COUNT; i++) {
        assert_true(puts[i].ran && !puts[i].task.waits);
        assert_false(pthread_equal(puts[i].ran_on, pthread_self()));
    }
    OK(connection_commit(&connection, 0, 0, &fixture.error));
    assert_int_equal(sum_of_all(), expected);
}

TEST(a_commit_has_what_was_given)
{
    struct put put = {.delay_us = 20000};
    if (is_alone()) {
        skip();
    }
    begin_writing();
    assert_true(give(&put, 5));
    OK(connection_commit(&connection, 0, 0, &fixture.error));
    assert_true(put.ran);
    assert_int_equal(sum_of_all(), 5);
}

TEST(a_rollback_waits_and_keeps_nothing)
{
    struct put put = {.delay_us = 20000};
    if (is_alone()) {
        skip();
    }
    begin_writing();
    assert_true(give(&put, 5));
    connection_rollback(&connection);
    assert_true(put.ran && !put.task.waits);
    assert_int_equal(sum_of_all(), 0);
}

/* The commit here is the statement that learns of it. */
TEST(a_task_that_fails_ends_the_transaction)
{
    struct put good = {.delay_us = 1000}, bad = {.fails = true}, late = {.delay_us = 0};
    if (is_alone()) {
        skip();
    }
    for (int by_commit = 0; by_commit < 2; by_commit++) {
        begin_writing();
        assert_true(give(&good, 1));
        assert_true(give(&bad, 2));
        assert_true(give(&late, 3));
        int64_t sum;
        bool done = by_commit ? connection_commit(&connection, 0, 0, &fixture.error)
                              : connection_integer(&connection, "SELECT count(*) FROM number", &sum,
                                                   &fixture.error);
        assert_false(done);
        assert_int_equal(fixture.error.code, ERROR_DISK_FULL);
        assert_string_equal(fixture.error.message, "planted");
        assert_false(late.ran);
        if (!by_commit) {
            assert_false(connection_integer(&connection, "SELECT 1", &sum, &fixture.error));
            assert_false(connection_ready(&connection, &fixture.error));
            assert_int_equal(fixture.error.code, ERROR_DISK_FULL);
            connection_rollback(&connection);
        }
        assert_int_equal(sum_of_all(), 0);
    }
    /* The next transaction is not marked by it. */
    begin_writing();
    assert_true(give(&late, 4));
    OK(connection_commit(&connection, 0, 0, &fixture.error));
    assert_int_equal(sum_of_all(), 4);
}

TEST(nothing_is_given_while_a_query_has_rows_left)
{
    struct put put = {.delay_us = 0};
    struct query query;
    const char *all = "SELECT n FROM number ORDER BY id";
    if (is_alone()) {
        skip();
    }
    begin_writing();
    for (int i = 0; i < 3; i++) {
        assert_true(give(&put, i));
        connection_wait(&connection, &put.task);
    }
    OK(query_start(&query, &connection, STATEMENT_ALL, all, &fixture.error));
    assert_int_equal(query_row(&query, &fixture.error), QUERY_ROW);
    assert_false(give(&put, 9));
    assert_int_equal(query_row(&query, &fixture.error), QUERY_ROW);
    assert_false(give(&put, 9));
    query_end(&query);
    assert_true(give(&put, 10));
    /* One that ran to its end, and a row that is lent: the loan ends. */
    OK(query_start(&query, &connection, STATEMENT_ALL, all, &fixture.error));
    while (query_row(&query, &fixture.error) == QUERY_ROW) {
    }
    assert_true(give(&put, 11));
    OK(query_start(&query, &connection, STATEMENT_LAST, "SELECT max(n) FROM number",
                   &fixture.error));
    assert_int_equal(query_row(&query, &fixture.error), QUERY_ROW);
    assert_int_equal(query_column(&query, 0), 11);
    query_lend(&query);
    assert_true(give(&put, 12));
    OK(connection_commit(&connection, 0, 0, &fixture.error));
    assert_int_equal(sum_of_all(), 0 * 1 + 1 * 2 + 2 * 3 + 10 * 4 + 11 * 5 + 12 * 6);
}

TEST(closing_ends_it_with_a_task_under_way)
{
    struct put put = {.delay_us = 20000};
    if (is_alone()) {
        skip();
    }
    begin_writing();
    assert_true(give(&put, 1));
    connection_close(&connection);
    assert_true(put.ran && !put.task.waits);
}
