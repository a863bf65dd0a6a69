/*
 * Snapshots, batch by batch. A batch is built once by a reader, compressed once, kept, and given
 * to every subscription that stands at the same place of the same snapshot. A subscription holds a
 * place, not a batch, so a stalled one pins no memory.
 *
 * A job reads up to HUB_SNAPSHOT_ROWS in one short transaction. A larger snapshot takes several,
 * each perhaps of a later state. Its rows are then not the end of it: what changed after the first
 * one's position is sent again whole, and only that ends it, with a cursor (catch_up.c).
 *
 * Freshness: whoever subscribes gets at least what was committed when it asked. A batch from the
 * cache will do when the export has not changed since; else a new job serves everybody who asked
 * while the last one was on its way.
 */
#include "server/hub_internal.h"

#include <stdlib.h>

struct entry {
    struct link in_cache; /* newest last */
    struct snapshot_batch *batch;
    size_t bytes;
    size_t name_length;
    char name[];
};

/* A job on its way and the subscriptions that wait for the place it starts from. */
struct build {
    struct link waiting; /* subscription.in_build */
    struct link late;    /* asked after the job was started; it may be too old for them */
    int64_t started_at;  /* head when it was started */
    size_t name_length;
    char name[];
};

struct snapshot_cache {
    struct hub *hub;
    struct map entries, builds;
    struct link newest;
    size_t bytes, max_bytes;
};

static struct span entry_key(const void *value)
{
    const struct entry *entry = value;
    return span_make(entry->name, entry->name_length);
}

static struct span build_key(const void *value)
{
    const struct build *build = value;
    return span_make(build->name, build->name_length);
}

struct snapshot_cache *snapshot_cache_new(struct hub *hub, size_t max_bytes)
{
    struct snapshot_cache *cache = memory_new(sizeof *cache);
    if (!cache)
        return NULL;
    cache->hub = hub;
    cache->max_bytes = max_bytes;
    map_init(&cache->entries, entry_key);
    map_init(&cache->builds, build_key);
    link_init(&cache->newest);
    return cache;
}

void snapshot_batch_unref(struct snapshot_batch *batch)
{
    if (!batch || --batch->references)
        return;
    text_unref(batch->frames);
    memory_free(batch);
}

static void entry_drop(struct snapshot_cache *cache, struct entry *entry)
{
    map_remove(&cache->entries, entry_key(entry));
    link_remove(&entry->in_cache);
    cache->bytes -= entry->bytes;
    snapshot_batch_unref(entry->batch);
    memory_free(entry);
}

void snapshot_cache_free(struct snapshot_cache *cache)
{
    while (!link_alone(&cache->newest))
        entry_drop(cache, LINK_OWNER(struct entry, in_cache, cache->newest.next));
    size_t position = 0;
    struct build *build;
    while ((build = map_next(&cache->builds, &position)))
        memory_free(build);
    map_fini(&cache->entries);
    map_fini(&cache->builds);
    memory_free(cache);
}

/* ---- places by name ---- */

/* Everything that decides what the batch at this place holds. */
static bool print_place(struct buffer *out, struct span view, struct span key,
                        const struct snapshot_place *place)
{
    buffer_clear(out);
    buffer_printf(out, "%zu:", view.length);
    buffer_add_span(out, view);
    buffer_printf(out, "|%c%zu:", key.data ? 'k' : '-', key.length);
    buffer_add_span(out, key);
    buffer_printf(out, "|%lld,%lld", (long long)place->limit, (long long)place->rows);
    buffer_printf(out, "|%lld:%lld,%lld", (long long)place->at.seq.slot,
                  (long long)place->at.seq.index, (long long)place->at.id);
    buffer_printf(out, "|%lld,%lld", (long long)place->change, (long long)place->latest);
    return !out->failed;
}

static struct span subscription_key(const struct subscription *subscription)
{
    const struct key_group *group = subscription->group;
    return group ? span_make(group->key, group->key_length) : span_make(NULL, 0);
}

/* ---- the job ---- */

/* A batch as it is built: rows now, frames when the transaction is over. */
struct draft {
    struct wire_batch rows;
    struct snapshot_place start, end;
    bool last, complete;
    struct text *frames;
};

