#include "derive_run.h"
#include "memory_fault.h"
#include "random.h"
#include "store/stage.h"
#include "test.h"

#include <sqlite3.h>

/* ---- the clock ---- */

/* Whoever holds it stops the writer before its next transaction. */
pthread_mutex_t clock_held = PTHREAD_MUTEX_INITIALIZER;

static int64_t wall_ms(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&clock_held);
    pthread_mutex_unlock(&clock_held);
    return atomic_load(&clock_s) * 1000 + 17;
}

/* ---- a run: engine, views, model ---- */

/* Longer than any place. It is there from the start: an allocation that is to fail in the writer
 * may be still to come when a commit is delivered, and what is noted of the commit must not be lost
 * to it. */
enum { PLACE = 4096 };

static size_t stage_number(const struct run *run, const struct view_stage *stage)
{
    size_t i = 0;
    while (view_set_stage_at(run->views, i) != stage)
        assert_true(++i < 16);
    return i;
}

static void note_touches(void *argument, struct engine_commit *commit)
{
    /* The fixture is the first member. */
    struct run *run = argument;
    for (size_t i = 0; i < commit->touch_count; i++) {
        struct buffer *told = &run->told[stage_number(run, commit->touches[i].stage)];
        struct span place = commit->touches[i].sort_key;
        assert_true(place.length > 0);
        if (told->length && span_compare(place, buffer_span(told)) >= 0)
            continue;
        buffer_clear(told);
        buffer_add_span(told, place);
    }
    run->touches += commit->touch_count;
    run->touched = run->touched || commit->touch_count > 0;
    run->on_commit(&run->f, commit);
}

void run_init(struct run *run, const struct pipeline *pipelines, int count)
{
    *run = (struct run){.view_count = count};
    memcpy(run->pipelines, pipelines, (size_t)count * sizeof *pipelines);
    for (int i = 0; i < 16; i++) {
        buffer_init(&run->told[i], PLACE);
        assert_non_null(buffer_reserve(&run->told[i], PLACE));
        buffer_init(&run->rows[i], 1 << 20);
    }
    for (int i = 0; i < KEYS; i++)
        snprintf(run->model.rows[i].key, sizeof run->model.rows[i].key, "k%d", i);
    fixture_init(&run->f);
    run->on_commit = run->f.options.on_commit;
    run->f.options.on_commit = note_touches;
    run->f.options.argument = run;
    run->f.options.wall_ms = wall_ms;
    run->f.options.store.synchronous = DATABASE_SYNCHRONOUS_OFF;
    run->views = make_views(pipelines, count);
    run->f.options.views = run->views;
}

/* Before the engine closes: it leaves the file as the last one. */
static void close_readers(struct run *run)
{
    sqlite3_close(run->file);
    store_reader_close(run->reader);
    run->file = NULL;
    run->reader = NULL;
}

void run_close(struct run *run)
{
    close_readers(run);
    fixture_close(&run->f);
    view_set_free(run->views);
    run->views = NULL;
}

void run_limit(struct run *run, int most)
{
    run->model.limit = most;
    run->limit = (struct engine_export_options){.name = {"Q", 1}, .max_entities = most};
    run->f.options.exports = &run->limit;
    run->f.options.export_count = 1;
}

void run_open(struct run *run)
{
    if (!run->views)
        run->views = make_views(run->pipelines, run->view_count);
    run->f.options.views = run->views;
    fixture_open(&run->f);
    for (int i = 0; i < 16; i++) {
        buffer_clear(&run->told[i]);
        buffer_clear(&run->rows[i]);
    }
}

static void fail_on_finding(void *argument, const char *line)
{
    (void)argument;
    fail_msg("finding: %s", line);
}

void run_fini(struct run *run)
{
    struct error error = {.code = ERROR_NONE};
    close_readers(run);
    if (run->f.engine)
        fixture_close(&run->f);
    if (!engine_check(run->f.path, fail_on_finding, NULL, &error) ||
        !derive_check(run->f.path, run->views, fail_on_finding, NULL, &error))
        fail_msg("check: %s", error.message);
    fixture_fini(&run->f);
    view_set_free(run->views);
    for (int i = 0; i < 16; i++) {
        buffer_fini(&run->told[i]);
        buffer_fini(&run->rows[i]);
    }
}

/* ---- what is in the file ---- */

static sqlite3 *open_file(const struct run *run)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open_v2(run->f.path, &database, SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    return database;
}

int64_t ask(const struct run *run, const char *sql)
{
    sqlite3 *database = open_file(run);
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(database));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return value;
}

