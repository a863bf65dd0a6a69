/*
 * Appending to the log, whose rows come into the table several at a time: each transaction leaves
 * what was appended in it, whatever the number and size of its rows, and what the writer asks
 * of the log meanwhile is answered with the rows that are not in the table yet.
 */
#include "memory_fault.h"
#include "random.h"
#include "store/store_internal.h"
#include "store_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

TEST_EACH(set_up, tear_down)

enum {
    TRANSACTIONS = 40,
    MOST_ROWS = HELD_CHANGES * HELD_GROUPS * 2, /* the helper falls behind, too */
    KEYS = 5,
    LARGEST = HELD_TEXT_BYTES * 2
};

/* ---- the model ---- */

struct model_row {
    enum row_operation operation;
    struct seq seq;
    uint32_t key;
    size_t size; /* of the patch; 0: it has none */
};

static struct {
    struct model_row rows[TRANSACTIONS * MOST_ROWS];
    size_t count, committed, told;
} model;

static const char *key_of(uint32_t key)
{
    static const char *const names[KEYS] = {"a", "b", "c", "d", "e"};
    return names[key];
}

/* Its length and its letter tell one row's patch from another's. */
static void make_patch(char *patch, const struct model_row *row, size_t number)
{
    memset(patch, 'a' + (int)(number % 26), row->size);
    patch[row->size] = '\0';
}

static bool compare(void *argument, const struct store_change *change,
                    const struct store_entity *entity)
{
    static char patch[LARGEST + 1];
    const struct model_row *row = &model.rows[model.told];
    (void)argument;
    (void)entity;
    make_patch(patch, row, model.told);
    assert_int_equal(change->id, ++model.told);
    assert_int_equal(change->operation, row->operation);
    assert_int_equal(seq_compare(change->seq, row->seq), 0);
    assert_true(span_equal(change->key, span_of(key_of(row->key))));
    assert_true(row->size ? span_equal(change->patch, span_of(patch)) : !change->patch.data);
    return true;
}

static void expect_log(void)
{
    model.told = 0;
    OK(store_scan_changes(fixture.reader, 0, span_make(NULL, 0), 0, INT64_MAX, -1, false, compare,
                          NULL, &fixture.error));
    assert_int_equal(model.told, model.committed);
}

/* ---- random transactions ---- */

/* The log is asked for a seq that is not behind all others. */
static void append_random(bool forward)
{
    static char patch[LARGEST + 1];
    struct model_row *row = &model.rows[model.count];
    *row = (struct model_row){.operation = random_below(4) ? ROW_PATCH : ROW_DELETE,
                              .seq = {1, forward ? model.count : random_below(30)},
                              .key = random_below(KEYS)};
    if (row->operation == ROW_PATCH) {
        row->size = 1 + random_below(random_below(1000) ? 100 : LARGEST);
    }
    make_patch(patch, row, model.count);
    OK(try_append(fixture.quake, key_of(row->key), row->operation, row->seq, 1,
                  row->size ? patch : NULL));
    model.count++;
}

/* What became of a key last, if that was its end. */
static void expect_gone(uint32_t key)
{
    struct seq seq;
    bool found, expected = false;
    size_t i = model.count;
    while (i > 0 && !expected) {
        i--;
        expected = model.rows[i].key == key && row_is_gone(model.rows[i].operation);
    }
    OK(store_change_gone(fixture.writer, fixture.quake, span_of(key_of(key)), &seq, &found,
                         &fixture.error));
    assert_int_equal(found, expected);
    assert_true(!found || seq_compare(seq, model.rows[i].seq) == 0);
}

TEST(every_transaction_leaves_what_was_appended)
{
    random_start(11);
    for (int i = 0; i < TRANSACTIONS; i++) {
        uint32_t rows = random_below(random_below(2) ? MOST_ROWS + 1 : 40);
        uint32_t pause = random_below(2) ? 8 : MOST_ROWS * 2; /* rows between two questions */
        bool forward = random_below(2);
        begin();
        for (uint32_t j = 0; j < rows; j++) {
            append_random(forward);
            if (random_below(pause) == 0) {
                expect_gone(random_below(KEYS));
            }
        }
        if (random_below(4) == 0) {
            store_rollback(fixture.writer);
            model.count = model.committed;
        } else {
            commit();
            model.committed = model.count;
        }
        expect_log();
    }
    assert_true(model.committed > MOST_ROWS);
    check_whole();
}

/* Each row takes the helper longer than the writer, which must not touch what is not inserted. */
TEST(a_helper_that_falls_behind_gets_all_rows)
{
    enum { ROWS = HELD_CHANGES * (HELD_GROUPS + 3) };
    model.count = model.committed = 0;
    OK(connection_execute(&fixture.writer->connection,
                          "CREATE TEMP TRIGGER slow BEFORE INSERT ON change BEGIN "
                          "SELECT count(*) FROM sqlite_schema AS a, sqlite_schema AS b; END",
                          &fixture.error));
    begin();
    for (int i = 0; i < ROWS; i++) {
        append_random(true);
    }
    commit();
    model.committed = model.count;
    expect_log();
}

/* The insert that fails may be one of the helper's: nothing of the transaction is kept, and the
 * next one is fine. */
