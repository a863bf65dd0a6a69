/*
 * Appending to the log, whose rows come into the table several at a time: each transaction leaves
 * what was appended in it, whatever the number and size of its rows, and what the writer asks
 * of the log meanwhile is answered with the rows that are not in the table yet.
 */
#include "random.h"
#include "store/store_internal.h"
#include "store_fixture.h"

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
