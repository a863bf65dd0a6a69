#include "delivery_fixture.h"
#include "store/store_internal.h"
#include "test.h"
#include "window/window.h"

static bool tell_export(void *hub, const struct store_export *export)
{
    hub_add_export(hub, export);
    return true;
}

void hub_fixture_init(struct hub_fixture *fixture)
{
    fixture_init(&fixture->base);
    fixture->base.options.retention =
        (struct store_retention){.tombstone_age_ms = 600 * 1000, .tombstone_rows = 100 * 1000};
    fixture->options = (struct hub_options){.ring_bytes = 1 << 20,
                                            .channel_bytes = 1 << 20,
                                            .max_subscriptions = 1000,
                                            .tombstone_ms = 600 * 1000};
}

void hub_fixture_fini(struct hub_fixture *fixture)
{
    if (fixture->hub)
        hub_fixture_stop(fixture);
    fixture_fini(&fixture->base);
}

void hub_fixture_start_with(struct hub_fixture *fixture, const char *names)
{
    struct error error;
    size_t count = strlen(names);
    struct view_set *set = view_set_new(false);
    assert_in_range(count, 1, sizeof fixture->exports / sizeof *fixture->exports);
    for (size_t i = 0; i < count; i++) {
        fixture->exports[i] = (struct engine_export_options){.name = {names + i, 1}};
        assert_true(view_set_add_export(set, fixture->exports[i].name, &error));
    }
    hub_fixture_start(fixture, set, fixture->exports, count);
}

void hub_fixture_start(struct hub_fixture *fixture, struct view_set *views,
                       const struct engine_export_options *exports, size_t export_count)
{
    struct error error;
    struct engine_options *options = &fixture->base.options;
    fixture->hub = hub_new(&fixture->options, views, &window_ops);
    assert_non_null(fixture->hub);
    options->open_exports = false;
    options->exports = exports;
    options->export_count = export_count;
    options->views = views;
    options->on_commit = hub_commit;
    options->argument = fixture->hub;
    options->on_drained = NULL;
    fixture_open(&fixture->base);
    hub_attach(fixture->hub, fixture->base.engine);
    assert_true(engine_each_export(fixture->base.engine, tell_export, fixture->hub, &error));
}

void hub_fixture_stop(struct hub_fixture *fixture)
{
    fixture_close(&fixture->base);
    hub_free(fixture->hub);
    fixture->hub = NULL;
}

void hub_fixture_feed(struct hub_fixture *fixture, const char *text)
{
    struct outcome outcome = fixture_apply(&fixture->base, text);
    if (outcome.error.code != ERROR_NONE)
        fail_msg("%s", outcome.error.message);
}

void hub_fixture_feed_many(struct hub_fixture *fixture, int count, const char *rest)
{
    struct buffer text;
    buffer_init(&text, 64 << 20);
    for (int i = 0; i < count; i++)
        buffer_printf(&text, "Q k%d %s\n", i, rest);
    hub_fixture_feed(fixture, buffer_string(&text));
    buffer_fini(&text);
}

struct barrier {
    struct read_job read;
    bool back;
};

static void run_nothing(struct read_job *job, struct store_reader *reader)
{
    (void)job;
    (void)reader;
}

static void note_back(struct engine_event *event)
{
    ((struct barrier *)event)->back = true;
}

void hub_fixture_wait_for_readers(struct hub_fixture *fixture)
{
    struct barrier barrier = {.read = {.event.deliver = note_back, .run = run_nothing}};
    assert_true(engine_read(fixture->base.engine, &barrier.read));
    fixture_wait(&fixture->base, &barrier.back);
}

struct steps {
    struct read_job job;
    bool back;
    int64_t count;
};

int64_t steps_of(const struct store_reader *reader)
{
    int64_t steps = 0;
    for (size_t i = 0; i < reader->connection.statement_count; i++) {
        sqlite3_stmt *statement = reader->connection.statements[i];
        steps += statement ? sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 0) : 0;
    }
    return steps;
}

static void count_steps(struct read_job *job, struct store_reader *reader)
{
    ((struct steps *)job)->count = steps_of(reader);
}

static void steps_counted(struct engine_event *event)
{
    ((struct steps *)event)->back = true;
}

int64_t hub_fixture_steps(struct hub_fixture *fixture)
{
    struct steps steps = {.job = {.event.deliver = steps_counted, .run = count_steps}};
    assert_true(engine_read(fixture->base.engine, &steps.job));
    fixture_wait(&fixture->base, &steps.back);
    return steps.count;
}

void hub_fixture_until(struct hub_fixture *fixture, bool (*done)(void *argument), void *argument)
{
    uint64_t until = clock_monotonic_us() + 60 * 1000 * 1000;
    engine_deliver(fixture->base.engine);
    while (!done(argument)) {
        assert_true(clock_monotonic_us() < until);
        usleep(50);
        engine_deliver(fixture->base.engine);
    }
}