TEST(a_row_that_cannot_be_inserted_ends_the_transaction)
{
    enum { ROWS = HELD_CHANGES * 3 + 7 };
    model.count = model.committed = 0;
    OK(connection_execute(&fixture.writer->connection,
                          "CREATE TEMP TRIGGER plant BEFORE INSERT ON change WHEN NEW.idx = 1000 "
                          "BEGIN SELECT RAISE(FAIL, 'planted'); END",
                          &fixture.error));
    for (int bad = 0; bad < ROWS; bad += ROWS / 9) {
        bool failed = false;
        begin();
        for (int i = 0; i < ROWS && !failed; i++) {
            failed = !try_append(fixture.quake, "k", ROW_PATCH,
                                 (struct seq){2, i == bad ? 1000 : i % 50}, 1, "{}");
        }
        failed = failed || !store_commit(fixture.writer, &fixture.error);
        assert_true(failed);
        assert_non_null(strstr(fixture.error.message, "planted"));
        store_rollback(fixture.writer);
        expect_log();
        begin();
        append_random(false);
        commit();
        model.committed = model.count;
        expect_log();
    }
}

/* ---- pages that cannot be written, and memory that there is not ---- */

enum { LONG_TRANSACTION = 3000 };

/* Append so many rows, with a question now and then, and commit. */
static bool try_long_transaction(int64_t *seq)
{
    static char patch[1001];
    bool found, done = store_begin(fixture.writer, &fixture.error);
    struct seq gone;
    memset(patch, 'x', sizeof patch - 1);
    for (int i = 0; done && i < LONG_TRANSACTION; i++) {
        done = try_append(fixture.quake, "k", ROW_PATCH, (struct seq){2, ++*seq}, 1, patch) &&
               (i % 700 != 699 || store_change_gone(fixture.writer, fixture.quake, SPAN("k"), &gone,
                                                    &found, &fixture.error));
    }
    return done && store_commit(fixture.writer, &fixture.error);
}

static int64_t kept_rows(void)
{
    int64_t rows = -1;
    OK(connection_integer(&fixture.reader->connection, "SELECT count(*) FROM change", &rows,
                          &fixture.error));
    return rows;
}

/* After a failure: all of the transaction is gone, and nothing more of it is taken. */
static void expect_nothing(enum error_code code, int64_t kept)
{
    struct error late;
    if (fixture.error.code != code) {
        fail_msg("%d: %s", fixture.error.code, fixture.error.message);
    }
    assert_false(store_meta_put(fixture.writer, "late", SPAN("x"), &late));
    store_rollback(fixture.writer);
    assert_int_equal(last_change(), kept);
    assert_int_equal(kept_rows(), kept);
}

static void open_small(void)
{
    struct database_options options = {.path = fixture.path, .cache_mebibytes = 1};
    close_store();
    OK(fixture.database = database_open(&options, &fixture.error));
    OK(fixture.writer = store_writer_open(fixture.database, &fixture.error));
    OK(fixture.reader = store_reader_open(fixture.database, &fixture.error));
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Pages that do not fit into the cache go into the log's file, from the helper, too; SQLite rolls
 * back by itself when it cannot write them. */
TEST(a_spill_that_fails_ends_the_transaction)
{
    int64_t seq = 0, kept = 0;
    int failed = 0;
    signal(SIGXFSZ, SIG_IGN);
    open_small();
    for (int i = 0; i < 16; i++) {
        char wal[128];
        struct stat status;
        snprintf(wal, sizeof wal, "%s-wal", fixture.path);
        rlim_t size = stat(wal, &status) == 0 ? (rlim_t)status.st_size : 0;
        limit_files(size / 2 + (rlim_t)i * 500000);
        bool done = try_long_transaction(&seq);
        limit_files(RLIM_INFINITY);
        if (done) {
            kept += LONG_TRANSACTION;
        } else {
            failed++;
            expect_nothing(ERROR_FILE_LIMIT, kept);
        }
        assert_int_equal(kept_rows(), kept);
    }
    assert_true(failed > 3 && kept > 0);
    check_whole();
}

TEST(without_memory_nothing_is_kept)
{
    int64_t seq = 0, kept = 0;
    int failed = 0;
    for (uint64_t nth = 1; nth < 4000; nth += 1 + nth / 4) {
        memory_fail_at(nth, nth % 2);
        bool done = try_long_transaction(&seq);
        memory_fail_at(0, 0);
        if (done) {
            kept += LONG_TRANSACTION;
        } else {
            failed++;
            expect_nothing(ERROR_MEMORY, kept);
        }
        assert_int_equal(kept_rows(), kept);
    }
    assert_true(failed > 3);
    check_whole();
}

/* ---- what is asked meanwhile ---- */

static bool last_is_shared(void)
{
    struct store_export export;
    bool found = false;
    OK(store_read_export(fixture.reader, SPAN("Quake"), &export, &found, &fixture.error));
    assert_true(found);
    return export.last_seq_shared;
}

static void append_at(int64_t index)
{
    OK(try_append(fixture.quake, "k", ROW_PATCH, (struct seq){1, index}, 1, "{}"));
}

TEST(a_seq_is_shared_with_one_of_the_same_transaction)
{
    begin();
    append_at(1);
    append_at(2);
    append_at(1);
    commit();
    assert_true(last_is_shared());
    begin();
    append_at(5);
    append_at(7);
    append_at(6);
    commit();
    assert_false(last_is_shared());
}

/* Trimming reads the log in the transaction that appends to it. */
TEST(what_is_appended_is_trimmed_in_its_transaction)
{
    struct store_retention retention = {.rows = 2};
    bool more = false;
    begin();
    for (int i = 1; i <= 7; i++) {
        append_at(i);
    }
    OK(store_trim(fixture.writer, &retention, 1, 100, INT64_MAX, &more, &fixture.error));
    commit();
    assert_false(more);
    assert_int_equal(store_writer_state(fixture.writer).log->floor_change, 5);
    assert_int_equal(store_writer_state(fixture.writer).log->rows, 2);
    check_whole();
}
