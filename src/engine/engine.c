/* The engine's life: open, hand over, deliver, drain, close. */
#include "engine/engine_internal.h"

#include <stdio.h>

enum { MAX_READS = 1 << 17, MAX_WRITES = 1 << 16 };

/* ---- opening: what the configuration says becomes part of the database ---- */

/* The first limit of an export that has rows is brought in step by step, see start_limits. */
static bool apply_limit(struct writer *writer, uint32_t id, int64_t max_entities,
                        struct error *error)
{
    bool waits = max_entities > 0 && store_export_counts(writer->store, id).max_entities == 0 &&
                 store_export_counts(writer->store, id).entities > 0;
    return waits || store_export_limit(writer->store, id, max_entities, false, error);
}

static bool apply_export_options(struct writer *writer, const struct engine_options *options,
                                 struct error *error)
{
    for (size_t i = 0; i < options->export_count; i++) {
        const struct engine_export_options *wanted = &options->exports[i];
        uint32_t id;
        if (!store_export_ensure(writer->store, wanted->name, &id, error) ||
            !apply_limit(writer, id, wanted->max_entities, error))
            return false;
    }
    return true;
}

static struct span options_name(const void *value)
{
    return ((const struct engine_export_options *)value)->name;
}

/* For the time of opening. */
static bool index_options(struct engine *engine, struct error *error)
{
    const struct engine_options *options = &engine->options;
    for (size_t i = 0; i < options->export_count; i++)
        if (!map_get(&engine->configured, options->exports[i].name) &&
            !map_add(&engine->configured, (void *)&options->exports[i]))
            return error_set(error, ERROR_MEMORY, "out of memory while starting");
    return true;
}

/* The limits in the file that the configuration no longer names. */
struct stale_limits {
    const struct map *configured;
    uint32_t *ids;
    size_t count, capacity;
    bool failed;
};

static bool note_stale_limit(void *argument, const struct store_export *export)
{
    struct stale_limits *stale = argument;
    if (export->max_entities == 0 || map_get(stale->configured, export->name))
        return true;
    stale->failed =
        !array_reserve((void **)&stale->ids, stale->count, &stale->capacity, sizeof *stale->ids);
    if (!stale->failed)
        stale->ids[stale->count++] = export->id;
    return !stale->failed;
}

static bool lift_stale_limits(struct writer *writer, struct error *error)
{
    struct stale_limits stale = {.configured = &writer->engine->configured};
    bool done = engine_each_export(writer->engine, note_stale_limit, &stale, error);
    if (stale.failed)
        done = error_set(error, ERROR_MEMORY, "out of memory while reading the exports");
    for (size_t i = 0; done && i < stale.count; i++)
        done = store_export_limit(writer->store, stale.ids[i], 0, false, error);
    memory_free(stale.ids);
    return done;
}

/* The three views of an export as they come are made with the export, derived ones when their rows
 * are there (see derive/open.c); others here. */
static bool define_views(struct writer *writer, const struct view_set *views, struct error *error)
{
    const struct view *view;
    for (size_t i = 0; views && (view = view_set_at(views, i)); i++) {
        uint32_t id;
        if (!store_export_ensure(writer->store, span_of(view->export_name), &id, error))
            return false;
        if (view->stage)
            continue;
        if ((!view_is_standard(view) && !define_view(writer->store, view, id, 0, error)) ||
            !define_shape(writer->store, view, id, view_is_standard(view), error))
            return false;
    }
    return true;
}

/* The exports whose rows are scoped, and by what. */
static bool print_scopes(struct buffer *out, const struct view_set *views)
{
    const struct view_export *export;
    for (size_t i = 0; views && (export = view_set_export_at(views, i)); i++)
        if (export->scope)
            buffer_printf(out, "%s=%s\n", export->name, view_scope_text(export->scope));
    return !out->failed;
}

/*
 * The labels of changes and deletes are noted along with them. When other fields count from now on,
 * the notes say nothing. So older cursors are refused and deletes forgotten.
 */
static bool note_scopes(struct writer *writer, const struct engine_options *options,
                        struct error *error)
{
    struct buffer before, now;
    bool found;
    buffer_init(&before, SIZE_MAX / 2);
    buffer_init(&now, SIZE_MAX / 2);
    bool done =
        (print_scopes(&now, options->views) ||
         error_set(error, ERROR_MEMORY, "out of memory while reading the scopes")) &&
        store_read_meta(store_writer_reader(writer->store), "row_scopes", &before, &found, error);
    bool same = done && span_equal(buffer_span(&before), buffer_span(&now));
    if (done && !same)
        done = store_meta_put(writer->store, "row_scopes",
                              now.length ? buffer_span(&now) : span_of(""), error) &&
               store_writer_refuse_cursors(writer->store, error) &&
               store_tombstones_clear(writer->store, error);
    buffer_fini(&before);
    buffer_fini(&now);
    return done;
}