struct snapshot_job {
    struct read_job read;
    struct snapshot_cache *cache;
    const struct view *view;
    enum wire_mode mode;
    struct span key; /* absent: all; its bytes are owned */
    struct snapshot_place place;
    int64_t tombstone_ms;
    struct buffer deletes, shown;
    struct draft *drafts;
    size_t count, capacity;
    int64_t rows;
    size_t bytes;
    bool stopped;   /* enough for one job; the snapshot goes on */
    int64_t change; /* of the transaction */
    struct error error;
    bool done;
    char name[]; /* of the first place: the build */
};

static struct draft *new_draft(struct snapshot_job *job)
{
    if (job->count == job->capacity) {
        size_t capacity = job->capacity ? job->capacity * 2 : 4;
        struct draft *drafts = memory_resize(job->drafts, capacity * sizeof *drafts);
        if (!drafts)
            return NULL;
        job->drafts = drafts;
        job->capacity = capacity;
    }
    struct draft *draft = &job->drafts[job->count++];
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there is room, or it was made */
    *draft = (struct draft){.start = job->place, .end = job->place};
    wire_batch_init(&draft->rows, UINT32_MAX);
    return wire_batch_start(&draft->rows, job->mode, span_of(job->view->id)) ? draft : NULL;
}

static size_t batch_rows(const struct snapshot_place *start)
{
    return start->rows == 0 ? WIRE_FIRST_BATCH : WIRE_NEXT_BATCH;
}

/* The draft that takes the next row; a new one when the last is full. */
static struct draft *open_draft(struct snapshot_job *job)
{
    struct draft *draft = job->count ? &job->drafts[job->count - 1] : NULL;
    if (draft && draft->rows.rows < batch_rows(&draft->start) &&
        draft->rows.json.length < HUB_BATCH_BYTES)
        return draft;
    if (draft)
        job->bytes += draft->rows.json.length;
    return new_draft(job);
}

static bool add_row(void *argument, const struct store_entity *row)
{
    struct snapshot_job *job = argument;
    if (job->rows >= job->cache->hub->options.snapshot_rows || job->bytes >= HUB_SNAPSHOT_BYTES) {
        job->stopped = true;
        return false;
    }
    struct draft *draft = open_draft(job);
    struct span data = row->data;
    if (draft && job->view->path_count) {
        buffer_clear(&job->shown);
        if (!view_project(job->view, row->data, &job->shown))
            draft = NULL;
        data = buffer_span(&job->shown);
    }
    if (!draft || !wire_batch_row(&draft->rows, row->key, data)) {
        error_set(&job->error, ERROR_MEMORY, "out of memory while building a snapshot");
        return false;
    }
    job->rows++;
    job->place.rows++;
    if (job->place.limit > 0)
        job->place.limit--;
    job->place.at = (struct store_position){row->seq, row->id};
    draft->end = job->place;
    return true;
}

/* Deletes that a client which kept rows from before may have missed. They carry no cursor. */
static bool add_delete(void *argument, const struct store_tombstone *tombstone)
{
    struct snapshot_job *job = argument;
    if (!view_shows(job->view, tombstone->key))
        return true;
    struct wire_change frame = {.mode = job->mode,
                                .view = span_of(job->view->id),
                                .operation = WIRE_DELETE,
                                .key = tombstone->key};
    return wire_change(&job->deletes, &frame);
}

static bool read_deletes(struct snapshot_job *job, struct store_reader *reader,
                         const struct store_export *export)
{
    int64_t since = clock_wall_ms() - job->tombstone_ms;
    struct store_tombstone tombstone;
    bool found;
    if (!job->key.data)
        return store_scan_tombstones(reader, export->id, 0, since, HUB_TOMBSTONES, add_delete, job,
                                     &job->error);
    if (!store_read_tombstone(reader, export->id, job->key, &tombstone, &found, &job->error))
        return false;
    return !found || tombstone.at < since || add_delete(job, &tombstone);
}

static bool read_key(struct snapshot_job *job, struct store_reader *reader, uint32_t export_id,
                     struct span key)
{
    struct store_entity entity;
    bool found;
    if (!store_read_entity(reader, export_id, key, &entity, &found, &job->error))
        return false;
    return !found || !view_shows(job->view, key) || add_row(job, &entity) ||
           job->error.code == ERROR_NONE;
}

/* A view of named keys: newest first like any list, so their places are sorted before. */
struct place_of_key {
    struct store_position at;
    struct span key;
};