static void expect_view(struct run *run, int view)
{
    sqlite3 *database = run->file;
    struct shown shown;
    char sql[64];
    sqlite3_stmt *statement;
    evaluate(&run->model, run->pipelines, view, &shown);
    snprintf(sql, sizeof sql, "SELECT rank, key FROM \"Q/v%d\"", view);
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(database));
    int count = 0, result;
    for (; (result = sqlite3_step(statement)) == SQLITE_ROW; count++) {
        const char *key = (const char *)sqlite3_column_text(statement, 1);
        if (count >= shown.count || strcmp(key, shown.rows[count]->key) != 0)
            fail_msg(SEED_FORMAT ": view %d has %s at %d, not %s", random_seed, view, key, count,
                     count < shown.count ? shown.rows[count]->key : "nothing");
        assert_int_equal(sqlite3_column_int(statement, 0), count + 1);
    }
    if (result != SQLITE_DONE)
        fail_msg("%s", sqlite3_errmsg(database));
    if (count != shown.count)
        fail_msg(SEED_FORMAT ": view %d has %d rows, not %d", random_seed, view, count,
                 shown.count);
    sqlite3_finalize(statement);
}

/* All rows of a stage, place and change, one after the other. */
static bool add_row(void *argument, struct span place, const struct store_entity *entity)
{
    uint32_t length = (uint32_t)place.length;
    buffer_add(argument, &length, sizeof length);
    buffer_add_span(argument, place);
    return buffer_add(argument, &entity->change, sizeof entity->change);
}

static struct span row_place(const struct buffer *rows, size_t at)
{
    uint32_t length = 0;
    if (at >= rows->length)
        return span_make(NULL, 0);
    memcpy(&length, rows->data + at, sizeof length);
    return span_make(rows->data + at + sizeof length, length);
}

/* The first place at which two states of a stage differ; absent when they are the same. */
static struct span first_difference(const struct buffer *was, const struct buffer *is)
{
    size_t at = 0;
    for (;;) {
        struct span p = row_place(was, at), q = row_place(is, at);
        if (!p.data || !q.data)
            return p.data ? p : q;
        if (!span_equal(p, q))
            return span_compare(p, q) < 0 ? p : q;
        size_t end = at + sizeof(uint32_t) + p.length;
        if (memcmp(was->data + end, is->data + end, sizeof(int64_t)) != 0)
            return p;
        at = end + sizeof(int64_t);
    }
}

/* What changed in a stage was told, from its first place on. */
static void expect_told(struct run *run, size_t number)
{
    struct store_reader *reader = run->reader;
    const struct view_stage *stage = view_set_stage_at(run->views, number);
    struct error error = {.code = ERROR_NONE};
    struct buffer rows;
    int64_t id, built;
    bool found;
    buffer_init(&rows, 1 << 20);
    assert_true(store_read_stage(reader, span_of(stage->definition), &id, &built, &found, &error));
    assert_true(found);
    assert_true(store_scan_stage(reader, id, span_make(NULL, 0), 0, -1, false, false, add_row,
                                 &rows, &error));
    struct span difference = first_difference(&run->rows[number], &rows);
    const struct buffer *told = &run->told[number];
    if (difference.data && run->rows[number].length &&
        (!told->length || span_compare(buffer_span(told), difference) > 0))
        fail_msg(SEED_FORMAT ": stage %zu changed and no commit told of it", random_seed, number);
    buffer_fini(&run->rows[number]);
    run->rows[number] = rows;
    buffer_clear(&run->told[number]);
}

void expect_all(struct run *run)
{
    struct error error = {.code = ERROR_NONE};
    if (!run->file)
        run->file = open_file(run);
    for (int i = 0; i < run->view_count; i++)
        expect_view(run, i);
    if (!run->reader)
        run->reader = store_reader_open(engine_facts(run->f.engine)->database, &error);
    assert_non_null(run->reader);
    assert_true(store_read_begin(run->reader, &error));
    for (size_t i = 0; view_set_stage_at(run->views, i); i++)
        expect_told(run, i);
    store_read_end(run->reader);
}

/* ---- mutations ---- */

void expect_applied(struct run *run, const char *text)
{
    struct outcome outcome = fixture_apply(&run->f, text);
    if (outcome.error.code != ERROR_NONE)
        fail_msg("%s", outcome.error.message);
}

void apply_some(struct run *run, int most, int fault)
{
    struct model before = run->model;
    struct outcome outcome;
    struct error error;
    struct buffer text;
    buffer_init(&text, 1 << 20);
    for (int i = pick(most) + 1; i > 0 || !text.length; i--) {
        mutate(&run->model, &text);
        evict(&run->model);
    }
    if (text.length) {
        struct submission *submission = fixture_submission(buffer_string(&text), &outcome);
        memory_fail_at((uint64_t)fault, 0);
        bool put = engine_submit(run->f.engine, submission, &error);
        assert_true(put);
        fixture_wait(&run->f, &outcome.done);
        memory_fail_at(0, 0);
        if (outcome.error.code != ERROR_NONE)
            run->model = before;
        if (!fault && outcome.error.code != ERROR_NONE)
            fail_msg("%s", outcome.error.message);
    }
    buffer_fini(&text);
}
