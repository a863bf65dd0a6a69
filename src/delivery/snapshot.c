/*
 * Snapshots, batch by batch. A batch is built once by a reader, compressed once, kept, and given
 * to every subscription that stands at the same point of the same snapshot. A subscription holds a
 * point, not a batch, so a stalled one pins no memory.
 *
 * A job reads up to HUB_SNAPSHOT_ROWS in one short transaction. A larger snapshot takes several,
 * each perhaps of a later state. Its rows are then not the end of it: what changed after the first
 * one's position is sent again whole, and only that ends it, with a cursor (catch_up.c).
 *
 * Freshness: whoever subscribes gets at least what was committed when it asked. A batch from the
 * cache will do when the export has not changed since; else a new job serves everybody who asked
 * while the last one was on its way.
 */
#include "delivery/snapshot_internal.h"

/* A job on its way and the subscriptions that wait for the point it starts from. */
struct build {
    struct link waiting; /* subscription.in_build */
    struct link late;    /* asked after the job was started; it may be too old for them */
    int64_t started_at;  /* head when it was started */
    size_t name_length;
    char name[];
};

struct snapshots {
    struct hub *hub;
    struct snapshot_cache *cache;
    struct map builds;
};

struct snapshot_job {
    struct read_job read;
    struct snapshots *snapshots;
    struct snapshot_query query;
    bool done;
    struct trace trace;
    uint64_t asked_us, reading_us, read_us; /* of a sampled trace */
    char name[];                            /* of the first point: the build */
};

static struct span build_key(const void *value)
{
    const struct build *build = value;
    return span_make(build->name, build->name_length);
}

struct snapshots *snapshots_new(struct hub *hub, size_t max_bytes)
{
    struct snapshots *snapshots = memory_new(sizeof *snapshots);
    struct snapshot_cache *cache = snapshots ? snapshot_cache_new(max_bytes) : NULL;
    if (!cache) {
        memory_free(snapshots);
        return NULL;
    }
    snapshots->hub = hub;
    snapshots->cache = cache;
    map_init(&snapshots->builds, build_key);
    return snapshots;
}

void snapshots_free(struct snapshots *snapshots)
{
    size_t position = 0;
    struct build *build;
    snapshot_cache_free(snapshots->cache);
    while ((build = map_next(&snapshots->builds, &position)))
        memory_free(build);
    map_fini(&snapshots->builds);
    memory_free(snapshots);
}

/* The name of a point: everything that decides what the batch there holds. */
static bool print_point(struct buffer *out, const struct snapshot_query *of,
                        const struct snapshot_point *point)
{
    struct span view = span_of(of->drafts.sink.view->id), key = of->key;
    struct span at = text_span(point->at.key);
    const struct row_scope *scopes[] = {of->scope, of->was};
    buffer_clear(out);
    buffer_printf(out, "%zu:", view.length);
    buffer_add_span(out, view);
    buffer_add_string(out, of->drafts.sink.encoding ? "|b" : "|-");
    for (size_t i = 0; i < 2; i++) {
        struct span name = scopes[i] ? row_scope_name(scopes[i]) : span_make(NULL, 0);
        buffer_printf(out, "|%c%zu:", scopes[i] ? 's' : '-', name.length);
        buffer_add_span(out, name);
    }
    buffer_printf(out, "|%c%zu:", key.data ? 'k' : '-', key.length);
    buffer_add_span(out, key);
    buffer_printf(out, "|%lld,%lld,%d%d", (long long)point->limit, (long long)point->rows,
                  point->begun, point->rows_read);
    buffer_printf(out, "|%lld:%lld,%c%zu:", (long long)point->at.seq.slot,
                  (long long)point->at.seq.index, at.data ? 'k' : '-', at.length);
    buffer_add_span(out, at);
    buffer_printf(out, "|%lld,%lld,%lld", (long long)point->change, (long long)point->latest,
                  (long long)point->deletes);
    return !out->failed;
}

/* ---- a job's end ---- */

static struct snapshot_batch *batch_new(const struct snapshot_draft *draft, int64_t rows)
{
    struct snapshot_batch *batch = memory_new(sizeof *batch);
    if (!batch)
        return NULL;
    *batch = (struct snapshot_batch){.references = 1,
                                     .frames = text_ref(draft->frames),
                                     .end = snapshot_point_ref(&draft->end),
                                     .rows = rows,
                                     .last = draft->last,
                                     .complete = draft->complete};
    return batch;
}