static int newest_first(const void *a, const void *b)
{
    const struct place_of_key *one = a, *other = b;
    int order = seq_compare(other->at.seq, one->at.seq);
    return order ? order : (other->at.id > one->at.id) - (other->at.id < one->at.id);
}

static bool read_named_keys(struct snapshot_job *job, struct store_reader *reader,
                            uint32_t export_id)
{
    const struct view *view = job->view;
    struct place_of_key *places = memory_new(view->key_count * sizeof *places);
    size_t count = 0;
    bool done = places != NULL || error_set(&job->error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; done && i < view->key_count; i++) {
        struct store_entity entity;
        bool found;
        done = store_read_entity(reader, export_id, view->keys[i], &entity, &found, &job->error);
        struct place_of_key place = {{entity.seq, entity.id}, view->keys[i]};
        struct place_of_key start = {job->place.at, view->keys[i]};
        /* Behind the place where the last job stopped. */
        if (done && found && (job->place.rows == 0 || newest_first(&place, &start) > 0))
            places[count++] = place;
    }
    if (done)
        qsort(places, count, sizeof *places, newest_first);
    for (size_t i = 0; done && i < count && !job->stopped && job->place.limit != 0; i++)
        done = read_key(job, reader, export_id, places[i].key);
    memory_free(places);
    return done;
}

static bool read_rows(struct snapshot_job *job, struct store_reader *reader, uint32_t export_id)
{
    if (job->key.data)
        return read_key(job, reader, export_id, job->key);
    if (job->view->key_count)
        return read_named_keys(job, reader, export_id);
    bool from_start = job->place.rows == 0;
    struct store_position at = job->place.at;
    return store_scan_entities(reader, export_id, true, from_start ? NULL : &at, job->place.limit,
                               add_row, job, &job->error) &&
           job->error.code == ERROR_NONE;
}

/* Everything from one state of the database. */
static bool read_state(struct snapshot_job *job, struct store_reader *reader)
{
    struct store_log_state log;
    struct store_export export;
    bool found;
    if (!store_read_log(reader, &log, &job->error) ||
        !store_read_export(reader, span_of(job->view->export_name), &export, &found, &job->error))
        return false;
    job->change = log.last_change;
    if (job->place.change == 0 && job->place.rows == 0) {
        job->place.change = log.last_change;
        job->place.seq = found ? export.last_seq : (struct seq){0, 0};
        if (found && !read_deletes(job, reader, &export))
            return false;
    }
    job->place.latest = job->change;
    return !found || read_rows(job, reader, export.id);
}

static bool compress(struct snapshot_job *job)
{
    struct wire_gzip *gzip = NULL;
    struct buffer out;
    bool done = true;
    buffer_init(&out, UINT32_MAX);
    for (size_t i = 0; done && i < job->count; i++) {
        struct draft *draft = &job->drafts[i];
        char seq[SEQ_SIZE];
        struct span cursor = span_make(NULL, 0);
        if (draft->complete)
            cursor = frame_seq(seq, job->place.seq);
        if (!gzip && draft->rows.json.length + 64 >= WIRE_GZIP_MINIMUM)
            gzip = wire_gzip_new();
        buffer_clear(&out);
        if (i == 0)
            buffer_add_span(&out, buffer_span(&job->deletes));
        done = wire_batch_end(&draft->rows, draft->complete, cursor, gzip, &out);
        draft->frames = done ? text_new(out.data, out.length) : NULL;
        done = draft->frames != NULL;
        wire_batch_fini(&draft->rows);
        wire_batch_init(&draft->rows, 1);
    }
    buffer_fini(&out);
    wire_gzip_free(gzip);
    return done || error_set(&job->error, ERROR_MEMORY, "out of memory while building a snapshot");
}

/* On a reader thread. Nothing is compressed while the transaction is open. */
static void run(struct read_job *read, struct store_reader *reader)
{
    struct snapshot_job *job = (struct snapshot_job *)read;
    if (!store_read_begin(reader, &job->error))
        return;
    bool done = read_state(job, reader);
    store_read_end(reader);
    if (done && !job->count)
        done = new_draft(job) != NULL;
    if (!done)
        return;
    struct draft *last = &job->drafts[job->count - 1];
    last->last = !job->stopped;
    last->complete = last->last && job->place.latest == job->place.change;
    last->end = job->place;
    job->done = compress(job);
}

/* ---- back on the loop ---- */

