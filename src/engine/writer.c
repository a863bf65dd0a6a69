/*
 * The writer thread. One turn of it: take the queue, apply requests up to the cap, bring them into
 * one transaction, commit, publish. Requests that arrive meanwhile go into the next turn, so
 * batches grow with the load by themselves.
 */
#include "engine/engine_internal.h"
#include "store/watched.h"

enum { IDLE_MS = 500, EVICT_REST_MS = 10, TRIM_US = 1000 * 1000, TRIM_STEP = 2000 };
enum { SHORT_SHARE = 8 }; /* a short transaction's share of commit_mutations */

/* ---- set-up ---- */

static struct span export_key(const void *value)
{
    return ((const struct export_state *)value)->name;
}

static bool load_export(void *argument, const struct store_export *row)
{
    struct writer *writer = argument;
    struct export_state *export = memory_alloc(sizeof *export + row->name.length);
    if (!export)
        return false;
    char *copy = (char *)(export + 1);
    memcpy(copy, row->name.data, row->name.length);
    *export = (struct export_state){.id = row->id,
                                    .max_array =
                                        array_length_of(&writer->engine->array_lengths, row->name),
                                    .name = span_make(copy, row->name.length)};
    export_read_limit(writer, export);
    if (map_add(&writer->exports, export))
        return true;
    memory_free(export);
    return false;
}

bool writer_init(struct writer *writer, struct engine *engine, struct error *error)
{
    *writer = (struct writer){.engine = engine};
    map_init(&writer->exports, export_key);
    keyed_init(writer);
    known_producers_init(&writer->known);
    large_init(&writer->large);
    entity_cache_init(&writer->cache, engine->options.cache_bytes);
    buffer_init(&writer->scratch.merged, engine->options.max_entity_bytes);
    buffer_init(&writer->scratch.patch, UINT32_MAX);
    buffer_init(&writer->scratch.append, UINT32_MAX);
    buffer_init(&writer->scratch.log_append, UINT32_MAX);
    buffer_init(&writer->scratch.rest, UINT32_MAX);
    doc_init(&writer->scratch.stripped, UINT32_MAX, UINT32_MAX);
    writer->store = store_writer_open(engine->facts.database, error);
    if (!writer->store || !engine_each_export(writer->engine, load_export, writer, error))
        return false;
    writer->open.last_change = store_writer_state(writer->store).log->last_change;
    writer->open.head = store_writer_state(writer->store).log->head;
    return position_load(writer, error);
}

void writer_fini(struct writer *writer)
{
    size_t position = 0;
    struct export_state *export;
    entity_cache_fini(&writer->cache);
    while ((export = map_next(&writer->exports, &position)))
        export_free(export);
    map_fini(&writer->exports);
    keyed_forget(writer);
    known_producers_forget(&writer->known);
    while (writer->told.unknown_count)
        memory_free(writer->told.unknown_exports[--writer->told.unknown_count]);
    buffer_fini(&writer->scratch.merged);
    buffer_fini(&writer->scratch.patch);
    buffer_fini(&writer->scratch.append);
    buffer_fini(&writer->scratch.log_append);
    buffer_fini(&writer->scratch.rest);
    doc_fini(&writer->scratch.stripped);
    derive_close(writer->derive);
    large_fini(&writer->large);
    derive_touched_free(writer->open.touches, writer->open.touch_count);
    change_slab_release(writer->open.slab);
    memory_free(writer->open.commit);
    memory_free(writer->open.changes);
    memory_free(writer->open.submissions);
    memory_free(writer->open.new_exports);
    memory_free(writer->applying.pending);
    memory_free(writer->applying.undos);
    if (writer->store)
        store_writer_close(writer->store);
}

/* ---- one transaction ---- */

/* Note the submission as one of this transaction's, to be answered with it. */
static bool take(struct writer *writer, struct submission *submission)
{
    if (!array_reserve((void **)&writer->open.submissions, writer->open.submission_count,
                       &writer->open.submission_capacity, sizeof *writer->open.submissions)) {
        error_set(&submission->error, ERROR_MEMORY, "out of memory while taking a request");
        batch_order_refuse(submission->order, submission);
        engine_post(writer->engine, &submission->event);
        return false;
    }
    writer->open.submissions[writer->open.submission_count++] = submission;
    return true;
}