/* Later batches may stand in the cache from an earlier job of the same first position; these
 * replace them. The first one is returned. */
static struct snapshot_batch *keep_batches(struct snapshots *snapshots,
                                           const struct snapshot_job *job)
{
    const struct snapshot_drafts *drafts = &job->query.drafts;
    struct snapshot_batch *first = NULL;
    struct buffer name;
    buffer_init(&name, SIZE_MAX / 2);
    for (size_t i = 0; i < drafts->count; i++) {
        const struct snapshot_draft *draft = &drafts->list[i];
        struct snapshot_batch *batch = batch_new(draft, drafts->point.rows);
        if (!batch)
            break;
        counter_add(&snapshots->hub->metrics.snapshot_batches_built, 1);
        if (print_point(&name, &job->query, &draft->start))
            snapshot_cache_put(snapshots->cache, i ? buffer_span(&name) : span_of(job->name),
                               batch);
        if (i == 0)
            first = batch;
        else
            snapshot_batch_unref(batch);
    }
    buffer_fini(&name);
    return first;
}

static void job_free(struct snapshot_job *job)
{
    view_unref(job->query.drafts.sink.view);
    buffer_fini(&job->query.left);
    snapshot_drafts_fini(&job->query.drafts);
    memory_free((void *)job->query.key.data);
    row_scope_unref(job->query.scope);
    row_scope_unref(job->query.was);
    buffer_fini(&job->query.seen_key);
    memory_free(job);
}

static void fail_waiting(struct link *waiting, const struct error *error)
{
    while (!link_alone(waiting)) {
        struct subscription *subscription =
            LINK_OWNER(struct subscription, snapshot.in_build, waiting->next);
        link_remove(&subscription->snapshot.in_build);
        reader_fail(subscription, error);
    }
}

static void serve_waiting(struct link *waiting, struct snapshot_batch *batch, int64_t fresh)
{
    struct link *link = waiting->next;
    while (link != waiting) {
        struct subscription *subscription =
            LINK_OWNER(struct subscription, snapshot.in_build, link);
        link = link->next;
        if (subscription->snapshot.point.latest == 0 && batch->end.latest < fresh)
            continue;
        INVARIANT(!subscription->snapshot.batch && subscription->reading == READER_SNAPSHOT);
        link_remove(&subscription->snapshot.in_build);
        batch->references++;
        subscription->snapshot.batch = batch;
        subscriber_ready(subscription);
    }
}

/* A job that the end of the engine overtook was read by nobody. */
static void record(struct snapshot_job *job, const struct error *error)
{
    const struct snapshot_drafts *drafts = &job->query.drafts;
    struct trace_span spans[] = {
        {.name = "snapshot",
         .kind = TRACE_INTERNAL,
         .begun_us = job->asked_us,
         .ended_us = clock_monotonic_us(),
         .attributes = {{.name = "stele.rows", .number = drafts->sink.rows}}},
        {.name = "read",
         .kind = TRACE_INTERNAL,
         .begun_us = job->reading_us,
         .ended_us = job->read_us}};
    trace_span_text(&spans[0], "stele.view", span_of(drafts->sink.view->id));
    if (error->code != ERROR_NONE) {
        spans[0].failed = true;
        spans[0].attributes[1] =
            (struct trace_attribute){.name = "error.type", .text = error_kind(error->code)->wire};
    }
    trace_record(job->snapshots->hub->options.tracer, &job->trace, spans, job->read_us ? 2 : 1);
}

static void deliver(struct engine_event *event)
{
    struct snapshot_job *job = (struct snapshot_job *)event;
    struct snapshots *snapshots = job->snapshots;
    const struct view *view = job->query.drafts.sink.view;
    struct error *error = &job->query.error;
    struct build *build = map_remove(&snapshots->builds, span_of(job->name));
    struct snapshot_batch *first = job->done ? keep_batches(snapshots, job) : NULL;
    if (!first && error->code == ERROR_NONE)
        error_set(error, ERROR_MEMORY, "out of memory while building a snapshot");
    if (!first) {
        log_error("hub", "snapshot-failed", log_text("view", view->id),
                  log_text("error", error->message));
        fail_waiting(&build->waiting, error);
        fail_waiting(&build->late, error);
    } else {
        struct hub_export *export =
            map_get(&snapshots->hub->exports.by_name, span_of(view->export_name));
        serve_waiting(&build->waiting, first, 0);
        serve_waiting(&build->late, first, export ? export->last_change : 0);
        while (!link_alone(&build->late)) {
            struct subscription *subscription =
                LINK_OWNER(struct subscription, snapshot.in_build, build->late.next);
            link_remove(&subscription->snapshot.in_build);
            subscriber_ready(subscription); /* asks again, and starts the next job */
        }
    }
    if (job->trace.sampled)
        record(job, error);
    snapshot_batch_unref(first);
    memory_free(build);
    job_free(job);
}