static bool configure(struct engine *engine, struct error *error)
{
    struct store_writer *store = store_writer_open(engine->facts.database, error);
    struct writer writer = {.engine = engine, .store = store};
    if (!store)
        return false;
    bool done = store_begin(store, error) && store_exports_define_views(store, error) &&
                lift_stale_limits(&writer, error) &&
                apply_export_options(&writer, &engine->options, error) &&
                define_views(&writer, engine->options.views, error) &&
                array_lengths_note(store, &engine->options, error) &&
                note_scopes(&writer, &engine->options, error) && store_commit(store, error);
    if (!done)
        store_rollback(store);
    store_writer_close(store);
    return done;
}

/* A configuration that names exports shows only those, also if the file holds others. */
static void check_closed(struct writer *writer, const struct engine *engine)
{
    size_t position = 0;
    struct export_state *export;
    while (!engine->options.open_exports && (export = map_next(&writer->exports, &position)))
        if (!map_get(&engine->configured, export->name))
            export_free(map_remove(&writer->exports, export->name));
}

static void attach_scopes(struct writer *writer, const struct view_set *views)
{
    size_t position = 0;
    struct export_state *export;
    while (views && (export = map_next(&writer->exports, &position))) {
        const struct view_export *shown = view_set_export(views, export->name);
        export->scope = shown ? shown->scope : NULL;
    }
}

static void attach_options(struct writer *writer, const struct engine_options *options)
{
    for (size_t i = 0; i < options->export_count; i++) {
        struct export_state *export = map_get(&writer->exports, options->exports[i].name);
        if (export)
            export->null_removes = options->exports[i].null_removes;
    }
}

/* The limits that apply_limit left to the writer are its first jobs. */
static bool start_limits(struct engine *engine, struct error *error)
{
    for (size_t i = 0; i < engine->options.export_count; i++) {
        const struct engine_export_options *wanted = &engine->options.exports[i];
        const struct export_state *export = map_get(&engine->writer.exports, wanted->name);
        if (export && export->max_entities != wanted->max_entities &&
            !engine_limit(engine, wanted, 1, error))
            return false;
    }
    return true;
}

/* One is due before the limit of the write-ahead log is reached. */
static uint32_t checkpoint_pages(const struct engine_options *options)
{
    int64_t half = options->max_wal_bytes / DATABASE_WAL_PAGE_BYTES / 2;
    return options->max_wal_bytes && half < options->checkpoint_pages ? (uint32_t)half
                                                                      : options->checkpoint_pages;
}

/* Checkpoints move a log that grows meanwhile, so half of it more is nothing unusual. */
static int64_t longest_wal(const struct engine_options *options)
{
    enum { SHORT_PAGES = 4096 };
    int64_t due = checkpoint_pages(options),
            most = options->max_wal_bytes / DATABASE_WAL_PAGE_BYTES;
    int64_t longest = due + (due / 2 > SHORT_PAGES ? due / 2 : SHORT_PAGES);
    return most && most / 4 * 3 < longest ? most / 4 * 3 : longest;
}

static bool start_checkpoints(struct engine *engine, struct error *error)
{
    engine->disk.store = engine->writer.store;
    engine->disk.database = engine->facts.database;
    engine->disk.checkpoints = &engine->checkpoints;
    engine->disk.max_wal_bytes = engine->options.max_wal_bytes;
    engine->checkpoints.database = engine->facts.database;
    engine->checkpoints.metrics = &engine->metrics;
    engine->checkpoints.intake = &engine->disk.state;
    engine->longest_wal = longest_wal(&engine->options);
    return checkpoints_start(&engine->checkpoints, checkpoint_pages(&engine->options), error);
}

static bool start(struct engine *engine, struct error *error)
{
    if (!writer_init(&engine->writer, engine, error))
        return false;
    check_closed(&engine->writer, engine);
    if (!engine_clock_open(engine, error) || !engine_note_watched(engine, error))
        return false;
    attach_scopes(&engine->writer, engine->options.views);
    attach_options(&engine->writer, &engine->options);
    if (!start_checkpoints(engine, error) ||
        !writer_open_views(&engine->writer, engine->options.views, error))
        return false;
    engine->facts.metrics = &engine->metrics;
    engine->facts.max_wal_bytes = engine->options.max_wal_bytes;
    engine->facts.last_change = engine->writer.open.last_change;
    engine->facts.cursor_floor = store_writer_state(engine->writer.store).log->cursor_floor;
    engine->facts.head = engine->writer.open.head;
    engine->facts.log_position = engine->writer.position.stored;
    struct database_state state = database_state(engine->facts.database);
    engine->facts.epoch = state.epoch;
    engine->facts.file_uuid = state.file_uuid;
    engine->facts.shares_epoch = state.log_created || state.is_replica;
    if (!copied_open(engine, error) || !engine_start_readers(engine, error) ||
        !start_limits(engine, error))
        return false;
    if (pthread_create(&engine->writer_thread, NULL, writer_main, &engine->writer) != 0)
        return error_set(error, ERROR_INTERNAL, "cannot start the writer thread");
    engine->writer_started = true;
    return true;
}

/* The writer waits for submissions only. */
static void nudge_writer(void *engine)
{
    queue_nudge(&((struct engine *)engine)->intake);
}