static void cache_trim(struct snapshot_cache *cache)
{
    while (cache->bytes > cache->max_bytes)
        entry_drop(cache, LINK_OWNER(struct entry, in_cache, cache->newest.next));
}

static void cache_put(struct snapshot_cache *cache, struct span name, struct snapshot_batch *batch)
{
    struct entry *old = map_get(&cache->entries, name);
    if (old)
        entry_drop(cache, old);
    struct entry *entry = memory_alloc(sizeof *entry + name.length);
    if (!entry)
        return; /* only a kindness to others */
    *entry = (struct entry){.batch = batch,
                            .bytes = sizeof *entry + name.length + batch->frames->length,
                            .name_length = name.length};
    memcpy(entry->name, name.data, name.length);
    if (!map_add(&cache->entries, entry)) {
        memory_free(entry);
        return;
    }
    batch->references++;
    link_append(&cache->newest, &entry->in_cache);
    cache->bytes += entry->bytes;
}

static struct snapshot_batch *batch_new(const struct draft *draft)
{
    struct snapshot_batch *batch = memory_new(sizeof *batch);
    if (!batch)
        return NULL;
    *batch = (struct snapshot_batch){.references = 1,
                                     .frames = text_ref(draft->frames),
                                     .end = draft->end,
                                     .last = draft->last,
                                     .complete = draft->complete};
    return batch;
}

/* Later batches may stand in the cache from an earlier job of the same first position; these
 * replace them. The first one is returned. */
static struct snapshot_batch *keep_batches(struct snapshot_job *job)
{
    struct snapshot_cache *cache = job->cache;
    struct snapshot_batch *first = NULL;
    struct buffer name;
    buffer_init(&name, SIZE_MAX / 2);
    for (size_t i = 0; i < job->count; i++) {
        struct snapshot_batch *batch = batch_new(&job->drafts[i]);
        if (!batch)
            break;
        counter_add(&cache->hub->metrics.snapshot_batches_built, 1);
        if (print_place(&name, span_of(job->view->id), job->key, &job->drafts[i].start))
            cache_put(cache, i ? buffer_span(&name) : span_of(job->name), batch);
        if (i == 0)
            first = batch;
        else
            snapshot_batch_unref(batch);
    }
    buffer_fini(&name);
    cache_trim(cache);
    return first;
}

static void job_free(struct snapshot_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        wire_batch_fini(&job->drafts[i].rows);
        text_unref(job->drafts[i].frames);
    }
    memory_free(job->drafts);
    buffer_fini(&job->deletes);
    buffer_fini(&job->shown);
    memory_free((void *)job->key.data);
    memory_free(job);
}

static void fail_waiting(struct link *waiting, const struct error *error)
{
    while (!link_alone(waiting)) {
        struct subscription *subscription =
            LINK_OWNER(struct subscription, in_build, waiting->next);
        subscriber_error(subscription->subscriber, error, false);
        subscription_close(subscription);
    }
}

static void serve_waiting(struct link *waiting, struct snapshot_batch *batch, int64_t fresh)
{
    struct link *link = waiting->next;
    while (link != waiting) {
        struct subscription *subscription = LINK_OWNER(struct subscription, in_build, link);
        link = link->next;
        if (subscription->snapshot.change == 0 && batch->end.change < fresh)
            continue;
        link_remove(&subscription->in_build);
        batch->references++;
        subscription->batch = batch;
        subscriber_ready(subscription);
    }
}

static void deliver(struct engine_event *event)
{
    struct snapshot_job *job = (struct snapshot_job *)event;
    struct snapshot_cache *cache = job->cache;
    struct build *build = map_remove(&cache->builds, span_of(job->name));
    struct snapshot_batch *first = job->done ? keep_batches(job) : NULL;
    if (!first && job->error.code == ERROR_NONE)
        error_set(&job->error, ERROR_MEMORY, "out of memory while building a snapshot");
    if (!first) {
        log_error("hub", "snapshot-failed", "view=\"%s\" error=\"%s\"", job->view->id,
                  job->error.message);
        fail_waiting(&build->waiting, &job->error);
        fail_waiting(&build->late, &job->error);
    } else {
        struct hub_export *export = hub_find_export(cache->hub, span_of(job->view->export_name));
        serve_waiting(&build->waiting, first, 0);
        serve_waiting(&build->late, first, export ? export->last_change : 0);
        while (!link_alone(&build->late)) {
            struct subscription *subscription =
                LINK_OWNER(struct subscription, in_build, build->late.next);
            link_remove(&subscription->in_build);
            subscriber_ready(subscription); /* asks again, and starts the next job */
        }
    }
    snapshot_batch_unref(first);
    memory_free(build);
    job_free(job);
}