/* ---- asking ---- */

static void run(struct read_job *read, struct store_reader *reader)
{
    struct snapshot_job *job = (struct snapshot_job *)read;
    job->reading_us = job->trace.sampled ? clock_monotonic_us() : 0;
    job->done = snapshot_query_run(&job->query, reader);
    job->read_us = job->trace.sampled ? clock_monotonic_us() : 0;
}

static struct snapshot_job *job_new(struct snapshots *snapshots,
                                    const struct subscription *subscription, struct span name)
{
    const struct hub_options *options = &snapshots->hub->options;
    struct snapshot_job *job = memory_new(sizeof *job + name.length + 1);
    struct span key = subscription_key(subscription);
    if (!job)
        return NULL;
    if (key.data) {
        char *copy = memory_copy_string(key.data, key.length);
        if (!copy) {
            memory_free(job);
            return NULL;
        }
        job->query.key = span_make(copy, key.length);
    }
    memcpy(job->name, name.data, name.length);
    job->read.event.deliver = deliver;
    job->read.run = run;
    job->read.owner = subscription->subscriber->owner;
    job->read.is_long = subscription->snapshot.point.latest != 0; /* it goes on */
    job->snapshots = snapshots;
    job->query.deleted_since = engine_times(snapshots->hub->engine).due - options->tombstone_ms;
    buffer_init(&job->query.left, UINT32_MAX);
    job->query.max_rows = options->snapshot_rows;
    job->query.scope = row_scope_ref(subscription->topic->scope);
    job->query.was = row_scope_ref(subscription->moved.was);
    buffer_init(&job->query.seen_key, UINT32_MAX);
    snapshot_drafts_init(&job->query.drafts, view_ref(subscription->topic->view),
                         subscription->topic->mode, &subscription->snapshot.point);
    job->query.drafts.sink.encoding = subscription->topic->encoding;
    job->trace = trace_begin(options->tracer, NULL);
    job->asked_us = job->trace.sampled ? clock_monotonic_us() : 0;
    return job;
}

static bool build_start(struct snapshots *snapshots, struct subscription *subscription,
                        struct span name)
{
    struct build *build = memory_alloc(sizeof *build + name.length);
    struct snapshot_job *job = build ? job_new(snapshots, subscription, name) : NULL;
    if (!job) {
        memory_free(build);
        return false;
    }
    *build = (struct build){.name_length = name.length, .started_at = snapshots->hub->backlog.last};
    memcpy(build->name, name.data, name.length);
    link_init(&build->waiting);
    link_init(&build->late);
    if (map_add(&snapshots->builds, build) && engine_read(snapshots->hub->engine, &job->read)) {
        link_append(&build->waiting, &subscription->snapshot.in_build);
        return true;
    }
    map_remove(&snapshots->builds, name);
    memory_free(build);
    job_free(job);
    return false;
}

/* False when it must be refused. */
static bool join_or_start(struct snapshots *snapshots, struct subscription *subscription,
                          struct span name)
{
    struct build *build = map_get(&snapshots->builds, name);
    if (!build)
        return build_start(snapshots, subscription, name);
    bool late = build->started_at < subscription->topic->export->last_change;
    link_append(late ? &build->late : &build->waiting, &subscription->snapshot.in_build);
    return true;
}

static struct snapshot_batch *from_cache(struct snapshots *snapshots,
                                         const struct subscription *subscription, struct span name)
{
    bool first = subscription->snapshot.point.latest == 0;
    int64_t fresh = first ? subscription->topic->export->last_change : 0;
    struct snapshot_batch *batch = snapshot_cache_get(snapshots->cache, name, fresh);
    counter_add(&snapshots->hub->metrics.snapshot_batches_shared, batch != NULL);
    return batch;
}

static struct reader_step refuse(struct subscription *subscription)
{
    struct error error;
    error_set(&error, ERROR_QUEUE_FULL,
              "too many snapshots are wanted at once, or memory is short, for '%s'; subscribe "
              "again later",
              subscription->topic->view->id);
    return reader_failed(subscription, &error);
}

/* ---- the reader ---- */