struct engine *engine_open(const struct engine_options *options, struct error *error)
{
    struct engine *engine = memory_new(sizeof *engine);
    if (!engine) {
        error_set(error, ERROR_MEMORY, "out of memory while starting");
        return NULL;
    }
    engine->options = *options;
    map_init(&engine->configured, options_name);
    bool done = queue_init(&engine->intake, options->queue_count, options->queue_bytes) &&
                queue_init(&engine->writes, MAX_WRITES, SIZE_MAX) &&
                read_queue_init(&engine->reads, MAX_READS) &&
                queue_init(&engine->commits, SIZE_MAX, options->events_bytes) &&
                queue_init(&engine->events, SIZE_MAX, SIZE_MAX) &&
                pthread_mutex_init(&engine->clock.mutex, NULL) == 0 &&
                checkpoints_init(&engine->checkpoints);
    if (!done)
        error_set(error, ERROR_INTERNAL, "cannot make the engine's queues");
    queue_on_fill(&engine->writes, nudge_writer, engine);
    queue_on_fill(&engine->commits, options->wake, options->wake_argument);
    queue_on_fill(&engine->events, options->wake, options->wake_argument);
    done = done && index_options(engine, error) &&
           array_lengths_take(&engine->array_lengths, options, error) &&
           (engine->facts.database = database_open(&options->store, error)) &&
           configure(engine, error) && start(engine, error);
    map_fini(&engine->configured);
    engine->options.views = NULL;
    engine->options.exports = NULL;
    engine->options.store.log = NULL;
    engine->options.store.path =
        engine->facts.database ? database_state(engine->facts.database).path : NULL;
    if (done)
        return engine;
    engine_close(engine);
    return NULL;
}

/* ---- handing over ---- */

bool engine_submit(struct engine *engine, struct submission *submission, struct error *error)
{
    enum error_code disk = disk_state(&engine->disk);
    INVARIANT(submission->event.deliver);
    if (disk != ERROR_NONE)
        return disk_error(&engine->disk, disk, error);
    submission->event.item.bytes = submission_memory(submission);
    if (queue_put(&engine->intake, &submission->event.item, QUEUE_REFUSES))
        return true;
    if (queue_is_closed(&engine->intake))
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    return error_set(error, ERROR_QUEUE_FULL, "the queue of requests is full; try again later");
}

bool engine_read(struct engine *engine, struct read_job *job)
{
    INVARIANT(job->run && job->event.deliver);
    job->event.item.bytes = 0;
    return read_queue_put(&engine->reads, job);
}

void engine_drain(struct engine *engine)
{
    queue_close(&engine->intake);
}

/* The loop is here and delivers nothing, so the queue of commits must not make the writer wait:
 * it is closed first, and what the writer still commits comes through the other queue. */
void engine_close(struct engine *engine)
{
    if (!engine)
        return;
    queue_close(&engine->intake);
    queue_close(&engine->writes);
    queue_close(&engine->commits);
    if (engine->writer_started)
        pthread_join(engine->writer_thread, NULL);
    engine_stop_readers(engine);
    checkpoints_stop(&engine->checkpoints);
    engine_deliver(engine);
    writer_fini(&engine->writer);
    if (engine->facts.database)
        database_close(engine->facts.database);
    array_lengths_fini(&engine->array_lengths);
    queue_fini(&engine->intake);
    queue_fini(&engine->writes);
    read_queue_fini(&engine->reads);
    queue_fini(&engine->commits);
    queue_fini(&engine->events);
    pthread_mutex_destroy(&engine->clock.mutex);
    checkpoints_fini(&engine->checkpoints);
    memory_free(engine);
}

/* ---- facts ---- */

const struct engine_facts *engine_facts(const struct engine *engine)
{
    return &engine->facts;
}

static uint64_t busy_us(const struct engine *engine)
{
    uint64_t since = atomic_load_explicit(&engine->writer_since_us, memory_order_relaxed);
    uint64_t now = clock_monotonic_us();
    return since && now > since ? now - since : 0;
}

struct engine_state engine_state(struct engine *engine)
{
    struct engine_state state = {.disk = disk_state(&engine->disk),
                                 .checkpoints_fail = checkpoints_fail(&engine->checkpoints),
                                 .writer_busy_us = busy_us(engine)};
    queue_fill(&engine->intake, &state.queue_count, &state.queue_bytes);
    state.queue_count += atomic_load(&engine->large_count);
    state.queue_bytes += atomic_load(&engine->large_bytes);
    return state;
}

void engine_note_holder(struct engine *engine, bool begins)
{
    unsigned before = atomic_fetch_add(&engine->holders, begins ? 1U : -1U);
    INVARIANT(begins || before > 0);
}

bool engine_former_epoch(const struct engine *engine, const char *epoch, int64_t *last_change)
{
    return database_former_epoch(engine->facts.database, epoch, last_change);
}

int64_t engine_stage_number(const struct engine *engine, const struct view_stage *stage)
{
    return stage ? derive_stage_number(engine->writer.derive, stage) : 0;
}

uint32_t engine_max_array_length(const struct engine *engine, struct span export_name)
{
    return array_length_of(&engine->array_lengths, export_name);
}
