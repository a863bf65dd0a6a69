#include "engine_fixture.h"
#include "folder.h"
#include "test.h"

#include <time.h>

static void wake(void *argument)
{
    struct fixture *fixture = argument;
    pthread_mutex_lock(&fixture->lock);
    fixture->events = true;
    pthread_cond_signal(&fixture->woken);
    pthread_mutex_unlock(&fixture->lock);
}

static void on_commit(void *argument, struct engine_commit *commit)
{
    struct fixture *fixture = argument;
    for (size_t i = 0; i < commit->count; i++) {
        assert_int_equal(commit->changes[i]->id, ++fixture->last_change);
        if (fixture->on_change)
            fixture->on_change(fixture->on_change_argument, commit->changes[i]);
        change_unref(commit->changes[i]);
    }
    fixture->commits++;
    fixture->changes += commit->count;
    assert_int_equal(fixture->last_change, commit->last_change);
}

static void on_drained(void *argument)
{
    ((struct fixture *)argument)->drained = true;
}

void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.last_change = 0};
    folder_make(fixture->folder);
    snprintf(fixture->path, sizeof fixture->path, "%s/test.db", fixture->folder);
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_cond_init(&fixture->woken, NULL);
    fixture->options = (struct engine_options){.store = {.path = fixture->path},
                                               .open_exports = true,
                                               .max_exports = 100,
                                               .max_array_length = 5,
                                               .max_entity_bytes = 1 << 20,
                                               .queue_bytes = 64 << 20,
                                               .queue_count = 10000,
                                               .commit_mutations = 1000,
                                               .cache_bytes = 1 << 20,
                                               .events_bytes = 16 << 20,
                                               .checkpoint_pages = 1000,
                                               .readers = 2,
                                               .on_commit = on_commit,
                                               .on_drained = on_drained,
                                               .argument = fixture,
                                               .wake = wake,
                                               .wake_argument = fixture};
}

void fixture_open(struct fixture *fixture)
{
    struct error error = {.code = ERROR_NONE};
    fixture->engine = engine_open(&fixture->options, &error);
    if (!fixture->engine)
        fail_msg("engine_open: %s", error.message);
    fixture->last_change = engine_facts(fixture->engine)->last_change;
}

void fixture_close(struct fixture *fixture)
{
    engine_close(fixture->engine);
    fixture->engine = NULL;
}

void fixture_fini(struct fixture *fixture)
{
    if (fixture->engine)
        fixture_close(fixture);
    folder_remove(fixture->folder);
    pthread_mutex_destroy(&fixture->lock);
    pthread_cond_destroy(&fixture->woken);
}

/* STELE_PATIENCE makes it so many times longer, for a machine that is busy. */
static time_t longest_wait_s(void)
{
    const char *patience = getenv("STELE_PATIENCE");
    long times = patience ? strtol(patience, NULL, 10) : 1;
    return 60 * (times > 1 ? times : 1);
}

void fixture_wait(struct fixture *fixture, const bool *done)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += longest_wait_s();
    while (!*done) {
        int result = 0;
        pthread_mutex_lock(&fixture->lock);
        while (!fixture->events && result == 0)
            result = pthread_cond_timedwait(&fixture->woken, &fixture->lock, &until);
        fixture->events = false;
        pthread_mutex_unlock(&fixture->lock);
        assert_int_equal(result, 0);
        engine_deliver(fixture->engine);
    }
}

/* ---- submissions ---- */

static void deliver(struct engine_event *event)
{
    struct submission *submission = (struct submission *)event;
    struct outcome *outcome = submission->context;
    *outcome = (struct outcome){.done = true,
                                .error = submission->error,
                                .applied = submission->applied,
                                .ignored = submission->ignored,
                                .duplicate = submission->duplicate,
                                .has_seq = submission->has_seq,
                                .seq = submission->seq};
    submission_free(submission);
}