void snapshot_begin(struct subscription *subscription)
{
    /* A client that wants no rows gets an empty snapshot when it may hold some that it must
     * lose. */
    int64_t limit = subscription->asked.with_snapshot ? subscription->asked.limit : 0;
    snapshot_point_unref(&subscription->snapshot.point);
    subscription->snapshot.point = (struct snapshot_point){.limit = limit};
    if (!subscription->asked.with_snapshot) {
        subscription->snapshot.point.change = subscription->moved.from;
        subscription->moved.from = 0;
    }
    /* With another token it goes on with what both show: what of that it is not sent, it may hold.
     */
    subscription_know(subscription, (struct knowledge){.full = limit < 0,
                                                       .resumed = subscription->moved.was != NULL});
}

/*
 * Rows of several states overlap: what changed between them is sent again, and only then is the
 * snapshot complete and has a cursor. Bodies tell how old each row is: there it was complete with
 * its rows, and an empty batch behind the changes has the cursor.
 */
static enum reader_kind end(struct subscription *subscription, int64_t *from)
{
    struct snapshot_point *point = &subscription->snapshot.point;
    if (!subscription->knowledge.full) {
        struct knowledge knowledge = subscription->knowledge;
        knowledge.begun = true;
        knowledge.since = point->change;
        knowledge.bounded = point->rows > 0;
        knowledge.bound = list_position_ref(&point->bound);
        subscription_know(subscription, knowledge);
    }
    snapshot_point_unref(point);
    *from = point->change;
    if (point->latest == point->change) {
        subscription_lost_was(subscription);
        return READER_LIVE;
    }
    if (!subscription->topic->encoding) {
        log_overlap(subscription, point->latest, point->seq);
        return READER_LOG;
    }
    log_reset(subscription);
    subscription->log.owes_state = true;
    return READER_LOG;
}

static struct reader_step take(struct subscription *subscription, struct snapshot_batch *batch)
{
    struct reader_step step = {
        .text = text_ref(batch->frames),
        .then = batch->last ? STEP_NEXT : STEP_MORE, /* also when it was of hidden deletes only */
        .read_ended = true,
        .is_snapshot = true,
        .rows = (uint64_t)(batch->end.rows - subscription->snapshot.point.rows),
        .ends = batch->last && batch->complete,
        .is_answer = true,
        .answered = batch->rows};
    INVARIANT(batch->end.rows >= subscription->snapshot.point.rows);
    snapshot_point_unref(&subscription->snapshot.point);
    subscription->snapshot.point = snapshot_point_ref(&batch->end);
    if (batch->last)
        step.next = end(subscription, &step.from);
    snapshot_batch_unref(batch);
    return step;
}

/* The next batch, from its own hand or the cache (one reference), or NULL: then it is asked for,
 * unless that takes a slot. */
static struct snapshot_batch *find_or_ask(struct subscription *subscription,
                                          struct reader_step *step)
{
    struct snapshots *snapshots = subscription->topic->hub->snapshots;
    const struct snapshot_query of = {
        .key = subscription_key(subscription),
        .scope = subscription->topic->scope,
        .was = subscription->moved.was,
        .drafts = {.sink = {.view = subscription->topic->view,
                            .encoding = subscription->topic->encoding}}};
    struct snapshot_batch *batch = NULL;
    struct buffer name;
    buffer_init(&name, SIZE_MAX / 2);
    bool named = print_point(&name, &of, &subscription->snapshot.point);
    if (named)
        batch = from_cache(snapshots, subscription, buffer_span(&name));
    if (named && !batch && !subscription->has_slot)
        step->then = STEP_SLOT;
    else if (!batch && !(named && join_or_start(snapshots, subscription, buffer_span(&name))))
        *step = refuse(subscription);
    buffer_fini(&name);
    return batch;
}

static struct reader_step pull(struct subscription *subscription)
{
    struct snapshot_batch *batch = subscription->snapshot.batch;
    struct reader_step step = {.then = STEP_WAIT};
    subscription->snapshot.batch = NULL;
    if (!batch && link_alone(&subscription->snapshot.in_build))
        batch = find_or_ask(subscription, &step);
    return batch ? take(subscription, batch) : step;
}

const struct reader_ops snapshot_reader = {.pull = pull};

void snapshot_forget(struct subscription *subscription)
{
    link_remove(&subscription->snapshot.in_build);
    snapshot_batch_unref(subscription->snapshot.batch);
    subscription->snapshot.batch = NULL;
}