/* Trim along with the changes that make it necessary, so that it never becomes one large step. */
static bool trim_some(struct writer *writer, int64_t step, struct error *error)
{
    const struct store_retention *retention = &writer->engine->options.retention;
    const struct store_log_state *log = store_writer_state(writer->store).log;
    uint64_t now = clock_monotonic_us();
    bool over = (retention->rows && log->rows > retention->rows) ||
                (retention->bytes && log->bytes > retention->bytes);
    if (!over && now - writer->upkeep.trim_us < TRIM_US)
        return true;
    int64_t rows = log->rows;
    struct engine_watched watched;
    bool more = false;
    if (!engine_watched_from(writer->engine, &watched, error) ||
        !store_trim(writer->store, retention, engine_times(writer->engine).due, step,
                    watched.changes, &more, error) ||
        !store_watched_keys_unpin(writer->store, watched.pinned, step, error))
        return false;
    if (!more)
        writer->upkeep.trim_us = now;
    counter_add(&writer->engine->metrics.trimmed_changes,
                (uint64_t)(rows - store_writer_state(writer->store).log->rows));
    return true;
}

/* Room to tell of a transaction, before it is begun. */
static bool prepare(struct writer *writer, struct error *error)
{
    if (!writer->open.commit)
        writer->open.commit = memory_new(sizeof *writer->open.commit);
    return writer->open.commit != NULL || error_set(error, ERROR_MEMORY, "out of memory");
}

static bool finish(struct writer *writer, struct error *error)
{
    return writer_flush(writer, error) && known_producers_store(writer, error) &&
           position_store(writer, error) && writer_derive(writer, error) &&
           writer_run_jobs(writer, true, error) &&
           trim_some(writer, (int64_t)writer->open.change_count * 2 + TRIM_STEP, error) &&
           engine_clock_save(writer->engine,
                             writer->open.change_count ? CLOCK_SAVE_DUE : CLOCK_SAVE_FIRST,
                             error) &&
           writer_make_views(writer, VIEWS_OWN, error) && store_commit(writer->store, error);
}

/* It is on disk: what the cache holds is what the store holds, and the derived rows that it touched
 * are told with it. */
static void settle(struct writer *writer)
{
    if (writer->derive) {
        derive_touched_free(writer->open.touches, writer->open.touch_count);
        writer->open.touches = derive_committed(writer->derive, &writer->open.touch_count);
    }
    writer_evict_end(writer, true);
    position_end(writer, true);
    entity_cache_settle(&writer->cache);
}

/* For who traces the submissions of a transaction that is on disk. */
static void note_times(struct writer *writer, uint64_t begun, uint64_t now)
{
    for (size_t i = 0; i < writer->open.submission_count; i++) {
        struct submission_times *times = &writer->open.submissions[i]->times;
        times->begun_us = begun;
        times->committed_us = now;
        times->requests = writer->open.submission_count;
        times->changes = writer->open.change_count;
        times->last_change = writer->open.last_change;
    }
}

static void observe(struct writer *writer, uint64_t begun)
{
    struct engine_metrics *metrics = &writer->engine->metrics;
    uint64_t now = clock_monotonic_us();
    histogram_add(&metrics->commit_duration, now - begun);
    counter_add(&metrics->commits, 1);
    counter_add(&metrics->changes, writer->open.change_count);
    for (size_t i = 0; i < writer->open.submission_count; i++) {
        const struct submission *submission = writer->open.submissions[i];
        counter_add(&metrics->mutations_applied, submission->applied);
        counter_add(&metrics->mutations_ignored, submission->ignored);
        counter_add(&metrics->mutations_duplicate, submission->duplicate);
        counter_add(&metrics->mutations_stale, submission->stale);
        counter_add(&metrics->mutations_truncated, submission->truncated);
        counter_add(&metrics->mutations_refused, submission->error.code != ERROR_NONE);
        histogram_add(&metrics->commit_latency, now - submission->received_us);
    }
    if (writer->engine->options.notes_times)
        note_times(writer, begun, now);
}

static void fail(struct writer *writer, const struct error *error)
{
    struct engine *engine = writer->engine;
    store_rollback(writer->store);
    counter_add(&engine->metrics.commit_failures, 1);
    if (!disk_stop_intake(&engine->disk, error))
        log_error("engine", "commit-failed", log_text("error", error->message));
    writer_abandon(writer, error);
    writer_answer_jobs(writer, error);
}

/* Short while a checkpoint waits to get through, because the last transaction is what it makes the
 * writer wait for. */
static size_t transaction_cap(const struct engine *engine)
{
    size_t cap = engine->options.commit_mutations;
    bool keep_short = atomic_load_explicit(&engine->checkpoints.is_near, memory_order_relaxed);
    return keep_short ? cap / SHORT_SHARE + 1 : cap;
}

/* Apply the first of the list, unless it has to wait; where that needs a transaction of its own, it
 * is put back. false: the transaction failed. */