static struct span keep(struct submission *submission, const char *text)
{
    return submission_keep(submission, span_of(text));
}

static void add_mutation(struct submission *submission, char *line, struct seq *seq)
{
    char *save, *export = strtok_r(line, " ", &save), *key = strtok_r(NULL, " ", &save);
    char *operation = strtok_r(NULL, " ", &save), *patch = strtok_r(NULL, " ", &save), *path;
    struct error error;
    struct mutation *mutation = submission_add(submission);
    mutation->export_name = keep(submission, export);
    mutation->key = keep(submission, key);
    mutation->operation = !strcmp(operation, "delete")   ? ROW_DELETE
                          : !strcmp(operation, "upsert") ? ROW_UPSERT
                                                         : ROW_PATCH;
    if (patch && !doc_parse(&submission->doc, span_of(patch), 200, &mutation->patch, &error))
        fail_msg("%s", error.message);
    mutation->appends = submission_zeroed(submission, 8 * sizeof *mutation->appends);
    while ((path = strtok_r(NULL, " ", &save)))
        mutation->appends[mutation->append_count++].path = keep(submission, path);
    mutation->has_seq = seq->slot >= 0;
    mutation->seq = *seq;
    seq->slot = -1;
}

struct submission *fixture_submission(const char *text, struct outcome *outcome)
{
    struct submission *submission = submission_new(1 << 24, 1 << 20);
    struct submission_batch *batch = submission_add_batch(submission);
    struct seq seq = {-1, 0};
    char *copy = strdup(text), *save, *line = strtok_r(copy, "\n", &save);
    *outcome = (struct outcome){.done = false};
    submission->context = outcome;
    submission->event.deliver = deliver;
    submission->received_us = clock_monotonic_us();
    for (; line; line = strtok_r(NULL, "\n", &save)) {
        long long number, slot, index;
        char name[64];
        if (sscanf(line, "@%63s %lld", name, &number) == 2) {
            batch = submission_add_batch(submission);
            batch->producer = keep(submission, name);
            batch->number = number;
        } else if (sscanf(line, "=%lld:%lld", &slot, &index) == 2) {
            seq = (struct seq){slot, index};
        } else {
            add_mutation(submission, line, &seq);
            batch->count++;
        }
    }
    free(copy);
    return submission;
}

struct outcome fixture_apply(struct fixture *fixture, const char *text)
{
    struct outcome outcome;
    struct error error;
    struct submission *submission = fixture_submission(text, &outcome);
    if (!engine_submit(fixture->engine, submission, &error)) {
        submission_free(submission);
        outcome.error = error;
        return outcome;
    }
    fixture_wait(fixture, &outcome.done);
    return outcome;
}

char *fixture_entity(struct fixture *fixture, const char *export, const char *key)
{
    struct error error = {.code = ERROR_NONE};
    struct store_reader *reader =
        store_reader_open(engine_facts(fixture->engine)->database, &error);
    struct store_export row;
    struct store_entity entity;
    bool found;
    char *data = NULL;
    assert_non_null(reader);
    assert_true(store_read_begin(reader, &error));
    assert_true(store_read_export(reader, span_of(export), &row, &found, &error));
    if (found) {
        assert_true(store_read_entity(reader, row.id, span_of(key), &entity, &found, &error));
        if (found)
            data = strndup(entity.data.data, entity.data.length);
    }
    store_read_end(reader);
    store_reader_close(reader);
    return data;
}

static bool spoil(struct write_job *job, struct store_writer *store, struct error *error)
{
    (void)job;
    (void)store;
    return error_set(error, ERROR_DATABASE, "as the test wants");
}

static void spoiled(struct engine_event *event)
{
    ((struct spoiler *)event)->done = true;
}

bool fixture_spoil(struct fixture *fixture, struct spoiler *spoiler)
{
    *spoiler = (struct spoiler){.job = {.event.deliver = spoiled, .run = spoil}};
    return engine_write(fixture->engine, &spoiler->job);
}