/* ---- asking ---- */

static struct snapshot_job *job_new(struct snapshot_cache *cache,
                                    const struct subscription *subscription, struct span name)
{
    struct snapshot_job *job = memory_new(sizeof *job + name.length + 1);
    struct span key = subscription_key(subscription);
    if (!job)
        return NULL;
    memcpy(job->name, name.data, name.length);
    job->read.event.deliver = deliver;
    job->read.run = run;
    job->cache = cache;
    job->view = subscription->feed->view;
    job->mode = subscription->feed->mode;
    job->place = subscription->snapshot;
    job->tombstone_ms = cache->hub->options.tombstone_ms;
    buffer_init(&job->deletes, UINT32_MAX);
    buffer_init(&job->shown, UINT32_MAX);
    if (key.data) {
        job->key = span_make(memory_copy_string(key.data, key.length), key.length);
        if (!job->key.data) {
            memory_free(job);
            return NULL;
        }
    }
    return job;
}

static bool build_start(struct snapshot_cache *cache, struct subscription *subscription,
                        struct span name)
{
    struct build *build = memory_alloc(sizeof *build + name.length);
    struct snapshot_job *job = build ? job_new(cache, subscription, name) : NULL;
    if (!job) {
        memory_free(build);
        return false;
    }
    *build = (struct build){.name_length = name.length, .started_at = cache->hub->ring.last};
    memcpy(build->name, name.data, name.length);
    link_init(&build->waiting);
    link_init(&build->late);
    if (map_add(&cache->builds, build) && engine_read(cache->hub->engine, &job->read)) {
        link_append(&build->waiting, &subscription->in_build);
        return true;
    }
    map_remove(&cache->builds, name);
    memory_free(build);
    job_free(job);
    return false;
}

static struct snapshot_batch *from_cache(struct snapshot_cache *cache,
                                         const struct subscription *subscription, struct span name)
{
    struct entry *entry = map_get(&cache->entries, name);
    if (!entry)
        return NULL;
    bool first = subscription->snapshot.change == 0 && subscription->snapshot.rows == 0;
    if (first && entry->batch->end.change < subscription->feed->export->last_change) {
        entry_drop(cache, entry);
        return NULL;
    }
    link_remove(&entry->in_cache);
    link_append(&cache->newest, &entry->in_cache);
    counter_add(&cache->hub->metrics.snapshot_batches_shared, 1);
    entry->batch->references++;
    return entry->batch;
}

static bool join_or_start(struct snapshot_cache *cache, struct subscription *subscription,
                          struct span name)
{
    struct build *build = map_get(&cache->builds, name);
    if (!build)
        return build_start(cache, subscription, name);
    bool late = build->started_at < subscription->feed->export->last_change;
    link_append(late ? &build->late : &build->waiting, &subscription->in_build);
    return true;
}

struct snapshot_batch *snapshot_next(struct subscription *subscription)
{
    struct snapshot_cache *cache = subscription->feed->hub->snapshots;
    struct snapshot_batch *batch = subscription->batch;
    subscription->batch = NULL;
    if (batch || !link_alone(&subscription->in_build))
        return batch;
    struct buffer name;
    buffer_init(&name, SIZE_MAX / 2);
    bool asked = print_place(&name, span_of(subscription->feed->view->id),
                             subscription_key(subscription), &subscription->snapshot);
    if (asked) {
        batch = from_cache(cache, subscription, buffer_span(&name));
        asked = batch || join_or_start(cache, subscription, buffer_span(&name));
    }
    buffer_fini(&name);
    if (!asked) {
        struct error error;
        error_set(&error, ERROR_QUEUE_FULL,
                  "too many snapshots are wanted at once, or memory is short, for '%s'; subscribe "
                  "again later",
                  subscription->feed->view->id);
        subscriber_error(subscription->subscriber, &error, false);
        subscription_close(subscription);
    }
    return batch;
}

void snapshot_forget(struct subscription *subscription)
{
    link_remove(&subscription->in_build);
    snapshot_batch_unref(subscription->batch);
    subscription->batch = NULL;
}