static bool apply_first(struct writer *writer, struct queue_item **list, struct error *error)
{
    struct large_wait *large = &writer->large;
    struct submission *submission = (struct submission *)*list;
    bool is_first = writer->open.submission_count == 0;
    *list = submission->event.item.next;
    if (large_follows(writer, submission) || !take(writer, submission))
        return true;
    large->passes = is_first && (large->granted || large_may_pass(writer));
    large->granted = false;
    if (!writer_apply(writer, submission, error))
        return false;
    if (!large->stopped) {
        large_note(writer, submission);
        return true;
    }
    large->ends = !is_first && large_may_pass(writer);
    if (large->ends) {
        submission->event.item.next = *list;
        *list = &submission->event.item;
    }
    if (large->ends || large_put_off(writer, submission)) {
        writer->open.submission_count--;
    } else {
        error_set(&submission->error, ERROR_MEMORY, "out of memory while taking a request");
        batch_order_refuse(submission->order, submission);
    }
    return true;
}

/* Apply from the list until the cap is reached; false: the transaction failed. */
static bool apply_some(struct writer *writer, struct queue_item **list, struct error *error)
{
    size_t taken = 0, cap = transaction_cap(writer->engine);
    writer->open.bytes = 0;
    writer->large.ran = writer->large.ends = false;
    while (*list && taken < cap && writer->open.bytes < TRANSACTION_BYTES && !writer->large.ends) {
        size_t count = ((struct submission *)*list)->mutation_count;
        if (taken && taken + count > cap)
            break;
        taken += count + 1;
        if (!apply_first(writer, list, error))
            return false;
    }
    return true;
}

/* One that is answered, for a transaction that cannot be begun. */
static bool take_first(struct writer *writer, struct queue_item **list)
{
    struct submission *submission = (struct submission *)*list;
    *list = submission->event.item.next;
    take(writer, submission);
    return false;
}

static void write_some(struct writer *writer, struct queue_item **list)
{
    struct error error = {.code = ERROR_NONE};
    uint64_t begun = clock_monotonic_us();
    checkpoints_pass(&writer->engine->checkpoints);
    uint64_t opened = clock_monotonic_us();
    writer->open.now = engine_times(writer->engine).now;
    bool going = prepare(writer, &error);
    going = going && store_begin(writer->store, &error) && writer_run_jobs(writer, false, &error);
    going = going ? apply_some(writer, list, &error) : take_first(writer, list);
    if (going && finish(writer, &error)) {
        if (writer->open.submission_count)
            disk_committed(&writer->engine->disk);
        observe(writer, begun);
        writer_answer_jobs(writer, NULL);
        settle(writer);
    } else {
        fail(writer, &error);
    }
    large_settle(writer, opened);
    writer_publish(writer);
}

/* ---- without mutations ---- */

static bool evict_waits(const struct writer *writer)
{
    return writer->eviction.over_limit || writer->eviction.order_waits;
}

static bool is_due(struct writer *writer)
{
    return (writer->derive && derive_waits(writer->derive)) || evict_waits(writer) ||
           writer_views_rest(writer, 1) == 0 ||
           clock_monotonic_us() - writer->upkeep.trim_us >= TRIM_US;
}

/* Age alone makes changes and tombstones go and derived rows turn, also when nothing comes in, a
 * limit that was lowered is reached, and new exports get their SQL views. */
static void pass_time(struct writer *writer)
{
    struct error error;
    if (disk_state(&writer->engine->disk) != ERROR_NONE ||
        clock_monotonic_us() < writer->upkeep.pass_us || !is_due(writer))
        return;
    checkpoints_pass(&writer->engine->checkpoints);
    writer->open.now = engine_times(writer->engine).now;
    bool going = prepare(writer, &error);
    if (going && store_begin(writer->store, &error) && writer_evict(writer, &error) &&
        writer_derive(writer, &error) && trim_some(writer, TRIM_STEP, &error) &&
        writer_make_views(writer, VIEWS_BATCH, &error) &&
        engine_clock_save(writer->engine, CLOCK_SAVE_FIRST, &error) &&
        store_commit(writer->store, &error)) {
        settle(writer);
        writer->upkeep.pass_us = 0;
    } else {
        fail(writer, &error);
        writer->upkeep.pass_us = clock_monotonic_us() + (uint64_t)IDLE_MS * 1000;
    }
    writer_publish(writer);
}

/* Jobs that no mutations gave a transaction to. */
static void write_jobs(struct writer *writer)
{
    struct error error;
    checkpoints_pass(&writer->engine->checkpoints);
    if (store_begin(writer->store, &error) && writer_run_jobs(writer, true, &error) &&
        store_commit(writer->store, &error))
        writer_answer_jobs(writer, NULL);
    else
        fail(writer, &error);
}

static void drained_deliver(struct engine_event *event)
{
    struct drained_event *drained = (struct drained_event *)event;
    const struct engine_options *options = &drained->engine->options;
    if (options->on_drained)
        options->on_drained(options->wake_argument);
}

/* Through the queue of commits, so that it comes behind the last of them. */
static void post_drained(struct engine *engine)
{
    engine->drained.event.deliver = drained_deliver;
    engine->drained.engine = engine;
    if (!queue_put(&engine->commits, &engine->drained.event.item, QUEUE_WAITS))
        engine_post(engine, &engine->drained.event);
}

/* A step is a transaction at most, so one that does not end means that something hangs. */
static void begin_step(struct engine *engine)
{
    atomic_store_explicit(&engine->writer_since_us, clock_monotonic_us(), memory_order_relaxed);
}

static void end_steps(struct engine *engine)
{
    atomic_store_explicit(&engine->writer_since_us, 0, memory_order_relaxed);
}

/* Answer all that waits with why nothing is taken in, jobs too. */
static void refuse(struct writer *writer, struct queue_item **list)
{
    struct error error;
    disk_error(&writer->engine->disk, disk_state(&writer->engine->disk), &error);
    if (writer_has_jobs(writer))
        writer_answer_jobs(writer, &error);
    while (*list) {
        struct submission *submission = (struct submission *)*list;
        *list = (*list)->next;
        submission->error = error;
        batch_order_refuse(submission->order, submission);
        counter_add(&writer->engine->metrics.mutations_refused, 1);
        engine_post(writer->engine, &submission->event);
    }
}

/* One turn, for what was taken from the intake, if anything, and the jobs. */
static void turn(struct writer *writer, struct queue_item *list)
{
    begin_step(writer->engine);
    disk_probe(&writer->engine->disk);
    while (list || writer_has_jobs(writer)) {
        begin_step(writer->engine);
        disk_watch(&writer->engine->disk);
        if (disk_state(&writer->engine->disk) != ERROR_NONE)
            refuse(writer, &list);
        else if (list)
            write_some(writer, &list);
        else
            write_jobs(writer);
    }
}

/* How long there is nothing to do, unless something comes in. */
static int rest_ms(struct writer *writer)
{
    int most = large_rest_ms(writer, IDLE_MS);
    if (clock_monotonic_us() < writer->upkeep.pass_us)
        return most;
    if (evict_waits(writer) && most > EVICT_REST_MS)
        most = EVICT_REST_MS;
    most = writer_views_rest(writer, most);
    return writer->derive ? derive_rest(writer->derive, most) : most;
}

/* The waiting requests of the next sender; all of them, if nothing can be written. */
static void release_large(struct writer *writer)
{
    struct large_wait *large = &writer->large;
    bool more = true;
    large->releasing = true;
    while (more && large->ring.first &&
           (disk_state(&writer->engine->disk) != ERROR_NONE || large_may_pass(writer))) {
        large->granted = true; /* taken off the ring, it would be judged by less that waits */
        turn(writer, large_release(writer));
        more = disk_state(&writer->engine->disk) != ERROR_NONE;
    }
    large->granted = large->releasing = false;
}

static void serve(struct writer *writer)
{
    struct engine *engine = writer->engine;
    for (;;) {
        /* Asked before taking: what comes between the two must not be left behind. */
        bool closed = queue_is_closed(&engine->intake);
        int rest = disk_state(&writer->engine->disk) == ERROR_NONE ? rest_ms(writer) : IDLE_MS;
        struct queue_item *list =
            large_is_full(writer) ? NULL : queue_take_all(&engine->intake, rest);
        if (!list && closed && !writer->large.ring.first)
            return;
        turn(writer, list);
        release_large(writer);
        begin_step(engine);
        disk_watch(&writer->engine->disk);
        pass_time(writer);
        checkpoints_pass(&engine->checkpoints);
        end_steps(engine);
    }
}

/* After a drain there is still something to note, such as who left. */
static void serve_jobs(struct writer *writer)
{
    struct engine *engine = writer->engine;
    bool closed;
    do {
        closed = queue_is_closed(&engine->writes);
        writer->jobs = queue_take_all(&engine->writes, IDLE_MS);
        turn(writer, NULL);
        checkpoints_pass(&engine->checkpoints);
        end_steps(engine);
    } while (!closed);
}

/* For the next start; one that finds an older note knows less, no more. */
static void note_clock(struct writer *writer)
{
    struct error error;
    if (disk_state(&writer->engine->disk) != ERROR_NONE)
        return;
    if (!store_begin(writer->store, &error) ||
        !engine_clock_save(writer->engine, CLOCK_SAVE_NOW, &error) ||
        !store_commit(writer->store, &error)) {
        store_rollback(writer->store);
        log_warning("engine", "clock-not-noted", log_text("error", error.message));
    }
}

void *writer_main(void *argument)
{
    struct writer *writer = argument;
    serve(writer);
    writer_make_last_views(writer);
    note_clock(writer);
    post_drained(writer->engine);
    serve_jobs(writer);
    return NULL;
}
